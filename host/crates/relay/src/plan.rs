//! What an application relays, as its configuration says.

use std::fmt;
use std::time::Duration;

use livehost_hub::StreamKey;
use livehost_settings::{HOUR, MIN, MS, SEC, TextError, settings};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::allow::Allow;
use super::url::{RelayUrl, UrlError};

/// Stands for the stream's name in the URL of a [`Forward`].
pub const NAME: &str = "{name}";

/// What is relayed, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The rules.
    pub settings: RelaySettings,
    /// Streams that come from elsewhere.
    pub pulls: Vec<Pull>,
    /// Streams that go elsewhere.
    pub forwards: Vec<Forward>,
}

settings! {
    /// How relays behave, and where plugins may relay.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct RelaySettings {
        /// Where the plugin may push streams to and pull them from; written and compared
        /// as `http.allow`, see below.
        pub allow: Allow = list(
            Allow::default(),
            "URLs like \"rtmp://*.example.com/live/*\"",
            "a URL in quotes, like \"rtmp://*.example.com/live/*\"",
            |text| Allow::parse(text).map_err(TextError::new),
        ),
        /// Names in `allow` may lead to this machine and to local networks, and so may
        /// [redirects](relays.md#redirects).
        pub private: bool = flag(false),
        /// Pushes and pulls at once, those of the configuration included.
        pub max: usize = number(64, 0..=10_000),
        /// Time to look up a name and connect.
        pub connect: Duration = duration(5 * SEC, 100 * MS..=MIN),
        /// Time for the handshake and all answers up to the start; and, of a pull, from
        /// there to the first media.
        pub answer: Duration = duration(10 * SEC, 100 * MS..=5 * MIN),
        /// A server that takes no byte for so long is lost.
        pub stall: Duration = duration(15 * SEC, SEC..=10 * MIN),
        /// The wait after a first failure; each failure doubles it.
        pub retry: Duration = duration(SEC, 100 * MS..=HOUR),
        /// The longest wait after a failure.
        pub retry_limit: Duration = duration(30 * SEC, 100 * MS..=HOUR),
        /// How long a pull on demand goes on without players.
        pub linger: Duration = duration(10 * SEC, Duration::ZERO..=HOUR),
        /// How long the players of a pulled stream are kept, and are told nothing, when
        /// its server is lost.
        pub hold: Duration = duration(Duration::ZERO, Duration::ZERO..=HOUR),
    }
}

/// A stream that comes from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// What it is called here: `instance/name`, or the name alone.
    pub path: String,
    /// Where it is.
    pub from: RelayUrl,
    /// Only while somebody plays it.
    pub on_demand: bool,
}

/// Streams that go elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Forward {
    path: Option<String>,
    to: String,
}

impl Pull {
    /// The stream of `app` that it makes.
    pub(super) fn key(&self, app: &str) -> StreamKey {
        StreamKey::called(app, &self.path)
    }
}

/// What of a stream's name stands in a URL as it is (RFC 3986 section 2.3), wherever
/// the placeholder is.
const IN_URL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Forward {
    /// Pushes the stream called `path`, or every stream, to `to`, in which `{name}`
    /// is the stream's name, percent-encoded.
    ///
    /// # Errors
    /// When `to` is no URL of a stream.
    pub fn new(path: Option<String>, to: String) -> Result<Self, UrlError> {
        // Not in front of the path: a name must not choose the host.
        let host = to.split('/').nth(2).unwrap_or_default();
        if host.contains(NAME) {
            return Err(UrlError::NameInHost);
        }
        RelayUrl::parse(&to.replace(NAME, "name"))?;
        Ok(Self { path, to })
    }

    /// Where the stream goes, if it is meant. A stream whose name makes the URL too
    /// long goes nowhere.
    pub(super) fn target(&self, key: &StreamKey) -> Option<RelayUrl> {
        let is_meant = |path: &String| StreamKey::called(&key.app, path) == *key;
        if !self.path.as_ref().is_none_or(is_meant) {
            return None;
        }
        let name = utf8_percent_encode(&key.name, IN_URL).to_string();
        RelayUrl::parse(&self.to.replace(NAME, &name)).ok()
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a key.
        f.debug_struct("Forward")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: Option<&str>, to: &str, stream: &str) -> Option<String> {
        let key = StreamKey::called("live", stream);
        let forward = Forward::new(path.map(Into::into), to.into()).unwrap();
        let url = forward.target(&key)?;
        Some(format!("{}/{}", url.tc_url(), url.name()))
    }

    #[test]
    fn a_forward_of_one_stream_is_for_that_stream() {
        let to = "rtmp://h/live/key";
        assert_eq!(target(Some("cam"), to, "cam").as_deref(), Some(to));
        assert_eq!(target(Some("cam"), to, "cam2"), None);
        assert_eq!(target(Some("cam"), to, "room/cam"), None);
        assert_eq!(target(Some("room/cam"), to, "cam"), None);
        assert_eq!(
            target(Some("/room//cam"), to, "room/cam").as_deref(),
            Some(to)
        );
    }

    #[test]
    fn a_forward_of_every_stream_may_keep_the_names() {
        let to = "rtmp://h/live/{name}?k=1";
        let found = target(None, to, "cam");
        assert_eq!(found.as_deref(), Some("rtmp://h/live/cam?k=1"));
    }

    #[test]
    fn a_name_is_encoded_so_that_it_stays_one_segment_of_the_url() {
        let path = |name: &str| target(None, "rtmp://h/live/{name}", name);
        assert_eq!(
            path("a-b_c.d~e").as_deref(),
            Some("rtmp://h/live/a-b_c.d~e")
        );
        for (name, encoded) in [
            ("a b", "a%20b"),
            ("a?token=1", "a%3Ftoken%3D1"),
            ("a%2Fb", "a%252Fb"),
            ("a#b&c+d:e@f", "a%23b%26c%2Bd%3Ae%40f"),
            ("k\u{f6}ln", "k%C3%B6ln"),
        ] {
            let whole = format!("rtmp://h/live/{encoded}");
            assert_eq!(path(name), Some(whole), "{name}");
        }
        let query = target(None, "rtmp://h/live/in?to={name}&k=1", "a&k=2");
        assert_eq!(query.as_deref(), Some("rtmp://h/live/in?to=a%26k%3D2&k=1"));
    }

    #[test]
    fn a_name_never_chooses_the_host() {
        let refused = Forward::new(None, "rtmp://{name}/live/cam".into());
        assert_eq!(refused, Err(UrlError::NameInHost));
        let refused = Forward::new(None, "rtmp://u:{name}@h/live/cam".into());
        assert_eq!(refused, Err(UrlError::NameInHost));
    }
}
