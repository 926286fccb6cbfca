//! What applications ask of relays, which another crate implements.
//!
//! Flows in: streams that begin, players that wait, a plugin's orders. Flows out:
//! whether there is a relay, and, to a player that waits for one, that it failed.

use std::fmt;
use std::sync::Arc;

use livehost_hub::{StreamKey, Wake};
use livehost_policy::{ConnId, ControlError, StreamId, StreamRef};
use parking_lot::Mutex;

use crate::lineage::{Lineage, Loop};

/// Streams that go to other servers, and streams that come from them. An
/// application that was removed has none. What is not implemented relays nothing.
pub trait RelayService: fmt::Debug + Send + Sync + 'static {
    /// A stream begins with the publication `id`, having come through `lineage`: it
    /// is pushed to where the configuration says, and to `forward_to`, which the
    /// policy granted. What is wrong with one of them is logged, and the stream goes
    /// on. Nothing comes of a publication that is not the stream's any more.
    ///
    /// # Errors
    /// [`Removed`], when nothing of the application is relayed.
    fn published(
        &self,
        key: &StreamKey,
        id: StreamId,
        forward_to: &[String],
        lineage: &Lineage,
    ) -> Result<(), Removed> {
        let _ = (key, id, forward_to, lineage);
        Err(Removed)
    }

    /// Somebody who is woken by `wake` plays `key`: it is pulled if it is absent,
    /// from `pull_from`, which the policy granted, or as the configuration says.
    /// The player is subscribed already: a pull goes on while it is.
    ///
    /// # Errors
    /// [`NoPull`] when it should be pulled and can't be.
    fn demand(
        &self,
        key: &StreamKey,
        pull_from: Option<&str>,
        lineage: &Lineage,
        wake: &Wake,
    ) -> Result<Option<Arc<PendingPull>>, NoPull> {
        let _ = (key, pull_from, lineage, wake);
        Ok(None)
    }

    /// Whether a plugin may push to `url`.
    fn may_forward(&self, app: &str, url: &str) -> bool {
        let _ = (app, url);
        false
    }

    /// Whether [`RelayService::start_forward`] would start a push, as things are now.
    ///
    /// # Errors
    /// Those of it.
    fn may_start_forward(
        &self,
        app: &str,
        stream: &StreamRef,
        url: &str,
    ) -> Result<(), ControlError> {
        let _ = (app, stream, url);
        Err(ControlError::NotFound)
    }

    /// Pushes a live stream of the application to `url`.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] when nobody publishes it, `Denied` for a URL
    /// that the configuration doesn't allow, `Busy` with too many relays.
    fn start_forward(&self, app: &str, stream: &StreamRef, url: &str) -> Result<(), ControlError> {
        let _ = (app, stream, url);
        Err(ControlError::NotFound)
    }

    /// Whether a push of the stream to `url` is there.
    fn forwards(&self, app: &str, stream: &StreamRef, url: &str) -> bool {
        let _ = (app, stream, url);
        false
    }

    /// Ends the push of a stream to `url`.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] when there is none.
    fn stop_forward(&self, app: &str, stream: &StreamRef, url: &str) -> Result<(), ControlError> {
        let _ = (app, stream, url);
        Err(ControlError::NotFound)
    }

    /// Whether the application has a relay of this number.
    fn has(&self, app: &str, conn: ConnId) -> bool {
        let _ = (app, conn);
        false
    }

    /// Ends the connection of a relay, which makes another one as after any
    /// loss. False when there is none.
    fn disconnect(&self, app: &str, conn: ConnId, reason: &str) -> bool {
        let _ = (app, conn, reason);
        false
    }

    /// The relays that there are now, of all applications.
    fn list(&self) -> Vec<RelayInfo> {
        Vec::new()
    }
}

/// A relay, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayInfo {
    /// Its number, also that of its connections.
    pub conn: ConnId,
    /// The stream here.
    pub stream: StreamKey,
    /// Which way it goes.
    pub direction: Direction,
    /// The other server and its application, without whatever may be a key.
    pub server: String,
    /// It tries or has a connection; otherwise it waits for the next attempt, or for
    /// somebody who plays.
    pub is_attempting: bool,
}

/// Which way a relay goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the other server.
    Push,
    /// From the other server.
    Pull,
}

/// Nothing is relayed.
#[derive(Debug)]
pub struct NoRelays;

impl RelayService for NoRelays {}

/// The application is removed: nothing of it is relayed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the application is removed")]
pub struct Removed;

/// Why a player's stream is not pulled, as the player is told. The log has
/// more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPull {
    /// The plugin's URL can't be used.
    #[error("the stream can't be pulled: its origin is no URL that the server may use")]
    Url,
    /// It comes from here.
    #[error("the stream can't be pulled: {0}")]
    Loop(#[from] Loop),
    /// There are too many relays.
    #[error("the stream can't be pulled: too many streams are relayed")]
    Room,
}

/// The pull that a player waits for.
#[derive(Debug)]
pub struct PendingPull {
    wake: Wake,
    failure: Mutex<Option<PullFailure>>,
}

/// Why a pull could not begin, as those who wait for it are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullFailure {
    /// Its server has no such stream.
    pub is_not_found: bool,
    /// For people.
    pub text: String,
}

impl PendingPull {
    /// For the player whose session is woken by `wake`.
    pub fn new(wake: Wake) -> Arc<Self> {
        Arc::new(Self {
            wake,
            failure: Mutex::default(),
        })
    }

    /// The pull has failed: the player need not wait longer.
    pub fn fail(&self, failure: PullFailure) {
        *self.failure.lock() = Some(failure);
        self.wake.notify_one();
    }

    pub(crate) fn failure(&self) -> Option<PullFailure> {
        self.failure.lock().clone()
    }
}
