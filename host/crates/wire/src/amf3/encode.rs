//! AMF3 values to bytes, without references.

use bytes::{Bytes, BytesMut};

use super::{MAX_INTEGER, MIN_INTEGER, Object, Properties, Value, marker};
use crate::amf::{MAX_DEPTH, clip};
use crate::sink::{Length, Sink};

/// The longest length that fits a 29-bit header field beside its flag.
const MAX_LENGTH: usize = (1 << 28) - 1;
/// The most declared members that fit beside the flags of a traits field.
const MAX_SEALED: usize = (1 << 25) - 1;

/// Appends one value to `out`.
///
/// There is no error: what AMF3 cannot express is cut to what it can. Text,
/// byte arrays and lists end at 268,435,455 bytes or entries, declared members
/// at 33,554,431, named entries with an empty name are left out, and a
/// container nested deeper than [`MAX_DEPTH`] is written as null.
pub fn encode(value: &Value, out: &mut BytesMut) {
    encode_nested(value, out, 0);
}

/// Encodes a sequence of values, into as much memory as they need.
pub fn encode_all(values: &[Value]) -> Bytes {
    let mut length = Length::default();
    for value in values {
        encode_nested(value, &mut length, 0);
    }
    let mut out = BytesMut::with_capacity(length.0);
    for value in values {
        encode(value, &mut out);
    }
    out.freeze()
}

/// Appends a value that sits `depth` containers deep.
pub(crate) fn encode_nested(value: &Value, out: &mut impl Sink, depth: usize) {
    let inner = depth.saturating_add(1);
    match value {
        Value::Array { .. }
        | Value::Object(_)
        | Value::Wrapped { .. }
        | Value::VectorObject { .. }
        | Value::Dictionary { .. }
            if depth >= MAX_DEPTH =>
        {
            out.put_u8(marker::NULL);
        }
        Value::Undefined => out.put_u8(marker::UNDEFINED),
        Value::Null => out.put_u8(marker::NULL),
        Value::Boolean(false) => out.put_u8(marker::FALSE),
        Value::Boolean(true) => out.put_u8(marker::TRUE),
        Value::Integer(number) if (MIN_INTEGER..=MAX_INTEGER).contains(number) => {
            out.put_u8(marker::INTEGER);
            put_u29(number.cast_unsigned() & 0x1fff_ffff, out);
        }
        Value::Integer(number) => put_double(f64::from(*number), out),
        Value::Double(number) => put_double(*number, out),
        Value::String(text) => {
            out.put_u8(marker::STRING);
            put_text(text, out);
        }
        Value::XmlDocument(text) => {
            out.put_u8(marker::XML_DOCUMENT);
            put_text(text, out);
        }
        Value::Xml(text) => {
            out.put_u8(marker::XML);
            put_text(text, out);
        }
        Value::Date { millis } => {
            out.put_u8(marker::DATE);
            put_length(0, out);
            out.put_f64(*millis);
        }
        Value::Array { dense, associative } => {
            out.put_u8(marker::ARRAY);
            put_length(dense.len(), out);
            put_members(associative, out, inner);
            put_items(dense, out, inner);
        }
        Value::Object(object) => put_object(object, out, inner),
        Value::Wrapped { class_name, value } => {
            out.put_u8(marker::OBJECT);
            // Inline object, inline traits, externalizable.
            put_u29(0b111, out);
            put_text(class_name, out);
            encode_nested(value, out, inner);
        }
        Value::ByteArray(bytes) => {
            out.put_u8(marker::BYTE_ARRAY);
            put_length(bytes.len(), out);
            out.put_slice(bytes.get(..MAX_LENGTH).unwrap_or(bytes));
        }
        Value::VectorInt { fixed, items } => {
            put_vector(marker::VECTOR_INT, *fixed, items, out, |n, out| {
                out.put_i32(*n);
            });
        }
        Value::VectorUint { fixed, items } => {
            put_vector(marker::VECTOR_UINT, *fixed, items, out, |n, out| {
                out.put_u32(*n);
            });
        }
        Value::VectorDouble { fixed, items } => {
            put_vector(marker::VECTOR_DOUBLE, *fixed, items, out, |n, out| {
                out.put_f64(*n);
            });
        }
        Value::VectorObject {
            fixed,
            class_name,
            items,
        } => {
            out.put_u8(marker::VECTOR_OBJECT);
            put_length(items.len(), out);
            out.put_u8(u8::from(*fixed));
            put_text(class_name, out);
            put_items(items, out, inner);
        }
        Value::Dictionary { weak, entries } => {
            out.put_u8(marker::DICTIONARY);
            put_length(entries.len(), out);
            out.put_u8(u8::from(*weak));
            for (key, value) in entries.iter().take(MAX_LENGTH) {
                encode_nested(key, out, inner);
                encode_nested(value, out, inner);
            }
        }
    }
}

fn put_object(object: &Object, out: &mut impl Sink, depth: usize) {
    out.put_u8(marker::OBJECT);
    let count = object.sealed.len().min(MAX_SEALED);
    let dynamic = u32::from(object.dynamic.is_some());
    // Inline object, inline traits, not externalizable.
    put_u29(fits(count) << 4 | dynamic << 3 | 0b011, out);
    put_text(&object.class_name, out);
    for (name, _) in object.sealed.iter().take(count) {
        put_text(name, out);
    }
    for (_, value) in object.sealed.iter().take(count) {
        encode_nested(value, out, depth);
    }
    if let Some(members) = &object.dynamic {
        put_members(members, out, depth);
    }
}

fn put_members(members: &Properties, out: &mut impl Sink, depth: usize) {
    for (name, value) in members.iter().filter(|(name, _)| !name.is_empty()) {
        put_text(name, out);
        encode_nested(value, out, depth);
    }
    put_text("", out);
}

fn put_items(items: &[Value], out: &mut impl Sink, depth: usize) {
    for item in items.iter().take(MAX_LENGTH) {
        encode_nested(item, out, depth);
    }
}

fn put_vector<N, S: Sink>(
    marker: u8,
    fixed: bool,
    items: &[N],
    out: &mut S,
    put: impl Fn(&N, &mut S),
) {
    out.put_u8(marker);
    put_length(items.len(), out);
    out.put_u8(u8::from(fixed));
    for item in items.iter().take(MAX_LENGTH) {
        put(item, out);
    }
}

fn put_double(number: f64, out: &mut impl Sink) {
    out.put_u8(marker::DOUBLE);
    out.put_f64(number);
}

fn put_text(text: &str, out: &mut impl Sink) {
    let text = clip(text, MAX_LENGTH);
    put_length(text.len(), out);
    out.put_slice(text.as_bytes());
}

/// A header field that says an inline value of this length follows.
fn put_length(length: usize, out: &mut impl Sink) {
    put_u29(fits(length.min(MAX_LENGTH)) << 1 | 1, out);
}

/// A length that was cut to 29 bits before.
fn fits(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(0)
}

/// A 29-bit integer in one to four bytes (section 1.3.1).
fn put_u29(value: u32, out: &mut impl Sink) {
    let [.., low] = value.to_be_bytes();
    let seven = |shift: u32| ((value >> shift) & 0x7f) as u8;
    match value {
        0..=0x7f => out.put_u8(low),
        0x80..=0x3fff => out.put_slice(&[seven(7) | 0x80, seven(0)]),
        0x4000..=0x1f_ffff => out.put_slice(&[seven(14) | 0x80, seven(7) | 0x80, seven(0)]),
        _ => out.put_slice(&[seven(22) | 0x80, seven(15) | 0x80, seven(8) | 0x80, low]),
    }
}
