//! One application's plugin at work: every question goes to the generation
//! that serves at that moment.
//!
//! Flows in: a session's questions, queued events, due timers. Flows out:
//! answers, each by exactly one generation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;
use tracing::{info, warn};

use super::PluginSpec;
use super::application::Application;
use super::breaker::{Breaker, Open};
use super::engine::Runtime;
use super::events::EventQueue;
use super::generation::{Generation, NoLease, run};
use super::hooks;
use super::instance::{Budget, Call, Instance, millis};
use super::pool::Lease;
use super::reload::Loader;
use crate::policy::{Event, PolicyError};
use crate::tally::Counts;

/// How often the counters are logged.
const REPORT: Duration = Duration::from_secs(60);

/// A swap between the look at the serving generation and the lease sends a
/// call to the next one; so many swaps in a row don't happen.
const MAX_SWAPS: u32 = 16;

/// What a plugin's tasks and its callers share.
pub(super) struct Core {
    pub(super) runtime: Arc<Runtime>,
    pub(super) app: Arc<Application>,
    pub(super) serving: ArcSwap<Generation>,
    /// What an operator wants to serve; after a roll-back something else does.
    pub(super) wanted: ArcSwap<PluginSpec>,
    pub(super) events: EventQueue,
    pub(super) breaker: Breaker,
    pub(super) loader: Arc<Mutex<Loader>>,
    /// Wakes the task that rolls back.
    pub(super) roll_back: Notify,
    pub(super) stopped: AtomicBool,
}

impl Core {
    /// Calls an export of the serving generation within a decision's budgets.
    pub(super) async fn call<R: Send>(
        &self,
        hook: &'static str,
        call: impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, R> + Send,
    ) -> Result<R, PolicyError> {
        let mut budget = {
            let serving = self.serving.load();
            Budget::new(serving.spec.limits.cpu, serving.spec.limits.wall)
        };
        let ticket = match self.breaker.admit(budget.started.into_std()) {
            Ok(ticket) => ticket,
            Err(Open { left, waiting }) => {
                self.app.stats.breaker_refused.add();
                let left_ms = millis(left);
                return Err(PolicyError::LeftAlone { left_ms, waiting });
            }
        };
        let (lease, generation) = self.lease(hook, &mut budget).await?;
        let answer = match lease {
            Ok(lease) => run(lease, hook, budget, call).await,
            Err(error) => Err(error),
        };
        match &answer {
            Ok(_) => ticket.succeeded(budget.started.into_std()),
            Err(error @ (PolicyError::Trapped { .. } | PolicyError::TimedOut { .. }))
                // What an old generation does says nothing about its successor.
                if self.serving.load().number == generation.number =>
            {
                if let Some(back_off) = ticket.failed(error.may_be_allowed(), Instant::now().into_std()) {
                    self.opened(&generation, back_off);
                }
            }
            Err(_) => {}
        }
        answer
    }

    /// An instance of the generation that serves, and that generation.
    async fn lease(
        &self,
        hook: &'static str,
        budget: &mut Budget,
    ) -> Result<(Result<Lease, PolicyError>, Arc<Generation>), PolicyError> {
        for _ in 0..MAX_SWAPS {
            if self.stopped.load(Ordering::Acquire) {
                break;
            }
            let generation = self.serving.load_full();
            match generation.lease(hook, budget).await {
                Ok(lease) => return Ok((Ok(lease), generation)),
                Err(NoLease::Failed(error)) => return Ok((Err(error), generation)),
                // The successor is in place before a generation closes.
                Err(NoLease::Closed) => {}
            }
        }
        Err(PolicyError::Unavailable("it has been shut down".into()))
    }

    /// The application's counters now.
    pub(super) fn counts(&self) -> Counts {
        let open = self.breaker.open(Instant::now().into_std()).is_some();
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
                info!(app = self.app.name, %counts, "plugin stats");
            }
            last = counts;
        }
    }

    fn opened(&self, generation: &Generation, back_off: Duration) {
        let app = self.app.name.as_str();
        let back_off_ms = back_off.as_millis();
        self.app.stats.breaker_opened.add();
        let young = generation.born.elapsed() < generation.spec.limits.roll_back_within;
        warn!(
            app,
            generation = generation.number,
            back_off_ms,
            "plugin keeps failing and is not called for a while"
        );
        if young {
            self.roll_back.notify_one();
        }
    }

    /// Delivers queued events in order, until the queue is closed and empty.
    pub(super) async fn deliver_events(&self) {
        while let Some(event) = self.events.next().await {
            self.while_open().await;
            self.deliver(event).await;
        }
    }

    /// Waits while the breaker is open: events and timers can wait, clients
    /// can't.
    async fn while_open(&self) {
        while let Some(left) = self.breaker.open(Instant::now().into_std()) {
            tokio::time::sleep(left).await;
        }
    }

    async fn deliver(&self, event: Event) {
        if !hooks::is_heard(&event, &self.serving.load().compiled.optional) {
            return;
        }
        let hook = hooks::name_of(&event);
        let delivered = self.call(hook, hooks::event(event)).await;
        match delivered {
            Ok(()) => self.app.stats.events_delivered.add(),
            Err(error) => {
                self.app.stats.events_failed.add();
                warn!(app = self.app.name, %error, "plugin missed an event");
            }
        }
    }

    /// Calls `on-timer` for every timer that is due. Ends only when dropped.
    pub(super) async fn fire_timers(&self) {
        loop {
            let key = self.app.timers.next().await;
            self.while_open().await;
            let fired = self.call("on-timer", hooks::on_timer(key.clone())).await;
            match fired {
                Ok(()) => self.app.stats.timers_fired.add(),
                Err(error) => {
                    self.app.stats.timers_failed.add();
                    warn!(app = self.app.name, key, %error, "plugin missed a timer");
                }
            }
        }
    }
}
