//! AMF0 values to bytes.

use bytes::{Bytes, BytesMut};

use super::{Properties, Value, marker};
use crate::amf::{MAX_DEPTH, clip};
use crate::amf3;
use crate::sink::{Length, Sink};

/// Appends one value to `out`.
///
/// There is no error: what AMF0 cannot express is cut to what it can. Names
/// and class names end at 65,535 bytes, text at 4 GiB, and a container nested
/// deeper than [`MAX_DEPTH`] is written as null.
pub fn encode(value: &Value, out: &mut BytesMut) {
    encode_at(value, out, 0);
}

/// Appends a string value to `out`: as [`encode`] of a [`Value::String`].
pub fn encode_string(text: &str, out: &mut BytesMut) {
    put_string(text, out);
}

fn put_string(text: &str, out: &mut impl Sink) {
    if text.len() <= usize::from(u16::MAX) {
        out.put_u8(marker::STRING);
        put_name(text, out);
    } else {
        out.put_u8(marker::LONG_STRING);
        put_long_text(text, out);
    }
}

/// How many bytes these values are when they are encoded.
pub fn encoded_len(values: &[Value]) -> usize {
    let mut length = Length::default();
    for value in values {
        encode_at(value, &mut length, 0);
    }
    length.0
}

/// Encodes a sequence of values, such as the body of a command message, into as
/// much memory as they need.
pub fn encode_all(values: &[Value]) -> Bytes {
    let mut out = BytesMut::with_capacity(encoded_len(values));
    for value in values {
        encode(value, &mut out);
    }
    out.freeze()
}

fn encode_at(value: &Value, out: &mut impl Sink, depth: usize) {
    let inner = depth.saturating_add(1);
    match value {
        Value::Object(_) | Value::EcmaArray(_) | Value::StrictArray(_) | Value::TypedObject(_)
            if depth >= MAX_DEPTH =>
        {
            out.put_u8(marker::NULL);
        }
        Value::Number(number) => {
            out.put_u8(marker::NUMBER);
            out.put_f64(*number);
        }
        Value::Boolean(value) => {
            out.put_u8(marker::BOOLEAN);
            out.put_u8(u8::from(*value));
        }
        Value::String(text) => put_string(text, out),
        Value::Object(properties) => {
            out.put_u8(marker::OBJECT);
            put_properties(properties, out, inner);
        }
        Value::Null => out.put_u8(marker::NULL),
        Value::Undefined => out.put_u8(marker::UNDEFINED),
        Value::Reference(index) => {
            out.put_u8(marker::REFERENCE);
            out.put_u16(*index);
        }
        Value::EcmaArray(properties) => {
            out.put_u8(marker::ECMA_ARRAY);
            out.put_u32(count(properties.len()));
            put_properties(properties, out, inner);
        }
        Value::StrictArray(items) => {
            out.put_u8(marker::STRICT_ARRAY);
            let count = count(items.len());
            out.put_u32(count);
            for item in items
                .iter()
                .take(usize::try_from(count).unwrap_or(usize::MAX))
            {
                encode_at(item, out, inner);
            }
        }
        Value::Date { millis, timezone } => {
            out.put_u8(marker::DATE);
            out.put_f64(*millis);
            out.put_i16(*timezone);
        }
        Value::Unsupported => out.put_u8(marker::UNSUPPORTED),
        Value::XmlDocument(text) => {
            out.put_u8(marker::XML_DOCUMENT);
            put_long_text(text, out);
        }
        Value::TypedObject(object) => {
            out.put_u8(marker::TYPED_OBJECT);
            put_name(&object.class_name, out);
            put_properties(&object.properties, out, inner);
        }
        Value::AvmPlus(value) => {
            out.put_u8(marker::AVM_PLUS);
            amf3::encode_nested(value, out, depth);
        }
    }
}

fn put_properties(properties: &Properties, out: &mut impl Sink, depth: usize) {
    for (name, value) in properties.iter() {
        put_name(name, out);
        encode_at(value, out, depth);
    }
    end_object(out);
}

pub(super) fn end_object(out: &mut impl Sink) {
    out.put_u16(0);
    out.put_u8(marker::OBJECT_END);
}

pub(super) fn put_name(name: &str, out: &mut impl Sink) {
    let name = clip(name, usize::from(u16::MAX));
    out.put_u16(u16::try_from(name.len()).unwrap_or(u16::MAX));
    out.put_slice(name.as_bytes());
}

fn put_long_text(text: &str, out: &mut impl Sink) {
    let max = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
    let text = clip(text, max);
    out.put_u32(count(text.len()));
    out.put_slice(text.as_bytes());
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
