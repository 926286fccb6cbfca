//! A RON value as JSON: the way a plugin's configuration reaches it.
//!
//! Flows in: a value of the file. Flows out: the JSON value, or what has no
//! JSON form, with its place. Structs and maps become objects, lists and
//! tuples arrays. Enums become what serde reads by default: `Name` the string
//! `"Name"`, `Name(…)` an object with the one key `Name`. `None` and `()`
//! become `null`, `Some(x)` becomes `x`.

use serde_json::{Map, Number, Value};

use crate::node::{Node, NodeShape};

/// What has no JSON form: the place, what was expected and came, and help.
#[derive(Debug)]
pub struct NotJson<'a> {
    pub node: Node<'a>,
    pub message: String,
    pub help: Option<String>,
}

/// `node` as JSON. All that has no JSON form is added to `errors`, and `null`
/// stands in for it.
pub fn to_json<'a>(node: Node<'a>, errors: &mut Vec<NotJson<'a>>) -> Value {
    match node.shape() {
        NodeShape::Text | NodeShape::Char => text(node, errors),
        NodeShape::Bool => Value::Bool(node.text() == "true"),
        NodeShape::Number => number(node, errors),
        NodeShape::Bytes => refuse(node, "expected a text, JSON has no bytes", None, errors),
        NodeShape::List => array(node, errors),
        NodeShape::Map => object(node, node.entries(), errors),
        NodeShape::Parens => parens(node, errors),
        NodeShape::Word("None") => Value::Null,
        NodeShape::Word(name) => Value::String(name.to_owned()),
        NodeShape::NamedParens("Some") => match node.body().items().as_deref() {
            Some([value]) => to_json(*value, errors),
            _ => refuse(node, "expected one value in Some(...)", None, errors),
        },
        NodeShape::NamedParens(name) => {
            let body = node.body();
            let value = match body.items().as_deref() {
                Some([value]) if body.fields().is_none() => to_json(*value, errors),
                _ => parens(body, errors),
            };
            Value::Object(Map::from_iter([(name.to_owned(), value)]))
        }
    }
}

/// `(a: 1)`, `(1, 2)` or `()`.
fn parens<'a>(node: Node<'a>, errors: &mut Vec<NotJson<'a>>) -> Value {
    match node.fields() {
        Some(fields) if fields.is_empty() => Value::Null,
        None => array(node, errors),
        fields => object(node, fields, errors),
    }
}

fn array<'a>(node: Node<'a>, errors: &mut Vec<NotJson<'a>>) -> Value {
    match node.items() {
        Some(items) => items
            .into_iter()
            .map(|item| to_json(item, errors))
            .collect(),
        None => refuse(node, "expected a list", None, errors),
    }
}

fn object<'a>(
    node: Node<'a>,
    pairs: Option<Vec<(Node<'a>, Node<'a>)>>,
    errors: &mut Vec<NotJson<'a>>,
) -> Value {
    let Some(pairs) = pairs else {
        return refuse(node, "expected a map", None, errors);
    };
    let mut object = Map::new();
    for (key, value) in pairs {
        let name = match (node.shape(), key.shape()) {
            (NodeShape::Map, NodeShape::Text) => key.scalar().unwrap_or_default(),
            (NodeShape::Map, shape) => {
                let help = match shape {
                    NodeShape::Word(name) => Some(format!("write \"{name}\" in quotes")),
                    _ => None,
                };
                refuse(key, "expected a text as the key", help, errors);
                continue;
            }
            _ => key.text().trim_start_matches("r#").to_owned(),
        };
        let value = to_json(value, errors);
        if object.contains_key(&name) {
            refuse(key, "expected each key once", None, errors);
        }
        object.insert(name, value);
    }
    Value::Object(object)
}

fn text<'a>(node: Node<'a>, errors: &mut Vec<NotJson<'a>>) -> Value {
    let read = if node.shape() == NodeShape::Char {
        node.scalar::<char>().map(String::from)
    } else {
        node.scalar::<String>()
    };
    match read {
        Some(text) => Value::String(text),
        None => refuse(node, "expected a text", None, errors),
    }
}

fn number<'a>(node: Node<'a>, errors: &mut Vec<NotJson<'a>>) -> Value {
    let whole = node
        .scalar::<u64>()
        .map(Number::from)
        .or_else(|| node.scalar::<i64>().map(Number::from));
    // A whole number that needs more than 64 bits would lose digits as float.
    let is_float = node.text().contains(['.', 'e', 'E']);
    let number = whole.or_else(|| {
        let float = node.scalar::<f64>().filter(|_| is_float)?;
        Number::from_f64(float)
    });
    match number {
        Some(number) => Value::Number(number),
        None => refuse(
            node,
            "expected a number that JSON has: whole with up to 64 bits, or a finite fraction",
            None,
            errors,
        ),
    }
}

fn refuse<'a>(
    node: Node<'a>,
    expected: &str,
    help: Option<String>,
    errors: &mut Vec<NotJson<'a>>,
) -> Value {
    errors.push(NotJson {
        node,
        message: format!("{expected}; found {}", node.describe()),
        help,
    });
    Value::Null
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(ron: &str) -> Result<String, Vec<String>> {
        let mut errors = Vec::new();
        let value = to_json(Node::whole(ron).unwrap(), &mut errors);
        if errors.is_empty() {
            Ok(value.to_string())
        } else {
            Err(errors.into_iter().map(|error| error.message).collect())
        }
    }

    #[test]
    fn every_kind_of_value_has_its_json() {
        for (ron, expected) in [
            (
                r#"{"a": 1, "b": [true, false]}"#,
                r#"{"a":1,"b":[true,false]}"#,
            ),
            (r#"(a: -1, r#type: "x")"#, r#"{"a":-1,"type":"x"}"#),
            (r#"Config(a: 1)"#, r#"{"Config":{"a":1}}"#),
            ("(1, 2)", "[1,2]"),
            ("()", "null"),
            ("None", "null"),
            ("Some(3)", "3"),
            ("Some((a: 3))", r#"{"a":3}"#),
            ("Open", r#""Open""#),
            ("Keys([1])", r#"{"Keys":[1]}"#),
            ("Pair(1, 2)", r#"{"Pair":[1,2]}"#),
            ("Unit()", r#"{"Unit":null}"#),
            ("0xFF", "255"),
            ("1_000", "1000"),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("0.5", "0.5"),
            ("'a'", r#""a""#),
            (r#""\n\u{e9}""#, r#""\né""#),
            (r##"r#"a"b"#"##, r#""a\"b""#),
        ] {
            assert_eq!(json(ron).as_deref(), Ok(expected), "{ron}");
        }
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        for (ron, message) in [
            ("{1: 2}", "expected a text as the key; found the number 1"),
            ("{a: 2}", "expected a text as the key; found a"),
            (
                r#"{"a": 1, "a": 2}"#,
                r#"expected each key once; found "a""#,
            ),
            (
                r#"[b"x"]"#,
                r#"expected a text, JSON has no bytes; found b"x""#,
            ),
        ] {
            assert_eq!(json(ron), Err(vec![message.to_owned()]), "{ron}");
        }
        for ron in ["inf", "NaN", "-inf", "99999999999999999999"] {
            assert!(json(ron).is_err(), "{ron}");
        }
        assert_eq!(json("[inf, {1: 2}]").unwrap_err().len(), 2);
    }
}
