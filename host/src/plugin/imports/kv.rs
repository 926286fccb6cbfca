//! `kv`: the application's state, in memory.
//!
//! Shared by all instances, kept across reloads and traps. Flows in: keys,
//! values, the time. Flows out: values with versions. Bounded by a quota of
//! bytes; what has expired makes room before anything is refused.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::plugin::bindings::livehost::app::kv::{Entry, Host, KvError};
use crate::plugin::instance::State;

/// Bytes of a key.
const MAX_KEY: usize = 512;
/// Bytes of a value.
const MAX_VALUE: usize = 1 << 20;
/// What an entry costs beside its key and value, in bytes.
const OVERHEAD: usize = 96;

/// One application's store.
pub(crate) struct Kv {
    store: Mutex<Store>,
}

impl Kv {
    /// An empty store that may hold `quota` bytes of keys and values.
    pub(crate) fn new(quota: usize) -> Self {
        Self {
            store: Mutex::new(Store::new(quota)),
        }
    }

    /// Another quota from now on, in bytes.
    pub(crate) fn set_quota(&self, quota: usize) {
        self.with(|store, _| store.quota = quota);
    }

    fn with<R>(&self, f: impl FnOnce(&mut Store, Instant) -> R) -> R {
        f(&mut self.store.lock(), Instant::now())
    }
}

impl Host for State {
    fn get(&mut self, key: String) -> Result<Option<Entry>, KvError> {
        Ok(self.app.kv.with(|store, now| store.get(&key, now)))
    }

    fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: Option<u64>) -> Result<u64, KvError> {
        self.app
            .kv
            .with(|store, now| store.set(key, value, ttl_ms, now))
    }

    fn cas(
        &mut self,
        key: String,
        value: Vec<u8>,
        version: u64,
        ttl_ms: Option<u64>,
    ) -> Result<bool, KvError> {
        self.app
            .kv
            .with(|store, now| store.cas(key, value, version, ttl_ms, now))
    }

    fn incr(&mut self, key: String, by: i64, ttl_ms: Option<u64>) -> Result<i64, KvError> {
        self.app
            .kv
            .with(|store, now| store.incr(key, by, ttl_ms, now))
    }

    fn delete(&mut self, key: String) -> Result<(), KvError> {
        self.app.kv.with(|store, _| store.remove(&key));
        Ok(())
    }
}

#[derive(Debug)]
struct Stored {
    value: Vec<u8>,
    version: u64,
    expires: Option<Instant>,
}

impl Stored {
    fn expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// The store itself: no clock, no lock.
#[derive(Debug)]
struct Store {
    entries: HashMap<String, Stored>,
    quota: usize,
    used: usize,
    /// Counts every change, so a version never returns.
    version: u64,
}

fn cost(key: &str, value: &[u8]) -> usize {
    key.len()
        .saturating_add(value.len())
        .saturating_add(OVERHEAD)
}

/// A time to live too long for the clock is for ever.
fn expiry(ttl_ms: Option<u64>, now: Instant) -> Option<Instant> {
    ttl_ms.and_then(|ttl| now.checked_add(Duration::from_millis(ttl)))
}

impl Store {
    fn new(quota: usize) -> Self {
        Self {
            entries: HashMap::new(),
            quota,
            used: 0,
            version: 0,
        }
    }

    /// The live entry of `key`; an expired one is removed.
    fn live(&mut self, key: &str, now: Instant) -> Option<&Stored> {
        if self.entries.get(key)?.expired(now) {
            self.remove(key);
            return None;
        }
        self.entries.get(key)
    }

    fn get(&mut self, key: &str, now: Instant) -> Option<Entry> {
        self.live(key, now).map(|stored| Entry {
            value: stored.value.clone(),
            version: stored.version,
        })
    }

    fn remove(&mut self, key: &str) {
        if let Some((key, stored)) = self.entries.remove_entry(key) {
            self.used = self.used.saturating_sub(cost(&key, &stored.value));
        }
    }

    fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
        now: Instant,
    ) -> Result<u64, KvError> {
        self.put(key, value, expiry(ttl_ms, now), now)
    }

    fn put(
        &mut self,
        key: String,
        value: Vec<u8>,
        expires: Option<Instant>,
        now: Instant,
    ) -> Result<u64, KvError> {
        if key.len() > MAX_KEY || value.len() > MAX_VALUE {
            return Err(KvError::TooLarge);
        }
        let needed = cost(&key, &value);
        let freed = self
            .entries
            .get(&key)
            .map_or(0, |old| cost(&key, &old.value));
        if self.used.saturating_sub(freed).saturating_add(needed) > self.quota {
            self.sweep(now);
            // The entry itself may have been swept.
            let freed = self
                .entries
                .get(&key)
                .map_or(0, |old| cost(&key, &old.value));
            if self.used.saturating_sub(freed).saturating_add(needed) > self.quota {
                return Err(KvError::Quota);
            }
        }
        self.remove(&key);
        self.used = self.used.saturating_add(needed);
        self.version = self.version.saturating_add(1);
        let version = self.version;
        self.entries.insert(
            key,
            Stored {
                value,
                version,
                expires,
            },
        );
        Ok(version)
    }

    fn cas(
        &mut self,
        key: String,
        value: Vec<u8>,
        version: u64,
        ttl_ms: Option<u64>,
        now: Instant,
    ) -> Result<bool, KvError> {
        let present = self.live(&key, now).map_or(0, |stored| stored.version);
        if present != version {
            return Ok(false);
        }
        self.set(key, value, ttl_ms, now).map(|_| true)
    }

    /// A counter is its decimal text. The time to live counts from its
    /// creation, so a counter can stand for a period.
    fn incr(
        &mut self,
        key: String,
        by: i64,
        ttl_ms: Option<u64>,
        now: Instant,
    ) -> Result<i64, KvError> {
        let unavailable = |reason: &str| Err(KvError::Unavailable(reason.into()));
        let (value, expires) = match self.live(&key, now) {
            Some(stored) => {
                let number = std::str::from_utf8(&stored.value)
                    .ok()
                    .and_then(|text| text.parse::<i64>().ok());
                let Some(number) = number else {
                    return unavailable("the value is not a counter");
                };
                (number, stored.expires)
            }
            None => (0, expiry(ttl_ms, now)),
        };
        let Some(value) = value.checked_add(by) else {
            return unavailable("the counter would overflow");
        };
        self.put(key, value.to_string().into_bytes(), expires, now)?;
        Ok(value)
    }

