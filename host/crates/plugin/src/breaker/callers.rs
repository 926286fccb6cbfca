//! Callers that fail again and again: each of them waits for itself.
//!
//! The wait of a client is short, since others may share its address; that of a
//! timer grows as long as the breaker's.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{Caller, FIRST_BACK_OFF, MAX_BACK_OFF, NotAdmitted, waiting};

/// The longest wait of a client.
const MAX_OF_CLIENT: Duration = Duration::from_secs(10);
/// Callers that are remembered at once, for each function.
const MAX_CALLERS: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Callers(HashMap<Caller, CallerRecord>);

/// What is known of a caller that has failed.
#[derive(Debug)]
struct CallerRecord {
    /// Its first failure of the window.
    since: Instant,
    failures: usize,
    /// Since the first failure.
    answers: usize,
    /// Each failure was that it waited for too long.
    waiting: bool,
    wait: Option<Wait>,
}

#[derive(Debug, Clone, Copy)]
struct Wait {
    until: Instant,
    back_off: Duration,
}

impl Callers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn admit(&self, caller: &Caller, now: Instant) -> Result<(), NotAdmitted> {
        let Some(record) = self.0.get(caller) else {
            return Ok(());
        };
        match record.wait {
            Some(Wait { until, .. }) if now < until => Err(NotAdmitted {
                left: until.saturating_duration_since(now),
                waiting: record.waiting,
                alone: true,
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn succeeded(&mut self, caller: &Caller) {
        let Some(record) = self.0.get_mut(caller) else {
            return;
        };
        record.answers = record.answers.saturating_add(1);
        if record.wait.is_some() {
            self.0.remove(caller);
        }
    }

    /// How long it waits now, when this failure is one too many. After a wait
    /// each is.
    pub(super) fn failed(
        &mut self,
        caller: &Caller,
        has_waited: bool,
        limit: usize,
        window: Duration,
        now: Instant,
    ) -> Option<Duration> {
        let max = match caller {
            Caller::Host => return None,
            Caller::Network(_) => MAX_OF_CLIENT,
            Caller::Timer(_) => MAX_BACK_OFF,
        };
        if self
            .0
            .get(caller)
            .is_some_and(|known| known.is_over(window, now))
        {
            self.0.remove(caller);
        }
        if !self.0.contains_key(caller) && self.0.len() >= MAX_CALLERS {
            self.forget_one();
        }
        let record = self.0.entry(caller.clone()).or_insert(CallerRecord {
            since: now,
            failures: 0,
            answers: 0,
            waiting: true,
            wait: None,
        });
        record.failures = record.failures.saturating_add(1);
        let both = [Some(record.waiting), Some(has_waited)];
        record.waiting = waiting(both.into_iter()) == Some(true);
        let back_off = match record.wait {
            // A call from before.
            Some(wait) if now < wait.until => return None,
            Some(wait) => wait.back_off.saturating_mul(2).min(max),
            None if record.failures >= limit && record.failures >= record.answers => FIRST_BACK_OFF,
            None => return None,
        };
        record.wait = Some(Wait {
            until: now + back_off,
            back_off,
        });
        Some(back_off)
    }

    /// Drops what lies outside the window.
    pub(super) fn forget(&mut self, window: Duration, now: Instant) {
        self.0.retain(|_, record| !record.is_over(window, now));
    }

    /// Makes room: the oldest of those that don't wait, or of all.
    fn forget_one(&mut self) {
        let oldest = self
            .0
            .iter()
            .min_by_key(|(_, record)| (record.wait.is_some(), record.since))
            .map(|(caller, _)| caller.clone());
        if let Some(oldest) = oldest {
            self.0.remove(&oldest);
        }
    }
}

impl CallerRecord {
    /// Its failures are too old to count.
    fn is_over(&self, window: Duration, now: Instant) -> bool {
        let last = self.wait.map_or(self.since, |wait| wait.until);
        now.saturating_duration_since(last) >= window
    }
}
