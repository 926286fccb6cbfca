//! Where a relay goes: an RTMP URL that was read once.
//!
//! Flows in: the text of the configuration or of a plugin. Flows out: host,
//! port, application and stream name as a client sends them, and a form of it
//! that is fit for logs.
//!
//! Everything up to the last `/` of the path is the application, the rest is
//! the stream's name with its query. A query behind the first and only segment
//! is the application's: `rtmp://host/app?token=1/name`.

use std::fmt;

use livehost_net::outbound::{Target, TargetError};
use percent_encoding::percent_decode_str;

/// No URL is longer, in bytes.
const MAX_URL: usize = 4 << 10;
/// Texts that are too short to be a secret are not looked for in messages.
const MIN_SECRET: usize = 4;
/// What another server says is cut after so many characters, and so is an
/// application, which a server may have chosen.
const MAX_TEXT: usize = 300;

const RTMP_PORT: u16 = 1935;
const RTMPS_PORT: u16 = 443;

/// An `rtmp` or `rtmps` URL of a stream. Shown without what may be secret in
/// it: user, password, stream name and queries.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RelayUrl {
    secure: bool,
    host: String,
    port: u16,
    login: Option<Credentials>,
    app: String,
    name: String,
}

/// `user:password@`, decoded.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

/// Why a text is not a URL that a relay can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Longer than 4 KiB.
    #[error("expected a URL of up to {MAX_URL} bytes")]
    TooLong,
    /// Another scheme, or none.
    #[error("expected rtmp:// or rtmps://")]
    Scheme,
    /// Spaces, line ends.
    #[error("expected a URL without spaces and control characters")]
    Characters,
    /// No host, or one that can't be.
    #[error("expected a host: {0}")]
    Host(TargetError),
    /// It ends before the stream's name.
    #[error("expected an application and a stream's name, as in rtmp://host/app/name")]
    NoName,
    /// The placeholder of a forward's stream before the path.
    #[error("expected {{name}} in the path only")]
    NameInHost,
    /// A user without a password.
    #[error("expected user:password before the @")]
    Login,
}

