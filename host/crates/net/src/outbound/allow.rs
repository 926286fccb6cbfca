//! The list of URLs that an application's plugin may call.
//!
//! Flows in: the entries of the configuration. Flows out: whether a
//! [`Target`] is among them, and by what kind of entry, which decides what
//! addresses it may resolve to ([`super::address`]).

use std::fmt;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use url::Host;

use super::address;
use super::target::{Target, TargetError};

/// One entry: `scheme://host[:port]/path`, with `*.` before the host for its
/// subdomains and `*` behind the path for all that starts so.
#[derive(Clone, PartialEq, Eq)]
pub struct UrlPattern {
    /// As it was written.
    text: String,
    https: bool,
    host: HostPattern,
    port: u16,
    path: String,
    /// The path is a prefix.
    prefix: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern {
    /// One name.
    Name(String),
    /// Everything below a name, and not that name.
    Below(String),
    /// One address.
    Address(IpAddr),
}

/// Why a text is not an entry of an allow-list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Apart from its `*`, it has to be a URL.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// It ends behind the host.
    #[error("expected a path, like \"{0}/*\" for every path")]
    NoPath(String),
    /// `?` or `#`.
    #[error("expected no query or fragment: a path is allowed with every query")]
    Query,
    /// A `*` somewhere else.
    #[error("expected * only as the host's first label (*.example.com) and at the end of the path")]
    Star,
    /// Written in a way that the normal form of a URL does not have, so that
    /// it is not what it seems to be.
    #[error("expected the URL in its normal form, \"{0}\"")]
    NotNormal(String),
    /// An address that no connection can go to.
    #[error("expected an address that one can connect to; {0} is {1}")]
    Address(IpAddr, &'static str),
}

impl UrlPattern {
    /// Reads an entry.
    ///
    /// # Errors
    /// [`PatternError`]: entries are strict, since a slip would open more, or
    /// less, than was meant.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.contains(['?', '#']) {
            return Err(PatternError::Query);
        }
        let (whole, prefix) = match text.strip_suffix('*') {
            Some(whole) => (whole, true),
            None => (text, false),
        };
        let (scheme, rest) = whole.split_once("://").unwrap_or(("", whole));
        let (below, rest) = match rest.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if rest.contains('*') {
            return Err(PatternError::Star);
        }
        let plain = format!("{scheme}://{rest}");
        let target = Target::parse(&plain)?;
        if !rest.contains('/') {
            return Err(match prefix {
                // `https://example.com*` would be a prefix of a host name.
                true => PatternError::Star,
                false => PatternError::NoPath(text.to_owned()),
            });
        }
        // Upper case is harmless; everything else that is not as it seems is not.
        let same_path = rest.find('/').and_then(|at| rest.get(at..)) == Some(target.path());
        let same_host = match target.host() {
            Host::Ipv4(ip) => rest.starts_with(&ip.to_string()),
            Host::Domain(_) | Host::Ipv6(_) => true,
        };
        if !same_path || !same_host || hidden_segment(target.path()) {
            let star = if prefix { "*" } else { "" };
            let below = if below { "*." } else { "" };
            let normal = format!(
                "{}://{below}{}{}{star}",
                target.scheme(),
                target.authority(),
                target.path()
            );
            return Err(PatternError::NotNormal(normal));
        }
        let host = match target.host() {
            Host::Domain(name) if below => HostPattern::Below(name.to_owned()),
            _ if below => return Err(PatternError::Star),
            Host::Domain(name) => HostPattern::Name(name.to_owned()),
            Host::Ipv4(ip) => HostPattern::Address(ip.into()),
            Host::Ipv6(ip) => HostPattern::Address(ip.into()),
        };
        if let HostPattern::Address(ip) = host
            && let Some(what) = address::unreachable(ip)
        {
            return Err(PatternError::Address(ip, what));
        }
        Ok(Self {
            text: text.to_owned(),
            https: target.is_https(),
            host,
            port: target.port(),
            path: target.path().to_owned(),
            prefix,
        })
    }

    /// It allows `https` URLs.
    pub fn is_https(&self) -> bool {
        self.https
    }

    fn allows(&self, target: &Target) -> bool {
        self.https == target.is_https()
            && self.port == target.port()
            && self.host.allows(&target.host())
            && self.allows_path(target.path())
    }

    fn allows_path(&self, path: &str) -> bool {
        if !self.prefix {
            return path == self.path;
        }
        // Of a whole host every path is fine. Of a part, none that a server
        // which decodes once more would take out of it.
        path.starts_with(&self.path) && (self.path == "/" || !hidden_segment(path))
    }
}

