//! One value of a log line: what would hide or move other text is escaped, and
//! what is too long is cut while it is written, so that it is never in memory.

use std::fmt::{self, Write};

use super::LogFormat;

/// Follows what was cut.
const CUT: &str = "...";

/// `text` for a table or a message at a terminal: on one line, with what would hide or
/// move other text escaped, in at most `room` bytes and a mark.
#[must_use]
pub fn visible(text: &str, room: usize) -> String {
    let mut out = String::new();
    let mut value = Value::new(&mut out, LogFormat::Text, false, room);
    // It fails where it is cut.
    let _ = value.write_str(text);
    let _ = value.finish();
    out
}

/// `json` for a terminal: the same values, with escapes for what would hide or move
/// other text. JSON itself asks for that only below U+0020.
#[must_use]
pub fn visible_json(json: &str) -> String {
    let mut out = String::new();
    for (at, line) in json.lines().enumerate() {
        out.push_str(if at == 0 { "" } else { "\n" });
        let mut value = Value::new(&mut out, LogFormat::Json, false, usize::MAX);
        let _ = value.write_str(line);
    }
    out
}

/// Where a value is written to.
#[derive(Debug)]
pub(super) struct Value<'w, W> {
    out: &'w mut W,
    format: LogFormat,
    /// Inside quotes, which end at the next one that isn't escaped.
    quoted: bool,
    /// Bytes left, escapes included.
    room: usize,
    is_cut: bool,
}

impl<'w, W: Write> Value<'w, W> {
    /// For at most `room` bytes.
    pub(super) fn new(out: &'w mut W, format: LogFormat, quoted: bool, room: usize) -> Self {
        Self {
            out,
            format,
            quoted,
            room,
            is_cut: false,
        }
    }

    /// Marks what was cut.
    pub(super) fn finish(self) -> fmt::Result {
        match self.is_cut {
            true => self.out.write_str(CUT),
            false => Ok(()),
        }
    }

    /// How `c` is written, unless it is itself.
    fn escaped(&self, c: char) -> Option<Escape> {
        let mut escape = Escape::default();
        let written = match (c, self.format) {
            ('"' | '\\', _) if self.quoted => write!(escape, "\\{c}"),
            ('\n', _) => escape.write_str("\\n"),
            ('\r', _) => escape.write_str("\\r"),
            ('\t', _) => escape.write_str("\\t"),
            (c, _) if !is_hidden(c) => return None,
            (c, LogFormat::Text) => write!(escape, "{}", c.escape_unicode()),
            (c, LogFormat::Json) => {
                let mut units = [0; 2];
                let mut units = c.encode_utf16(&mut units).iter();
                units.try_for_each(|unit| write!(escape, "\\u{unit:04x}"))
            }
        };
        written.ok().map(|()| escape)
    }

    /// Writes all of `part` or cuts there.
    fn put(&mut self, part: &str) -> fmt::Result {
        match self.room.checked_sub(part.len()) {
            Some(room) => {
                self.room = room;
                self.out.write_str(part)
            }
            None => {
                self.is_cut = true;
                self.room = 0;
                Err(fmt::Error)
            }
        }
    }

    /// Writes what fits of `part`, which needs no escapes.
    fn put_plain(&mut self, part: &str) -> fmt::Result {
        let fits = part.floor_char_boundary(self.room);
        let (fits, rest) = part.split_at_checked(fits).unwrap_or((part, ""));
        self.put(fits)?;
        self.put(rest)
    }
}

impl<W: Write> Write for Value<'_, W> {
    /// An error ends the formatting of a value that is cut already.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut from = 0_usize;
        for (at, c) in text.char_indices() {
            if at.saturating_sub(from) > self.room {
                break;
            }
            let Some(escape) = self.escaped(c) else {
                continue;
            };
            self.put_plain(text.get(from..at).unwrap_or_default())?;
            self.put(escape.as_str())?;
            from = at.saturating_add(c.len_utf8());
        }
        self.put_plain(text.get(from..).unwrap_or_default())
    }
}

