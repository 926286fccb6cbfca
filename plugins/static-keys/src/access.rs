//! Who may do a thing: everybody, or who shows a key.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor, value::MapAccessDeserializer};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// SHA-256 of a key.
#[derive(Debug, Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of a key as configured or shown.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// What [`fmt::Display`] wrote.
    pub fn parse(hex: &str) -> Option<Self> {
        let mut digest = [0; 32];
        if hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        for (index, byte) in digest.iter_mut().enumerate() {
            let digits = hex.get(index * 2..index * 2 + 2)?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Self(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a client has proved. One proves nothing for the other.
#[derive(Debug, Default, Clone, Copy)]
pub struct Proof {
    /// It logged in as one of `users`.
    pub user: bool,
    /// The key that it shows.
    pub key: Option<Digest>,
}

/// The answer to a client.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answer {
    /// It may.
    Yes,
    /// It showed nothing.
    Missing,
    /// It showed something else.
    Wrong,
}

/// Who may do a thing.
#[derive(Debug, Default)]
pub enum Access {
    /// Everybody.
    #[default]
    Open,
    /// Who logged in.
    Users,
    /// Who shows one of these keys.
    Keys {
        /// For every stream that is not in `streams`.
        keys: Vec<Digest>,
        /// For one stream each, instead of `keys`.
        streams: BTreeMap<String, Vec<Digest>>,
    },
}

impl Access {
    /// Only who logged in may.
    pub fn is_for_users(&self) -> bool {
        matches!(self, Self::Users)
    }

    /// May a client that has proved this do it with `stream`?
    pub fn check(&self, stream: &str, proof: Proof) -> Answer {
        let (keys, streams) = match self {
            Self::Open => return Answer::Yes,
            Self::Users if proof.user => return Answer::Yes,
            Self::Users => return Answer::Missing,
            Self::Keys { keys, streams } => (keys, streams),
        };
        let Some(shown) = proof.key else {
            return Answer::Missing;
        };
        let wanted = streams.get(stream).unwrap_or(keys);
        // Every key is compared, so time does not tell which one was close.
        let found = wanted
            .iter()
            .fold(Choice::from(0), |found, key| found | key.0.ct_eq(&shown.0));
        if found.into() {
            Answer::Yes
        } else {
            Answer::Wrong
        }
    }
}

/// `keys` for publishing, `tokens` for playing: one word or the other.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    #[serde(default, alias = "tokens")]
    keys: Vec<String>,
    #[serde(default)]
    streams: BTreeMap<String, Vec<String>>,
}

impl<'de> Deserialize<'de> for Access {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AccessVisitor)
    }
}

struct AccessVisitor;

impl<'de> Visitor<'de> for AccessVisitor {
    type Value = Access;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"open\", \"users\", or an object with keys and streams")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Access, E> {
        match word {
            "open" => Ok(Access::Open),
            "users" => Ok(Access::Users),
            _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Access, A::Error> {
        let listed = Listed::deserialize(MapAccessDeserializer::new(map))?;
        if listed.keys.is_empty() && listed.streams.is_empty() {
            return Err(de::Error::custom(
                "no key is listed, so nobody could pass: list one, or say \"open\"",
            ));
        }
        let digests = |keys: Vec<String>| {
            keys.into_iter()
                .map(|key| match key.as_str() {
                    "" => Err(de::Error::custom("a key is empty")),
                    key => Ok(Digest::of(key)),
                })
                .collect::<Result<Vec<_>, A::Error>>()
        };
        let streams = listed
            .streams
            .into_iter()
            .map(|(name, keys)| Ok((name, digests(keys)?)))
            .collect::<Result<_, A::Error>>()?;
        Ok(Access::Keys {
            keys: digests(listed.keys)?,
            streams,
        })
    }
}
