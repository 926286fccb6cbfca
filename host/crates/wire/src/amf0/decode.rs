//! Bytes to AMF0 values.

use super::{Properties, Value, marker};
use crate::amf::{Budget, DecodeError, clip, deeper, text};
use crate::amf3;
use crate::cursor::Cursor;

/// Decodes the value at the front of `input` and advances `input` past it.
///
/// # Errors
/// When the bytes are no value, or pass a limit of this module; `input` is
/// then left where it was.
pub fn decode(input: &mut &[u8]) -> Result<Value, DecodeError> {
    let mut cursor = Cursor::new(input);
    let decoded = value(&mut cursor, &mut Budget::new(), 0)?;
    *input = cursor.rest();
    Ok(decoded)
}

/// Decodes all of `input`, a sequence of values such as the body of a command
/// message. The limit on values counts for all of them together.
///
/// # Errors
/// When any part of `input` is no value, or passes a limit of this module.
pub fn decode_all(input: &[u8]) -> Result<Vec<Value>, DecodeError> {
    let mut cursor = Cursor::new(input);
    let mut budget = Budget::new();
    let mut values = Vec::new();
    while !cursor.is_empty() {
        values.push(value(&mut cursor, &mut budget, 0)?);
    }
    Ok(values)
}

fn value(cursor: &mut Cursor<'_>, budget: &mut Budget, depth: usize) -> Result<Value, DecodeError> {
    let offset = cursor.offset();
    budget.values(1, offset)?;
    let reserved = |marker, name| DecodeError::ReservedMarker {
        offset,
        marker,
        name,
    };
    Ok(match cursor.u8()? {
        marker::NUMBER => Value::Number(cursor.f64()?),
        marker::BOOLEAN => Value::Boolean(cursor.u8()? != 0),
        marker::STRING => {
            let length = cursor.u16()?;
            Value::String(text(cursor, usize::from(length))?)
        }
        marker::OBJECT => Value::Object(properties(cursor, budget, deeper(depth, offset)?)?),
        found @ marker::MOVIE_CLIP => return Err(reserved(found, "MovieClip")),
        marker::NULL => Value::Null,
        marker::UNDEFINED => Value::Undefined,
        marker::REFERENCE => Value::Reference(cursor.u16()?),
        marker::ECMA_ARRAY => {
            // The count is only a hint, and often wrong: live encoders write
            // it before they know.
            cursor.u32()?;
            Value::EcmaArray(properties(cursor, budget, deeper(depth, offset)?)?)
        }
        marker::STRICT_ARRAY => {
            let depth = deeper(depth, offset)?;
            let count = cursor.u32()?;
            let mut items = Vec::new();
            for _ in 0..count {
                items.push(value(cursor, budget, depth)?);
            }
            Value::StrictArray(items)
        }
        marker::DATE => Value::Date {
            millis: cursor.f64()?,
            timezone: cursor.i16()?,
        },
        marker::LONG_STRING => Value::String(long_text(cursor)?),
        marker::UNSUPPORTED => Value::Unsupported,
        found @ marker::RECORD_SET => return Err(reserved(found, "RecordSet")),
        marker::XML_DOCUMENT => Value::XmlDocument(long_text(cursor)?),
        marker::TYPED_OBJECT => {
            let depth = deeper(depth, offset)?;
            Value::TypedObject {
                class_name: name(cursor)?,
                properties: properties(cursor, budget, depth)?,
            }
        }
        marker::AVM_PLUS => Value::AvmPlus(amf3::decode_nested(cursor, budget, depth)?),
        marker => {
            return Err(DecodeError::UnknownMarker {
                offset,
                format: "an AMF0",
                marker,
            });
        }
    })
}

/// Name/value pairs up to the empty name and object end marker (section 2.11).
/// An empty name before any other marker is a property.
fn properties(
    cursor: &mut Cursor<'_>,
    budget: &mut Budget,
    depth: usize,
) -> Result<Properties, DecodeError> {
    let mut properties = Properties::new();
    loop {
        let name = name(cursor)?;
        if name.is_empty() && cursor.peek() == Some(marker::OBJECT_END) {
            cursor.u8()?;
            return Ok(properties);
        }
        properties.push(name, value(cursor, budget, depth)?);
    }
}

/// A property or class name: text with a 16-bit length. Where U+FFFD makes it
/// longer than 65,535 bytes it is clipped, so that it can be encoded again.
fn name(cursor: &mut Cursor<'_>) -> Result<String, DecodeError> {
    let length = usize::from(cursor.u16()?);
    let mut name = text(cursor, length)?;
    name.truncate(clip(&name, usize::from(u16::MAX)).len());
    Ok(name)
}

fn long_text(cursor: &mut Cursor<'_>) -> Result<String, DecodeError> {
    let length = cursor.u32()?;
    text(cursor, usize::try_from(length).unwrap_or(usize::MAX))
}
