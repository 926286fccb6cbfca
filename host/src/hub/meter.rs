//! How much a publisher sends now, and how long it has been silent.
//!
//! Flows in: the size of each message with its time. Flows out: a rate of the
//! last seconds, for whoever asks.

use std::time::{Duration, Instant};

/// The rate is that of the last full period of this length.
const PERIOD: Duration = Duration::from_secs(2);

/// Counts one publisher's messages.
#[derive(Debug)]
pub(super) struct Meter {
    last: Instant,
    since: Instant,
    bytes: u64,
    /// Of the period before `since`.
    kbps: Option<u32>,
}

/// What a meter shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    /// Since the last message, or since the start.
    pub(super) idle: Duration,
    /// Kilobits (1,000 bits) a second.
    pub(super) kbps: u32,
}

impl Meter {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            last: now,
            since: now,
            bytes: 0,
            kbps: None,
        }
    }

    pub(super) fn count(&mut self, bytes: usize, now: Instant) {
        let past = now.saturating_duration_since(self.since);
        if past >= PERIOD {
            self.kbps = Some(kbps(self.bytes, past));
            self.since = now;
            self.bytes = 0;
        }
        self.last = now;
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    pub(super) fn read(&self, now: Instant) -> Rate {
        let past = now.saturating_duration_since(self.since);
        let kbps = match self.kbps {
            // The first period is not over yet, or nothing has ended it.
            Some(kbps) if past < PERIOD => kbps,
            _ => kbps(self.bytes, past),
        };
        Rate {
            idle: now.saturating_duration_since(self.last),
            kbps,
        }
    }
}

/// Bits a millisecond are kilobits a second.
fn kbps(bytes: u64, time: Duration) -> u32 {
    let bits = u128::from(bytes).saturating_mul(8);
    u32::try_from(bits / time.as_millis().max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// 1,000 bytes each 10 ms for `millis`: 800 kbit/s.
    fn running(start: Instant, millis: u32) -> Meter {
        let mut meter = Meter::new(start);
        for at in (0..millis).step_by(10) {
            meter.count(1000, start + at * MS);
        }
        meter
    }

    #[test]
    fn a_steady_stream_shows_its_rate_at_any_time() {
        let start = Instant::now();
        for millis in [500, 1990, 2010, 3000, 60_000] {
            let rate = running(start, millis).read(start + millis * MS);
            assert_eq!(rate.idle, 10 * MS);
            assert!((796..=808).contains(&rate.kbps), "{millis}: {rate:?}");
        }
    }

    #[test]
    fn a_silent_publisher_fades_and_its_silence_is_told() {
        let start = Instant::now();
        let meter = running(start, 10_000);
        let rate = meter.read(start + 30_000 * MS);
        assert_eq!(rate.idle, 20_010 * MS);
        assert!(rate.kbps < 100, "{rate:?}");
    }

    #[test]
    fn a_rate_follows_a_change_within_two_periods() {
        let start = Instant::now();
        let mut meter = running(start, 10_000);
        for at in (10_000..14_000).step_by(10) {
            meter.count(100, start + at * MS);
        }
        let kbps = meter.read(start + 14_000 * MS).kbps;
        assert!((79..=81).contains(&kbps), "{kbps}");
    }
}
