//! Decisions: what a session asks, and what it may be granted.
//!
//! Flows in: plain requests from a session. Flows out: decisions, after the
//! application's `on_error` rule has replaced those that could not be made.
//! Nothing here knows WASM: the plugin runtime implements [`Policy`], the
//! supervisor connects the two.

mod gate;
pub mod names;
mod properties;
mod services;
mod types;

pub use gate::{Fallback, Gate, OnError};
pub use names::Ambiguous;
pub use properties::PropertyStore;
pub use services::{ControlError, MediaControl, Order, StreamRegistry, Target, check_amf0, first};
pub use types::*;

use async_trait::async_trait;
use bytes::Bytes;
use livehost_rtmp::auth;
use livehost_rtmp::shared_object::object::Ruling;

/// One application's decisions.
///
/// The host waits for every method but [`Policy::notify`]; an implementation
/// bounds its own time and answers [`PolicyError`] rather than hang. Dropping
/// a returned future abandons the decision (its client has left).
#[async_trait]
pub trait Policy: Send + Sync + 'static {
    /// Which challenge must this client pass before [`Policy::on_connect`]?
    async fn on_authenticate(
        &self,
        request: &ConnectRequest,
    ) -> Result<Option<auth::Method>, PolicyError> {
        let _ = request;
        Ok(None)
    }
    /// What is known of a user; none if there is no such user.
    async fn on_credential(
        &self,
        request: &ConnectRequest,
        user: &str,
    ) -> Result<Option<Credential>, PolicyError> {
        let _ = (request, user);
        Ok(None)
    }
    /// Whether [`Policy::on_shared_object`] decides; otherwise it is a setting.
    fn decides_shared_objects(&self) -> bool {
        false
    }
    /// May this client do so with a shared object?
    async fn on_shared_object(&self, request: ObjectRequest) -> Result<Ruling, PolicyError> {
        let _ = request;
        Ok(Ruling::Deny)
    }
    /// May this client use the application?
    async fn on_connect(&self, request: ConnectRequest) -> Result<ConnectDecision, PolicyError>;
    /// May this client publish, under what name, and by which rules?
    async fn on_publish(&self, request: StreamRequest) -> Result<PublishDecision, PolicyError>;
    /// May this client play, and what?
    async fn on_play(&self, request: StreamRequest) -> Result<PlayDecision, PolicyError>;
    /// A remote procedure call of a client; AMF0 values in and out.
    async fn on_call(&self, who: Client, method: String, amf0: Bytes) -> Result<Bytes, CallError>;
    /// Notes that something happens. True: somebody may hear of it, so the
    /// event is to follow. False: nobody does, and nothing else need be said.
    fn note(&self, occasion: Occasion) -> bool {
        let _ = occasion;
        true
    }
    /// Queues an event, in order, without waiting. A full queue drops the
    /// event and logs it: media never waits for a plugin.
    fn notify(&self, event: Event);
}

/// Why a decision could not be made. The gate turns it into the application's
/// `on_error` answer, as far as that covers it; the text goes to the log, never
/// to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The guest trapped: a panic, an out-of-bounds access, exhausted memory.
    #[error("the plugin trapped in {hook}: {reason}")]
    Trapped {
        /// The function of the interface that was running.
        hook: &'static str,
        /// First line of the trap.
        reason: String,
    },
    /// The guest used more time than its CPU or wall budget.
    #[error("the plugin exceeded its {budget} of {limit_ms} ms in {hook}")]
    TimedOut {
        /// The function of the interface that was running.
        hook: &'static str,
        /// "CPU budget" or "wall deadline".
        budget: &'static str,
        /// The budget, in milliseconds.
        limit_ms: u64,
        /// It was waiting for something outside, not computing.
        waiting: bool,
    },
    /// No instance became free inside the deadline, or one so late that the
    /// call met its deadline all the same.
    #[error(
        "no plugin instance was free for {hook} early enough in its {waited_ms} ms \
         (limit: {limit} instances)"
    )]
    Busy {
        /// The function of the interface that was wanted.
        hook: &'static str,
        /// How long the call waited in all, in milliseconds.
        waited_ms: u64,
        /// The pool's size.
        limit: usize,
    },
    /// The function kept failing, for everybody or for this client's address,
    /// and is not called for a while.
    #[error(
        "the plugin kept failing in {hook}, which is not called{} for another {left_ms} ms",
        if *alone { " for this address" } else { "" }
    )]
    LeftAlone {
        /// The function of the interface that was wanted.
        hook: &'static str,
        /// For so much longer, in milliseconds.
        left_ms: u64,
        /// Each of its failures was that it waited for too long.
        waiting: bool,
        /// Only this client's address has to wait.
        alone: bool,
    },
    /// It answered, but not with what can be done.
    #[error("the plugin's answer to {hook} can't be used: {reason}")]
    Unusable {
        /// The function of the interface that answered.
        hook: &'static str,
        /// What was expected, and what came.
        reason: String,
    },
    /// There is no serving generation.
    #[error("the plugin is not available: {0}")]
    Unavailable(String),
}

impl PolicyError {
    /// Whether [`Fallback::Allow`] may stand in for the decision: the plugin
    /// waited for longer than it may, so what it waits for is out of reach.
    ///
    /// Everything else is something that a stranger can bring about by what he
    /// sends, or by how often: a trap, endless computing, an answer beyond its
    /// bounds, more questions at once than there are instances. None of it may
    /// let him in.
    pub fn may_be_allowed(&self) -> bool {
        match self {
            Self::TimedOut { waiting, .. } | Self::LeftAlone { waiting, .. } => *waiting,
            Self::Trapped { .. }
            | Self::Busy { .. }
            | Self::Unusable { .. }
            | Self::Unavailable(_) => false,
        }
    }
}

/// Why a remote procedure call has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The plugin does not export `calls`, or does not know the method.
    #[error("the application has no method {0:?}")]
    Unknown(String),
    /// The plugin answered with an error for the client.
    #[error("{0}")]
    Refused(String),
    /// The plugin could not answer.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}
