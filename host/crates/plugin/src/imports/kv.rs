//! `kv`: the application's state, see [`crate::kv`].
//!
//! A key that is too long is not looked up: there is none.

use crate::bindings::livehost::app::kv::{Entry, Host, KvError};
use crate::imports::registry::bounded;
use crate::instance::HostState;
use crate::kv::{ChangeRefused, MAX_KEY, Store};

impl HostState {
    /// Changes the store; a refusal is counted.
    fn change<R>(
        &self,
        key: String,
        change: impl FnOnce(&mut Store, String, u64) -> Result<R, ChangeRefused>,
    ) -> Result<R, KvError> {
        let changed = match key.len() <= MAX_KEY {
            true => self.app.kv.with(|store, now| change(store, key, now)),
            false => Err(ChangeRefused::TooLarge),
        };
        changed.map_err(|refused| {
            let stats = &self.app.stats;
            let (counter, error) = match refused {
                ChangeRefused::TooLarge => (&stats.kv_too_large, KvError::TooLarge),
                ChangeRefused::Quota => (&stats.kv_over_quota, KvError::Quota),
                ChangeRefused::NotACounter | ChangeRefused::Overflow => {
                    let reason = refused.to_string();
                    (&stats.kv_not_counted, KvError::Unavailable(reason))
                }
            };
            counter.add();
            error
        })
    }
}

/// The keys of an answer, in bytes.
const MAX_ANSWER: usize = 4 << 20;

impl HostState {
    /// Whether there can be something under `key`. If not, the guest may not know
    /// that it asks in vain.
    fn is_key(&self, key: &str) -> bool {
        let fits = key.len() <= MAX_KEY;
        if !fits {
            let found = key.len();
            let message = format!(
                "nothing was looked up in kv: expected a key of at most {MAX_KEY} bytes, found \
                 {found}"
            );
            self.warn(&message);
        }
        fits
    }
}

impl Host for HostState {
    fn get(&mut self, key: String) -> Result<Option<Entry>, KvError> {
        if !self.is_key(&key) {
            return Ok(None);
        }
        Ok(self.app.kv.with(|store, now| {
            store.get(&key, now).map(|record| Entry {
                value: record.value.to_vec(),
                version: record.version,
            })
        }))
    }

    fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: Option<u64>) -> Result<u64, KvError> {
        self.change(key, |store, key, now| store.set(key, value, ttl_ms, now))
    }

    fn cas(
        &mut self,
        key: String,
        value: Vec<u8>,
        version: u64,
        ttl_ms: Option<u64>,
    ) -> Result<bool, KvError> {
        self.change(key, |store, key, now| {
            store.cas(key, value, version, ttl_ms, now)
        })
    }

    fn incr(&mut self, key: String, by: i64, ttl_ms: Option<u64>) -> Result<i64, KvError> {
        self.change(key, |store, key, now| store.incr(key, by, ttl_ms, now))
    }

    fn delete(&mut self, key: String) -> Result<(), KvError> {
        if self.is_key(&key) {
            self.app.kv.with(|store, _| store.remove(&key));
        }
        Ok(())
    }

    fn list(
        &mut self,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<String>, KvError> {
        let mut left = MAX_ANSWER;
        let keys = self.app.kv.with(|store, now| {
            let keys = store.keys(&prefix, after.as_deref(), now);
            let keys = keys.take(bounded(limit)).map_while(|key| {
                left = left.checked_sub(key.len().saturating_add(size_of::<String>()))?;
                Some(key.to_owned())
            });
            keys.collect()
        });
        Ok(keys)
    }
}
