//! Log lines: to standard error, a file, systemd's journal or syslog, as text or JSON.
//!
//! `RUST_LOG`, when set, replaces the configuration's filter.
//!
//! Flows in: events of all modules, with what clients sent in their fields.
//! Flows out: one line for each, of bounded length, in which nothing hides
//! (`line.rs`, `value.rs`). What anybody can cause passes a [`Quota`] first. Whoever
//! logs waits for no disk and no socket (`queue.rs`), only for standard error.

mod filter;
mod journal;
mod line;
mod queue;
mod quota;
mod settings;
mod sinks;
mod syslog;
mod value;

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use livehost_settings::TextError;
use parking_lot::Mutex;
use tracing::{Dispatch, dispatcher, warn};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::terminal;

use line::{FieldFormat, Form, Lines};
use queue::{Queue, Sink};
use sinks::{FileSink, SocketSink};

pub use quota::{CLIENT_LINES, PUBLISHER_LINES, PUBLISHERS, Quota, STRANGERS};
pub use settings::{LogFormat, LogSettings, LogTarget};
pub use value::{is_hidden, visible, visible_json};

/// Where systemd's journal listens.
const JOURNAL: &str = "/run/systemd/journal/socket";
/// Where syslog listens.
const SYSLOG: &str = "/dev/log";
/// How long the end of the process may wait for a slow disk or reader.
const FLUSH: Duration = Duration::from_secs(2);

/// The running log. Clones are the same one.
#[derive(Debug, Clone)]
pub struct LogControl {
    filter: reload::Handle<EnvFilter, Registry>,
    /// The filter's text.
    level: Arc<Mutex<String>>,
    /// None for standard error.
    queue: Option<Arc<Queue>>,
}

/// Starts logging for the process. Relative paths begin at the folder `base`.
///
/// # Errors
/// When `RUST_LOG` is no filter, when lines can't be written where they shall go, or
/// when logging has been started before.
pub fn start(log: &LogSettings, base: &Path) -> anyhow::Result<LogControl> {
    let (dispatch, control) = prepare(log, base)?;
    dispatcher::set_global_default(dispatch).context("logging was already started")?;
    Ok(control)
}

fn prepare(log: &LogSettings, base: &Path) -> anyhow::Result<(Dispatch, LogControl)> {
    match log.to {
        LogTarget::Stderr => to_stderr(log),
        LogTarget::File => {
            let form = Form::Line(log.format);
            to_sink(log, form, FileSink::new(log, base)?)
        }
        LogTarget::Journald => to_journal(log, Path::new(JOURNAL)),
        LogTarget::Syslog => to_syslog(log, Path::new(SYSLOG)),
    }
}

fn to_journal(log: &LogSettings, socket: &Path) -> anyhow::Result<(Dispatch, LogControl)> {
    let sink = SocketSink::new(socket, "systemd's journal")?;
    to_sink(log, Form::Journal, sink)
}

fn to_syslog(log: &LogSettings, socket: &Path) -> anyhow::Result<(Dispatch, LogControl)> {
    let sink = SocketSink::new(socket, "syslog")?;
    to_sink(log, Form::Syslog(log.format), sink)
}

fn to_sink(
    log: &LogSettings,
    form: Form,
    sink: impl Sink,
) -> anyhow::Result<(Dispatch, LogControl)> {
    let queue = Queue::start(sink, |lines| warn!(lines, "log lines lost"));
    let queue = Arc::new(queue.context("the log has no thread")?);
    let writer = BoxMakeWriter::new(Arc::clone(&queue));
    build(log, form, writer, false, Some(queue))
}

fn to_stderr(log: &LogSettings) -> anyhow::Result<(Dispatch, LogControl)> {
    let is_painted = log.format == LogFormat::Text && std::io::stderr().is_terminal();
    let writer = BoxMakeWriter::new(std::io::stderr);
    build(log, Form::Line(log.format), writer, is_painted, None)
}

fn build(
    log: &LogSettings,
    form: Form,
    writer: BoxMakeWriter,
    is_painted: bool,
    queue: Option<Arc<Queue>>,
) -> anyhow::Result<(Dispatch, LogControl)> {
    let (level, filter) = filter(log)?;
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer()
        .with_writer(writer)
        .with_ansi(is_painted)
        // There is nowhere to say that standard error takes no more.
        .log_internal_errors(false)
        .fmt_fields(FieldFormat(form))
        .event_format(Lines(form));
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    let control = LogControl {
        filter: handle,
        level: Arc::new(Mutex::new(level)),
        queue,
    };
    Ok((Dispatch::new(subscriber), control))
}

impl LogControl {
    /// Filters by `log` from now on; what else it says holds from the next start on.
    ///
    /// # Errors
    /// When the filter does not parse.
    pub fn follow(&self, log: &LogSettings) -> anyhow::Result<()> {
        let (level, filter) = filter(log)?;
        self.replace(level, filter)
            .context("the log's filter can't be replaced")
    }

    /// Filters by `level`, a filter like `log.level`, from now on: whatever the
    /// configuration and `RUST_LOG` say, until another filter of the configuration
    /// comes into force.
    ///
    /// # Errors
    /// When it is no filter, or names nothing that writes log lines; the filter before
    /// stays.
    pub fn set_level(&self, level: &str) -> Result<(), TextError> {
        filter::check(level)?;
        let filter = level.parse::<EnvFilter>().map_err(TextError::new)?;
        self.replace(level.to_owned(), filter)
            .map_err(TextError::new)
    }

    fn replace(&self, level: String, filter: EnvFilter) -> Result<(), reload::Error> {
        // Held meanwhile: of two at once the text is that of the one in force.
        let mut text = self.level.lock();
        self.filter.reload(filter)?;
        *text = level;
        Ok(())
    }

    /// The filter in force.
    #[must_use]
    pub fn level(&self) -> String {
        self.level.lock().clone()
    }

    /// Waits until what was logged is written, at the end of the process; two seconds
    /// at most. Blocks.
    pub fn flush(&self) {
        if let Some(queue) = &self.queue
            && !queue.flush(FLUSH)
        {
            terminal::complain(format_args!(
                "warning: the log's last lines could not be written within {} s",
                FLUSH.as_secs()
            ));
        }
    }
}

/// The filter, and its text.
fn filter(log: &LogSettings) -> anyhow::Result<(String, EnvFilter)> {
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
            let parsed = filter.parse();
            let parsed =
                parsed.with_context(|| format!("RUST_LOG={filter:?} is not a log filter"))?;
            Ok((filter, parsed))
        }
        _ => {
            let parsed = log.level.parse().context("log.level")?;
            Ok((log.level.clone(), parsed))
        }
    }
}

#[cfg(test)]
mod tests;
