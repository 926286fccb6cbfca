//! One value of a RON text together with its place.
//!
//! Flows in: the text of a file that is valid RON. Flows out: values that can
//! be told apart, taken apart and converted, each knowing its byte range in
//! the file. The ron crate does the parsing: its [`RawValue`] borrows a
//! value's text, and where that text lies within the file is its place.

use std::{fmt, marker::PhantomData, ops::Range};

use ron::value::RawValue;
use serde::{
    Deserialize, Deserializer as _,
    de::{DeserializeOwned, MapAccess, SeqAccess, Visitor},
};

/// A value: its text without the space and comments around it.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    file: &'a str,
    text: &'a str,
}

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeShape<'a> {
    /// `"…"`, `r"…"`
    Text,
    /// `'c'`
    Char,
    /// `b"…"`, `b'c'`
    Bytes,
    /// `1`, `-0.5`, `0xFF`
    Number,
    /// `true`, `false`
    Bool,
    /// `[…]`
    List,
    /// `{…}`
    Map,
    /// `(…)`: a struct, a tuple or the unit.
    Parens,
    /// `Name`
    Word(&'a str),
    /// `Name(…)`
    NamedParens(&'a str),
}

impl<'a> Node<'a> {
    /// The value of a whole file. Attributes like `#![enable(…)]` before it
    /// are skipped: everything they could enable is immaterial here.
    pub fn whole(file: &'a str) -> ron::error::SpannedResult<Self> {
        let mut deserializer = ron::Deserializer::from_str(file)?;
        let start = file.len() - deserializer.remainder().len();
        serde::de::IgnoredAny::deserialize(&mut deserializer)
            .and_then(|_| deserializer.end())
            .map_err(|error| deserializer.span_error(error))?;
        let text = file.get(start..).unwrap_or_default();
        // Trimmed here, since comments may follow the value.
        let text = RawValue::from_ron(text)?.trim().get_ron();
        Ok(Self { file, text })
    }

    fn child(&self, raw: &'a RawValue) -> Self {
        Self {
            file: self.file,
            text: raw.trim().get_ron(),
        }
    }

    /// The value's text.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Where the value is in the file, in bytes.
    pub fn span(&self) -> Range<usize> {
        range_of(self.file, self.text)
    }

    /// What the value looks like.
    pub fn shape(&self) -> NodeShape<'a> {
        let text = self.text;
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| text.starts_with(prefix));
        if starts(&["\"", "r\"", "r#\"", "r##"]) {
            return NodeShape::Text;
        }
        if starts(&["b\"", "br\"", "br#", "b'"]) {
            return NodeShape::Bytes;
        }
        match text.chars().next() {
            Some('\'') => return NodeShape::Char,
            Some('[') => return NodeShape::List,
            Some('{') => return NodeShape::Map,
            Some('(') => return NodeShape::Parens,
            Some('0'..='9' | '+' | '-' | '.') => return NodeShape::Number,
            _ => {}
        }
        let word = self.word();
        let name = word.strip_prefix("r#").unwrap_or(word);
        match name {
            "true" | "false" => NodeShape::Bool,
            "inf" | "NaN" => NodeShape::Number,
            _ if word.len() == text.len() => NodeShape::Word(name),
            _ => NodeShape::NamedParens(name),
        }
    }

    /// The identifier the text starts with. The text is valid, so that what
    /// follows can only be space, a comment or a parenthesis.
    fn word(&self) -> &'a str {
        let end = self
            .text
            .find(|c: char| c.is_whitespace() || matches!(c, '(' | '/' | '\u{200e}' | '\u{200f}'));
        match end {
            Some(end) => self.text.get(..end).unwrap_or(self.text),
            None => self.text,
        }
    }

    /// The value in words, for "found …".
    pub fn describe(&self) -> String {
        const SHOWN: usize = 40;
        match self.shape() {
            NodeShape::List => "a list [...]".to_owned(),
            NodeShape::Map => "a map {...}".to_owned(),
            NodeShape::Parens => "a struct (...)".to_owned(),
            NodeShape::NamedParens(name) => format!("{name}(...)"),
            NodeShape::Number => format!("the number {}", self.text),
            _ if self.text.chars().count() > SHOWN => {
                let cut: String = self.text.chars().take(SHOWN).collect();
                format!("{}...", cut.escape_debug())
            }
            _ => self.text.to_owned(),
        }
    }

    /// The value as a plain Rust type: a number, a text, a bool.
    pub fn scalar<T: DeserializeOwned>(&self) -> Option<T> {
        ron::from_str(self.text).ok()
    }

    /// The parenthesis of `Name(…)`.
    pub fn body(&self) -> Self {
        let rest = self.text.get(self.word().len()..).unwrap_or_default();
        match RawValue::from_ron(rest) {
            Ok(raw) => self.child(raw),
            Err(_) => *self,
        }
    }

    /// The fields of a struct, each name with its place; none if the value is
    /// no struct.
    pub fn fields(&self) -> Option<Vec<(Node<'a>, Node<'a>)>> {
        let mut deserializer = ron::Deserializer::from_str(self.text).ok()?;
        let fields = deserializer
            .deserialize_struct("", &[], PairsVisitor::<&str>(PhantomData))
            .ok()?;
        let name = |text| Node {
            file: self.file,
            text,
        };
        Some(
            fields
                .into_iter()
                .map(|(key, value)| (name(key), self.child(value)))
                .collect(),
        )
    }

    /// The entries of a map; none if the value is no map.
    pub fn entries(&self) -> Option<Vec<(Node<'a>, Node<'a>)>> {
        let mut deserializer = ron::Deserializer::from_str(self.text).ok()?;
        let entries = deserializer
            .deserialize_map(PairsVisitor::<&RawValue>(PhantomData))
            .ok()?;
        Some(
            entries
                .into_iter()
                .map(|(key, value)| (self.child(key), self.child(value)))
                .collect(),
        )
    }

    /// The items of a list or a tuple; none if the value is neither.
    pub fn items(&self) -> Option<Vec<Node<'a>>> {
        let mut deserializer = ron::Deserializer::from_str(self.text).ok()?;
        let items = if self.shape() == NodeShape::Parens {
            deserializer.deserialize_tuple(0, ItemsVisitor)
        } else {
            deserializer.deserialize_seq(ItemsVisitor)
        };
        Some(items.ok()?.into_iter().map(|raw| self.child(raw)).collect())
    }
}

