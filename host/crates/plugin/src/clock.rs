//! The time that an application's plugin sees: the system's, or one that
//! stands still until it is moved, so that a plugin can be tried at any hour.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// A clock; clones show the same time. The default is the system's.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<StoppedClock>>);

#[derive(Debug)]
struct StoppedClock {
    start: Instant,
    shown: Mutex<Shown>,
}

#[derive(Debug, Clone, Copy)]
struct Shown {
    /// Since the start; never goes back.
    passed: Duration,
    /// Since 1970, UTC.
    unix: Duration,
}

impl Clock {
    /// A clock that stands at `unix` after 1970, UTC, until it is moved.
    pub fn standing(unix: Duration) -> Self {
        let passed = Duration::ZERO;
        Self(Some(Arc::new(StoppedClock {
            start: Instant::now(),
            shown: Mutex::new(Shown { passed, unix }),
        })))
    }

    /// Lets time pass on a standing clock; the system's goes by itself.
    pub fn advance(&self, time: Duration) {
        if let Some(standing) = &self.0 {
            let mut shown = standing.shown.lock();
            shown.passed = shown.passed.saturating_add(time);
            shown.unix = shown.unix.saturating_add(time);
        }
    }

    /// Sets the date of a standing clock; no time passes.
    pub fn set(&self, unix: Duration) {
        if let Some(standing) = &self.0 {
            standing.shown.lock().unix = unix;
        }
    }

    /// For intervals.
    pub(super) fn instant(&self) -> Instant {
        match &self.0 {
            Some(standing) => {
                let passed = standing.shown.lock().passed;
                // Beyond the clock's end it stays where it started.
                let now = standing.start.checked_add(passed);
                now.unwrap_or(standing.start)
            }
            None => Instant::now(),
        }
    }

    /// Since 1970, UTC.
    pub(super) fn unix(&self) -> Duration {
        match &self.0 {
            Some(standing) => standing.shown.lock().unix,
            // A system whose clock is before 1970 shows 1970.
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    /// What a standing clock shows; none if it is the system's.
    pub fn standing_at(&self) -> Option<Duration> {
        let standing = self.0.as_ref()?;
        Some(standing.shown.lock().unix)
    }
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.unix()
    }
}

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        let passed = match &self.0 {
            Some(standing) => standing.shown.lock().passed,
            None => self.unix(),
        };
        u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX)
    }
}
