//! Stops calling a function of a plugin that keeps failing.
//!
//! Flows in: how the calls of one function ended, whose they were, and when.
//! Flows out: whether the next call may be made.
//!
//! Enough failures within a window, no fewer than answers in that time, are one
//! of two things. Those of a single caller say more about the caller: it alone
//! waits ([`callers`]), so one client that has found a way to trap the plugin
//! closes nothing for others. Those of several callers open the breaker, and
//! nobody calls for a back-off; then a few callers try, one call each
//! ([`trials`]), and the first answer closes it.

mod callers;
#[cfg(test)]
mod tests;
mod trials;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use livehost_policy::Client;
use livehost_telemetry::network::network;
use parking_lot::{Mutex, MutexGuard};

use callers::Callers;
use trials::{Opened, TrialId};

/// So many callers must have failed before others may not call.
const CALLERS: usize = 3;
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const MAX_BACK_OFF: Duration = Duration::from_secs(60);
/// A version that answers nobody for so long fails whoever asks.
const LASTING: Duration = Duration::from_secs(10);
/// So many times the limit are enough to judge by, whatever was before them.
const LAST: usize = 10;
/// Failures that are remembered at once; above the largest `limits.failures`.
const MAX_FAILURES: usize = 1024;

/// Whose call it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    /// The host's own: one failure too many is enough to open it.
    Host,
    /// A client's, by its [`network`].
    Network(IpAddr),
    /// That of the timer with this key.
    Timer(Arc<str>),
}

impl Caller {
    /// Those whose address is not known are one.
    pub(super) fn of(client: &Client) -> Self {
        let address = client.address().unwrap_or([0, 0, 0, 0].into());
        Self::Network(network(address))
    }

    /// So many of its kind must fail before all of them wait.
    fn needed(&self) -> usize {
        match self {
            Self::Host => 1,
            Self::Network(_) | Self::Timer(_) => CALLERS,
        }
    }
}

/// The breaker of one function.
#[derive(Debug)]
pub(super) struct Breaker {
    /// There is something to look up: no call in good times takes the lock.
    troubled: AtomicBool,
    /// The one that is judged; changes under the lock of `state`.
    generation: AtomicU64,
    /// What it has answered so far.
    answers: AtomicU64,
    state: Mutex<BreakerState>,
}

/// The right to one call; report how it ended.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    breaker: &'a Breaker,
    caller: Caller,
    /// Whose doing a failure may be.
    account: Caller,
    trial: Option<TrialId>,
    /// Answers before the call.
    answers: u64,
    reported: bool,
}

/// The call may not be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAdmitted {
    /// For so much longer.
    pub(super) left: Duration,
    /// What led to it were calls that waited for too long, and no others.
    pub(super) waiting: bool,
    /// Only this caller waits.
    pub(super) alone: bool,
}

/// How a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// By itself: it trapped, or took too long.
    Itself {
        /// It waited for something outside.
        waiting: bool,
    },
    /// It had queued for its instance, and had none for long enough to say more.
    /// It counts when no call at all was answered in the meantime: then the
    /// instances are busy because the plugin does not answer.
    Late,
}

/// What a failure led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Consequence {
    /// Nobody may call for so long.
    pub(super) opened: Option<Duration>,
    /// Its caller may not for so long.
    pub(super) delayed: Option<Duration>,
    /// It is no single client's doing: reason enough to go back to the generation
    /// before.
    pub(super) condemned: bool,
    /// Nobody was answered for [`LASTING`], however few have asked: reason enough
    /// where everybody has to ask.
    pub(super) answers_nobody: bool,
}

impl Breaker {
    /// Judges `generation` from now on: opens at so many `failures` within
    /// `window`.
    pub(super) fn new(generation: u64, failures: usize, window: Duration) -> Self {
        Self {
            troubled: AtomicBool::new(false),
            generation: AtomicU64::new(generation),
            answers: AtomicU64::new(0),
            state: Mutex::new(BreakerState::new(failures, window)),
        }
    }

    /// May a call be made?
    pub(super) fn admit(&self, caller: Caller, now: Instant) -> Result<Ticket<'_>, NotAdmitted> {
        let trial = if self.troubled.load(Ordering::Acquire) {
            self.state().admit(&caller, now)?
        } else {
            None
        };
        Ok(Ticket {
            breaker: self,
            account: caller.clone(),
            caller,
            trial,
            answers: self.answers.load(Ordering::Relaxed),
            reported: false,
        })
    }

    /// How much longer the host may not call, when so.
    pub(super) fn suspended(&self, now: Instant) -> Option<Duration> {
        if !self.troubled.load(Ordering::Acquire) {
            return None;
        }
        self.state().open.as_ref()?.left(&Caller::Host, now)
    }

    /// It has opened, and no call was answered since.
    pub(super) fn is_open(&self) -> bool {
        self.troubled.load(Ordering::Acquire) && self.state().open.is_some()
    }

    /// Forgets everything: another generation serves, perhaps with other limits.
    pub(super) fn reset(&self, generation: u64, failures: usize, window: Duration) {
        let mut state = self.state();
        *state = BreakerState {
            next_trial: state.next_trial,
            ..BreakerState::new(failures, window)
        };
        self.generation.store(generation, Ordering::Release);
        self.answers.store(0, Ordering::Relaxed);
        self.troubled.store(false, Ordering::Release);
    }

    fn state(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock()
    }
}

