//! The text of a question: bounded, whatever the client sent, so that it costs a
//! plugin no more memory than it is granted.
//!
//! Flows in: names, texts and AMF values as they were read. Flows out: what of
//! them a question holds, the first things first, and which of its fields were
//! cut, for its `extra`.

use livehost_policy::{Pairs, Scalar};
use livehost_rtmp::auth;
use livehost_wire::amf0::{Properties, Value};

/// Bytes of all text of one question that comes from the client.
pub(super) const MAX_TEXT: usize = 16 * 1024;
/// Bytes of a name in it: of a property, a parameter, a user.
pub(super) const MAX_NAME: usize = 255;
/// Pairs of one field.
const MAX_PAIRS: usize = 64;
/// The pair of `extra` that names the fields that were cut.
const CUT: &str = "cut";

/// Room for the text of one question.
#[derive(Debug)]
pub(super) struct QuestionText {
    left: usize,
    /// Fields that were cut, each once.
    cut: Vec<&'static str>,
}

impl QuestionText {
    pub(super) fn new() -> Self {
        Self {
            left: MAX_TEXT,
            cut: Vec::new(),
        }
    }

    /// A text, as far as there is room.
    pub(super) fn text(&mut self, field: &'static str, text: &str) -> String {
        self.at_most(field, text, MAX_TEXT)
    }

    /// A word of the protocol, or a name.
    pub(super) fn name(&mut self, field: &'static str, name: &str) -> String {
        self.at_most(field, name, MAX_NAME)
    }

    /// Pairs that are bounded in number.
    pub(super) fn pairs(&mut self, field: &'static str, pairs: Pairs) -> Pairs {
        let pairs = pairs.into_iter();
        pairs
            .map(|(name, value)| (self.name(field, &name), self.text(field, &value)))
            .collect()
    }

    /// An object as flat pairs, nested names and places of arrays joined with dots.
    pub(super) fn properties(
        &mut self,
        field: &'static str,
        properties: &Properties,
    ) -> Vec<(String, Scalar)> {
        let mut flat = Flat::new(self, field);
        flat.object(properties);
        flat.pairs
    }

    /// Values as text, named by their place: `arg.0`, `arg.1.user`.
    pub(super) fn arguments(&mut self, field: &'static str, values: &[Value]) -> Pairs {
        let mut flat = Flat::new(self, field);
        for (index, value) in values.iter().enumerate() {
            if !flat.named(&format!("arg.{index}"), value) {
                break;
            }
        }
        let pairs = flat.pairs.into_iter();
        pairs
            .filter_map(|(name, value)| {
                let text = match value {
                    Scalar::Null => return None,
                    Scalar::Boolean(value) => self.text(field, &value.to_string()),
                    // Some have over 300 digits.
                    Scalar::Number(value) => self.text(field, &value.to_string()),
                    Scalar::Text(value) => value,
                };
                Some((name, text))
            })
            .collect()
    }

    /// Says in `extra` what was cut, if anything was.
    pub(super) fn tell(&self, extra: &mut Pairs) {
        if !self.cut.is_empty() {
            extra.push((CUT.to_owned(), self.cut.join(" ")));
        }
    }

    fn at_most(&mut self, field: &'static str, text: &str, most: usize) -> String {
        let kept = clip(text, most.min(self.left));
        if kept.len() < text.len() {
            self.note(field);
        }
        self.left = self.left.saturating_sub(kept.len());
        kept.to_owned()
    }

    fn note(&mut self, field: &'static str) {
        if !self.cut.contains(&field) {
            self.cut.push(field);
        }
    }
}

/// Pairs in the making.
struct Flat<'t> {
    text: &'t mut QuestionText,
    field: &'static str,
    /// The name of what is looked at, at most [`MAX_NAME`] bytes of it.
    path: String,
    pairs: Vec<(String, Scalar)>,
}

impl<'t> Flat<'t> {
    fn new(text: &'t mut QuestionText, field: &'static str) -> Self {
        Self {
            text,
            field,
            path: String::with_capacity(MAX_NAME),
            pairs: Vec::new(),
        }
    }

    /// False once there is no more room, as all of these.
    fn object(&mut self, properties: &Properties) -> bool {
        let mut properties = properties.iter();
        properties.all(|(name, value)| self.named(name, value))
    }

    fn named(&mut self, name: &str, value: &Value) -> bool {
        let before = self.path.len();
        self.append(name);
        let has_room = self.value(value);
        self.path.truncate(before);
        has_room
    }