    /// Removes what has expired.
    fn sweep(&mut self, now: Instant) {
        let used = &mut self.used;
        self.entries.retain(|key, stored| {
            let live = !stored.expired(now);
            if !live {
                *used = used.saturating_sub(cost(key, &stored.value));
            }
            live
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(quota: usize) -> (Store, Instant) {
        (Store::new(quota), Instant::now())
    }

    fn set(store: &mut Store, key: &str, value: &[u8], now: Instant) -> Result<u64, KvError> {
        store.set(key.into(), value.to_vec(), None, now)
    }

    #[test]
    fn every_change_has_a_new_version() {
        let (mut kv, now) = store(1 << 20);
        let first = set(&mut kv, "a", b"1", now).unwrap();
        let second = set(&mut kv, "a", b"2", now).unwrap();
        assert!(second > first);
        kv.remove("a");
        let third = set(&mut kv, "a", b"3", now).unwrap();
        assert!(third > second, "a deleted key's version must not return");
        let entry = kv.get("a", now).unwrap();
        assert_eq!((entry.value, entry.version), (b"3".to_vec(), third));
    }

    #[test]
    fn values_expire() {
        let (mut kv, now) = store(1 << 20);
        kv.set("a".into(), b"1".to_vec(), Some(1000), now).unwrap();
        assert!(kv.get("a", now + Duration::from_millis(999)).is_some());
        assert!(kv.get("a", now + Duration::from_millis(1000)).is_none());
        assert_eq!(kv.used, 0);
    }

    #[test]
    fn an_endless_time_to_live_is_for_ever() {
        let (mut kv, now) = store(1 << 20);
        kv.set("a".into(), b"1".to_vec(), Some(u64::MAX), now)
            .unwrap();
        assert!(kv.get("a", now + Duration::from_secs(1 << 30)).is_some());
    }

    #[test]
    fn cas_swaps_only_the_known_version() {
        let (mut kv, now) = store(1 << 20);
        let mut cas = |value: &[u8], version| {
            kv.cas("a".into(), value.to_vec(), version, None, now)
                .unwrap()
        };
        assert!(!cas(b"1", 7), "absent, but a version was expected");
        assert!(cas(b"1", 0), "0 is: must not exist");
        assert!(!cas(b"2", 0));
        let version = kv.get("a", now).unwrap().version;
        assert!(
            kv.cas("a".into(), b"2".to_vec(), version, None, now)
                .unwrap()
        );
        assert!(
            !kv.cas("a".into(), b"3".to_vec(), version, None, now)
                .unwrap()
        );
    }

    #[test]
    fn counters_count_and_keep_their_period() {
        let (mut kv, now) = store(1 << 20);
        let later = now + Duration::from_millis(900);
        assert_eq!(kv.incr("n".into(), 2, Some(1000), now).unwrap(), 2);
        assert_eq!(kv.incr("n".into(), -5, Some(1000), later).unwrap(), -3);
        let after = now + Duration::from_millis(1001);
        assert_eq!(kv.incr("n".into(), 1, Some(1000), after).unwrap(), 1);
        assert_eq!(kv.get("n", after).unwrap().value, b"1");
    }

    #[test]
    fn counters_refuse_overflow_and_other_values() {
        let (mut kv, now) = store(1 << 20);
        kv.incr("n".into(), i64::MAX, None, now).unwrap();
        assert!(kv.incr("n".into(), 1, None, now).is_err());
        assert_eq!(kv.incr("n".into(), -1, None, now).unwrap(), i64::MAX - 1);
        set(&mut kv, "text", b"hello", now).unwrap();
        assert!(kv.incr("text".into(), 1, None, now).is_err());
    }

    #[test]
    fn the_quota_holds_and_is_freed_again() {
        let (mut kv, now) = store(3 * (OVERHEAD + 101));
        for key in ["a", "b", "c"] {
            set(&mut kv, key, &[0; 100], now).unwrap();
        }
        assert!(matches!(set(&mut kv, "d", b"", now), Err(KvError::Quota)));
        // The same size again, in place of the old.
        set(&mut kv, "a", &[1; 100], now).unwrap();
        kv.remove("b");
        set(&mut kv, "d", &[0; 100], now).unwrap();
        assert!(kv.used <= kv.quota);
    }

    #[test]
    fn expired_entries_make_room() {
        let (mut kv, now) = store(OVERHEAD + 101);
        kv.set("a".into(), vec![0; 100], Some(10), now).unwrap();
        let later = now + Duration::from_millis(10);
        set(&mut kv, "b", &[0; 100], later).unwrap();
        assert_eq!(kv.entries.len(), 1);
    }

    #[test]
    fn large_keys_and_values_are_refused() {
        let (mut kv, now) = store(usize::MAX);
        let key = "k".repeat(MAX_KEY + 1);
        assert!(matches!(
            set(&mut kv, &key, b"", now),
            Err(KvError::TooLarge)
        ));
        let value = vec![0; MAX_VALUE + 1];
        assert!(matches!(
            set(&mut kv, "k", &value, now),
            Err(KvError::TooLarge)
        ));
    }
}
