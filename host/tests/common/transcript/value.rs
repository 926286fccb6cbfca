//! AMF0 values as transcripts write them.
//!
//! `1`, `"text"`, `true`, `null`, `undefined`, `{key: value}`, `ecma{...}`,
//! `[value, value]`, `long"text"`, `x"0a00"` (bytes as they are), and in what
//! is expected `_` for anything. Objects that are expected may have more
//! properties than are named.

use crate::support::amf::Amf;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Any,
    Number(f64),
    Boolean(bool),
    Text(String),
    LongText(String),
    Null,
    Undefined,
    Object(Vec<(String, Value)>),
    Ecma(Vec<(String, Value)>),
    Array(Vec<Value>),
    Raw(Vec<u8>),
}

impl Value {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let key = |text: &str, out: &mut Vec<u8>| {
            out.extend(u16::try_from(text.len()).expect("short").to_be_bytes());
            out.extend(text.as_bytes());
        };
        let count = |len: usize| u32::try_from(len).expect("few").to_be_bytes();
        match self {
            Self::Any => panic!("_ is no value to send"),
            Self::Number(number) => {
                out.push(0);
                out.extend(number.to_be_bytes());
            }
            Self::Boolean(flag) => out.extend([1, u8::from(*flag)]),
            Self::Text(text) => {
                out.push(2);
                key(text, out);
            }
            Self::LongText(text) => {
                out.push(0x0c);
                out.extend(count(text.len()));
                out.extend(text.as_bytes());
            }
            Self::Null => out.push(5),
            Self::Undefined => out.push(6),
            Self::Object(pairs) | Self::Ecma(pairs) => {
                match self {
                    Self::Ecma(_) => {
                        out.push(8);
                        out.extend(count(pairs.len()));
                    }
                    _ => out.push(3),
                }
                for (name, value) in pairs {
                    key(name, out);
                    value.encode(out);
                }
                out.extend([0, 0, 9]);
            }
            Self::Array(items) => {
                out.push(0x0a);
                out.extend(count(items.len()));
                items.iter().for_each(|item| item.encode(out));
            }
            Self::Raw(bytes) => out.extend(bytes),
        }
    }

    pub(crate) fn matches(&self, found: &Amf) -> bool {
        match (self, found) {
            (Self::Any, _) | (Self::Null | Self::Undefined, Amf::Null) => true,
            (Self::Number(a), Amf::Number(b)) => a == b,
            (Self::Boolean(a), Amf::Boolean(b)) => a == b,
            (Self::Text(a), Amf::Text(b)) => a == b,
            (Self::Object(wanted) | Self::Ecma(wanted), Amf::Object(found)) => {
                wanted.iter().all(|(name, value)| {
                    let found = found.iter().find(|(key, _)| key == name);
                    found.is_some_and(|(_, found)| value.matches(found))
                })
            }
            (Self::Array(a), Amf::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.matches(b))
            }
            _ => false,
        }
    }
}

pub(crate) fn encode_all(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    values.iter().for_each(|value| value.encode(&mut out));
    out
}

/// The expected values are the first of those found.
pub(crate) fn all_match(expected: &[Value], found: &[Amf]) -> bool {
    expected.len() <= found.len() && expected.iter().zip(found).all(|(a, b)| a.matches(b))
}

/// All values of a line.
pub(crate) fn parse_all(text: &str) -> Vec<Value> {
    let mut rest = text.trim_start();
    let mut values = Vec::new();
    while !rest.is_empty() {
        values.push(parse(&mut rest));
        rest = rest.trim_start();
    }
    values
}

fn parse(rest: &mut &str) -> Value {
    let text = rest.trim_start();
    let literals = [
        ("null", Value::Null),
        ("undefined", Value::Undefined),
        ("true", Value::Boolean(true)),
        ("false", Value::Boolean(false)),
        ("_", Value::Any),
    ];
    for (word, value) in literals {
        if let Some(after) = text.strip_prefix(word) {
            *rest = after;
            return value;
        }
    }
    if let Some(after) = text.strip_prefix("ecma{") {
        *rest = after;
        return Value::Ecma(pairs(rest));
    }
    if let Some(after) = text.strip_prefix('{') {
        *rest = after;
        return Value::Object(pairs(rest));
    }
    if let Some(after) = text.strip_prefix('[') {
        *rest = after;
        let mut items = Vec::new();
        while !closes(rest, ']') {
            items.push(parse(rest));
        }
        return Value::Array(items);
    }
    if let Some(after) = text.strip_prefix("long\"") {
        *rest = after;
        return Value::LongText(quoted(rest));
    }
    if let Some(after) = text.strip_prefix("x\"") {
        *rest = after;
        return Value::Raw(super::hex(&quoted(rest)));
    }
    if let Some(after) = text.strip_prefix('"') {
        *rest = after;
        return Value::Text(quoted(rest));
    }
    let end = text
        .find(|c: char| c.is_whitespace() || ",]}".contains(c))
        .unwrap_or(text.len());
    *rest = &text[end..];
    let number = text[..end].parse();
    Value::Number(number.unwrap_or_else(|_| panic!("no value: {text}")))
}

/// Takes a comma, or the end of a list.
fn closes(rest: &mut &str, end: char) -> bool {
    let text = rest.trim_start().trim_start_matches(',').trim_start();
    assert!(!text.is_empty(), "expected {end}");
    *rest = text;
    match text.strip_prefix(end) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    }
}

fn pairs(rest: &mut &str) -> Vec<(String, Value)> {
    let mut pairs = Vec::new();
    while !closes(rest, '}') {
        let (key, after) = rest.split_once(':').expect("key: value");
        *rest = after;
        pairs.push((key.trim().trim_matches('"').to_owned(), parse(rest)));
    }
    pairs
}

/// Up to the closing quote; `{a*3}` is aaa, `\u0022` a quote.
fn quoted(rest: &mut &str) -> String {
    let (text, after) = rest.split_once('"').expect("a closing quote");
    *rest = after;
    let text = &text.replace("\\u0022", "\"");
    match text.split_once('{').zip(text.split_once('}')) {
        Some(((before, _), (inner, after))) => {
            let inner = inner.rsplit('{').next().unwrap_or_default();
            let (what, count) = inner.split_once('*').expect("{text*count}");
            let count = count.parse().expect("a count");
            format!("{before}{}{after}", what.repeat(count))
        }
        None => text.to_owned(),
    }
}
