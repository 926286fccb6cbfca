//! Reads application, instance, stream name and query out of what clients send.
//!
//! Flows in: `app` and `tcUrl` of a connect, the name of a publish or play.
//! Flows out: the one place that they mean, or why they mean none. The rule is
//! in `docs/names.md`, its cases in `testdata/names.txt`.
//!
//! Clients cut one URL at different slashes, add types and extensions, and
//! encode or don't: a publisher and a player that were given the same URL must
//! meet. So the path of the connection and the name of the stream are read as
//! one path, and its last segment is the stream's name.

use std::sync::Arc;

use livehost_hub::StreamKey;
use livehost_policy::Pairs;
use percent_encoding::percent_decode_str;

use crate::application::{Application, Applications};

/// Longest path of a connection, too.
use livehost_policy::names::MAX_PATH;

/// Longest text that a name and its query are read from, in bytes.
pub const MAX_TEXT: usize = 4096;
/// Most parameters read from one query.
const MAX_PARAMETERS: usize = 64;

/// Words before a colon and behind a dot that tell the kind of a recording,
/// not which stream is meant: `mp4:cam.mp4`.
const TYPES: [&str; 9] = [
    "flv", "mp4", "f4v", "m4v", "m4a", "mov", "mp3", "aac", "id3",
];
/// The instance of clients that want none.
const NO_INSTANCE: &str = "_definst_";
/// How players without a query named a virtual host: `live...vhost...a.example`.
const VHOST: &str = "...vhost...";

/// What a client's connect asks for: the path and the query of its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPath {
    path: Vec<String>,
    pub query: Pairs,
}

/// What a client's publish or play asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamName {
    pub place: NamePlace,
    /// `mp4` of `mp4:cam`, in lower case.
    pub kind: Option<String>,
    pub query: Pairs,
}

/// A stream inside an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePlace {
    /// All segments but the last.
    pub instance: Option<String>,
    /// The last segment.
    pub name: String,
}

