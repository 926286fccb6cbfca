//! Calls of [`App::on_timer`](crate::App::on_timer) at a later time. A timer
//! belongs to the application: it fires once, on any instance, and survives
//! reloads.
//!
//! ```
//! use std::time::Duration;
//! use livehost_sdk::{testing::MockHost, timers};
//!
//! let host = MockHost::new();
//! timers::set("sweep", 1000, Some(1000));
//! assert!(host.advance(Duration::from_millis(999)).is_empty());
//! assert_eq!(host.advance(Duration::from_secs(2)), ["sweep", "sweep"]);
//! ```

use crate::import::ask;

/// Fires in `delay_ms`, then every `every_ms` (at least 10). The same key
/// replaces.
///
/// ```
/// # use livehost_sdk::{testing::MockHost, timers};
/// # use std::time::Duration;
/// let host = MockHost::new();
/// timers::set("close", 60_000, None);
/// // Later than it was.
/// timers::set("close", 90_000, None);
/// assert!(host.advance(Duration::from_secs(89)).is_empty());
/// assert_eq!(host.advance(Duration::from_secs(10)), ["close"]);
/// ```
pub fn set(key: &str, delay_ms: u64, every_ms: Option<u64>) {
    ask!(timers::set(key, delay_ms, every_ms), |host| host
        .timer(key, delay_ms, every_ms));
}

/// Does not fire any more.
///
/// ```
/// # use livehost_sdk::{testing::MockHost, timers};
/// # use std::time::Duration;
/// let host = MockHost::new();
/// timers::set("close", 60_000, None);
/// timers::cancel("close");
/// assert!(host.advance(Duration::from_secs(60)).is_empty());
/// ```
pub fn cancel(key: &str) {
    ask!(timers::cancel(key), |host| host.cancel(key));
}
