//! Log lines: to standard error, as text or JSON.
//!
//! `RUST_LOG`, when set, replaces the configuration's filter.
//!
//! Flows in: events of all modules, with what clients sent in their fields.
//! Flows out: one line for each, of bounded length, in which nothing hides
//! (`line.rs`, `value.rs`). What anybody can cause passes a [`Quota`] first.

mod filter;
mod line;
mod quota;
mod settings;
mod value;

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::terminal;

use line::{FieldFormat, Lines};

pub use quota::{CLIENT_LINES, PUBLISHER_LINES, PUBLISHERS, Quota, STRANGERS};
pub use settings::{LogFormat, LogSettings};

/// Changes the filter of the running log.
#[derive(Debug)]
pub struct LogControl {
    filter: reload::Handle<EnvFilter, Registry>,
}

/// Starts logging for the process.
///
/// # Errors
/// When `RUST_LOG` is no filter, or logging has been started before.
pub fn start(log: &LogSettings) -> anyhow::Result<LogControl> {
    let (filter, handle) = reload::Layer::new(filter(log)?);
    let format = log.format;
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(format == LogFormat::Text && std::io::stderr().is_terminal())
        // There is nowhere to say that standard error takes no more.
        .log_internal_errors(false)
        .fmt_fields(FieldFormat(format))
        .event_format(Lines(format));
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .context("logging was already started")?;
    Ok(LogControl { filter: handle })
}

impl LogControl {
    /// Filters by `log` from now on.
    ///
    /// # Errors
    /// When the filter does not parse.
    pub fn set(&self, log: &LogSettings) -> anyhow::Result<()> {
        self.filter
            .reload(filter(log)?)
            .context("the log's filter can't be replaced")
    }
}

fn filter(log: &LogSettings) -> anyhow::Result<EnvFilter> {
    match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => {
            // It may be meant for other programs, too.
            if let Err(wrong) = filter::check(&filter) {
                let help = wrong.help.map(|help| format!(" ({help})"));
                terminal::complain(format_args!(
                    "warning: RUST_LOG: {}{}",
                    wrong.message,
                    help.unwrap_or_default()
                ));
            }
            filter
                .parse()
                .with_context(|| format!("RUST_LOG={filter:?} is not a log filter"))
        }
        _ => log.level.parse::<EnvFilter>().context("log.level"),
    }
}
