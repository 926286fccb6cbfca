//! Persistent shared objects: a store of their own for each application, in the
//! same database.

use std::sync::Arc;

use bytes::Bytes;
use livehost_policy::PropertyStore;

use super::Kv;

/// Where an application's shared objects keep what they have to.
pub(crate) struct KeptObjects(pub(crate) Arc<Kv>);

impl std::fmt::Debug for KeptObjects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptObjects").finish_non_exhaustive()
    }
}

impl PropertyStore for KeptObjects {
    fn load(&self) -> Vec<(String, Bytes)> {
        self.0.with(|store, now| {
            let live = store.live(now);
            live.map(|(key, record)| (key.to_owned(), record.value.clone()))
                .collect()
        })
    }

    fn put(&self, key: String, value: &Bytes) -> bool {
        let value = value.clone();
        self.0
            .with(|store, now| store.set(key, value, None, now))
            .is_ok()
    }

    fn remove(&self, key: &str) {
        self.0.with(|store, _| store.remove(key));
    }

    fn set_quota(&self, bytes: usize) {
        self.0.set_quota(bytes);
    }
}
