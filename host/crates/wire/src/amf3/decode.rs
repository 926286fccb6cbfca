//! Bytes to AMF3 values: parsing into the reference tables, then expansion.

use std::rc::Rc;

use super::expand::{Expander, ExpansionEntry, Members, ParsedValue};
use super::{Value, marker, wraps_one_value};
use crate::amf::{DecodeError, clip, deeper, text};
use crate::amf0;
use crate::budget::Budget;
use crate::cursor::Cursor;

/// Bytes of a class name that an error repeats.
const SHOWN: usize = 64;

/// Decodes the value at the front of `input`, with reference tables of its
/// own, and advances `input` past it. What it may cost is what all of `input`
/// may.
///
/// # Errors
/// When the bytes are no value, or pass a limit of this module; `input` is
/// then left where it was.
pub fn decode(input: &mut &[u8]) -> Result<Value, DecodeError> {
    let mut cursor = Cursor::new(input);
    let value = decode_nested(&mut cursor, &mut Budget::of_message(input.len()), 0)?;
    *input = cursor.rest();
    Ok(value)
}

/// Decodes all of `input`, a sequence of values that share reference tables
/// and limits.
///
/// # Errors
/// When any part of `input` is no value, or passes a limit of this module.
pub fn decode_all(input: &[u8]) -> Result<Vec<Value>, DecodeError> {
    let mut cursor = Cursor::new(input);
    let mut budget = Budget::of_message(input.len());
    let mut parser = Parser::new(&mut budget);
    let mut values = Vec::new();
    while !cursor.is_empty() {
        let offset = cursor.offset();
        let value = parser.decode(&mut cursor, 0)?;
        parser.budget.push(&mut values, value, offset)?;
    }
    Ok(values)
}

/// Decodes one value that sits `depth` containers deep in an AMF0 value. Each
/// has reference tables of its own.
pub(crate) fn decode_nested(
    cursor: &mut Cursor<'_>,
    budget: &mut Budget,
    depth: usize,
) -> Result<Value, DecodeError> {
    Parser::new(budget).decode(cursor, depth)
}

/// What an object of some class looks like (section 3.12, U29O-traits).
#[derive(Debug)]
struct Traits {
    class_name: Rc<str>,
    sealed: Vec<Rc<str>>,
    dynamic: bool,
    externalizable: bool,
}

/// The reference tables (section 2.2). The graph and the tree that it expands to
/// are paid for by one budget.
#[derive(Debug)]
struct Parser<'b> {
    strings: Vec<Rc<str>>,
    objects: Vec<ExpansionEntry>,
    traits: Vec<Rc<Traits>>,
    empty: Rc<str>,
    budget: &'b mut Budget,
}

/// The first field of most values: an index into a table, or that the value
/// follows, with the rest of the field's bits.
enum U29Header {
    Reference(usize),
    Inline(u32),
}

impl<'b> Parser<'b> {
    fn new(budget: &'b mut Budget) -> Self {
        Self {
            strings: Vec::new(),
            objects: Vec::new(),
            traits: Vec::new(),
            empty: Rc::from(""),
            budget,
        }
    }

