//! What a plugin says about its settings, shown at their place in the file.
//!
//! Flows in: the file, and a refusal of `configure` that begins with the path
//! of a field (`users.viewer: ...`, as the SDK says it). Flows out: a report
//! like those of the file's own problems. The plugin got JSON: where that was
//! made of is found again by the names along the path. A place in that JSON, as
//! serde_json says it, is such a path, too.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use livehost_ron::json::to_json;
use livehost_ron::node::{Node, NodeShape};
use livehost_ron::{Problem, ProblemReport};
use serde::Deserialize as _;

use super::error::ConfigError;
use super::load::MAX_FILE;

/// The place in `file` that the application's plugin refuses; none if the file
/// has changed since the plugin got `json` out of it.
pub(crate) fn refused(file: &Path, app: &str, json: &str, refusal: &str) -> Option<ConfigError> {
    let mut text = String::new();
    let opened = File::open(file).ok()?;
    opened.take(MAX_FILE).read_to_string(&mut text).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let problem = find(text, app, json, refusal)?;
    let report = ProblemReport::new(file, text, vec![problem]);
    Some(ConfigError::Invalid(report))
}

fn find(text: &str, app: &str, json: &str, refusal: &str) -> Option<Problem> {
    let whole = Node::whole(text).ok()?;
    let (_, applications) = entry(whole, "applications")?;
    let (_, application) = entry(applications, app)?;
    let field = format!("applications.{app:?}.config");
    // The prefix that the SDK has.
    let refusal = refusal.strip_prefix("config").unwrap_or(refusal);
    let refusal = refusal.trim_start_matches([':', '.', ' ']);
    let pointed = of_json(json, refusal);
    let refusal = pointed.as_deref().unwrap_or(refusal);
    let Some((_, config)) = entry(application, "config") else {
        return Some(Problem {
            span: start(application),
            field,
            message: refusal.to_owned(),
            help: None,
        });
    };
    let written = match is_empty(config) {
        true => "{}".to_owned(),
        false => to_json(config, &mut Vec::new()).to_string(),
    };
    (written == json).then(|| {
        let place = follow(config, refusal);
        Problem {
            field: match place.path {
                "" => field,
                path if path.starts_with('[') => format!("{field}{path}"),
                path => format!("{field}.{path}"),
            },
            span: place.span,
            message: place.message.to_owned(),
            help: None,
        }
    })
}

/// A refusal with a place in the JSON, which nobody wrote, with a path instead.
fn of_json(json: &str, refusal: &str) -> Option<String> {
    let split = refusal.rsplit_once(" at line ");
    let (what, place) = split.or_else(|| refusal.rsplit_once(" (line "))?;
    let mut numbers = place
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse::<usize>().ok());
    let (Some(1), Some(column)) = (numbers.next(), numbers.next()) else {
        return None;
    };
    // What is read up to there ends in the middle of what is wrong.
    let end = json.floor_char_boundary(column.saturating_sub(1));
    let read = json.get(..end)?.trim_end_matches(['+', '-', '.', 'e', 'E']);
    let read = read.trim_end_matches(|c: char| c.is_ascii_digit());
    let mut track = serde_path_to_error::Track::new();
    let mut reader = serde_json::Deserializer::from_str(read);
    let reader = serde_path_to_error::Deserializer::new(&mut reader, &mut track);
    let cut = serde_json::Value::deserialize(reader);
    if cut.is_ok() {
        return None;
    }
    let path = track.path().to_string();
    // It ends in the middle of a name, which serde says between backticks.
    let path = match (path.strip_suffix('?'), what.split('`').nth(1)) {
        (Some(parent), Some(name)) => format!("{parent}{name}"),
        (Some(parent), None) => parent.trim_end_matches('.').to_owned(),
        (None, _) => path,
    };
    Some(match path.as_str() {
        "." | "" => what.to_owned(),
        path => format!("{path}: {what}"),
    })
}

/// `()`, which a plugin without settings gets as `{}`.
fn is_empty(node: Node<'_>) -> bool {
    node.shape() == NodeShape::Parens && node.fields().is_some_and(|fields| fields.is_empty())
}

/// Where a refusal points, and what is left of it.
struct SettingPlace<'t> {
    span: Range<usize>,
    path: &'t str,
    message: &'t str,
}

