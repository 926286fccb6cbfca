//! How long to wait before the next attempt.
//!
//! Each failure doubles the wait up to a limit; a part of it is left to
//! chance, so that many relays to one server don't return in step.

use std::time::Duration;

/// An attempt that held for so long makes the next wait a short one again.
pub(super) const STEADY: Duration = Duration::from_secs(30);

/// The waits between attempts.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    first: Duration,
    limit: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration, limit: Duration) -> Self {
        let first = first.min(limit);
        Self {
            first,
            limit,
            next: first,
        }
    }

    /// The next wait: between half and all of what it has grown to.
    /// `random` is any number.
    pub(super) fn pause(&mut self, random: u32) -> Duration {
        let half = self.next / 2;
        let share = f64::from(random) / f64::from(u32::MAX);
        let pause = half + half.mul_f64(share);
        self.next = self.next.saturating_mul(2).min(self.limit);
        pause
    }

    /// The last attempt went well for `lasted`.
    pub(super) fn held(&mut self, lasted: Duration) {
        if lasted >= STEADY {
            self.next = self.first;
        }
    }
}

/// Chance; a machine without any has relays in step, and no other harm.
pub(super) fn random() -> u32 {
    getrandom::u32().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_limit() {
        let mut backoff = Backoff::new(SEC, 10 * SEC);
        let waits: Vec<_> = (0..6).map(|_| backoff.pause(u32::MAX)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10].map(|n| n * SEC));
    }

    #[test]
    fn chance_takes_up_to_half_of_a_wait() {
        assert_eq!(Backoff::new(SEC, SEC).pause(0), SEC / 2);
        assert_eq!(Backoff::new(SEC, SEC).pause(u32::MAX), SEC);
    }

    #[test]
    fn only_an_attempt_that_held_shortens_the_wait() {
        let mut backoff = Backoff::new(SEC, 100 * SEC);
        for _ in 0..4 {
            backoff.pause(u32::MAX);
        }
        backoff.held(STEADY / 2);
        assert_eq!(backoff.pause(u32::MAX), 16 * SEC);
        backoff.held(STEADY);
        assert_eq!(backoff.pause(u32::MAX), SEC);
    }

    #[test]
    fn a_first_wait_above_the_limit_is_the_limit() {
        assert_eq!(Backoff::new(10 * SEC, SEC).pause(u32::MAX), SEC);
    }
}