impl RelayUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`UrlError`], which says nothing of what the URL holds.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (mut url, path) = Self::server(text)?;
        let (app, name) = split(path).ok_or(UrlError::NoName)?;
        (url.app, url.name) = (app.to_owned(), name.to_owned());
        Ok(url)
    }

    /// Where a server of this URL sends its client: `text` is the URL of a
    /// stream (`is_stream`), or what Adobe's servers say, which is the URL up
    /// to the application. Some say that of the stream in its place: then its
    /// path ends with the name that was asked for. What was meant for this
    /// server only stays with it: login and query.
    ///
    /// # Errors
    /// As [`RelayUrl::parse`].
    pub(super) fn redirected(&self, text: &str, is_stream: bool) -> Result<Self, UrlError> {
        let (mut next, path) = Self::server(text)?;
        let is_same_server = self.origin() == next.origin();
        let whole = split(path).filter(|(_, name)| is_stream || self.ends(path, name));
        (next.app, next.name) = match whole {
            Some((app, name)) => (app.to_owned(), name.to_owned()),
            None if is_stream => return Err(UrlError::NoName),
            None => {
                let app = path.trim_end_matches('/');
                if before_query(app).is_empty() {
                    return Err(UrlError::NoName);
                }
                let name = match is_same_server {
                    true => &self.name,
                    false => before_query(&self.name),
                };
                (app.to_owned(), name.to_owned())
            }
        };
        if is_same_server && next.login.is_none() {
            next.login.clone_from(&self.login);
        }
        Ok(next)
    }

    /// Whether the path ends with this URL's name, and not because its
    /// application does (`rooms/cam/cam`).
    fn ends(&self, path: &str, name: &str) -> bool {
        let plain = before_query(path);
        let is_app = plain.contains('/') && plain == before_query(&self.app);
        before_query(name) == before_query(&self.name) && !is_app
    }

    /// Reads up to the path, and leaves application and name to the caller.
    fn server(text: &str) -> Result<(Self, &str), UrlError> {
        if text.len() > MAX_URL {
            return Err(UrlError::TooLong);
        }
        if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(UrlError::Characters);
        }
        let (secure, rest) = scheme(text).ok_or(UrlError::Scheme)?;
        let (authority, path) = rest.split_once('/').ok_or(UrlError::NoName)?;
        let (login, authority) = match authority.rsplit_once('@') {
            Some((login, authority)) => (Some(Credentials::parse(login)?), authority),
            None => (None, authority),
        };
        let target = format!("http://{}/", with_port(authority, secure));
        let target = Target::parse(&target).map_err(UrlError::Host)?;
        let url = Self {
            secure,
            host: target.host().to_string(),
            port: target.port(),
            login,
            app: String::new(),
            name: String::new(),
        };
        Ok((url, path))
    }

    /// Over TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }

    /// Name or address; IPv6 in brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn login(&self) -> Option<&Credentials> {
        self.login.as_ref()
    }

    /// The application as `connect` names it, with its query.
    pub(super) fn app(&self) -> &str {
        &self.app
    }

    /// The stream as `publish` and `play` name it, with its query.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The URL up to and including the application, as `connect` says it.
    pub(super) fn tc_url(&self) -> String {
        format!("{}/{}", self.origin(), self.app)
    }

    /// Scheme, host and, unless it is the usual one, port.
    pub(super) fn origin(&self) -> String {
        let (scheme, usual) = match self.secure {
            true => ("rtmps", RTMPS_PORT),
            false => ("rtmp", RTMP_PORT),
        };
        if self.port == usual {
            format!("{scheme}://{}", self.host)
        } else {
            format!("{scheme}://{}:{}", self.host, self.port)
        }
    }

    /// As the allow-list compares it: an HTTP URL without its query, if its
    /// path is in the normal form of URLs.
    pub(super) fn comparable(&self) -> Option<Target> {
        let scheme = if self.secure { "https" } else { "http" };
        let path = format!("/{}/{}", self.app, before_query(&self.name));
        let text = format!("{scheme}://{}:{}{path}", self.host, self.port);
        Target::parse(&text)
            .ok()
            .filter(|target| target.path() == path)
    }

    /// What another server said, without the secrets of this URL: servers like
    /// to repeat names.
    pub(super) fn redact(&self, text: &str) -> String {
        let text: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        without(text, [self]).chars().take(MAX_TEXT).collect()
    }

    /// As it is shown, without the secrets of `others` either: a server that is
    /// told them may say them in where it sends its client.
    pub(super) fn shown_without<'a>(&self, others: impl IntoIterator<Item = &'a Self>) -> String {
        let text = format!("{}/{}", self.origin(), before_query(&self.app));
        cut(&without(text, others))
    }

    fn secrets(&self) -> Vec<&str> {
        let mut secrets = vec![self.name.as_str(), before_query(&self.name)];
        for text in [&self.name, &self.app] {
            if let Some((_, query)) = text.split_once('?') {
                secrets.push(query);
                let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                secrets.extend(pairs.map(|(_, value)| value));
            }
        }
        if let Some(login) = &self.login {
            secrets.extend([login.user.as_str(), login.password.as_str()]);
        }
        secrets.retain(|secret| secret.len() >= MIN_SECRET);
        secrets
    }
}

impl Credentials {
    fn parse(text: &str) -> Result<Self, UrlError> {
        let (user, password) = text.split_once(':').ok_or(UrlError::Login)?;
        let decoded = |text| {
            let text = percent_decode_str(text).decode_utf8();
            text.map_err(|_| UrlError::Login).map(Into::into)
        };
        Ok(Self {
            user: decoded(user)?,
            password: decoded(password)?,
        })
    }
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.origin(), cut(before_query(&self.app)))
    }
}

impl fmt::Debug for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}/...\"")
    }
}

/// Whether it is `rtmps`, and what follows `://`.
pub(super) fn scheme(text: &str) -> Option<(bool, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    match scheme.to_ascii_lowercase().as_str() {
        "rtmp" => Some((false, rest)),
        "rtmps" => Some((true, rest)),
        _ => None,
    }
}

