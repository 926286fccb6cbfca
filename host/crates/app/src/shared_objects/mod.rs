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
use livehost_settings::{GIB, KIB, MIB, settings, words};

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

settings! {
    /// How an application's shared objects are treated.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct ObjectSettings {
        /// What clients may do with [shared objects](shared-objects.md) when the plugin
        /// doesn't export `shared-objects`.
        pub access: Access = choice(Access::default(), words!(Access: Deny, Allow)),
        /// Shared objects at once, in all instances; persistent ones count while they
        /// have properties.
        pub objects: usize = number(1024, 1..=1_000_000),
        /// Shared objects that one connection may use at once.
        pub per_connection: usize = number(32, 1..=1024),
        /// Clients of one object at once.
        pub clients: usize = number(object::Limits::default().clients, 1..=100_000),
        /// Properties of one object.
        pub properties: usize = number(object::Limits::default().properties, 1..=100_000),
        /// Names and values of one object; also the longest broadcast.
        pub bytes: usize = size(object::Limits::default().bytes, KIB..=8 * MIB),
        /// What may wait for one client. Beyond it the client is told the whole state
        /// when it reads on.
        pub queue: usize = size(MIB, 64 * KIB..=64 * MIB),
        /// What persistent objects may take: instance, name, property, value and 130 B
        /// for each property.
        pub kept: usize = size(16 * MIB, 0..=4 * GIB),
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
