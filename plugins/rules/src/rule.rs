//! The configuration: a list of rules, read and checked.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use crate::condition::{self, Condition, Facts};
use crate::grant::{self, Terms};
use crate::template::Template;

/// What a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Connect,
    Publish,
    Play,
}

impl Action {
    pub fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Publish => "publish",
            Self::Play => "play",
        }
    }

    pub fn read(word: &str) -> Result<Self, String> {
        [Self::Connect, Self::Publish, Self::Play]
            .into_iter()
            .find(|action| action.word() == word)
            .ok_or_else(|| format!("expected connect, publish or play, found {word:?}"))
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    rules: Vec<WrittenRule>,
    #[serde(default)]
    default: Default,
}

#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Default {
    Allow,
    #[default]
    Deny,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    #[serde(default, rename = "match")]
    condition: condition::Written,
    then: Then,
    note: Option<String>,
}

/// `"allow"`, `"deny"`, `{"allow": {...}}`, `{"deny": "why"}` or
/// `{"redirect": "rtmp://..."}`; capitals are welcome, as RON writes variants.
#[derive(Debug)]
enum Then {
    Allow(Box<grant::Written>),
    Deny(String),
    Redirect(String),
}

impl<'de> Deserialize<'de> for Then {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOf;

        impl<'de> Visitor<'de> for OneOf {
            type Value = Then;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("then: \"allow\", \"deny\", {\"allow\": {...}}, {\"deny\": \"why\"} or {\"redirect\": \"rtmp://...\"}")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Then, E> {
                match word {
                    "allow" | "Allow" => Ok(Then::Allow(Box::default())),
                    "deny" | "Deny" => Ok(Then::Deny("not allowed".into())),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Then, A::Error> {
                let word: Option<String> = map.next_key()?;
                let then = match word.as_deref() {
                    Some("allow" | "Allow") => Then::Allow(map.next_value()?),
                    Some("deny" | "Deny") => Then::Deny(map.next_value()?),
                    Some("redirect" | "Redirect") => Then::Redirect(map.next_value()?),
                    _ => return Err(de::Error::invalid_type(de::Unexpected::Map, &self)),
                };
                match map.next_key::<String>()? {
                    None => Ok(then),
                    Some(_) => Err(de::Error::custom("then: says more than one thing")),
                }
            }
        }

        deserializer.deserialize_any(OneOf)
    }
}

/// What a rule decides.
#[derive(Debug)]
pub enum Outcome {
    Allow(Box<Terms>),
    Deny(String),
    Redirect(Template),
}

impl Outcome {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Allow(_) => "allow",
            Self::Deny(_) => "deny",
            Self::Redirect(_) => "redirect",
        }
    }
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    index: usize,
    note: Option<String>,
    condition: Condition,
    pub outcome: Outcome,
}

impl Rule {
    fn read(index: usize, written: WrittenRule) -> Result<Self, String> {
        let condition =
            Condition::read(written.condition).map_err(|error| format!(".match.{error}"))?;
        let outcome = match written.then {
            Then::Deny(text) => Outcome::Deny(text),
            Then::Allow(terms) => {
                let terms = Terms::read(*terms, &condition.actions, condition.captures());
                Outcome::Allow(Box::new(terms.map_err(|e| format!(".then.allow.{e}"))?))
            }
            Then::Redirect(_) if condition.actions != [Action::Connect] => {
                return Err(
                    ".then: only connections can be redirected: say action: \"connect\"".into(),
                );
            }
            Then::Redirect(url) => Outcome::Redirect(
                Template::read(&url, 0).map_err(|error| format!(".then.redirect: {error}"))?,
            ),
        };
        Ok(Self {
            index,
            note: written.note,
            condition,
            outcome,
        })
    }

    /// `rules[2]`, or with its note `rules[2] night shift`.
    pub fn label(&self) -> String {
        let index = self.index;
        match &self.note {
            Some(note) => format!("rules[{index}] {note}"),
            None => format!("rules[{index}]"),
        }
    }
}

/// All rules.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    /// Publishers and players that no rule is about.
    pub default_allows: bool,
}

impl Rules {
    /// Reads the plugin's configuration; an error says which rule and what.
    pub fn read(config: &str) -> Result<Self, String> {
        let config: Config = livehost_sdk::parse_config(config)?;
        let rules = config.rules.into_iter().enumerate();
        let rules = rules.map(|(index, written)| {
            Rule::read(index, written).map_err(|error| format!("config: rules[{index}]{error}"))
        });
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
            default_allows: matches!(config.default, Default::Allow),
        })
    }

    /// An error names the first rule that gives what no host can give yet.
    pub fn check_available(&self) -> Result<(), String> {
        for rule in &self.rules {
            if let Outcome::Allow(terms) = &rule.outcome
                && let Some(field) = terms.unavailable()
            {
                let index = rule.index;
                return Err(format!(
                    "config: rules[{index}].then.allow.{field}: livehost can't do this yet: leave it out"
                ));
            }
        }
        Ok(())
    }

    /// The first rule that matches, and what its wildcards stand for.
    pub fn first(&self, facts: &Facts<'_>) -> Option<(&Rule, Vec<String>)> {
        let rules = self.rules.iter();
        rules
            .filter_map(|rule| Some((rule, rule.condition.matches(facts)?)))
            .next()
    }
}
