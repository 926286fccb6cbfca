//! What an application's plugin did, counted.
//!
//! Flows in: one `add` where something happened. Flows out: the numbers by
//! name, for the log and for operators. Counters outlive generations; a relaxed
//! increment costs a decision nothing worth measuring.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::outbound;

/// A number that goes up; for what is alive, also down.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    fn subtract(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Declares the counters once: as fields, and by name.
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The counters of one application.
        #[derive(Debug, Default)]
        pub(super) struct Stats {
            $($(#[doc = $doc])+ pub(super) $name: Counter,)+
        }

        impl Stats {
            fn by_name(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get()),)+]
            }
        }
    };
}

counters! {
    /// Decisions of `on-connect`.
    connects_accepted,
    /// Decisions of `on-connect`.
    connects_rejected,
    /// Decisions of `on-connect`.
    connects_redirected,
    /// Questions to `on-connect` without a decision.
    connects_failed,
    /// Decisions of `on-publish`.
    publishes_accepted,
    /// Decisions of `on-publish`.
    publishes_rejected,
    /// Questions to `on-publish` without a decision.
    publishes_failed,
    /// Decisions of `on-play`.
    plays_accepted,
    /// Decisions of `on-play`.
    plays_rejected,
    /// Questions to `on-play` without a decision.
    plays_failed,
    /// Remote calls with a result.
    calls_answered,
    /// Remote calls with an error of the plugin for the client.
    calls_refused,
    /// Remote calls without an answer.
    calls_failed,
    /// Events that the plugin took.
    events_delivered,
    /// Events in which the plugin failed.
    events_failed,
    /// Events that were dropped: the queue was full.
    events_dropped,
    /// Timers that fired.
    timers_fired,
    /// Timers in which the plugin failed.
    timers_failed,
    /// Timers that were not set: there were too many.
    timers_refused,
    /// Calls of any kind that trapped, those below apart.
    traps,
    /// Calls that trapped after memory was refused.
    memory_exceeded,
    /// Calls that computed for too long.
    cpu_exceeded,
    /// Calls that took too long in all.
    wall_exceeded,
    /// Calls that found no free instance in time.
    pool_exhausted,
    /// Calls that were not made: the breaker was open.
    breaker_refused,
    /// How often the breaker opened.
    breaker_opened,
    /// Generations that replaced another.
    reloads,
    /// Reloads that failed before the swap.
    reloads_refused,
    /// Generations replaced by the one before, for failing.
    roll_backs,
    /// Keys or values that were too large.
    kv_too_large,
    /// Writes beyond the quota.
    kv_over_quota,
    /// Counters that would have overflowed, or were none.
    kv_not_counted,
    /// Lines of the plugin that were not logged.
    log_lines_dropped,
    /// Generations alive now: serving, starting or on their way out.
    generations,
    /// Instances alive now.
    instances,
}

impl Stats {
    /// The numbers now, with those of HTTP requests and the breaker's state.
    pub(super) fn counts(&self, http: outbound::Totals, breaker_open: bool) -> Counts {
        let mut counts = self.by_name();
        counts.extend([
            ("http_requests", http.requests),
            ("http_denied", http.denied),
            ("http_over_limit", http.over_limit),
            ("http_timed_out", http.timed_out),
            ("http_failed", http.failed),
            ("breaker_open", u64::from(breaker_open)),
        ]);
        Counts(counts)
    }
}

/// Counts one thing as alive until it is dropped.
pub(super) struct Alive {
    stats: Arc<Stats>,
    what: fn(&Stats) -> &Counter,
}

impl Alive {
    pub(super) fn new(stats: &Arc<Stats>, what: fn(&Stats) -> &Counter) -> Self {
        what(stats).add();
        Self {
            stats: Arc::clone(stats),
            what,
        }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        (self.what)(&self.stats).subtract();
    }
}

/// An application's counters at one moment, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts(Vec<(&'static str, u64)>);

impl Counts {
    /// The counter of this name, 0 for one that does not exist.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map_or(0, |(_, count)| *count)
    }

    /// All counters with their names, always in the same order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().copied()
    }
}

/// Those that are not zero: `connects_accepted=3 traps=1`.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        for (name, count) in self.iter().filter(|(_, count)| *count > 0) {
            write!(f, "{space}{name}={count}")?;
            space = " ";
        }
        Ok(())
    }
}
