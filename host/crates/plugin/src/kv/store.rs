//! The store itself: no clock, no lock, no disk.
//!
//! Flows in: keys, values, the time in Unix milliseconds. Flows out: values
//! with versions, and what changed since it was last asked. Bounded by a quota
//! of bytes; what has expired makes room before anything is refused.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

/// Bytes of a key.
pub(crate) const MAX_KEY: usize = 512;
/// Bytes of a value.
const MAX_VALUE: usize = 1 << 20;
/// What an entry costs beside its key and value, in bytes.
const OVERHEAD: usize = 128;
/// Versions start at the time, so many a millisecond: they are above those of
/// a run whose last changes did not reach the disk.
const VERSIONS_PER_MS: u64 = 1 << 20;

/// Why a change was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChangeRefused {
    #[error("the key or the value is too large")]
    TooLarge,
    #[error("the application's quota is used up")]
    Quota,
    #[error("the value is not a counter")]
    NotACounter,
    #[error("the counter would overflow")]
    Overflow,
}

/// One entry, in memory and on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) value: Bytes,
    pub(crate) version: u64,
    /// Unix milliseconds.
    pub(crate) expires: Option<u64>,
}

/// What changed: the new record of a key, or none when it is gone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) records: Vec<(Arc<str>, Option<Record>)>,
    /// The newest version given out.
    pub(crate) version: u64,
}

#[derive(Debug)]
struct Stored {
    record: Record,
    /// The disk has the key, perhaps with an older record.
    on_disk: bool,
}

#[derive(Debug)]
pub(crate) struct Store {
    entries: BTreeMap<Arc<str>, Stored>,
    /// Those that expire, by time.
    expiring: BTreeSet<(u64, Arc<str>)>,
    quota: usize,
    used: usize,
    /// Counts every change, so a version never returns.
    version: u64,
    /// Keys whose record differs from the disk's.
    dirty: HashSet<Arc<str>>,
    /// Keys that are being written, and whether the disk had them before.
    writing: HashMap<Arc<str>, bool>,
}

fn cost(key: &str, value: &[u8]) -> usize {
    key.len()
        .saturating_add(value.len())
        .saturating_add(OVERHEAD)
}

/// A time to live too long for the clock is for ever.
fn expiry(ttl_ms: Option<u64>, now: u64) -> Option<u64> {
    ttl_ms.and_then(|ttl| now.checked_add(ttl))
}

impl Store {
    /// An empty store for `quota` bytes of keys and values.
    pub(crate) fn new(quota: usize, now: u64) -> Self {
        Self::restored(quota, now, 0, [])
    }

    /// A store with what the disk has. `version` is the newest given out
    /// before, as far as the disk knows.
    pub(crate) fn restored(
        quota: usize,
        now: u64,
        version: u64,
        records: impl IntoIterator<Item = (Arc<str>, Record)>,
    ) -> Self {
        let mut store = Self {
            entries: BTreeMap::new(),
            expiring: BTreeSet::new(),
            quota,
            used: 0,
            version: version.max(now.saturating_mul(VERSIONS_PER_MS)),
            dirty: HashSet::new(),
            writing: HashMap::new(),
        };
        for (key, record) in records {
            store.version = store.version.max(record.version);
            store.used = store.used.saturating_add(cost(&key, &record.value));
            if let Some(expires) = record.expires {
                store.expiring.insert((expires, Arc::clone(&key)));
            }
            let on_disk = true;
            store.entries.insert(key, Stored { record, on_disk });
        }
        store.sweep(now);
        store
    }

    pub(crate) fn set_quota(&mut self, quota: usize) {
        self.quota = quota;
    }

    /// The live record of `key`.
    pub(crate) fn get(&mut self, key: &str, now: u64) -> Option<&Record> {
        self.sweep(now);
        self.entries.get(key).map(|stored| &stored.record)
    }

