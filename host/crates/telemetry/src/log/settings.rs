//! How and what the process logs.

use std::time::Duration;

use livehost_settings::{GIB, HOUR, KIB, MIB, MIN, TextError, settings, words};

use super::filter;

settings! {
    /// What is logged, how, and where to.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct LogSettings {
        /// What is logged: `error`, `warn`, `info`, `debug`, `trace` or `off`, per module
        /// as in `"info,livehost_hub=debug"`. The environment variable `RUST_LOG`, if
        /// set, overrides it.
        pub level: String = text(
            "info".to_owned(),
            "a filter like `RUST_LOG`",
            "a log filter in quotes, like \"info\"",
            filter::check,
        ),
        /// Lines for people, or one JSON object a line for machines. The journal has the
        /// fields either way.
        pub format: LogFormat = choice(LogFormat::default(), words!(LogFormat: Text, Json)),
        /// Where lines go: standard error, a file, systemd's journal, or who listens at
        /// `/dev/log`; see [logs.md](logs.md#where-lines-go).
        pub to: LogTarget = choice(
            LogTarget::default(),
            words!(LogTarget: Stderr, File, Journald, Syslog),
        ),
        /// The file of `to: File`. Its folder has to be there.
        pub file: String = text(
            "livehost.log".to_owned(),
            "the path of a file",
            "the path of a file in quotes, like \"livehost.log\"",
            check_file,
        ),
        /// When the file is so long, it is called `livehost.log.1`, that before it
        /// `livehost.log.2` and so on, and a new one begins.
        pub file_size: usize = size(64 * MIB, 64 * KIB..=GIB),
        /// How many of those are kept; 0 begins the file anew.
        pub files: usize = number(8, 0..=1000),
        /// How often the server's counters are logged, if any has changed; `"0 s"` logs
        /// them at its end only.
        pub stats: Duration = duration(MIN, Duration::ZERO..=24 * HOUR),
    }
}

impl LogSettings {
    /// Whether what only a start can change is as in `other`.
    #[must_use]
    pub fn goes_on_as(&self, other: &Self) -> bool {
        let fixed = |log: &Self| (log.format, log.to, log.file_size, log.files);
        fixed(self) == fixed(other) && self.file == other.file
    }
}

fn check_file(path: &str) -> Result<(), TextError> {
    match path.is_empty() || path.ends_with('/') {
        true => Err(TextError::expected("the path of a file", path)),
        false => Ok(()),
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people: one line of text an event.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogTarget {
    /// Standard error.
    #[default]
    Stderr,
    /// A file, rotated.
    File,
    /// systemd's journal, in its native protocol.
    Journald,
    /// Who listens at `/dev/log`.
    Syslog,
}