/// Why a name is refused before the policy is asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("the {0} name is empty")]
    Empty(&'static str),
    #[error("the {what} name has {len} bytes; at most {max} are allowed")]
    TooLong {
        what: &'static str,
        len: usize,
        max: usize,
    },
    #[error("the {0} name holds a control character")]
    ControlCharacter(&'static str),
    #[error("the {0} name is not UTF-8 text")]
    NotUtf8(&'static str),
    #[error("the {0} name holds . or .. between slashes")]
    Dots(&'static str),
    #[error("no application {0:?} is served here")]
    NoApplication(String),
    #[error("the URL names no application")]
    NoPath,
}

impl AppPath {
    pub fn parse(app: &str, tc_url: &str) -> Result<Self, NameError> {
        const WHAT: &str = "application";
        for text in [app, tc_url] {
            at_most(WHAT, text.len(), MAX_TEXT)?;
        }
        let (url_path, url_query) = cut_query(path_of(tc_url));
        let (mut path, query) = cut_query(app);
        if path.trim_matches('/').is_empty() {
            path = url_path;
        }
        let mut query = parse_query(query);
        if let Some((before, vhost)) = path.split_once(VHOST) {
            path = before;
            query.push(("vhost".to_owned(), decoded(vhost)));
        }
        // Some encoders put the query behind tcUrl only; most repeat app there.
        for (key, value) in parse_query(url_query) {
            if !query.iter().any(|(known, _)| *known == key) {
                query.push((key, value));
            }
        }
        let path = segments(WHAT, path)?;
        Ok(Self { path, query })
    }

    /// The application that the path begins with, or the default one, which
    /// gets the whole path; and the instance, which is the rest.
    pub fn resolve(
        &self,
        applications: &Applications,
    ) -> Result<(Arc<Application>, Option<String>), NameError> {
        let named = self.path.split_first().and_then(|(first, rest)| {
            let application = applications.find(first)?;
            Some((application, rest))
        });
        let whole = || Some((applications.default_one()?, &*self.path));
        match named.or_else(whole) {
            Some((application, [])) => Ok((application, None)),
            Some((application, rest)) => Ok((application, Some(rest.join("/")))),
            None => Err(match self.path.first() {
                Some(first) => NameError::NoApplication(first.clone()),
                None => NameError::NoPath,
            }),
        }
    }
}

impl StreamName {
    /// The stream `text` of a connection to `instance`.
    pub fn parse(instance: Option<&str>, text: &str) -> Result<Self, NameError> {
        const WHAT: &str = "stream";
        at_most(WHAT, text.len(), MAX_TEXT)?;
        let (text, query) = cut_query(text);
        let (kind, text) = cut_type(text);
        let path = segments(WHAT, text)?;
        let instance = instance.into_iter().flat_map(|path| path.split('/'));
        let mut path: Vec<String> = instance.map(str::to_owned).chain(path).collect();
        // A URL of one segment below the application, with a key of its own
        // that is only a query: the last segment is the name.
        let last = path.pop().unwrap_or_default();
        let (inner_kind, name) = cut_type(&last);
        let name = without_extension(name).to_owned();
        path.push(name);
        Ok(Self {
            place: NamePlace::of(WHAT, path)?,
            kind: kind.or(inner_kind),
            query: parse_query(query),
        })
    }
}

impl NamePlace {
    /// `instance/name`, or the name alone.
    pub fn path(&self) -> String {
        match &self.instance {
            Some(instance) => format!("{instance}/{}", self.name),
            None => self.name.clone(),
        }
    }

    /// The stream of `app` that it is.
    pub fn key(&self, app: &Arc<str>) -> StreamKey {
        StreamKey {
            app: app.clone(),
            instance: self.instance.as_deref().map(Into::into),
            name: self.name.as_str().into(),
        }
    }

    /// A name that a grant puts in the place of the one asked for: below the
    /// same instance, and taken as it is written.
    pub fn granted(instance: Option<&str>, name: &str) -> Result<Self, NameError> {
        const WHAT: &str = "granted";
        let name = name.split('/').filter(|segment| !segment.is_empty());
        let instance = instance.into_iter().flat_map(|path| path.split('/'));
        let path = checked(WHAT, name.map(str::to_owned).collect())?;
        if path.is_empty() {
            return Err(NameError::Empty(WHAT));
        }
        Self::of(WHAT, instance.map(str::to_owned).chain(path).collect())
    }

    fn of(what: &'static str, mut path: Vec<String>) -> Result<Self, NameError> {
        let len = path.iter().map(|segment| segment.len() + 1).sum::<usize>();
        at_most(what, len.saturating_sub(1), MAX_PATH)?;
        let name = path.pop().filter(|name| !name.is_empty());
        let name = name.ok_or(NameError::Empty(what))?;
        let instance = (!path.is_empty()).then(|| path.join("/"));
        Ok(Self { instance, name })
    }
}

/// The path and query of a URL, or nothing.
fn path_of(url: &str) -> &str {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest);
    let start = authority.find(['/', '?']).unwrap_or(authority.len());
    authority.get(start..).unwrap_or_default()
}

/// Keys may hold `?` themselves; only the first one starts the query.
fn cut_query(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

/// The type before the first colon, if it is one, and what follows.
fn cut_type(text: &str) -> (Option<String>, &str) {
    match text.split_once(':') {
        Some((word, rest)) if is_type(word) => (Some(word.to_ascii_lowercase()), rest),
        _ => (None, text),
    }
}

fn without_extension(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, word)) if is_type(word) && !stem.is_empty() => stem,
        _ => name,
    }
}

fn is_type(word: &str) -> bool {
    TYPES.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// The segments of a path, percent-decoded.
fn segments(what: &'static str, path: &str) -> Result<Vec<String>, NameError> {
    let path = percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| NameError::NotUtf8(what))?;
    let segments = path
        .split('/')
        .filter(|segment| !matches!(*segment, "" | NO_INSTANCE))
        .map(str::to_owned)
        .collect();
    checked(what, segments)
}

fn checked(what: &'static str, segments: Vec<String>) -> Result<Vec<String>, NameError> {
    let len = segments
        .iter()
        .map(|segment| segment.len() + 1)
        .sum::<usize>();
    at_most(what, len.saturating_sub(1), MAX_PATH)?;
    for segment in &segments {
        if segment.chars().any(char::is_control) {
            return Err(NameError::ControlCharacter(what));
        }
        // What bytes that are no UTF-8 have become when they were read.
        if segment.contains(char::REPLACEMENT_CHARACTER) {
            return Err(NameError::NotUtf8(what));
        }
        if matches!(segment.as_str(), "." | "..") {
            return Err(NameError::Dots(what));
        }
    }
    Ok(segments)
}

pub fn at_most(what: &'static str, len: usize, max: usize) -> Result<(), NameError> {
    if len > max {
        return Err(NameError::TooLong { what, len, max });
    }
    Ok(())
}

fn parse_query(query: &str) -> Pairs {
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .take(MAX_PARAMETERS)
        .map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (decoded(key), decoded(value))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests;
