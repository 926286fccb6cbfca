//! Bytes to AMF0 values.

use super::{Properties, TypedObject, Value, marker};
use crate::amf::{DecodeError, clip, deeper, text};
use crate::amf3;
use crate::budget::Budget;
use crate::cursor::Cursor;

/// Decodes the value at the front of `input` and advances `input` past it. What
/// it may cost is what all of `input` may.
///
/// # Errors
/// When the bytes are no value, or pass a limit of this module; `input` is
/// then left where it was.
pub fn decode(input: &mut &[u8]) -> Result<Value, DecodeError> {
    decode_within(input, &mut Budget::of_message(input.len()))
}

/// As [`decode`], for one of several values of a message: `budget` is that of
/// them all.
///
/// # Errors
/// As [`decode`].
pub fn decode_within(input: &mut &[u8], budget: &mut Budget) -> Result<Value, DecodeError> {
    let mut cursor = Cursor::new(input);
    let decoded = value(&mut cursor, budget, 0)?;
    *input = cursor.rest();
    Ok(decoded)
}

/// Decodes all of `input`, a sequence of values such as the body of a command
/// message.
///
/// # Errors
/// When any part of `input` is no value, or passes a limit of this module.
pub fn decode_all(input: &[u8]) -> Result<Vec<Value>, DecodeError> {
    decode_all_within(input, &mut Budget::of_message(input.len()))
}

/// As [`decode_all`], for a part of a message whose budget is `budget`.
///
/// # Errors
/// As [`decode_all`].
pub fn decode_all_within(input: &[u8], budget: &mut Budget) -> Result<Vec<Value>, DecodeError> {
    let mut cursor = Cursor::new(input);
    let mut values = Vec::new();
    while !cursor.is_empty() {
        let offset = cursor.offset();
        let decoded = value(&mut cursor, budget, 0)?;
        budget.push(&mut values, decoded, offset)?;
    }
    Ok(values)
}

fn value(cursor: &mut Cursor<'_>, budget: &mut Budget, depth: usize) -> Result<Value, DecodeError> {
    let offset = cursor.offset();
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
            Value::String(text(cursor, budget, usize::from(length))?)
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
            // No more than the bytes that are there can be.
            let likely = usize::try_from(count).unwrap_or(usize::MAX);
            let mut items = budget.list(likely.min(cursor.rest().len()), offset)?;
            for _ in 0..count {
                items.push(value(cursor, budget, depth)?);
            }
            Value::StrictArray(items)
        }
        marker::DATE => Value::Date {
            millis: cursor.f64()?,
            timezone: cursor.i16()?,
        },
        marker::LONG_STRING => Value::String(long_text(cursor, budget)?),
        marker::UNSUPPORTED => Value::Unsupported,
        found @ marker::RECORD_SET => return Err(reserved(found, "RecordSet")),
        marker::XML_DOCUMENT => Value::XmlDocument(long_text(cursor, budget)?),
        marker::TYPED_OBJECT => {
            let depth = deeper(depth, offset)?;
            budget.slots::<TypedObject>(1, offset)?;
            Value::TypedObject(Box::new(TypedObject {
                class_name: name(cursor, budget)?,
                properties: properties(cursor, budget, depth)?,
            }))
        }
        marker::AVM_PLUS => {
            budget.slots::<amf3::Value>(1, offset)?;
            Value::AvmPlus(Box::new(amf3::decode_nested(cursor, budget, depth)?))
        }
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
        let offset = cursor.offset();
        let name = name(cursor, budget)?;
        if name.is_empty() && cursor.peek() == Some(marker::OBJECT_END) {
            cursor.u8()?;
            return Ok(properties);
        }
        let value = value(cursor, budget, depth)?;
        properties.push_within(budget, (name, value), offset)?;
    }
}

/// A property or class name: text with a 16-bit length. Where U+FFFD makes it
/// longer than 65,535 bytes it is clipped, so that it can be encoded again.
fn name(cursor: &mut Cursor<'_>, budget: &mut Budget) -> Result<String, DecodeError> {
    let length = usize::from(cursor.u16()?);
    let mut name = text(cursor, budget, length)?;
    name.truncate(clip(&name, usize::from(u16::MAX)).len());
    Ok(name)
}

fn long_text(cursor: &mut Cursor<'_>, budget: &mut Budget) -> Result<String, DecodeError> {
    let length = cursor.u32()?;
    text(
        cursor,
        budget,
        usize::try_from(length).unwrap_or(usize::MAX),
    )
}
