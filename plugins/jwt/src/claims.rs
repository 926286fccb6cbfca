//! What tokens say (RFC 7519 section 4), and what that permits.

use std::fmt;

use plugin_common::Glob;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a client wants to do with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Publish,
    Play,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Play => "play",
        }
    }
}

/// What a good token permits. It is kept with a connection, in place of the
/// token.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Permit {
    /// Names with wildcards; none is all.
    pub streams: Option<Vec<String>>,
    /// `publish`, `play` or `*`; none is all.
    pub actions: Option<Vec<String>>,
    /// Seconds since 1970.
    pub expires: Option<u64>,
    /// Whose token it is.
    pub subject: Option<String>,
}

impl fmt::Display for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        f.write_str(&json)
    }
}

impl Permit {
    /// What [`fmt::Display`] wrote.
    pub fn parse(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Does it permit this with that stream?
    pub fn allows(&self, action: Action, stream: &str) -> Result<(), String> {
        let word = action.word();
        if let Some(actions) = &self.actions
            && !actions
                .iter()
                .any(|allowed| allowed == word || allowed == "*")
        {
            return Err(format!("the token does not allow to {word}"));
        }
        if let Some(streams) = &self.streams
            && !streams
                .iter()
                .any(|allowed| Glob::new(allowed).matches(stream))
        {
            return Err(format!("the token is not for stream {stream:?}"));
        }
        Ok(())
    }
}

/// A claim by its name, or by its path when the name begins with a slash
/// (`/livehost/stream`, RFC 6901).
pub fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let Some(path) = name.strip_prefix('/') else {
        return claims.get(name);
    };
    let (first, rest) = match path.split_once('/') {
        Some((first, _)) => (first, path.get(first.len()..)?),
        None => (path, ""),
    };
    let first = first.replace("~1", "/").replace("~0", "~");
    claims.get(&first)?.pointer(rest)
}

/// A text.
pub fn text(claims: &Map<String, Value>, name: &str) -> Option<String> {
    claims.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// A text or a list of texts.
pub fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(list) => list
            .iter()
            .map(|text| text.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    }
}

/// The same, a text being words between spaces, as in the scope of OAuth.
pub fn words(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(text.split_whitespace().map(str::to_owned).collect()),
        other => texts(other),
    }
}

/// Seconds since 1970, perhaps with a fraction (RFC 7519 section 2).
pub fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, String> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let whole = value.as_u64();
    // Fractions are cut off, negative times are long ago: `as` saturates.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = whole.or_else(|| value.as_f64().map(|seconds| seconds as u64));
    whole
        .map(Some)
        .ok_or_else(|| format!("the token's {name} is no number"))
}
