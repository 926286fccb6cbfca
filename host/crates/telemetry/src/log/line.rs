//! The form of a line: time, level, spans from the outermost in, fields.

use std::error::Error;
use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::LogFormat;
use super::value::Value;
use super::{journal, syslog};
use crate::counters::Counts;

/// The most of a value that a client or another server may have written, bytes.
const FOREIGN: usize = 200;
/// The most of what the operator, a plugin or we ourselves wrote, bytes. The
/// lines of plugins have a limit of their own below it.
const OWN: usize = 8 * 1024;
/// Where events come from whose fields hold files, settings and faults of
/// plugins, and nothing of a client's.
const OWN_MODULES: [&str; 5] = [
    "livehost::config",
    "livehost_net::outbound",
    "livehost_plugin",
    "livehost::supervisor",
    "livehost::watch",
];
/// Where faults are told in words of ours or a plugin's, and what another server
/// said of it is bounded already; a client's names stand beside them.
const OWN_FAULTS: [(&str, &str); 5] = [
    ("livehost_app::broker", "error"),
    ("livehost_policy", "error"),
    ("livehost_relay", "error"),
    ("livehost_relay", "reason"),
    ("livehost_server_rtmp::session::answers", "error"),
];

/// What a line looks like where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// With its time and its end.
    Line(LogFormat),
    /// With syslog's head, a datagram each.
    Syslog(LogFormat),
    /// An entry of the journal, a datagram each.
    Journal,
}

impl Form {
    /// How a span's fields and their values are written.
    fn format(self) -> LogFormat {
        match self {
            Self::Line(format) | Self::Syslog(format) => format,
            Self::Journal => LogFormat::Text,
        }
    }
}

/// Writes an event as one line.
#[derive(Debug)]
pub(super) struct Lines(pub(super) Form);

/// Writes the fields of a span, which stand in each of its lines: in one line, and for
/// the journal in one more for each of them.
#[derive(Debug)]
pub(super) struct FieldFormat(pub(super) Form);

impl<S> FormatEvent<S, FieldFormat> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, FieldFormat>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        match self.0 {
            Form::Line(LogFormat::Text) => {
                text(ctx, writer.by_ref(), event)?;
                writer.write_char('\n')
            }
            Form::Line(LogFormat::Json) => {
                json(ctx, writer.by_ref(), event)?;
                writer.write_char('\n')
            }
            Form::Syslog(LogFormat::Text) => {
                syslog::head(&mut writer, level)?;
                write!(writer, "{level} ")?;
                body(ctx, writer, event)
            }
            Form::Syslog(LogFormat::Json) => {
                syslog::head(&mut writer, level)?;
                json(ctx, writer, event)
            }
            Form::Journal => journal::entry(ctx, writer, event),
        }
    }
}

fn text<S>(
    ctx: &FmtContext<'_, S, FieldFormat>,
    mut writer: Writer<'_>,
    event: &Event<'_>,
) -> fmt::Result
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let ansi = writer.has_ansi_escapes();
    let metadata = event.metadata();
    Paint::Dimmed.begin(ansi, &mut writer)?;
    SystemTime.format_time(&mut writer)?;
    Paint::end(ansi, &mut writer)?;
    Paint::Level(*metadata.level()).begin(ansi, &mut writer)?;
    write!(writer, " {:>5}", metadata.level().as_str())?;
    Paint::end(ansi, &mut writer)?;
    writer.write_char(' ')?;
    body(ctx, writer, event)
}

/// A line without time and level.
pub(super) fn body<S>(
    ctx: &FmtContext<'_, S, FieldFormat>,
    mut writer: Writer<'_>,
    event: &Event<'_>,
) -> fmt::Result
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let ansi = writer.has_ansi_escapes();
    if let Some(scope) = ctx.event_scope() {
        for span in scope.from_root() {
            Paint::Bold.begin(ansi, &mut writer)?;
            writer.write_str(span.name())?;
            Paint::end(ansi, &mut writer)?;
            if let Some(fields) = span.extensions().get::<FormattedFields<FieldFormat>>() {
                span_fields(&mut writer, fields)?;
            }
            writer.write_char(':')?;
        }
        writer.write_char(' ')?;
    }
    FieldVisitor::new(writer, LogFormat::Text, event.metadata().target()).record(event)
}

/// Those that people read: the journal's stand by themselves.
fn span_fields(writer: &mut Writer<'_>, fields: &str) -> fmt::Result {
    let lines = fields.lines().filter(|line| !line.is_empty());
    let mut before = "{";
    for line in lines.filter(|line| !journal::is_field(line)) {
        write!(writer, "{before}{line}")?;
        before = " ";
    }
    writer.write_str(if before == "{" { "" } else { "}" })
}

