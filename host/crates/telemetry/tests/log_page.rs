//! docs/logs.md, held to the source: each line that is a warning or an error has its
//! row, and each row its line, with the level, the fields and the quota that the source
//! has.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a macro call in the source writes.
#[derive(Debug, PartialEq, Eq)]
struct LogCall {
    level: String,
    message: String,
    fields: Vec<String>,
    /// It passes a quota.
    is_limited: bool,
}

/// A line: level, message, and the crate that writes it.
type Key = (String, String, String);

/// What is known of all calls that write it.
#[derive(Debug)]
struct Line {
    fields: Vec<String>,
    /// Each of them is.
    is_limited: bool,
}

fn host() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The lines of the server.
fn lines() -> BTreeMap<Key, Line> {
    let crates = host().join("crates");
    let mut folders = vec![("livehost".to_owned(), host().join("src"))];
    for entry in fs::read_dir(crates).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // Tools for us, which no server has in it.
        if !["bench", "counting", "instructions"].contains(&&*name) {
            let target = format!("livehost_{}", name.replace('-', "_"));
            folders.push((target, path.join("src")));
        }
    }
    folders.sort();
    let mut lines = BTreeMap::new();
    for (name, folder) in folders {
        let mut files = Vec::new();
        sources(&folder, &mut files);
        for file in files {
            for call in calls(&fs::read_to_string(file).unwrap()) {
                let line = lines.entry((call.level, call.message, name.clone()));
                let line = line.or_insert_with(|| Line {
                    fields: Vec::new(),
                    is_limited: true,
                });
                line.is_limited &= call.is_limited;
                for field in call.fields {
                    if !line.fields.contains(&field) {
                        line.fields.push(field);
                    }
                }
            }
        }
    }
    lines
}

/// The files of `folder` without those of tests, in order.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_stem().unwrap();
        if name == "tests" {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The calls in a file's text, without those of its tests.
fn calls(text: &str) -> Vec<LogCall> {
    const MACROS: [(&str, &str); 4] = [
        ("error!(", "ERROR"),
        ("warn!(", "WARN"),
        ("info!(", "INFO"),
        ("limited!(", ""),
    ];
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some((begin, name, level)) = MACROS
        .iter()
        .filter_map(|(name, level)| Some((text[at..].find(name)? + at, name, level)))
        .min()
    {
        at = begin + name.len();
        let line = text[..begin].rsplit('\n').next().unwrap();
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        if line.contains("//") || line.ends_with(is_name) {
            continue;
        }
        let mut arguments = arguments(&text[at..]);
        let is_limited = level.is_empty();
        let level = match is_limited {
            true => arguments.drain(..2).next().unwrap(),
            false => (*level).to_owned(),
        };
        // Of lines that are written rarely only the page knows.
        if level == "DEBUG" || level.starts_with('$') {
            continue;
        }
        let message = arguments.iter().position(|part| part.starts_with('"'));
        let message = message.unwrap_or_else(|| panic!("no message: {arguments:?}"));
        let fields = arguments[..message].iter().map(|field| field_name(field));
        found.push(LogCall {
            level,
            fields: fields.collect(),
            message: literal(&arguments[message]),
            is_limited,
        });
    }
    found
}

/// What stands between commas, until the parenthesis that closes the call.
fn arguments(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_usize;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let part = parts.last_mut().unwrap();
        match c {
            ')' if depth == 0 => break,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '"' => {
                part.push(c);
                while let Some(c) = chars.next() {
                    part.push(c);
                    match c {
                        '\\' => part.extend(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    let parts = parts.iter().map(|part| part.trim().to_owned());
    parts.filter(|part| !part.is_empty()).collect()
}

/// `error` of `%error`, `reason` of `reason = %why`.
fn field_name(argument: &str) -> String {
    let name = argument.split('=').next().unwrap().trim();
    name.trim_start_matches(['%', '?']).to_owned()
}

/// The text of a string literal.
fn literal(literal: &str) -> String {
    let inner = literal
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let mut text = String::new();
    let mut chars = inner.unwrap().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek() == Some(&'\n') => {
                while chars.peek().is_some_and(|c| c.is_whitespace()) {
                    chars.next();
                }
            }
            '\\' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    text
}

/// The beginning of the row of a line: all but what it means.
fn row((level, message, name): &Key, line: &Line) -> String {
    // A text with backticks in it is code between two of them.
    let ticks = if message.contains('`') { "`` " } else { "`" };
    let end: String = ticks.chars().rev().collect();
    let fields = line.fields.iter().map(|field| format!("`{field}`"));
    let fields = fields.collect::<Vec<_>>().join(", ");
    let quota = if line.is_limited { "yes" } else { "no" };
    format!("| {level} | {ticks}{message}{end} | {fields} | `{name}` | {quota} |")
}

#[test]
fn the_page_has_every_line_that_operators_may_be_paged_for() {
    let path = host().join("../docs/logs.md");
    let page = fs::read_to_string(path).unwrap();
    let rows = page.lines().filter(|line| {
        let cell = line.split('|').nth(1).unwrap_or_default().trim();
        ["ERROR", "WARN", "INFO"].contains(&cell)
    });
    let mut rows: Vec<&str> = rows.collect();
    let lines = lines();
    assert!(lines.len() > 80, "only {} lines were found", lines.len());
    let mut missing = Vec::new();
    for (key, line) in &lines {
        let begin = row(key, line);
        let found = rows.iter().position(|row| row.starts_with(&begin));
        match found {
            Some(found) => {
                let rest = &rows.remove(found)[begin.len()..];
                let meaning = rest.trim_end_matches('|').trim();
                assert!(!meaning.is_empty(), "what does it mean? {begin}");
            }
            None if key.0 != "INFO" => missing.push(begin),
            // The page has those that operators use.
            None => {}
        }
    }
    let info = lines.iter().filter(|(key, _)| key.0 == "INFO");
    let info: Vec<_> = info.map(|(key, line)| row(key, line)).collect();
    assert!(
        missing.is_empty() && rows.is_empty(),
        "docs/logs.md lacks these rows, to which what they mean is to be added:\n{}\n\n\
         these rows have no line in the source:\n{}\n\nlines at INFO, for those among them:\n{}",
        missing.join("\n"),
        rows.join("\n"),
        info.join("\n")
    );
}

#[test]
fn calls_are_read_as_the_compiler_reads_them() {
    let text = r#"
        info!("plain");
        // warn!("a comment");
        tracing::warn!(
            app, %error, reason = format!("a, {b}"), r#type = ?x,
            "two \
             lines, with \"quotes\""
        );
        limited!(ERROR, self.quota(1, 2).admits(), listen = %f(a, b)[0], "{what} failed");
        limited!(DEBUG, true, "not told");
        my_warn!("another macro");
        #[cfg(test)]
        mod tests { error!("no line of the server"); }
    "#;
    let text = text.replace("\n        ", "\n");
    let call = |level: &str, fields: &[&str], message: &str, is_limited| LogCall {
        level: level.to_owned(),
        message: message.to_owned(),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        is_limited,
    };
    assert_eq!(
        calls(&text),
        [
            call("INFO", &[], "plain", false),
            call(
                "WARN",
                &["app", "error", "reason", "r#type"],
                "two lines, with \"quotes\"",
                false
            ),
            call("ERROR", &["listen"], "{what} failed", true),
        ]
    );
}
