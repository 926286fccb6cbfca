//! Reads a file of cases.
//!
//! Flows in: a path, or text. Flows out: [`Cases`], or a report of every
//! problem.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use livehost_plugin::KvContents;
use livehost_policy::{Client, Pairs, StreamInfo};
use livehost_ron::json::to_json;
use livehost_ron::node::{self, Node};
use livehost_ron::reader::{Fields, Findings, SettingsReader as _, suggest};
use livehost_ron::{Problem, ProblemReport, syntax};

use super::pattern::{PairsWant, TextPattern, TextWant, Want};
use super::shapes::{EventShape, Field, FieldKind};
use super::{Case, Cases, CasesError, step};

/// A longer file is not read, in bytes.
const MAX_FILE: u64 = 4 << 20;
/// Where the clock stands unless a case says otherwise: 2026-01-01 00:00 UTC.
const NOW: u64 = 1_767_225_600;

impl Cases {
    /// Reads and checks the file at `path`.
    pub(crate) fn load(path: &Path) -> Result<Self, CasesError> {
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
        match read {
            Ok(_) => Self::parse(path, &text),
            Err(source) => Err(CasesError::Unreadable {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Checks `text`, the content of the file called `path` in messages.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, CasesError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let invalid =
            |problems: Vec<Problem>| CasesError::Invalid(ProblemReport::new(path, text, problems));
        let root = Node::whole(text).map_err(|e| invalid(vec![syntax::problem(text, &e)]))?;
        let mut findings = Findings::default();
        let cases = Fields::read(
            &mut findings,
            String::new(),
            "Cases",
            Some(root),
            |fields| file(fields, text),
        );
        if findings.problems.is_empty() {
            let file = path.to_owned();
            Ok(Self { file, cases })
        } else {
            Err(invalid(findings.problems))
        }
    }
}

/// What all cases of a file have unless they say otherwise.
struct Common<'a> {
    text: &'a str,
    app: String,
    config: Option<Node<'a>>,
    now: u64,
}

fn file(fields: &mut Fields<'_, '_>, text: &str) -> Vec<Case> {
    let common = Common {
        text,
        app: string(fields, "app", "live"),
        config: fields.take("config", "{}", "what the plugin documents"),
        now: fields.number("now", NOW, 0..=u64::MAX),
    };
    let Some(node) = fields.require("cases", "[(name: \"...\", steps: [...])]") else {
        return Vec::new();
    };
    let cases = items(fields.findings, node, "cases");
    if cases.is_empty() {
        fields.findings.expected(node, "cases", "at least one case");
    }
    let mut seen: Vec<String> = Vec::new();
    let cases = cases.into_iter().enumerate().map(|(index, node)| {
        let path = format!("cases[{index}]");
        let line = line_of(text, node);
        let case = Fields::read(
            fields.findings,
            path.clone(),
            "Case",
            Some(node),
            |fields| case(fields, &common, line),
        );
        if seen.contains(&case.name) {
            let expected = "another name for each case";
            fields.findings.expected(node, &path, expected);
        }
        seen.push(case.name.clone());
        case
    });
    cases.collect()
}

fn case(fields: &mut Fields<'_, '_>, common: &Common<'_>, line: usize) -> Case {
    let name = match fields.require("name", "what the case shows, in quotes") {
        Some(node) => text_of(fields.findings, node, "name"),
        None => String::new(),
    };
    let app = string(fields, "app", &common.app);
    let own = fields.take("config", "as the file says", "what the plugin documents");
    let config = config(fields, own.or(common.config));
    let now = fields.number("now", common.now, 0..=u64::MAX);
    let client = fields.section("client", "Client", client);
    let streams = each(fields, "streams", |fields| stream(fields, &app, &client));
    let clients = each(fields, "clients", self::client);
    let refused = fields.take("refused", "not at all", "the text of the refusal");
    let path = fields.path_of("refused");
    let refused = refused.map(|node| text_want(fields.findings, node, &path));
    let on_start = fields.section("on_start", "OnStart", step::outside);
    let steps = fields.take("steps", "[]", "what happens, in order");
    let path = fields.path_of("steps");
    let steps = match steps {
        Some(node) => items(fields.findings, node, &path)
            .into_iter()
            .enumerate()
            .filter_map(|(index, node)| {
                let line = line_of(common.text, node);
                let path = format!("{path}[{index}]");
                step::step(fields.findings, node, path, line, &app, &client)
            })
            .collect(),
        None => Vec::new(),
    };
    Case {
        name,
        line,
        config,
        now: Duration::from_secs(now),
        kv: kv(fields),
        streams,
        clients,
        refused,
        on_start,
        steps,
        kv_after: fields
            .take("kv_after", "any", "{\"key\": pattern}")
            .map(|node| {
                let path = fields.path_of("kv_after");
                pairs_want(fields.findings, node, &path)
            }),
        timers_after: fields
            .take("timers_after", "any", "keys of timers, in order")
            .map(|node| {
                let path = fields.path_of("timers_after");
                let keys = items(fields.findings, node, &path);
                let keys = keys.into_iter();
                keys.map(|key| text_of(fields.findings, key, &path))
                    .collect()
            }),
        app,
    }
}

fn config(fields: &mut Fields<'_, '_>, node: Option<Node<'_>>) -> String {
    let empty = |node: &Node<'_>| {
        node.shape() == node::NodeShape::Parens && node.fields().is_some_and(|f| f.is_empty())
    };
    let Some(node) = node.filter(|node| !empty(node)) else {
        return "{}".to_owned();
    };
    let mut errors = Vec::new();
    let value = to_json(node, &mut errors);
    let path = fields.path_of("config");
    for error in errors {
        let span = error.node.span();
        fields
            .findings
            .problem_with_help(span, &path, error.message, error.help);
    }
    value.to_string()
}

fn kv(fields: &mut Fields<'_, '_>) -> KvContents {
    let Some(node) = fields.take("kv", "{}", "{\"key\": \"value\"}") else {
        return KvContents::new();
    };
    let path = fields.path_of("kv");
    let pairs = entries(fields.findings, node, &path);
    let mut contents = KvContents::new();
    for (key, value) in pairs {
        match text_want(fields.findings, value, &path) {
            TextWant::Is(bytes) => {
                contents.insert(key, bytes);
            }
            TextWant::Json(json) => {
                contents.insert(key, json.to_string().into_bytes());
            }
            TextWant::Contains(_) | TextWant::Absent => {
                fields.findings.expected(value, &path, "a text in quotes");
            }
        }
    }
    contents
}

/// The client of a case or a step; without it the one that examples use.
pub(super) fn client(fields: &mut Fields<'_, '_>) -> Client {
    Client {
        conn: fields.number("conn", 7, 0..=u64::MAX),
        remote: string(fields, "remote", "203.0.113.7:51234"),
        protocol: string(fields, "protocol", "rtmp"),
        tls_name: optional(fields, "tls_name"),
        attrs: pairs(fields, "attrs"),
    }
}

/// A stream that is, or was, live.
pub(super) fn stream(fields: &mut Fields<'_, '_>, app: &str, client: &Client) -> StreamInfo {
    StreamInfo {
        id: fields.number("id", 1, 0..=u64::MAX),
        app: app.to_owned(),
        instance: optional(fields, "instance"),
        name: string(fields, "name", "cam1"),
        publisher: publisher(fields, client),
        video: optional(fields, "video"),
        audio: optional(fields, "audio"),
        started_unix_ms: fields.number("started_unix_ms", 0, 0..=u64::MAX),
        bytes_in: fields.number("bytes_in", 0, 0..=u64::MAX),
        idle_ms: fields.number("idle_ms", 0, 0..=u64::MAX),
        kbps: fields.number("kbps", 0, 0..=u32::MAX),
        players: fields.number("players", 0, 0..=u32::MAX),
        extra: pairs(fields, "extra"),
    }
}

fn publisher(fields: &mut Fields<'_, '_>, default: &Client) -> Client {
    match fields.take("publisher", "the case's client", "(remote: \"...\")") {
        Some(node) => {
            let path = fields.path_of("publisher");
            Fields::read(fields.findings, path, "Client", Some(node), client)
        }
        None => default.clone(),
    }
}

/// The structs of a list.
fn each<T>(
    fields: &mut Fields<'_, '_>,
    name: &'static str,
    read: impl Fn(&mut Fields<'_, '_>) -> T,
) -> Vec<T> {
    let Some(node) = fields.take(name, "[]", "a list of structs") else {
        return Vec::new();
    };
    let path = fields.path_of(name);
    let list = items(fields.findings, node, &path).into_iter().enumerate();
    list.map(|(index, node)| {
        let path = format!("{path}[{index}]");
        Fields::read(fields.findings, path, "Item", Some(node), &read)
    })
    .collect()
}

/// The line of the file that a value starts on, from 1.
pub(super) fn line_of(text: &str, node: Node<'_>) -> usize {
    let before = text.get(..node.span().start).unwrap_or_default();
    before.matches('\n').count().saturating_add(1)
}

pub(super) fn items<'a>(findings: &mut Findings, node: Node<'a>, path: &str) -> Vec<Node<'a>> {
    node.items().unwrap_or_else(|| {
        findings.expected(node, path, "a list, like [...]");
        Vec::new()
    })
}

