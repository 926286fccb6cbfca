//! One object with the mailboxes of its clients.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use livehost_policy::PropertyStore;
use livehost_rtmp::shared_object::SharedObjectMessage;
use livehost_rtmp::shared_object::object::{ClientId, NoShelf, Ruling, SharedObject};
use parking_lot::Mutex;

use super::Mailbox;
use super::ObjectSettings;
use super::keep::ObjectShelf;
use super::registry::Key;

/// An object for its life in memory.
pub(super) type RoomId = u64;

/// An object that is there.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) id: RoomId,
    pub(super) key: Key,
    inner: Mutex<ObjectsInner>,
}

#[derive(Debug)]
struct ObjectsInner {
    object: SharedObject,
    mailboxes: BTreeMap<ClientId, Arc<Mailbox>>,
    /// Taken out of the registry: nobody enters any more.
    closed: bool,
}

/// The room was closed meanwhile; another may be open.
#[derive(Debug)]
pub(super) struct Closed;

impl Room {
    pub(super) fn new(id: RoomId, key: Key, settings: &ObjectSettings) -> Self {
        let object = SharedObject::new(&*key.name, key.persistent, settings.of_object());
        Self {
            id,
            key,
            inner: Mutex::new(ObjectsInner {
                object,
                mailboxes: BTreeMap::new(),
                closed: false,
            }),
        }
    }

    /// A property that was kept.
    pub(super) fn restore(&mut self, property: &str, value: Bytes) {
        self.inner.get_mut().object.restore(property, value);
    }

    /// Acts on a client's message and tells everybody. True while the client
    /// uses the object.
    pub(super) fn act(
        &self,
        (client, mailbox): (ClientId, &Arc<Mailbox>),
        (message, rulings): (&SharedObjectMessage, &[Ruling]),
        settings: &ObjectSettings,
        keep: &dyn PropertyStore,
    ) -> Result<bool, Closed> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(Closed);
        }
        let ObjectsInner {
            object, mailboxes, ..
        } = &mut *inner;
        object.set_limits(settings.of_object());
        let told = if self.key.persistent {
            let mut shelf = ObjectShelf::new(keep, &self.key);
            object.handle(client, message, rulings, &mut shelf)
        } else {
            object.handle(client, message, rulings, &mut NoShelf)
        };
        let stays = object.has(client);
        if stays {
            mailboxes.insert(client, mailbox.clone());
        } else {
            mailboxes.remove(&client);
            mailbox.caught_up(self.id);
        }
        if let Some(own) = told.own {
            mailbox.answer(self.id, own.encode());
        }
        if let Some(others) = told.others {
            let body = others.encode();
            let others = mailboxes.iter().filter(|(id, _)| **id != client);
            for (_, mailbox) in others {
                mailbox.post(self.id, body.clone());
            }
        }
        Ok(stays)
    }

    /// The client is gone.
    pub(super) fn leave(&self, client: ClientId) {
        let mut inner = self.inner.lock();
        inner.object.leave(client);
        inner.mailboxes.remove(&client);
    }

    /// The whole state, for a client that has missed some of it; what follows
    /// goes to its mailbox again.
    pub(super) fn catch_up(&self, mailbox: &Mailbox) -> Bytes {
        let inner = self.inner.lock();
        mailbox.caught_up(self.id);
        inner.object.snapshot().encode()
    }

    /// Closes it if nobody needs it.
    pub(super) fn close_if_over(&self) -> bool {
        let mut inner = self.inner.lock();
        inner.closed |= inner.object.is_over();
        inner.closed
    }
}
