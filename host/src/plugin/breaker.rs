//! Stops calling a plugin that keeps failing.
//!
//! Flows in: how calls ended, with the time. Flows out: whether the next call
//! may be made. Enough failures within a window, no fewer than successes in that
//! time, open the breaker; after a back-off one call is tried, and its end
//! decides. Failures alone don't open it while most calls go well: otherwise
//! one client that has found a way to trap the plugin could close the
//! application for all.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const MAX_BACK_OFF: Duration = Duration::from_secs(60);

/// One application's breaker.
#[derive(Debug)]
pub(super) struct Breaker {
    /// There is something to look up: no call in good times takes the lock.
    troubled: AtomicBool,
    state: Mutex<State>,
}

/// The right to one call; report how it ended.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    breaker: &'a Breaker,
    trial: bool,
    reported: bool,
}

/// The breaker is open.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// For so much longer.
    pub(super) left: Duration,
    /// What opened it were calls that waited for too long, and no others.
    pub(super) waiting: bool,
}

impl Breaker {
    /// Opens at so many `failures` within `window`.
    pub(super) fn new(failures: usize, window: Duration) -> Self {
        Self {
            troubled: AtomicBool::new(false),
            state: Mutex::new(State::new(failures, window)),
        }
    }

    /// May a call be made?
    pub(super) fn admit(&self, now: Instant) -> Result<Ticket<'_>, Open> {
        let trial = if self.troubled.load(Ordering::Acquire) {
            self.state().admit(now)?
        } else {
            false
        };
        Ok(Ticket {
            breaker: self,
            trial,
            reported: false,
        })
    }

    /// How much longer no call may be made, when so.
    pub(super) fn open(&self, now: Instant) -> Option<Duration> {
        if !self.troubled.load(Ordering::Acquire) {
            return None;
        }
        let until = self.state().open?.until;
        (now < until).then(|| until - now)
    }

    /// Forgets everything: another generation serves, perhaps with other
    /// limits.
    pub(super) fn reset(&self, failures: usize, window: Duration) {
        let mut state = self.state();
        *state = State::new(failures, window);
        self.troubled.store(false, Ordering::Release);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Ticket<'_> {
    /// The call was answered.
    pub(super) fn succeeded(mut self, now: Instant) {
        self.reported = true;
        if self.breaker.troubled.load(Ordering::Acquire) {
            let mut state = self.breaker.state();
            if state.succeed(self.trial, now) {
                self.breaker.troubled.store(false, Ordering::Release);
            }
        }
    }

    /// The call trapped or timed out, that `waiting` for something outside. The
    /// back-off, when that opened the breaker.
    pub(super) fn failed(mut self, waiting: bool, now: Instant) -> Option<Duration> {
        self.reported = true;
        let mut state = self.breaker.state();
        self.breaker.troubled.store(true, Ordering::Release);
        state.fail(self.trial, Failure { at: now, waiting })
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        // The call was dropped, its client has left: the next one tries.
        if self.trial && !self.reported {
            self.breaker.state().trying = false;
        }
    }
}

#[derive(Debug)]
struct State {
    /// So many failures...
    limit: usize,
    /// ... within this time open it.
    window: Duration,
    failures: VecDeque<Failure>,
    /// Since the first of `failures`.
    successes: usize,
    open: Option<Opened>,
    back_off: Duration,
    /// A trial call is on its way.
    trying: bool,
}

/// A call that failed.
#[derive(Debug, Clone, Copy)]
struct Failure {
    at: Instant,
    waiting: bool,
}

#[derive(Debug, Clone, Copy)]
struct Opened {
    until: Instant,
    /// See [`Open::waiting`].
    waiting: bool,
}

impl State {
    fn new(limit: usize, window: Duration) -> Self {
        Self {
            limit: limit.max(1),
            window,
            failures: VecDeque::new(),
            successes: 0,
            open: None,
            back_off: Duration::ZERO,
            trying: false,
        }
    }

    /// True: the call is a trial.
    fn admit(&mut self, now: Instant) -> Result<bool, Open> {
        let Some(Opened { until, waiting }) = self.open else {
            return Ok(false);
        };
        let left = until.saturating_duration_since(now);
        if self.trying || !left.is_zero() {
            return Err(Open { left, waiting });
        }
        self.trying = true;
        Ok(true)
    }

    /// True: nothing is left to remember.
    fn succeed(&mut self, trial: bool, now: Instant) -> bool {
        if trial {
            *self = Self::new(self.limit, self.window);
            return true;
        }
        self.forget(now);
        self.successes = self.successes.saturating_add(1);
        self.failures.is_empty() && self.open.is_none()
    }