impl Ticket<'_> {
    /// The call is the host's, but what it says comes of this client.
    pub(super) fn about(mut self, client: Option<&Client>) -> Self {
        if let Some(address) = client.and_then(Client::address) {
            self.account = Caller::Network(network(address));
        }
        self
    }

    /// `generation` answered the call. How long the breaker was open, when that
    /// closed it.
    pub(super) fn succeeded(mut self, generation: u64, now: Instant) -> Option<Duration> {
        self.reported = true;
        let breaker = self.breaker;
        if breaker.generation.load(Ordering::Acquire) != generation {
            return None;
        }
        breaker.answers.fetch_add(1, Ordering::Relaxed);
        if !breaker.troubled.load(Ordering::Acquire) {
            return None;
        }
        let mut state = breaker.state();
        if breaker.generation.load(Ordering::Acquire) != generation {
            return None;
        }
        let closed = state.succeed(self.trial, &self.caller, now);
        if state.is_quiet() {
            breaker.troubled.store(false, Ordering::Release);
        }
        closed
    }

    /// The call failed in `generation`.
    pub(super) fn failed(
        mut self,
        generation: u64,
        failing: FailureKind,
        now: Instant,
    ) -> Consequence {
        let breaker = self.breaker;
        let mut state = breaker.state();
        // What an old generation does says nothing about its successor.
        if breaker.generation.load(Ordering::Acquire) != generation {
            self.reported = true;
            return Consequence::default();
        }
        let answers = breaker.answers.load(Ordering::Relaxed);
        if failing == FailureKind::Late && answers != self.answers {
            drop(state);
            return Consequence::default();
        }
        self.reported = true;
        breaker.troubled.store(true, Ordering::Release);
        let mut verdict = state.fail(&self, failing, now);
        if verdict.opened.is_some() {
            let open = state.open.as_ref();
            verdict.condemned = open.is_some_and(|open| are_enough(&open.failed));
        } else if answers == 0 {
            match self.caller {
                Caller::Host => {}
                Caller::Network(_) => verdict.answers_nobody = state.has_lasted(now),
                // Timers are the plugin's own.
                Caller::Timer(_) => {
                    verdict.condemned = state.failures.list.len() >= state.limit;
                }
            }
        }
        verdict
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        // The call was dropped, its client has left: the next one tries.
        if !self.reported
            && let Some(trial) = self.trial
            && let Some(open) = &mut self.breaker.state().open
        {
            open.leave(trial, Instant::now());
        }
    }
}

#[derive(Debug)]
struct BreakerState {
    /// So many failures...
    limit: usize,
    /// ... within this time open it, or have their only caller wait.
    window: Duration,
    failures: Failures,
    callers: Callers,
    open: Option<Opened>,
    /// The first failure of the generation, and how many there were.
    failed: Option<(Instant, usize)>,
    /// Never used before, whatever else is forgotten: a ticket may outlive the
    /// time that its trial belongs to, and its generation.
    next_trial: TrialId,
}

impl BreakerState {
    fn new(limit: usize, window: Duration) -> Self {
        Self {
            limit: limit.max(1),
            window,
            failures: Failures::default(),
            callers: Callers::default(),
            open: None,
            failed: None,
            next_trial: TrialId::default(),
        }
    }

    /// Some: the call is a trial.
    fn admit(&mut self, caller: &Caller, now: Instant) -> Result<Option<TrialId>, NotAdmitted> {
        if let Some(open) = &mut self.open {
            let id = self.next_trial;
            open.admit(id, caller, now)?;
            self.next_trial = id.following();
            return Ok(Some(id));
        }
        self.callers.admit(caller, now).map(|()| None)
    }

    /// How long it was open, when this closes it.
    fn succeed(
        &mut self,
        trial: Option<TrialId>,
        caller: &Caller,
        now: Instant,
    ) -> Option<Duration> {
        self.callers.succeeded(caller);
        self.failures.forget(self.window, now);
        self.callers.forget(self.window, now);
        match &self.open {
            None => self.failures.answered(),
            Some(open) if trial.is_some_and(|trial| open.has(trial)) => {
                let was = open.since;
                self.open = None;
                return Some(now.saturating_duration_since(was));
            }
            // From before it opened.
            Some(_) => {}
        }
        None
    }

