//! An open breaker: who may try whether the function answers again.
//!
//! After the back-off several callers may, one call each, so that none can hold
//! the way back for itself: one that leaves, that is slow, or that fails for a
//! reason of its own takes one turn of several. It opens for longer once as many
//! callers failed as open it in the first place; before that only those that
//! failed wait.

use std::time::{Duration, Instant};

use super::{CALLERS, Caller, FIRST_BACK_OFF, MAX_BACK_OFF, NotAdmitted, add_caller, waiting};

/// When to ask again while others try.
const A_MOMENT: Duration = Duration::from_millis(100);
/// Turns that are remembered at once, those without an end included.
const MAX_TRIALS: usize = 64;

/// Numbers the trials of a breaker.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct TrialId(u64);

impl TrialId {
    pub(super) fn following(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

#[derive(Debug)]
pub(super) struct Opened {
    pub(super) since: Instant,
    /// Nobody may call before.
    until: Instant,
    back_off: Duration,
    /// Whose calls failed since, and before; [`CALLERS`] at most.
    pub(super) failed: Vec<Caller>,
    /// See [`NotAdmitted::waiting`].
    waiting: bool,
    trials: Vec<TrialCall>,
}

#[derive(Debug)]
struct TrialCall {
    id: TrialId,
    caller: Caller,
    state: TrialState,
    /// How long its caller waited after its last failure.
    back_off: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
enum TrialState {
    Running,
    /// Its caller left before the answer.
    Left {
        again: Instant,
    },
    Failed {
        again: Instant,
        waiting: Option<bool>,
    },
}

impl Opened {
    pub(super) fn new(failed: Vec<Caller>, waiting: bool, now: Instant) -> Self {
        Self {
            failed,
            since: now,
            until: now + FIRST_BACK_OFF,
            back_off: FIRST_BACK_OFF,
            waiting,
            trials: Vec::new(),
        }
    }

    /// How much longer `caller` may not call.
    pub(super) fn left(&self, caller: &Caller, now: Instant) -> Option<Duration> {
        let own = self.trials.iter().find(|trial| trial.caller == *caller);
        let until = match own.map(|trial| trial.state) {
            Some(TrialState::Left { again } | TrialState::Failed { again, .. }) => {
                again.max(self.until)
            }
            // It is not known how long that takes.
            Some(TrialState::Running) => self.until.max(now + A_MOMENT),
            None if self.turns_taken() >= caller.needed() => self.until.max(now + A_MOMENT),
            None => self.until,
        };
        (now < until).then(|| until.saturating_duration_since(now))
    }

    fn turns_taken(&self) -> usize {
        self.trials.iter().filter(|trial| trial.is_a_turn()).count()
    }

    pub(super) fn has(&self, id: TrialId) -> bool {
        self.trials.iter().any(|trial| trial.id == id)
    }

    /// The call becomes the trial `id`.
    pub(super) fn admit(
        &mut self,
        id: TrialId,
        caller: &Caller,
        now: Instant,
    ) -> Result<(), NotAdmitted> {
        if let Some(left) = self.left(caller, now) {
            return Err(NotAdmitted {
                left,
                waiting: self.waiting,
                alone: false,
            });
        }
        let own = self.trials.iter_mut().find(|trial| trial.caller == *caller);
        if let Some(trial) = own {
            trial.state = TrialState::Running;
            trial.id = id;
        } else {
            self.make_room();
            self.trials.push(TrialCall {
                id,
                caller: caller.clone(),
                state: TrialState::Running,
                back_off: None,
            });
        }
        Ok(())
    }

    /// The trial came to no end. Its caller is in no hurry.
    pub(super) fn leave(&mut self, id: TrialId, now: Instant) {
        if let Some(trial) = self.trials.iter_mut().find(|trial| trial.id == id) {
            let again = now + trial.back_off.unwrap_or(FIRST_BACK_OFF);
            trial.state = TrialState::Left { again };
        }
    }

    /// How long nobody may call now, when that was the last turn.
    pub(super) fn failed(
        &mut self,
        id: TrialId,
        account: &Caller,
        has_waited: Option<bool>,
        now: Instant,
    ) -> Option<Duration> {
        add_caller(&mut self.failed, account, CALLERS);
        let trial = self.trials.iter_mut().find(|trial| trial.id == id)?;
        let back_off = trial.back_off.unwrap_or(self.back_off);
        let back_off = back_off.saturating_mul(2).min(MAX_BACK_OFF);
        trial.back_off = Some(back_off);
        trial.state = TrialState::Failed {
            again: now + back_off,
            waiting: has_waited,
        };
        let needed = trial.caller.needed();
        if has_waited == Some(false) {
            self.waiting = false;
        }
        let failed = || {
            self.trials.iter().filter_map(|trial| match trial.state {
                TrialState::Failed { waiting, .. } => Some(waiting),
                TrialState::Running | TrialState::Left { .. } => None,
            })
        };
        if failed().count() < needed {
            return None;
        }
        self.waiting = waiting(failed()).unwrap_or(self.waiting);
        self.trials.clear();
        self.back_off = self.back_off.saturating_mul(2).min(MAX_BACK_OFF);
        self.until = now + self.back_off;
        Some(self.back_off)
    }

    fn make_room(&mut self) {
        if self.trials.len() >= MAX_TRIALS {
            let left = self.trials.iter().position(|trial| !trial.is_a_turn());
            if let Some(left) = left {
                self.trials.remove(left);
            }
        }
    }
}

impl TrialCall {
    fn is_a_turn(&self) -> bool {
        !matches!(self.state, TrialState::Left { .. })
    }
}