impl fmt::Debug for UrlPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for UrlPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl HostPattern {
    fn allows(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Self::Name(allowed), Host::Domain(name)) => allowed == name,
            (Self::Below(allowed), Host::Domain(name)) => name
                .strip_suffix(allowed.as_str())
                .is_some_and(|below| below.len() > 1 && below.ends_with('.')),
            (Self::Address(IpAddr::V4(allowed)), Host::Ipv4(ip)) => allowed == ip,
            (Self::Address(IpAddr::V6(allowed)), Host::Ipv6(ip)) => allowed == ip,
            _ => false,
        }
    }
}

/// Whether a path in normal form hides a separator or a dot segment from those
/// who decode it once: `..%2fadmin`, `%252e%252e`, `..;x`.
fn hidden_segment(path: &str) -> bool {
    /// Layers of encoding that servers and proxies in a row take off.
    const LAYERS: usize = 4;
    let mut decoded = path.as_bytes().to_vec();
    for _ in 0..LAYERS {
        let segments = || decoded.split(|byte| *byte == b'/');
        let hidden = segments().count() != path.split('/').count()
            || decoded.contains(&b'\\')
            || decoded.contains(&0)
            || segments().any(|segment| {
                let name = segment
                    .split(|byte| *byte == b';')
                    .next()
                    .unwrap_or(segment);
                name == b"." || name == b".."
            });
        if hidden {
            return true;
        }
        decoded = match std::str::from_utf8(&decoded) {
            Ok(text) => percent_decode_str(text).collect(),
            Err(_) => return false,
        };
    }
    false
}

/// Which URLs may be requested. The default is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowList(Vec<UrlPattern>);

