//! The time of day.

use std::time::Duration;

/// Since 1970, UTC. In native tests the clock of the
/// [`MockHost`](crate::testing::MockHost), if there is one.
///
/// ```
/// use std::time::Duration;
/// use livehost_sdk::{clock, testing::MockHost};
///
/// let host = MockHost::new();
/// let before = clock::unix();
/// host.advance(Duration::from_secs(60));
/// assert_eq!(clock::unix() - before, Duration::from_secs(60));
/// ```
pub fn unix() -> Duration {
    #[cfg(not(target_family = "wasm"))]
    if let Some(unix) = crate::testing::try_with(|host| host.unix()) {
        return unix;
    }
    // Before 1970 nothing has expired, and nothing is valid yet.
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
}
