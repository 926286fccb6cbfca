//! One application's plugin at work: every question goes to the generation
//! that serves at that moment.
//!
//! Flows in: a session's questions, queued events, due timers. Flows out:
//! answers, each by exactly one generation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use livehost_policy::{PolicyError, Question, Reply};
use livehost_telemetry::counters::Counts;
use livehost_telemetry::limited;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{error, info};

use super::PluginSpec;
use super::application::AppContext;
use super::breaker::{Caller, FailureKind, NotAdmitted, Ticket};
use super::engine::Runtime;
use super::events::{self, Due, EventQueue};
use super::function::{Breakers, Function};
use super::generation::{Generation, NoLease, run};
use super::hooks;
use super::instance::{Call, CallBudget, Instance, millis};
use super::pool::InstanceLease;
use super::reload::{Condemned, Loader};

/// How often the counters are logged.
const REPORT: Duration = Duration::from_secs(60);

/// A timer that may not fire now is not looked at before.
const SOON: Duration = Duration::from_millis(100);

/// What can wait tries so often whether an instance can be made.
const NO_INSTANCE: Duration = Duration::from_secs(1);

/// Every client needs these. The others few may ever ask, and one that knows how
/// to make them fail would be alone with them.
const ASKED_BY_ALL: [Function; 3] = [Function::Connect, Function::Publish, Function::Play];

/// A swap between the look at the serving generation and the lease sends a
/// call to the next one; so many swaps in a row don't happen.
const MAX_SWAPS: u32 = 16;

/// What a plugin's tasks and its callers share.
pub(super) struct Core {
    pub(super) runtime: Arc<Runtime>,
    pub(super) app: Arc<AppContext>,
    pub(super) serving: ArcSwap<Generation>,
    /// What an operator wants to serve; after a roll-back something else does.
    pub(super) wanted: ArcSwap<PluginSpec>,
    pub(super) events: EventQueue,
    pub(super) breakers: Breakers,
    pub(super) loader: Arc<Mutex<Loader>>,
    /// For the task that rolls back.
    pub(super) condemned: Condemned,
    pub(super) stopped: AtomicBool,
}

/// What became of a call that asked a generation for an instance.
enum Leased {
    Lease(InstanceLease),
    /// See [`NoLease::Failed`].
    Failed {
        error: PolicyError,
        had_turn: bool,
    },
}

impl Core {
    /// Puts a client's question, within a decision's budgets.
    pub(super) async fn ask(&self, question: Question) -> Reply {
        let (function, caller) = (Function::of(&question), Caller::of(question.client()));
        let ticket = match self.admit(function, caller.clone()) {
            Ok(ticket) => ticket,
            Err(error) => {
                self.app.stats.breaker_refused.add();
                return error.into();
            }
        };
        let mut budget = self.budget();
        let (leased, generation) = match self.lease(function.name(), &mut budget).await {
            Ok(leased) => leased,
            Err(error) => return error.into(),
        };
        let (answer, had_turn) = match leased {
            Leased::Lease(lease) => {
                let call = hooks::question(question);
                (run(lease, function.name(), budget, call).await, true)
            }
            Leased::Failed { error, had_turn } => (Err(error), had_turn),
        };
        if had_turn {
            self.judge(function, &caller, ticket, &generation, &answer);
        }
        Reply {
            answer: answer.flatten(),
            generation: Some(generation.number),
        }
    }

    /// Tells `function` something that can wait for an instance.
    async fn tell(
        &self,
        function: Function,
        caller: Caller,
        ticket: Option<Ticket<'_>>,
        call: impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, ()> + Send,
    ) -> Result<(), PolicyError> {
        let hook = function.name();
        let mut is_said = false;
        let (leased, generation) = loop {
            let (leased, generation) = self.lease(hook, &mut self.budget()).await?;
            match &leased {
                Leased::Failed {
                    error: PolicyError::Busy { .. },
                    ..
                } => {}
                // For want of room, say: it is no failure of the call.
                Leased::Failed {
                    error: error @ PolicyError::Unavailable(_),
                    ..
                } => {
                    if !is_said {
                        limited!(WARN, self.app.admits_warning(), app = self.app.name,
                            function = hook, %error, "plugin has no instance for a call that waits");
                    }
                    is_said = true;
                    tokio::time::sleep(NO_INSTANCE).await;
                }
                _ => break (leased, generation),
            }
        };
        let answer = match leased {
            // However long it has waited.
            Leased::Lease(lease) => run(lease, hook, self.budget(), call).await,
            Leased::Failed { error, .. } => Err(error),
        };
        if let Some(ticket) = ticket {
            self.judge(function, &caller, ticket, &generation, &answer);
        }
        answer
    }

    fn budget(&self) -> CallBudget {
        let serving = self.serving.load();
        CallBudget::new(serving.spec.limits.cpu, serving.spec.limits.wall)
    }

