//! What an application relays, as its configuration says.

use std::fmt;
use std::time::Duration;

use super::allow::Allow;
use super::url::{RelayUrl, UrlError};
use livehost_hub::StreamKey;

/// Stands for the stream's name in the URL of a [`Forward`].
pub const NAME: &str = "{name}";

/// What is relayed, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The rules.
    pub settings: Settings,
    /// Streams that come from elsewhere.
    pub pulls: Vec<Pull>,
    /// Streams that go elsewhere.
    pub forwards: Vec<Forward>,
}

/// How relays behave, and where plugins may relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where a plugin may relay to and from. Default nowhere.
    pub allow: Allow,
    /// Allowed names may lead to this machine and to local networks.
    pub private: bool,
    /// Relays of the application at once. Default 64.
    pub max: usize,
    /// Time for name lookup and connection. Default 5 s.
    pub connect: Duration,
    /// Time for the handshake and the answers after it. Default 10 s.
    pub answer: Duration,
    /// A server that takes no byte for so long is lost. Default 15 s.
    pub stall: Duration,
    /// The first wait after a failure. Default 1 s.
    pub retry: Duration,
    /// The longest wait after a failure. Default 30 s.
    pub retry_limit: Duration,
    /// How long a pull on demand goes on without players. Default 10 s.
    pub linger: Duration,
    /// How long players of a pulled stream are kept when its server is lost.
    /// Default not at all.
    pub hold: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow: Allow::default(),
            private: false,
            max: 64,
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(10),
            stall: Duration::from_secs(15),
            retry: Duration::from_secs(1),
            retry_limit: Duration::from_secs(30),
            linger: Duration::from_secs(10),
            hold: Duration::ZERO,
        }
    }
}

/// A stream that comes from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Its name here.
    pub name: String,
    /// Where it is.
    pub from: RelayUrl,
    /// Only while somebody plays it.
    pub on_demand: bool,
}

/// Streams that go elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Forward {
    name: Option<String>,
    to: String,
}

impl Forward {
    /// Pushes the stream `name` (`instance/name` of an application instance),
    /// or every stream, to `to`, in which `{name}` is the stream's name.
    ///
    /// # Errors
    /// When `to` is no URL of a stream.
    pub fn new(name: Option<String>, to: String) -> Result<Self, UrlError> {
        // Not in front of the path: a name must not choose the host.
        let host = to.split('/').nth(2).unwrap_or_default();
        if host.contains(NAME) {
            return Err(UrlError::NameInHost);
        }
        RelayUrl::parse(&to.replace(NAME, "name"))?;
        Ok(Self { name, to })
    }

    /// Where the stream goes, if it is meant. A stream whose name can't be
    /// part of a URL goes nowhere.
    pub(super) fn target(&self, key: &StreamKey) -> Option<RelayUrl> {
        if self.name.as_ref().is_some_and(|name| *name != key.path()) {
            return None;
        }
        RelayUrl::parse(&self.to.replace(NAME, &key.name)).ok()
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a key.
        f.debug_struct("Forward")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: Option<&str>, to: &str, stream: &str) -> Option<String> {
        let key = StreamKey {
            app: "live".into(),
            instance: None,
            name: stream.into(),
        };
        let forward = Forward::new(name.map(Into::into), to.into()).unwrap();
        let url = forward.target(&key)?;
        Some(format!("{}/{}", url.tc_url(), url.name()))
    }

    #[test]
    fn a_forward_of_one_stream_is_for_that_stream() {
        let to = "rtmp://h/live/key";
        assert_eq!(target(Some("cam"), to, "cam").as_deref(), Some(to));
        assert_eq!(target(Some("cam"), to, "cam2"), None);
    }

    #[test]
    fn a_forward_of_every_stream_may_keep_the_names() {
        let to = "rtmp://h/live/{name}?k=1";
        let found = target(None, to, "cam");
        assert_eq!(found.as_deref(), Some("rtmp://h/live/cam?k=1"));
        assert_eq!(target(None, to, "a b"), None);
    }

    #[test]
    fn a_name_never_chooses_the_host() {
        let refused = Forward::new(None, "rtmp://{name}/live/cam".into());
        assert_eq!(refused, Err(UrlError::NameInHost));
        let refused = Forward::new(None, "rtmp://u:{name}@h/live/cam".into());
        assert_eq!(refused, Err(UrlError::NameInHost));
    }
}
