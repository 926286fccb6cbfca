//! Where a request goes: a URL that was read once, as it will be sent.
//!
//! Flows in: a guest's text, or a redirect's `Location`. Flows out: scheme,
//! host, port, path and query in their one normal form, so that what is
//! compared with the allow-list is what is connected to and sent.

use std::fmt;

use url::{Host, Url};

/// No URL is longer, in bytes.
const MAX_URL: usize = 16 << 10;

/// An `http` or `https` URL in normal form: host in lower case and Punycode,
/// numeric IPv4 forms and dot segments resolved, no user, password, fragment
/// or trailing dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(Url);

/// Why a text is not a URL that can be requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Longer than 16 KiB.
    #[error("expected a URL of up to {MAX_URL} bytes")]
    TooLong,
    /// No URL by the WHATWG standard.
    #[error("expected a URL like \"https://example.com/path\": {0}")]
    Invalid(#[from] url::ParseError),
    /// Another scheme.
    #[error("expected http:// or https://")]
    Scheme,
    /// `user:password@`.
    #[error("expected no user or password in the URL: the header Authorization is for that")]
    UserInfo,
    /// A host that can't be one: empty labels.
    #[error("expected a host name or an IP address")]
    Host,
}

impl Target {
    /// Reads a whole URL.
    ///
    /// # Errors
    /// [`TargetError`] for what is not an `http` or `https` URL, or has a user
    /// or a password in it.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if text.len() > MAX_URL {
            return Err(TargetError::TooLong);
        }
        Self::normal(Url::parse(text)?)
    }

    /// Reads a `Location`, which may be relative to this URL.
    ///
    /// # Errors
    /// As [`Target::parse`].
    pub fn join(&self, location: &str) -> Result<Self, TargetError> {
        if location.len() > MAX_URL {
            return Err(TargetError::TooLong);
        }
        Self::normal(self.0.join(location)?)
    }

    fn normal(mut url: Url) -> Result<Self, TargetError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(TargetError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::UserInfo);
        }
        url.set_fragment(None);
        match url.host() {
            Some(Host::Domain(name)) => {
                let bare = name.strip_suffix('.').unwrap_or(name).to_owned();
                if bare.split('.').any(str::is_empty) {
                    return Err(TargetError::Host);
                }
                // A name without its dot may turn out to be an address.
                url.set_host(Some(&bare)).map_err(|_| TargetError::Host)?;
            }
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => {}
            None => return Err(TargetError::Host),
        }
        Ok(Self(url))
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &str {
        self.0.scheme()
    }

    /// It is `https`.
    pub fn is_https(&self) -> bool {
        self.scheme() == "https"
    }

    /// Name or address.
    pub fn host(&self) -> Host<&str> {
        // Checked when it was made.
        self.0.host().unwrap_or(Host::Domain(""))
    }

    /// The port, the scheme's own if the URL has none.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or_default()
    }

    /// `host[:port]`, without the scheme's own port.
    pub fn authority(&self) -> String {
        match self.0.port() {
            Some(port) => format!("{}:{port}", self.host()),
            None => self.host().to_string(),
        }
    }

    /// The path, percent-encoded; it starts with `/`.
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// `scheme://host[:port]`, fit for a log: neither path nor query.
    pub fn origin(&self) -> Origin<'_> {
        Origin(self)
    }

    /// Whether both have the same scheme, host and port.
    pub fn same_origin(&self, other: &Self) -> bool {
        (self.scheme(), self.host(), self.port()) == (other.scheme(), other.host(), other.port())
    }

    /// The whole URL.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Shows a [`Target`] without what may be secret in it.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'t>(&'t Target);

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.0;
        write!(f, "{}://{}", target.scheme(), target.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_url_has_one_form() {
        let forms = [
            (
                "HTTP://Example.COM:80/A/b?q=1#part",
                "http://example.com/A/b?q=1",
            ),
            ("https://example.com:443", "https://example.com/"),
            ("https://example.com./x", "https://example.com/x"),
            ("https://bücher.example/", "https://xn--bcher-kva.example/"),
            ("https://ｅｘａｍｐｌｅ.com/", "https://example.com/"),
            ("http://2130706433/", "http://127.0.0.1/"),
            ("http://0x7f.1/", "http://127.0.0.1/"),
            ("http://0177.0.0.1/", "http://127.0.0.1/"),
            ("http://127.0.0.1./", "http://127.0.0.1/"),
            ("http://%31%32%37.0.0.1/", "http://127.0.0.1/"),
            ("http://[::FFFF:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
            ("http://[0:0::1]:80/", "http://[::1]/"),
            ("http://a.example/hooks/../admin", "http://a.example/admin"),
            (
                "http://a.example/hooks/%2e%2E/admin",
                "http://a.example/admin",
            ),
            (
                "http:\\\\a.example\\hooks\\..\\admin",
                "http://a.example/admin",
            ),
            (" http://a.exa\nmple/\t", "http://a.example/"),
        ];
        for (text, normal) in forms {
            let target = Target::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(target.as_str(), normal, "{text}");
        }
    }

    #[test]
    fn what_can_not_be_requested_is_refused() {
        use TargetError::*;
        let refused = [
            ("http://user@a.example/", UserInfo),
            ("http://allowed.example@evil.example/", UserInfo),
            ("http://:secret@a.example/", UserInfo),
            ("ftp://a.example/", Scheme),
            ("file:///etc/passwd", Scheme),
            ("unix:/run/docker.sock", Scheme),
            ("http://a..example/", Host),
            ("http://a.example../", Host),
        ];
        for (text, error) in refused {
            assert_eq!(Target::parse(text), Err(error), "{text}");
        }
        let long = format!("http://a.example/{}", "x".repeat(MAX_URL));
        assert_eq!(Target::parse(&long), Err(TooLong));
        for text in [
            "",
            "a.example",
            "/x",
            "http://",
            "http://a b/",
            "http://1.2.3.4.5/",
        ] {
            let refused = Target::parse(text);
            assert!(matches!(refused, Err(Invalid(_))), "{text}: {refused:?}");
        }
    }

    #[test]
    fn a_log_sees_the_origin_only() {
        let target = Target::parse("https://a.example:8443/key/abc?token=secret").unwrap();
        assert_eq!(target.origin().to_string(), "https://a.example:8443");
        let target = Target::parse("http://[::1]/x").unwrap();
        assert_eq!(target.origin().to_string(), "http://[::1]");
    }

    #[test]
    fn redirects_are_read_relative_to_where_they_come_from() {
        let from = Target::parse("https://a.example/x/y").unwrap();
        let join = |location| from.join(location).map(|target| target.as_str().to_owned());
        assert_eq!(join("z").unwrap(), "https://a.example/x/z");
        assert_eq!(join("//b.example/").unwrap(), "https://b.example/");
        assert_eq!(join("//u:p@b.example/"), Err(TargetError::UserInfo));
        assert_eq!(join("javascript:1"), Err(TargetError::Scheme));
    }
}