/// The entries of a map whose keys are texts.
pub(super) fn entries<'a>(
    findings: &mut Findings,
    node: Node<'a>,
    path: &str,
) -> Vec<(String, Node<'a>)> {
    let Some(entries) = node.entries() else {
        findings.expected(node, path, "a map, like {\"key\": \"value\"}");
        return Vec::new();
    };
    let entries = entries.into_iter();
    entries
        .map(|(key, value)| (text_of(findings, key, path), value))
        .collect()
}

pub(super) fn text_of(findings: &mut Findings, node: Node<'_>, path: &str) -> String {
    let text = match node.shape() {
        node::NodeShape::Text => node.scalar(),
        _ => None,
    };
    text.unwrap_or_else(|| {
        findings.expected(node, path, "a text in quotes");
        String::new()
    })
}

pub(super) fn string(fields: &mut Fields<'_, '_>, name: &'static str, default: &str) -> String {
    match fields.take(name, &format!("{default:?}"), "a text") {
        Some(node) => {
            let path = fields.path_of(name);
            text_of(fields.findings, node, &path)
        }
        None => default.to_owned(),
    }
}

pub(super) fn optional(fields: &mut Fields<'_, '_>, name: &'static str) -> Option<String> {
    let node = fields.take(name, "None", "a text")?;
    if node.shape() == node::NodeShape::Word("None") {
        return None;
    }
    let path = fields.path_of(name);
    Some(text_of(fields.findings, unwrapped(node), &path))
}

