//! Applies the application's `on_error` rule to decisions that failed.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use livehost_rtmp::auth;
use livehost_rtmp::shared_object::object::Ruling;
use livehost_telemetry::limited;
use livehost_telemetry::log::Quota;

use super::{
    CallError, Client, ConnectDecision, ConnectGrant, ConnectRequest, Event, ObjectRequest,
    Occasion, PlayDecision, PlayGrant, Policy, PolicyError, PublishDecision, PublishGrant,
    Rejection, StreamRequest,
};

/// What a client gets when the plugin is still waiting at the end of its time, by
/// question. Whatever else goes wrong, it is refused: see
/// [`PolicyError::may_be_allowed`].
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
    /// Lines about questions to which the plugin had no answer that could be
    /// used. A quota of its own: neither strangers nor another application's
    /// plugin must hide that this one fails.
    failures: Arc<Quota>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("on_error", &self.on_error)
            .finish_non_exhaustive()
    }
}

impl Gate {
    /// Wraps the `policy` of the application `app`; failed decisions become what
    /// `on_error` says.
    pub fn new(app: &str, policy: Arc<dyn Policy>, on_error: impl Into<OnError>) -> Self {
        let about = format!("decisions of the application {app:?} that failed");
        Self {
            policy,
            on_error: Arc::new(ArcSwap::from_pointee(on_error.into())),
            failures: Arc::new(Quota::new(about)),
        }
    }

    /// Whether one more line may be written about an answer that can't be used.
    pub fn admits_failure(&self) -> bool {
        self.failures.admits_and_reports()
    }

    /// Says at the end of the process what is not said yet.
    pub fn say_failures(&self) {
        self.failures.say();
    }

    /// What failed decisions become from now on.
    pub fn set_on_error(&self, on_error: OnError) {
        self.on_error.store(Arc::new(on_error));
    }

