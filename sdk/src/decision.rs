//! Constructors and builders of decisions.

use std::time::Duration;

use crate::{
    ConnectDecision, ConnectGrant, ConnectRequest, DuplicateRule, PlayDecision, PlayGrant,
    PublishDecision, PublishGrant, Recording, Rejection, StreamRequest,
};

/// A decision that [`accept`] and [`deny`] can make.
pub trait Decision: From<Rejection> {
    /// Yes, with the defaults of the grant.
    fn accepted() -> Self;
}

/// Yes, with the defaults of the grant.
///
/// ```
/// # use livehost_sdk::*;
/// let yes: PublishDecision = accept();
/// assert_eq!(yes, PublishDecision::Accept(PublishGrant::default()));
/// ```
pub fn accept<D: Decision>() -> D {
    D::accepted()
}

/// No, with a reason that encoders and players show to their user.
///
/// ```
/// # use livehost_sdk::*;
/// let no: PlayDecision = deny("members only");
/// assert!(matches!(no, PlayDecision::Reject(r) if r.description == "members only"));
/// ```
pub fn deny<D: Decision>(description: impl Into<String>) -> D {
    Rejection::new(description).into()
}

/// Makes a decision with `?`: what can't go on becomes a [`Rejection`], which
/// can be made of a text, and of an error of [`crate::kv`] or
/// [`crate::http_client`].
///
/// ```
/// # use livehost_sdk::*;
/// fn on_publish(req: &StreamRequest) -> PublishDecision {
///     decide(|| {
///         let room = req.param("room").ok_or("name a room: NAME?room=ROOM")?;
///         Ok(PublishGrant::default().name(format!("{room}-{}", req.name)))
///     })
/// }
///
/// let yes = on_publish(&testing::request("cam1?room=a"));
/// assert!(matches!(yes, PublishDecision::Accept(grant) if grant.name.as_deref() == Some("a-cam1")));
/// let no = on_publish(&testing::request("cam1"));
/// assert!(matches!(no, PublishDecision::Reject(_)));
/// ```
pub fn decide<D, T>(make: impl FnOnce() -> Result<T, Rejection>) -> D
where
    D: From<Result<T, Rejection>>,
{
    make().into()
}

/// Sends the client to another server.
///
/// ```
/// # use livehost_sdk::*;
/// let there = redirect("rtmp://b.media.example/live");
/// assert!(matches!(there, ConnectDecision::Redirect(_)));
/// ```
pub fn redirect(url: impl Into<String>) -> ConnectDecision {
    ConnectDecision::Redirect(url.into())
}

macro_rules! decision {
    ($decision:ident, $grant:ident) => {
        impl Decision for $decision {
            fn accepted() -> Self {
                Self::Accept($grant::default())
            }
        }

        impl From<$grant> for $decision {
            fn from(grant: $grant) -> Self {
                Self::Accept(grant)
            }
        }

        impl From<Rejection> for $decision {
            fn from(rejection: Rejection) -> Self {
                Self::Reject(rejection)
            }
        }

        impl From<Result<$decision, Rejection>> for $decision {
            fn from(result: Result<$decision, Rejection>) -> Self {
                result.unwrap_or_else(Self::Reject)
            }
        }

        impl From<Result<$grant, Rejection>> for $decision {
            fn from(result: Result<$grant, Rejection>) -> Self {
                match result {
                    Ok(grant) => Self::Accept(grant),
                    Err(rejection) => Self::Reject(rejection),
                }
            }
        }
    };
}

decision!(ConnectDecision, ConnectGrant);
decision!(PublishDecision, PublishGrant);
decision!(PlayDecision, PlayGrant);

impl ConnectGrant {
    /// Keeps `key` = `value` with the connection: every later hook sees it in
    /// [`crate::Client::attrs`]. A connection may have 64 of them, 16 KiB in all;
    /// with more the client is refused.
    pub fn attr(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attrs.push((key.into(), value.into()));
        self
    }

    /// Ends the connection after so long; fractions of a second count as one.
    pub fn max_duration(mut self, time: Duration) -> Self {
        self.max_seconds = Some(seconds(time));
        self
    }

    /// The size of the chunks that the client is sent, in bytes.
    pub fn chunk_size(mut self, bytes: u32) -> Self {
        self.chunk_size = Some(bytes);
        self
    }

    /// The client acknowledges what it got every so many bytes.
    pub fn window_ack(mut self, bytes: u32) -> Self {
        self.window_ack = Some(bytes);
        self
    }
}

impl PublishGrant {
    /// Publishes under another name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What happens when the name already has a publisher.
    pub fn on_duplicate(mut self, rule: DuplicateRule) -> Self {
        self.on_duplicate = rule;
        self
    }

    /// An earlier publisher of the name is closed; its players stay.
    pub fn replace(self) -> Self {
        self.on_duplicate(DuplicateRule::Replace)
    }

    /// Waits behind an earlier publisher of the name and takes over when that
    /// is lost.
    pub fn standby(self) -> Self {
        self.on_duplicate(DuplicateRule::Standby)
    }

    /// Keeps the name and its players for so long after the publisher is lost.
    pub fn hold(mut self, time: Duration) -> Self {
        self.hold_ms = Some(millis(time));
        self
    }

    /// Closes a publisher that is silent for so long.
    pub fn idle_timeout(mut self, time: Duration) -> Self {
        self.idle_timeout_ms = Some(millis(time));
        self
    }

