//! `kv`: the application's state, see [`crate::plugin::kv`].
//!
//! A key that is too long is not looked up: there is none.

use crate::plugin::bindings::livehost::app::kv::{Entry, Host, KvError};
use crate::plugin::instance::State;
use crate::plugin::kv::{MAX_KEY, Refused, Store};

impl State {
    /// Changes the store; a refusal is counted.
    fn change<R>(
        &self,
        key: String,
        change: impl FnOnce(&mut Store, String, u64) -> Result<R, Refused>,
    ) -> Result<R, KvError> {
        let changed = match key.len() <= MAX_KEY {
            true => self.app.kv.with(|store, now| change(store, key, now)),
            false => Err(Refused::TooLarge),
        };
        changed.map_err(|refused| {
            let stats = &self.app.stats;
            let (counter, error) = match refused {
                Refused::TooLarge => (&stats.kv_too_large, KvError::TooLarge),
                Refused::Quota => (&stats.kv_over_quota, KvError::Quota),
                Refused::NotACounter | Refused::Overflow => {
                    let reason = refused.to_string();
                    (&stats.kv_not_counted, KvError::Unavailable(reason))
                }
            };
            counter.add();
            error
        })
    }
}

impl Host for State {
    fn get(&mut self, key: String) -> Result<Option<Entry>, KvError> {
        if key.len() > MAX_KEY {
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
        if key.len() > MAX_KEY {
            return Ok(());
        }
        self.app.kv.with(|store, _| store.remove(&key));
        Ok(())
    }
}
