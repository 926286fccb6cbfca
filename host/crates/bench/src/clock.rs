//! One clock for publishers and players: both are in this process, so a
//! latency is a difference of two readings.

use std::{sync::LazyLock, time::Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// One second in nanoseconds.
pub(crate) const SECOND: u64 = 1_000_000_000;
/// One millisecond in nanoseconds.
pub(crate) const MILLI: u64 = 1_000_000;

/// Nanoseconds since the first call.
pub(crate) fn now_ns() -> u64 {
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
