//! One shared object: its properties, its clients, and who is told what.
//!
//! In: the events of one client at a time, whom the owner knows by a number,
//! with a [`Ruling`] on each. Out: what that client is told, and what all others
//! are. A persistent object's changes go to its [`PropertyShelf`] first.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{Event, SharedObjectMessage};

/// Bytes of a property's name.
const MAX_NAME: usize = 255;

/// What an object may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Clients connected at once.
    pub clients: usize,
    /// Properties at once.
    pub properties: usize,
    /// Bytes of names and values; also of the values that the rulings on one
    /// message put in.
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

/// What is decided on an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Ruling {
    /// As asked.
    #[default]
    Allow,
    /// Not at all; the client is told.
    Deny,
    /// With another value, or other arguments: AMF0.
    Rewrite(Bytes),
}

/// Where a persistent object's properties are kept.
pub trait PropertyShelf {
    /// False when it has no room: the property keeps its value.
    fn put(&mut self, property: &str, value: &Bytes) -> bool;
    /// The property is gone.
    fn remove(&mut self, property: &str);
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoShelf;

impl PropertyShelf for NoShelf {
    fn put(&mut self, _: &str, _: &Bytes) -> bool {
        true
    }

    fn remove(&mut self, _: &str) {}
}

/// What comes of a client's message: one message for it, one for the others.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Told {
    /// For the client itself.
    pub own: Option<SharedObjectMessage>,
    /// For every other client of the object.
    pub others: Option<SharedObjectMessage>,
}

/// A named set of values with its clients.
#[derive(Debug, Clone)]
pub struct SharedObject {
    name: String,
    persistent: bool,
    limits: Limits,
    version: u32,
    /// AMF0 values.
    properties: BTreeMap<String, Bytes>,
    /// Bytes of `properties`.
    bytes: usize,
    clients: BTreeSet<ClientId>,
}

/// What a message has come to so far.
#[derive(Debug, Default)]
struct ObjectOutcome {
    own: Vec<Event>,
    others: Vec<Event>,
    /// The state was told.
    joined: bool,
    /// Refused changes: the client took them for made and is told what is so.
    corrections: BTreeSet<String>,
    /// The same for a refused clear.
    correct_all: bool,
    /// Bytes of values that rulings put in.
    rewritten: usize,
}

impl ObjectOutcome {
    /// Once is enough.
    fn refuse(&mut self, code: &str) {
        let why = status(code);
        if !self.own.contains(&why) {
            self.own.push(why);
        }
    }

    /// For everybody alike.
    fn all(&mut self, event: Event) {
        self.own.push(event.clone());
        self.others.push(event);
    }
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

    /// Puts a property in that was kept, whatever the limits are now.
    pub fn restore(&mut self, property: impl Into<String>, value: Bytes) {
        let property = property.into();
        self.bytes = self.bytes.saturating_add(cost(&property, &value));
        self.properties.insert(property, value);
    }

    /// Other limits from now on; what is there stays.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// It outlives its clients.
    pub fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// Nobody is connected, and there is nothing to keep.
    pub fn is_over(&self) -> bool {
        self.clients.is_empty() && (!self.persistent || self.properties.is_empty())
    }

    /// Whether this client is connected.
    pub fn has(&self, client: ClientId) -> bool {
        self.clients.contains(&client)
    }

