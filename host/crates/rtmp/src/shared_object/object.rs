//! One shared object: its properties, its clients, and who is told what.
//!
//! In: the events of one client at a time, whom the owner knows by a number.
//! Out: messages for clients, in order. Nothing is stored here beyond the
//! object's life; a persistent one is handed in and out as its properties.

use std::collections::{BTreeMap, BTreeSet};

use livehost_wire::amf0::{self, Value};

use super::{Event, SharedObjectMessage};

/// What an object may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Clients connected at once.
    pub clients: usize,
    /// Properties at once.
    pub properties: usize,
    /// Bytes of names and values.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients: 1024,
            properties: 1024,
            bytes: 256 * 1024,
        }
    }
}

/// A client of an object.
pub type ClientId = u64;

/// What a client is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// To whom.
    pub client: ClientId,
    /// What.
    pub message: SharedObjectMessage,
}

/// A named set of values with its clients.
#[derive(Debug, Clone)]
pub struct SharedObject {
    name: String,
    persistent: bool,
    limits: Limits,
    version: u32,
    properties: BTreeMap<String, Value>,
    /// Bytes of `properties`.
    bytes: usize,
    clients: BTreeSet<ClientId>,
}

impl SharedObject {
    /// An object without properties and clients.
    pub fn new(name: impl Into<String>, persistent: bool, limits: Limits) -> Self {
        Self {
            name: name.into(),
            persistent,
            limits,
            version: 0,
            properties: BTreeMap::new(),
            bytes: 0,
            clients: BTreeSet::new(),
        }
    }

    /// Puts properties in that were kept; those beyond a limit are left out.
    #[must_use]
    pub fn with(mut self, properties: impl IntoIterator<Item = (String, Value)>) -> Self {
        for (name, value) in properties {
            self.set(&name, &value);
        }
        self
    }

    /// It outlives its clients.
    pub fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// No client is connected.
    pub fn is_unused(&self) -> bool {
        self.clients.is_empty()
    }

    /// Its properties, by name.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &Value)> {
        let properties = self.properties.iter();
        properties.map(|(name, value)| (name.as_str(), value))
    }

    /// Acts on the events of a client's message.
    pub fn handle(&mut self, client: ClientId, message: &SharedObjectMessage) -> Vec<Told> {
        let mut told = Vec::new();
        for event in &message.events {
            self.handle_event(client, message.persistent, event, &mut told);
        }
        told
    }

    /// The client is gone without a word.
    pub fn leave(&mut self, client: ClientId) {
        self.clients.remove(&client);
    }

    fn handle_event(
        &mut self,
        client: ClientId,
        persistent: bool,
        event: &Event,
        told: &mut Vec<Told>,
    ) {
        if let Event::Use = event {
            self.join(client, persistent, told);
            return;
        }
        // Only its clients may change an object.
        if !self.clients.contains(&client) {
            let why = status("SharedObject.NoWriteAccess");
            told.push(self.tell(client, vec![why]));
            return;
        }
        match event {
            Event::Release => self.leave(client),
            Event::RequestChange(name, value) => {
                if self.set(name, value) {
                    let change = Event::Change(vec![(name.clone(), value.clone())]);
                    self.tell_others(client, &change, told);
                    told.push(self.tell(client, vec![Event::Success(name.clone())]));
                } else {
                    let why = status("SharedObject.NoWriteAccess");
                    told.push(self.tell(client, vec![why]));
                }
            }
            Event::RequestRemove(name) if self.remove(name) => {
                self.tell_all(&Event::Remove(name.clone()), told);
            }
            Event::SendMessage(_) => self.tell_all(event, told),
            Event::Clear => {
                self.properties.clear();
                self.bytes = 0;
                self.changed();
                self.tell_all(&Event::Clear, told);
            }
            // What is gone already, and what only a server says.
            _ => {}
        }
    }

    fn join(&mut self, client: ClientId, persistent: bool, told: &mut Vec<Told>) {
        if persistent != self.persistent {
            let why = status("SharedObject.BadPersistence");
            told.push(self.tell(client, vec![why]));
            return;
        }
        if self.clients.len() >= self.limits.clients && !self.clients.contains(&client) {
            let why = status("SharedObject.NoReadAccess");
            told.push(self.tell(client, vec![why]));
            return;
        }
        self.clients.insert(client);
        // What the client may have kept from before is no longer true.
        let mut events = vec![Event::UseSuccess, Event::Clear];
        let properties = self.properties.iter();
        let pairs = properties.map(|(name, value)| (name.clone(), value.clone()));
        events.extend(pairs.map(|pair| Event::Change(vec![pair])));
        told.push(self.tell(client, events));
    }

    /// False beyond a limit.
    fn set(&mut self, name: &str, value: &Value) -> bool {
        let before = self.properties.get(name).map_or(0, |old| cost(name, old));
        let bytes = self
            .bytes
            .saturating_sub(before)
            .saturating_add(cost(name, value));
        let is_new = before == 0;
        if bytes > self.limits.bytes || (is_new && self.properties.len() >= self.limits.properties)
        {
            return false;
        }
        self.bytes = bytes;
        self.properties.insert(name.to_owned(), value.clone());
        self.changed();
        true
    }

    fn remove(&mut self, name: &str) -> bool {
        let Some(old) = self.properties.remove(name) else {
            return false;
        };
        self.bytes = self.bytes.saturating_sub(cost(name, &old));
        self.changed();
        true
    }

    fn changed(&mut self) {
        self.version = self.version.wrapping_add(1);
    }

    fn tell(&self, client: ClientId, events: Vec<Event>) -> Told {
        Told {
            client,
            message: SharedObjectMessage {
                name: self.name.clone(),
                version: self.version,
                persistent: self.persistent,
                events,
            },
        }
    }

    fn tell_all(&self, event: &Event, told: &mut Vec<Told>) {
        let clients = self.clients.iter();
        told.extend(clients.map(|client| self.tell(*client, vec![event.clone()])));
    }

    fn tell_others(&self, but: ClientId, event: &Event, told: &mut Vec<Told>) {
        let others = self.clients.iter().filter(|client| **client != but);
        told.extend(others.map(|client| self.tell(*client, vec![event.clone()])));
    }
}

fn status(code: &str) -> Event {
    Event::Status {
        code: code.to_owned(),
        level: "error".to_owned(),
    }
}

/// Bytes of a property as it is sent; at least 1.
fn cost(name: &str, value: &Value) -> usize {
    let value = amf0::encode_all(std::slice::from_ref(value));
    value.len().saturating_add(name.len()).saturating_add(2)
}
