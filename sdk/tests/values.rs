//! The script of values that the real host and `host plugin test` run, against
//! the [`MockHost`]: see `host/tests/e2e/conformance`.

use std::time::Duration;

use livehost_sdk::{kv, testing::MockHost};

#[path = "../../host/tests/guests/probe/src/commands.rs"]
mod commands;

const SCRIPT: &str = include_str!("../../host/tests/e2e/conformance/values.txt");

#[test]
fn the_script_has_the_same_answers_in_the_mock_host() {
    let host = MockHost::new();
    let lines = SCRIPT.lines();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (command, answer) = line.split_once("=>").expect("a command and its answer");
        let command = match command.strip_prefix("soon ") {
            Some(command) => {
                // As the probe does.
                for key in host.advance(Duration::from_secs(10)) {
                    kv::incr(&format!("timer:{key}"), 1, None).unwrap();
                }
                command
            }
            None => command,
        };
        let command = command.trim();
        let (method, args) = command.split_once(' ').unwrap_or((command, ""));
        let found = commands::run(method, args).unwrap_or_else(|error| error);
        assert_eq!(found, answer.trim(), "{line}");
    }
}
