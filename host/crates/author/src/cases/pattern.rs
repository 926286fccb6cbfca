//! What a case expects, and how something differs from that.
//!
//! Flows in: a [`TextPattern`] out of the file, a [`Fact`] about the plugin. Flows
//! out: the fields that differ. A pattern says as much as its author cares
//! for: fields it doesn't name may have any value.
//!
//! This is no language of patterns within a text (of those there is one,
//! `Contains`), for which there are libraries, but a comparison of what is typed.
//! One over JSON would need each fact in JSON, where bytes, AMF0 values and
//! variants have no form, and would name a path in it instead of the field and
//! its value as the file of cases has them (`each_difference_is_shown_with_its_field`,
//! `another_decision_differs_as_a_whole`).

use std::fmt;

use livehost_wire::amf0;

/// One of several shapes, with expectations of its fields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextPattern {
    pub(crate) variant: &'static str,
    pub(crate) fields: Vec<(&'static str, Want)>,
}

/// What a field should be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Want {
    Nothing,
    Text(TextWant),
    Number(u64),
    Word(&'static str),
    /// These keys with these values; others may be there.
    Pairs(PairsWant),
    /// Exactly these.
    List(Vec<TextWant>),
    Record(Vec<(&'static str, Want)>),
    Values(Vec<amf0::Value>),
}

/// Keys with what their values should be; other keys may be there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PairsWant(pub(crate) Vec<(String, TextWant)>);

/// What a text, or a value of bytes, should be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TextWant {
    Is(Vec<u8>),
    Contains(String),
    /// JSON text of this value, however it is written.
    Json(serde_json::Value),
    /// Of a key: there is no such key.
    Absent,
}

/// What a plugin did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fact {
    pub(crate) variant: &'static str,
    pub(crate) fields: Vec<(&'static str, Got)>,
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Got {
    Nothing,
    Text(Vec<u8>),
    Number(u64),
    Word(&'static str),
    Pairs(Vec<(String, Vec<u8>)>),
    List(Vec<String>),
    Record(Vec<(&'static str, Got)>),
    Values(Vec<amf0::Value>),
}

/// One field that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Empty for the whole.
    pub(crate) field: String,
    pub(crate) expected: String,
    pub(crate) got: String,
}

impl TextPattern {
    /// Where `fact` differs from this; nothing if it matches.
    pub(crate) fn differences(&self, fact: &Fact) -> Vec<Difference> {
        if self.variant != fact.variant {
            return vec![Difference {
                field: String::new(),
                expected: self.to_string(),
                got: fact.to_string(),
            }];
        }
        let mut differences = Vec::new();
        fields(&self.fields, &fact.fields, "", &mut differences);
        differences
    }

    /// Whether `fact` has everything that is expected.
    pub(crate) fn matches(&self, fact: &Fact) -> bool {
        self.differences(fact).is_empty()
    }
}

fn fields(
    wanted: &[(&'static str, Want)],
    got: &[(&'static str, Got)],
    path: &str,
    differences: &mut Vec<Difference>,
) {
    for (name, want) in wanted {
        let value = got.iter().find(|(other, _)| other == name);
        let value = value.map_or(&Got::Nothing, |(_, value)| value);
        let path = match (path, *name) {
            ("", name) => name.to_owned(),
            (path, "") => path.to_owned(),
            (path, name) => format!("{path}.{name}"),
        };
        want.compare(value, path, differences);
    }
}

impl Want {
    fn compare(&self, got: &Got, path: String, differences: &mut Vec<Difference>) {
        let same = match (self, got) {
            (Self::Nothing, Got::Nothing) => true,
            (Self::Text(want), Got::Text(got)) => want.matches(Some(got)),
            (Self::Number(want), Got::Number(got)) => want == got,
            (Self::Word(want), Got::Word(got)) => want == got,
            (Self::Values(want), Got::Values(got)) => want == got,
            (Self::List(want), Got::List(got)) => {
                want.len() == got.len()
                    && want
                        .iter()
                        .zip(got)
                        .all(|(w, g)| w.matches(Some(g.as_bytes())))
            }
            (Self::Record(want), Got::Record(got)) => {
                return fields(want, got, &path, differences);
            }
            (Self::Pairs(want), Got::Pairs(got)) => {
                return want.compare(got, &path, differences);
            }
            _ => false,
        };
        if !same {
            differences.push(Difference {
                field: path,
                expected: self.to_string(),
                got: got.to_string(),
            });
        }
    }
}

impl PairsWant {
    /// Where `got` differs from this; nothing if it matches.
    pub(crate) fn differences(&self, got: &[(String, Vec<u8>)]) -> Vec<Difference> {
        let mut differences = Vec::new();
        self.compare(got, "", &mut differences);
        differences
    }

    /// Header names have no case, and no other keys differ in case alone.
    fn compare(&self, got: &[(String, Vec<u8>)], path: &str, differences: &mut Vec<Difference>) {
        for (key, want) in &self.0 {
            let exact = got.iter().find(|(name, _)| name == key);
            let found =
                exact.or_else(|| got.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)));
            let value = found.map(|(_, value)| value.as_slice());
            if want.matches(value) {
                continue;
            }
            differences.push(Difference {
                field: match path {
                    "" => format!("{key:?}"),
                    path => format!("{path}.{key:?}"),
                },
                expected: want.to_string(),
                got: value.map_or_else(|| "nothing".to_owned(), shown),
            });
        }
    }
}

impl TextWant {
    /// Whether `got`, if there is any, is this.
    pub(crate) fn matches(&self, got: Option<&[u8]>) -> bool {
        match (self, got) {
            (Self::Absent, got) => got.is_none(),
            (_, None) => false,
            (Self::Is(want), Some(got)) => want == got,
            (Self::Contains(want), Some(got)) => {
                String::from_utf8_lossy(got).contains(want.as_str())
            }
            (Self::Json(want), Some(got)) => {
                serde_json::from_slice::<serde_json::Value>(got).is_ok_and(|got| got == *want)
            }
        }
    }
}

/// Bytes as a text in quotes, if they are one.
fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => format!("{text:?}"),
        Err(_) => format!("b\"{}\"", bytes.escape_ascii()),
    }
}

impl fmt::Display for TextWant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(bytes) => f.write_str(&shown(bytes)),
            Self::Contains(text) => write!(f, "Contains({text:?})"),
            Self::Json(value) => write!(f, "Json({value})"),
            Self::Absent => f.write_str("nothing"),
        }
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("None"),
            Self::Text(text) => text.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Word(word) => f.write_str(word),
            Self::Pairs(PairsWant(pairs)) => {
                let pairs = pairs.iter();
                list(f, '{', pairs.map(|(k, v)| format!("{k:?}: {v}")), '}')
            }
            Self::List(texts) => list(f, '[', texts.iter(), ']'),
            Self::Record(fields) => named(f, fields),
            Self::Values(values) => list(f, '[', values.iter().map(value), ']'),
        }
    }
}

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("None"),
            Self::Text(bytes) => f.write_str(&shown(bytes)),
            Self::Number(number) => number.fmt(f),
            Self::Word(word) => f.write_str(word),
            Self::Pairs(pairs) => {
                let pairs = pairs.iter();
                list(
                    f,
                    '{',
                    pairs.map(|(k, v)| format!("{k:?}: {}", shown(v))),
                    '}',
                )
            }
            Self::List(texts) => list(f, '[', texts.iter().map(|text| format!("{text:?}")), ']'),
            Self::Record(fields) => named(f, fields),
            Self::Values(values) => list(f, '[', values.iter().map(value), ']'),
        }
    }
}

