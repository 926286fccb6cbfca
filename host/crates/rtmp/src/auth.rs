//! Passwords inside RTMP: the challenges of Adobe's servers and of Limelight's.
//!
//! Neither is specified; this is what librtmp (OBS), FFmpeg and GStreamer
//! speak. A server refuses `connect` with a text that names the method; the
//! client connects again with its user behind `app`; the server refuses with a
//! challenge; the client connects a third time with the response.
//!
//! In: `app` and `tcUrl` of a connect, and what is known of a user. Out: what
//! the client attempts, the texts it waits for, and whether a response is
//! right. Challenges live with the owner: randomness and time are its own.

mod client;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq as _;

pub use client::reply;

/// Longest name of a user, in bytes: FFmpeg reads the whole refusal into 256.
pub const MAX_USER: usize = 64;
/// Longest response and nonce that are looked at, in bytes.
const MAX_FIELD: usize = 128;
/// What all refusals begin with.
const REFUSED: &str = "[ AccessManager.Reject ] : ";

/// How a client proves that it knows a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// `authmod=adobe`: MD5 of a salted MD5. OBS, FFmpeg, GStreamer, FMLE.
    Adobe,
    /// `authmod=llnw`: HTTP's digest (RFC 2617) in a query. OBS and FFmpeg.
    Llnw,
}

/// What a client attempts with its connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The method it follows.
    pub method: Method,
    /// The name of its user.
    pub user: String,
    /// None: it asks for a challenge.
    pub proof: Option<Proof>,
}

/// The response to a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Which challenge: `opaque` or, of Limelight, `nonce`.
    pub challenge: String,
    /// The client's own random text: `challenge` or `cnonce`.
    pub client_challenge: String,
    /// Limelight's count of uses, else empty.
    pub count: String,
    /// The hash.
    pub response: String,
}

/// What a server must know of a user to judge a response.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier(String);

// It is as good as the password.
impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(..)")
    }
}

impl Method {
    /// The word that clients and plugins know it by.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Adobe => "adobe",
            Self::Llnw => "llnw",
        }
    }

    /// The method of this word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "adobe" => Some(Self::Adobe),
            "llnw" => Some(Self::Llnw),
            _ => None,
        }
    }

    /// The first refusal: say who you are.
    pub fn need_auth(self) -> String {
        format!(
            "{REFUSED}[ code=403 need auth; authmod={} ] : ",
            self.as_str()
        )
    }

    /// The second refusal: `salt` of the user's verifier (Adobe's only) and
    /// the `challenge`, which names itself when it comes back.
    pub fn challenge(self, user: &str, salt: &str, challenge: &str) -> String {
        let head = self.head();
        match self {
            Self::Adobe => format!(
                "{head}?reason=needauth&user={user}&salt={salt}&challenge={challenge}&opaque={challenge}"
            ),
            Self::Llnw => format!("{head}?reason=needauth&user={user}&nonce={challenge}"),
        }
    }

    /// The last refusal: user or password is wrong.
    pub fn failed(self) -> String {
        format!("{}?reason=authfailed", self.head())
    }

    fn head(self) -> String {
        format!("{REFUSED}[ authmod={} ] : ", self.as_str())
    }
}

/// Cuts what authentication has put behind `text` (`app` or `tcUrl`), and reads
/// it. Clients put it last, behind a query of the user's own if there is one.
pub fn cut(text: &str) -> (&str, Option<Login>) {
    let fields = |at: usize| {
        let (before, fields) = text.split_at_checked(at)?;
        let fields = fields.get(1..)?;
        fields.starts_with("authmod=").then_some((before, fields))
    };
    // Asked of every text of every client: a search for the whole mark costs
    // more than one for its first character.
    let found = text
        .rmatch_indices(['?', '&'])
        .find_map(|(at, _)| fields(at));
    match found {
        Some((before, fields)) => (before, Login::parse(fields)),
        None => (text, None),
    }
}

impl Login {
    /// Reads `authmod=adobe&user=U...`.
    fn parse(fields: &str) -> Option<Self> {
        let field = |wanted: &str| {
            let value = fields.split('&').find_map(|field| {
                let (name, value) = field.split_once('=')?;
                (name == wanted).then_some(value)
            });
            value.filter(|value| value.len() <= MAX_FIELD)
        };
        let method = Method::parse(field("authmod")?)?;
        let user = field("user")?;
        if user.is_empty() || user.len() > MAX_USER {
            return None;
        }
        let proof = field("response").map(|response| {
            let (challenge, client_challenge) = match method {
                Method::Adobe => (field("opaque"), field("challenge")),
                Method::Llnw => (field("nonce"), field("cnonce")),
            };
            let text = |field: Option<&str>| field.unwrap_or_default().to_owned();
            Proof {
                challenge: text(challenge),
                client_challenge: text(client_challenge),
                count: text(field("nc")),
                response: response.to_owned(),
            }
        });
        Some(Self {
            method,
            user: user.to_owned(),
            proof,
        })
    }
}

impl Verifier {
    /// Of a password: for [`Method::Adobe`] with the salt that the client will
    /// be told.
    pub fn of_password(method: Method, user: &str, salt: &str, password: &str) -> Self {
        Self(match method {
            Method::Adobe => base64_md5(&[user, salt, password]),
            Method::Llnw => hex_md5(&[user, ":live:", password]),
        })
    }

