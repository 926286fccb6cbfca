//! The application's state: shared by all instances, kept across reloads,
//! traps and restarts. `wit/0.1/imports.wit` has the limits.
//!
//! ```
//! use livehost_sdk::{kv, testing::MockHost};
//!
//! let _host = MockHost::new();
//! assert_eq!(kv::incr("publishes/cam1", 1, None)?, 1);
//! assert_eq!(kv::incr("publishes/cam1", 1, None)?, 2);
//! let entry = kv::get("publishes/cam1")?.expect("it was counted");
//! assert_eq!(entry.value, b"2");
//! // Only if nobody changed it since:
//! assert!(kv::cas("publishes/cam1", b"0", entry.version, None)?);
//! # Ok::<(), kv::KvError>(())
//! ```

pub use crate::bindings::livehost::app::kv::{Entry, KvError};
use crate::import::ask;

/// A value with its version.
///
/// ```
/// # use livehost_sdk::{kv, testing::MockHost};
/// let host = MockHost::new();
/// host.set_kv("motd", "hello");
/// let entry = kv::get("motd")?.expect("it was set");
/// assert_eq!(entry.value, b"hello");
/// assert!(kv::get("other")?.is_none());
/// # Ok::<(), kv::KvError>(())
/// ```
pub fn get(key: &str) -> Result<Option<Entry>, KvError> {
    ask!(kv::get(key), |host| Ok(host.kv_get(key)))
}

/// Keeps a value, for `ttl_ms` or for good; its new version.
///
/// ```
/// # use livehost_sdk::{kv, testing::MockHost};
/// # use std::time::Duration;
/// let host = MockHost::new();
/// let first = kv::set("banned/203.0.113.7", b"spam", Some(60_000))?;
/// let second = kv::set("banned/203.0.113.7", b"more spam", Some(60_000))?;
/// assert!(first < second);
/// host.advance(Duration::from_secs(60));
/// assert!(kv::get("banned/203.0.113.7")?.is_none());
/// # Ok::<(), kv::KvError>(())
/// ```
pub fn set(key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<u64, KvError> {
    ask!(kv::set(key, value, ttl_ms), |host| host
        .kv_put(key, value, ttl_ms))
}

/// Keeps a value if the present version is `version`; 0 stands for no value.
///
/// ```
/// # use livehost_sdk::{kv, testing::MockHost};
/// /// Takes the seat, unless another call was first.
/// fn take(seat: &str, user: &str) -> Result<bool, kv::KvError> {
///     kv::cas(&format!("seats/{seat}"), user.as_bytes(), 0, None)
/// }
///
/// let host = MockHost::new();
/// assert!(take("4", "ann")?);
/// assert!(!take("4", "bob")?);
/// assert_eq!(host.kv("seats/4").as_deref(), Some("ann"));
/// # Ok::<(), kv::KvError>(())
/// ```
pub fn cas(key: &str, value: &[u8], version: u64, ttl_ms: Option<u64>) -> Result<bool, KvError> {
    ask!(kv::cas(key, value, version, ttl_ms), |host| {
        let present = host.kv_get(key).map_or(0, |entry| entry.version);
        if present != version {
            return Ok(false);
        }
        host.kv_put(key, value, ttl_ms).map(|_| true)
    })
}

/// Adds to a counter, kept as decimal text; an absent one counts from 0.
/// `ttl_ms` counts from its creation.
///
/// ```
/// # use livehost_sdk::{kv, testing::MockHost};
/// # use std::time::Duration;
/// /// At most three publishes a minute and address.
/// fn too_often(address: &str) -> Result<bool, kv::KvError> {
///     Ok(kv::incr(&format!("tries/{address}"), 1, Some(60_000))? > 3)
/// }
///
/// let host = MockHost::new();
/// for _ in 0..3 {
///     assert!(!too_often("203.0.113.7")?);
/// }
/// assert!(too_often("203.0.113.7")?);
/// host.advance(Duration::from_secs(60));
/// assert!(!too_often("203.0.113.7")?);
/// # Ok::<(), kv::KvError>(())
/// ```
pub fn incr(key: &str, by: i64, ttl_ms: Option<u64>) -> Result<i64, KvError> {
    ask!(kv::incr(key, by, ttl_ms), |host| host
        .kv_incr(key, by, ttl_ms))
}

/// Forgets a value.
///
/// ```
/// # use livehost_sdk::{kv, testing::MockHost};
/// let host = MockHost::new();
/// host.set_kv("motd", "hello");
/// kv::delete("motd")?;
/// assert!(kv::get("motd")?.is_none());
/// # Ok::<(), kv::KvError>(())
/// ```
pub fn delete(key: &str) -> Result<(), KvError> {
    ask!(kv::delete(key), |host| {
        host.kv_delete(key);
        Ok(())
    })
}

/// Up to `limit` keys that begin with `prefix`, in the order of their bytes; with
/// `after`, those behind it. An answer has at most 10,000 keys and 4 MiB.
///
/// ```
/// # use livehost_sdk::{kv, testing::MockHost};
/// let host = MockHost::new();
/// for key in ["seats/1", "seats/2", "seats/3", "motd"] {
///     host.set_kv(key, "ann");
/// }
/// let mut seats = Vec::new();
/// loop {
///     let page = kv::list("seats/", seats.last().map(String::as_str), 2)?;
///     if page.is_empty() {
///         break;
///     }
///     seats.extend(page);
/// }
/// assert_eq!(seats, ["seats/1", "seats/2", "seats/3"]);
/// # Ok::<(), kv::KvError>(())
/// ```
pub fn list(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, KvError> {
    ask!(kv::list(prefix, after, limit), |host| Ok(
        host.kv_list(prefix, after, limit)
    ))
}
