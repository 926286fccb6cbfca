//! Reads a configuration: from a file to the checked [`Config`].
//!
//! Flows in: a path, or text with the path it belongs to. Flows out: a
//! [`Config`], or a [`ConfigError`] with every problem and its place. The
//! defaults are those of the [`super::schema`] types; the ranges are here.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use livehost_policy::{Fallback, OnError};
use livehost_ron::{
    FieldDoc, Problem, Report,
    json::to_json,
    node::{Node, Shape},
    reader::{Fields, Findings, suggest, word},
    units::format_duration,
};
use tracing_subscriber::EnvFilter;

use super::{
    acceptors::acceptors,
    error::ConfigError,
    http::http,
    naming::{aliases, default_application},
    relay::relays,
    schema::{
        ApplicationConfig, Config, Join, LogFormat, LogSettings, MediaConfig, PluginLimits,
        ServerLimits,
    },
    shared_objects::shared_objects,
};

/// No configuration is longer, bytes; a device or a stream would never end.
pub(super) const MAX_FILE: u64 = 1 << 20;
/// Characters of an application name.
const MAX_NAME: usize = 255;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);
const MIN: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Levels of a log filter.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// Beyond [`Config::parse`] it wants every plugin's file to exist.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] without a readable file of up to 1 MiB,
    /// [`ConfigError::Invalid`] with every problem found in it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_file(path, true)
    }

    /// Like [`Config::load`], but no file that it names need exist.
    ///
    /// # Errors
    /// Those of [`Config::load`].
    pub fn load_without_files(path: &Path) -> Result<Self, ConfigError> {
        Self::load_file(path, false)
    }

    fn load_file(path: &Path, files: bool) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE {
            let message = "it is longer than 1 MiB, so it is no configuration";
            return Err(unreadable(io::Error::other(message)));
        }
        let folder = std::path::absolute(path).map_err(unreadable)?;
        let base = folder.parent().unwrap_or(&folder).to_owned();
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes());
            let message = "expected UTF-8 text; found other bytes".to_owned();
            invalid(path, &text, vec![problem(valid, message)])
        })?;
        read(path, &base, &text, files).map(|(config, _)| config)
    }

    /// Checks `text`, the content of the file called `path` in messages.
    /// Relative paths in it start at the folder of `path`.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with every problem found.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let base = path.parent().unwrap_or(Path::new("")).to_owned();
        let base = std::path::absolute(&base).unwrap_or(base);
        read(path, &base, text, false).map(|(config, _)| config)
    }
}

/// Every field of a configuration, in the order of its documentation, with
/// `NAME` as the application's name and `N` as the acceptor's number.
#[must_use]
pub fn fields() -> Vec<FieldDoc> {
    let text = r#"(
        applications: {"NAME": (
            plugin: "p",
            pull: [(name: "n", from: "rtmp://h/a/n")],
            forward: [(to: "rtmp://h/a/{name}")],
        )},
        acceptors: [(
            listen: "[::1]:0",
            chain: [Tcp, Tls, Rtmp],
            tls: (certificate: "c", key: "k"),
        )],
    )"#;
    let read = read(Path::new(""), Path::new(""), text, false);
    let mut fields = read.map(|(_, fields)| fields).unwrap_or_default();
    for field in &mut fields {
        field.path = field.path.replace("[0]", "[N]");
    }
    fields
}

fn problem(at: usize, message: String) -> Problem {
    Problem {
        span: at..at + 1,
        field: String::new(),
        message,
        help: None,
    }
}

fn invalid(path: &Path, text: &str, problems: Vec<Problem>) -> ConfigError {
    ConfigError::Invalid(Report::new(path, text, problems))
}

/// Reads `text`; `files` says whether plugins' files must exist.
fn read(
    path: &Path,
    base: &Path,
    text: &str,
    files: bool,
) -> Result<(Config, Vec<FieldDoc>), ConfigError> {
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root = Node::whole(text).map_err(|error| {
        let problem = livehost_ron::syntax::problem(text, &error);
        invalid(path, text, vec![problem])
    })?;
    let mut findings = Findings::default();
    let reading = Reading { base, files };
    let config = Fields::read(
        &mut findings,
        String::new(),
        "Config",
        Some(root),
        |fields| reading.config(fields),
    );
    if findings.problems.is_empty() {
        Ok((config, findings.fields))
    } else {
        Err(invalid(path, text, findings.problems))
    }
}