    /// Its clients.
    pub fn clients(&self) -> impl Iterator<Item = ClientId> + '_ {
        self.clients.iter().copied()
    }

    /// Its properties, by name, with their AMF0 values.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        let properties = self.properties.iter();
        properties.map(|(name, value)| (name.as_str(), value))
    }

    /// The whole state, for a client that has missed some of it.
    pub fn snapshot(&self) -> SharedObjectMessage {
        let mut events = vec![Event::Clear];
        events.extend(self.changes());
        self.saying(events)
    }

    /// Acts on the events of a client's message. An event without a ruling is
    /// denied.
    pub fn handle(
        &mut self,
        client: ClientId,
        message: &SharedObjectMessage,
        rulings: &[Ruling],
        shelf: &mut dyn PropertyShelf,
    ) -> Told {
        let mut outcome = ObjectOutcome::default();
        let mut rulings = rulings.iter();
        for event in &message.events {
            let ruling = rulings.next().unwrap_or(&Ruling::Deny);
            self.handle_event(client, event, ruling, shelf, &mut outcome);
        }
        self.correct(&mut outcome);
        let said = |events: Vec<Event>| (!events.is_empty()).then(|| self.saying(events));
        Told {
            own: said(outcome.own),
            others: said(outcome.others),
        }
    }

    /// The client is gone.
    pub fn leave(&mut self, client: ClientId) {
        self.clients.remove(&client);
    }

    fn handle_event(
        &mut self,
        client: ClientId,
        event: &Event,
        ruling: &Ruling,
        shelf: &mut dyn PropertyShelf,
        outcome: &mut ObjectOutcome,
    ) {
        let denied = *ruling == Ruling::Deny;
        match event {
            Event::Use => return self.join(client, denied, outcome),
            Event::Release => return self.leave(client),
            _ => {}
        }
        // Only its clients may change an object, and hear of its values.
        if !self.has(client) {
            return outcome.refuse(NO_WRITE_ACCESS);
        }
        let rewritten = match ruling {
            Ruling::Rewrite(value) => Some(value),
            _ => None,
        };
        match event {
            Event::RequestChange(name, value) => {
                let told = rewritten.unwrap_or(value);
                let fits = rewritten.is_none_or(|value| self.admits(outcome, value));
                if !denied && fits && self.set(name, told, shelf) {
                    let change = Event::Change(vec![(name.clone(), told.clone())]);
                    outcome.own.push(match rewritten {
                        Some(_) => change.clone(),
                        None => Event::Success(name.clone()),
                    });
                    outcome.others.push(change);
                } else {
                    outcome.refuse(NO_WRITE_ACCESS);
                    outcome.corrections.insert(name.clone());
                }
            }
            Event::RequestRemove(name) if denied => {
                outcome.refuse(NO_WRITE_ACCESS);
                outcome.corrections.insert(name.clone());
            }
            Event::RequestRemove(name) if self.remove(name, shelf) => {
                outcome.all(Event::Remove(name.clone()));
            }
            Event::SendMessage(values) => {
                let told = rewritten.unwrap_or(values);
                let fits = rewritten.is_none_or(|value| self.admits(outcome, value));
                if denied || !fits || told.len() > self.limits.bytes {
                    outcome.refuse(NO_WRITE_ACCESS);
                } else {
                    outcome.all(Event::SendMessage(told.clone()));
                }
            }
            Event::Clear if denied => {
                outcome.refuse(NO_WRITE_ACCESS);
                outcome.correct_all = true;
            }
            Event::Clear => {
                self.clear(shelf);
                outcome.all(Event::Clear);
            }
            // What is gone already, and what only a server says.
            _ => {}
        }
    }

    fn join(&mut self, client: ClientId, denied: bool, outcome: &mut ObjectOutcome) {
        let is_full = self.clients.len() >= self.limits.clients && !self.has(client);
        if denied || is_full {
            return outcome.refuse(NO_READ_ACCESS);
        }
        self.clients.insert(client);
        if !std::mem::replace(&mut outcome.joined, true) {
            // What the client may have kept from before is no longer true.
            outcome.own.extend([Event::UseSuccess, Event::Clear]);
            outcome.own.extend(self.changes());
        }
    }

    /// A plugin may put in as much as an object holds.
    fn admits(&self, outcome: &mut ObjectOutcome, value: &Bytes) -> bool {
        outcome.rewritten = outcome.rewritten.saturating_add(value.len());
        outcome.rewritten <= self.limits.bytes
    }

    /// Tells the client what it wrongly takes for changed.
    fn correct(&self, outcome: &mut ObjectOutcome) {
        if outcome.correct_all {
            outcome.own.push(Event::Clear);
            outcome.own.extend(self.changes());
            return;
        }
        for name in std::mem::take(&mut outcome.corrections) {
            outcome.own.push(match self.properties.get(&name) {
                Some(value) => Event::Change(vec![(name, value.clone())]),
                None => Event::Remove(name),
            });
        }
    }

    fn changes(&self) -> impl Iterator<Item = Event> + '_ {
        let properties = self.properties.iter();
        properties.map(|(name, value)| Event::Change(vec![(name.clone(), value.clone())]))
    }

    /// False beyond a limit.
    fn set(&mut self, name: &str, value: &Bytes, shelf: &mut dyn PropertyShelf) -> bool {
        let old = self.properties.get(name);
        let is_new = old.is_none();
        let before = old.map_or(0, |old| cost(name, old));
        let bytes = self
            .bytes
            .saturating_sub(before)
            .saturating_add(cost(name, value));
        if name.len() > MAX_NAME
            || bytes > self.limits.bytes
            || (is_new && self.properties.len() >= self.limits.properties)
            || !shelf.put(name, value)
        {
            return false;
        }
        self.bytes = bytes;
        self.properties.insert(name.to_owned(), value.clone());
        self.changed();
        true
    }

    fn remove(&mut self, name: &str, shelf: &mut dyn PropertyShelf) -> bool {
        let Some(old) = self.properties.remove(name) else {
            return false;
        };
        shelf.remove(name);
        self.bytes = self.bytes.saturating_sub(cost(name, &old));
        self.changed();
        true
    }

    fn clear(&mut self, shelf: &mut dyn PropertyShelf) {
        for name in self.properties.keys() {
            shelf.remove(name);
        }
        self.properties.clear();
        self.bytes = 0;
        self.changed();
    }

    fn changed(&mut self) {
        self.version = self.version.wrapping_add(1);
    }

    fn saying(&self, events: Vec<Event>) -> SharedObjectMessage {
        SharedObjectMessage {
            name: self.name.clone(),
            version: self.version,
            persistent: self.persistent,
            events,
        }
    }
}

/// The client may not use the object.
pub const NO_READ_ACCESS: &str = "SharedObject.NoReadAccess";
/// The client may not change it so.
pub const NO_WRITE_ACCESS: &str = "SharedObject.NoWriteAccess";
/// There is no such object, and none is made.
pub const CREATION_FAILED: &str = "SharedObject.ObjectCreationFailed";

/// An error that a client is told.
pub fn status(code: &str) -> Event {
    Event::Status {
        code: code.to_owned(),
        level: "error".to_owned(),
    }
}

/// Bytes of a property as it is sent.
fn cost(name: &str, value: &Bytes) -> usize {
    value.len().saturating_add(name.len()).saturating_add(2)
}
