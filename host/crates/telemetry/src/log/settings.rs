//! How and what the process logs.

use std::time::Duration;

use livehost_settings::{HOUR, MIN, settings, words};

use super::filter;

settings! {
    /// What is logged, and how.
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
        /// Lines for people, or one JSON object a line for machines.
        pub format: LogFormat = choice(LogFormat::default(), words!(LogFormat: Text, Json)),
        /// How often the server's counters are logged, if any has changed; `"0 s"` logs
        /// them at its end only.
        pub stats: Duration = duration(MIN, Duration::ZERO..=24 * HOUR),
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