/// What reading needs to know beside the text.
pub(super) struct Reading<'r> {
    /// Where relative paths start.
    pub(super) base: &'r Path,
    /// Whether files that are named must exist.
    pub(super) files: bool,
}

impl Reading<'_> {
    fn config(&self, fields: &mut Fields<'_, '_>) -> Config {
        let log = fields.section("log", "Log", log);
        let state = self.state(fields);
        let applications = self.applications(fields);
        let default_application = default_application(fields, &applications);
        let acceptors = acceptors(fields, &applications, self);
        Config {
            log,
            state,
            applications,
            default_application,
            acceptors,
            limits: fields.section("limits", "Limits", limits),
            base: self.base.to_owned(),
        }
    }

    fn state(&self, fields: &mut Fields<'_, '_>) -> PathBuf {
        const DEFAULT: &str = "state";
        let allowed = "the path of a folder";
        let Some(node) = fields.take("state", "\"state\"", allowed) else {
            return self.base.join(DEFAULT);
        };
        let text = node.scalar::<String>().filter(|text| !text.is_empty());
        let Some(text) = text else {
            let expected = "the path of a folder in quotes";
            fields.findings.expected(node, "state", expected);
            return self.base.join(DEFAULT);
        };
        let folder = self.base.join(text);
        if self.files && folder.exists() && !folder.is_dir() {
            let message = format!("expected a folder; found a file at {}", folder.display());
            fields.findings.problem(node.span(), "state", message);
        }
        folder
    }

    fn applications(&self, fields: &mut Fields<'_, '_>) -> BTreeMap<String, ApplicationConfig> {
        let mut applications = BTreeMap::new();
        let allowed = "{\"name\": (plugin: \"...\")}, at least one";
        let Some(node) = fields.require("applications", allowed) else {
            return applications;
        };
        let Some(entries) = node.entries() else {
            let expected = "a map, like {\"live\": (plugin: \"...\")}";
            fields.findings.expected(node, "applications", expected);
            return applications;
        };
        if entries.is_empty() {
            let expected = "at least one application";
            fields.findings.expected(node, "applications", expected);
        }
        // No alias may be the name of another application, earlier or later.
        let mut names: Vec<String> = entries.iter().filter_map(|(key, _)| key.scalar()).collect();
        for (key, value) in entries {
            let name: String = key.scalar().unwrap_or_default();
            let path = format!("applications.\"{}\"", name.escape_debug());
            if key.shape() != Shape::Text {
                let expected = "an application's name in quotes";
                fields.findings.expected(key, "applications", expected);
            } else if let Err(expected) = check_name(&name) {
                fields.findings.expected(key, "applications", expected);
            } else if applications.contains_key(&name) {
                let expected = "each application once";
                fields.findings.expected(key, "applications", expected);
            }
            let application =
                Fields::read(fields.findings, path, "Application", Some(value), |f| {
                    self.application(f, &mut names)
                });
            applications.insert(name, application);
        }
        applications
    }

    fn application(
        &self,
        fields: &mut Fields<'_, '_>,
        names: &mut Vec<String>,
    ) -> ApplicationConfig {
        ApplicationConfig {
            plugin: self.plugin(fields),
            aliases: aliases(fields, names),
            config: plugin_config(fields),
            on_error: on_error(fields),
            limits: fields.section("limits", "Limits", plugin_limits),
            http: fields.section("http", "Http", http),
            media: fields.section("media", "Media", media),
            shared_objects: fields.section("shared_objects", "SharedObjects", shared_objects),
            relays: relays(fields),
        }
    }

    fn plugin(&self, fields: &mut Fields<'_, '_>) -> PathBuf {
        let allowed = "the path of a .wasm component";
        let Some(node) = fields.require("plugin", allowed) else {
            return PathBuf::new();
        };
        let path = fields.path_of("plugin");
        let text: String = node.scalar().unwrap_or_default();
        if text.is_empty() {
            fields
                .findings
                .expected(node, &path, "the path of a .wasm component in quotes");
            return PathBuf::new();
        }
        let file = self.base.join(text);
        if self.files && !file.is_file() {
            let message = format!("expected a plugin's file; found none at {}", file.display());
            let help = "`make plugins` builds the plugins that ship, into target/plugins";
            let help = Some(help.to_owned());
            fields
                .findings
                .problem_with_help(node.span(), &path, message, help);
        }
        file
    }
}

