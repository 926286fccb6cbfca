//! AMF0 values (AMF 0 Specification, Adobe 2007): what RTMP command, data and
//! shared object messages carry, and the script tags of FLV files.
//!
//! Bytes flow in through [`decode`] and [`decode_all`], out through
//! [`encode`], [`encode_all`] and [`encode_string`].
//!
//! Tolerated, because real clients do it: text that is not UTF-8 (each bad
//! sequence becomes U+FFFD), ECMA arrays whose count is wrong (the end marker
//! decides, section 2.10), and repeated property names.
//!
//! Limits: [`MAX_DEPTH`] nested containers, and the memory that a message's
//! [`Budget`](crate::Budget) has. A count that a peer announces reserves no
//! more than the bytes behind it can fill.

mod decode;
mod encode;
mod from_amf3;
mod object;
#[cfg(test)]
mod tests;

pub use crate::amf::{DecodeError, MAX_DEPTH};
use crate::amf3;

pub use decode::{decode, decode_all, decode_all_within, decode_within};
pub use encode::{encode, encode_all, encode_string, encoded_len};
pub use object::ObjectWriter;

/// Named values of an object, in order.
pub type Properties = crate::Properties<Value>;

/// One AMF0 value (sections 2.2 to 2.18).
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// An IEEE 754 double.
    Number(f64),
    /// True or false; any byte but zero is true.
    Boolean(bool),
    /// Text. Short and long string markers both decode to this; encoding
    /// picks the long one above 65,535 bytes.
    String(String),
    /// An object without a class.
    Object(Properties),
    /// No object.
    Null,
    /// No value.
    Undefined,
    /// An earlier complex value of the same message, by its index. Kept as it
    /// is, not resolved: no known client sends one over RTMP.
    Reference(u16),
    /// An "associative array", the usual form of stream metadata.
    EcmaArray(Properties),
    /// An array with indices only.
    StrictArray(Vec<Value>),
    /// A point in time.
    Date {
        /// Milliseconds since 1970-01-01 00:00 UTC.
        millis: f64,
        /// Reserved; the specification asks for zero.
        timezone: i16,
    },
    /// Something the sender cannot express.
    Unsupported,
    /// An XML document's text.
    XmlDocument(String),
    /// An object with a registered class name.
    TypedObject(Box<TypedObject>),
    /// A value in AMF3, behind the avmplus-object marker (section 3.1).
    AvmPlus(Box<amf3::Value>),
}

/// An object with its class.
#[derive(Debug, Clone, PartialEq)]
pub struct TypedObject {
    /// Its class.
    pub class_name: String,
    /// Its members.
    pub properties: Properties,
}

impl Value {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match (self, self.as_amf3()) {
            (Self::String(text), _) | (_, Some(amf3::Value::String(text))) => Some(text),
            _ => None,
        }
    }

    /// The number, from AMF3 integers too.
    pub fn as_f64(&self) -> Option<f64> {
        match (self, self.as_amf3()) {
            (Self::Number(number), _) | (_, Some(amf3::Value::Double(number))) => Some(*number),
            (_, Some(amf3::Value::Integer(number))) => Some(f64::from(*number)),
            _ => None,
        }
    }

    /// The boolean. Numbers do not count as booleans.
    pub fn as_bool(&self) -> Option<bool> {
        match (self, self.as_amf3()) {
            (Self::Boolean(value), _) | (_, Some(amf3::Value::Boolean(value))) => Some(*value),
            _ => None,
        }
    }

    fn as_amf3(&self) -> Option<&amf3::Value> {
        match self {
            Self::AvmPlus(value) => Some(value),
            _ => None,
        }
    }

    /// The properties of an object, typed object or ECMA array. An AMF3
    /// object has none until it is converted: `Value::from(amf3_value)`.
    pub fn as_object(&self) -> Option<&Properties> {
        match self {
            Self::Object(properties) | Self::EcmaArray(properties) => Some(properties),
            Self::TypedObject(object) => Some(&object.properties),
            _ => None,
        }
    }

    /// The properties themselves, of what has some.
    pub fn into_object(self) -> Option<Properties> {
        match self {
            Self::Object(properties) | Self::EcmaArray(properties) => Some(properties),
            Self::TypedObject(object) => Some(object.properties),
            _ => None,
        }
    }

    /// The last property of this name, when the value has properties.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.as_object()?.get(name)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<Properties> for Value {
    fn from(properties: Properties) -> Self {
        Self::Object(properties)
    }
}

/// The type markers (section 2.1).
mod marker {
    pub(super) const NUMBER: u8 = 0x00;
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const STRING: u8 = 0x02;
    pub(super) const OBJECT: u8 = 0x03;
    pub(super) const MOVIE_CLIP: u8 = 0x04;
    pub(super) const NULL: u8 = 0x05;
    pub(super) const UNDEFINED: u8 = 0x06;
    pub(super) const REFERENCE: u8 = 0x07;
    pub(super) const ECMA_ARRAY: u8 = 0x08;
    pub(super) const OBJECT_END: u8 = 0x09;
    pub(super) const STRICT_ARRAY: u8 = 0x0a;
    pub(super) const DATE: u8 = 0x0b;
    pub(super) const LONG_STRING: u8 = 0x0c;
    pub(super) const UNSUPPORTED: u8 = 0x0d;
    pub(super) const RECORD_SET: u8 = 0x0e;
    pub(super) const XML_DOCUMENT: u8 = 0x0f;
    pub(super) const TYPED_OBJECT: u8 = 0x10;
    pub(super) const AVM_PLUS: u8 = 0x11;
}
