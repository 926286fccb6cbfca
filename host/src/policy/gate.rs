//! Applies the application's `on_error` rule to decisions that failed.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use livehost_rtmp::auth;
use livehost_rtmp::shared_object::object::Ruling;
use tracing::warn;

use super::{
    CallError, Client, ConnectDecision, ConnectGrant, ConnectRequest, Event, ObjectRequest,
    PlayDecision, PlayGrant, Policy, PolicyError, PublishDecision, PublishGrant, Rejection,
    StreamRequest,
};

/// What a client gets when the plugin traps, times out or is unavailable, by
/// question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OnError {
    /// Instead of `on-connect`.
    pub connect: Fallback,
    /// Instead of `on-publish`.
    pub publish: Fallback,
    /// Instead of `on-play`.
    pub play: Fallback,
    /// Instead of `on-shared-object`.
    pub shared_object: Fallback,
}

/// A decision that needs no plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fallback {
    /// Refuse: nobody enters undecided.
    #[default]
    Reject,
    /// Accept with the defaults of every grant.
    Allow,
}

impl From<Fallback> for OnError {
    /// The same for every question.
    fn from(fallback: Fallback) -> Self {
        Self {
            connect: fallback,
            publish: fallback,
            play: fallback,
            shared_object: fallback,
        }
    }
}

/// An application's policy with its failure rule: every question gets a
/// decision. Clones share the rule.
#[derive(Clone)]
pub struct Gate {
    policy: Arc<dyn Policy>,
    on_error: Arc<ArcSwap<OnError>>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("on_error", &self.on_error)
            .finish_non_exhaustive()
    }
}

impl Gate {
    /// Wraps `policy`; failed decisions become what `on_error` says.
    pub fn new(policy: Arc<dyn Policy>, on_error: impl Into<OnError>) -> Self {
        Self {
            policy,
            on_error: Arc::new(ArcSwap::from_pointee(on_error.into())),
        }
    }

    /// What failed decisions become from now on.
    pub fn set_on_error(&self, on_error: OnError) {
        self.on_error.store(Arc::new(on_error));
    }

    /// Asks `on-authenticate`: which challenge comes before `on-connect`.
    ///
    /// # Errors
    /// What the client is told when the plugin can't say, unless `on_error`
    /// lets it in.
    pub async fn authenticate(
        &self,
        request: &ConnectRequest,
    ) -> Result<Option<auth::Method>, Rejection> {
        let answer = self.policy.on_authenticate(request).await;
        settle(
            answer.map(Ok),
            || self.on_error.load().connect,
            || Ok(None),
            Err,
        )
    }

    /// Asks `on-credential`. Without an answer nobody passes, whatever
    /// `on_error` says.
    ///
    /// # Errors
    /// What the client is told when the plugin can't say.
    pub async fn credential(
        &self,
        request: &ConnectRequest,
        user: &str,
    ) -> Result<Option<super::Credential>, Rejection> {
        let answer = self.policy.on_credential(request, user).await;
        settle(
            answer.map(Ok),
            || Fallback::Reject,
            || Err(could_not_decide()),
            Err,
        )
    }

    /// Asks `on-connect`.
    pub async fn connect(&self, request: ConnectRequest) -> ConnectDecision {
        let answer = self.policy.on_connect(request).await;
        settle(
            answer,
            || self.on_error.load().connect,
            || ConnectDecision::Accept(ConnectGrant::default()),
            ConnectDecision::Reject,
        )
    }

    /// Asks `on-publish`.
    pub async fn publish(&self, request: StreamRequest) -> PublishDecision {
        let answer = self.policy.on_publish(request).await;
        settle(
            answer,
            || self.on_error.load().publish,
            || PublishDecision::Accept(PublishGrant::default()),
            PublishDecision::Reject,
        )
    }

    /// Asks `on-play`.
    pub async fn play(&self, request: StreamRequest) -> PlayDecision {
        let answer = self.policy.on_play(request).await;
        settle(
            answer,
            || self.on_error.load().play,
            || PlayDecision::Accept(PlayGrant::default()),
            PlayDecision::Reject,
        )
    }

    /// Whether [`Gate::shared_object`] asks anybody.
    pub fn decides_shared_objects(&self) -> bool {
        self.policy.decides_shared_objects()
    }

    /// Asks `on-shared-object`.
    pub async fn shared_object(&self, request: ObjectRequest) -> Ruling {
        let answer = self.policy.on_shared_object(request).await;
        settle(
            answer,
            || self.on_error.load().shared_object,
            || Ruling::Allow,
            |_| Ruling::Deny,
        )
    }

    /// Asks `on-call`; failures stay errors, whatever `on_error` says.
    pub async fn call(&self, who: Client, method: String, amf0: Bytes) -> Result<Bytes, CallError> {
        self.policy.on_call(who, method, amf0).await
    }

    /// Queues an event.
    pub fn notify(&self, event: Event) {
        self.policy.notify(event);
    }
}

/// The decision, or the one that stands in for it.
fn settle<D>(
    answer: Result<D, PolicyError>,
    fallback: impl FnOnce() -> Fallback,
    allow: impl FnOnce() -> D,
    reject: impl FnOnce(Rejection) -> D,
) -> D {
    let error = match answer {
        Ok(decision) => return decision,
        Err(error) => error,
    };
    let on_error = fallback();
    warn!(%error, ?on_error, "no decision from the plugin");
    match on_error {
        Fallback::Allow => allow(),
        Fallback::Reject => reject(could_not_decide()),
    }
}

fn could_not_decide() -> Rejection {
    Rejection::new("the server could not decide; try again")
}
