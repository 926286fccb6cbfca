//! Texts of settings that messages repeat: they may be keys, and logs go far.
//!
//! Flows in: a message, and the texts it must not have. Flows out: the message
//! with stars in their place.

use std::collections::BTreeSet;

/// What stands for a text in a message. It has the same length for all.
pub const STARS: &str = "***";
/// Around a text in a message.
const QUOTES: [char; 3] = ['"', '`', '\''];
/// Characters from which a text is one without quotes, too.
const WORD: usize = 6;
/// Characters of a text's beginning that tell it: messages cut long ones.
const BEGINNING: usize = 16;

/// What a plugin says, for the log: without the texts of its settings, `json`,
/// which may be keys. Names of fields stay.
pub fn without_settings(json: &str, said: &str) -> String {
    fn collect(value: serde_json::Value, texts: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => texts.push(text),
            serde_json::Value::Array(items) => {
                items.into_iter().for_each(|item| collect(item, texts));
            }
            serde_json::Value::Object(fields) => {
                (fields.into_iter()).for_each(|(_, value)| collect(value, texts));
            }
            _ => {}
        }
    }
    let mut texts = Vec::new();
    collect(serde_json::from_str(json).unwrap_or_default(), &mut texts);
    without(said, texts.iter().map(String::as_str))
}

/// `message` with stars for each of `texts`: in quotes, or as words of their
/// own if they are long enough not to be met by chance.
pub fn without<'t>(message: &str, texts: impl Iterator<Item = &'t str>) -> String {
    let forms: BTreeSet<String> = texts
        .flat_map(forms)
        .filter(|form| !form.is_empty())
        .collect();
    let mut shown = String::new();
    let mut before = ' ';
    let mut at = 0;
    while let Some(rest) = message.get(at..).filter(|rest| !rest.is_empty()) {
        let found = forms
            .iter()
            .filter_map(|form| found(before, rest, form))
            .max();
        let first = rest.chars().next().unwrap_or_default();
        let length = found.unwrap_or(first.len_utf8());
        match found {
            Some(_) => shown.push_str(STARS),
            None => shown.push(first),
        }
        let passed = rest.get(..length).unwrap_or_default();
        before = passed.chars().next_back().unwrap_or(first);
        at += length;
    }
    shown
}

/// The ways in which messages have a text.
fn forms(text: &str) -> [String; 5] {
    let inner = |quoted: String| {
        let inner = quoted
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        inner.unwrap_or(&quoted).to_owned()
    };
    [
        text.to_owned(),
        text.replace(char::is_control, " "),
        text.escape_debug().to_string(),
        inner(format!("{text:?}")),
        inner(serde_json::Value::from(text).to_string()),
    ]
}

/// How much of `rest`, which follows `before`, is the text `form`.
fn found(before: char, rest: &str, form: &str) -> Option<usize> {
    let is_quoted = QUOTES.contains(&before);
    if is_of_word(before) {
        return None;
    }
    let Some(after) = rest.strip_prefix(form) else {
        let same = form.chars().zip(rest.chars()).take_while(|(a, b)| a == b);
        let (count, length) = same.fold((0, 0), |(count, length), (c, _)| {
            (count + 1, length + c.len_utf8())
        });
        let is_cut = count >= BEGINNING || (count > 0 && length == rest.len());
        return (is_quoted && is_cut).then_some(length);
    };
    let after = after.chars().next().unwrap_or(' ');
    let is_text = is_quoted && QUOTES.contains(&after);
    let is_word = !is_of_word(before) && !is_of_word(after) && form.chars().count() >= WORD;
    (is_text || is_word).then_some(form.len())
}

pub fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_none_of_the_texts_they_are_about() {
        let key = "k\"3y-".to_owned() + &"x".repeat(60);
        let texts = ["s3cret", "a", "line\nend", &key];
        let shown = |message: &str| without(message, texts.into_iter());
        for (message, expected) in [
            (
                format!("string {key:?}, expected"),
                "string \"***\", expected",
            ),
            (
                "string \"a\", expected a map".into(),
                "string \"***\", expected a map",
            ),
            (
                "variant `a`, expected `b`".into(),
                "variant `***`, expected `b`",
            ),
            ("s3cret is short".into(), "*** is short"),
            ("\"line end\"; 'line\\nend'".into(), "\"***\"; '***'"),
            // What is cut off, by `describe` and by the host.
            (format!("found \"{}...", &key[..30]), "found \"***..."),
            ("found \"s3cr".into(), "found \"***"),
            ("unknown field `s3crets`".into(), "unknown field `s3crets`"),
            ("".into(), ""),
        ] {
            assert_eq!(shown(&message), expected, "{message}");
        }
    }
}
