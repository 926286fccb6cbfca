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

pub mod object;
#[cfg(test)]
mod tests;

use bytes::{BufMut, Bytes, BytesMut};
use livehost_wire::amf0::{self, DecodeError, Value};
use thiserror::Error;

use crate::message::{Message, type_id};

/// The chunk stream of messages that are not a stream's (section 5.4 leaves it
/// open; commands have it too).
const CHUNK_STREAM: u32 = 3;
/// Events of one message: as many as an object has properties, usually.
const MAX_EVENTS: usize = 1024;
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
    /// Reads a message of type 19 or 16. The latter begins with a byte that is
    /// skipped; its values may switch to AMF3 and are converted.
    ///
    /// # Errors
    /// When it is another message, too short, or its values are no AMF.
    pub fn decode(message: &Message) -> Result<Self, SharedObjectError> {
        let mut body: &[u8] = match message.type_id {
            type_id::SHARED_OBJECT_AMF0 => &message.payload,
            type_id::SHARED_OBJECT_AMF3 => message.payload.get(1..).unwrap_or_default(),
            other => return Err(SharedObjectError::MessageType(other)),
        };
        let name = text(&mut body, "the object's name")?;
        let version = uint(&mut body, "the version")?;
        let persistent = uint(&mut body, "the persistence")? == PERSISTENT;
        uint(&mut body, "the flags")?;
        let mut events = Vec::new();
        while let Some((kind, rest)) = body.split_first() {
            if events.len() >= MAX_EVENTS {
                return Err(SharedObjectError::TooManyEvents);
            }
            body = rest;
            let length = uint(&mut body, "an event's length")?;
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let data = take(&mut body, length, "an event")?;
            events.push(Event::decode(*kind, data)?);
        }
        Ok(Self {
            name,
            version,
            persistent,
            events,
        })
    }

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
        let mut payload = BytesMut::new();
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
    fn decode(kind: u8, mut data: &[u8]) -> Result<Self, SharedObjectError> {
        const NAME: &str = "a property's name";
        let data = &mut data;
        Ok(match kind {
            1 => Self::Use,
            2 => Self::Release,
            3 => Self::RequestChange(text(data, NAME)?, value(data)?),
            4 => {
                let mut pairs = Vec::new();
                while !data.is_empty() {
                    pairs.push((text(data, NAME)?, value(data)?));
                }
                Self::Change(pairs)
            }
            5 => Self::Success(text(data, NAME)?),
            6 => {
                let values = amf0::decode_all(data)?.into_iter().map(plain);
                Self::SendMessage(exact(&values.collect::<Vec<_>>()))
            }
            7 => Self::Status {
                code: text(data, "a status code")?,
                level: text(data, "a status level")?,
            },
            8 => Self::Clear,
            9 => Self::Remove(text(data, NAME)?),
            10 => Self::RequestRemove(text(data, NAME)?),
            11 => Self::UseSuccess,
            other => Self::Unknown(other),
        })
    }

    fn encode(&self, out: &mut BytesMut) {
        let mut data = BytesMut::new();
        let kind = match self {
            Self::Use => 1,
            Self::Release => 2,
            Self::RequestChange(name, value) => {
                put_text(&mut data, name);
                data.put_slice(value);
                3
            }
            Self::Change(pairs) => {
                for (name, value) in pairs {
                    put_text(&mut data, name);
                    data.put_slice(value);
                }
                4
            }
            Self::Success(name) => {
                put_text(&mut data, name);
                5
            }
            Self::SendMessage(values) => {
                data.put_slice(values);
                6
            }
            Self::Status { code, level } => {
                put_text(&mut data, code);
                put_text(&mut data, level);
                7
            }
            Self::Clear => 8,
            Self::Remove(name) => {
                put_text(&mut data, name);
                9
            }
            Self::RequestRemove(name) => {
                put_text(&mut data, name);
                10
            }
            Self::UseSuccess => 11,
            Self::Unknown(kind) => *kind,
        };
        out.put_u8(kind);
        out.put_u32(u32::try_from(data.len()).unwrap_or(u32::MAX));
        out.put_slice(&data);
    }
}

fn take<'a>(
    input: &mut &'a [u8],
    count: usize,
    field: &'static str,
) -> Result<&'a [u8], SharedObjectError> {
    let Some((taken, rest)) = input.split_at_checked(count) else {
        return Err(SharedObjectError::TooShort {
            field,
            expected: count,
            found: input.len(),
        });
    };
    *input = rest;
    Ok(taken)
}

fn uint(input: &mut &[u8], field: &'static str) -> Result<u32, SharedObjectError> {
    let bytes = take(input, 4, field)?;
    Ok(bytes.iter().fold(0, |n, byte| n << 8 | u32::from(*byte)))
}

fn text(input: &mut &[u8], field: &'static str) -> Result<String, SharedObjectError> {
    let length = take(input, 2, field)?;
    let length = length
        .iter()
        .fold(0, |n: usize, byte| n << 8 | usize::from(*byte));
    let bytes = take(input, length, field)?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// One value, as AMF0 whatever it was.
fn value(input: &mut &[u8]) -> Result<Bytes, SharedObjectError> {
    let value = plain(amf0::decode(input)?);
    Ok(exact(&[value]))
}

/// Values as AMF0, in a buffer that has no more room than it needs.
fn exact(values: &[Value]) -> Bytes {
    Bytes::copy_from_slice(&amf0::encode_all(values))
}

fn plain(value: Value) -> Value {
    match value {
        Value::AvmPlus(value) => Value::from(value),
        value => value,
    }
}

/// Text with a 16-bit length; what is longer is clipped.
fn put_text(out: &mut BytesMut, text: &str) {
    let end = text.floor_char_boundary(usize::from(u16::MAX));
    let text = text.get(..end).unwrap_or_default();
    out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put_slice(text.as_bytes());
}
