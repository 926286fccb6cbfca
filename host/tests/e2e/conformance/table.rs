//! docs/conformance.md, held to the interface, to the SDK's documentation, and
//! to the tests that it names.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::support::workspace;

/// The files of the SDK that plugins are written with.
const SDK: [&str; 16] = [
    "app",
    "auth",
    "clock",
    "config",
    "control",
    "decision",
    "export",
    "http_client",
    "kv",
    "lib",
    "log",
    "registry",
    "rejection",
    "relays",
    "shared_objects",
    "timers",
];

/// What is promised and not there yet, each once.
const NOT_YET: [&str; 0] = [];

fn text_of(path: &str) -> String {
    let path: PathBuf = workspace().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A sentence, the file it is in, and what it is about.
type Sentence = (String, String, String);

/// The sentences of a text: they end with a full stop before a capital, a quote
/// or a parenthesis.
fn sentences(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut found = vec![String::new()];
    for (index, word) in words.iter().enumerate() {
        let last = found.last_mut().expect("never empty");
        if !last.is_empty() {
            last.push(' ');
        }
        last.push_str(word);
        let next = words.get(index + 1).and_then(|next| next.chars().next());
        let begins = |c: char| c.is_ascii_uppercase() || "`\"([".contains(c);
        if word.ends_with(['.', '?', '!']) && next.is_some_and(begins) {
            found.push(String::new());
        }
    }
    found.retain(|sentence| !sentence.is_empty());
    found
}

/// The comments of a file of the interface, with the path of what each is about.
fn of_interface(file: &str) -> Vec<Sentence> {
    let mut found = Vec::new();
    let mut block = String::new();
    let mut path: Vec<String> = Vec::new();
    let text = text_of(file);
    for line in text.lines() {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix("///") {
            block.push_str(comment);
            continue;
        }
        let (code, comment) = line.split_once("//").unwrap_or((line, ""));
        let mut words = code.split(|c: char| c.is_whitespace() || "(){}:;,".contains(c));
        let mut name = words.next().unwrap_or_default().trim_start_matches('%');
        if ["interface", "record", "variant", "enum", "world", "type"].contains(&name) {
            name = words.next().unwrap_or_default();
        }
        let mut about = path.clone();
        about.extend((!name.is_empty()).then(|| name.to_owned()));
        for part in [std::mem::take(&mut block).as_str(), comment] {
            for sentence in sentences(part) {
                found.push((file.to_owned(), about.join("."), sentence));
            }
        }
        for c in code.chars() {
            match c {
                '{' => path.push(name.to_owned()),
                '}' => _ = path.pop(),
                _ => {}
            }
        }
    }
    found
}

/// The documentation in a file of the SDK, without its examples, with the name
/// of what follows it.
fn of_sdk(name: &str) -> Vec<Sentence> {
    let file = format!("sdk/src/{name}.rs");
    let text = text_of(&file);
    let mut found = Vec::new();
    let mut paragraphs = vec![String::new()];
    let mut is_example = false;
    for line in text.lines() {
        let line = line.trim();
        let doc = line.strip_prefix("///").or(line.strip_prefix("//!"));
        match doc.map(str::trim) {
            Some(doc) if doc.starts_with("```") => is_example = !is_example,
            Some(_) if is_example => {}
            Some(doc) if doc.is_empty() || doc.starts_with('#') => paragraphs.push(String::new()),
            Some(doc) => {
                let last = paragraphs.last_mut().expect("never empty");
                last.push(' ');
                last.push_str(doc);
            }
            None if line.starts_with("#[") => {}
            None => {
                let about = if line.is_empty() {
                    name.to_owned()
                } else {
                    item(line)
                };
                for paragraph in std::mem::replace(&mut paragraphs, vec![String::new()]) {
                    for sentence in sentences(&paragraph) {
                        found.push((file.clone(), about.clone(), sentence));
                    }
                }
            }
        }
    }
    found
}

/// The name in `pub fn name(...)`, `Variant,` or `field: Type`.
fn item(line: &str) -> String {
    const KINDS: [&str; 8] = [
        "fn",
        "struct",
        "enum",
        "trait",
        "mod",
        "const",
        "type",
        "macro_rules!",
    ];
    let words: Vec<&str> = line.split_whitespace().collect();
    let kind = words.iter().position(|word| KINDS.contains(word));
    let name = words.get(kind.map_or(0, |kind| kind + 1));
    let name = name.copied().unwrap_or_default();
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
    name[..end.unwrap_or(name.len())].to_owned()
}

struct Row {
    sentence: Sentence,
    tests: Vec<String>,
    doubles: String,
}

/// The rows of all tables, each under the heading with its file; those of the
/// last section name theirs and have no test.
fn rows() -> Vec<Row> {
    let text = text_of("docs/conformance.md");
    let mut rows = Vec::new();
    let mut file = String::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            heading.clone_into(&mut file);
        }
        let Some(cells) = line
            .strip_prefix("| ")
            .and_then(|line| line.strip_suffix(" |"))
        else {
            continue;
        };
        let cells: Vec<String> = cells
            .split(" | ")
            .map(|cell| cell.replace("\\|", "|"))
            .collect();
        match cells.as_slice() {
            [of, says, ..] if of == "of" && says == "says" => {}
            [of, says, tests, doubles] => rows.push(Row {
                sentence: (file.clone(), of.clone(), says.clone()),
                tests: tests
                    .split(' ')
                    .map(|t| t.trim_matches('`').into())
                    .collect(),
                doubles: doubles.clone(),
            }),
            [of, says] => {
                let (file, of) = of.split_once(' ').expect("a file and a name");
                rows.push(Row {
                    sentence: (file.to_owned(), of.to_owned(), says.clone()),
                    tests: Vec::new(),
                    doubles: "-".into(),
                });
            }
            other => panic!("a row of {} cells: {line}", other.len()),
        }
    }
    rows
}

