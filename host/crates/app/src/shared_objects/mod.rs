//! Shared objects: named values that the clients of an application have in
//! common.
//!
//! Flows in: a client's messages with a ruling on each event ([`Member::act`]).
//! Flows out: bodies of messages, through each client's bounded [`Mailbox`], and
//! the properties of persistent objects, to whatever is the
//! [`PropertyStore`](livehost_policy::PropertyStore). What an object does is
//! `livehost_rtmp::shared_object`; here are many of them, with their clients.
//!
//! Nobody waits for a client. One that does not read misses changes, and is
//! told the whole state when it goes on.

mod keep;
mod mailbox;
mod member;
mod registry;
mod room;
#[cfg(test)]
mod tests;

use livehost_rtmp::shared_object::object;

pub use keep::Forget;
pub use mailbox::Mailbox;
pub use member::Member;
pub use registry::{Objects, is_name};

pub use livehost_rtmp::shared_object::object::Ruling;

/// Bytes of an object's name.
const MAX_NAME: usize = 255;

/// What clients may do when no plugin decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Nothing.
    #[default]
    Deny,
    /// Everything, within the limits.
    Allow,
}

/// How an application's shared objects are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectSettings {
    /// Where no plugin decides.
    pub access: Access,
    /// Objects at once, those included that are kept without clients.
    pub objects: usize,
    /// Objects that one connection may use at once.
    pub per_connection: usize,
    /// Clients of one object at once.
    pub clients: usize,
    /// Properties of one object.
    pub properties: usize,
    /// Bytes of the names and values of one object, and of a broadcast.
    pub bytes: usize,
    /// What may wait for one client, bytes.
    pub queue: usize,
    /// What the persistent objects may take, bytes.
    pub kept: usize,
}

impl Default for ObjectSettings {
    fn default() -> Self {
        let object::Limits {
            clients,
            properties,
            bytes,
        } = object::Limits::default();
        Self {
            access: Access::Deny,
            objects: 1024,
            per_connection: 32,
            clients,
            properties,
            bytes,
            queue: 1024 * 1024,
            kept: 16 * 1024 * 1024,
        }
    }
}

impl ObjectSettings {
    fn of_object(&self) -> object::Limits {
        object::Limits {
            clients: self.clients,
            properties: self.properties,
            bytes: self.bytes,
        }
    }
}