    fn admit(&self, function: Function, caller: Caller) -> Result<Ticket<'_>, PolicyError> {
        let now = Instant::now().into_std();
        let admitted = self.breakers.of(function).admit(caller, now);
        admitted.map_err(|open| {
            let NotAdmitted {
                left,
                waiting,
                alone,
            } = open;
            PolicyError::LeftAlone {
                hook: function.name(),
                left_ms: millis(left),
                waiting,
                alone,
            }
        })
    }

    /// Reports how a call ended to the breaker that let it pass, and acts on what
    /// comes of it.
    fn judge<R>(
        &self,
        function: Function,
        caller: &Caller,
        ticket: Ticket<'_>,
        generation: &Arc<Generation>,
        answer: &Result<R, PolicyError>,
    ) {
        let now = Instant::now().into_std();
        let failing = match answer {
            Ok(_) => {
                if let Some(was_open) = ticket.succeeded(generation.number, now) {
                    let (app, function) = (self.app.name.as_str(), function.name());
                    let open_ms = millis(was_open);
                    info!(app, function, open_ms, "plugin function answers again");
                }
                return;
            }
            Err(error @ (PolicyError::Trapped { .. } | PolicyError::TimedOut { .. })) => {
                let waiting = error.may_be_allowed();
                FailureKind::Itself { waiting }
            }
            Err(PolicyError::Busy { .. }) => FailureKind::Late,
            Err(_) => return,
        };
        let verdict = ticket.failed(generation.number, failing, now);
        if let Some(back_off) = verdict.opened {
            self.opened(function, generation, back_off);
        }
        if let Some(back_off) = verdict.delayed {
            self.delayed(caller, function, back_off);
        }
        let limits = &generation.spec.limits;
        let is_condemned =
            verdict.condemned || (verdict.answers_nobody && ASKED_BY_ALL.contains(&function));
        if is_condemned && generation.born.elapsed() < limits.roll_back_within {
            self.condemned.report(generation.number, function);
        }
    }

    /// An instance of the generation that serves, and that generation.
    async fn lease(
        &self,
        hook: &'static str,
        budget: &mut CallBudget,
    ) -> Result<(Leased, Arc<Generation>), PolicyError> {
        for _ in 0..MAX_SWAPS {
            if self.stopped.load(Ordering::Acquire) {
                break;
            }
            let generation = self.serving.load_full();
            match generation.lease(hook, budget).await {
                Ok(lease) => return Ok((Leased::Lease(lease), generation)),
                Err(NoLease::Failed { error, had_turn }) => {
                    return Ok((Leased::Failed { error, had_turn }, generation));
                }
                // The successor is in place before a generation closes.
                Err(NoLease::Closed) => {}
            }
        }
        Err(PolicyError::Unavailable("it has been shut down".into()))
    }

    /// The application's counters now.
    pub(super) fn counts(&self) -> Counts {
        let open = self.breakers.open();
        self.app.stats.counts(self.app.http_counts.totals(), open)
    }

    /// Writes the counters to the log from time to time, if they changed. Ends
    /// only when dropped.
    pub(super) async fn report(&self) {
        let mut last = self.counts();
        loop {
            tokio::time::sleep(REPORT).await;
            let counts = self.counts();
            if counts != last {
                info!(app = self.app.name, counts = counts.field(), "plugin stats");
            }
            last = counts;
        }
    }

    fn opened(&self, function: Function, generation: &Generation, back_off: Duration) {
        self.app.stats.breaker_opened.add();
        error!(
            app = self.app.name,
            generation = generation.number,
            function = function.name(),
            retry_ms = millis(back_off),
            "plugin function keeps failing and is not called for a while"
        );
    }

    fn delayed(&self, caller: &Caller, function: Function, back_off: Duration) {
        let (app, retry_ms) = (self.app.name.as_str(), millis(back_off));
        let function = function.name();
        match caller {
            Caller::Host => {}
            Caller::Network(address) => {
                self.app.stats.addresses_delayed.add();
                limited!(WARN, self.app.admits_warning(), app, function, %address, retry_ms,
                    "calls for one address keep failing: it has to wait");
            }
            Caller::Timer(key) => {
                self.app.stats.timers_delayed.add();
                limited!(
                    WARN,
                    self.app.admits_warning(),
                    app,
                    function,
                    key = &**key,
                    retry_ms,
                    "plugin timer keeps failing and is not called for a while"
                );
            }
        }
    }

    /// Delivers queued events in order, until the queue is closed and empty.
    pub(super) async fn deliver_events(&self) {
        let suspended = |function, now| self.breakers.of(function).suspended(now);
        while let Some(due) = self.events.next(suspended).await {
            self.deliver(due).await;
        }
    }

    async fn deliver(
        &self,
        Due {
            event,
            is_last_call,
        }: Due,
    ) {
        if !hooks::is_heard(&event, &self.serving.load().compiled.optional) {
            return;
        }
        let function = Function::told(&event);
        let ticket = match self.admit(function, Caller::Host) {
            Ok(ticket) => Some(ticket.about(events::client_of(&event))),
            Err(_) if is_last_call => None,
            // It was opened since the queue was asked.
            Err(_) => return self.events.put_back(event),
        };
        let told = self.tell(function, Caller::Host, ticket, hooks::event(event));
        match told.await {
            Ok(()) => self.app.stats.events_delivered.add(),
            Err(error) => {
                self.app.stats.events_failed.add();
                limited!(WARN, self.app.admits_warning(), app = self.app.name, %error,
                    "plugin missed an event");
            }
        }
    }

    /// Calls `on-timer` for every timer that is due. Ends only when dropped.
    pub(super) async fn fire_timers(&self) {
        loop {
            let key = self.app.timers.next().await;
            let caller = Caller::Timer(key.as_str().into());
            let ticket = match self.admit(Function::Timer, caller.clone()) {
                Ok(ticket) => ticket,
                Err(PolicyError::LeftAlone { left_ms, .. }) => {
                    let left = Duration::from_millis(left_ms).max(SOON);
                    self.app.timers.put_back(key, left);
                    continue;
                }
                Err(_) => continue,
            };
            let call = hooks::on_timer(key.clone());
            let fired = self.tell(Function::Timer, caller, Some(ticket), call).await;
            match fired {
                Ok(()) => self.app.stats.timers_fired.add(),
                Err(error) => {
                    self.app.stats.timers_failed.add();
                    limited!(WARN, self.app.admits_warning(), app = self.app.name, key, %error,
                        "plugin missed a timer");
                }
            }
        }
    }
}
