//! One script of values, `values.txt`, against the real host and against
//! `host plugin test`. `sdk/tests/values.rs` has the third part.

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::state::run;
use crate::support::{App, Config, Host, guests, together};

const SOON: Duration = Duration::from_secs(20);

/// A line of the script.
struct Line {
    /// The answer may take a moment.
    soon: bool,
    method: &'static str,
    args: &'static str,
    answer: &'static str,
}

fn script() -> Vec<Line> {
    let lines = include_str!("values.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines = lines.map(|line| {
        let (command, answer) = line.split_once("=>").expect("a command and its answer");
        let (soon, command) = match command.strip_prefix("soon ") {
            Some(command) => (true, command),
            None => (false, command),
        };
        let command = command.trim();
        let (method, args) = command.split_once(' ').unwrap_or((command, ""));
        Line {
            soon,
            method,
            args,
            answer: answer.trim(),
        }
    });
    lines.collect()
}

#[test]
fn one_script_has_the_same_answers_everywhere() {
    let _guard = together();
    in_the_host();
    in_cases();
}

fn in_the_host() {
    let host = Host::start(&Config::live(App::probe("accept")));
    for line in script() {
        let deadline = Instant::now() + SOON;
        loop {
            let answer = run(&host, "live", line.method, line.args);
            if answer == line.answer {
                break;
            }
            assert!(
                line.soon && Instant::now() < deadline,
                "{} {}: expected {:?}, found {answer:?}",
                line.method,
                line.args,
                line.answer
            );
        }
    }
    host.stop();
}

fn in_cases() {
    let mut steps = String::new();
    for line in script() {
        if line.soon {
            steps.push_str("Wait(\"10 s\"),\n");
        }
        let (method, args) = (line.method, line.args);
        let query = format!("{{\"mode\": \"do\", \"do\": {method:?}, \"args\": {args:?}}}");
        let expected = format!("Reject(description: {:?})", line.answer);
        let _ = writeln!(steps, "Connect(query: {query}, expect: {expected}),");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cases.ron");
    let cases = format!("(cases: [(name: \"values\", steps: [\n{steps}])])");
    std::fs::write(&file, cases).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_host"))
        .args(["plugin", "test"])
        .args([guests::probe(), file])
        .output()
        .expect("the host starts");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success(), "{text}");
}
