//! How long something took, counted in buckets.
//!
//! Two relaxed increments each time; read for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the buckets, microseconds; what is longer is in the last.
const BOUNDS: [u64; 14] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    3_000_000,
];
/// The bounds, and what is beyond them.
const BUCKETS: usize = BOUNDS.len() + 1;

/// A histogram that is added to by many at once.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencyCounts {
    /// Upper bound in seconds, infinity for the last, and how many were up to it but
    /// above the one before.
    pub buckets: Vec<(f64, u64)>,
    /// All of them together, seconds.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
}

impl Latency {
    /// Counts one that took so long.
    pub fn add(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum_us.fetch_add(us, Relaxed);
    }

    /// What was counted so far.
    pub fn read(&self) -> LatencyCounts {
        let bounds = BOUNDS.iter().map(|us| seconds(*us)).chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|bucket| bucket.load(Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        LatencyCounts {
            count: buckets.iter().map(|(_, count)| count).sum(),
            sum: seconds(self.sum_us.load(Relaxed)),
            buckets,
        }
    }
}

fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_in_the_first_bucket_that_it_is_not_above() {
        let latency = Latency::default();
        for us in [0, 50, 51, 3_000_000, 3_000_001, u64::MAX / 2] {
            latency.add(Duration::from_micros(us));
        }
        let read = latency.read();
        assert_eq!(read.count, 6);
        assert_eq!(read.buckets[0], (0.000_05, 2));
        assert_eq!(read.buckets[1], (0.000_1, 1));
        assert_eq!(read.buckets[13], (3.0, 1));
        assert_eq!(read.buckets[14], (f64::INFINITY, 2));
    }
}