    fn append(&mut self, name: &str) {
        let kept = clip(name, MAX_NAME.saturating_sub(self.path.len()));
        if kept.len() < name.len() {
            self.text.note(self.field);
        }
        self.path.push_str(kept);
    }

    /// Values of a list, named by their places.
    fn list(&mut self, values: &[Value]) -> bool {
        let mut values = values.iter().enumerate();
        values.all(|(index, value)| self.named(&index.to_string(), value))
    }

    /// Without what authentication has put behind URLs: no business of a plugin's,
    /// which may log what it sees.
    fn value(&mut self, value: &Value) -> bool {
        match value {
            Value::Object(inner) | Value::EcmaArray(inner) => {
                self.append(".");
                return self.object(inner);
            }
            Value::TypedObject(inner) => {
                self.append(".");
                return self.object(&inner.properties);
            }
            Value::StrictArray(values) => {
                self.append(".");
                return self.list(values);
            }
            Value::AvmPlus(inner) => return self.value(&Value::from((**inner).clone())),
            _ => {}
        }
        if self.pairs.len() >= MAX_PAIRS || self.path.len() > self.text.left {
            self.text.note(self.field);
            return false;
        }
        let name = self.text.name(self.field, &self.path);
        let scalar = match value {
            Value::Boolean(value) => Scalar::Boolean(*value),
            Value::Number(value) | Value::Date { millis: value, .. } => Scalar::Number(*value),
            Value::String(value) | Value::XmlDocument(value) => {
                Scalar::Text(self.text.text(self.field, auth::cut(value).0))
            }
            _ => Scalar::Null,
        };
        self.pairs.push((name, scalar));
        true
    }
}

