//! Shared object messages: named values that the clients of an application
//! have in common.
//!
//! In: a [`Message`] of type 19 (AMF0) or 16 (AMF3). Out: a
//! [`SharedObjectMessage`], or the message that says it; and, of [`object`], what
//! an object's other clients are told. RTMP 1.0 section 7.1.4 names the events;
//! their bodies are as Flash Player and red5 write them.
//!
//! Values are passed on, not looked into: they are [`Bytes`] of AMF0 here, so
//! that one kept costs what it says and no more.

mod decode;
pub mod object;
#[cfg(test)]
mod tests;

use bytes::{BufMut, Bytes, BytesMut};
use livehost_wire::amf0::DecodeError;
use thiserror::Error;

use crate::message::{Message, type_id};

/// The chunk stream of messages that are not a stream's (section 5.4 leaves it
/// open; commands have it too).
const CHUNK_STREAM: u32 = 3;
/// Events of one message: as many as an object has properties, usually.
const MAX_EVENTS: usize = 1024;
/// Bytes of an event's kind and length.
const EVENT_HEAD: usize = 5;
/// How a persistent object is flagged.
const PERSISTENT: u32 = 2;

/// A message about one object.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedObjectMessage {
    /// The object.
    pub name: String,
    /// Changes so far, as the sender knows it.
    pub version: u32,
    /// It outlives its clients.
    pub persistent: bool,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// What happened to a shared object (section 7.1.4).
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// 1: the client connects to the object.
    Use,
    /// 2: the client leaves it.
    Release,
    /// 3: the client wants a property to have a value.
    RequestChange(String, Bytes),
    /// 4: properties have these values now.
    Change(Vec<(String, Bytes)>),
    /// 5: a requested change was made.
    Success(String),
    /// 6: a handler's name and arguments, for all clients.
    SendMessage(Bytes),
    /// 7: something failed.
    Status {
        /// Such as `SharedObject.NoReadAccess`.
        code: String,
        /// `error` or `status`.
        level: String,
    },
    /// 8: all properties are gone.
    Clear,
    /// 9: a property is gone.
    Remove(String),
    /// 10: the client wants a property gone.
    RequestRemove(String),
    /// 11: the client is connected.
    UseSuccess,
    /// An event this crate doesn't know; harmless.
    Unknown(u8),
}

/// A message that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SharedObjectError {
    /// It is another type of message.
    #[error("expected a shared object message (type 19 or 16), found type {0}")]
    MessageType(u8),
    /// It ends before its fields do.
    #[error("expected {expected} more bytes for {field}, found {found}")]
    TooShort {
        /// What was read.
        field: &'static str,
        /// Bytes needed.
        expected: usize,
        /// Bytes there.
        found: usize,
    },
    /// A value isn't AMF.
    #[error("{0}")]
    Amf(#[from] DecodeError),
    /// More events than anybody needs.
    #[error("expected at most {MAX_EVENTS} events in one message, found more")]
    TooManyEvents,
}

impl SharedObjectMessage {
    /// The AMF0 message (type 19) that says this.
    pub fn to_message(&self) -> Message {
        Message {
            chunk_stream_id: CHUNK_STREAM,
            timestamp: 0,
            type_id: type_id::SHARED_OBJECT_AMF0,
            message_stream_id: 0,
            payload: self.encode(),
        }
    }

    /// The body of that message; [`message`] makes one of it.
    pub fn encode(&self) -> Bytes {
        let events = self.events.iter().map(Event::encoded_len);
        let events = events.fold(0, usize::saturating_add);
        let head = self.name.len().saturating_add(2 + 12);
        let mut payload = BytesMut::with_capacity(head.saturating_add(events));
        put_text(&mut payload, &self.name);
        payload.put_u32(self.version);
        payload.put_u32(if self.persistent { PERSISTENT } else { 0 });
        payload.put_u32(0);
        for event in &self.events {
            event.encode(&mut payload);
        }
        payload.freeze()
    }
}

/// A message with this body: of type 19, or, for a client that speaks AMF3, 16.
pub fn message(body: Bytes, amf3: bool) -> Message {
    let (type_id, payload) = if amf3 {
        // The format's number; the values behind it stay AMF0.
        let mut flex = BytesMut::with_capacity(body.len().saturating_add(1));
        flex.put_u8(0);
        flex.put_slice(&body);
        (type_id::SHARED_OBJECT_AMF3, flex.freeze())
    } else {
        (type_id::SHARED_OBJECT_AMF0, body)
    };
    Message {
        chunk_stream_id: CHUNK_STREAM,
        timestamp: 0,
        type_id,
        message_stream_id: 0,
        payload,
    }
}

impl Event {
    /// As long as [`Event::encode`] makes it, or more where it clips a text.
    fn encoded_len(&self) -> usize {
        let pair = |name: &str, other: usize| name.len().saturating_add(other).saturating_add(2);
        let data = match self {
            Self::RequestChange(name, value) => pair(name, value.len()),
            Self::Change(pairs) => pairs
                .iter()
                .map(|(name, value)| pair(name, value.len()))
                .fold(0, usize::saturating_add),
            Self::Success(name) | Self::Remove(name) | Self::RequestRemove(name) => pair(name, 0),
            Self::SendMessage(values) => values.len(),
            Self::Status { code, level } => pair(code, pair(level, 0)),
            Self::Use | Self::Release | Self::Clear | Self::UseSuccess | Self::Unknown(_) => 0,
        };
        data.saturating_add(EVENT_HEAD)
    }

    fn encode(&self, out: &mut BytesMut) {
        let start = out.len();
        out.put_slice(&[0; EVENT_HEAD]);
        let kind = match self {
            Self::Use => 1,
            Self::Release => 2,
            Self::RequestChange(name, value) => {
                put_text(out, name);
                out.put_slice(value);
                3
            }
            Self::Change(pairs) => {
                for (name, value) in pairs {
                    put_text(out, name);
                    out.put_slice(value);
                }
                4
            }
            Self::Success(name) => {
                put_text(out, name);
                5
            }
            Self::SendMessage(values) => {
                out.put_slice(values);
                6
            }
            Self::Status { code, level } => {
                put_text(out, code);
                put_text(out, level);
                7
            }
            Self::Clear => 8,
            Self::Remove(name) => {
                put_text(out, name);
                9
            }
            Self::RequestRemove(name) => {
                put_text(out, name);
                10
            }
            Self::UseSuccess => 11,
            Self::Unknown(kind) => *kind,
        };
        let written = out.get_mut(start..).unwrap_or_default();
        let length = written.len().saturating_sub(EVENT_HEAD);
        if let Some((head, _)) = written.split_first_chunk_mut::<EVENT_HEAD>() {
            let [l1, l2, l3, l4] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
            *head = [kind, l1, l2, l3, l4];
        }
    }
}

/// Text with a 16-bit length; what is longer is clipped.
fn put_text(out: &mut BytesMut, text: &str) {
    let end = text.floor_char_boundary(usize::from(u16::MAX));
    let text = text.get(..end).unwrap_or_default();
    out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put_slice(text.as_bytes());
}
