//! Data messages: metadata and other notifications inside a stream.
//!
//! In: a [`Message`] of type 18 (AMF0) or 15 (AMF3). Out: a [`DataMessage`] or
//! the payload to relay. RTMP 1.0 section 7.1.2; `@setDataFrame` is how
//! publishers ask a server to keep metadata for players (Adobe's "Add metadata
//! to a live stream").

use bytes::Bytes;
use livehost_wire::amf0::{self, Value};

use crate::{
    command::{CommandError, named_values},
    message::{Message, type_id},
};

/// The AMF0 string "@setDataFrame", as publishers put it before "onMetaData".
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";

/// A notification to a handler, such as `onMetaData`.
#[derive(Debug, Clone, PartialEq)]
pub struct DataMessage {
    /// Which handler it is for.
    pub handler: String,
    /// What it says.
    pub values: Vec<Value>,
}

impl DataMessage {
    /// Reads a data message of type 18 or 15, without the `@setDataFrame` that
    /// publishers wrap around what players shall get.
    ///
    /// # Errors
    /// If it is another type of message, isn't AMF, or has no handler name.
    pub fn decode(message: &Message) -> Result<Self, CommandError> {
        let amf3 = match message.type_id {
            type_id::DATA_AMF0 => false,
            type_id::DATA_AMF3 => true,
            found => {
                return Err(CommandError::MessageType {
                    expected: "data",
                    found,
                });
            }
        };
        let (mut handler, mut values) = named_values(&message.payload, amf3)?;
        if handler == "@setDataFrame"
            && let [Value::String(_), ..] = values.as_slice()
            && let Some(Value::String(inner)) = values.next()
        {
            handler = inner;
        }
        let values = values.collect();
        Ok(Self { handler, values })
    }

    /// The AMF0 data message (type 18) that says this.
    pub fn to_message(
        &self,
        chunk_stream_id: u32,
        message_stream_id: u32,
        timestamp: u32,
    ) -> Message {
        let mut payload = bytes::BytesMut::new();
        amf0::encode_string(&self.handler, &mut payload);
        for value in &self.values {
            amf0::encode(value, &mut payload);
        }
        Message {
            chunk_stream_id,
            timestamp,
            type_id: type_id::DATA_AMF0,
            message_stream_id,
            payload: payload.freeze(),
        }
    }
}

/// What of a data message's payload players get, as AMF0 (type 18): without a
/// leading `@setDataFrame`, and without the format byte of type 15. Shares the
/// bytes; everything else stays as the publisher wrote it.
pub fn relayed_payload(message: &Message) -> Bytes {
    let mut payload = message.payload.clone();
    if message.type_id == type_id::DATA_AMF3 && payload.first() == Some(&0) {
        payload = payload.slice(1..);
    }
    if payload.starts_with(SET_DATA_FRAME) {
        payload = payload.slice(SET_DATA_FRAME.len()..);
    }
    payload
}

#[cfg(test)]
mod tests {
    use livehost_wire::amf0::Properties;

    use super::*;

    fn metadata() -> DataMessage {
        let values = Properties::from([("width", Value::from(1280.0))]);
        DataMessage {
            handler: "onMetaData".into(),
            values: vec![Value::EcmaArray(values)],
        }
    }

    /// As FFmpeg and OBS send it.
    fn wrapped() -> Message {
        let plain = metadata().to_message(4, 1, 0);
        Message {
            payload: [SET_DATA_FRAME, &plain.payload].concat().into(),
            ..plain
        }
    }

    #[test]
    fn golden_payload() {
        let message = DataMessage {
            handler: "onFI".into(),
            values: vec![Value::from("a")],
        }
        .to_message(4, 1, 7);
        assert_eq!(message.payload, &b"\x02\x00\x04onFI\x02\x00\x01a"[..]);
        assert_eq!((message.type_id, message.timestamp), (18, 7));
    }

    #[test]
    fn set_data_frame_is_unwrapped() {
        assert_eq!(DataMessage::decode(&wrapped()), Ok(metadata()));
        let plain = metadata().to_message(4, 1, 0);
        assert_eq!(DataMessage::decode(&plain), Ok(metadata()));
        assert_eq!(relayed_payload(&wrapped()), plain.payload);
        assert_eq!(relayed_payload(&plain), plain.payload);
    }

    #[test]
    fn amf3_data_has_a_format_byte() {
        let message = Message {
            type_id: 15,
            payload: [&[0], &wrapped().payload[..]].concat().into(),
            ..wrapped()
        };
        assert_eq!(DataMessage::decode(&message), Ok(metadata()));
        assert_eq!(
            relayed_payload(&message),
            metadata().to_message(4, 1, 0).payload
        );
    }

    #[test]
    fn a_lone_set_data_frame_stays_what_it_is() {
        let message = Message {
            payload: Bytes::from_static(SET_DATA_FRAME),
            ..wrapped()
        };
        let data = DataMessage::decode(&message).unwrap();
        assert_eq!(
            (data.handler.as_str(), data.values.len()),
            ("@setDataFrame", 0)
        );
        assert!(relayed_payload(&message).is_empty());
    }
}