/// The text of one escape.
#[derive(Debug, Default)]
struct Escape {
    text: [u8; 12],
    len: usize,
}

impl Escape {
    fn as_str(&self) -> &str {
        let text = self.text.get(..self.len).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl Write for Escape {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let end = self.len.saturating_add(part.len());
        let place = self.text.get_mut(self.len..end).ok_or(fmt::Error)?;
        place.copy_from_slice(part.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Characters that show nothing themselves but change what is around them:
/// control characters, line ends, the direction of writing, no width at all.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str, format: LogFormat, room: usize) -> String {
        let mut out = String::new();
        let mut value = Value::new(&mut out, format, true, room);
        let _ = value.write_str(text);
        value.finish().unwrap();
        out
    }

    #[test]
    fn what_hides_or_moves_text_is_escaped() {
        let text = "a\u{202e}b\u{200b}\n\u{2028}\u{9b}31m\u{1b}[0m\u{feff}\u{e0041}é字\u{301}\"\\";
        assert_eq!(
            written(text, LogFormat::Text, 200),
            "a\\u{202e}b\\u{200b}\\n\\u{2028}\\u{9b}31m\\u{1b}[0m\\u{feff}\\u{e0041}é字\u{301}\\\"\\\\"
        );
        assert_eq!(
            written(text, LogFormat::Json, 200),
            "a\\u202eb\\u200b\\n\\u2028\\u009b31m\\u001b[0m\\ufeff\\udb40\\udc41é字\u{301}\\\"\\\\"
        );
    }

    #[test]
    fn nothing_hides_at_a_terminal() {
        let name = "a\u{1b}]0;b\u{7}\n\u{9b}31m\u{202e}\"c";
        let expected = "a\\u{1b}]0;b\\u{7}\\n\\u{9b}31m\\u{202e}\"c";
        assert_eq!(visible(name, 200), expected);
        assert_eq!(visible(name, 3), "a...");

        let json = serde_json::json!({ "name": name, "emoji": "\u{e0041}" });
        let shown = visible_json(&serde_json::to_string_pretty(&json).unwrap());
        assert!(!shown.contains(|c| is_hidden(c) && c != '\n'), "{shown:?}");
        assert_eq!(shown.lines().count(), 4);
        let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(read, json);
    }

    #[test]
    fn a_value_is_cut_between_characters_and_escapes() {
        assert_eq!(written("abcdef", LogFormat::Text, 6), "abcdef");
        assert_eq!(written("abcdefg", LogFormat::Text, 6), "abcdef...");
        assert_eq!(written("ééé", LogFormat::Text, 5), "éé...");
        assert_eq!(written("abc\u{202e}d", LogFormat::Text, 10), "abc...");
    }

    /// Counts what it is asked for.
    struct Endless(std::cell::Cell<usize>);

    impl fmt::Display for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for _ in 0..1_000_000 {
                self.0.set(self.0.get() + 1);
                f.write_str("word ")?;
            }
            Ok(())
        }
    }

    #[test]
    fn what_is_cut_is_not_formatted() {
        let endless = Endless(0.into());
        let mut out = String::new();
        let mut value = Value::new(&mut out, LogFormat::Text, false, 12);
        write!(value, "{endless}").unwrap_err();
        value.finish().unwrap();
        assert_eq!((out.as_str(), endless.0.get()), ("word word wo...", 3));
    }

    proptest! {
        #[test]
        fn any_text_is_bounded_visible_and_json(text: String, parts in 1_usize..9, room in 0_usize..99) {
            for format in [LogFormat::Text, LogFormat::Json] {
                let mut out = String::new();
                let mut value = Value::new(&mut out, format, true, room);
                let chars: Vec<char> = text.chars().collect();
                for part in chars.chunks(parts) {
                    let _ = value.write_str(&part.iter().collect::<String>());
                }
                value.finish().unwrap();
                prop_assert!(out.len() <= room + CUT.len());
                prop_assert!(!out.contains(is_hidden));
            }
            let json = format!("\"{}\"", written(&text, LogFormat::Json, usize::MAX));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
