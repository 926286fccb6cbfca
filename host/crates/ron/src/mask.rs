//! What of a file stays out of the log: a text in quotes may be a key or a
//! password, and logs go far.
//!
//! Flows in: the text of the file, and what is said about it. Flows out: which
//! bytes have stars in their place, and messages without the file's texts. Texts
//! are found from the file's beginning, as RON has them, since a line alone does
//! not tell what is within quotes. Where a file is no RON that can't be told, so
//! all is hidden but brackets and the names of the file's own fields.

use std::collections::BTreeSet;
use std::ops::Range;

use livehost_telemetry::secrets::{STARS, is_of_word, without};

use crate::node::Node;
use crate::report::FieldNames;

/// What is hidden of one file.
pub(crate) struct Mask {
    /// In bytes of the file, in its order.
    hidden: Vec<Range<usize>>,
    texts: Vec<ValueText>,
    /// The names that show in a file that is no RON.
    names: Option<BTreeSet<String>>,
}

/// A text that is a value, with its place.
struct ValueText {
    span: Range<usize>,
    /// As it is written, and as it is read.
    forms: [String; 2],
}

impl Mask {
    pub(crate) fn of(file: &str, names: FieldNames) -> Self {
        let mut mask = Self {
            hidden: Vec::new(),
            texts: Vec::new(),
            names: None,
        };
        if Node::whole(file).is_err() {
            let names = names();
            mask.hidden = unknown(file, &names);
            mask.names = Some(names);
            return mask;
        }
        let mut at = 0;
        while let Some(rest) = file.get(at..).filter(|rest| !rest.is_empty()) {
            let Lexeme { length, hidden } = lexeme(rest);
            let end = at + length;
            if let Some(hidden) = hidden {
                let inner = at + hidden.start..at + hidden.end;
                let is_comment = rest.starts_with('/');
                if !is_comment && !is_name(file.get(end..).unwrap_or_default()) {
                    let part = |span: &Range<usize>| file.get(span.clone()).unwrap_or_default();
                    let span = at..end;
                    let written = part(&inner).to_owned();
                    let read = ron::from_str(part(&span)).unwrap_or_else(|_| written.clone());
                    let forms = [written, read];
                    mask.texts.push(ValueText { span, forms });
                }
                mask.hidden.push(inner);
            }
            at = end;
        }
        mask
    }

    /// Whether the byte at `at` is hidden.
    pub(crate) fn hides(&self, at: usize) -> bool {
        let next = self.hidden.partition_point(|hidden| hidden.end <= at);
        let hidden = self.hidden.get(next);
        hidden.is_some_and(|hidden| hidden.start <= at)
    }

    /// `message`, which is about `span`, without the texts that are there; `all`
    /// is for a message that may hold any text of the file.
    pub(crate) fn message(&self, message: &str, span: &Range<usize>, all: bool) -> String {
        if let Some(names) = &self.names {
            return without_unknown(message, names);
        }
        let there =
            |text: &&ValueText| all || (span.start <= text.span.start && text.span.end <= span.end);
        let texts = self.texts.iter().filter(there);
        without(
            message,
            texts.flat_map(|text| &text.forms).map(String::as_str),
        )
    }
}

/// A part of a RON text, and what of it is hidden.
struct Lexeme {
    length: usize,
    hidden: Option<Range<usize>>,
}

/// What `rest` begins with; it is not empty.
fn lexeme(rest: &str) -> Lexeme {
    let hiding = |inner: Range<usize>, length: usize| Lexeme {
        length: length.min(rest.len()),
        hidden: Some(inner),
    };
    if rest.starts_with("//") {
        let end = rest.find('\n').unwrap_or(rest.len());
        return hiding(2..end, end);
    }
    if rest.starts_with("/*") {
        let end = block_comment(rest);
        return hiding(2..end, end);
    }
    let word = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
    let (prefix, behind) = rest.split_at(word);
    let unhashed = behind.trim_start_matches('#');
    let hashes = behind.len() - unhashed.len();
    match (prefix, behind.chars().next()) {
        ("r" | "br", _) if unhashed.starts_with('"') => {
            let closing = format!("\"{}", "#".repeat(hashes));
            let start = word + hashes + 1;
            let inner = rest.get(start..).unwrap_or_default();
            let end = start + inner.find(&closing).unwrap_or(inner.len());
            hiding(start..end, end + closing.len())
        }
        ("" | "b", Some(quote @ ('"' | '\''))) => {
            let start = word + 1;
            let inner = rest.get(start..).unwrap_or_default();
            let end = start + closing_quote(inner, quote);
            hiding(start..end, end + 1)
        }
        (_, first) => Lexeme {
            length: word.max(first.filter(|_| word == 0).map_or(0, char::len_utf8)),
            hidden: None,
        },
    }
}

/// Where the text that `inner` begins with ends.
fn closing_quote(inner: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        // `'''` is the character '.
        let is_first = at == 0 && quote == '\'';
        if c == quote && !escaped && !is_first {
            return at;
        }
        escaped = c == '\\' && !escaped;
    }
    inner.len()
}