    fn fail(&mut self, ticket: &Ticket<'_>, failing: FailureKind, now: Instant) -> Consequence {
        let Ticket {
            caller,
            account,
            trial,
            ..
        } = ticket;
        let (first, count) = self.failed.unwrap_or((now, 0));
        self.failed = Some((first, count.saturating_add(1)));
        let waiting = match failing {
            FailureKind::Itself { waiting } => Some(waiting),
            FailureKind::Late => None,
        };
        if let Some(open) = &mut self.open {
            // Without a trial it is one from before it opened.
            let opened = trial.and_then(|trial| open.failed(trial, account, waiting, now));
            return Consequence {
                opened,
                ..Consequence::default()
            };
        }
        self.failures.forget(self.window, now);
        self.failures.add(FailedCall {
            at: now,
            waiting,
            caller: account.clone(),
            answers: 0,
        });
        if self.failures.are_too_many(self.limit, caller.needed()) {
            let waiting = self.failures.waiting() == Some(true);
            let failed = std::mem::take(&mut self.failures).callers(CALLERS);
            self.open = Some(Opened::new(failed, waiting, now));
            return Consequence {
                opened: Some(FIRST_BACK_OFF),
                ..Consequence::default()
            };
        }
        // One that came late says nothing about its caller.
        let delayed = waiting.and_then(|waiting| {
            let (limit, window) = (self.limit, self.window);
            self.callers.failed(caller, waiting, limit, window, now)
        });
        Consequence {
            delayed,
            ..Consequence::default()
        }
    }

    /// Calls have failed, as many as are too many, for [`LASTING`].
    fn has_lasted(&self, now: Instant) -> bool {
        self.failed.is_some_and(|(first, count)| {
            count >= self.limit && now.saturating_duration_since(first) >= LASTING
        })
    }

    /// There is nothing to remember.
    fn is_quiet(&self) -> bool {
        self.open.is_none() && self.failures.list.is_empty() && self.callers.is_empty()
    }
}

/// The failures of the window, with the answers in between.
#[derive(Debug, Default)]
struct Failures {
    /// The oldest first.
    list: VecDeque<FailedCall>,
    /// Since the first of them.
    answers: u64,
}

/// A call that failed.
#[derive(Debug)]
struct FailedCall {
    at: Instant,
    /// It waited for something outside; none: it had no time to.
    waiting: Option<bool>,
    caller: Caller,
    /// Calls that were answered after it, and before the next.
    answers: u64,
}

impl Failures {
    fn add(&mut self, failure: FailedCall) {
        if self.list.len() >= MAX_FAILURES {
            self.drop_oldest();
        }
        self.list.push_back(failure);
    }

    fn answered(&mut self) {
        if let Some(last) = self.list.back_mut() {
            last.answers = last.answers.saturating_add(1);
            self.answers = self.answers.saturating_add(1);
        }
    }

    /// Drops what lies outside the window.
    fn forget(&mut self, window: Duration, now: Instant) {
        while self
            .list
            .front()
            .is_some_and(|oldest| now.saturating_duration_since(oldest.at) >= window)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.list.pop_front() {
            self.answers = self.answers.saturating_sub(oldest.answers);
        }
    }

    /// At least `limit`, of so many callers, and no fewer than answers: either all
    /// of the window, or the last ones, so that what went well a while ago does
    /// not excuse that all calls fail now.
    fn are_too_many(&self, limit: usize, callers: usize) -> bool {
        let last = limit.saturating_mul(LAST).min(MAX_FAILURES);
        let few = self.list.len().saturating_sub(last);
        let last = || self.list.range(few..);
        let outweigh = |count: usize, answers: u64| {
            count >= limit && u64::try_from(count).unwrap_or(u64::MAX) >= answers
        };
        let answered = last().map(|failure| failure.answers).sum();
        (outweigh(self.list.len(), self.answers) || outweigh(last().len(), answered) && few > 0)
            && distinct(last(), callers).len() >= callers
    }

    /// Those that failed, at most so many.
    fn callers(&self, most: usize) -> Vec<Caller> {
        distinct(self.list.iter(), most)
    }

    fn waiting(&self) -> Option<bool> {
        waiting(self.list.iter().map(|failure| failure.waiting))
    }
}

/// Whose failures they are, at most so many.
fn distinct<'a>(failures: impl Iterator<Item = &'a FailedCall>, most: usize) -> Vec<Caller> {
    let mut seen = Vec::with_capacity(most);
    for FailedCall { caller, .. } in failures {
        add_caller(&mut seen, caller, most);
        if seen.len() >= most {
            break;
        }
    }
    seen
}

fn add_caller(seen: &mut Vec<Caller>, caller: &Caller, most: usize) {
    if seen.len() < most && !seen.contains(caller) {
        seen.push(caller.clone());
    }
}

/// Their failures are no single one's doing.
fn are_enough(callers: &[Caller]) -> bool {
    let needed = callers.iter().map(Caller::needed).min();
    needed.is_some_and(|needed| callers.len() >= needed)
}

/// Whether all of those that are known to have waited, or not, have.
fn waiting(failures: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    failures.flatten().reduce(|all, this| all && this)
}
