//! Whether a publisher's client is still there, which its session finds out
//! when somebody else wants the name.
//!
//! Flows in: the questions of claims that met the name, and what the session
//! found at its socket. Flows out: the wake of the session, and of the claims.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{Notify, Semaphore};

use super::Wake;

/// Claims that may wait for one publisher's session; more are refused at once.
const MAX_ASKING: usize = 16;

/// What is known of one publisher's client.
#[derive(Debug)]
pub(super) struct Presence {
    /// Questions so far; each has its number.
    asked: AtomicU64,
    /// The last question that was answered with yes.
    answered: AtomicU64,
    /// The name is given up.
    is_gone: AtomicBool,
    changed: Notify,
    places: Semaphore,
}

impl Presence {
    pub(super) fn new() -> Self {
        Self {
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            is_gone: AtomicBool::new(false),
            changed: Notify::new(),
            places: Semaphore::new(MAX_ASKING),
        }
    }

    /// Waits until the session that `wake` wakes has looked, or has given the
    /// name up. It may never look: the wait is the caller's to bound.
    pub(super) async fn ask(&self, wake: &Wake) {
        let Ok(_place) = self.places.try_acquire() else {
            return;
        };
        let number = self.asked.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        wake.notify_one();
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.is_gone.load(Ordering::Acquire)
                || self.answered.load(Ordering::Acquire) >= number
            {
                return;
            }
            changed.await;
        }
    }

    /// The last question, if it has no answer yet.
    pub(super) fn question(&self) -> Option<u64> {
        let asked = self.asked.load(Ordering::Acquire);
        (asked > self.answered.load(Ordering::Relaxed)).then_some(asked)
    }

    /// The client is there, as a look at its socket has shown that was made
    /// after this question.
    pub(super) fn answer(&self, question: u64) {
        self.answered.fetch_max(question, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// The name is free.
    pub(super) fn give_up(&self) {
        self.is_gone.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }
}