/// Goes from `node` along the path that `refusal` begins with, as far as the
/// file has it. Names are compared with those that are there, since a name may
/// hold dots and colons.
fn follow<'t>(mut node: Node<'_>, refusal: &'t str) -> SettingPlace<'t> {
    let mut rest = refusal;
    let mut key: Option<Node<'_>> = None;
    while let Some((name, value, after)) = step(node, rest) {
        (key, node, rest) = (name, value, after);
    }
    node = in_some(node);
    // What the plugin has beyond the file: a default, or a name of its own.
    let told = refusal.len().saturating_sub(rest.len());
    let more = match rest.find(": ") {
        Some(end) if told > 0 && !rest.get(..end).is_some_and(|path| path.contains(' ')) => end,
        _ => 0,
    };
    let (path, message) = refusal
        .split_at_checked(told.saturating_add(more))
        .unwrap_or(("", refusal));
    let message = message.trim_start_matches([':', ' ']);
    // A name that nobody knows is itself what is wrong.
    let is_unknown = message.starts_with("unknown ") || message.starts_with("duplicate ");
    let span = match key.filter(|_| is_unknown && more == 0) {
        Some(key) => key.span(),
        None if matches!(
            node.shape(),
            NodeShape::Parens | NodeShape::Map | NodeShape::List
        ) =>
        {
            start(node)
        }
        None => node.span(),
    };
    SettingPlace {
        span,
        path,
        message,
    }
}

/// What `Some(...)` is about.
fn in_some(node: Node<'_>) -> Node<'_> {
    match (node.shape(), node.body().items().as_deref()) {
        (NodeShape::NamedParens("Some"), Some([value])) => in_some(*value),
        _ => node,
    }
}

/// One step of a path: the key, if it has one, the value, and what follows.
fn step<'a, 't>(node: Node<'a>, path: &'t str) -> Option<(Option<Node<'a>>, Node<'a>, &'t str)> {
    let node = in_some(node);
    if let Some(rest) = path.strip_prefix('[') {
        let (index, rest) = rest.split_once(']')?;
        let value = *node.items()?.get(index.parse::<usize>().ok()?)?;
        return Some((None, value, rest));
    }
    let path = path.strip_prefix('.').unwrap_or(path);
    let longest = entries(node).into_iter().filter_map(|(name, key, value)| {
        let (start, rest) = path.split_at_checked(name.len())?;
        let is_whole = rest.is_empty() || rest.starts_with(['.', '[', ':']);
        (start.eq_ignore_ascii_case(&name) && is_whole).then_some((Some(key), value, rest))
    });
    longest.min_by_key(|(_, _, rest)| rest.len())
}

/// The named parts of a struct, a map, or an enum's variant.
fn entries<'a>(node: Node<'a>) -> Vec<(String, Node<'a>, Node<'a>)> {
    let named = |(key, value): (Node<'a>, Node<'a>)| {
        let name = match key.shape() {
            NodeShape::Text => key.scalar().unwrap_or_default(),
            _ => key.text().trim_start_matches("r#").to_owned(),
        };
        (name, key, value)
    };
    match node.shape() {
        NodeShape::Parens => node.fields(),
        NodeShape::Map => node.entries(),
        NodeShape::NamedParens(name) => {
            let body = node.body();
            let value = match body.items().as_deref() {
                Some([value]) if body.fields().is_none() => *value,
                _ => body,
            };
            return vec![(name.to_owned(), node, value)];
        }
        _ => None,
    }
    .unwrap_or_default()
    .into_iter()
    .map(named)
    .collect()
}

fn entry<'a>(node: Node<'a>, wanted: &str) -> Option<(Node<'a>, Node<'a>)> {
    let node = match node.shape() {
        // `Config(...)`, `Application(...)`
        NodeShape::NamedParens(_) => node.body(),
        _ => node,
    };
    let mut entries = entries(node).into_iter();
    let (_, key, value) = entries.find(|(name, _, _)| name == wanted)?;
    Some((key, value))
}

