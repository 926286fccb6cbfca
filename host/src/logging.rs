//! Log lines: to standard error, as text or JSON.
//!
//! `RUST_LOG`, when set, replaces the configuration's filter.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::{Log, LogFormat};

/// Changes the filter of the running log.
#[derive(Debug)]
pub struct LogControl {
    filter: reload::Handle<EnvFilter, Registry>,
}

/// Starts logging for the process.
///
/// # Errors
/// When `RUST_LOG` is no filter, or logging has been started before.
pub fn start(log: &Log) -> anyhow::Result<LogControl> {
    let (filter, handle) = reload::Layer::new(filter(log)?);
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
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
    pub fn set(&self, log: &Log) -> anyhow::Result<()> {
        self.filter
            .reload(filter(log)?)
            .context("the log's filter can't be replaced")
    }
}

fn filter(log: &Log) -> anyhow::Result<EnvFilter> {
    match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => filter
            .parse::<EnvFilter>()
            .with_context(|| format!("RUST_LOG={filter:?} is not a log filter")),
        _ => log.level.parse::<EnvFilter>().context("log.level"),
    }
}
