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
pub fn get(key: &str) -> Result<Option<Entry>, KvError> {
    ask!(kv::get(key), |host| Ok(host.kv_get(key)))
}

/// Keeps a value, for `ttl_ms` or for good; its new version.
pub fn set(key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<u64, KvError> {
    ask!(kv::set(key, value, ttl_ms), |host| host
        .kv_put(key, value, ttl_ms))
}

/// Keeps a value if the present version is `version`; 0 stands for no value.
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
pub fn incr(key: &str, by: i64, ttl_ms: Option<u64>) -> Result<i64, KvError> {
    ask!(kv::incr(key, by, ttl_ms), |host| host
        .kv_incr(key, by, ttl_ms))
}

/// Forgets a value.
pub fn delete(key: &str) -> Result<(), KvError> {
    ask!(kv::delete(key), |host| {
        host.kv_delete(key);
        Ok(())
    })
}