/// A struct may be long: what it lacks is shown at its first character.
fn start(node: Node<'_>) -> Range<usize> {
    let start = node.span().start;
    start..start.saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use livehost_telemetry::secrets::without_settings;

    const FILE: &str = r#"(
    applications: {
        "live": (
            plugin: "a.wasm",
            config: (
                publish: { "keys": ["k"] },
                users: { "ann": 7, "ann.lee": "x" },
                rules: [
                    (then: "allow"),
                    (match: (ip: "10.0.0.0/99"), then: Allow(nmae: "x")),
                ],
                limit: Some(5),
            ),
        ),
        "none": (plugin: "a.wasm"),
        "empty": (plugin: "a.wasm", config: ()),
    },
)"#;

    fn shown(app: &str, json: &str, refusal: &str) -> Option<(String, String)> {
        let problem = find(FILE, app, json, refusal)?;
        let place = FILE.get(problem.span)?.to_owned();
        let field = problem.field.replace("applications.", "");
        Some((place, format!("{field}: {}", problem.message)))
    }

    const JSON: &str = r#"{"limit":5,"publish":{"keys":["k"]},"rules":[{"then":"allow"},{"match":{"ip":"10.0.0.0/99"},"then":{"Allow":{"nmae":"x"}}}],"users":{"ann":7,"ann.lee":"x"}}"#;

    fn live(refusal: &str) -> (String, String) {
        shown("live", JSON, refusal).expect("a place")
    }

    #[test]
    fn a_refusal_is_shown_where_the_operator_wrote_it() {
        for (refusal, place, message) in [
            (
                "config: users.ann: invalid type",
                "7",
                ".users.ann: invalid type",
            ),
            // Names may hold what paths are made of.
            (
                "users.ann.lee: is short",
                "\"x\"",
                ".users.ann.lee: is short",
            ),
            (
                "config: publish.keys[0]: is short",
                "\"k\"",
                ".publish.keys[0]: is short",
            ),
            (
                "config: publish.key: is missing",
                "{",
                ".publish.key: is missing",
            ),
            (
                "config: publish: unknown field `publish`",
                "publish",
                ".publish: unknown field `publish`",
            ),
            (
                "config: rules[1].match.ip: expected",
                "\"10.0.0.0/99\"",
                ".rules[1].match.ip: expected",
            ),
            (
                "config: rules[1].then.allow.nmae: unknown field",
                "nmae",
                ".rules[1].then.allow.nmae: unknown field",
            ),
            ("config: rules[9].match: no", "[", ".rules[9].match: no"),
            ("config.limit: too much", "5", ".limit: too much"),
            // Nothing of it is a path: all of the settings.
            (
                "config: missing field `play`",
                "(",
                ": missing field `play`",
            ),
            ("no: really", "(", ": no: really"),
            ("", "(", ": "),
        ] {
            let expected = (place.to_owned(), format!("\"live\".config{message}"));
            assert_eq!(live(refusal), expected, "{refusal}");
        }
    }

    /// As plugins have it that read JSON without the SDK.
    #[test]
    fn a_place_in_the_json_is_one_in_the_file() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "read for its errors")]
        struct PluginSettings {
            limit: u8,
            publish: PluginPublish,
            rules: Vec<serde_json::Value>,
            users: std::collections::BTreeMap<String, String>,
        }
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "read for its errors")]
        struct PluginPublish {
            key: Option<String>,
        }
        let error = serde_json::from_str::<PluginSettings>(JSON)
            .unwrap_err()
            .to_string();
        assert!(error.contains("at line 1 column"), "{error}");
        let (place, message) = live(&error);
        assert_eq!(place, "\"keys\"");
        let expected = "\"live\".config.publish.keys: unknown field `keys`, expected `key`";
        assert_eq!(message, expected);

        let json = JSON.replace("keys", "key");
        let json = json.replace("[\"k\"]", "null");
        let error = serde_json::from_str::<PluginSettings>(&json)
            .unwrap_err()
            .to_string();
        // The same place in the JSON that the plugin got.
        let column = JSON.find("7").unwrap() + 1;
        let (what, _) = error.split_once(" at line ").unwrap();
        let (place, message) = live(&format!("{what} (line 1, column {column})"));
        assert_eq!(place, "7");
        assert!(
            message.starts_with("\"live\".config.users.ann: invalid type"),
            "{message}"
        );
    }

    #[test]
    fn the_log_has_none_of_the_settings() {
        let file = FILE.replace("[\"k\"]", "\"s3cretKey\"");
        let json = JSON.replace("[\"k\"]", "\"s3cretKey\"");
        let refusal =
            "config: publish.keys: invalid type: string \"s3cretKey\", expected a sequence";
        let problem = find(&file, "live", &json, refusal).expect("a place");
        let error =
            ConfigError::Invalid(ProblemReport::new(Path::new("f.ron"), &file, vec![problem]));
        let lines = error.lines().join("\n");
        assert!(!lines.contains("s3cret") && !error.brief().contains("s3cret"));
        let said = ".config.publish.keys: invalid type: string \"***\", expected a sequence";
        assert!(error.brief().ends_with(said), "{}", error.brief());
        assert!(error.to_string().contains("s3cretKey"), "{error}");
        // Without a place in the file, too.
        let expected = refusal.replace("s3cretKey", "***");
        assert_eq!(without_settings(&json, refusal), expected);
        let refusal = "config: publish: unknown field `keys`, expected `key`";
        assert_eq!(without_settings(&json, refusal), refusal);
    }

    #[test]
    fn settings_that_are_not_there_have_a_place() {
        let lacks = "config: missing field `publish`";
        let (place, message) = shown("none", "{}", lacks).expect("the application");
        assert_eq!(
            (place.as_str(), message.as_str()),
            ("(", "\"none\".config: missing field `publish`")
        );
        let (place, _) = shown("empty", "{}", lacks).expect("the empty struct");
        assert_eq!(place, "(");
    }

    #[test]
    fn a_file_that_has_changed_has_no_place() {
        assert_eq!(shown("live", r#"{"other":1}"#, "other: no"), None);
        assert_eq!(shown("gone", "{}", "other: no"), None);
    }
}
