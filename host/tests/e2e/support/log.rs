//! The server's log: JSON lines, searched by message and fields.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::process::{Line, Pipe};

/// One event of the log.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) at: Instant,
    value: Value,
}

impl Entry {
    /// None for a line that isn't JSON.
    pub(crate) fn parse(line: &Line) -> Option<Self> {
        let value = serde_json::from_str(&line.text).ok()?;
        Some(Self { at: line.at, value })
    }

    pub(crate) fn message(&self) -> &str {
        self.value
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(crate) fn level(&self) -> &str {
        self.value
            .get("level")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// A field of the event, of its span, or of the spans around that.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let spans = self.value.get("spans").and_then(Value::as_array);
        let places = std::iter::once(&self.value).chain(spans.into_iter().flatten().rev());
        places
            .filter_map(|place| place.get(name))
            .map(|value| match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            })
            .next()
    }

    fn is(&self, message: &str, fields: &[(&str, &str)]) -> bool {
        self.message() == message
            && fields
                .iter()
                .all(|(name, value)| self.field(name).as_deref() == Some(value))
    }
}

/// A running server's log.
#[derive(Debug, Clone)]
pub(crate) struct Log(pub(crate) Pipe);

/// A place in the log: what was written before it is not looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(usize);

/// The beginning of the log.
pub(crate) const START: Mark = Mark(0);

impl Log {
    /// The place that the log has reached.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.0.len())
    }

    /// Waits for an event with this message and these fields.
    ///
    /// # Panics
    /// If it doesn't come within `limit`.
    pub(crate) fn wait(
        &self,
        since: Mark,
        message: &str,
        fields: &[(&str, &str)],
        limit: Duration,
    ) -> Entry {
        self.wait_until(since, limit, |entry| entry.is(message, fields))
            .unwrap_or_else(|| {
                panic!(
                    "no log line {message:?} with {fields:?} within {limit:?}; the log:\n{}",
                    self.0.text()
                )
            })
    }

    /// Waits for an event that `wanted` accepts.
    pub(crate) fn wait_until(
        &self,
        since: Mark,
        limit: Duration,
        mut wanted: impl FnMut(&Entry) -> bool,
    ) -> Option<Entry> {
        self.0.wait(since.0, Instant::now() + limit, |line| {
            Entry::parse(line).filter(&mut wanted)
        })
    }

    /// The events so far with this message and these fields.
    pub(crate) fn find(&self, since: Mark, message: &str, fields: &[(&str, &str)]) -> Vec<Entry> {
        let mut entries = self.all(since);
        entries.retain(|entry| entry.is(message, fields));
        entries
    }

    /// Every event so far.
    pub(crate) fn all(&self, since: Mark) -> Vec<Entry> {
        let lines = self.0.lines();
        let lines = lines.iter().skip(since.0);
        lines.filter_map(Entry::parse).collect()
    }
}
