//! One client's part in the objects of its application.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use livehost_hub::Wake;
use livehost_rtmp::shared_object::object::{
    CREATION_FAILED, ClientId, NO_READ_ACCESS, NO_WRITE_ACCESS, Ruling, status,
};
use livehost_rtmp::shared_object::{Event, SharedObjectMessage};
use livehost_telemetry::limited;
use livehost_telemetry::log::STRANGERS;
use tracing::debug;

use super::mailbox::Next;
use super::registry::{Key, Objects};
use super::room::{Room, RoomId};
use super::{Access, Mailbox};

/// Of answers that are no object's.
const NO_ROOM: RoomId = RoomId::MAX;

/// A client with the objects that it uses; dropping it leaves them.
#[derive(Debug)]
pub struct Member {
    objects: Arc<Objects>,
    instance: Option<Arc<str>>,
    client: ClientId,
    mailbox: Arc<Mailbox>,
    rooms: BTreeMap<RoomId, Arc<Room>>,
}

impl Member {
    /// The client `client` of this instance of an application; `wake` tells its
    /// session that something waits.
    pub fn new(
        objects: Arc<Objects>,
        instance: Option<Arc<str>>,
        client: ClientId,
        wake: Wake,
    ) -> Self {
        let mailbox = Mailbox::new(wake, objects.settings().queue);
        Self {
            objects,
            instance,
            client,
            mailbox: Arc::new(mailbox),
            rooms: BTreeMap::new(),
        }
    }

    /// It uses no object.
    pub fn is_idle(&self) -> bool {
        self.rooms.is_empty()
    }

    /// What waits for the client.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// The ruling on every event where no plugin decides.
    pub fn default_ruling(&self) -> Ruling {
        match self.objects.settings().access {
            Access::Allow => Ruling::Allow,
            Access::Deny => Ruling::Deny,
        }
    }

    /// Acts on a message, with a ruling on each of its events. Ask the mailbox
    /// for room before.
    pub fn act(&mut self, message: &SharedObjectMessage, rulings: &[Ruling]) {
        let settings = self.objects.settings();
        self.mailbox.set_limit(settings.queue);
        let key = Key {
            instance: self.instance.clone(),
            name: message.name.clone(),
            persistent: message.persistent,
        };
        // Again only when the object's last client has just left it.
        loop {
            let used = self.rooms.values().find(|room| room.key == key);
            let room = match used {
                Some(room) => room.clone(),
                None => match self.enter(&key, message, rulings, settings.per_connection) {
                    Some(room) => room,
                    None => return,
                },
            };
            let me = (self.client, &self.mailbox);
            let said = (message, rulings);
            let Ok(stays) = room.act(me, said, &settings, self.objects.keep()) else {
                self.rooms.remove(&room.id);
                continue;
            };
            if stays {
                self.rooms.insert(room.id, room);
            } else {
                self.rooms.remove(&room.id);
                self.objects.tidy(&room);
            }
            return;
        }
    }

    /// An object that the client does not use yet; refuses it by itself.
    fn enter(
        &self,
        key: &Key,
        message: &SharedObjectMessage,
        rulings: &[Ruling],
        per_connection: usize,
    ) -> Option<Arc<Room>> {
        let mut uses = message.events.iter().zip(rulings);
        let mut uses_at_all = message.events.iter();
        let code = if uses.any(|(event, ruling)| *event == Event::Use && *ruling != Ruling::Deny) {
            if self.rooms.len() >= per_connection {
                debug!(
                    object = key.name,
                    "more shared objects than a connection may use"
                );
                CREATION_FAILED
            } else {
                match self.objects.room(key) {
                    Ok(room) => return Some(room),
                    Err(error) => {
                        debug!(object = key.name, %error, "no shared object");
                        CREATION_FAILED
                    }
                }
            }
        } else if uses_at_all.any(|event| *event == Event::Use) {
            NO_READ_ACCESS
        } else if message.events.iter().all(|event| *event == Event::Release) {
            // It was refused before, and says goodbye all the same.
            return None;
        } else {
            NO_WRITE_ACCESS
        };
        let refusal = SharedObjectMessage {
            name: key.name.clone(),
            version: 0,
            persistent: key.persistent,
            events: vec![status(code)],
        };
        self.mailbox.answer(NO_ROOM, refusal.encode());
        None
    }

    /// The body of the next message for the client.
    pub fn take(&self) -> Option<Bytes> {
        loop {
            match self.mailbox.take()? {
                Next::Body(body) => return Some(body),
                Next::State(id) => match self.rooms.get(&id) {
                    Some(room) => {
                        let object = &room.key.name;
                        limited!(
                            INFO,
                            STRANGERS.admits(),
                            object,
                            "behind with a shared object: told its whole state"
                        );
                        return Some(room.catch_up(&self.mailbox));
                    }
                    None => self.mailbox.caught_up(id),
                },
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        for room in std::mem::take(&mut self.rooms).into_values() {
            room.leave(self.client);
            self.objects.tidy(&room);
        }
    }
}
