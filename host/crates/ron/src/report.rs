//! What is wrong with a file, shown at the place.
//!
//! Flows in: problems with byte ranges of the file's text. Flows out: text
//! for a terminal or a log, each problem with `file:line:column`, the field,
//! what was expected and what came, and the line with the place marked:
//!
//! ```text
//! config.ron:12:18: applications."live".limits.cpu: expected a duration with its unit, like "50 ms"; found 50
//!    |
//! 12 |             cpu: 50,
//!    |                  ^^
//! ```

use std::{
    collections::BTreeSet,
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use crate::mask::Mask;

/// The words that may show in a log although the file is no RON: the names of the
/// fields it may have.
pub type FieldNames = fn() -> BTreeSet<String>;

/// Problems of a file that go to the log.
const LOGGED: usize = 8;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where in the text, in bytes.
    pub span: Range<usize>,
    /// The field, like `applications."live".limits.cpu`; empty for the whole
    /// file.
    pub field: String,
    /// What was expected and what came.
    pub message: String,
    /// What to do about it, if that is known.
    pub help: Option<String>,
}

/// All problems of one file, with the lines they are on.
#[derive(Clone, PartialEq, Eq)]
pub struct ProblemReport {
    file: PathBuf,
    text: String,
    problems: Vec<Problem>,
}

impl ProblemReport {
    /// A report on the file called `file` with the content `text`.
    pub fn new(file: &Path, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span.start);
        Self {
            file: file.to_owned(),
            text: text.to_owned(),
            problems,
        }
    }

    /// The problems, in the order of the file.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// One line for a log: the first problem with its place, and how many there
    /// are. Texts are masked as [`Self::lines`] does it.
    #[must_use]
    pub fn brief(&self, names: FieldNames) -> String {
        let mask = Mask::of(&self.text, names);
        let first = self.problems.first().map_or_else(String::new, |problem| {
            let place = LinePosition::find(&self.text, &problem.span, Some(&mask));
            self.head(problem, &place, Some(&mask))
        });
        match self.problems.len() {
            0 | 1 => first,
            count => format!("{first} (and {} more)", count - 1),
        }
    }

    /// What [`fmt::Display`] shows, in lines for a log, and no more than
    /// 8 problems of it. Texts in quotes are masked, what is wrong as
    /// well, since they may be keys, and logs go far.
    #[must_use]
    pub fn lines(&self, names: FieldNames) -> Vec<String> {
        let mask = Mask::of(&self.text, names);
        let mut lines = Vec::new();
        for problem in self.problems.iter().take(LOGGED) {
            let mut shown = String::new();
            // Writing to a String can't fail.
            let _ = self.write_problem(&mut shown, problem, Some(&mask));
            lines.extend(shown.lines().map(str::to_owned));
        }
        let count = self.problems.len();
        if count > 1 {
            lines.push(format!("{count} problems in {}", self.file.display()));
        }
        lines
    }
}

impl fmt::Debug for ProblemReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the text: it may hold keys.
        f.debug_struct("ProblemReport")
            .field("file", &self.file)
            .field("problems", &self.problems)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ProblemReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            self.write_problem(f, problem, None)?;
        }
        if self.problems.len() > 1 {
            write!(
                f,
                "\n\n{} problems in {}",
                self.problems.len(),
                self.file.display()
            )?;
        }
        Ok(())
    }
}

impl ProblemReport {
    /// `file:line:column: field: message`
    fn head(&self, problem: &Problem, place: &LinePosition, mask: Option<&Mask>) -> String {
        let field = match problem.field.as_str() {
            "" => String::new(),
            field => format!("{field}: "),
        };
        // What a plugin says about its settings may hold any of them.
        let is_plugins = problem.field.contains(".config");
        let message = match mask {
            Some(mask) => mask.message(&problem.message, &problem.span, is_plugins),
            None => problem.message.clone(),
        };
        format!(
            "{}:{}:{}: {field}{message}",
            self.file.display(),
            place.line,
            place.column,
        )
    }

    fn write_problem(
        &self,
        f: &mut impl fmt::Write,
        problem: &Problem,
        mask: Option<&Mask>,
    ) -> fmt::Result {
        let place = LinePosition::find(&self.text, &problem.span, mask);
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        let indent = " ".repeat(place.indent);
        let marker = "^".repeat(place.width);
        write!(
            f,
            "{}\n{margin} |\n{number} | {}\n{margin} | {indent}{marker}",
            self.head(problem, &place, mask),
            place.shown
        )?;
        if let Some(help) = &problem.help {
            write!(f, "\n{margin} = help: {help}")?;
        }
        Ok(())
    }
}

/// A place in the text, as a reader sees it.
struct LinePosition {
    /// From 1.
    line: usize,
    /// In characters, from 1, as editors count.
    column: usize,
    /// The line, cut to what fits a terminal.
    shown: String,
    /// Characters of `shown` before the mark.
    indent: usize,
    /// Characters under the mark, at least one.
    width: usize,
}

impl LinePosition {
    /// Longer lines are cut around the place.
    const SHOWN: usize = 100;
    /// What is shown of a cut line before the place.
    const BEFORE: usize = 60;

