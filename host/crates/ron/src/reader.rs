//! Reads the fields of a struct, collecting every problem instead of stopping
//! at the first.
//!
//! Flows in: a [`Node`] and, field by field, what the schema allows: from a table of
//! [`Settings`], or from a reader that knows more of the file. Flows out: typed
//! values; problems with their places; and the list of all fields that were asked
//! for, from which the documentation is made. A field with a problem yields its
//! default, so that reading goes on.

use std::{fmt::Display, ops::Range, ops::RangeInclusive, time::Duration};

use livehost_settings::{Setting, Settings, TextError};
pub use livehost_settings::{SettingsReader, suggest};

use crate::{
    node::{Node, NodeShape},
    report::Problem,
    units::{UnitError, format_duration, format_size, parse_duration, parse_size},
};

/// A field of the configuration, as its documentation lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDoc {
    /// Like `limits.connections`, without quotes around what a user names.
    pub path: String,
    /// As it is written in the file; `required` without one.
    pub default: String,
    /// The values that are allowed.
    pub allowed: String,
    /// What it means, in Markdown.
    pub text: String,
}

/// What was found while reading a file.
#[derive(Debug, Default)]
pub struct Findings {
    pub problems: Vec<Problem>,
    pub fields: Vec<FieldDoc>,
}

impl Findings {
    pub fn problem(&mut self, span: Range<usize>, field: &str, message: String) {
        self.problems.push(Problem {
            span,
            field: field.to_owned(),
            message,
            help: None,
        });
    }

    pub fn problem_with_help(
        &mut self,
        span: Range<usize>,
        field: &str,
        message: String,
        help: Option<String>,
    ) {
        self.problem(span, field, message);
        if let Some(last) = self.problems.last_mut() {
            last.help = help;
        }
    }

    fn wrong(&mut self, node: Node<'_>, field: &str, wrong: TextError) {
        self.problem_with_help(node.span(), field, wrong.message, wrong.help);
    }

    /// `expected …; found …` at `node`.
    pub fn expected(&mut self, node: Node<'_>, field: &str, expected: &str) {
        let message = format!("expected {expected}; found {}", node.describe());
        self.problem(node.span(), field, message);
    }
}

/// The fields of one struct of the file.
#[derive(Debug)]
pub struct Fields<'f, 'a> {
    pub findings: &'f mut Findings,
    /// The struct's own path; empty for the file.
    path: String,
    /// Where a missing field is reported.
    span: Range<usize>,
    entries: Vec<(Node<'a>, Node<'a>)>,
    known: Vec<&'static str>,
}

impl<'f, 'a> Fields<'f, 'a> {
    /// Takes `node` apart as the struct `name`; `None` stands for a struct
    /// without fields. `read` asks for each field there can be: the others
    /// are problems.
    pub fn read<T>(
        findings: &'f mut Findings,
        path: String,
        name: &str,
        node: Option<Node<'a>>,
        read: impl FnOnce(&mut Fields<'_, 'a>) -> T,
    ) -> T {
        let entries = match node {
            Some(node) => match struct_fields(node, name) {
                Some(entries) => entries,
                None => {
                    findings.expected(node, &path, "a struct, like (field: value)");
                    // Its fields are unknown: no more is said about them.
                    let mut ignored = Findings::default();
                    let mut fields = Fields::new(&mut ignored, path, None, Vec::new());
                    return read(&mut fields);
                }
            },
            None => Vec::new(),
        };
        let mut fields = Fields::new(findings, path, node, entries);
        fields.refuse_repeated();
        let value = read(&mut fields);
        fields.refuse_unknown();
        value
    }

    fn new(
        findings: &'f mut Findings,
        path: String,
        node: Option<Node<'a>>,
        entries: Vec<(Node<'a>, Node<'a>)>,
    ) -> Self {
        // A struct may be long: what it lacks is reported at its first line.
        let span = node.map_or(0..0, |node| {
            let start = node.span().start;
            start..start + 1
        });
        Self {
            findings,
            path,
            span,
            entries,
            known: Vec::new(),
        }
    }

