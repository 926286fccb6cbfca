//! Reads the fields of a struct, collecting every problem instead of stopping
//! at the first.
//!
//! Flows in: a [`Node`] and, field by field, what the schema allows. Flows
//! out: typed values; problems with their places; and the list of all fields
//! that were asked for, from which the documentation is checked. A field with
//! a problem yields its default, so that reading goes on.

use std::{fmt::Display, ops::Range, ops::RangeInclusive, time::Duration};

use crate::{
    node::{Node, Shape},
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
    pub fn take(&mut self, name: &'static str, default: &str, allowed: &str) -> Option<Node<'a>> {
        let path = self.path_of(name).replace('"', "");
        self.findings.fields.push(FieldDoc {
            path,
            default: default.to_owned(),
            allowed: allowed.to_owned(),
        });
        self.find(name)
    }

    /// Like [`Self::take`] for a field that has no default.
    pub fn require(&mut self, name: &'static str, allowed: &str) -> Option<Node<'a>> {
        let found = self.take(name, "required", allowed);
        if found.is_none() {
            self.refuse_absent(name, allowed);
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

    /// A plain number.
    pub fn number<T>(&mut self, name: &'static str, default: T, allowed: RangeInclusive<T>) -> T
    where
        T: Copy + PartialOrd + Display + TryFrom<u64>,
    {
        let (low, high) = (allowed.start(), allowed.end());
        let range = format!("{low} to {high}");
        let Some(node) = self.take(name, &default.to_string(), &range) else {
            return default;
        };
        let number = node.scalar::<u64>().and_then(|n| T::try_from(n).ok());
        match number {
            Some(number) if allowed.contains(&number) => number,
            _ => {
                let expected = format!("a whole number from {range}");
                let path = self.path_of(name);
                self.findings.expected(node, &path, &expected);
                default
            }
        }
    }

    /// A size in bytes, written with its unit.
    pub fn size<T>(&mut self, name: &'static str, default: T, allowed: RangeInclusive<u64>) -> T
    where
        T: Copy + TryFrom<u64> + TryInto<u64>,
    {
        let shown = default.try_into().unwrap_or_default();
        let amount = self.amount(name, "a size", shown, allowed, format_size, parse_size);
        amount.and_then(|n| n.try_into().ok()).unwrap_or(default)
    }

    /// A duration, written with its unit.
    pub fn duration(
        &mut self,
        name: &'static str,
        default: Duration,
        allowed: RangeInclusive<Duration>,
    ) -> Duration {
        self.amount(
            name,
            "a duration",
            default,
            allowed,
            format_duration,
            parse_duration,
        )
        .unwrap_or(default)
    }

    fn amount<T: PartialOrd + Copy>(
        &mut self,
        name: &'static str,
        what: &str,
        default: T,
        allowed: RangeInclusive<T>,
        format: fn(T) -> String,
        parse: fn(&str) -> Result<T, UnitError>,
    ) -> Option<T> {
        let range = format!(
            "\"{}\" to \"{}\"",
            format(*allowed.start()),
            format(*allowed.end())
        );
        let example = format(default);
        let node = self.take(name, &format!("\"{example}\""), &range)?;
        let path = self.path_of(name);
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

    /// `true` or `false`.
    pub fn flag(&mut self, name: &'static str, default: bool) -> bool {
        let Some(node) = self.take(name, &default.to_string(), "true or false") else {
            return default;
        };
        node.scalar().unwrap_or_else(|| {
            let path = self.path_of(name);
            self.findings.expected(node, &path, "true or false");
            default
        })
    }

    /// One of several words.
    pub fn choice<T: Copy + PartialEq>(
        &mut self,
        name: &'static str,
        default: T,
        words: &[(&str, T)],
    ) -> T {
        let shown = words
            .iter()
            .find(|(_, value)| *value == default)
            .map_or("", |(word, _)| word);
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let allowed = names.join(" or ");
        let Some(node) = self.take(name, shown, &allowed) else {
            return default;
        };
        let path = self.path_of(name);
        word(self.findings, node, &path, words, &allowed).unwrap_or(default)
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

/// The value of the word at `node`; `allowed` says in a problem which there are.
pub fn word<T: Copy>(
    findings: &mut Findings,
    node: Node<'_>,
    path: &str,
    words: &[(&str, T)],
    allowed: &str,
) -> Option<T> {
    let found = match node.shape() {
        Shape::Word(found) => Some(found),
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
        Shape::Parens => node.fields(),
        Shape::NamedParens(found) if found == name => node.body().fields(),
        _ => None,
    }
}

/// `did you mean …?` for the name among `names` that `found` resembles.
pub fn suggest(found: &str, names: &[&str]) -> Option<String> {
    /// Jaro-Winkler similarity from which a name looks like a slip.
    const ALIKE: f64 = 0.8;
    let lower = found.to_lowercase();
    names
        .iter()
        .map(|name| (strsim::jaro_winkler(&lower, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| format!("did you mean `{name}`?"))
}

/// Like [`suggest`] for a value that is a bare word, from its text.
pub fn suggest_word(text: &str, words: &[&str]) -> Option<String> {
    let bare = text.trim_matches('"');
    if bare != text && words.contains(&bare) {
        return Some(format!("write {bare} without quotes"));
    }
    suggest(bare, words)
}
