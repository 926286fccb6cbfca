//! Holds a publisher to its granted bit rate, over the time that what it sends
//! covers: what waited while nothing was read comes at once, and was not sent
//! too fast.

use std::time::Duration;
use tokio::time::Instant;

/// A publisher may run ahead of its rate by so much: keyframes come in bursts.
const BURST: Duration = Duration::from_secs(5);
/// Nothing for so long is a stall, whoever's it is: of the network, of the
/// machine, of the publisher.
const STALL: Duration = Duration::from_secs(1);
/// The longest time that a backlog covers. What encoders hold is less.
const BACKLOG: Duration = Duration::from_secs(60);
/// A backlog may come slowly, but not for ever: of each second that it takes,
/// so much of what it may have is gone.
const FADE: f64 = 0.1;

/// A bucket that fills with what is sent and leaks at the granted rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct RateLimit {
    /// Bytes a second.
    rate: f64,
    /// Below zero by what a backlog may have at most.
    level: f64,
    /// What a backlog may have, bytes.
    backlog: f64,
    /// How long the publisher was not read from since `at`.
    held_up: Duration,
    at: Instant,
}

impl RateLimit {
    /// A limit of `kbps` kilobits (1,000 bits) a second.
    pub(super) fn new(kbps: u32, now: Instant) -> Self {
        Self {
            rate: f64::from(kbps) * 125.0,
            level: 0.0,
            backlog: 0.0,
            held_up: Duration::ZERO,
            at: now,
        }
    }

    /// The publisher was not read from for so long, until now.
    pub(super) fn was_held_up(&mut self, time: Duration) {
        self.held_up = self.held_up.saturating_add(time);
    }

    /// Counts `bytes`; true when the publisher is over its rate for good.
    pub(super) fn is_exceeded_by(&mut self, bytes: usize, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.at);
        let held_up = std::mem::take(&mut self.held_up).min(since);
        self.at = now;
        let stalled = if since >= STALL { since } else { held_up };
        let leaked = since.as_secs_f64() * self.rate;
        let kept = (self.backlog - leaked * FADE).max(0.0);
        let most = BACKLOG.as_secs_f64() * self.rate;
        self.backlog = (kept + stalled.as_secs_f64() * self.rate).min(most);
        self.level = (self.level - leaked).max(-self.backlog) + bytes as f64;
        self.level > self.rate * BURST.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const STEP: Duration = Duration::from_millis(40);
    /// What 1,000 kbit/s are in a step.
    const BYTES: usize = 5_000;

    /// A publisher with a limit of 1,000 kbit/s, and its clock.
    struct Publisher {
        limit: RateLimit,
        now: Instant,
    }

    impl Publisher {
        fn new() -> Self {
            let now = Instant::now();
            Self {
                limit: RateLimit::new(1_000, now),
                now,
            }
        }

        /// Sends `times` its rate for so long; false if it is closed for that.
        fn sends(&mut self, times: f64, time: Duration) -> bool {
            let bytes = (BYTES as f64 * times) as usize;
            (0..time.as_millis() / STEP.as_millis()).all(|_| {
                self.now += STEP;
                !self.limit.is_exceeded_by(bytes, self.now)
            })
        }

        /// What its rate makes of so much time, at once.
        fn sends_at_once(&mut self, time: Duration) -> bool {
            (0..time.as_millis() / STEP.as_millis())
                .all(|_| !self.limit.is_exceeded_by(BYTES, self.now))
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_granted_rate_may_go_on_for_ever() {
        assert!(Publisher::new().sends(1.0, 600 * SECOND));
    }

    #[test]
    fn twice_the_rate_ends_when_the_burst_is_used_up() {
        let mut publisher = Publisher::new();
        assert!(publisher.sends(2.0, 4_900 * MS));
        assert!(!publisher.sends(2.0, 200 * MS));
    }

    #[test]
    fn one_large_burst_is_fine_and_a_larger_one_is_not() {
        let now = Instant::now();
        assert!(!RateLimit::new(1_000, now).is_exceeded_by(625_000, now));
        assert!(RateLimit::new(1_000, now).is_exceeded_by(625_001, now));
    }

    #[test]
    fn what_waited_during_a_stall_may_come_at_once() {
        let mut publisher = Publisher::new();
        for stall in [3, 20, 50] {
            assert!(publisher.sends(1.0, 10 * SECOND));
            publisher.now += stall * SECOND;
            assert!(publisher.sends_at_once(stall * SECOND), "{stall} s");
            assert!(publisher.sends(1.0, 100 * SECOND), "after {stall} s");
        }
    }

    #[test]
    fn what_waited_may_come_as_fast_as_the_network_is() {
        // A fifth more than the rate: 100 s until nothing waits.
        let mut publisher = Publisher::new();
        publisher.now += 20 * SECOND;
        assert!(publisher.sends(1.2, 100 * SECOND));
        assert!(publisher.sends(1.0, 600 * SECOND));
    }

    #[test]
    fn a_backlog_of_many_short_times_without_being_read_may_come_at_once() {
        // Half of it is read, for 30 s: 15 s wait.
        let read_in_part = |publisher: &mut Publisher, held_up: Duration| {
            for _ in 0..375 {
                publisher.now += 2 * STEP;
                publisher.limit.was_held_up(held_up);
                assert!(!publisher.limit.is_exceeded_by(BYTES, publisher.now));
            }
        };
        let mut slow = Publisher::new();
        read_in_part(&mut slow, Duration::ZERO);
        assert!(!slow.sends_at_once(15 * SECOND), "it sent slowly before");
        let mut held_up = Publisher::new();
        read_in_part(&mut held_up, STEP);
        assert!(held_up.sends_at_once(15 * SECOND));
        assert!(held_up.sends(1.0, 600 * SECOND));
    }

    #[test]
    fn a_stall_is_no_leave_to_be_too_fast() {
        let mut publisher = Publisher::new();
        publisher.now += 20 * SECOND;
        assert!(!publisher.sends(2.0, 30 * SECOND), "25 s, and less");
        let mut publisher = Publisher::new();
        publisher.now += 3_600 * SECOND;
        assert!(!publisher.sends_at_once(66 * SECOND), "of an hour a minute");
        // Nothing of it is left later.
        let mut publisher = Publisher::new();
        publisher.now += 20 * SECOND;
        assert!(publisher.sends(1.0, 201 * SECOND));
        assert!(!publisher.sends_at_once(6 * SECOND));
    }
}