fn json<S>(
    ctx: &FmtContext<'_, S, FieldFormat>,
    mut writer: Writer<'_>,
    event: &Event<'_>,
) -> fmt::Result
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let metadata = event.metadata();
    writer.write_str("{\"timestamp\":\"")?;
    SystemTime.format_time(&mut writer)?;
    write!(writer, "\",\"level\":\"{}\"", metadata.level())?;
    let mut fields = FieldVisitor::new(writer.by_ref(), LogFormat::Json, metadata.target());
    fields.is_first = false;
    fields.record(event)?;
    if let Some(scope) = ctx.event_scope() {
        for (index, span) in scope.from_root().enumerate() {
            writer.write_str(if index == 0 { ",\"spans\":[" } else { "," })?;
            json_span(&mut writer, &span)?;
        }
        writer.write_char(']')?;
    }
    writer.write_char('}')
}

fn json_span<S>(writer: &mut Writer<'_>, span: &SpanRef<'_, S>) -> fmt::Result
where
    S: for<'a> LookupSpan<'a>,
{
    writer.write_char('{')?;
    if let Some(fields) = span.extensions().get::<FormattedFields<FieldFormat>>()
        && !fields.is_empty()
    {
        write!(writer, "{fields},")?;
    }
    write!(writer, "\"name\":\"{}\"}}", span.name())
}

impl<'a> FormatFields<'a> for FieldFormat {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'a>, fields: R) -> fmt::Result {
        self.write(writer.by_ref(), true, &fields)
    }

    fn add_fields(
        &self,
        current: &'a mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        let is_first = current.fields.is_empty();
        self.write(current.as_writer(), is_first, fields)
    }
}

impl FieldFormat {
    /// `is_first`: no other fields of the span stand before them.
    fn write(
        &self,
        mut writer: Writer<'_>,
        is_first: bool,
        fields: impl RecordFields,
    ) -> fmt::Result {
        let is_journal = self.0 == Form::Journal;
        let mut visitor = FieldVisitor::new(writer.by_ref(), self.0.format(), SPAN);
        visitor.is_first = is_first || is_journal;
        visitor.record(&fields)?;
        if !is_journal {
            return Ok(());
        }
        writer.write_char('\n')?;
        journal::fields(writer, SPAN, fields)
    }
}

/// In the place of an event's module: clients fill most of a span's fields.
const SPAN: &str = "";

/// How much of a field an event of the module `target` may show, bytes.
pub(super) fn room(target: &str, field: &str) -> usize {
    let is_in = |module: &str| {
        let inside = target.strip_prefix(module);
        inside.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let is_fault = |(module, name): (&str, &str)| name == field && is_in(module);
    let is_own = field == MESSAGE
        || OWN_MODULES.into_iter().any(is_in)
        || OWN_FAULTS.into_iter().any(is_fault);
    if is_own { OWN } else { FOREIGN }
}

/// Writes fields one after the other.
struct FieldVisitor<'w> {
    writer: Writer<'w>,
    format: LogFormat,
    /// The event's module, or [`SPAN`].
    target: &'w str,
    /// Nothing stands before the next field.
    is_first: bool,
    outcome: fmt::Result,
}

impl<'w> FieldVisitor<'w> {
    fn new(writer: Writer<'w>, format: LogFormat, target: &'w str) -> Self {
        Self {
            writer,
            format,
            target,
            is_first: true,
            outcome: Ok(()),
        }
    }

    fn record(mut self, fields: impl RecordFields) -> fmt::Result {
        fields.record(&mut self);
        self.outcome
    }

    /// The name in front of a value.
    fn name(&mut self, field: &Field) -> fmt::Result {
        let is_first = std::mem::replace(&mut self.is_first, false);
        let name = field.name();
        // A word of the language has it.
        let name = name.strip_prefix("r#").unwrap_or(name);
        match self.format {
            LogFormat::Json => {
                self.writer.write_str(if is_first { "" } else { "," })?;
                write!(self.writer, "\"{name}\":")
            }
            LogFormat::Text => {
                self.writer.write_str(if is_first { "" } else { " " })?;
                if name == MESSAGE {
                    return Ok(());
                }
                let ansi = self.writer.has_ansi_escapes();
                Paint::Italic.begin(ansi, &mut self.writer)?;
                self.writer.write_str(name)?;
                Paint::end(ansi, &mut self.writer)?;
                self.writer.write_char('=')
            }
        }
    }

    /// A number or the like.
    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        self.outcome = self
            .outcome
            .and_then(|()| self.name(field))
            .and_then(|()| write!(self.writer, "{value}"));
    }

    /// An object of those that are not zero.
    fn counts(&mut self, field: &Field, counts: &Counts) {
        self.outcome = self.outcome.and_then(|()| {
            self.name(field)?;
            let mut before = "{";
            for (name, count) in counts.iter().filter(|(_, count)| *count > 0) {
                write!(self.writer, "{before}\"{name}\":{count}")?;
                before = ",";
            }
            self.writer
                .write_str(if before == "{" { "{}" } else { "}" })
        });
    }

    fn text(&mut self, field: &Field, quoted: bool, value: fmt::Arguments<'_>) {
        self.outcome = self.outcome.and_then(|()| {
            self.name(field)?;
            let quoted = quoted || self.format == LogFormat::Json;
            let room = room(self.target, field.name());
            self.writer.write_str(if quoted { "\"" } else { "" })?;
            let mut text = Value::new(&mut self.writer, self.format, quoted, room);
            // It fails where it is cut.
            let _ = text.write_fmt(value);
            text.finish()?;
            self.writer.write_str(if quoted { "\"" } else { "" })
        });
    }
}

