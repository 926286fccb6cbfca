//! Reads a configuration: from a file to the checked [`Config`].
//!
//! Flows in: a path, or text with the path it belongs to. Flows out: a
//! [`Config`], or a [`ConfigError`] with every problem and its place. The
//! defaults and ranges are in the tables of the settings (`livehost_settings`); what no
//! table can say is read here and in the files beside it, with its documentation.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use livehost_policy::{Fallback, OnError};
use livehost_ron::{
    FieldDoc, Problem, ProblemReport,
    json::to_json,
    node::{Node, NodeShape},
    reader::{Fields, Findings, word},
    units::format_duration,
};
use livehost_settings::{Setting, Settings as _, SettingsReader as _, words};

use super::{
    acceptors::acceptors,
    api::api,
    error::ConfigError,
    masked::masked,
    naming::{aliases, default_application},
    relay::relays,
    schema::{ApplicationConfig, Config, LogSettings, LogTarget, PluginLimits},
};

/// No configuration is longer, bytes; a device or a stream would never end.
pub(super) const MAX_FILE: u64 = 1 << 20;
/// First segments of URLs that HTTP has for itself: RTMPT's commands among them.
const RESERVED: [&str; 9] = [
    "api", "metrics", "console", "health", "open", "send", "idle", "close", "fcs",
];
/// Characters of an application name.
const MAX_NAME: usize = 255;

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
        api: (tokens: {"NAME": (sha256: "0000000000000000000000000000000000000000000000000000000000000000")}),
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
    ConfigError::Invalid(ProblemReport::new(path, text, problems))
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
    let context = FileContext { base, files };
    let config = Fields::read(
        &mut findings,
        String::new(),
        "Config",
        Some(root),
        |fields| context.config(fields, root),
    );
    if findings.problems.is_empty() {
        Ok((config, findings.fields))
    } else {
        Err(invalid(path, text, findings.problems))
    }
}

/// What reading needs to know beside the text.
pub(super) struct FileContext<'r> {
    /// Where relative paths start.
    pub(super) base: &'r Path,
    /// Whether files that are named must exist.
    pub(super) files: bool,
}

impl FileContext<'_> {
    fn config(&self, fields: &mut Fields<'_, '_>, root: Node<'_>) -> Config {
        let log = fields.section("log", "Log", |fields| self.log(fields));
        let decisions = fields.settings("decisions", "Decisions");
        let state = self.state(fields);
        let applications = self.applications(fields);
        let default_application = default_application(fields, &applications);
        let acceptors = acceptors(fields, &applications, self);
        Config {
            log,
            decisions,
            state,
            applications,
            default_application,
            acceptors,
            limits: fields.settings("limits", "Limits"),
            api: api(fields, self),
            metrics: fields.settings("metrics", "Metrics"),
            // What has no JSON form is a problem elsewhere.
            shown: masked(to_json(root, &mut Vec::new())),
            base: self.base.to_owned(),
        }
    }

    fn log(&self, fields: &mut Fields<'_, '_>) -> LogSettings {
        let log = LogSettings::read(fields);
        let path = self.base.join(&log.file);
        let folder = path.parent().unwrap_or(self.base);
        if self.files && log.to == LogTarget::File && !folder.is_dir() {
            let expected = format!("a file in a folder that is there ({})", folder.display());
            fields.refuse("file", &expected, &log.file);
        }
        log
    }

    fn state(&self, fields: &mut Fields<'_, '_>) -> PathBuf {
        const DEFAULT: &str = "state";
        let field = Setting::new("state", "What the server keeps across restarts.");
        let allowed = "the path of a folder";
        let Some(node) = fields.take(field, "\"state\"", allowed) else {
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
        let field = Setting::new("applications", "The applications by name.");
        let allowed = "{\"name\": (plugin: \"...\")}, at least one";
        let Some(node) = fields.require(field, allowed) else {
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
            if key.shape() != NodeShape::Text {
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
            http: fields.settings("http", "Http"),
            media: fields.settings("media", "Media"),
            shared_objects: fields.settings("shared_objects", "SharedObjects"),
            relays: relays(fields),
        }
    }

    fn plugin(&self, fields: &mut Fields<'_, '_>) -> PathBuf {
        let field = Setting::new(
            "plugin",
            "The component that decides. The same file may serve several applications.",
        );
        let Some(node) = fields.require(field, "the path of a .wasm component") else {
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
    } else if RESERVED.contains(&name) {
        Err(
            "a name that HTTP does not use: api, metrics, console, health, open, send, idle, \
             close and fcs are taken",
        )
    } else if name.contains(|c: char| c.is_control() || c.is_whitespace()) {
        Err("a name without spaces and control characters")
    } else {
        Ok(())
    }
}

/// The plugin's own configuration as JSON text.
fn plugin_config(fields: &mut Fields<'_, '_>) -> String {
    const EMPTY: &str = "{}";
    let field = Setting::new("config", "The plugin's own settings; see below.");
    let Some(node) = fields.take(field, EMPTY, "what the plugin documents") else {
        return EMPTY.to_owned();
    };
    // `()` is a struct without fields here, and nothing else makes sense.
    if node.shape() == NodeShape::Parens && node.fields().is_some_and(|fields| fields.is_empty()) {
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
    const WORDS: &[(&str, Fallback)] = words!(Fallback: Reject, Allow);
    let field = Setting::new(
        "on_error",
        "What clients get when the plugin is still waiting at the end of \
         `limits.decision`: one answer to every question, or one to each; one that is \
         left out is Reject. See [below](#when-there-is-no-decision).",
    );
    let allowed = "Reject or Allow, or (connect: Reject, publish: Reject, play: Allow, shared_object: Reject)";
    let Some(node) = fields.take(field, "Reject", allowed) else {
        return OnError::default();
    };
    let path = fields.path_of(field.name);
    match node.shape() {
        NodeShape::Parens | NodeShape::NamedParens("OnError") => {
            let each = |fields: &mut Fields<'_, '_>| OnError {
                connect: fields.choice("connect", Fallback::default(), WORDS),
                publish: fields.choice("publish", Fallback::default(), WORDS),
                play: fields.choice("play", Fallback::default(), WORDS),
                shared_object: fields.choice("shared_object", Fallback::default(), WORDS),
            };
            Fields::read(fields.findings, path, "OnError", Some(node), each)
        }
        _ => word(fields.findings, node, &path, WORDS, allowed)
            .unwrap_or_default()
            .into(),
    }
}

fn plugin_limits(fields: &mut Fields<'_, '_>) -> PluginLimits {
    let limits = PluginLimits::read(fields);
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