/// The longest start of `text` that has at most `most` bytes and ends between
/// two characters.
fn clip(text: &str, most: usize) -> &str {
    let end = text.floor_char_boundary(most);
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use livehost_wire::amf0::TypedObject;
    use livehost_wire::amf3;
    use proptest::prelude::*;

    use super::*;

    fn object(properties: impl IntoIterator<Item = (String, Value)>) -> Properties {
        properties.into_iter().collect()
    }

    fn bytes(props: &[(String, Scalar)], extra: &Pairs) -> usize {
        let of_props = props.iter().map(|(name, value)| match value {
            Scalar::Text(text) => name.len() + text.len(),
            _ => name.len(),
        });
        let of_extra = extra.iter().map(|(name, text)| name.len() + text.len());
        of_props.sum::<usize>() + of_extra.sum::<usize>()
    }

    /// Both fields of a connect, within bounds; and whether they were cut.
    fn flat(properties: &Properties, values: &[Value]) -> (Vec<(String, Scalar)>, Pairs, Pairs) {
        let mut text = QuestionText::new();
        let props = text.properties("props", properties);
        let extra = text.arguments("extra", values);
        let mut cut = Pairs::new();
        text.tell(&mut cut);
        assert!(bytes(&props, &extra) <= MAX_TEXT);
        assert!(props.len() <= MAX_PAIRS && extra.len() <= MAX_PAIRS);
        let names = props.iter().map(|(name, _)| name);
        let mut names = names.chain(extra.iter().map(|(name, _)| name));
        assert!(names.all(|name| name.len() <= MAX_NAME));
        (props, extra, cut)
    }

    #[test]
    fn what_fits_is_whole_and_nothing_says_otherwise() {
        let inner = object([("b".to_owned(), Value::Number(15.0))]);
        let list = Value::StrictArray(vec![true.into(), Value::Object(inner.clone())]);
        let born = Value::Date {
            millis: 86_400_000.0,
            timezone: 0,
        };
        let class = TypedObject {
            class_name: "a.B".to_owned(),
            properties: inner.clone(),
        };
        let amf3 = amf3::Value::Array {
            dense: vec![amf3::Value::Integer(7)],
            associative: amf3::Properties::from([("", amf3::Value::Null); 0]),
        };
        let properties = object([
            ("app".to_owned(), Value::from("live?authmod=adobe&user=ann")),
            ("a".to_owned(), Value::Object(inner.clone())),
            ("none".to_owned(), Value::Undefined),
            ("list".to_owned(), list),
            ("born".to_owned(), born),
            ("class".to_owned(), Value::TypedObject(class.into())),
            ("amf3".to_owned(), Value::AvmPlus(amf3.into())),
            ("other".to_owned(), Value::Unsupported),
        ]);
        let values = ["ann".into(), Value::Null, Value::Object(inner)];
        let (props, extra, cut) = flat(&properties, &values);
        let text = |text: &str| Scalar::Text(text.to_owned());
        let expected = [
            ("app", text("live")),
            ("a.b", Scalar::Number(15.0)),
            ("none", Scalar::Null),
            ("list.0", Scalar::Boolean(true)),
            ("list.1.b", Scalar::Number(15.0)),
            ("born", Scalar::Number(86_400_000.0)),
            ("class.b", Scalar::Number(15.0)),
            ("amf3.0", Scalar::Number(7.0)),
            ("other", Scalar::Null),
        ];
        assert_eq!(
            props,
            expected.map(|(name, value)| (name.to_owned(), value))
        );
        let expected = [("arg.0", "ann"), ("arg.2.b", "15")];
        assert_eq!(
            extra,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(cut, []);
    }

    #[test]
    fn what_is_too_much_is_cut_and_said_to_be() {
        let long = |c: char, length: usize| c.to_string().repeat(length);
        let cut = |properties: Properties, values: &[Value]| {
            let (props, extra, cut) = flat(&properties, values);
            let [(name, fields)] = &cut[..] else {
                panic!("cut, and not said: {props:?}");
            };
            assert_eq!(name, CUT);
            (props, extra, fields.clone())
        };
        // Long names, in each other and beside each other.
        let mut nested = object((0..64).map(|n| (format!("k{n}"), Value::Null)));
        for _ in 0..20 {
            nested = object([(long('K', 65_535), Value::Object(nested))]);
        }
        let (props, _, fields) = cut(nested, &[]);
        assert_eq!((props.len(), &*fields), (MAX_PAIRS, "props"));
        let beside = (0..64).map(|_| (long('\u{e9}', 30_000), Value::Null));
        assert_eq!(cut(object(beside), &[]).2, "props");
        // Long texts: the first is there.
        let texts = [("a", 10_000), ("b", 10_000), ("c", 10)]
            .map(|(name, length)| (name.to_owned(), long('t', length).into()));
        let (props, _, _) = cut(object(texts), &[]);
        let lengths: Vec<_> = props.iter().map(|(_, value)| value.clone()).collect();
        assert_eq!(lengths[0], Scalar::Text(long('t', 10_000)));
        assert_eq!(props.len(), 2);
        // Many of them, and what has no form of its own.
        let many = (0..65).map(|n| (n.to_string(), Value::Null));
        assert_eq!(cut(object(many), &[]).2, "props");
        let list = Value::StrictArray(vec![true.into(); 1_000_000]);
        let (_, extra, fields) = cut(object([]), &[list]);
        assert_eq!((extra.len(), &*fields), (MAX_PAIRS, "extra"));
        let values = vec![Value::Number(-f64::MIN_POSITIVE); 64];
        assert_eq!(cut(object([]), &values).2, "extra");
        let values = vec![Value::from("x"); 100_000];
        assert_eq!(cut(object([]), &values).1.len(), MAX_PAIRS);
    }

    #[test]
    fn a_character_is_whole_or_left_out() {
        let mut text = QuestionText::new();
        let odd = format!("a{}", "\u{1f600}".repeat(100));
        assert_eq!(text.name("mode", &odd).len(), 253);
        assert_eq!(text.text("flash-ver", "\u{fffd}"), "\u{fffd}");
        let mut extra = Pairs::new();
        text.tell(&mut extra);
        assert_eq!(extra, [(CUT.to_owned(), "mode".to_owned())]);
    }

    /// Up to `longest` characters, of which few are made, as few of the values
    /// are: proptest takes minutes for them all without optimization.
    fn any_text(longest: usize) -> impl Strategy<Value = String> {
        ("\\PC[a-z\u{e9}.]{0,4}", 0..=longest)
            .prop_map(|(some, length)| some.chars().cycle().take(length).collect())
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<f64>().prop_map(Value::Number),
            any_text(3000).prop_map(Value::from),
            Just(Value::Null),
            Just(Value::Unsupported),
        ];
        leaf.prop_recursive(8, 128, 8, |inner| {
            let named = (any_text(400), inner.clone());
            prop_oneof![
                prop::collection::vec(inner, 0..8).prop_map(Value::StrictArray),
                prop::collection::vec(named, 0..8)
                    .prop_map(|properties| Value::Object(object(properties))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_is_sent_is_bounded(
            names in prop::collection::vec(any_text(300), 0..100),
            some in prop::collection::vec(any_value(), 1..8),
            count in 0_usize..100,
        ) {
            let values = some.iter().cloned().cycle();
            let properties = names.into_iter().zip(values.clone());
            flat(&object(properties), &values.clone().take(count).collect::<Vec<_>>());
        }
    }
}
