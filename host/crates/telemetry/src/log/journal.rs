//! An entry of systemd's journal, in its native protocol: a datagram of lines
//! `FIELD=value` (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).
//!
//! `MESSAGE` is the whole line as people read it, since `journalctl` shows nothing
//! else; beside it each field of the event and of its spans stands by itself, called
//! `LIVEHOST_` and its name in capitals, so that `journalctl LIVEHOST_APP=live` finds
//! it. No value has a line's end in it (`value.rs`), which the protocol's other form
//! is for.
//!
//! Our own, since `tracing-journald` 0.3 sends on the thread that logs, shows people
//! the message without its fields, and neither escapes nor cuts what clients wrote.

use std::error::Error;
use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::LogFormat;
use super::line::{self, FieldFormat};
use super::syslog::{NAME, severity};
use super::value::Value;

/// Of our fields, as opposed to those that the journal gives a meaning.
const PREFIX: &str = "LIVEHOST_";

pub(super) fn entry<S>(
    ctx: &FmtContext<'_, S, FieldFormat>,
    mut writer: Writer<'_>,
    event: &Event<'_>,
) -> fmt::Result
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let metadata = event.metadata();
    writer.write_str("MESSAGE=")?;
    line::body(ctx, writer.by_ref(), event)?;
    writeln!(
        writer,
        "\nPRIORITY={}\nSYSLOG_IDENTIFIER={NAME}\n{PREFIX}MODULE={}",
        severity(*metadata.level()),
        metadata.target()
    )?;
    if let (Some(file), Some(line)) = (metadata.file(), metadata.line()) {
        writeln!(writer, "CODE_FILE={file}\nCODE_LINE={line}")?;
    }
    for span in ctx
        .event_scope()
        .into_iter()
        .flat_map(|scope| scope.from_root())
    {
        if let Some(fields) = span.extensions().get::<FormattedFields<FieldFormat>>() {
            let mut own = fields.lines().filter(|line| is_field(line));
            own.try_for_each(|field| writeln!(writer, "{field}"))?;
        }
    }
    fields(writer, metadata.target(), event)
}

/// Fields of an event of the module `target`, or of a span, each in a line.
pub(super) fn fields(writer: Writer<'_>, target: &str, fields: impl RecordFields) -> fmt::Result {
    let mut visitor = JournalVisitor {
        writer,
        target,
        outcome: Ok(()),
    };
    fields.record(&mut visitor);
    visitor.outcome
}

/// Whether a line of a span's fields is one of [`fields`]. Others begin with a name
/// as it is in the source.
pub(super) fn is_field(line: &str) -> bool {
    line.starts_with(PREFIX)
}

struct JournalVisitor<'w, 't> {
    writer: Writer<'w>,
    target: &'t str,
    outcome: fmt::Result,
}

impl JournalVisitor<'_, '_> {
    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>) -> fmt::Result {
        self.writer.write_str(PREFIX)?;
        let name = field.name();
        for c in name.strip_prefix("r#").unwrap_or(name).chars() {
            let is_plain = c.is_ascii_alphanumeric();
            self.writer.write_char(if is_plain {
                c.to_ascii_uppercase()
            } else {
                '_'
            })?;
        }
        self.writer.write_char('=')?;
        let room = line::room(self.target, name);
        let mut text = Value::new(&mut self.writer, LogFormat::Text, false, room);
        // It fails where it is cut.
        let _ = text.write_fmt(value);
        text.finish()?;
        self.writer.write_char('\n')
    }
}

impl Visit for JournalVisitor<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.outcome = self
            .outcome
            .and_then(|()| self.write(field, format_args!("{value:?}")));
    }
}
