//! Command messages: remote calls and their answers.
//!
//! In: a [`Message`] of type 20 (AMF0) or 17 (AMF3). Out: a [`Command`], or the
//! message that carries it. RTMP 1.0 sections 7.1.1 and 7.2.
//!
//! Reading is lenient where real clients are careless: the transaction id, the
//! command object or both may be missing.

mod writer;

use bytes::{Bytes, BytesMut};
use livehost_wire::{
    amf0::{self, DecodeError, Properties, Value},
    amf3,
};
use thiserror::Error;

pub(crate) use self::writer::CommandWriter;
use crate::message::{Message, type_id};

/// Most commands fit in so many bytes.
const USUAL_LENGTH: usize = 256;

/// A remote call, or the answer to one.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// The procedure, or `_result`, `_error`, `onStatus`.
    pub name: String,
    /// Which call is answered; 0 when no answer is wanted.
    pub transaction_id: f64,
    /// The command object: an object or `Null`.
    pub object: Value,
    /// What follows the command object.
    pub arguments: Vec<Value>,
}

/// Why a message is no command or data message.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum CommandError {
    /// Not a message of the expected type.
    #[error("expected a {expected} message, found message type {found}")]
    MessageType {
        /// "command" or "data".
        expected: &'static str,
        /// The message type.
        found: u8,
    },
    /// The payload isn't AMF.
    #[error("{0}")]
    Amf(#[from] DecodeError),
    /// The first value isn't a name.
    #[error("expected a name as the first of {values} values, found something else")]
    NoName {
        /// How many values there are.
        values: usize,
    },
}

impl Command {
    /// A call with a `Null` command object.
    pub fn new(name: impl Into<String>, transaction_id: f64, arguments: Vec<Value>) -> Self {
        Self {
            name: name.into(),
            transaction_id,
            object: Value::Null,
            arguments,
        }
    }

    /// The `_result` of call `transaction_id`: `object` is its properties or
    /// `Null`.
    pub fn result(transaction_id: f64, object: Value, arguments: Vec<Value>) -> Self {
        Self {
            object,
            ..Self::new("_result", transaction_id, arguments)
        }
    }

    /// The `_error` of call `transaction_id`, with an info object (see
    /// [`status`]).
    pub fn error(transaction_id: f64, info: Value) -> Self {
        Self::new("_error", transaction_id, vec![info])
    }

    /// An `onStatus` with an info object (see [`status`]).
    pub fn on_status(info: Value) -> Self {
        Self::new("onStatus", 0.0, vec![info])
    }

    /// Reads a command message of type 20 or 17.
    ///
    /// AMF3 commands (type 17) start with a byte that real clients set to 0
    /// and follow with AMF0 values, of which some switch to AMF3; a body that
    /// is AMF3 throughout, after a 3, is understood too. AMF3 values are
    /// converted where AMF0 has a form for them. All of it together may cost the
    /// message's [`Budget`](livehost_wire::Budget).
    ///
    /// # Errors
    /// If it is another type of message, isn't AMF, has no name, or takes too
    /// much memory.
    pub fn decode(message: &Message) -> Result<Self, CommandError> {
        let amf3 = match message.type_id {
            type_id::COMMAND_AMF0 => false,
            type_id::COMMAND_AMF3 => true,
            found => {
                return Err(CommandError::MessageType {
                    expected: "command",
                    found,
                });
            }
        };
        let (name, mut rest) = named_values(&message.payload, amf3)?;
        let transaction_id = rest.as_slice().first().and_then(Value::as_f64);
        if transaction_id.is_some() {
            rest.next();
        }
        let is_object = |value: &Value| {
            value.as_object().is_some() || matches!(value, Value::Null | Value::Undefined)
        };
        let object = match rest.as_slice().first().is_some_and(is_object) {
            true => rest.next(),
            false => None,
        };
        Ok(Self {
            name,
            transaction_id: transaction_id.unwrap_or_default(),
            object: object.unwrap_or(Value::Null),
            arguments: rest.collect(),
        })
    }

    /// The AMF0 command message (type 20, timestamp 0) that says this.
    pub fn to_message(&self, chunk_stream_id: u32, message_stream_id: u32) -> Message {
        let mut payload = BytesMut::with_capacity(USUAL_LENGTH);
        amf0::encode_string(&self.name, &mut payload);
        amf0::encode(&Value::Number(self.transaction_id), &mut payload);
        amf0::encode(&self.object, &mut payload);
        for argument in &self.arguments {
            amf0::encode(argument, &mut payload);
        }
        Message {
            chunk_stream_id,
            timestamp: 0,
            type_id: type_id::COMMAND_AMF0,
            message_stream_id,
            payload: payload.freeze(),
        }
    }

    /// The properties of the command object, if it is one.
    pub fn properties(&self) -> Option<&Properties> {
        self.object.as_object()
    }

    /// The argument at `index` if it is a string.
    pub fn text(&self, index: usize) -> Option<&str> {
        self.arguments.get(index)?.as_str()
    }

    /// The argument at `index` if it is a number.
    pub fn number(&self, index: usize) -> Option<f64> {
        self.arguments.get(index)?.as_f64()
    }

    /// The info object of an `onStatus`, `_error` or connect `_result`: the
    /// first argument that has a code, else the command object if it has one
    /// (some servers put it there).
    pub fn info(&self) -> Option<&Properties> {
        self.arguments
            .iter()
            .chain([&self.object])
            .filter_map(Value::as_object)
            .find(|info| info.get("code").is_some())
    }
}