impl fmt::Display for TextPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        variant(f, self.variant, &self.fields)
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is empty says nothing.
        let fields = self.fields.iter().filter(|(_, value)| match value {
            Got::Nothing => false,
            Got::Text(text) => !text.is_empty(),
            Got::Pairs(pairs) => !pairs.is_empty(),
            Got::List(list) => !list.is_empty(),
            _ => true,
        });
        variant(f, self.variant, &fields.cloned().collect::<Vec<_>>())
    }
}

/// `Name`, `Name(value)` or `Name(field: value)`.
fn variant<V: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    fields: &[(&'static str, V)],
) -> fmt::Result {
    f.write_str(name)?;
    match fields {
        [] => Ok(()),
        [("", value)] => write!(f, "({value})"),
        fields => named(f, fields),
    }
}

fn named<V: fmt::Display>(f: &mut fmt::Formatter<'_>, fields: &[(&'static str, V)]) -> fmt::Result {
    list(
        f,
        '(',
        fields
            .iter()
            .map(|(name, value)| format!("{name}: {value}")),
        ')',
    )
}

fn list(
    f: &mut fmt::Formatter<'_>,
    open: char,
    items: impl Iterator<Item = impl fmt::Display>,
    close: char,
) -> fmt::Result {
    write!(f, "{open}")?;
    for (index, item) in items.enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        item.fmt(f)?;
    }
    write!(f, "{close}")
}

