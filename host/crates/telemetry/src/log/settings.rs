//! How and what the process logs.

use std::time::Duration;

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// A filter as `RUST_LOG` has it: `info`, `warn,livehost_hub=debug`.
    /// It has been parsed once. Default `info`.
    pub level: String,
    /// Default [`LogFormat::Text`].
    pub format: LogFormat,
    /// How often the server's counters are logged; zero for never. Default 1
    /// minute.
    pub stats: Duration,
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

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::default(),
            stats: Duration::from_secs(60),
        }
    }
}
