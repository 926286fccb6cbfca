//! `kv`: the application's state, see [`crate::plugin::kv`].

use crate::plugin::bindings::livehost::app::kv::{Entry, Host, KvError};
use crate::plugin::instance::State;
use crate::plugin::kv::{Refused, Store};

impl State {
    /// Changes the store; a refusal is counted.
    fn change<R>(
        &self,
        change: impl FnOnce(&mut Store, u64) -> Result<R, Refused>,
    ) -> Result<R, KvError> {
        self.app.kv.with(change).map_err(|refused| {
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
        Ok(self.app.kv.with(|store, now| {
            store.get(&key, now).map(|record| Entry {
                value: record.value.to_vec(),
                version: record.version,
            })
        }))
    }

    fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: Option<u64>) -> Result<u64, KvError> {
        self.change(|store, now| store.set(key, value, ttl_ms, now))
    }

    fn cas(
        &mut self,
        key: String,
        value: Vec<u8>,
        version: u64,
        ttl_ms: Option<u64>,
    ) -> Result<bool, KvError> {
        self.change(|store, now| store.cas(key, value, version, ttl_ms, now))
    }

    fn incr(&mut self, key: String, by: i64, ttl_ms: Option<u64>) -> Result<i64, KvError> {
        self.change(|store, now| store.incr(key, by, ttl_ms, now))
    }

    fn delete(&mut self, key: String) -> Result<(), KvError> {
        self.app.kv.with(|store, _| store.remove(&key));
        Ok(())
    }
}
