//! AMF3 values as the AMF0 values they correspond to, so that code that reads
//! a command need not care which encoding its client chose.

use super::{Properties, TypedObject, Value};
use crate::amf3;

impl From<amf3::Value> for Value {
    /// Numbers, text, dates, arrays and objects become their AMF0 form;
    /// vectors become strict arrays, an array with named entries becomes an
    /// ECMA array, a wrapped collection becomes what it wraps. What AMF0 has
    /// no form for (byte arrays, dictionaries) stays AMF3 as
    /// [`Value::AvmPlus`].
    fn from(value: amf3::Value) -> Self {
        match value {
            amf3::Value::Undefined => Self::Undefined,
            amf3::Value::Null => Self::Null,
            amf3::Value::Boolean(value) => Self::Boolean(value),
            amf3::Value::Integer(number) => Self::Number(f64::from(number)),
            amf3::Value::Double(number) => Self::Number(number),
            amf3::Value::String(text) => Self::String(text),
            amf3::Value::XmlDocument(text) | amf3::Value::Xml(text) => Self::XmlDocument(text),
            amf3::Value::Date { millis } => Self::Date {
                millis,
                timezone: 0,
            },
            amf3::Value::Array { dense, associative } if associative.is_empty() => array(dense),
            amf3::Value::Array { dense, associative } => {
                let numbered = dense
                    .into_iter()
                    .enumerate()
                    .map(|(index, value)| (index.to_string(), value));
                Self::EcmaArray(convert(numbered.chain(associative)))
            }
            amf3::Value::Object(object) => {
                let members = object.dynamic.into_iter().flatten();
                let properties = convert(object.sealed.into_iter().chain(members));
                if object.class_name.is_empty() {
                    Self::Object(properties)
                } else {
                    Self::TypedObject(Box::new(TypedObject {
                        class_name: object.class_name,
                        properties,
                    }))
                }
            }
            amf3::Value::Wrapped { value, .. } => Self::from(*value),
            amf3::Value::VectorInt { items, .. } => numbers(items),
            amf3::Value::VectorUint { items, .. } => numbers(items),
            amf3::Value::VectorDouble { items, .. } => numbers(items),
            amf3::Value::VectorObject { items, .. } => array(items),
            value @ (amf3::Value::ByteArray(_) | amf3::Value::Dictionary { .. }) => {
                Self::AvmPlus(Box::new(value))
            }
        }
    }
}

fn convert(members: impl Iterator<Item = (String, amf3::Value)>) -> Properties {
    members
        .map(|(name, value)| (name, Value::from(value)))
        .collect()
}

fn array(items: Vec<amf3::Value>) -> Value {
    Value::StrictArray(items.into_iter().map(Value::from).collect())
}

fn numbers<N: Into<f64>>(items: Vec<N>) -> Value {
    Value::StrictArray(
        items
            .into_iter()
            .map(|number| Value::Number(number.into()))
            .collect(),
    )
}
