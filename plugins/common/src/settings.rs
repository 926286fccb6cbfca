//! Kinds of values in configurations.

use std::fmt;
use std::time::Duration;

use livehost_sdk::DuplicateRule;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

/// A duration as config.ron writes it: a whole number and `ms`, `s`, `min` or
/// `h`, as in `"250 ms"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// As milliseconds.
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at_checked(digits)?;
        let number: u64 = number.parse().ok()?;
        let millis = match unit.trim_start() {
            "ms" => 1,
            "s" => 1000,
            "min" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        number
            .checked_mul(millis)
            .map(|millis| Self(Duration::from_millis(millis)))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"250 ms\", \"3 s\", \"5 min\" or \"1 h\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                Span::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(Text)
    }
}

/// What happens when a name already has a publisher: `"reject"`, `"replace"`
/// or `"standby"`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDuplicate {
    /// The newcomer is refused.
    #[default]
    Reject,
    /// The newcomer takes over, players stay.
    Replace,
    /// The newcomer waits until the first is lost.
    Standby,
}

impl From<OnDuplicate> for DuplicateRule {
    fn from(rule: OnDuplicate) -> Self {
        match rule {
            OnDuplicate::Reject => Self::Reject,
            OnDuplicate::Replace => Self::Replace,
            OnDuplicate::Standby => Self::Standby,
        }
    }
}

/// `"a"` or `["a", "b"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMany(pub Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;

        impl<'de> Visitor<'de> for Texts {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMany, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = seq.next_element()? {
                    texts.push(text);
                }
                Ok(OneOrMany(texts))
            }
        }

        deserializer.deserialize_any(Texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_whole_number_and_a_unit() {
        let read = |text: &str| serde_json::from_str::<Span>(text);
        for (text, millis) in [
            ("\"250 ms\"", 250),
            ("\"3s\"", 3000),
            ("\"5 min\"", 300_000),
            ("\"24 h\"", 86_400_000),
        ] {
            assert_eq!(read(text).unwrap().millis(), millis, "{text}");
        }
        for text in [
            "3",
            "\"3\"",
            "\"s\"",
            "\"-3 s\"",
            "\"1.5 s\"",
            "\"3 d\"",
            "\"\"",
            "\"99999999999999999 h\"",
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("such as \"250 ms\""), "{text}: {error}");
        }
    }

    #[test]
    fn one_text_is_a_list_of_one() {
        let read = |text: &str| serde_json::from_str::<OneOrMany>(text).unwrap().0;
        assert_eq!(read("\"a\""), ["a"]);
        assert_eq!(read("[\"a\", \"b\"]"), ["a", "b"]);
        let error = serde_json::from_str::<OneOrMany>("1").unwrap_err();
        assert!(error.to_string().contains("a text or a list of texts"));
    }
}
