//! Applies the application's `on_error` rule to decisions that failed.

use std::sync::Arc;

use arc_swap::ArcSwap;
use livehost_telemetry::limited;
use livehost_telemetry::log::{CLIENT_LINES, PUBLISHER_LINES, Quota};

use super::{
    Asks, Decides, Event, ObjectDecision, ObjectRequest, OnSharedObject, Policy, PolicyError,
    Question, Rejection,
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
    lines: Arc<GateLines>,
}

/// How many lines the log has about the application. Quotas of its own: neither
/// strangers nor another application must hide what happens here.
struct GateLines {
    /// Questions to which the plugin had no answer that could be used.
    failures: Arc<Quota>,
    clients: Arc<Quota>,
    /// Players must not hide them.
    publishers: Arc<Quota>,
    relays: Arc<Quota>,
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
        Self {
            policy,
            on_error: Arc::new(ArcSwap::from_pointee(on_error.into())),
            lines: Arc::new(GateLines::new(app)),
        }
    }

    /// Whether one more line may be written about an answer that can't be used.
    pub fn admits_failure(&self) -> bool {
        self.lines.failures.admits_and_reports()
    }

    /// The same about a connection or a player that was let in.
    pub fn admits_client(&self) -> bool {
        self.lines.clients.admits_and_reports()
    }

    /// The same about a publisher that was let in.
    pub fn admits_publisher(&self) -> bool {
        self.lines.publishers.admits_and_reports()
    }

    /// The same about a relay: a client's publish or play may be why there is one.
    pub fn admits_relay(&self) -> bool {
        self.lines.relays.admits_and_reports()
    }

    /// Says at the end of the process how many lines were left out, as far as it is
    /// not said yet.
    pub fn say_left_out(&self) {
        let lines = &self.lines;
        for quota in [
            &lines.failures,
            &lines.clients,
            &lines.publishers,
            &lines.relays,
        ] {
            quota.say();
        }
    }

    /// What failed decisions become from now on.
    pub fn set_on_error(&self, on_error: OnError) {
        self.on_error.store(Arc::new(on_error));
    }

    /// Asks for a decision. When there is none, the client is refused, or let in
    /// if `on_error` says so: the log has it.
    pub async fn ask<Q: Decides>(&self, question: Q) -> Q::Answer {
        match self.ask_or_stand_in(question).await {
            Ok(decision) | Err(decision) => decision,
        }
    }

    /// Asks; a failure stays one, whatever `on_error` says.
    ///
    /// # Errors
    /// When the plugin gives no answer. It is for the log alone, and not there yet.
    pub async fn try_ask<Q: Asks>(&self, question: Q) -> Result<Q::Answer, PolicyError> {
        super::ask(&*self.policy, question).await
    }

    /// The decision, or as an error what stands in for it.
    async fn ask_or_stand_in<Q: Decides>(&self, question: Q) -> Result<Q::Answer, Q::Answer> {
        let question: Question = question.into();
        let instance = question.instance().map(str::to_owned);
        let reply = self.policy.ask(question).await;
        let answer = reply.answer.and_then(Q::read);
        answer.map_err(|error| self.stand_in::<Q>(&error, instance.as_deref()))
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
    ) -> Vec<ObjectDecision> {
        let mut stands_in = None;
        let mut decisions = Vec::new();
        for request in requests {
            decisions.push(match (request, &stands_in) {
                (None, _) => ObjectDecision::Allow,
                (Some(_), Some(decision)) => ObjectDecision::clone(decision),
                (Some(request), None) => {
                    let asked = self.ask_or_stand_in(OnSharedObject::new(request)).await;
                    asked.unwrap_or_else(|decision| stands_in.insert(decision).clone())
                }
            });
        }
        decisions
    }

    /// Queues an event.
    pub fn notify(&self, event: Event) {
        self.policy.notify(event);
    }

    /// What stands in for the decision on a client of `instance`.
    fn stand_in<Q: Decides>(&self, error: &PolicyError, instance: Option<&str>) -> Q::Answer {
        let allowed = error
            .may_be_allowed()
            .then(|| Q::allowed(&self.on_error.load()))
            .flatten();
        let on_error = match allowed {
            Some(_) => Fallback::Allow,
            None => Fallback::Reject,
        };
        limited!(WARN, self.admits_failure(), %error, ?on_error, instance,
            "no decision from the plugin");
        allowed.unwrap_or_else(|| {
            Q::refused(Rejection::undecided(
                "the server could not decide; try again",
            ))
        })
    }
}

