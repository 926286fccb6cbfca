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

use percent_encoding::percent_decode_str;

use crate::outbound::{Target, TargetError};

/// No URL is longer, in bytes.
const MAX_URL: usize = 4 << 10;
/// Texts that are too short to be a secret are not looked for in messages.
const MIN_SECRET: usize = 4;
/// What another server says is cut after so many characters.
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
    login: Option<Login>,
    app: String,
    name: String,
}

/// `user:password@`, decoded.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Login {
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
        if text.len() > MAX_URL {
            return Err(UrlError::TooLong);
        }
        if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(UrlError::Characters);
        }
        let (secure, rest) = scheme(text).ok_or(UrlError::Scheme)?;
        let (authority, path) = rest.split_once('/').ok_or(UrlError::NoName)?;
        let (login, authority) = match authority.rsplit_once('@') {
            Some((login, authority)) => (Some(Login::parse(login)?), authority),
            None => (None, authority),
        };
        let target = format!("http://{}/", with_port(authority, secure));
        let target = Target::parse(&target).map_err(UrlError::Host)?;
        let (app, name) = split(path).ok_or(UrlError::NoName)?;
        Ok(Self {
            secure,
            host: target.host().to_string(),
            port: target.port(),
            login,
            app: app.to_owned(),
            name: name.to_owned(),
        })
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

    pub(super) fn login(&self) -> Option<&Login> {
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
        let mut text: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        for secret in self.secrets() {
            text = text.replace(secret, "***");
        }
        text.chars().take(MAX_TEXT).collect()
    }

    /// Longest first: one may be a part of another.
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
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }
}

impl Login {
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
        write!(f, "{}/{}", self.origin(), before_query(&self.app))
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
    fn a_login_is_decoded_and_not_part_of_what_connect_says() {
        let url = RelayUrl::parse("rtmp://a%40b:p%3Aw@h/live/cam").unwrap();
        let login = url.login().unwrap();
        assert_eq!((&*login.user, &*login.password), ("a@b", "p:w"));
        assert_eq!(url.tc_url(), "rtmp://h/live");
    }
}
