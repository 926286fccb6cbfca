//! Where the properties of persistent objects are, between clients and runs.

use bytes::Bytes;
use livehost_policy::PropertyStore;
use livehost_rtmp::shared_object::object::PropertyShelf;

use super::registry::Key;

/// Between the parts of a key; no instance and no object's name has it.
const SEPARATOR: char = '\0';

/// Keeps nothing: persistent objects last as long as the process.
#[derive(Debug, Clone, Copy)]
pub struct Forget;

impl PropertyStore for Forget {
    fn load(&self) -> Vec<(String, Bytes)> {
        Vec::new()
    }

    fn put(&self, _: String, _: &Bytes) -> bool {
        true
    }

    fn remove(&self, _: &str) {}

    fn set_quota(&self, _: usize) {}
}

/// The shelf of one object: a key of the keep for each property.
pub(super) struct ObjectShelf<'k> {
    keep: &'k dyn PropertyStore,
    key: &'k Key,
}

impl<'k> ObjectShelf<'k> {
    pub(super) fn new(keep: &'k dyn PropertyStore, key: &'k Key) -> Self {
        Self { keep, key }
    }

    fn key(&self, property: &str) -> String {
        let instance = self.key.instance.as_deref().unwrap_or_default();
        let name = &self.key.name;
        format!("{instance}{SEPARATOR}{name}{SEPARATOR}{property}")
    }
}

impl PropertyShelf for ObjectShelf<'_> {
    fn put(&mut self, property: &str, value: &Bytes) -> bool {
        self.keep.put(self.key(property), value)
    }

    fn remove(&mut self, property: &str) {
        self.keep.remove(&self.key(property));
    }
}

/// The object and the property that a key is of.
pub(super) fn parse(key: &str) -> Option<(Key, &str)> {
    let mut parts = key.splitn(3, SEPARATOR);
    let (instance, name, property) = (parts.next()?, parts.next()?, parts.next()?);
    let key = Key {
        instance: (!instance.is_empty()).then(|| instance.into()),
        name: name.to_owned(),
        persistent: true,
    };
    Some((key, property))
}