    /// The full path of the field `name`.
    pub fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// The field's value, if the file has one; its documentation is noted.
    pub fn take(
        &mut self,
        field: impl Into<Setting>,
        default: &str,
        allowed: &str,
    ) -> Option<Node<'a>> {
        let field = field.into();
        let path = self.path_of(field.name).replace('"', "");
        self.findings.fields.push(FieldDoc {
            path,
            default: default.to_owned(),
            allowed: allowed.to_owned(),
            text: field.text.to_owned(),
        });
        self.find(field.name)
    }

    /// Like [`Self::take`] for a field that has no default.
    pub fn require(&mut self, field: impl Into<Setting>, allowed: &str) -> Option<Node<'a>> {
        let field = field.into();
        let found = self.take(field, "required", allowed);
        if found.is_none() {
            self.refuse_absent(field.name, allowed);
        }
        found
    }

    /// A field that must be there, and is not.
    pub fn refuse_absent(&mut self, name: &str, allowed: &str) {
        let message = format!("expected the field `{name}`: {allowed}; found none");
        self.findings
            .problem(self.span.clone(), &self.path_of(name), message);
    }

    fn find(&mut self, name: &'static str) -> Option<Node<'a>> {
        self.known.push(name);
        self.entries
            .iter()
            .find(|(key, _)| key.text() == name)
            .map(|(_, value)| *value)
    }

    /// A struct within this one; without it all its fields have defaults.
    pub fn section<T>(
        &mut self,
        name: &'static str,
        type_name: &str,
        read: impl FnOnce(&mut Fields<'_, 'a>) -> T,
    ) -> T {
        let node = self.find(name);
        let path = self.path_of(name);
        Fields::read(self.findings, path, type_name, node, read)
    }

    /// A struct within this one that is one table of settings.
    pub fn settings<T: Settings>(&mut self, name: &'static str, type_name: &str) -> T {
        self.section(name, type_name, |fields| T::read(fields))
    }

    /// The items of a list of what is `allowed`, or of one like it; none if there is no such field.
    pub fn items(&mut self, field: impl Into<Setting>, allowed: &str) -> Vec<Node<'a>> {
        let field = field.into();
        let Some(node) = self.take(field, "[]", allowed) else {
            return Vec::new();
        };
        let items = node.items().filter(|_| node.shape() == NodeShape::List);
        items.unwrap_or_else(|| {
            let expected = match allowed.starts_with('[') {
                true => format!("a list, like {allowed}"),
                false => format!("a list of {allowed}"),
            };
            self.findings.wrong(
                node,
                &self.path_of(field.name),
                TextError {
                    message: format!("expected {expected}; found {}", node.describe()),
                    help: Some("a list has brackets, also one of a single value".to_owned()),
                },
            );
            Vec::new()
        })
    }

    fn amount<T: PartialOrd + Copy>(
        &mut self,
        field: Setting,
        what: &str,
        default: T,
        allowed: RangeInclusive<T>,
        format: impl Fn(T) -> String,
        parse: impl Fn(&str) -> Result<T, UnitError>,
    ) -> Option<T> {
        let range = format!(
            "\"{}\" to \"{}\"",
            format(*allowed.start()),
            format(*allowed.end())
        );
        let example = format(default);
        let node = self.take(field, &format!("\"{example}\""), &range)?;
        let path = self.path_of(field.name);
        let Some(text) = node.scalar::<String>() else {
            let expected = format!("{what} with its unit in quotes, like \"{example}\"");
            self.findings.expected(node, &path, &expected);
            return None;
        };
        match parse(&text) {
            Ok(value) if allowed.contains(&value) => Some(value),
            Ok(_) => {
                let expected = format!("{what} from {range}");
                self.findings.expected(node, &path, &expected);
                None
            }
            Err(error) => {
                let message = format!(
                    "expected {what} like \"{example}\"; found {}: {error}",
                    node.describe()
                );
                self.findings.problem(node.span(), &path, message);
                None
            }
        }
    }

    /// `expected …; found …` at the field `name`, whose value has been read
    /// and makes no sense beside another's. `value` is shown if it is the
    /// default.
    pub fn refuse(&mut self, name: &str, expected: &str, value: &str) {
        let node = self.entries.iter().find(|(key, _)| key.text() == name);
        let path = self.path_of(name);
        match node {
            Some((_, node)) => self.findings.expected(*node, &path, expected),
            None => {
                let message = format!("expected {expected}; found the default, {value}");
                self.findings.problem(self.span.clone(), &path, message);
            }
        }
    }

    fn refuse_repeated(&mut self) {
        let mut seen: Vec<&str> = Vec::new();
        for (key, _) in &self.entries {
            if seen.contains(&key.text()) {
                let path = self.path_of(key.text());
                let message = "expected each field once; found it again".to_owned();
                self.findings.problem(key.span(), &path, message);
            }
            seen.push(key.text());
        }
    }

    fn refuse_unknown(&mut self) {
        for (key, _) in &self.entries {
            if self.known.contains(&key.text()) {
                continue;
            }
            let message = format!(
                "expected one of the fields {}; found `{}`",
                self.known.join(", "),
                key.text()
            );
            let help = suggest(key.text(), &self.known);
            self.findings
                .problem_with_help(key.span(), &self.path, message, help);
        }
    }
}