    /// The keys that begin with `prefix`, in order: those behind `after`, if there
    /// is one.
    pub(crate) fn keys<'a>(
        &'a mut self,
        prefix: &'a str,
        after: Option<&str>,
        now: u64,
    ) -> impl Iterator<Item = &'a str> {
        self.sweep(now);
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let keys = self.entries.range::<str, _>((start, Bound::Unbounded));
        let keys = keys.map(|(key, _)| &**key);
        keys.take_while(move |key| key.starts_with(prefix))
    }

    /// Every live record with its key.
    pub(crate) fn live(&mut self, now: u64) -> impl Iterator<Item = (&str, &Record)> {
        self.sweep(now);
        let entries = self.entries.iter();
        entries.map(|(key, stored)| (&**key, &stored.record))
    }

    pub(crate) fn remove(&mut self, key: &str) {
        let Some((key, stored)) = self.entries.remove_entry(key) else {
            return;
        };
        let Stored { record, on_disk } = stored;
        self.used = self.used.saturating_sub(cost(&key, &record.value));
        if let Some(expires) = record.expires {
            self.expiring.remove(&(expires, Arc::clone(&key)));
        }
        if on_disk || self.writing.contains_key(&key) {
            self.dirty.insert(key);
        } else {
            // Nobody but this store ever knew it.
            self.dirty.remove(&key);
        }
    }

    /// The new version.
    pub(crate) fn set(
        &mut self,
        key: String,
        value: impl Into<Bytes>,
        ttl_ms: Option<u64>,
        now: u64,
    ) -> Result<u64, ChangeRefused> {
        self.put(key, value.into(), expiry(ttl_ms, now), now)
    }

    fn put(
        &mut self,
        key: String,
        value: Bytes,
        expires: Option<u64>,
        now: u64,
    ) -> Result<u64, ChangeRefused> {
        if key.len() > MAX_KEY || value.len() > MAX_VALUE {
            return Err(ChangeRefused::TooLarge);
        }
        self.sweep(now);
        let freed = self
            .entries
            .get(key.as_str())
            .map_or(0, |old| cost(&key, &old.record.value));
        let needed = cost(&key, &value);
        let used = self.used.saturating_sub(freed).saturating_add(needed);
        if used > self.quota && needed > freed {
            return Err(ChangeRefused::Quota);
        }
        self.remove(&key);
        let key: Arc<str> = key.into();
        // A key that is dirty without an entry is one that the disk has.
        let on_disk = self.dirty.contains(&key);
        self.used = self.used.saturating_add(needed);
        self.version = self.version.saturating_add(1);
        if let Some(expires) = expires {
            self.expiring.insert((expires, Arc::clone(&key)));
        }
        self.dirty.insert(Arc::clone(&key));
        let record = Record {
            value,
            version: self.version,
            expires,
        };
        self.entries.insert(key, Stored { record, on_disk });
        Ok(self.version)
    }

    /// Sets the value if the key's version is `version`; 0 is that of none.
    pub(crate) fn cas(
        &mut self,
        key: String,
        value: Vec<u8>,
        version: u64,
        ttl_ms: Option<u64>,
        now: u64,
    ) -> Result<bool, ChangeRefused> {
        let present = self.get(&key, now).map_or(0, |record| record.version);
        if present != version {
            return Ok(false);
        }
        self.set(key, value, ttl_ms, now).map(|_| true)
    }

    /// A counter is its decimal text. The time to live counts from its
    /// creation, so a counter can stand for a period.
    pub(crate) fn incr(
        &mut self,
        key: String,
        by: i64,
        ttl_ms: Option<u64>,
        now: u64,
    ) -> Result<i64, ChangeRefused> {
        let (value, expires) = match self.get(&key, now) {
            Some(record) => {
                let number = std::str::from_utf8(&record.value)
                    .ok()
                    .and_then(|text| text.parse::<i64>().ok());
                (number.ok_or(ChangeRefused::NotACounter)?, record.expires)
            }
            None => (0, expiry(ttl_ms, now)),
        };
        let value = value.checked_add(by).ok_or(ChangeRefused::Overflow)?;
        self.put(key, value.to_string().into(), expires, now)?;
        Ok(value)
    }

    /// Removes what has expired.
    pub(crate) fn sweep(&mut self, now: u64) {
        while let Some((expires, key)) = self.expiring.first() {
            if *expires > now {
                return;
            }
            let key = Arc::clone(key);
            self.remove(&key);
        }
    }

    /// The disk has something else.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// What the disk does not have yet. [`Store::written`] says how that went.
    pub(crate) fn changes(&mut self) -> Changes {
        let records = self
            .dirty
            .drain()
            .map(|key| {
                let stored = self.entries.get(&key);
                let had = stored.is_none_or(|stored| stored.on_disk);
                let record = stored.map(|stored| stored.record.clone());
                self.writing.insert(Arc::clone(&key), had);
                (key, record)
            })
            .collect();
        Changes {
            records,
            version: self.version,
        }
    }

    /// The last [`Store::changes`] are on disk, or, when not `done`, will have
    /// to be written again.
    pub(crate) fn written(&mut self, done: bool) {
        for (key, had) in std::mem::take(&mut self.writing) {
            match self.entries.get_mut(&key) {
                Some(stored) => {
                    stored.on_disk = done || had;
                    if !done {
                        self.dirty.insert(key);
                    }
                }
                // It went meanwhile, and was dirty from then on.
                None if !done && !had => {
                    self.dirty.remove(&key);
                }
                None if !done => {
                    self.dirty.insert(key);
                }
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