fn value(value: &amf0::Value) -> String {
    match value {
        amf0::Value::Number(number) => number.to_string(),
        amf0::Value::Boolean(boolean) => boolean.to_string(),
        amf0::Value::String(text) => format!("{text:?}"),
        amf0::Value::Null => "None".to_owned(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(text: &str) -> TextWant {
        TextWant::Is(text.into())
    }

    fn accept() -> Fact {
        Fact {
            variant: "Accept",
            fields: vec![
                ("name", Got::Text("live-cam1".into())),
                ("hold_ms", Got::Nothing),
                ("extra", Got::Pairs(vec![("k".into(), b"v".to_vec())])),
            ],
        }
    }

    fn wanted(fields: Vec<(&'static str, Want)>) -> TextPattern {
        let variant = "Accept";
        TextPattern { variant, fields }
    }

    #[test]
    fn only_named_fields_count() {
        assert!(wanted(Vec::new()).matches(&accept()));
        assert!(wanted(vec![("hold_ms", Want::Nothing)]).matches(&accept()));
        let name = Want::Text(TextWant::Contains("cam".into()));
        assert!(wanted(vec![("name", name)]).matches(&accept()));
    }

    #[test]
    fn each_difference_is_shown_with_its_field() {
        let pattern = wanted(vec![
            ("name", Want::Text(is("cam1"))),
            ("hold_ms", Want::Number(5)),
            (
                "extra",
                Want::Pairs(PairsWant(vec![
                    ("k".into(), is("v")),
                    ("x".into(), is("y")),
                ])),
            ),
        ]);
        let shown: Vec<_> = pattern
            .differences(&accept())
            .into_iter()
            .map(|d| format!("{}: {} / {}", d.field, d.expected, d.got))
            .collect();
        assert_eq!(
            shown,
            [
                r#"name: "cam1" / "live-cam1""#,
                "hold_ms: 5 / None",
                r#"extra."x": "y" / nothing"#
            ]
        );
    }

    #[test]
    fn another_decision_differs_as_a_whole() {
        let pattern = TextPattern {
            variant: "Reject",
            fields: vec![("description", Want::Text(is("no")))],
        };
        let [difference] = &pattern.differences(&accept())[..] else {
            panic!("one difference");
        };
        assert_eq!(difference.expected, r#"Reject(description: "no")"#);
        assert_eq!(
            difference.got,
            r#"Accept(name: "live-cam1", extra: {"k": "v"})"#
        );
    }

    #[test]
    fn json_is_compared_by_value() {
        let want = TextWant::Json(serde_json::json!({"a": 1, "b": [true]}));
        assert!(want.matches(Some(br#"{ "b":[true], "a":1 }"#)));
        assert!(!want.matches(Some(br#"{"a":1}"#)));
        assert!(!want.matches(None));
    }
}