impl GateLines {
    fn new(app: &str) -> Self {
        let quota = |about: &str, lines| Arc::new(Quota::of(format!("{about} {app:?}"), lines));
        let failures = format!("decisions of the application {app:?} that failed");
        Self {
            failures: Arc::new(Quota::new(failures)),
            clients: quota("clients of the application", CLIENT_LINES),
            publishers: quota("publishers of the application", PUBLISHER_LINES),
            relays: quota("relays of the application", PUBLISHER_LINES),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::{
        Answer, Client, ObjectOperation, OnPublish, PublishDecision, Reply, StreamRequest,
    };

    /// Answers about shared objects so often, then fails.
    struct FailingPolicy {
        answers: usize,
        asked: AtomicUsize,
        error: PolicyError,
    }

    impl FailingPolicy {
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
    impl Policy for FailingPolicy {
        async fn ask(&self, _: Question) -> Reply {
            if self.asked.fetch_add(1, Ordering::Relaxed) < self.answers {
                Answer::SharedObject(ObjectDecision::Deny).into()
            } else {
                self.error.clone().into()
            }
        }
        fn decides_shared_objects(&self) -> bool {
            true
        }
        fn notify(&self, _: Event) {}
    }

    #[tokio::test]
    async fn a_plugin_that_fails_is_asked_once_for_a_message() {
        let policy = FailingPolicy::after(2, timed_out(true));
        let gate = Gate::new("live", policy.clone(), Fallback::Allow);
        let mut events = vec![Some(clear()); 6];
        if let Some(event) = events.last_mut() {
            *event = None;
        }
        let rulings = gate.shared_object(events.into_iter()).await;
        use ObjectDecision::{Allow, Deny};
        assert_eq!(rulings, [Deny, Deny, Allow, Allow, Allow, Allow]);
        assert_eq!(policy.asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn the_failures_of_one_application_do_not_hide_those_of_another() {
        let lost = || FailingPolicy::after(0, PolicyError::Unavailable("it is gone".into()));
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
    async fn lines_about_players_hide_no_others() {
        let policy = FailingPolicy::after(0, PolicyError::Unavailable("it is gone".into()));
        let gate = Gate::new("live", policy, Fallback::Reject);
        let count = |admits: &dyn Fn() -> bool| (0..10_000).take_while(|_| admits()).count();
        assert_eq!(count(&|| gate.admits_client()), 6000);
        assert_eq!(count(&|| gate.admits_publisher()), 600);
        assert_eq!(count(&|| gate.admits_relay()), 600);
        assert_eq!(count(&|| gate.admits_failure()), 60);
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
        let lost = FailingPolicy::after(0, PolicyError::Unavailable("it is gone".into()));
        let gate = Gate::new("live", lost, Fallback::Reject);
        match gate.ask(OnPublish::new(request)).await {
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
                let gate = Gate::new("live", FailingPolicy::after(0, error.clone()), rule);
                let ruling = gate.shared_object(std::iter::once(Some(clear()))).await;
                let allowed = covered && rule == Fallback::Allow;
                let expected = match allowed {
                    true => ObjectDecision::Allow,
                    false => ObjectDecision::Deny,
                };
                assert_eq!(ruling, [expected], "{error}, {rule:?}");
            }
        }
    }
}