impl SettingsReader for Fields<'_, '_> {
    fn number<T>(&mut self, field: impl Into<Setting>, default: T, allowed: RangeInclusive<T>) -> T
    where
        T: Copy + PartialOrd + Display + TryFrom<u64>,
    {
        let field = field.into();
        let range = format!("{} to {}", allowed.start(), allowed.end());
        let Some(node) = self.take(field, &default.to_string(), &range) else {
            return default;
        };
        let number = node.scalar::<u64>().and_then(|n| T::try_from(n).ok());
        match number {
            Some(number) if allowed.contains(&number) => number,
            _ => {
                let expected = format!("a whole number from {range}");
                let path = self.path_of(field.name);
                self.findings.expected(node, &path, &expected);
                default
            }
        }
    }

    fn size(
        &mut self,
        field: impl Into<Setting>,
        default: usize,
        allowed: RangeInclusive<usize>,
    ) -> usize {
        let format = |size| format_size(size as u64);
        let parse = |text: &str| {
            let size = parse_size(text)?;
            // More than there can be is more than the range.
            Ok(usize::try_from(size).unwrap_or(usize::MAX))
        };
        self.amount(field.into(), "a size", default, allowed, format, parse)
            .unwrap_or(default)
    }

    fn duration(
        &mut self,
        field: impl Into<Setting>,
        default: Duration,
        allowed: RangeInclusive<Duration>,
    ) -> Duration {
        let (what, format, parse) = ("a duration", format_duration, parse_duration);
        self.amount(field.into(), what, default, allowed, format, parse)
            .unwrap_or(default)
    }

    fn flag(&mut self, field: impl Into<Setting>, default: bool) -> bool {
        let field = field.into();
        let Some(node) = self.take(field, &default.to_string(), "true or false") else {
            return default;
        };
        node.scalar().unwrap_or_else(|| {
            let path = self.path_of(field.name);
            self.findings.expected(node, &path, "true or false");
            default
        })
    }

    fn choice<T>(&mut self, field: impl Into<Setting>, default: T, words: &[(&str, T)]) -> T
    where
        T: Copy + PartialEq,
    {
        let field = field.into();
        let shown = words
            .iter()
            .find(|(_, value)| *value == default)
            .map_or("", |(word, _)| word);
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let allowed = names.join(" or ");
        let Some(node) = self.take(field, shown, &allowed) else {
            return default;
        };
        let path = self.path_of(field.name);
        word(self.findings, node, &path, words, &allowed).unwrap_or(default)
    }

    fn text(
        &mut self,
        field: impl Into<Setting>,
        default: String,
        allowed: &str,
        one: &str,
        check: impl Fn(&str) -> Result<(), TextError>,
    ) -> String {
        let field = field.into();
        let Some(node) = self.take(field, &format!("\"{default}\""), allowed) else {
            return default;
        };
        let path = self.path_of(field.name);
        let Some(text) = node.scalar::<String>() else {
            self.findings.expected(node, &path, one);
            return default;
        };
        match check(&text) {
            Ok(()) => text,
            Err(wrong) => {
                self.findings.wrong(node, &path, wrong);
                default
            }
        }
    }

    fn list<T, C>(
        &mut self,
        field: impl Into<Setting>,
        _: C,
        allowed: &str,
        one: &str,
        parse: impl Fn(&str) -> Result<T, TextError>,
    ) -> C
    where
        C: FromIterator<T>,
    {
        let field = field.into();
        let items = self.items(field, allowed);
        let path = self.path_of(field.name);
        let read = |item: Node<'_>| match item.scalar::<String>() {
            Some(text) => {
                let parsed = parse(&text);
                parsed
                    .map_err(|wrong| self.findings.wrong(item, &path, wrong))
                    .ok()
            }
            None => {
                self.findings.expected(item, &path, one);
                None
            }
        };
        items.into_iter().filter_map(read).collect()
    }
}

/// The value of the word at `node`; `allowed` says in a problem which there are.
pub fn word<T: Copy>(
    findings: &mut Findings,
    node: Node<'_>,
    path: &str,
    words: &[(&str, T)],
    allowed: &str,
) -> Option<T> {
    let found = match node.shape() {
        NodeShape::Word(found) => Some(found),
        _ => None,
    };
    if let Some((_, value)) = words.iter().find(|(word, _)| Some(*word) == found) {
        return Some(*value);
    }
    let expected = format!("expected {allowed}; found {}", node.describe());
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let help = suggest_word(node.text(), &names);
    findings.problem_with_help(node.span(), path, expected, help);
    None
}

/// The fields of `(…)` or `Name(…)`.
fn struct_fields<'a>(node: Node<'a>, name: &str) -> Option<Vec<(Node<'a>, Node<'a>)>> {
    match node.shape() {
        NodeShape::Parens => node.fields(),
        NodeShape::NamedParens(found) if found == name => node.body().fields(),
        _ => None,
    }
}

/// Like [`suggest`] for a value that is a bare word, from its text.
pub fn suggest_word(text: &str, words: &[&str]) -> Option<String> {
    let bare = text.trim_matches('"');
    if bare != text && words.contains(&bare) {
        return Some(format!("write {bare} without quotes"));
    }
    suggest(bare, words)
}