pub(super) fn pairs(fields: &mut Fields<'_, '_>, name: &'static str) -> Pairs {
    let Some(node) = fields.take(name, "{}", "{\"key\": \"value\"}") else {
        return Vec::new();
    };
    let path = fields.path_of(name);
    let entries = entries(fields.findings, node, &path).into_iter();
    entries
        .map(|(key, value)| (key, text_of(fields.findings, value, &path)))
        .collect()
}

/// The value in `Some(value)`; any other value as it is.
fn unwrapped(node: Node<'_>) -> Node<'_> {
    if node.shape() == node::NodeShape::NamedParens("Some")
        && let Some([value]) = node.body().items().as_deref()
    {
        return *value;
    }
    node
}

/// What a text should be.
pub(super) fn text_want(findings: &mut Findings, node: Node<'_>, path: &str) -> TextWant {
    let body = || match node.body().items().as_deref() {
        Some([value]) => Some(*value),
        _ => None,
    };
    match (node.shape(), body()) {
        (node::NodeShape::Word("None"), _) => TextWant::Absent,
        (node::NodeShape::Bytes, _) => match ron::from_str::<ron::Value>(node.text()) {
            Ok(ron::Value::Bytes(bytes)) => TextWant::Is(bytes),
            _ => {
                findings.expected(node, path, "bytes, like b\"...\"");
                TextWant::Absent
            }
        },
        (node::NodeShape::NamedParens("Contains"), Some(text)) => {
            TextWant::Contains(text_of(findings, text, path))
        }
        (node::NodeShape::NamedParens("Json"), Some(value)) => {
            let mut errors = Vec::new();
            let json = to_json(value, &mut errors);
            for error in errors {
                let span = error.node.span();
                findings.problem_with_help(span, path, error.message, error.help);
            }
            TextWant::Json(json)
        }
        (node::NodeShape::Text, _) => TextWant::Is(text_of(findings, node, path).into_bytes()),
        _ => {
            let expected = "a text in quotes, bytes, None, Contains(\"...\") or Json(...)";
            findings.expected(node, path, expected);
            TextWant::Absent
        }
    }
}

/// The pattern of the field `name`, if it is there.
pub(super) fn wanted(
    fields: &mut Fields<'_, '_>,
    name: &'static str,
    kind: FieldKind,
) -> Option<Want> {
    let node = fields.take(name, "any", "a pattern")?;
    let path = fields.path_of(name);
    Some(want(fields.findings, node, &path, kind))
}

fn want(findings: &mut Findings, node: Node<'_>, path: &str, kind: FieldKind) -> Want {
    let node = unwrapped(node);
    if node.shape() == node::NodeShape::Word("None") {
        return Want::Nothing;
    }
    match kind {
        FieldKind::Text => Want::Text(text_want(findings, node, path)),
        FieldKind::Number => Want::Number(node.scalar().unwrap_or_else(|| {
            findings.expected(node, path, "a whole number");
            0
        })),
        FieldKind::Word(words) => {
            let found = words
                .iter()
                .find(|word| node.shape() == node::NodeShape::Word(word));
            found.map_or_else(
                || {
                    findings.expected(node, path, &words.join(" or "));
                    Want::Nothing
                },
                |word| Want::Word(word),
            )
        }
        FieldKind::Pairs => Want::Pairs(pairs_want(findings, node, path)),
        FieldKind::List => {
            let items = items(findings, node, path).into_iter();
            Want::List(items.map(|item| text_want(findings, item, path)).collect())
        }
        FieldKind::Record(known) => {
            let path = path.to_owned();
            let read = |fields: &mut Fields<'_, '_>| wants(fields, known);
            Want::Record(Fields::read(findings, path, "Recording", Some(node), read))
        }
        FieldKind::Values => Want::Values(step::values(findings, node, path)),
    }
}

fn pairs_want(findings: &mut Findings, node: Node<'_>, path: &str) -> PairsWant {
    let entries = entries(findings, node, path).into_iter();
    PairsWant(
        entries
            .map(|(key, value)| (key, text_want(findings, value, path)))
            .collect(),
    )
}

pub(super) fn wants(fields: &mut Fields<'_, '_>, known: &[Field]) -> Vec<(&'static str, Want)> {
    let known = known.iter();
    known
        .filter_map(|field| Some((field.name, wanted(fields, field.name, field.kind)?)))
        .collect()
}

/// One of several shapes: `Name`, `Name(value)` or `Name(field: pattern)`.
pub(super) fn pattern(
    findings: &mut Findings,
    node: Node<'_>,
    path: &str,
    shapes: &[EventShape],
) -> Option<TextPattern> {
    let name = match node.shape() {
        node::NodeShape::Word(name) | node::NodeShape::NamedParens(name) => Some(name),
        _ => None,
    };
    let Some(shape) = shapes.iter().find(|shape| Some(shape.name) == name) else {
        let names: Vec<_> = shapes.iter().map(|shape| shape.name).collect();
        let expected = names.join(" or ");
        let message = format!("expected {expected}; found {}", node.describe());
        let help = name.and_then(|name| suggest(name, &names));
        findings.problem_with_help(node.span(), path, message, help);
        return None;
    };
    let bare = matches!(node.shape(), node::NodeShape::Word(_));
    let fields = match shape.fields {
        _ if bare => Vec::new(),
        [only] if only.name.is_empty() => match node.body().items().as_deref() {
            Some([value]) => vec![("", want(findings, *value, path, only.kind))],
            _ => {
                let expected = format!("{}(...) with one value", shape.name);
                findings.expected(node, path, &expected);
                Vec::new()
            }
        },
        known => {
            let read = |fields: &mut Fields<'_, '_>| wants(fields, known);
            Fields::read(findings, path.to_owned(), shape.name, Some(node), read)
        }
    };
    let variant = shape.name;
    Some(TextPattern { variant, fields })
}
