//! From what the AMF3 wire says, a graph with references, to the tree that
//! callers get, within the budget of the decode call.
//!
//! Parsing costs memory in proportion to the input, because references stay
//! references here; only the expansion copies, and it pays for every copy: as it
//! is, and as the AMF0 value that it may be converted to.

use std::rc::Rc;

use super::{Object, Properties, Value};
use crate::amf::{DecodeError, deeper};
use crate::amf0;
use crate::budget::Budget;

/// Digits of an entry's number, which names it where a list is converted to named
/// values.
const INDEX: usize = 20;

/// A value as parsed: complex ones live in the object table.
#[derive(Debug, Clone)]
pub(super) enum ParsedValue {
    Undefined,
    Null,
    Boolean(bool),
    Integer(i32),
    Double(f64),
    String(Rc<str>),
    /// An entry of the object table.
    Entry(usize),
}

/// Named values.
pub(super) type Members = Vec<(Rc<str>, ParsedValue)>;

/// An entry of the object table.
#[derive(Debug)]
pub(super) enum ExpansionEntry {
    /// A complex value without children: date, XML, byte array, number vector.
    Leaf {
        value: Value,
        /// Bytes a copy of it costs.
        size: usize,
    },
    Array {
        dense: Vec<ParsedValue>,
        associative: Members,
    },
    Object {
        class_name: Rc<str>,
        sealed: Members,
        dynamic: Option<Members>,
    },
    Wrapped {
        class_name: Rc<str>,
        inner: ParsedValue,
    },
    VectorObject {
        fixed: bool,
        class_name: Rc<str>,
        items: Vec<ParsedValue>,
    },
    Dictionary {
        weak: bool,
        entries: Vec<(ParsedValue, ParsedValue)>,
    },
    /// Still being parsed, or on the way from the root to the value being
    /// expanded: a reference to it closes a circle.
    Open,
}

/// Turns parsed values into values.
#[derive(Debug)]
pub(super) struct Expander<'a> {
    pub(super) entries: &'a mut [ExpansionEntry],
    pub(super) budget: &'a mut Budget,
    /// The offset that errors name: the end of the parsed value.
    pub(super) offset: usize,
}

impl Expander<'_> {
    pub(super) fn value(&mut self, node: &ParsedValue, depth: usize) -> Result<Value, DecodeError> {
        Ok(match node {
            ParsedValue::Undefined => Value::Undefined,
            ParsedValue::Null => Value::Null,
            ParsedValue::Boolean(value) => Value::Boolean(*value),
            ParsedValue::Integer(number) => Value::Integer(*number),
            ParsedValue::Double(number) => Value::Double(*number),
            ParsedValue::String(text) => Value::String(self.text(text)?),
            ParsedValue::Entry(index) => self.entry(*index, depth)?,
        })
    }

    /// Expands an object table entry. It is taken out of the table meanwhile,
    /// so that a reference back to it is seen to be circular.
    fn entry(&mut self, index: usize, depth: usize) -> Result<Value, DecodeError> {
        let circular = DecodeError::CircularReference {
            offset: self.offset,
            index,
        };
        let Some(slot) = self.entries.get_mut(index) else {
            return Err(circular);
        };
        let entry = std::mem::replace(slot, ExpansionEntry::Open);
        let value = match &entry {
            ExpansionEntry::Open => return Err(circular),
            ExpansionEntry::Leaf { value, size } => self
                .budget
                .allocation(*size, self.offset)
                .map(|()| value.clone()),
            container => self.container(container, deeper(depth, self.offset)?),
        };
        if let Some(slot) = self.entries.get_mut(index) {
            *slot = entry;
        }
        value
    }

    fn container(&mut self, entry: &ExpansionEntry, depth: usize) -> Result<Value, DecodeError> {
        Ok(match entry {
            ExpansionEntry::Array { dense, associative } => {
                if !associative.is_empty() {
                    self.names(dense.len())?;
                }
                Value::Array {
                    dense: self.items(dense, depth)?,
                    associative: self.members(associative, depth)?,
                }
            }
            ExpansionEntry::Object {
                class_name,
                sealed,
                dynamic,
            } => Value::Object(Object {
                class_name: self.text(class_name)?,
                sealed: self.members(sealed, depth)?,
                dynamic: match dynamic {
                    Some(members) => Some(self.members(members, depth)?),
                    None => None,
                },
            }),
            ExpansionEntry::Wrapped { class_name, inner } => {
                self.budget.slots::<Value>(1, self.offset)?;
                Value::Wrapped {
                    class_name: self.text(class_name)?,
                    value: Box::new(self.value(inner, depth)?),
                }
            }
            ExpansionEntry::VectorObject {
                fixed,
                class_name,
                items,
            } => Value::VectorObject {
                fixed: *fixed,
                class_name: self.text(class_name)?,
                items: self.items(items, depth)?,
            },
            ExpansionEntry::Dictionary { weak, entries } => {
                let mut pairs = self.budget.list(entries.len(), self.offset)?;
                for (key, value) in entries {
                    pairs.push((self.value(key, depth)?, self.value(value, depth)?));
                }
                Value::Dictionary {
                    weak: *weak,
                    entries: pairs,
                }
            }
            // Not containers; `entry` has dealt with them.
            ExpansionEntry::Leaf { value, .. } => value.clone(),
            ExpansionEntry::Open => Value::Undefined,
        })
    }

    fn items(&mut self, nodes: &[ParsedValue], depth: usize) -> Result<Vec<Value>, DecodeError> {
        self.budget.slots::<amf0::Value>(nodes.len(), self.offset)?;
        let mut items = self.budget.list(nodes.len(), self.offset)?;
        for node in nodes {
            items.push(self.value(node, depth)?);
        }
        Ok(items)
    }

    fn members(&mut self, members: &Members, depth: usize) -> Result<Properties, DecodeError> {
        self.budget
            .slots::<(String, amf0::Value)>(members.len(), self.offset)?;
        let mut properties = self.budget.list(members.len(), self.offset)?;
        for (name, node) in members {
            properties.push((self.text(name)?, self.value(node, depth)?));
        }
        Ok(properties.into_iter().collect())
    }

    /// Pays for what numbered entries cost more than others once they are named.
    fn names(&mut self, count: usize) -> Result<(), DecodeError> {
        self.budget
            .slots::<(String, amf0::Value, [u8; INDEX])>(count, self.offset)
    }

    fn text(&mut self, text: &Rc<str>) -> Result<String, DecodeError> {
        self.budget.allocation(text.len(), self.offset)?;
        Ok(text.as_ref().to_owned())
    }
}