    fn find(text: &str, span: &Range<usize>, mask: Option<&Mask>) -> Self {
        let start = text.floor_char_boundary(span.start);
        let end = text.ceil_char_boundary(span.end).max(start);
        let (before, after) = text.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let lead = before.get(line_start..).unwrap_or_default();
        let rest = after.split('\n').next().unwrap_or_default();
        let rest = rest.strip_suffix('\r').unwrap_or(rest);
        let marked = rest.get(..end - start).unwrap_or(rest);

        let column = lead.chars().count();
        let width = marked.chars().count();
        let length = column + rest.chars().count();
        let skip = if length > Self::SHOWN {
            column.saturating_sub(Self::BEFORE)
        } else {
            0
        };
        let line = format!("{lead}{rest}");
        let mut shown: String = line
            .char_indices()
            .map(|(at, c)| match mask {
                Some(mask) if mask.hides(line_start + at) => '*',
                _ => c,
            })
            .skip(skip)
            .take(Self::SHOWN)
            // A tab would move the mark, other control characters the cursor.
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let room = Self::SHOWN.saturating_sub(column - skip);
        if length - skip > Self::SHOWN {
            shown.push('…');
        }
        let mut indent = column - skip;
        if skip > 0 {
            shown.insert(0, '…');
            indent += 1;
        }
        Self {
            line: 1 + before.matches('\n').count(),
            column: column + 1,
            shown: shown.trim_end().to_owned(),
            indent,
            width: width.clamp(1, room.max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str, span: Range<usize>) -> String {
        let problem = Problem {
            span,
            field: "a.b".to_owned(),
            message: "expected x; found y".to_owned(),
            help: None,
        };
        ProblemReport::new(Path::new("f.ron"), text, vec![problem]).to_string()
    }

    #[test]
    fn place_is_marked_below_its_line() {
        assert_eq!(
            render("(\n  a: 12,\n)\n", 7..9),
            "f.ron:2:6: a.b: expected x; found y\n  |\n2 |   a: 12,\n  |      ^^"
        );
    }

    #[test]
    fn a_log_has_the_place_and_no_text_of_the_file() {
        let text = r#"{"live": (keys: ["s3\"cret"], mode: "sloow", key: "other")}"#;
        let wrong = text.find("\"sloow").unwrap();
        let problem = Problem {
            span: wrong..wrong + 7,
            field: "a.b".to_owned(),
            message: "expected x; found \"sloow\"".to_owned(),
            help: Some("write \"slow\"".to_owned()),
        };
        let report = ProblemReport::new(Path::new("f.ron"), text, vec![problem; 20]);
        let lines = report.lines(BTreeSet::new);
        let first = "f.ron:1:37: a.b: expected x; found \"***\"";
        assert_eq!(lines[0], first);
        assert_eq!(
            report.brief(BTreeSet::new),
            format!("{first} (and 19 more)")
        );
        let shown = r#"1 | {"****": (keys: ["********"], mode: "*****", key: "*****")}"#;
        assert_eq!(lines[2], shown);
        assert_eq!(lines[3].find('^'), text.find("\"sloow").map(|at| at + 4));
        assert_eq!(lines[4], "  = help: write \"slow\"");
        assert_eq!(lines.len(), 8 * 5 + 1, "{lines:?}");
        assert_eq!(lines.last().unwrap(), "20 problems in f.ron");
        // The terminal has all of it.
        assert!(report.to_string().contains(text), "{report}");
        assert!(report.to_string().contains("found \"sloow\""), "{report}");
    }

    #[test]
    fn columns_count_characters_and_carriage_returns_are_not_shown() {
        assert_eq!(
            render("(\r\n\té: 12,\r\n)", 8..10),
            "f.ron:2:5: a.b: expected x; found y\n  |\n2 |  é: 12,\n  |     ^^"
        );
    }

    #[test]
    fn range_over_several_lines_marks_its_first() {
        assert_eq!(
            render("(a: [\n1])", 4..9),
            "f.ron:1:5: a.b: expected x; found y\n  |\n1 | (a: [\n  |     ^"
        );
    }

    #[test]
    fn end_of_file_has_a_place() {
        assert_eq!(
            render("(a\n", 3..3),
            "f.ron:2:1: a.b: expected x; found y\n  |\n2 | \n  | ^"
        );
        // Past the end, and within a character: never a panic.
        assert!(render("é", 1..400).starts_with("f.ron:1:1:"));
        assert!(render("", 7..9).starts_with("f.ron:1:1:"));
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = format!("{}HERE{}", "a".repeat(500), "b".repeat(500));
        let shown = render(&text, 500..504);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].starts_with("f.ron:1:501:"), "{shown}");
        assert!(lines[2].chars().count() < 120, "{shown}");
        let mark = lines[3].find('^').unwrap();
        let under: String = lines[2].chars().skip(mark).take(4).collect();
        assert_eq!(under, "HERE");
        assert_eq!(lines[3].matches('^').count(), 4);
    }

    #[test]
    fn problems_come_in_the_order_of_the_file() {
        let problem = |start: usize| Problem {
            span: start..start + 1,
            field: String::new(),
            message: format!("at {start}"),
            help: Some("do that".to_owned()),
        };
        let report = ProblemReport::new(Path::new("f"), "abc", vec![problem(2), problem(0)]);
        let shown = report.to_string();
        assert!(shown.find("at 0").unwrap() < shown.find("at 2").unwrap());
        assert!(shown.contains("\n  = help: do that\n"), "{shown}");
        assert!(shown.ends_with("2 problems in f"));
        assert_eq!(report.brief(BTreeSet::new), "f:1:1: at 0 (and 1 more)");
    }
}
