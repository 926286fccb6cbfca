//! The streams of the process by what they are called.
//!
//! By key, and those with an instance by their bare name, too: an application
//! may ask for one of these at each decision, and all of them wait for one lock.

use std::collections::HashMap;
use std::sync::Arc;

use super::StreamKey;
use super::stream::Stream;

/// Application and bare name.
pub(super) type BareName = (Arc<str>, Arc<str>);

#[derive(Debug, Default)]
pub(super) struct Names {
    by_key: HashMap<StreamKey, Arc<Stream>>,
    /// Those with an instance, by that; no entry is empty.
    by_name: HashMap<BareName, HashMap<Arc<str>, Arc<Stream>>>,
}

impl Names {
    pub(super) fn get(&self, key: &StreamKey) -> Option<&Arc<Stream>> {
        self.by_key.get(key)
    }

    /// The stream with this key; `make` makes one that is not there.
    pub(super) fn get_or_insert(
        &mut self,
        key: &StreamKey,
        make: impl FnOnce() -> Arc<Stream>,
    ) -> &Arc<Stream> {
        let Self { by_key, by_name } = self;
        by_key.entry(key.clone()).or_insert_with(|| {
            let stream = make();
            if let Some(instance) = &key.instance {
                let of_name = by_name.entry((key.app.clone(), key.name.clone()));
                let of_name = of_name.or_default();
                of_name.insert(instance.clone(), stream.clone());
            }
            stream
        })
    }

    pub(super) fn remove(&mut self, key: &StreamKey) {
        self.by_key.remove(key);
        let Some(instance) = &key.instance else {
            return;
        };
        let name = (key.app.clone(), key.name.clone());
        if let Some(of_name) = self.by_name.get_mut(&name) {
            of_name.remove(instance);
            if of_name.is_empty() {
                self.by_name.remove(&name);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty() && self.by_name.is_empty()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Stream>> {
        self.by_key.values()
    }

    /// Those that have this name, each in an instance.
    pub(super) fn in_instances(&self, name: &BareName) -> impl Iterator<Item = &Arc<Stream>> {
        self.by_name.get(name).into_iter().flat_map(HashMap::values)
    }
}
