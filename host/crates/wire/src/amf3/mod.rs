//! AMF3 values (AMF 3 Specification, Adobe 2013), which Flash-era clients put
//! behind AMF0's avmplus marker or in message types 15 to 17.
//!
//! Bytes flow in through [`decode`] and [`decode_all`], out through
//! [`encode`] and [`encode_all`].
//!
//! The decoder honours the string, object and traits reference tables
//! (section 2.2) and returns a tree with every reference expanded; a few
//! bytes could so stand for gigabytes, hence the limits: [`MAX_DEPTH`] nested
//! containers, and the memory that a message's [`Budget`](crate::Budget) has,
//! each counted with references expanded. An object inside itself is an error.
//! The encoder writes no references.
//!
//! Text that is not UTF-8 decodes with U+FFFD in the place of each bad
//! sequence.

mod decode;
mod encode;
mod expand;
#[cfg(test)]
mod tests;

pub use crate::amf::{DecodeError, MAX_DEPTH};
pub(crate) use decode::decode_nested;
pub use decode::{decode, decode_all};
pub(crate) use encode::encode_nested;
pub use encode::{encode, encode_all};

/// Named values of an object, in order.
pub type Properties = crate::Properties<Value>;

/// The smallest [`Value::Integer`] that AMF3 can carry: 29 bits, signed.
pub const MIN_INTEGER: i32 = -(1 << 28);
/// The largest [`Value::Integer`] that AMF3 can carry: 29 bits, signed.
pub const MAX_INTEGER: i32 = (1 << 28) - 1;

/// One AMF3 value (sections 3.2 to 3.16).
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Undefined,
    /// No object.
    Null,
    /// True or false.
    Boolean(bool),
    /// A 29-bit signed integer. Outside [`MIN_INTEGER`] to [`MAX_INTEGER`] it
    /// is encoded as a double.
    Integer(i32),
    /// An IEEE 754 double.
    Double(f64),
    /// Text.
    String(String),
    /// The text of a legacy `flash.xml.XMLDocument`.
    XmlDocument(String),
    /// The text of an E4X `XML`.
    Xml(String),
    /// A point in time.
    Date {
        /// Milliseconds since 1970-01-01 00:00 UTC.
        millis: f64,
    },
    /// An array with numbered and named entries.
    Array {
        /// The entries from index 0 on.
        dense: Vec<Value>,
        /// The named entries. One with an empty name cannot be encoded: the
        /// empty name ends the list.
        associative: Properties,
    },
    /// An object with named members.
    Object(Object),
    /// A Flex collection class that writes itself as one value.
    Wrapped {
        /// `flex.messaging.io.ArrayCollection` or
        /// `flex.messaging.io.ObjectProxy`.
        class_name: String,
        /// What it wraps.
        value: Box<Value>,
    },
    /// Bytes.
    ByteArray(Vec<u8>),
    /// A vector of signed integers.
    VectorInt {
        /// Whether its length may not change.
        fixed: bool,
        /// The entries.
        items: Vec<i32>,
    },
    /// A vector of unsigned integers.
    VectorUint {
        /// Whether its length may not change.
        fixed: bool,
        /// The entries.
        items: Vec<u32>,
    },
    /// A vector of doubles.
    VectorDouble {
        /// Whether its length may not change.
        fixed: bool,
        /// The entries.
        items: Vec<f64>,
    },
    /// A vector of objects of one class.
    VectorObject {
        /// Whether its length may not change.
        fixed: bool,
        /// The class of the entries, empty when it has no name.
        class_name: String,
        /// The entries.
        items: Vec<Value>,
    },
    /// A map with keys of any type.
    Dictionary {
        /// Whether the sender holds its keys weakly.
        weak: bool,
        /// Keys and values, in order.
        entries: Vec<(Value, Value)>,
    },
}

/// An object's class and members (section 3.12).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object {
    /// Its class, empty for an anonymous object.
    pub class_name: String,
    /// The members that its class declares.
    pub sealed: Properties,
    /// The members added to this instance, when its class is dynamic. One
    /// with an empty name cannot be encoded: the empty name ends the list.
    pub dynamic: Option<Properties>,
}

impl Object {
    /// The member of this name, added ones before declared ones.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let dynamic = self.dynamic.as_ref().and_then(|members| members.get(name));
        dynamic.or_else(|| self.sealed.get(name))
    }
}

/// Whether the class writes itself as exactly one value.
fn wraps_one_value(class_name: &str) -> bool {
    matches!(
        class_name,
        "flex.messaging.io.ArrayCollection" | "flex.messaging.io.ObjectProxy"
    )
}

/// The type markers (section 3.1).
mod marker {
    pub(super) const UNDEFINED: u8 = 0x00;
    pub(super) const NULL: u8 = 0x01;
    pub(super) const FALSE: u8 = 0x02;
    pub(super) const TRUE: u8 = 0x03;
    pub(super) const INTEGER: u8 = 0x04;
    pub(super) const DOUBLE: u8 = 0x05;
    pub(super) const STRING: u8 = 0x06;
    pub(super) const XML_DOCUMENT: u8 = 0x07;
    pub(super) const DATE: u8 = 0x08;
    pub(super) const ARRAY: u8 = 0x09;
    pub(super) const OBJECT: u8 = 0x0a;
    pub(super) const XML: u8 = 0x0b;
    pub(super) const BYTE_ARRAY: u8 = 0x0c;
    pub(super) const VECTOR_INT: u8 = 0x0d;
    pub(super) const VECTOR_UINT: u8 = 0x0e;
    pub(super) const VECTOR_DOUBLE: u8 = 0x0f;
    pub(super) const VECTOR_OBJECT: u8 = 0x10;
    pub(super) const DICTIONARY: u8 = 0x11;
}