    fn decode(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Result<Value, DecodeError> {
        let node = self.node(cursor, depth)?;
        Expander {
            entries: &mut self.objects,
            budget: self.budget,
            offset: cursor.offset(),
        }
        .value(&node, depth)
    }

    fn node(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Result<ParsedValue, DecodeError> {
        let offset = cursor.offset();
        Ok(match cursor.u8()? {
            marker::UNDEFINED => ParsedValue::Undefined,
            marker::NULL => ParsedValue::Null,
            marker::FALSE => ParsedValue::Boolean(false),
            marker::TRUE => ParsedValue::Boolean(true),
            marker::INTEGER => ParsedValue::Integer(i29(cursor)?),
            marker::DOUBLE => ParsedValue::Double(cursor.f64()?),
            marker::STRING => ParsedValue::String(self.string(cursor)?),
            found @ (marker::XML_DOCUMENT
            | marker::DATE
            | marker::ARRAY
            | marker::OBJECT
            | marker::XML
            | marker::BYTE_ARRAY
            | marker::VECTOR_INT
            | marker::VECTOR_UINT
            | marker::VECTOR_DOUBLE
            | marker::VECTOR_OBJECT
            | marker::DICTIONARY) => self.complex(found, cursor, depth)?,
            marker => {
                return Err(DecodeError::UnknownMarker {
                    offset,
                    format: "an AMF3",
                    marker,
                });
            }
        })
    }

    /// A value of a type that goes into the object table, or a reference to
    /// one. The entry gets its index before its children get theirs.
    fn complex(
        &mut self,
        marker: u8,
        cursor: &mut Cursor<'_>,
        depth: usize,
    ) -> Result<ParsedValue, DecodeError> {
        let offset = cursor.offset();
        let bits = match header(cursor)? {
            U29Header::Reference(index) if index < self.objects.len() => {
                return Ok(ParsedValue::Entry(index));
            }
            U29Header::Reference(index) => {
                return Err(unknown_reference(
                    offset,
                    "object",
                    index,
                    self.objects.len(),
                ));
            }
            U29Header::Inline(bits) => bits,
        };
        let index = self.objects.len();
        self.budget
            .push(&mut self.objects, ExpansionEntry::Open, offset)?;
        let length = usize::try_from(bits).unwrap_or(usize::MAX);
        let entry = match marker {
            marker::DATE => leaf(
                Value::Date {
                    millis: cursor.f64()?,
                },
                0,
            ),
            marker::XML_DOCUMENT => {
                let text = text(cursor, self.budget, length)?;
                let size = text.len();
                leaf(Value::XmlDocument(text), size)
            }
            marker::XML => {
                let text = text(cursor, self.budget, length)?;
                let size = text.len();
                leaf(Value::Xml(text), size)
            }
            marker::BYTE_ARRAY => {
                let bytes = cursor.take(length)?;
                self.budget.allocation(length, offset)?;
                leaf(Value::ByteArray(bytes.to_vec()), length)
            }
            marker::VECTOR_INT => {
                let (fixed, items, size) = numbers(cursor, self.budget, length, Cursor::i32)?;
                leaf(Value::VectorInt { fixed, items }, size)
            }
            marker::VECTOR_UINT => {
                let (fixed, items, size) = numbers(cursor, self.budget, length, Cursor::u32)?;
                leaf(Value::VectorUint { fixed, items }, size)
            }
            marker::VECTOR_DOUBLE => {
                let (fixed, items, size) = numbers(cursor, self.budget, length, Cursor::f64)?;
                leaf(Value::VectorDouble { fixed, items }, size)
            }
            marker::VECTOR_OBJECT => {
                let depth = deeper(depth, offset)?;
                ExpansionEntry::VectorObject {
                    fixed: cursor.u8()? != 0,
                    class_name: self.string(cursor)?,
                    items: self.items(cursor, length, depth)?,
                }
            }
            marker::DICTIONARY => {
                let depth = deeper(depth, offset)?;
                let weak = cursor.u8()? != 0;
                // An entry has two bytes at least.
                let likely = length.min(cursor.rest().len() / 2);
                let mut entries = self.budget.list(likely, offset)?;
                for _ in 0..length {
                    entries.push((self.node(cursor, depth)?, self.node(cursor, depth)?));
                }
                ExpansionEntry::Dictionary { weak, entries }
            }
            marker::ARRAY => {
                let depth = deeper(depth, offset)?;
                ExpansionEntry::Array {
                    associative: self.members(cursor, depth)?,
                    dense: self.items(cursor, length, depth)?,
                }
            }
            _ => self.object(bits, cursor, deeper(depth, offset)?)?,
        };
        if let Some(slot) = self.objects.get_mut(index) {
            *slot = entry;
        }
        Ok(ParsedValue::Entry(index))
    }

    /// An object after its header field, whose remaining bits are `bits`.
    fn object(
        &mut self,
        bits: u32,
        cursor: &mut Cursor<'_>,
        depth: usize,
    ) -> Result<ExpansionEntry, DecodeError> {
        let offset = cursor.offset();
        let traits = self.traits(bits, cursor)?;
        if traits.externalizable {
            if !wraps_one_value(&traits.class_name) {
                return Err(DecodeError::Externalizable {
                    offset,
                    class_name: clip(&traits.class_name, SHOWN).to_owned(),
                });
            }
            return Ok(ExpansionEntry::Wrapped {
                class_name: Rc::clone(&traits.class_name),
                inner: self.node(cursor, depth)?,
            });
        }
        let mut sealed: Members = self.budget.list(traits.sealed.len(), offset)?;
        for name in &traits.sealed {
            sealed.push((Rc::clone(name), self.node(cursor, depth)?));
        }
        let dynamic = match traits.dynamic {
            true => Some(self.members(cursor, depth)?),
            false => None,
        };
        Ok(ExpansionEntry::Object {
            class_name: Rc::clone(&traits.class_name),
            sealed,
            dynamic,
        })
    }

    fn traits(&mut self, bits: u32, cursor: &mut Cursor<'_>) -> Result<Rc<Traits>, DecodeError> {
        let offset = cursor.offset();
        if bits & 1 == 0 {
            let index = usize::try_from(bits >> 1).unwrap_or(usize::MAX);
            return self
                .traits
                .get(index)
                .cloned()
                .ok_or_else(|| unknown_reference(offset, "traits", index, self.traits.len()));
        }
        let externalizable = bits & 0b10 != 0;
        let dynamic = !externalizable && bits & 0b100 != 0;
        // The count has no meaning for an externalizable class.
        let count = if externalizable { 0 } else { bits >> 3 };
        let class_name = self.string(cursor)?;
        let mut sealed = Vec::new();
        for _ in 0..count {
            let offset = cursor.offset();
            let name = self.string(cursor)?;
            self.budget.push(&mut sealed, name, offset)?;
        }
        self.budget.slots::<Traits>(1, offset)?;
        let traits = Rc::new(Traits {
            class_name,
            sealed,
            dynamic,
            externalizable,
        });
        self.budget
            .push(&mut self.traits, Rc::clone(&traits), offset)?;
        Ok(traits)
    }

    fn items(
        &mut self,
        cursor: &mut Cursor<'_>,
        count: usize,
        depth: usize,
    ) -> Result<Vec<ParsedValue>, DecodeError> {
        let likely = count.min(cursor.rest().len());
        let mut items = self.budget.list(likely, cursor.offset())?;
        for _ in 0..count {
            items.push(self.node(cursor, depth)?);
        }
        Ok(items)
    }

    /// Name/value pairs up to the empty name.
    fn members(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Result<Members, DecodeError> {
        let mut members = Members::new();
        loop {
            let offset = cursor.offset();
            let name = self.string(cursor)?;
            if name.is_empty() {
                return Ok(members);
            }
            let member = (name, self.node(cursor, depth)?);
            self.budget.push(&mut members, member, offset)?;
        }
    }

    /// A string or a reference to one (UTF-8-vr, section 1.3.2). The empty
    /// string is never in the table.
    fn string(&mut self, cursor: &mut Cursor<'_>) -> Result<Rc<str>, DecodeError> {
        let offset = cursor.offset();
        match header(cursor)? {
            U29Header::Reference(index) => self
                .strings
                .get(index)
                .cloned()
                .ok_or_else(|| unknown_reference(offset, "string", index, self.strings.len())),
            U29Header::Inline(0) => Ok(Rc::clone(&self.empty)),
            U29Header::Inline(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let text = text(cursor, self.budget, length)?;
                self.budget.allocation(text.len(), offset)?;
                let text: Rc<str> = text.into();
                self.budget
                    .push(&mut self.strings, Rc::clone(&text), offset)?;
                Ok(text)
            }
        }
    }
}

fn leaf(value: Value, size: usize) -> ExpansionEntry {
    ExpansionEntry::Leaf { value, size }
}

/// The entries of a number vector: whether its length is fixed, the entries, and
/// what another copy of them costs, which as AMF0 is one value for each.
fn numbers<'a, N>(
    cursor: &mut Cursor<'a>,
    budget: &mut Budget,
    count: usize,
    mut read: impl FnMut(&mut Cursor<'a>) -> Result<N, crate::cursor::Short>,
) -> Result<(bool, Vec<N>, usize), DecodeError> {
    let fixed = cursor.u8()? != 0;
    let offset = cursor.offset();
    let size = count.saturating_mul(size_of::<N>());
    let mut bytes = Cursor::new(cursor.take(size)?);
    let mut items = budget.list(count, offset)?;
    for _ in 0..count {
        items.push(read(&mut bytes)?);
    }
    let as_amf0 = count.saturating_mul(size_of::<amf0::Value>());
    Ok((fixed, items, size.saturating_add(as_amf0)))
}

/// A 29-bit integer in one to four bytes (section 1.3.1).
fn u29(cursor: &mut Cursor<'_>) -> Result<u32, DecodeError> {
    let mut value = 0;
    for _ in 0..3 {
        let byte = u32::from(cursor.u8()?);
        value = value << 7 | byte & 0x7f;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Ok(value << 8 | u32::from(cursor.u8()?))
}

/// A signed 29-bit integer: the top bit of the 29 is the sign.
fn i29(cursor: &mut Cursor<'_>) -> Result<i32, DecodeError> {
    Ok((u29(cursor)? << 3).cast_signed() >> 3)
}

fn header(cursor: &mut Cursor<'_>) -> Result<U29Header, DecodeError> {
    let bits = u29(cursor)?;
    Ok(if bits & 1 == 0 {
        U29Header::Reference(usize::try_from(bits >> 1).unwrap_or(usize::MAX))
    } else {
        U29Header::Inline(bits >> 1)
    })
}

fn unknown_reference(
    offset: usize,
    table: &'static str,
    index: usize,
    known: usize,
) -> DecodeError {
    DecodeError::UnknownReference {
        offset,
        table,
        index,
        known,
    }
}
