//! Data messages: metadata and other notifications inside a stream.
//!
//! In: a [`Message`] of type 18 (AMF0) or 15 (AMF3). Out: a [`DataMessage`] or
//! the payload to relay. RTMP 1.0 section 7.1.2; `@setDataFrame` is how
//! publishers ask a server to keep metadata for players (Adobe's "Add metadata
//! to a live stream").

use std::collections::BTreeSet;

use bytes::Bytes;
use livehost_wire::amf0::{self, Properties, Value};

use crate::{
    command::{CommandError, named_values},
    message::{Message, type_id},
};

/// The AMF0 string "@setDataFrame", as publishers put it before "onMetaData".
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";

/// The AMF0 string "@clearDataFrame": what was kept of a handler is dropped.
const CLEAR_DATA_FRAME: &[u8] = b"\x02\x00\x0f@clearDataFrame";
/// Metadata of more properties, or longer, is not merged but replaced.
const MAX_PROPERTIES: usize = 256;
const MAX_METADATA: usize = 64 * 1024;

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

/// The handler whose kept data a relayed payload clears (`@clearDataFrame`).
pub fn cleared(payload: &[u8]) -> Option<String> {
    let rest = payload.strip_prefix(CLEAR_DATA_FRAME)?;
    match amf0::decode(&mut &*rest).ok()? {
        Value::String(handler) => Some(handler),
        _ => None,
    }
}

/// Metadata as players that join later need it: what `newer` says, and what it
/// does not mention as `kept` said it. Both are relayed payloads of
/// `onMetaData`; what can't be merged is replaced.
pub fn merged_metadata(kept: &Bytes, newer: &Bytes) -> Bytes {
    merge(kept, newer).unwrap_or_else(|| newer.clone())
}

fn merge(kept: &[u8], newer: &[u8]) -> Option<Bytes> {
    if kept.len() + newer.len() > MAX_METADATA {
        return None;
    }
    let (kept, newer) = (amf0::decode_all(kept).ok()?, amf0::decode_all(newer).ok()?);
    let ([_, kept], [handler, newer]) = (&kept[..], &newer[..]) else {
        return None;
    };
    let (kept, newer) = (kept.as_object()?, newer.as_object()?);
    let mentioned: BTreeSet<&str> = newer.iter().map(|(name, _)| name).collect();
    let mut merged = Properties::new();
    let unmentioned = kept.iter().filter(|(name, _)| !mentioned.contains(name));
    for (index, (name, value)) in unmentioned.chain(newer.iter()).enumerate() {
        if index >= MAX_PROPERTIES {
            return None;
        }
        merged.push(name, value.clone());
    }
    let merged = [handler.clone(), Value::EcmaArray(merged)];
    // References in AMF3 may stand for more than they are long.
    (amf0::encoded_len(&merged) <= MAX_METADATA).then(|| amf0::encode_all(&merged))
}

#[cfg(test)]
mod tests {
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

    fn on_metadata(properties: &[(&str, f64)]) -> Bytes {
        let values = properties.iter().map(|(name, n)| (*name, Value::from(*n)));
        let mut object = Properties::new();
        values.for_each(|(name, value)| object.push(name, value));
        amf0::encode_all(&[Value::from("onMetaData"), Value::EcmaArray(object)])
    }

    #[test]
    fn metadata_is_merged_and_the_newer_value_counts() {
        let kept = on_metadata(&[("width", 640.0), ("framerate", 30.0)]);
        let newer = on_metadata(&[("width", 1280.0), ("height", 720.0)]);
        assert_eq!(
            merged_metadata(&kept, &newer),
            on_metadata(&[("framerate", 30.0), ("width", 1280.0), ("height", 720.0)])
        );
    }

    #[test]
    fn metadata_that_cannot_be_merged_is_replaced() {
        let newer = on_metadata(&[("width", 1280.0)]);
        let text = amf0::encode_all(&[Value::from("onMetaData"), Value::from("text")]);
        for kept in [Bytes::from_static(b"\x02\x00"), text.clone(), Bytes::new()] {
            assert_eq!(merged_metadata(&kept, &newer), newer);
        }
        assert_eq!(merged_metadata(&newer, &text), text);
        let names: Vec<_> = (0..MAX_PROPERTIES).map(|n| format!("p{n}")).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), 1.0)).collect();
        assert_eq!(merged_metadata(&on_metadata(&many), &newer), newer);
    }

    #[test]
    fn what_merged_metadata_would_expand_to_is_bounded() {
        // An array of references to a text of 1,000 bytes, as AMF3.
        let mut array = b"\x11\x09\x87\x69\x01\x06\x8f\x51".to_vec();
        array.extend([b'a'; 1000]);
        array.extend(b"\x06\x00".repeat(499));
        let kept = [b"\x02\0\x0aonMetaData\x03\0\x01a", &array[..], b"\0\0\x09"].concat();
        let kept = Bytes::from(kept);
        assert_eq!(amf0::decode_all(&kept).unwrap().len(), 2);
        let newer = on_metadata(&[("width", 1280.0)]);
        assert_eq!(merged_metadata(&kept, &newer), newer);
    }

    #[test]
    fn clear_data_frame_names_its_handler() {
        let clear = amf0::encode_all(&["@clearDataFrame".into(), "onMetaData".into()]);
        assert_eq!(cleared(&clear).as_deref(), Some("onMetaData"));
        let alone = amf0::encode_all(&["@clearDataFrame".into()]);
        assert_eq!(cleared(&alone), None);
        assert_eq!(cleared(&on_metadata(&[])), None);
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
