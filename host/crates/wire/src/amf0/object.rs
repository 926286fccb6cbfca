//! An object of known shape, to bytes.

use bytes::{BufMut, BytesMut};

use super::{Value, encode, encode_string, marker};

/// Writes an object property by property, without a [`Value`] that holds them.
///
/// ```
/// use livehost_wire::amf0::{self, ObjectWriter, Properties, Value};
///
/// let mut out = bytes::BytesMut::new();
/// let mut object = ObjectWriter::new(&mut out);
/// object.text("level", "status");
/// object.value("capabilities", &Value::Number(31.0));
/// object.finish();
/// let same = Properties::from([("level", "status".into()), ("capabilities", 31.0.into())]);
/// assert_eq!(out, amf0::encode_all(&[Value::Object(same)]));
/// ```
#[derive(Debug)]
pub struct ObjectWriter<'a> {
    out: &'a mut BytesMut,
}

impl<'a> ObjectWriter<'a> {
    /// Begins an object at the end of `out`.
    pub fn new(out: &'a mut BytesMut) -> Self {
        out.put_u8(marker::OBJECT);
        Self { out }
    }

    /// A property with a text.
    pub fn text(&mut self, name: &str, text: &str) {
        encode::put_name(name, self.out);
        encode_string(text, self.out);
    }

    /// A property with any value.
    pub fn value(&mut self, name: &str, value: &Value) {
        encode::put_name(name, self.out);
        encode::encode(value, self.out);
    }

    /// Ends the object. Without it what follows would be part of it.
    pub fn finish(self) {
        encode::end_object(self.out);
    }
}