#[test]
fn every_sentence_has_its_row_and_every_row_its_sentence() {
    let mut said = Vec::new();
    for name in ["imports", "types", "world"] {
        said.extend(of_interface(&format!("wit/0.1/{name}.wit")));
    }
    assert!(said.len() > 100, "{} sentences", said.len());
    for name in SDK {
        said.extend(of_sdk(name));
    }
    let said: BTreeSet<Sentence> = said.into_iter().collect();
    let rows: BTreeSet<Sentence> = rows().into_iter().map(|row| row.sentence).collect();
    let lines = |sentences: &mut dyn Iterator<Item = &Sentence>| {
        let lines = sentences.map(|(file, of, says)| format!("\n{file}: | {of} | {says} |"));
        lines.collect::<String>()
    };
    let without_row = lines(&mut said.difference(&rows));
    let without_sentence = lines(&mut rows.difference(&said));
    assert!(
        without_row.is_empty() && without_sentence.is_empty(),
        "docs/conformance.md has no row for:{without_row}\n\nand rows for what nobody says:{without_sentence}"
    );
}

#[test]
fn every_test_of_the_table_is_there() {
    let mut not_yet = BTreeSet::new();
    for Row {
        sentence: (file, of, says),
        tests,
        doubles,
    } in rows()
    {
        let row = format!("{file}: {of}: {says}");
        if tests == ["not", "yet"] {
            not_yet.insert(format!("{of}: {says}"));
            continue;
        }
        for test in &tests {
            let (path, name) = test
                .split_once("::")
                .unwrap_or_else(|| panic!("no test: {test:?} of {row}"));
            let source = text_of(path);
            let function = format!("fn {name}(");
            let mut before = source
                .split_once(function.as_str())
                .unwrap_or_else(|| panic!("no function {name} in {path}, for {row}"))
                .0
                .lines()
                .rev()
                .skip_while(|line| line.trim().is_empty())
                .take_while(|line| !line.trim().is_empty());
            let is_test = before.any(|line| line.contains("#[test]") || line.contains("::test"));
            assert!(is_test, "{test} is no test, for {row}");
        }
        let known = ["same", "cases", "-"].contains(&doubles.as_str());
        assert!(known, "doubles {doubles:?} of {row}");
        let runs_the_script = tests
            .iter()
            .any(|test| test.contains("conformance/values.rs::"));
        assert_eq!(doubles == "same", runs_the_script, "{row}");
    }
    let not_yet: Vec<String> = not_yet.into_iter().collect();
    assert_eq!(not_yet, NOT_YET);
}