    /// Closes a publisher that sends more than so many kilobits a second.
    pub fn max_kbps(mut self, kbps: u32) -> Self {
        self.max_kbps = Some(kbps);
        self
    }

    /// Records the stream into `path`, below the application's media folder.
    /// Not available yet: the stream is let in and not recorded, the server's log
    /// says so, and `host check` refuses a policy that grants it to everybody.
    pub fn record(mut self, container: impl Into<String>, path: impl Into<String>) -> Self {
        self.record_to = Some(Recording {
            container: container.into(),
            path: path.into(),
            split_seconds: None,
        });
        self
    }

    /// After [`PublishGrant::record`], so not available yet: a new file every so
    /// often.
    pub fn split(mut self, every: Duration) -> Self {
        if let Some(recording) = &mut self.record_to {
            recording.split_seconds = Some(seconds(every));
        }
        self
    }

    /// Pushes the stream to `url`, too.
    pub fn forward(mut self, url: impl Into<String>) -> Self {
        self.forward_to.push(url.into());
        self
    }
}

impl PlayGrant {
    /// Plays another stream.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Waits so long for a publisher.
    pub fn wait(mut self, time: Duration) -> Self {
        self.wait_ms = Some(millis(time));
        self
    }

    /// Ends the playback after so long; fractions of a second count as one.
    pub fn max_duration(mut self, time: Duration) -> Self {
        self.max_seconds = Some(seconds(time));
        self
    }

    /// Pulls the stream from `url` when it is absent.
    pub fn pull_from(mut self, url: impl Into<String>) -> Self {
        self.pull_from = Some(url.into());
        self
    }
}

macro_rules! extra {
    ($($grant:ident)*) => {
        $(impl $grant {
            /// Adds what a newer host may know; hosts ignore what they don't.
            pub fn extra(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
                self.extra.push((key.into(), value.into()));
                self
            }
        })*
    };
}

extra!(ConnectGrant PublishGrant PlayGrant);

impl ConnectRequest {
    /// The first value of a query parameter.
    pub fn param(&self, key: &str) -> Option<&str> {
        first(&self.query, key)
    }

    /// No client asks: `host check` tries the plugin.
    pub fn is_trial(&self) -> bool {
        first(&self.extra, "trial").is_some()
    }
}

impl crate::StreamInfo {
    /// What [`crate::registry`] and [`crate::control`] call it: `instance/name`, or
    /// the name alone without an instance.
    ///
    /// ```
    /// # use livehost_sdk::testing;
    /// let stream = testing::stream("room1/cam");
    /// assert_eq!((stream.instance.as_deref(), &*stream.name), (Some("room1"), "cam"));
    /// assert_eq!(stream.path(), "room1/cam");
    /// assert_eq!(testing::stream("cam").path(), "cam");
    /// ```
    pub fn path(&self) -> String {
        path(self.instance.as_deref(), &self.name)
    }
}

impl StreamRequest {
    /// What [`crate::registry`] and [`crate::control`] call the stream, unless the
    /// grant gives it another name.
    ///
    /// ```
    /// # use livehost_sdk::testing;
    /// assert_eq!(testing::request("room1/cam?key=1").path(), "room1/cam");
    /// ```
    pub fn path(&self) -> String {
        path(self.instance.as_deref(), &self.name)
    }

    /// The first value of a query parameter of the stream's name.
    pub fn param(&self, key: &str) -> Option<&str> {
        first(&self.query, key)
    }

    /// No client publishes: `host check` tries the plugin.
    pub fn is_trial(&self) -> bool {
        first(&self.extra, "trial").is_some()
    }
}

impl crate::Client {
    /// What `on_connect` kept with [`ConnectGrant::attr`].
    pub fn attr(&self, key: &str) -> Option<&str> {
        first(&self.attrs, key)
    }
}

fn first<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(k, _)| k == key)
        .map(|(_, value)| value.as_str())
}

pub(crate) fn path(instance: Option<&str>, name: &str) -> String {
    match instance {
        Some(instance) => format!("{instance}/{name}"),
        None => name.to_owned(),
    }
}

/// Rounded up.
fn seconds(time: Duration) -> u32 {
    let seconds = time
        .as_secs()
        .saturating_add(u64::from(time.subsec_nanos() > 0));
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

pub(crate) fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_build_up() {
        let grant = PublishGrant::default()
            .name("cam1-hd")
            .replace()
            .hold(Duration::from_secs(5))
            .forward("rtmp://a/b/c");
        assert_eq!(grant.name.as_deref(), Some("cam1-hd"));
        assert_eq!(grant.on_duplicate, DuplicateRule::Replace);
        assert_eq!(grant.hold_ms, Some(5000));
        assert_eq!(grant.forward_to, ["rtmp://a/b/c"]);
    }

    #[test]
    fn durations_saturate_and_round_up() {
        let grant = PublishGrant::default().hold(Duration::MAX);
        assert_eq!(grant.hold_ms, Some(u32::MAX));
        let grant = PlayGrant::default().max_duration(Duration::from_millis(1500));
        assert_eq!(grant.max_seconds, Some(2));
        let grant = ConnectGrant::default().max_duration(Duration::MAX);
        assert_eq!(grant.max_seconds, Some(u32::MAX));
    }

    #[test]
    fn results_become_decisions() {
        let no: Result<PublishGrant, _> = Err(Rejection::new("wrong key").code("X"));
        let PublishDecision::Reject(rejection) = no.into() else {
            panic!("accepted");
        };
        assert_eq!(rejection.code, "X");
    }
}
