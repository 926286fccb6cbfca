//! The objects of one application.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use livehost_policy::PropertyStore;
use parking_lot::Mutex;
use tracing::warn;

use super::keep;
use super::room::{Room, RoomId};
use super::{MAX_NAME, ObjectSettings};

/// Which object: a persistent one and another that is not may have one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Of the application.
    pub(super) instance: Option<Arc<str>>,
    pub(super) name: String,
    pub(super) persistent: bool,
}

/// The objects of one application, in all its instances.
#[derive(Debug)]
pub struct Objects {
    settings: ArcSwap<ObjectSettings>,
    keep: Arc<dyn PropertyStore>,
    rooms: Mutex<HashMap<Key, Arc<Room>>>,
    next: AtomicU64,
}

/// Why there is no such object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooManyObjects {
    #[error("expected a name of 1 to {MAX_NAME} bytes without control characters")]
    Name,
    #[error("the application has all the shared objects that it may have")]
    Full,
}

/// Whether an object can have this name.
pub fn is_name(name: &str) -> bool {
    let lengths = 1..=MAX_NAME;
    lengths.contains(&name.len()) && !name.chars().any(char::is_control)
}

impl Objects {
    /// With the persistent objects that `keep` has.
    pub fn new(settings: ObjectSettings, keep: Arc<dyn PropertyStore>) -> Arc<Self> {
        let objects = Self {
            settings: ArcSwap::from_pointee(settings),
            rooms: Mutex::default(),
            next: AtomicU64::new(0),
            keep,
        };
        objects.restore(&settings);
        Arc::new(objects)
    }

    fn restore(&self, settings: &ObjectSettings) {
        let mut rooms: HashMap<Key, Room> = HashMap::new();
        for (text, value) in self.keep.load() {
            let Some((key, property)) = keep::parse(&text) else {
                warn!(key = text, "kept of a shared object, and not understood");
                continue;
            };
            let room = rooms
                .entry(key)
                .or_insert_with_key(|key| Room::new(self.id(), key.clone(), settings));
            room.restore(property, value);
        }
        let rooms = rooms.into_iter().map(|(key, room)| (key, Arc::new(room)));
        self.rooms.lock().extend(rooms);
    }

    /// The settings for what is done now.
    pub fn settings(&self) -> ObjectSettings {
        **self.settings.load()
    }

    /// Replaces the settings; what is there stays.
    pub fn set_settings(&self, settings: ObjectSettings) {
        self.keep.set_quota(settings.kept);
        self.settings.store(Arc::new(settings));
    }

    pub(super) fn keep(&self) -> &dyn PropertyStore {
        &*self.keep
    }

    /// The object of this key, made if need be.
    pub(super) fn room(&self, key: &Key) -> Result<Arc<Room>, TooManyObjects> {
        if !is_name(&key.name) {
            return Err(TooManyObjects::Name);
        }
        let settings = self.settings();
        let mut rooms = self.rooms.lock();
        if let Some(room) = rooms.get(key) {
            return Ok(room.clone());
        }
        if rooms.len() >= settings.objects {
            return Err(TooManyObjects::Full);
        }
        let room = Arc::new(Room::new(self.id(), key.clone(), &settings));
        rooms.insert(key.clone(), room.clone());
        Ok(room)
    }

    /// Lets go of an object that nobody needs.
    pub(super) fn tidy(&self, room: &Room) {
        let mut rooms = self.rooms.lock();
        if room.close_if_over()
            && rooms
                .get(&room.key)
                .is_some_and(|there| there.id == room.id)
        {
            rooms.remove(&room.key);
        }
    }

    fn id(&self) -> RoomId {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.rooms.lock().len()
    }
}
