//! The client's side: what it puts behind `app` after a refusal.

use super::{Method, base64_md5, hex_md5};

/// A response is used once.
const COUNT: &str = "00000001";

/// What goes behind `app` in the next connect, from `authmod=` on. `app` is
/// without that; `random` is a fresh text of hexadecimal digits. None when the
/// refusal asks for nothing more: user or password is wrong, or it is about
/// something else.
pub fn reply(refusal: &str, app: &str, user: &str, password: &str, random: &str) -> Option<String> {
    let (_, method) = refusal.split_once("authmod=")?;
    let end = |c: char| !c.is_ascii_alphanumeric();
    let method = Method::parse(method.split(end).next()?)?;
    let name = method.as_str();
    let Some((_, query)) = refusal.split_once('?') else {
        return Some(format!("authmod={name}&user={user}"));
    };
    let field = |wanted: &str| {
        query.split('&').find_map(|field| {
            let (name, value) = field.trim().split_once('=')?;
            (name == wanted).then_some(value)
        })
    };
    if field("reason")? != "needauth" {
        return None;
    }
    Some(match method {
        Method::Adobe => {
            let salted = base64_md5(&[user, field("salt")?, password]);
            let opaque = field("opaque").filter(|opaque| !opaque.is_empty());
            let challenge = opaque.or_else(|| field("challenge")).unwrap_or_default();
            let response = base64_md5(&[&salted, challenge, random]);
            let opaque = opaque.map_or_else(String::new, |opaque| format!("&opaque={opaque}"));
            format!("authmod={name}&user={user}&challenge={random}&response={response}{opaque}")
        }
        Method::Llnw => {
            let nonce = field("nonce")?;
            let known = hex_md5(&[user, ":live:", password]);
            let instance = if app.contains('/') { "" } else { "/_definst_" };
            let uri = hex_md5(&["publish:/", app, instance]);
            let parts = [&known, ":", nonce, ":", COUNT, ":", random, ":auth:", &uri];
            let response = hex_md5(&parts);
            format!(
                "authmod={name}&user={user}&nonce={nonce}&cnonce={random}&nc={COUNT}&response={response}"
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Verifier, cut};
    use super::*;

    /// Both ends against each other: what the server makes of the last reply.
    fn exchange(method: Method, app: &str, password: &str) -> bool {
        let reply = |refusal: &str| reply(refusal, app, "ann", password, "c0ffee00").unwrap();
        let (salt, challenge) = ("s4lt", "0123abcd");
        let first = format!("{app}?{}", reply(&method.need_auth()));
        let (rest, attempt) = cut(&first);
        let attempt = attempt.unwrap();
        assert_eq!((rest, &*attempt.user, attempt.proof), (app, "ann", None));
        let second = reply(&method.challenge("ann", salt, challenge));
        let second = format!("{app}?{second}");
        let (rest, attempt) = cut(&second);
        let proof = attempt.unwrap().proof.unwrap();
        assert_eq!((rest, &*proof.challenge), (app, challenge));
        Verifier::of_password(method, "ann", salt, "s3cret").accepts(method, app, &proof)
    }

    #[test]
    fn a_server_accepts_the_right_password_only() {
        for method in [Method::Adobe, Method::Llnw] {
            for app in ["live", "live/room"] {
                assert!(exchange(method, app, "s3cret"), "{method:?}");
                assert!(!exchange(method, app, "other"), "{method:?}");
            }
        }
    }

    #[test]
    fn other_refusals_are_not_answered() {
        for refusal in [
            "",
            "not for you",
            "[ AccessManager.Reject ] : [ authmod=other ] : ?reason=needauth",
            &Method::Adobe.failed(),
            &Method::Llnw.failed(),
        ] {
            assert_eq!(reply(refusal, "live", "ann", "x", "00"), None, "{refusal}");
        }
    }
}
