//! `log`: the guest's lines in the host's log, with application and plugin.
//!
//! Lines are limited a second, and what is left out is counted: a plugin must
//! not drown the log. Control characters are escaped, so a line stays a line.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::{debug, error, info, trace, warn};

use crate::bindings::livehost::app::log::Host;

pub(crate) use crate::bindings::livehost::app::log::Level;
use crate::instance::HostState;
use crate::stats::Stats;

/// A longer message is cut, in bytes.
const MAX_MESSAGE: usize = 4096;

/// One application's log.
#[derive(Debug)]
pub(crate) struct Log {
    app: String,
    rate: Mutex<LineRate>,
    stats: Arc<Stats>,
}

impl Log {
    /// A log of at most `lines_per_second`.
    pub(crate) fn new(app: String, lines_per_second: u32, stats: Arc<Stats>) -> Self {
        Self {
            app,
            rate: Mutex::new(LineRate::new(lines_per_second)),
            stats,
        }
    }

    /// Another limit from now on.
    pub(crate) fn set_limit(&self, lines_per_second: u32) {
        self.rate.lock().limit = lines_per_second;
    }

    /// Writes one line of `plugin`, or counts it as suppressed.
    pub(crate) fn line(
        &self,
        plugin: &str,
        level: Level,
        message: &str,
        fields: &[(String, String)],
    ) {
        let admitted = self.rate.lock().admit(Instant::now());
        let app = self.app.as_str();
        match admitted {
            Admitted::No => {
                self.stats.log_lines_dropped.add();
                return;
            }
            Admitted::After(0) => {}
            Admitted::After(suppressed) => {
                warn!(app, plugin, suppressed, "the plugin wrote too many lines");
            }
        }
        let text = text(message, fields);
        match level {
            Level::Trace => trace!(app, plugin, "{text}"),
            Level::Debug => debug!(app, plugin, "{text}"),
            Level::Info => info!(app, plugin, "{text}"),
            Level::Warn => warn!(app, plugin, "{text}"),
            Level::Error => error!(app, plugin, "{text}"),
        }
    }
}

impl Host for HostState {
    fn write(&mut self, level: Level, message: String, fields: Vec<(String, String)>) {
        self.log(level, &message, &fields);
    }
}

/// The message and its fields as one line.
fn text(message: &str, fields: &[(String, String)]) -> String {
    let mut text = String::with_capacity(message.len().min(MAX_MESSAGE));
    escape(&mut text, message);
    for (key, value) in fields {
        if text.len() >= MAX_MESSAGE {
            break;
        }
        text.push(' ');
        escape(&mut text, key);
        text.push('=');
        let value = head(value);
        if value.contains(|c: char| c.is_whitespace() || c == '"' || c == '=') {
            text.push('"');
            escape(&mut text, &value.replace('"', "\\\""));
            text.push('"');
        } else {
            escape(&mut text, value);
        }
    }
    text
}

/// As much of `text` as a line could have, and a character more.
fn head(text: &str) -> &str {
    let end = text
        .char_indices()
        .map(|(at, _)| at)
        .find(|at| *at > MAX_MESSAGE);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        if out.len() >= MAX_MESSAGE {
            out.push_str("...");
            return;
        }
        if c.is_control() {
            // Writing to a String can't fail.
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
}

/// Lines, or other events, of the present second.
#[derive(Debug)]
pub(crate) struct LineRate {
    limit: u32,
    since: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// Counted only.
    No,
    /// To be written, after so many that were not.
    After(u64),
}

impl LineRate {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit,
            since: None,
            lines: 0,
            suppressed: 0,
        }
    }

    /// The next one of this second would not be admitted.
    pub(crate) fn is_used_up(&self, now: Instant) -> bool {
        !self.is_over(now) && self.lines >= self.limit
    }

    /// Another second has begun.
    fn is_over(&self, now: Instant) -> bool {
        self.since
            .is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1))
    }

    pub(crate) fn admit(&mut self, now: Instant) -> Admitted {
        if self.is_over(now) {
            self.since = Some(now);
            self.lines = 0;
        }
        if self.lines >= self.limit {
            self.suppressed = self.suppressed.saturating_add(1);
            return Admitted::No;
        }
        self.lines = self.lines.saturating_add(1);
        Admitted::After(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_over_the_limit_are_counted_and_said_in_the_next_second() {
        let mut rate = LineRate::new(2);
        let start = Instant::now();
        assert_eq!(rate.admit(start), Admitted::After(0));
        assert_eq!(rate.admit(start), Admitted::After(0));
        for _ in 0..5 {
            assert_eq!(rate.admit(start), Admitted::No);
        }
        let later = start + Duration::from_secs(1);
        assert_eq!(rate.admit(later), Admitted::After(5));
        assert_eq!(rate.admit(later), Admitted::After(0));
    }

    #[test]
    fn a_message_can_not_forge_a_line() {
        let line = text("ok\n2026 ERROR forged \x1b[31m", &[]);
        assert_eq!(line, "ok\\n2026 ERROR forged \\u{1b}[31m");
    }

    #[test]
    fn fields_follow_the_message() {
        let fields = [
            ("stream".to_owned(), "cam1".to_owned()),
            ("why".to_owned(), "it \"broke\"".to_owned()),
        ];
        assert_eq!(
            text("gone", &fields),
            r#"gone stream=cam1 why="it \"broke\"""#
        );
    }

    #[test]
    fn long_fields_are_cut_and_not_looked_through() {
        for value in ["\"".repeat(4 << 20), "é ".repeat(4 << 20)] {
            let line = text("gone", &[("why".to_owned(), value)]);
            assert!(line.len() <= MAX_MESSAGE + 8, "{}", line.len());
            assert!(line.ends_with("...\""));
        }
        assert_eq!(head("short"), "short");
        assert!(head(&"é".repeat(MAX_MESSAGE)).len() <= MAX_MESSAGE + 2);
    }

    #[test]
    fn a_rate_is_used_up_until_its_second_is_over() {
        let mut rate = LineRate::new(1);
        let start = Instant::now();
        assert!(!rate.is_used_up(start));
        rate.admit(start);
        assert!(rate.is_used_up(start));
        assert!(!rate.is_used_up(start + Duration::from_secs(1)));
    }

    #[test]
    fn long_messages_are_cut() {
        let line = text(&"é".repeat(MAX_MESSAGE), &[]);
        assert!(line.len() <= MAX_MESSAGE + 4, "{}", line.len());
        assert!(line.ends_with("..."));
    }
}