/// `host[:port]` with the scheme's own port if there is none.
pub(super) fn with_port(authority: &str, secure: bool) -> String {
    let behind = authority.rsplit(']').next().unwrap_or(authority);
    if behind.contains(':') {
        return authority.to_owned();
    }
    let port = if secure { RTMPS_PORT } else { RTMP_PORT };
    format!("{authority}:{port}")
}

/// Application and name of a path without its leading slash.
fn split(path: &str) -> Option<(&str, &str)> {
    let plain = before_query(path);
    let (app, name) = match plain.rfind('/') {
        Some(at) => path.split_at(at),
        None => path.split_at(path.rfind('/')?),
    };
    let name = name.strip_prefix('/')?;
    let app = app.strip_suffix('/').unwrap_or(app);
    (!app.is_empty() && !before_query(name).is_empty()).then_some((app, name))
}

/// The text without what is secret in `urls`.
fn without<'a>(mut text: String, urls: impl IntoIterator<Item = &'a RelayUrl>) -> String {
    let mut secrets: Vec<&str> = urls.into_iter().flat_map(RelayUrl::secrets).collect();
    // Longest first: one may be a part of another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    for secret in secrets {
        text = text.replace(secret, "***");
    }
    text
}

/// The beginning of a long text, marked as such.
fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn before_query(text: &str) -> &str {
    text.split_once('?').map_or(text, |(plain, _)| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, u16, String, String) {
        let url = RelayUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        (url.host, url.port, url.app, url.name)
    }

    #[test]
    fn urls_are_split_as_clients_mean_them() {
        for (text, host, port, app, name) in [
            ("rtmp://h/live/cam", "h", 1935, "live", "cam"),
            ("RTMP://H:80/live/cam", "h", 80, "live", "cam"),
            ("rtmps://h/live/cam", "h", 443, "live", "cam"),
            ("rtmp://[::1]:1/live/cam", "[::1]", 1, "live", "cam"),
            ("rtmp://[::1]/live/cam", "[::1]", 1935, "live", "cam"),
            ("rtmp://127.1/live/cam", "127.0.0.1", 1935, "live", "cam"),
            ("rtmp://h/live/room/cam", "h", 1935, "live/room", "cam"),
            ("rtmp://h/live/cam?k=a/b", "h", 1935, "live", "cam?k=a/b"),
            ("rtmp://h/live?k=1/cam", "h", 1935, "live?k=1", "cam"),
            ("rtmp://u:p%40@h/live/cam", "h", 1935, "live", "cam"),
            ("rtmp://h/a/mp4:b.mp4", "h", 1935, "a", "mp4:b.mp4"),
        ] {
            let expected = (host.into(), port, app.into(), name.into());
            assert_eq!(parts(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_stream_of_a_server_is_refused() {
        use UrlError::*;
        for (text, error) in [
            ("http://h/live/cam", Scheme),
            ("h/live/cam", Scheme),
            ("rtmp://h", NoName),
            ("rtmp://h/", NoName),
            ("rtmp://h/live", NoName),
            ("rtmp://h/live/", NoName),
            ("rtmp://h/live/?k=1", NoName),
            ("rtmp://h//cam", NoName),
            ("rtmp://h/live/a b", Characters),
            ("rtmp://h/live/a\n", Characters),
            ("rtmp://user@h/live/cam", Login),
        ] {
            assert_eq!(RelayUrl::parse(text), Err(error), "{text}");
        }
        assert!(matches!(RelayUrl::parse("rtmp:///live/cam"), Err(Host(_))));
        let long = format!("rtmp://h/live/{}", "x".repeat(MAX_URL));
        assert_eq!(RelayUrl::parse(&long), Err(TooLong));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let text = "rtmp://alice:open-sesame@h:1936/live?token=t0ken/cam-secret?sig=s1gned";
        let url = RelayUrl::parse(text).unwrap();
        for shown in [format!("{url}"), format!("{url:?}")] {
            for secret in ["alice", "sesame", "t0ken", "secret", "s1gned"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
        assert_eq!(url.to_string(), "rtmp://h:1936/live");
        let said = "BadName: live/cam-secret?sig=s1gned of alice (s1gned)\n";
        assert_eq!(url.redact(said), "BadName: live/*** of *** (***) ");
    }

    #[test]
    fn a_redirect_names_the_application_or_the_stream() {
        let from = |url: &str, text, is_stream| {
            let from = RelayUrl::parse(url).unwrap();
            let to = from.redirected(text, is_stream).unwrap();
            format!("{}/{}", to.tc_url(), to.name())
        };
        let cam = "rtmp://a/live/cam";
        for (url, text, to) in [
            // Adobe, Wowza.
            (cam, "rtmp://b/live", "rtmp://b/live/cam"),
            (
                cam,
                "rtmp://b:80/edge/_definst_/",
                "rtmp://b:80/edge/_definst_/cam",
            ),
            (cam, "rtmp://b/live?vhost=v", "rtmp://b/live?vhost=v/cam"),
            (cam, "rtmps://b/live", "rtmps://b/live/cam"),
            ("rtmp://a/x/cam/cam", "rtmp://b/x/cam", "rtmp://b/x/cam/cam"),
            // The stream's URL in its place.
            (cam, "rtmp://b/live/cam", "rtmp://b/live/cam"),
            (cam, "rtmp://b/x/y/cam?k=1", "rtmp://b/x/y/cam?k=1"),
            (
                cam,
                "rtmp://b/live?vhost=v/cam",
                "rtmp://b/live?vhost=v/cam",
            ),
            (
                "rtmp://a/live/cam?k=1",
                "rtmp://b/live/cam",
                "rtmp://b/live/cam",
            ),
            // An application of that name.
            (cam, "rtmp://b/cam", "rtmp://b/cam/cam"),
        ] {
            assert_eq!(from(url, text, false), to, "{url} {text}");
        }
        for text in ["rtmp://b/live/other?k=1", "rtmp://b/x/y/cam"] {
            assert_eq!(from(cam, text, true), text);
        }
    }

    #[test]
    fn what_is_meant_for_one_server_is_sent_to_no_other() {
        let from = RelayUrl::parse("rtmp://u:p@a/live?token=t/cam?key=k").unwrap();
        for (text, is_kept) in [
            ("rtmp://a/live", true),
            ("rtmp://A:1935/edge", true),
            ("rtmp://b/live", false),
            ("rtmp://a:1936/live", false),
            ("rtmps://a/live", false),
            ("rtmp://a.b/live", false),
        ] {
            let to = from.redirected(text, false).unwrap();
            assert_eq!(to.login().is_some(), is_kept, "{text}");
            assert_eq!(to.name() == "cam?key=k", is_kept, "{text}");
            assert_eq!(to.name() == "cam", !is_kept, "{text}");
            assert!(!to.app().contains("token"), "{text}");
        }
        // What the server says itself is sent.
        let to = from.redirected("rtmp://x:y@b/live", false).unwrap();
        assert_eq!(to.login().unwrap().user, "x");
    }

    #[test]
    fn a_redirect_to_no_server_is_refused() {
        use UrlError::*;
        let from = RelayUrl::parse("rtmp://a/live/cam").unwrap();
        for (text, is_stream, error) in [
            ("rtmpt://b/live", false, Scheme),
            ("rtmp://b", false, NoName),
            ("rtmp://b/", false, NoName),
            ("rtmp://b/?k=1", false, NoName),
            ("rtmp://b/live", true, NoName),
            ("rtmp://b/li ve", false, Characters),
        ] {
            assert_eq!(from.redirected(text, is_stream), Err(error), "{text}");
        }
        let long = format!("rtmp://b/{}", "x".repeat(MAX_URL));
        assert_eq!(from.redirected(&long, false), Err(TooLong));
        let long = format!("rtmp://b/{}", "x".repeat(MAX_URL - 100));
        let shown = from.redirected(&long, false).unwrap().to_string();
        assert!(shown.len() < 2 * MAX_TEXT, "{shown}");
        assert!(shown.ends_with("xxx..."), "{shown}");
    }

    #[test]
    fn a_login_is_decoded_and_not_part_of_what_connect_says() {
        let url = RelayUrl::parse("rtmp://a%40b:p%3Aw@h/live/cam").unwrap();
        let login = url.login().unwrap();
        assert_eq!((&*login.user, &*login.password), ("a@b", "p:w"));
        assert_eq!(url.tc_url(), "rtmp://h/live");
    }
}