/// Where `part`, a slice of `whole`, lies in it.
fn range_of(whole: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start + part.len()
}

/// Reads a struct or map as its pairs, in order, repeated keys included.
struct PairsVisitor<K>(PhantomData<K>);

impl<'de, K: Deserialize<'de>> Visitor<'de> for PairsVisitor<K> {
    type Value = Vec<(K, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pairs")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

/// Reads a list or tuple as its items.
struct ItemsVisitor;

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "#![enable(implicit_some)]\n// first\n(\n  /* a */ a /* b */ : /* c */ 1 /* d */,\n  m: { \"k\": [ 1 , Two ( x: 3 ), ], }, // end\n) // last\n";

    #[test]
    fn parts_know_their_place() {
        let whole = Node::whole(FILE).unwrap();
        assert!(whole.text().starts_with('(') && whole.text().ends_with(')'));
        let fields = whole.fields().unwrap();
        let shown: Vec<_> = fields
            .iter()
            .map(|(k, v)| (k.text(), v.text(), &FILE[k.span()], &FILE[v.span()]))
            .collect();
        let map = "{ \"k\": [ 1 , Two ( x: 3 ), ], }";
        assert_eq!(shown, [("a", "1", "a", "1"), ("m", map, "m", map)]);

        let entries = fields[1].1.entries().unwrap();
        assert_eq!(entries[0].0.text(), "\"k\"");
        let items = entries[0].1.items().unwrap();
        assert_eq!(items[0].text(), "1");
        assert_eq!(items[1].shape(), NodeShape::NamedParens("Two"));
        assert_eq!(items[1].body().text(), "( x: 3 )");
        assert_eq!(&FILE[items[1].body().span()], "( x: 3 )");
    }

    #[test]
    fn shapes_are_told_apart() {
        for (text, shape) in [
            (r#""a""#, NodeShape::Text),
            (r##"r#"a"#"##, NodeShape::Text),
            ("'a'", NodeShape::Char),
            (r#"b"a""#, NodeShape::Bytes),
            ("b'a'", NodeShape::Bytes),
            ("-1.5", NodeShape::Number),
            ("0xFF", NodeShape::Number),
            ("inf", NodeShape::Number),
            ("true", NodeShape::Bool),
            ("[1]", NodeShape::List),
            ("{}", NodeShape::Map),
            ("()", NodeShape::Parens),
            ("Reject", NodeShape::Word("Reject")),
            ("r#type", NodeShape::Word("type")),
            ("None", NodeShape::Word("None")),
            ("Some(1)", NodeShape::NamedParens("Some")),
            ("Name /* c */ (1)", NodeShape::NamedParens("Name")),
        ] {
            assert_eq!(Node::whole(text).unwrap().shape(), shape, "{text}");
        }
    }

    #[test]
    fn other_shapes_are_not_taken_apart() {
        let node = |text| Node::whole(text).unwrap();
        assert!(node("[1]").fields().is_none());
        assert!(node("(1, 2)").fields().is_none());
        assert!(node("(a: 1)").entries().is_none());
        assert!(node("{}").items().is_none());
        assert_eq!(node("(1, 2)").items().unwrap().len(), 2);
    }
}