    /// One that was derived before: the base64 MD5 of user, salt and password,
    /// or of Limelight the hex MD5 of `user:live:password`.
    pub fn derived(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether `proof` is the response to its challenge. `app` is what the
    /// client sent, without what [`cut`] cuts.
    pub fn accepts(&self, method: Method, app: &str, proof: &Proof) -> bool {
        let Self(known) = self;
        let expected = match method {
            Method::Adobe => base64_md5(&[known, &proof.challenge, &proof.client_challenge]),
            Method::Llnw => {
                let instance = if app.contains('/') { "" } else { "/_definst_" };
                let uri = hex_md5(&["publish:/", app, instance]);
                hex_md5(&[
                    known,
                    ":",
                    &proof.challenge,
                    ":",
                    &proof.count,
                    ":",
                    &proof.client_challenge,
                    ":auth:",
                    &uri,
                ])
            }
        };
        expected.as_bytes().ct_eq(proof.response.as_bytes()).into()
    }
}

fn md5(parts: &[&str]) -> [u8; 16] {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

fn base64_md5(parts: &[&str]) -> String {
    STANDARD.encode(md5(parts))
}

fn hex_md5(parts: &[&str]) -> String {
    md5(parts)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(text: &str) -> Login {
        cut(text).1.unwrap()
    }

    #[test]
    fn what_clients_put_behind_app_is_cut_and_read() {
        let (app, first) = cut("live?authmod=adobe&user=ann");
        assert_eq!(app, "live");
        assert_eq!(
            first,
            Some(Login {
                method: Method::Adobe,
                user: "ann".into(),
                proof: None
            })
        );
        let (app, second) = cut(
            "live/a?k=v?authmod=adobe&user=ann&challenge=0badcafe&response=a+b/c==&opaque=77&x",
        );
        assert_eq!(app, "live/a?k=v");
        let proof = second.unwrap().proof.unwrap();
        assert_eq!(proof.response, "a+b/c==");
        assert_eq!(
            (proof.challenge.as_str(), proof.client_challenge.as_str()),
            ("77", "0badcafe")
        );
        let (app, third) =
            cut("live&authmod=llnw&user=ann&nonce=n1&cnonce=c1&nc=00000001&response=ff");
        assert_eq!(app, "live");
        let third = third.unwrap();
        assert_eq!(third.method, Method::Llnw);
        assert_eq!(third.proof.unwrap().count, "00000001");
    }

    #[test]
    fn what_is_no_attempt_is_none() {
        assert_eq!(
            cut("live?key=authmod=adobe"),
            ("live?key=authmod=adobe", None)
        );
        for text in [
            "live?authmod=adobe",
            "live?authmod=adobe&user=",
            "live?authmod=basic&user=ann",
        ] {
            assert_eq!(cut(text), ("live", None), "{text}");
        }
        let long = format!("live?authmod=adobe&user={}", "u".repeat(65));
        assert_eq!(cut(&long).1, None);
    }

    /// The steps of FFmpeg's `do_adobe_auth`, with hashes from another
    /// implementation of MD5.
    #[test]
    fn golden_adobe_response() {
        let verifier = Verifier::of_password(Method::Adobe, "ann", "5a17", "s3cret");
        assert_eq!(verifier, Verifier::derived("BtoQfLpH79LAp+ifsiF9dA=="));
        let proof = attempt(
            "live?authmod=adobe&user=ann&challenge=0badcafe&response=bC1Rn9Bx1pStRhAeFQw94A==&opaque=c4a1",
        )
        .proof
        .unwrap();
        assert!(verifier.accepts(Method::Adobe, "live", &proof));
        for (other, what) in [
            (
                Proof {
                    challenge: "c4a2".into(),
                    ..proof.clone()
                },
                "challenge",
            ),
            (
                Proof {
                    client_challenge: "0badcaff".into(),
                    ..proof.clone()
                },
                "client challenge",
            ),
            (
                Proof {
                    response: String::new(),
                    ..proof.clone()
                },
                "response",
            ),
        ] {
            assert!(!verifier.accepts(Method::Adobe, "live", &other), "{what}");
        }
        let wrong = Verifier::of_password(Method::Adobe, "ann", "5a17", "s3cres");
        assert!(!wrong.accepts(Method::Adobe, "live", &proof));
    }

    /// The steps of FFmpeg's `do_llnw_auth`.
    #[test]
    fn golden_llnw_response() {
        let verifier = Verifier::of_password(Method::Llnw, "ann", "", "s3cret");
        let proof = |response: &str| {
            attempt(&format!(
                "live?authmod=llnw&user=ann&nonce=n0nce&cnonce=0badcafe&nc=00000001&response={response}"
            ))
            .proof
            .unwrap()
        };
        assert!(verifier.accepts(
            Method::Llnw,
            "live",
            &proof("2cb688da0ce5ee3b0191892d9b65907c")
        ));
        assert!(verifier.accepts(
            Method::Llnw,
            "live/room",
            &proof("1894b5061dda0b7446faac85237ce335")
        ));
        assert!(!verifier.accepts(
            Method::Llnw,
            "live/room",
            &proof("2cb688da0ce5ee3b0191892d9b65907c")
        ));
    }

    #[test]
    fn refusals_are_those_that_clients_look_for() {
        assert_eq!(
            Method::Adobe.need_auth(),
            "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "
        );
        let challenge = Method::Adobe.challenge(
            &"u".repeat(MAX_USER),
            "0123456789abcdef",
            "0123456789abcdef",
        );
        assert!(
            challenge.starts_with(
                "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=u"
            )
        );
        assert!(
            challenge.len() < 250,
            "FFmpeg reads 256 bytes: {}",
            challenge.len()
        );
        assert_eq!(
            Method::Llnw.failed(),
            "[ AccessManager.Reject ] : [ authmod=llnw ] : ?reason=authfailed"
        );
    }

    #[test]
    fn a_verifier_is_not_shown() {
        let shown = format!("{:?}", Verifier::derived("hash"));
        assert!(!shown.contains("hash"), "{shown}");
    }
}
