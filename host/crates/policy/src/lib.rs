//! Decisions: what a session asks, and what it may be granted.
//!
//! Flows in: plain requests from a session. Flows out: decisions, after the
//! application's `on_error` rule has replaced those that could not be made.
//! Nothing here knows WASM or a protocol: the plugin runtime implements
//! [`Policy`], the supervisor connects the two.

mod error;
mod gate;
pub mod names;
mod properties;
mod questions;
mod services;
mod types;

pub use error::PolicyError;
pub use gate::{Fallback, Gate, OnError};
pub use names::Ambiguous;
pub use properties::PropertyStore;
pub use questions::{
    Answer, Asks, Decides, OnAuthenticate, OnCall, OnConnect, OnCredential, OnPlay, OnPublish,
    OnSharedObject, Question,
};
pub use services::{
    ControlError, MediaControl, Order, StreamRef, StreamRegistry, check_amf0, first,
};
pub use types::*;

use async_trait::async_trait;

/// One application's decisions: the border to whoever makes them.
///
/// All that a session wants to know goes through [`Policy::ask`], and all that
/// happens through [`Policy::notify`], so a policy can be wrapped in another that
/// logs, times or compares. No method has a default, which a wrapper could forget
/// to pass on.
#[async_trait]
pub trait Policy: Send + Sync + 'static {
    /// Answers `question` with the [`Answer`] of the same name. An implementation
    /// bounds its own time and answers [`PolicyError`] rather than hang. Dropping
    /// the returned future abandons the decision (its client has left).
    async fn ask(&self, question: Question) -> Reply;
    /// Whether [`Question::SharedObject`] is decided here; otherwise it is a
    /// setting, and nobody asks.
    fn decides_shared_objects(&self) -> bool;
    /// Queues an event, in order, without waiting. A full queue drops the
    /// event and logs it: media never waits for a plugin.
    fn notify(&self, event: Event);
}

/// What comes back for a [`Question`].
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The decision, or why there is none.
    pub answer: Result<Answer, PolicyError>,
    /// The number of the plugin's generation that was asked, counted from 1. None
    /// when none was: it is left alone, it is gone, there is no plugin.
    pub generation: Option<u64>,
}

impl From<Result<Answer, PolicyError>> for Reply {
    /// Of no generation.
    fn from(answer: Result<Answer, PolicyError>) -> Self {
        Self {
            answer,
            generation: None,
        }
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Ok(answer).into()
    }
}

impl From<PolicyError> for Reply {
    fn from(error: PolicyError) -> Self {
        Err(error).into()
    }
}

/// Asks `policy`, and takes the answer to this question only.
///
/// # Errors
/// What the policy says; [`PolicyError::Unusable`] when it answered another.
pub async fn ask<Q: Asks>(policy: &dyn Policy, question: Q) -> Result<Q::Answer, PolicyError> {
    let reply = policy.ask(question.into()).await;
    reply.answer.and_then(Q::read)
}
