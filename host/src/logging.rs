//! Log lines: to standard error, as text or JSON.
//!
//! `RUST_LOG`, when set, replaces the configuration's filter.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts logging for the process.
///
/// # Errors
/// When `RUST_LOG` is no filter, or logging has been started before.
pub fn start(log: &Log) -> anyhow::Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => filter
            .parse::<EnvFilter>()
            .with_context(|| format!("RUST_LOG={filter:?} is not a log filter"))?,
        _ => log.level.parse::<EnvFilter>().context("log.level")?,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    let started = match log.format {
        LogFormat::Text => builder
            .with_ansi(std::io::stderr().is_terminal())
            .try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging was already started: {error}"))
}