    fn fail(&mut self, trial: bool, failure: Failure) -> Option<Duration> {
        let Failure { at: now, waiting } = failure;
        if trial {
            self.trying = false;
            let back_off = (self.back_off * 2).min(MAX_BACK_OFF);
            return Some(self.open_for(back_off, waiting, now));
        }
        if self.open.is_some() {
            // A call from before it opened.
            return None;
        }
        self.forget(now);
        self.failures.push_back(failure);
        let failing = self.failures.len() >= self.limit && self.failures.len() >= self.successes;
        let waiting = self.failures.iter().all(|failure| failure.waiting);
        failing.then(|| self.open_for(FIRST_BACK_OFF, waiting, now))
    }

    fn open_for(&mut self, back_off: Duration, waiting: bool, now: Instant) -> Duration {
        self.back_off = back_off;
        let until = now + back_off;
        self.open = Some(Opened { until, waiting });
        self.failures.clear();
        self.successes = 0;
        back_off
    }

    /// Drops what lies outside the window.
    fn forget(&mut self, now: Instant) {
        while let Some(oldest) = self.failures.front() {
            if now.saturating_duration_since(oldest.at) < self.window {
                break;
            }
            self.failures.pop_front();
        }
        if self.failures.is_empty() {
            self.successes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn fail(breaker: &Breaker, now: Instant) -> Option<Duration> {
        breaker.admit(now).expect("closed").failed(false, now)
    }

    fn succeed(breaker: &Breaker, now: Instant) {
        breaker.admit(now).expect("closed").succeeded(now);
    }

    #[test]
    fn the_fifth_failure_in_a_minute_opens_it() {
        let breaker = Breaker::new(5, 60 * SECOND);
        let now = Instant::now();
        for _ in 0..4 {
            assert_eq!(fail(&breaker, now), None);
        }
        assert_eq!(fail(&breaker, now + 59 * SECOND), Some(SECOND));
        let open = breaker.admit(now + 59 * SECOND).expect_err("open");
        let (left, waiting) = (SECOND, false);
        assert_eq!(open, Open { left, waiting });
    }

    #[test]
    fn old_failures_are_forgotten() {
        let breaker = Breaker::new(5, 60 * SECOND);
        let now = Instant::now();
        for _ in 0..4 {
            fail(&breaker, now);
        }
        assert_eq!(fail(&breaker, now + 60 * SECOND), None);
        succeed(&breaker, now + 121 * SECOND);
        assert!(!breaker.troubled.load(Ordering::Acquire));
    }

    #[test]
    fn a_few_failures_among_many_successes_do_not_open_it() {
        let breaker = Breaker::new(5, 60 * SECOND);
        let now = Instant::now();
        for _ in 0..100 {
            fail(&breaker, now);
            succeed(&breaker, now);
            succeed(&breaker, now);
        }
        assert!(breaker.admit(now).is_ok());
    }

    #[test]
    fn one_call_tries_after_the_back_off() {
        let breaker = Breaker::new(5, 60 * SECOND);
        let mut now = Instant::now();
        for _ in 0..5 {
            fail(&breaker, now);
        }
        now += SECOND;
        let trial = breaker.admit(now).expect("a trial");
        assert!(breaker.admit(now).is_err(), "one trial at a time");
        assert_eq!(trial.failed(false, now), Some(2 * SECOND));
        assert!(breaker.admit(now + SECOND).is_err());
        now += 2 * SECOND;
        drop(breaker.admit(now).expect("a trial whose client leaves"));
        breaker.admit(now).expect("another").succeeded(now);
        assert!(breaker.admit(now).is_ok() && breaker.admit(now).is_ok());
    }

    #[test]
    fn it_knows_whether_waiting_alone_has_opened_it() {
        let now = Instant::now();
        let opened_by = |failures: &[bool]| {
            let breaker = Breaker::new(failures.len(), 60 * SECOND);
            for waiting in failures {
                let ticket = breaker.admit(now).expect("closed");
                ticket.failed(*waiting, now);
            }
            breaker
        };
        let waiting = |breaker: &Breaker, now| breaker.admit(now).expect_err("open").waiting;
        assert!(waiting(&opened_by(&[true, true, true]), now));
        assert!(!waiting(&opened_by(&[true, false, true]), now));
        // From then on the last trial tells.
        let breaker = opened_by(&[true, true]);
        let trial = breaker.admit(now + SECOND).expect("a trial");
        assert!(waiting(&breaker, now + SECOND), "one trial at a time");
        trial.failed(false, now + SECOND);
        assert!(!waiting(&breaker, now + SECOND));
        let trial = breaker.admit(now + 3 * SECOND).expect("a trial");
        trial.failed(true, now + 3 * SECOND);
        assert!(waiting(&breaker, now + 3 * SECOND));
    }

    #[test]
    fn the_back_off_grows_to_a_minute() {
        let breaker = Breaker::new(5, 60 * SECOND);
        let mut now = Instant::now();
        for _ in 0..5 {
            fail(&breaker, now);
        }
        let mut back_off = SECOND;
        for _ in 0..10 {
            now += back_off;
            back_off = fail(&breaker, now).expect("opens again");
        }
        assert_eq!(back_off, MAX_BACK_OFF);
    }
}