/// An info object: `level` is "status", "warning" or "error", `code` such as
/// "NetStream.Publish.Start" (section 7.2.2).
pub fn status(level: &str, code: &str, description: &str) -> Value {
    Value::Object(Properties::from([
        ("level", level.into()),
        ("code", code.into()),
        ("description", description.into()),
    ]))
}

/// The values of a command or data payload: a name and what follows it.
pub(crate) fn named_values(
    payload: &Bytes,
    amf3: bool,
) -> Result<(String, std::vec::IntoIter<Value>), CommandError> {
    let body: &[u8] = payload;
    let values: Vec<Value> = match body.split_first() {
        Some((3, rest)) if amf3 => amf3::decode_all(rest)?
            .into_iter()
            .map(Value::from)
            .collect(),
        Some((0, rest)) if amf3 => decode_amf0(rest)?,
        // Without the format byte: seen from clients that only changed the
        // message type.
        _ => decode_amf0(body)?,
    };
    let count = values.len();
    let mut values = values.into_iter();
    match values.next() {
        Some(Value::String(name)) => Ok((name, values)),
        _ => Err(CommandError::NoName { values: count }),
    }
}

fn decode_amf0(body: &[u8]) -> Result<Vec<Value>, CommandError> {
    let values = amf0::decode_all(body)?;
    Ok(values
        .into_iter()
        .map(|value| match value {
            Value::AvmPlus(value) => Value::from(*value),
            value => value,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(type_id: u8, payload: &[u8]) -> Message {
        Message {
            chunk_stream_id: 3,
            timestamp: 0,
            type_id,
            message_stream_id: 0,
            payload: Bytes::copy_from_slice(payload),
        }
    }

    /// "x" in AMF0, then what `rest` says.
    fn named(rest: &[u8]) -> Vec<u8> {
        [&[2, 0, 1, b'x'], rest].concat()
    }

    const ONE: [u8; 9] = [0, 0x3F, 0xF0, 0, 0, 0, 0, 0, 0];

    #[test]
    fn golden_create_stream_both_ways() {
        let mut bytes = vec![2, 0, 12];
        bytes.extend_from_slice(b"createStream");
        bytes.extend_from_slice(&[0, 0x40, 0, 0, 0, 0, 0, 0, 0, 5]);
        let command = Command::new("createStream", 2.0, vec![]);
        let message = command.to_message(3, 0);
        assert_eq!(message.payload, bytes);
        assert_eq!(message.type_id, 20);
        assert_eq!(Command::decode(&message), Ok(command));
    }

    #[test]
    fn a_status_round_trips_and_is_found_as_info() {
        let info = status("status", "NetStream.Publish.Start", "ok");
        let message = Command::on_status(info).to_message(5, 1);
        let command = Command::decode(&message).unwrap();
        let info = command.info().unwrap();
        assert_eq!(
            info.get("code").and_then(Value::as_str),
            Some("NetStream.Publish.Start")
        );
        assert_eq!(command.object, Value::Null);
        assert_eq!(message.message_stream_id, 1);
    }

    #[test]
    fn missing_transaction_id_or_object_is_tolerated() {
        let decode = |rest: &[u8]| Command::decode(&message(20, &named(rest))).unwrap();
        assert_eq!(decode(&[]), Command::new("x", 0.0, vec![]));
        assert_eq!(decode(&ONE), Command::new("x", 1.0, vec![]));
        // Only an object: `onFCPublish` of some servers.
        let object = decode(&[3, 0, 0, 9]);
        assert_eq!(object.transaction_id, 0.0);
        assert_eq!(object.properties(), Some(&Properties::default()));
        // A string where the object should be is an argument.
        let argument = decode(&[&ONE[..], &[2, 0, 1, b'k']].concat());
        assert_eq!(argument.transaction_id, 1.0);
        assert_eq!(argument.object, Value::Null);
        assert_eq!(argument.text(0), Some("k"));
    }

    #[test]
    fn amf3_commands_with_amf0_body_with_amf3_body_and_without_format_byte() {
        let expected = Command::new("x", 1.0, vec!["k".into()]);
        let amf0 = named(&[&ONE[..], &[5], &[2, 0, 1, b'k']].concat());
        let prefixed = [&[0], &amf0[..]].concat();
        assert_eq!(
            Command::decode(&message(17, &prefixed)),
            Ok(expected.clone())
        );
        assert_eq!(Command::decode(&message(17, &amf0)), Ok(expected.clone()));
        // AMF0 that switches to AMF3 for one value.
        let switched = [
            &[0],
            &named(&[&ONE[..], &[5], &[0x11, 6, 3, b'k']].concat())[..],
        ]
        .concat();
        assert_eq!(
            Command::decode(&message(17, &switched)),
            Ok(expected.clone())
        );
        let amf3 = [3, 6, 3, b'x', 4, 1, 1, 6, 3, b'k'];
        assert_eq!(Command::decode(&message(17, &amf3)), Ok(expected));
    }

    #[test]
    fn what_is_no_command_is_an_error() {
        assert_eq!(
            Command::decode(&message(9, &named(&[]))),
            Err(CommandError::MessageType {
                expected: "command",
                found: 9
            })
        );
        assert_eq!(
            Command::decode(&message(20, &ONE)),
            Err(CommandError::NoName { values: 1 })
        );
        assert_eq!(
            Command::decode(&message(20, &[])),
            Err(CommandError::NoName { values: 0 })
        );
        assert!(matches!(
            Command::decode(&message(20, &[2, 0, 9, b'x'])),
            Err(CommandError::Amf(_))
        ));
    }
}