/// The field that has no name in text.
const MESSAGE: &str = "message";

impl Visit for FieldVisitor<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        match self.format == LogFormat::Json && !value.is_finite() {
            true => self.text(field, true, format_args!("{value}")),
            false => self.plain(field, value),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.plain(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.plain(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, field.name() != MESSAGE, format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        match value.downcast_ref::<Counts>() {
            Some(counts) if self.format == LogFormat::Json => self.counts(field, counts),
            _ => self.text(field, false, format_args!("{value}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, false, format_args!("{value:?}"));
    }
}

/// How a terminal shows a part of a line.
#[derive(Debug, Clone, Copy)]
enum Paint {
    Dimmed,
    Bold,
    Italic,
    Level(Level),
}

impl Paint {
    fn begin(self, ansi: bool, writer: &mut Writer<'_>) -> fmt::Result {
        if !ansi {
            return Ok(());
        }
        writer.write_str(match self {
            Self::Dimmed => "\x1b[2m",
            Self::Bold => "\x1b[1m",
            Self::Italic => "\x1b[3m",
            Self::Level(Level::ERROR) => "\x1b[31m",
            Self::Level(Level::WARN) => "\x1b[33m",
            Self::Level(Level::INFO) => "\x1b[32m",
            Self::Level(Level::DEBUG) => "\x1b[34m",
            Self::Level(Level::TRACE) => "\x1b[35m",
        })
    }

    fn end(ansi: bool, writer: &mut Writer<'_>) -> fmt::Result {
        writer.write_str(if ansi { "\x1b[0m" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of what `log` does, in JSON.
    fn json_lines(log: impl FnOnce()) -> Vec<serde_json::Value> {
        use tracing_subscriber::layer::SubscriberExt;

        let text = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
        let writer = std::sync::Arc::clone(&text);
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || Shared(std::sync::Arc::clone(&writer)))
            .fmt_fields(FieldFormat(Form::Line(LogFormat::Json)))
            .event_format(Lines(Form::Line(LogFormat::Json)));
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, log);
        let text = String::from_utf8(text.lock().clone()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    struct Shared(std::sync::Arc<parking_lot::Mutex<Vec<u8>>>);

    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn json_has_numbers_as_numbers_and_the_spans_once() {
        let counts = Counts::from_iter([("traps", "", 3), ("kv", "", 0), ("timers_fired", "", 12)]);
        let lines = json_lines(|| {
            let outer = tracing::info_span!("session", conn = 7_u64);
            let inner = tracing::info_span!(parent: &outer, "stream", stream = "cam");
            let _entered = inner.enter();
            tracing::warn!(
                size = 1_usize,
                wide = 2_u128,
                counts = counts.field(),
                none = Counts::default().field(),
                instance = None::<&str>,
                "told"
            );
        });
        let [line] = lines.as_slice() else {
            panic!("{lines:?}");
        };
        let mut line = line.clone();
        line["timestamp"].take();
        let expected = serde_json::json!({
            "timestamp": null,
            "level": "WARN",
            "message": "told",
            "size": 1,
            "wide": 2,
            "counts": {"traps": 3, "timers_fired": 12},
            "none": {},
            "spans": [
                {"conn": 7, "name": "session"},
                {"stream": "cam", "name": "stream"},
            ],
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn faults_have_room_and_what_clients_wrote_has_little() {
        for (target, field, expected) in [
            ("livehost_policy::gate", "error", OWN),
            ("livehost_app::broker", "error", OWN),
            ("livehost_app::broker", "renamed", FOREIGN),
            ("livehost_relay::report", "reason", OWN),
            ("livehost_relay::pulls", "error", OWN),
            ("livehost_relay::pulls", "stream", FOREIGN),
            ("livehost_server_rtmp::session::answers", "error", OWN),
            ("livehost_server_rtmp::session::answers", "method", FOREIGN),
            ("livehost_server_rtmp::session::answers", "reason", FOREIGN),
            ("livehost_server_rtmp::session::questions", "error", FOREIGN),
            ("livehost_policy_else", "error", FOREIGN),
            ("livehost::config::load", "file", OWN),
            ("livehost_server_rtmp::session::client", MESSAGE, OWN),
            (SPAN, "reason", FOREIGN),
            (SPAN, "stream", FOREIGN),
        ] {
            assert_eq!(room(target, field), expected, "{target} {field}");
        }
    }
}
