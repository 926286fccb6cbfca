//! Holds a publisher to its granted bit rate.

use std::time::{Duration, Instant};

/// A publisher may run ahead of its rate by so much: keyframes come in bursts.
const BURST: Duration = Duration::from_secs(5);

/// A bucket that fills with what is sent and leaks at the granted rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct RateLimit {
    /// Bytes a second.
    rate: f64,
    level: f64,
    at: Instant,
}

impl RateLimit {
    /// A limit of `kbps` kilobits (1,000 bits) a second.
    pub(super) fn new(kbps: u32, now: Instant) -> Self {
        Self {
            rate: f64::from(kbps) * 125.0,
            level: 0.0,
            at: now,
        }
    }

    /// Counts `bytes`; true when the publisher is over its rate for good.
    pub(super) fn is_exceeded_by(&mut self, bytes: usize, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.level = (self.level - since * self.rate).max(0.0) + bytes as f64;
        self.level > self.rate * BURST.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many seconds of `bytes_a_second` pass before the limit is hit.
    fn lasts(limit_kbps: u32, bytes_a_second: usize) -> Option<u32> {
        let start = Instant::now();
        let mut limit = RateLimit::new(limit_kbps, start);
        (1..600).find(|second| {
            let now = start + Duration::from_secs((*second).into());
            limit.is_exceeded_by(bytes_a_second, now)
        })
    }

    #[test]
    fn the_granted_rate_may_go_on_for_ever() {
        assert_eq!(lasts(1_000, 125_000), None);
    }

    #[test]
    fn twice_the_rate_ends_when_the_burst_is_used_up() {
        assert_eq!(lasts(1_000, 250_000), Some(5));
    }

    #[test]
    fn one_large_burst_is_fine_and_a_larger_one_is_not() {
        let now = Instant::now();
        assert!(!RateLimit::new(1_000, now).is_exceeded_by(625_000, now));
        assert!(RateLimit::new(1_000, now).is_exceeded_by(625_001, now));
    }
}