/// What is wrong with an application's name. It is one segment of a URL.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        Err("a name of at least one character")
    } else if name.chars().count() > MAX_NAME {
        Err("a name of up to 255 characters")
    } else if name.contains(['/', '\\', '?', '#', '&']) {
        Err("a name without / \\ ? # &, which have a meaning in URLs")
    } else if name.contains(|c: char| c.is_control() || c.is_whitespace()) {
        Err("a name without spaces and control characters")
    } else {
        Ok(())
    }
}

fn log(fields: &mut Fields<'_, '_>) -> LogSettings {
    let default = LogSettings::default();
    let level = log_level(fields).unwrap_or(default.level);
    let formats = [("Text", LogFormat::Text), ("Json", LogFormat::Json)];
    LogSettings {
        level,
        format: fields.choice("format", default.format, &formats),
        stats: fields.duration("stats", default.stats, Duration::ZERO..=24 * HOUR),
    }
}

fn log_level(fields: &mut Fields<'_, '_>) -> Option<String> {
    let node = fields.take("level", "\"info\"", "a filter like `RUST_LOG`")?;
    let path = fields.path_of("level");
    let Some(level) = node.scalar::<String>() else {
        let expected = "a log filter in quotes, like \"info\"";
        fields.findings.expected(node, &path, expected);
        return None;
    };
    // The filter takes any word for a module that logs everything: a slip in
    // a level would silence the log.
    let slip = level.split(',').map(str::trim).find(|part| {
        !part.contains(['=', '[', ':']) && !LEVELS.contains(&part.to_lowercase().as_str())
    });
    if let Some(word) = slip {
        let message = format!(
            "expected a level ({}) or module=level; found \"{}\"",
            LEVELS.join(", "),
            word.escape_debug()
        );
        let help = suggest(word, &LEVELS);
        fields
            .findings
            .problem_with_help(node.span(), &path, message, help);
        return None;
    }
    if let Err(error) = EnvFilter::builder().parse(&level) {
        let message = format!(
            "expected a log filter, like \"info,livehost_hub=debug\"; found {}: {error}",
            node.describe()
        );
        fields.findings.problem(node.span(), &path, message);
        return None;
    }
    Some(level)
}

/// The plugin's own configuration as JSON text.
fn plugin_config(fields: &mut Fields<'_, '_>) -> String {
    const EMPTY: &str = "{}";
    let Some(node) = fields.take("config", EMPTY, "what the plugin documents") else {
        return EMPTY.to_owned();
    };
    // `()` is a struct without fields here, and nothing else makes sense.
    if node.shape() == Shape::Parens && node.fields().is_some_and(|fields| fields.is_empty()) {
        return EMPTY.to_owned();
    }
    let mut errors = Vec::new();
    let value = to_json(node, &mut errors);
    let path = fields.path_of("config");
    for error in errors {
        fields
            .findings
            .problem_with_help(error.node.span(), &path, error.message, error.help);
    }
    value.to_string()
}

/// One word for every question, or one for each.
fn on_error(fields: &mut Fields<'_, '_>) -> OnError {
    const NAME: &str = "on_error";
    const WORDS: [(&str, Fallback); 2] = [("Reject", Fallback::Reject), ("Allow", Fallback::Allow)];
    let allowed = "Reject or Allow, or (connect: Reject, publish: Reject, play: Allow, shared_object: Reject)";
    let Some(node) = fields.take(NAME, "Reject", allowed) else {
        return OnError::default();
    };
    let path = fields.path_of(NAME);
    match node.shape() {
        Shape::Parens | Shape::NamedParens("OnError") => {
            let each = |fields: &mut Fields<'_, '_>| OnError {
                connect: fields.choice("connect", Fallback::default(), &WORDS),
                publish: fields.choice("publish", Fallback::default(), &WORDS),
                play: fields.choice("play", Fallback::default(), &WORDS),
                shared_object: fields.choice("shared_object", Fallback::default(), &WORDS),
            };
            Fields::read(fields.findings, path, "OnError", Some(node), each)
        }
        _ => word(fields.findings, node, &path, &WORDS, allowed)
            .unwrap_or_default()
            .into(),
    }
}