    /// Asks `on-authenticate`: which challenge comes before `on-connect`.
    ///
    /// # Errors
    /// What the client is told when the plugin can't say, unless `on_error`
    /// lets it go on to `on-connect`.
    pub async fn authenticate(
        &self,
        request: &ConnectRequest,
    ) -> Result<Option<auth::Method>, Rejection> {
        let answer = self.policy.on_authenticate(request).await;
        self.settle(
            answer.map(Ok),
            request.instance.as_deref(),
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
        self.settle(
            answer.map(Ok),
            request.instance.as_deref(),
            || Fallback::Reject,
            || Err(could_not_decide()),
            Err,
        )
    }

    /// Asks `on-connect`.
    pub async fn connect(&self, request: ConnectRequest) -> ConnectDecision {
        let instance = request.instance.clone();
        let answer = self.policy.on_connect(request).await;
        self.settle(
            answer,
            instance.as_deref(),
            || self.on_error.load().connect,
            || ConnectDecision::Accept(ConnectGrant::default()),
            ConnectDecision::Reject,
        )
    }

    /// Asks `on-publish`.
    pub async fn publish(&self, request: StreamRequest) -> PublishDecision {
        let instance = request.instance.clone();
        let answer = self.policy.on_publish(request).await;
        self.settle(
            answer,
            instance.as_deref(),
            || self.on_error.load().publish,
            || PublishDecision::Accept(PublishGrant::default()),
            PublishDecision::Reject,
        )
    }

    /// Asks `on-play`.
    pub async fn play(&self, request: StreamRequest) -> PlayDecision {
        let instance = request.instance.clone();
        let answer = self.policy.on_play(request).await;
        self.settle(
            answer,
            instance.as_deref(),
            || self.on_error.load().play,
            || PlayDecision::Accept(PlayGrant::default()),
            PlayDecision::Reject,
        )
    }

    /// Whether [`Gate::shared_object`] asks anybody.
    pub fn decides_shared_objects(&self) -> bool {
        self.policy.decides_shared_objects()
    }

    /// Asks `on-shared-object` about each event of a message, in order; none
    /// stands for one that needs no decision. When there is no decision on one,
    /// those behind it are not asked about: a plugin that fails costs a client
    /// one deadline and the log one line, however long its message is.
    pub async fn shared_object(
        &self,
        requests: impl Iterator<Item = Option<ObjectRequest>>,
    ) -> Vec<Ruling> {
        let mut failed = None;
        let mut rulings = Vec::new();
        for request in requests {
            let ruling = match (request, &failed) {
                (None, _) => Ruling::Allow,
                (Some(_), Some(fallback)) => Ruling::clone(fallback),
                (Some(request), None) => {
                    let instance = request.instance.clone();
                    let answer = self.policy.on_shared_object(request).await;
                    let has_failed = answer.is_err();
                    let ruling = self.settle(
                        answer,
                        instance.as_deref(),
                        || self.on_error.load().shared_object,
                        || Ruling::Allow,
                        |_| Ruling::Deny,
                    );
                    failed = has_failed.then(|| ruling.clone());
                    ruling
                }
            };
            rulings.push(ruling);
        }
        rulings
    }

    /// Asks `on-call`; failures stay errors, whatever `on_error` says.
    pub async fn call(&self, who: Client, method: String, amf0: Bytes) -> Result<Bytes, CallError> {
        self.policy.on_call(who, method, amf0).await
    }

    /// The event of `occasion`, to be told with [`Gate::notify`]; none when
    /// nobody would hear of it.
    pub fn event(&self, occasion: Occasion, make: impl FnOnce() -> Event) -> Option<Event> {
        self.policy.note(occasion).then(make)
    }

    /// Tells the plugin of `occasion`, unless it would not hear of it.
    pub fn tell(&self, occasion: Occasion, make: impl FnOnce() -> Event) {
        self.notify(self.event(occasion, make));
    }

    /// Queues an event.
    pub fn notify(&self, event: impl Into<Option<Event>>) {
        if let Some(event) = event.into() {
            self.policy.notify(event);
        }
    }

    /// The decision on a client of `instance`, or the one that stands in for it.
    fn settle<D>(
        &self,
        answer: Result<D, PolicyError>,
        instance: Option<&str>,
        fallback: impl FnOnce() -> Fallback,
        allow: impl FnOnce() -> D,
        reject: impl FnOnce(Rejection) -> D,
    ) -> D {
        let error = match answer {
            Ok(decision) => return decision,
            Err(error) => error,
        };
        let on_error = match error.may_be_allowed() {
            true => fallback(),
            false => Fallback::Reject,
        };
        limited!(WARN, self.admits_failure(), %error, ?on_error, instance,
            "no decision from the plugin");
        match on_error {
            Fallback::Allow => allow(),
            Fallback::Reject => reject(could_not_decide()),
        }
    }
}

fn could_not_decide() -> Rejection {
    Rejection::undecided("the server could not decide; try again")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::ObjectOperation;

    /// Answers about shared objects so often, then fails.
    struct Failing {
        answers: usize,
        asked: AtomicUsize,
        error: PolicyError,
    }

    impl Failing {
        fn after(answers: usize, error: PolicyError) -> Arc<Self> {
            Arc::new(Self {
                answers,
                asked: AtomicUsize::new(0),
                error,
            })
        }
    }

    fn clear() -> ObjectRequest {
        ObjectRequest {
            client: Client::default(),
            app: "live".into(),
            instance: None,
            name: "so".into(),
            persistent: false,
            operation: ObjectOperation::Clear,
        }
    }

    fn timed_out(waiting: bool) -> PolicyError {
        PolicyError::TimedOut {
            hook: "on-shared-object",
            budget: "wall deadline",
            limit_ms: 3000,
            waiting,
        }
    }

    #[async_trait]
    impl Policy for Failing {
        async fn on_shared_object(&self, _: ObjectRequest) -> Result<Ruling, PolicyError> {
            if self.asked.fetch_add(1, Ordering::Relaxed) < self.answers {
                Ok(Ruling::Deny)
            } else {
                Err(self.error.clone())
            }
        }
        async fn on_connect(&self, _: ConnectRequest) -> Result<ConnectDecision, PolicyError> {
            unreachable!()
        }
        async fn on_publish(&self, _: StreamRequest) -> Result<PublishDecision, PolicyError> {
            Err(self.error.clone())
        }
        async fn on_play(&self, _: StreamRequest) -> Result<PlayDecision, PolicyError> {
            unreachable!()
        }
        async fn on_call(&self, _: Client, _: String, _: Bytes) -> Result<Bytes, CallError> {
            unreachable!()
        }
        fn notify(&self, _: Event) {}
    }

    #[tokio::test]
    async fn a_plugin_that_fails_is_asked_once_for_a_message() {
        let policy = Failing::after(2, timed_out(true));
        let gate = Gate::new("live", policy.clone(), Fallback::Allow);
        let mut events = vec![Some(clear()); 6];
        if let Some(event) = events.last_mut() {
            *event = None;
        }
        let rulings = gate.shared_object(events.into_iter()).await;
        use Ruling::{Allow, Deny};
        assert_eq!(rulings, [Deny, Deny, Allow, Allow, Allow, Allow]);
        assert_eq!(policy.asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn the_failures_of_one_application_do_not_hide_those_of_another() {
        let lost = || Failing::after(0, PolicyError::Unavailable("it is gone".into()));
        let [a, b] = ["a", "b"].map(|app| Gate::new(app, lost(), Fallback::Reject));
        for _ in 0..1000 {
            a.shared_object(std::iter::once(Some(clear()))).await;
        }
        // Without a subscriber no line takes anything of the quota.
        while a.admits_failure() {}
        assert!(!a.clone().admits_failure());
        assert!(b.admits_failure());
    }

    #[tokio::test]
    async fn a_refusal_without_a_decision_says_so() {
        let request = StreamRequest {
            client: Client::default(),
            app: "live".into(),
            instance: None,
            name: "cam".into(),
            raw_name: "cam".into(),
            query: Vec::new(),
            mode: "live".into(),
            start_seconds: None,
            extra: Vec::new(),
        };
        let lost = Failing::after(0, PolicyError::Unavailable("it is gone".into()));
        let gate = Gate::new("live", lost, Fallback::Reject);
        match gate.publish(request).await {
            PublishDecision::Reject(rejection) => {
                assert!(!rejection.is_verdict && rejection.code.is_empty());
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn only_a_plugin_that_waits_in_vain_lets_anybody_in() {
        let hook = "on-shared-object";
        let left_alone = |waiting| PolicyError::LeftAlone {
            hook,
            left_ms: 1000,
            waiting,
            alone: false,
        };
        let trapped = PolicyError::Trapped {
            hook,
            reason: "unreachable".into(),
        };
        let busy = PolicyError::Busy {
            hook,
            waited_ms: 3000,
            limit: 16,
        };
        let unusable = PolicyError::Unusable {
            hook,
            reason: "too long".into(),
        };
        for (error, covered) in [
            (timed_out(true), true),
            (left_alone(true), true),
            (timed_out(false), false),
            (left_alone(false), false),
            (trapped, false),
            (busy, false),
            (unusable, false),
            (PolicyError::Unavailable("it is gone".into()), false),
        ] {
            for rule in [Fallback::Allow, Fallback::Reject] {
                let gate = Gate::new("live", Failing::after(0, error.clone()), rule);
                let ruling = gate.shared_object(std::iter::once(Some(clear()))).await;
                let allowed = covered && rule == Fallback::Allow;
                let expected = if allowed { Ruling::Allow } else { Ruling::Deny };
                assert_eq!(ruling, [expected], "{error}, {rule:?}");
            }
        }
    }
}
