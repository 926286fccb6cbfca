//! Where an application's plugin may relay streams to and from.
//!
//! The entries are those of `http.allow` with other schemes, and so are the
//! rules on addresses (see [`livehost_net::outbound`]). What the configuration itself
//! relays needs no entry.

use livehost_net::outbound::{AllowList, UrlPattern};

use super::url::{RelayUrl, scheme, with_port};

/// The entries of `relay.allow`. The default is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allow(AllowList);

/// Why a text is no entry, or a URL is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAllowed(String);

impl FromIterator<UrlPattern> for Allow {
    /// Every URL of the entries is allowed.
    fn from_iter<I: IntoIterator<Item = UrlPattern>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl Allow {
    /// Reads an entry like `rtmp://*.example.com/live/*`.
    ///
    /// # Errors
    /// What is expected instead.
    pub fn parse(text: &str) -> Result<UrlPattern, NotAllowed> {
        let entry = scheme(text).map(|(secure, rest)| {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let scheme = if secure { "https" } else { "http" };
            format!("{scheme}://{}{path}", with_port(authority, secure))
        });
        let entry = entry.ok_or_else(|| NotAllowed("expected rtmp:// or rtmps://".into()))?;
        UrlPattern::parse(&entry).map_err(|error| {
            let text = error.to_string();
            let text = text.replace("https://", "rtmps://");
            NotAllowed(text.replace("http://", "rtmp://"))
        })
    }

    /// Whether a plugin may relay to or from `url`.
    ///
    /// # Errors
    /// What would allow it.
    pub fn check(&self, url: &RelayUrl) -> Result<(), NotAllowed> {
        self.check_as(url, &url.to_string())
    }

    /// As [`Allow::check`]; the error calls the URL `shown`.
    pub(super) fn check_as(&self, url: &RelayUrl, shown: &str) -> Result<(), NotAllowed> {
        let Some(target) = url.comparable() else {
            let text = "expected a path in the normal form of URLs: no spaces, .., \\ or #";
            return Err(NotAllowed(text.to_owned()));
        };
        if self.0.allows(&target) {
            return Ok(());
        }
        let text = format!("relay.allow has no entry for it, such as \"{shown}/*\"");
        Err(NotAllowed(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(entry: &str, url: &str) -> bool {
        let entry = Allow::parse(entry).unwrap_or_else(|error| panic!("{entry}: {error}"));
        let allow = Allow::from_iter([entry]);
        allow.check(&RelayUrl::parse(url).unwrap()).is_ok()
    }

    #[test]
    fn entries_allow_what_they_say() {
        let any = "rtmp://*.example.com/*";
        assert!(allows(any, "rtmp://a.example.com/live/cam?key=1"));
        assert!(allows(any, "rtmp://a.example.com:1935/live/cam"));
        for url in [
            "rtmp://example.com/live/cam",
            "rtmp://a.example.com:80/live/cam",
            "rtmps://a.example.com/live/cam",
            "rtmp://a.example.com.evil.net/live/cam",
            "rtmp://u:p@evil.net/live/cam",
        ] {
            assert!(!allows(any, url), "{url}");
        }
        assert!(allows("rtmps://h/*", "rtmps://h:443/live/cam"));
        assert!(allows("rtmp://127.0.0.1:1936/*", "rtmp://127.1:1936/a/b"));
        assert!(allows(
            "rtmp://[::1]:1936/live/*",
            "rtmp://[::1]:1936/live/b"
        ));
    }

    #[test]
    fn a_part_of_a_host_is_left_by_no_trick() {
        let part = "rtmp://h/live/*";
        assert!(allows(part, "rtmp://h/live/cam"));
        assert!(allows(part, "rtmp://h/live/room/cam"));
        for url in [
            "rtmp://h/vod/cam",
            "rtmp://h/live/../vod/cam",
            "rtmp://h/live/%2e%2e/vod/cam",
            "rtmp://h/live/..%2fvod%2fcam",
            "rtmp://h/live\\..\\vod/cam",
            "rtmp://h/live?x=/../vod/cam",
        ] {
            assert!(!allows(part, url), "{url}");
        }
    }

    #[test]
    fn a_slip_in_an_entry_is_told_in_terms_of_rtmp() {
        for (entry, told) in [
            ("http://h/*", "expected rtmp:// or rtmps://"),
            ("rtmp://h", "expected a path"),
            ("rtmp://h/live?x", "query"),
            ("rtmp://a.*.h/*", "*"),
        ] {
            let error = Allow::parse(entry).unwrap_err().to_string();
            assert!(error.contains(told), "{entry}: {error}");
            assert!(!error.contains("http"), "{entry}: {error}");
        }
    }

    #[test]
    fn a_refusal_names_the_entry_that_would_help_and_no_secret() {
        let url = RelayUrl::parse("rtmp://h/live/s3cret?k=s3cret").unwrap();
        let error = Allow::default().check(&url).unwrap_err().to_string();
        assert!(error.contains("\"rtmp://h/live/*\""), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}