fn plugin_limits(fields: &mut Fields<'_, '_>) -> PluginLimits {
    let default = PluginLimits::default();
    let limits = PluginLimits {
        max_instances: fields.number("instances", default.max_instances, 1..=1024),
        cpu: fields.duration("cpu", default.cpu, MS..=10 * SEC),
        wall: fields.duration("decision", default.wall, 10 * MS..=MIN),
        start_cpu: fields.duration("start_cpu", default.start_cpu, MS..=MIN),
        start: fields.duration("start", default.start, 10 * MS..=5 * MIN),
        drain: fields.duration("drain", default.drain, Duration::ZERO..=MIN),
        memory_bytes: fields.size("memory", default.memory_bytes, MIB..=4 * GIB),
        recycle_after_calls: fields.number(
            "recycle",
            default.recycle_after_calls,
            1..=1_000_000_000,
        ),
        transfer_bytes: fields.size("transfer", default.transfer_bytes, 64 * KIB..=256 * MIB),
        handoff_bytes: fields.size("handoff", default.handoff_bytes, 0..=64 * MIB),
        kv_bytes: fields.size("kv", default.kv_bytes, 0..=4 * GIB),
        timers: fields.number("timers", default.timers, 0..=100_000),
        event_queue: fields.number("events", default.event_queue, 1..=1_000_000),
        log_lines_per_second: fields.number("log_lines", default.log_lines_per_second, 0..=10_000),
        failures: fields.number("failures", default.failures, 1..=1000),
        failure_window: fields.duration("failure_window", default.failure_window, SEC..=HOUR),
        roll_back_within: fields.duration(
            "roll_back",
            default.roll_back_within,
            Duration::ZERO..=24 * HOUR,
        ),
    };
    at_most(fields, ("cpu", limits.cpu), ("decision", limits.wall));
    at_most(
        fields,
        ("start_cpu", limits.start_cpu),
        ("start", limits.start),
    );
    limits
}

/// Computing longer than the whole may take makes no sense.
fn at_most(fields: &mut Fields<'_, '_>, part: (&str, Duration), whole: (&str, Duration)) {
    if part.1 > whole.1 {
        let limit = format_duration(whole.1);
        let expected = format!("at most the {limit} that `{}` has", whole.0);
        fields.refuse(part.0, &expected, &format_duration(part.1));
    }
}

fn media(fields: &mut Fields<'_, '_>) -> MediaConfig {
    let default = MediaConfig::default();
    let joins = [
        ("Keyframe", Join::Keyframe),
        ("NextKeyframe", Join::NextKeyframe),
    ];
    MediaConfig {
        keyframe_cache: fields.size("keyframe_cache", default.keyframe_cache, 0..=GIB),
        join: fields.choice("join", default.join, &joins),
        queue_bytes: fields.size("queue_bytes", default.queue_bytes, 64 * KIB..=GIB),
        queue_time: fields.duration("queue_time", default.queue_time, 100 * MS..=5 * MIN),
        slow_close: fields.duration("slow_close", default.slow_close, SEC..=HOUR),
        gather: fields.duration("gather", default.gather, Duration::ZERO..=SEC),
        publisher_timeout: fields.duration(
            "publisher_timeout",
            default.publisher_timeout,
            SEC..=HOUR,
        ),
        wait_for_publisher: fields.duration(
            "wait_for_publisher",
            default.wait_for_publisher,
            Duration::ZERO..=24 * HOUR,
        ),
    }
}

fn limits(fields: &mut Fields<'_, '_>) -> ServerLimits {
    let default = ServerLimits::default();
    ServerLimits {
        connections: fields.number("connections", default.connections, 1..=1_000_000),
        connections_per_address: fields.number(
            "connections_per_address",
            default.connections_per_address,
            0..=1_000_000,
        ),
        ungranted_per_address: fields.number(
            "ungranted_per_address",
            default.ungranted_per_address,
            0..=1_000_000,
        ),
        handshake: fields.duration("handshake", default.handshake, 100 * MS..=5 * MIN),
        idle: fields.duration("idle", default.idle, 100 * MS..=24 * HOUR),
        streams_per_connection: fields.number(
            "streams_per_connection",
            default.streams_per_connection,
            1..=1024,
        ),
        // A message's length has 24 bits: RTMP 1.0 section 5.3.1.2.1.
        message: fields.size("message", default.message, 64 * KIB..=16 * MIB),
        call: fields.size("call", default.call, 64 * KIB..=16 * MIB),
        // 128 is what a chunk stream starts with: RTMP 1.0 section 5.4.1.
        // Clients exist that refuse more than 65536.
        chunk: fields.number("chunk", default.chunk, 128..=65_536),
        tunnel: fields.duration("tunnel", default.tunnel, SEC..=5 * MIN),
        drain: fields.duration("drain", default.drain, Duration::ZERO..=10 * MIN),
    }
}