/// The length of the comment that `rest` begins with. Comments nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = rest.get(at..).filter(|rest| !rest.is_empty()) {
        match (rest.starts_with("/*"), rest.starts_with("*/")) {
            (true, _) => (depth, at) = (depth + 1, at + 2),
            (_, true) if depth <= 1 => return at + 2,
            (_, true) => (depth, at) = (depth - 1, at + 2),
            _ => at += rest.chars().next().map_or(1, char::len_utf8),
        }
    }
    rest.len()
}

/// Whether what comes before `rest` is the name in an entry of a map.
fn is_name(mut rest: &str) -> bool {
    loop {
        rest = rest.trim_start();
        if !rest.starts_with("//") && !rest.starts_with("/*") {
            return rest.starts_with(':');
        }
        rest = rest.get(lexeme(rest).length..).unwrap_or_default();
    }
}

/// All of `file` but space, brackets, signs between values, and `names`.
fn unknown(file: &str, names: &BTreeSet<String>) -> Vec<Range<usize>> {
    let mut hidden = Vec::new();
    let mut at = 0;
    while let Some(rest) = file.get(at..).filter(|rest| !rest.is_empty()) {
        let word = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
        let first = rest.chars().next().unwrap_or_default();
        let length = word.max(first.len_utf8());
        let shows = match rest.get(..word) {
            Some("") | None => first.is_whitespace() || "()[]{},:\"=".contains(first),
            Some(word) => names.contains(word),
        };
        if !shows {
            hidden.push(at..at + length);
        }
        at += length;
    }
    hidden
}

/// `message` without what is in backticks, if it has words that are not `names`.
fn without_unknown(message: &str, names: &BTreeSet<String>) -> String {
    let mut shown = String::new();
    for (index, part) in message.split('`').enumerate() {
        let mut words = part
            .split(|c| !is_of_word(c))
            .filter(|word| !word.is_empty());
        let is_known = index % 2 == 0 || words.all(|word| names.contains(word));
        if index > 0 {
            shown.push('`');
        }
        shown.push_str(if is_known { part } else { STARS });
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> BTreeSet<String> {
        ["plugin", "config"].map(str::to_owned).into()
    }

    /// `file` as the log has it.
    fn masked(file: &str) -> String {
        let mask = Mask::of(file, names);
        let shown = file.char_indices().map(|(at, c)| match mask.hides(at) {
            true if c != '\n' => '*',
            _ => c,
        });
        shown.collect()
    }

    #[test]
    fn texts_are_hidden_however_they_are_written() {
        for (file, shown) in [
            (r#"(a: "S", b: 12)"#, r#"(a: "*", b: 12)"#),
            (r#"["S\"S\\", 1, "S"]"#, r#"["******", 1, "*"]"#),
            (r##"[r#"S"S"S"#, r"S\", 1]"##, r##"[r#"*****"#, r"**", 1]"##),
            (
                r#"[b"S", b'S', 'S', '"', ''', '\'', 1]"#,
                r#"[b"*", b'*', '*', '*', '*', '**', 1]"#,
            ),
            (
                r##"[br#"S"S"#, x, r#type, "S"]"##,
                r##"[br#"***"#, x, r#type, "*"]"##,
            ),
            ("[\"S\nS\", 7, \"S\nS\"]", "[\"*\n*\", 7, \"*\n*\"]"),
            ("[1, // \"S\n\"S\"]", "[1, //***\n\"*\"]"),
            ("[/* \" /* S */ \" */ \"S\"]", "[/**************** \"*\"]"),
            ("{\"S\": 1}", "{\"*\": 1}"),
        ] {
            assert!(Node::whole(file).is_ok(), "{file}");
            assert_eq!(masked(file), shown, "{file}");
        }
    }

    /// Where a quote is missing, what looks like no text may be one.
    #[test]
    fn a_file_that_is_no_ron_shows_names_that_the_server_has() {
        for file in [
            r#"(plugin: "S, config: "S")"#,
            r#"(plugin: [S", "S])"#,
            r#"(plugin: r#"S"S", config: S-S.S)"#,
            "(plugin: \"S\nS\" 7 \"S\nS",
            "(plugin: /* S",
            "(plugin: 'S",
        ] {
            assert!(Node::whole(file).is_err(), "{file}");
            let shown = masked(file);
            assert!(shown.starts_with("(plugin: "), "{shown}");
            assert!(!shown.contains('S'), "{shown}");
        }
        let mask = Mask::of("(plugin: \"a, config: \"S3CRET\")", names);
        let said = mask.message("expected a comma or `)`; found `S3CRET`", &(0..1), false);
        assert_eq!(said, "expected a comma or `)`; found `***`");
        let said = mask.message("expected `)`; found `config`", &(0..1), false);
        assert_eq!(said, "expected `)`; found `config`");
    }

    #[test]
    fn names_in_a_map_are_told_from_values() {
        let file = "{\"name\" /* : */ : \"value\", \"other\" // :\n: 1}";
        let mask = Mask::of(file, names);
        let said = mask.message("unknown field `name`, `other`: `value`", &(0..1), true);
        assert_eq!(said, "unknown field `name`, `other`: `***`");
        // What the server says is about one place.
        let said = mask.message("expected one like \"value\"", &(0..5), false);
        assert_eq!(said, "expected one like \"value\"");
    }
}
