//! Text that is no valid RON: the parser's error, in a reader's words.
//!
//! Flows in: the text and the ron crate's error. Flows out: a [`Problem`] at
//! the token that could not follow, with the bracket that was left open, if
//! one was.

use ron::error::{Error, Position, SpannedError};

use crate::report::Problem;

/// The problem that `error` is about.
pub fn problem(text: &str, error: &SpannedError) -> Problem {
    let start = offset(text, error.span.start);
    let end = offset(text, error.span.end);
    let Some(expected) = expected(&error.code) else {
        // The error is about the marked text itself.
        return Problem {
            span: start..end,
            field: String::new(),
            message: match error.code {
                Error::ExpectedStringEnd => "expected a closing quote; found none".to_owned(),
                Error::UnclosedBlockComment => "expected a closing `*/`; found none".to_owned(),
                Error::ExceededRecursionLimit => {
                    "expected values in some dozen brackets at most; found more".to_owned()
                }
                ref code => lower_first(&code.to_string()),
            },
            help: None,
        };
    };
    let rest = text.get(end..).unwrap_or_default();
    let start = end + (rest.len() - rest.trim_start().len());
    let token = token(text.get(start..).unwrap_or_default());
    let found = match token {
        "" => "the end of the file".to_owned(),
        // Not the text itself: it may be a key.
        token if token.starts_with('"') => "a text".to_owned(),
        token => format!("`{token}`"),
    };
    Problem {
        span: start..start + token.len(),
        field: String::new(),
        message: format!("expected {expected}; found {found}"),
        help: help(text, start, token),
    }
}

/// What could have come instead; none for errors that say more themselves.
fn expected(code: &Error) -> Option<&'static str> {
    Some(match code {
        Error::ExpectedComma => "a comma, a colon or a closing bracket",
        Error::ExpectedIdentifier => "a field's name or `)`",
        Error::ExpectedMapColon => "a colon and a value",
        Error::ExpectedArrayEnd => "`]`",
        Error::ExpectedMapEnd => "`}`",
        Error::ExpectedStructLikeEnd | Error::ExpectedOptionEnd => "`)`",
        Error::UnexpectedChar(_) | Error::Eof => "a value",
        Error::TrailingCharacters => "one value, (...), and then the end of the file",
        _ => return None,
    })
}

fn help(text: &str, at: usize, token: &str) -> Option<String> {
    if token == "=" {
        return Some("a field is written `name: value`".to_owned());
    }
    if token == ":" && text.get(..at)?.trim_end().ends_with('"') {
        return Some("in (...) a field's name has no quotes; in {...} it has".to_owned());
    }
    let (bracket, opened) = innermost_open(text.get(..at)?)?;
    let closing = match bracket {
        '(' => ")",
        '[' => "]",
        _ => "}",
    };
    let open = token.is_empty() || ([")", "]", "}"].contains(&token) && token != closing);
    open.then(|| {
        let line = 1 + text.get(..opened).unwrap_or_default().matches('\n').count();
        format!("the `{bracket}` of line {line} is not closed")
    })
}

/// The first word or sign of `rest`.
fn token(rest: &str) -> &str {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let end = match rest.chars().next() {
        Some('"') => rest
            .get(1..)
            .and_then(|inner| inner.find(['"', '\n']))
            .map_or(rest.len(), |close| close + 2),
        Some(c) if is_word(c) => rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()),
        Some(c) => c.len_utf8(),
        None => 0,
    };
    rest.get(..end).unwrap_or(rest).trim_end()
}

/// The last bracket of `text` that is still open, and where it is. Strings
/// and comments are skipped; raw strings with quotes inside are not known
/// here, since this only words a hint.
fn innermost_open(text: &str) -> Option<(char, usize)> {
    let mut open: Vec<(char, usize)> = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        match (c, next) {
            ('"', _) => {
                let mut escaped = false;
                for (_, c) in chars.by_ref() {
                    if c == '"' && !escaped {
                        break;
                    }
                    escaped = c == '\\' && !escaped;
                }
            }
            ('/', Some('/')) => while chars.next().is_some_and(|(_, c)| c != '\n') {},
            ('/', Some('*')) => {
                let mut last = ' ';
                for (_, c) in chars.by_ref().skip(1) {
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
            }
            ('(' | '[' | '{', _) => open.push((c, at)),
            (')' | ']' | '}', _) => {
                open.pop();
            }
            _ => {}
        }
    }
    open.pop()
}

/// The byte offset of a position in lines and characters.
fn offset(text: &str, position: Position) -> usize {
    let line_start: usize = text
        .split_inclusive('\n')
        .take(position.line.saturating_sub(1))
        .map(str::len)
        .sum();
    let line = text.get(line_start..).unwrap_or_default();
    let column = position.col.saturating_sub(1);
    line_start
        + line
            .char_indices()
            .nth(column)
            .map_or(line.len(), |(index, _)| index)
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_brackets_are_found_past_strings_and_comments() {
        for (text, open) in [
            ("(a: [1, 2], b: {", Some(('{', 15))),
            (r#"(a: "[\"[", // {"#, Some(('(', 0))),
            ("([ /* ( */ ", Some(('[', 1))),
            ("[] () // (\n", None),
        ] {
            assert_eq!(innermost_open(text), open, "{text}");
        }
    }

    #[test]
    fn positions_are_lines_and_characters() {
        let text = "aé\nbc";
        let at = |line, col| offset(text, Position { line, col });
        assert_eq!(at(1, 1), 0);
        assert_eq!(at(1, 3), 3);
        assert_eq!(at(2, 2), 5);
        assert_eq!(at(2, 9), text.len());
        assert_eq!(at(7, 1), text.len());
    }
}
