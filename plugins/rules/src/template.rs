//! Texts with placeholders: `{name}-{ip}`.
//!
//! What a client chose ends up in names, paths and URLs, so each use has its
//! own spelling: as it is, safe as a file name, percent-encoded.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::condition::Facts;

/// What placeholders stand for.
#[derive(Debug)]
pub struct Values<'a> {
    facts: &'a Facts<'a>,
    captures: &'a [String],
    conn: u64,
}

impl<'a> Values<'a> {
    pub fn new(facts: &'a Facts<'a>, captures: &'a [String], conn: u64) -> Self {
        Self {
            facts,
            captures,
            conn,
        }
    }
}

/// A text with placeholders, checked.
#[derive(Debug)]
pub struct Template(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Capture(usize),
    Name,
    App,
    Instance,
    Ip,
    Conn,
    Date,
    Time,
    Query(String),
    Attr(String),
}

impl Template {
    /// Checks a text; `captures` is how many wildcards can be referred to.
    pub fn read(text: &str, captures: usize) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
            parts.push(Part::Text(before.to_owned()));
            if let Some(after) = after.strip_prefix("{{").or(after.strip_prefix("}}")) {
                let brace = if rest.as_bytes().get(at) == Some(&b'{') {
                    "{"
                } else {
                    "}"
                };
                parts.push(Part::Text(brace.to_owned()));
                rest = after;
                continue;
            }
            let Some((placeholder, after)) = after
                .strip_prefix('{')
                .and_then(|inner| inner.split_once('}'))
            else {
                return Err(format!(
                    "a brace without its partner in {text:?}; write {{{{ or }}}} for the brace itself"
                ));
            };
            parts.push(Part::read(placeholder, captures)?);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// Values as they are.
    pub fn plain(&self, values: &Values<'_>) -> String {
        self.fill(values, |value| value)
    }

    /// Values as one file name each: nothing but letters, digits, `.`, `_`
    /// and `-`, no `.` in front.
    pub fn in_path(&self, values: &Values<'_>) -> String {
        self.fill(values, |value| {
            let safe = value.chars().enumerate().map(|(index, c)| match c {
                '.' if index == 0 => '_',
                c if c.is_alphanumeric() || matches!(c, '.' | '_' | '-') => c,
                _ => '_',
            });
            safe.collect()
        })
    }

    /// Values percent-encoded (RFC 3986 section 2.3).
    pub fn in_url(&self, values: &Values<'_>) -> String {
        self.fill(values, |value| {
            let mut encoded = String::new();
            for byte in value.bytes() {
                match byte {
                    b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => {
                        encoded.push(char::from(b));
                    }
                    b => _ = write!(encoded, "%{b:02X}"),
                }
            }
            encoded
        })
    }

    fn fill(&self, values: &Values<'_>, spell: impl Fn(String) -> String) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            part => spell(part.value(values)),
        });
        parts.collect()
    }
}

impl Part {
    fn read(placeholder: &str, captures: usize) -> Result<Self, String> {
        if let Ok(number) = placeholder.parse::<usize>() {
            return match number.checked_sub(1) {
                Some(index) if index < captures => Ok(Self::Capture(index)),
                _ => Err(format!(
                    "{{{number}}} is not there: match.name has {captures} wildcards"
                )),
            };
        }
        Ok(match placeholder {
            "name" => Self::Name,
            "app" => Self::App,
            "instance" => Self::Instance,
            "ip" => Self::Ip,
            "conn" => Self::Conn,
            "date" => Self::Date,
            "time" => Self::Time,
            other => match other.split_once('.') {
                Some(("query", key)) => Self::Query(key.to_owned()),
                Some(("attr", key)) => Self::Attr(key.to_owned()),
                _ => {
                    return Err(format!(
                        "unknown placeholder {{{other}}}, expected one of {{name}}, {{app}}, {{instance}}, {{ip}}, {{conn}}, {{date}}, {{time}}, {{1}}, {{query.KEY}}, {{attr.KEY}}"
                    ));
                }
            },
        })
    }

    fn value(&self, values: &Values<'_>) -> String {
        let facts = values.facts;
        let first = |pairs: &[(String, String)], key: &str| {
            let found = pairs.iter().find(|(name, _)| name == key);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        match self {
            Self::Text(text) => text.clone(),
            Self::Capture(index) => values.captures.get(*index).cloned().unwrap_or_default(),
            Self::Name => facts.name.unwrap_or_default().to_owned(),
            Self::App => facts.app.to_owned(),
            Self::Instance => facts.instance.unwrap_or_default().to_owned(),
            Self::Ip => facts.ip.as_ref().map(IpAddr::to_string).unwrap_or_default(),
            Self::Conn => values.conn.to_string(),
            Self::Date => facts.now.date(),
            Self::Time => facts.now.time(),
            Self::Query(key) => first(facts.query, key),
            Self::Attr(key) => first(facts.attrs, key),
        }
    }
}
