//! Wildcards: `*` is any run of characters (also none, also with slashes),
//! `?` is any one character, everything else is itself.

/// A pattern with wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Char(char),
    One,
    Many,
}

impl Glob {
    /// Every text is a pattern.
    pub fn new(pattern: &str) -> Self {
        let parts = pattern
            .chars()
            .map(|c| match c {
                '*' => Part::Many,
                '?' => Part::One,
                c => Part::Char(c),
            })
            .collect();
        Self { parts }
    }

    /// How many wildcards it has: what [`Glob::captures`] gives on a match.
    pub fn wildcards(&self) -> usize {
        self.parts
            .iter()
            .filter(|part| !matches!(part, Part::Char(_)))
            .count()
    }

    /// Does the whole text match?
    pub fn matches(&self, text: &str) -> bool {
        self.captures(text).is_some()
    }

    /// What each wildcard stands for when the whole text matches; each `*` but
    /// the last takes as little as it can. Takes time of at most the product
    /// of both lengths.
    pub fn captures(&self, text: &str) -> Option<Vec<String>> {
        let text: Vec<char> = text.chars().collect();
        // Where each wildcard's part of the text begins and ends.
        let mut spans: Vec<(usize, usize)> = Vec::new();
        // The last `*`: its index in the pattern, in `spans`, and where it ends.
        let mut star: Option<(usize, usize, usize)> = None;
        let (mut at, mut in_text) = (0, 0);
        loop {
            let char = text.get(in_text).copied();
            match (self.parts.get(at), char) {
                (Some(Part::Many), _) => {
                    star = Some((at, spans.len(), in_text));
                    spans.push((in_text, in_text));
                    at += 1;
                    continue;
                }
                (Some(Part::One), Some(_)) => {
                    spans.push((in_text, in_text + 1));
                    at += 1;
                    in_text += 1;
                    continue;
                }
                (Some(Part::Char(wanted)), Some(char)) if *wanted == char => {
                    at += 1;
                    in_text += 1;
                    continue;
                }
                (None, None) => break,
                _ => {}
            }
            // No match from here: the last `*` takes one character more.
            let (star_at, span, end) = star?;
            if end >= text.len() {
                return None;
            }
            star = Some((star_at, span, end + 1));
            spans.truncate(span + 1);
            spans.last_mut()?.1 = end + 1;
            at = star_at + 1;
            in_text = end + 1;
        }
        spans
            .into_iter()
            .map(|(from, to)| text.get(from..to).map(|chars| chars.iter().collect()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards_and_what_they_stand_for() {
        for (pattern, text, expected) in [
            ("cam", "cam", Some(vec![])),
            ("cam", "cam1", None),
            ("cam*", "cam", Some(vec![""])),
            ("cam*", "cam12", Some(vec!["12"])),
            ("*-*", "a-b-c", Some(vec!["a", "b-c"])),
            ("*.ts", "a.ts.ts", Some(vec!["a.ts"])),
            ("room/?/*", "room/7/cam", Some(vec!["7", "cam"])),
            ("?", "", None),
            ("?", "ä", Some(vec!["ä"])),
            ("a*b?c", "axxbyc", Some(vec!["xx", "y"])),
            ("", "", Some(vec![])),
            ("", "a", None),
            ("**", "ab", Some(vec!["", "ab"])),
        ] {
            let expected: Option<Vec<String>> =
                expected.map(|parts| parts.into_iter().map(str::to_owned).collect());
            assert_eq!(
                Glob::new(pattern).captures(text),
                expected,
                "{pattern} {text}"
            );
        }
    }

    /// The definition, without regard to time.
    fn by_definition(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, rest) => rest.is_none(),
            (Some(('*', after)), _) => {
                (0..=text.len()).any(|taken| by_definition(after, &text[taken..]))
            }
            (Some(('?', after)), Some((_, rest))) => by_definition(after, rest),
            (Some((wanted, after)), Some((char, rest))) => {
                wanted == char && by_definition(after, rest)
            }
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let glob = Glob::new(&pattern);
            let captures = glob.captures(&text);
            prop_assert_eq!(captures.is_some(), by_definition(&chars(&pattern), &chars(&text)));
            if let Some(captures) = captures {
                // Put back in place of the wildcards, they give the text.
                prop_assert_eq!(captures.len(), glob.wildcards());
                let mut captures = captures.into_iter();
                let rebuilt: String = pattern
                    .chars()
                    .map(|c| match c {
                        '*' | '?' => captures.next().unwrap(),
                        c => c.to_string(),
                    })
                    .collect();
                prop_assert_eq!(rebuilt, text);
            }
        }
    }

    #[test]
    fn hostile_patterns_take_no_time() {
        let pattern = Glob::new(&"*a".repeat(200));
        assert!(!pattern.matches(&format!("{}b", "a".repeat(2000))));
    }
}
