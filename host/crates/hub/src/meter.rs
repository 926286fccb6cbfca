//! How much a publisher sends now, and how long it has been silent.
//!
//! Flows in: the size of each message with its time. Flows out: the rate of the
//! last two seconds, for whoever asks.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes are summed up for so long, milliseconds: how exact the two seconds are.
const SLICE: u64 = 250;
/// Whole slices that the rate is of.
const SLICES: u64 = 8;
/// Those, and the one that is not over.
const KEPT: usize = 9;

/// Counts one publisher's messages.
#[derive(Debug)]
pub(super) struct Meter {
    started: Instant,
    last: Instant,
    /// The newest slices in which something came, at most [`KEPT`]: their numbers
    /// since the start, and the bytes.
    slices: VecDeque<(u64, u64)>,
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
            started: now,
            last: now,
            slices: VecDeque::with_capacity(KEPT),
        }
    }

    pub(super) fn count(&mut self, bytes: usize, now: Instant) {
        self.last = now;
        let slice = self.age(now) / SLICE;
        match self.slices.back_mut() {
            Some((newest, sum)) if *newest >= slice => *sum = sum.saturating_add(bytes as u64),
            _ => {
                if self.slices.len() >= KEPT {
                    self.slices.pop_front();
                }
                self.slices.push_back((slice, bytes as u64));
            }
        }
    }

    pub(super) fn read(&self, now: Instant) -> Rate {
        let age = self.age(now);
        let oldest = (age / SLICE).saturating_sub(SLICES);
        let of_now = self.slices.iter().filter(|(slice, _)| *slice >= oldest);
        let bytes = of_now.fold(0, |sum: u64, (_, bytes)| sum.saturating_add(*bytes));
        let bits = u128::from(bytes).saturating_mul(8);
        let time = age.saturating_sub(oldest.saturating_mul(SLICE)).max(1);
        Rate {
            idle: now.saturating_duration_since(self.last),
            // Bits a millisecond are kilobits a second.
            kbps: u32::try_from(bits / u128::from(time)).unwrap_or(u32::MAX),
        }
    }

    /// Milliseconds since the start.
    fn age(&self, now: Instant) -> u64 {
        let age = now.saturating_duration_since(self.started);
        u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
    }
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
    fn a_rate_is_of_two_seconds_and_falls_while_nothing_comes() {
        let start = Instant::now();
        let meter = running(start, 10_000);
        let kbps = |after: u32| meter.read(start + (10_000 + after) * MS).kbps;
        assert!((796..=808).contains(&kbps(0)), "{}", kbps(0));
        // Half of the last two seconds, a quarter, and none.
        assert!((390..=410).contains(&kbps(1000)), "{}", kbps(1000));
        assert!((195..=205).contains(&kbps(1500)), "{}", kbps(1500));
        assert_eq!(kbps(2250), 0);
        assert_eq!(meter.read(start + 30_000 * MS).idle, 20_010 * MS);
    }

    #[test]
    fn a_rate_knows_nothing_of_what_was_before() {
        let start = Instant::now();
        let mut meter = running(start, 10_000);
        for at in (10_000..12_250).step_by(10) {
            meter.count(100, start + at * MS);
        }
        let kbps = meter.read(start + 12_250 * MS).kbps;
        assert!((79..=81).contains(&kbps), "{kbps}");
    }
}