impl FromIterator<UrlPattern> for AllowList {
    /// Every URL of the entries is allowed.
    fn from_iter<I: IntoIterator<Item = UrlPattern>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl AllowList {
    /// Whether an entry allows `target`.
    pub fn allows(&self, target: &Target) -> bool {
        self.0.iter().any(|entry| entry.allows(target))
    }

    /// Whether an entry is about `target`'s scheme, host and port, if not its path.
    pub fn knows_origin(&self, target: &Target) -> bool {
        self.0.iter().any(|entry| {
            (entry.https, entry.port) == (target.is_https(), target.port())
                && entry.host.allows(&target.host())
        })
    }

    /// Whether an entry allows `https`.
    pub fn any_https(&self) -> bool {
        self.0.iter().any(UrlPattern::is_https)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(entry: &str, url: &str) -> bool {
        let entry = UrlPattern::parse(entry).unwrap_or_else(|error| panic!("{entry}: {error}"));
        // What is no URL is never requested.
        Target::parse(url).is_ok_and(|target| AllowList::from_iter([entry]).allows(&target))
    }

    #[test]
    fn an_entry_allows_what_it_says() {
        const HOOKS: &str = "http://127.0.0.1:8080/hooks/*";
        const API: &str = "https://api.example.com/*";
        const BELOW: &str = "https://*.example.com/*";
        const KEYS: &str = "https://id.example/keys.json";
        let table = [
            (HOOKS, "http://127.0.0.1:8080/hooks/publish", true),
            (HOOKS, "http://127.0.0.1:8080/hooks/a/b?c=../d", true),
            (HOOKS, "http://127.0.0.1:8080/hooks/", true),
            (HOOKS, "http://127.0.0.1:8080/hooks", false),
            (HOOKS, "http://127.0.0.1:8080/hooksx", false),
            (HOOKS, "http://127.0.0.1:8080/", false),
            (HOOKS, "http://127.0.0.1:8081/hooks/x", false),
            (HOOKS, "http://127.0.0.1/hooks/x", false),
            (HOOKS, "https://127.0.0.1:8080/hooks/x", false),
            (HOOKS, "http://127.0.0.2:8080/hooks/x", false),
            (HOOKS, "http://localhost:8080/hooks/x", false),
            // The same address, whatever way it is written.
            (HOOKS, "http://2130706433:8080/hooks/x", true),
            (HOOKS, "http://0x7f000001:8080/hooks/x", true),
            (HOOKS, "http://0177.0.0.1:8080/hooks/x", true),
            (HOOKS, "http://127.1:8080/hooks/x", true),
            (HOOKS, "http://[::ffff:127.0.0.1]:8080/hooks/x", false),
            // Ways out of the path.
            (HOOKS, "http://127.0.0.1:8080/hooks/../admin", false),
            (HOOKS, "http://127.0.0.1:8080/hooks/%2e%2e/admin", false),
            (HOOKS, "http://127.0.0.1:8080/hooks/.%2e/admin", false),
            (HOOKS, "http://127.0.0.1:8080/hooks/..%2fadmin", false),
            (HOOKS, "http://127.0.0.1:8080/hooks/%2e%2e%2fadmin", false),
            (
                HOOKS,
                "http://127.0.0.1:8080/hooks/%252e%252e%252fadmin",
                false,
            ),
            (HOOKS, "http://127.0.0.1:8080/hooks/%25252e%25252e/x", false),
            (HOOKS, "http://127.0.0.1:8080/hooks/..%5cadmin", false),
            (HOOKS, "http://127.0.0.1:8080/hooks/..\\admin", false),
            (HOOKS, "http://127.0.0.1:8080/hooks/..;/admin", false),
            (HOOKS, "http://127.0.0.1:8080/hooks/%00", false),
            (HOOKS, "http://127.0.0.1:8080/%68ooks/x", false),
            (HOOKS, "http://127.0.0.1:8080/hooks/a%20b/100%25", true),
            (HOOKS, "http://127.0.0.1:8080//hooks/x", false),
            // Whose host is it?
            (API, "https://api.example.com/v1", true),
            (API, "https://API.Example.COM/v1", true),
            (API, "https://api.example.com:443/v1", true),
            (API, "https://api.example.com./v1", true),
            (API, "https://api.example.com/a%2Fb", true),
            (API, "http://api.example.com/v1", false),
            (API, "http://api.example.com:443/v1", false),
            (API, "https://api.example.com@evil.example/v1", false),
            (API, "https://api.example.com:x@evil.example/", false),
            (API, "https://evil.example/https://api.example.com/", false),
            (API, "https://evil.example\\@api.example.com/", false),
            (API, "https://evil.example#@api.example.com/", false),
            (API, "https://api.example.com.evil.example/", false),
            (API, "https://xapi.example.com/", false),
            (API, "https://api.example.com%2eevil.example/", false),
            (API, "https://аpi.example.com/", false), // Cyrillic a
            (API, "https://api。example。com/", true), // ideographic full stops
            (BELOW, "https://a.example.com/", true),
            (BELOW, "https://a.b.example.com/", true),
            (BELOW, "https://example.com/", false),
            (BELOW, "https://xexample.com/", false),
            (BELOW, "https://.example.com/", false),
            (BELOW, "https://example.com.evil.example/", false),
            (KEYS, "https://id.example/keys.json", true),
            (KEYS, "https://id.example/keys.json?v=1", true),
            (KEYS, "https://id.example/keys.json/x", false),
            (KEYS, "https://id.example/KEYS.json", false),
            (
                "https://bücher.example/*",
                "https://xn--bcher-kva.example/",
                true,
            ),
            (
                "https://xn--bcher-kva.example/*",
                "https://BÜCHER.example/",
                true,
            ),
            (
                "http://[::1]:8080/*",
                "http://[0:0:0:0:0:0:0:1]:8080/",
                true,
            ),
            ("http://[::1]:8080/*", "http://[::1%25lo]:8080/", false),
            ("http://[::1]:8080/*", "http://[::2]:8080/", false),
            ("http://localhost:80/*", "http://LOCALHOST/", true),
            ("http://localhost/*", "http://x.localhost/", false),
            ("http://a.example/v*", "http://a.example/v2/x", true),
        ];
        for (entry, url, allowed) in table {
            assert_eq!(allows(entry, url), allowed, "{entry} and {url}");
        }
    }

    #[test]
    fn slips_in_entries_are_errors() {
        let table = [
            (
                "https://a.example",
                "expected a path, like \"https://a.example/*\"",
            ),
            ("https://a.example*", "expected * only as"),
            ("https://*/", "expected * only as"),
            ("https://a.*.example/*", "expected * only as"),
            ("https://*.127.0.0.1/*", "expected * only as"),
            ("https://a.example/*/b", "expected * only as"),
            ("https://a.example/**", "expected * only as"),
            ("https://a.example:*/", "expected * only as"),
            ("a.example/*", "expected a URL"),
            ("*", "expected a URL"),
            ("", "expected a URL"),
            ("ftp://a.example/*", "expected http:// or https://"),
            ("https://u:p@a.example/*", "expected no user"),
            ("https://a.example/?x=*", "expected no query"),
            ("https://a.example/#*", "expected no query"),
            (
                "https://a.example/x/../*",
                "expected the URL in its normal form, \"https://a.example/*\"",
            ),
            (
                "https://*.a.example:1/é/*",
                "normal form, \"https://*.a.example:1/%C3%A9/*\"",
            ),
            ("http://2130706433/*", "normal form, \"http://127.0.0.1/*\""),
            (
                "https://a.example/..%2f*",
                "expected the URL in its normal form",
            ),
            ("http://0.0.0.0:80/*", "0.0.0.0 is the unspecified address"),
            ("http://[::]:80/*", ":: is the unspecified address"),
            ("http://224.0.0.1/*", "224.0.0.1 is a multicast address"),
            ("http://255.255.255.255/*", "the broadcast address"),
        ];
        for (entry, expected) in table {
            let error = UrlPattern::parse(entry)
                .map(|_| ())
                .expect_err(entry)
                .to_string();
            assert!(error.contains(expected), "{entry}: {error}");
        }
    }

    #[test]
    fn no_entry_allows_nothing() {
        let target = Target::parse("http://a.example/").unwrap();
        assert!(!AllowList::default().allows(&target));
    }
}
