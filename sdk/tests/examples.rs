//! Every hook and every function of the host has an example in its
//! documentation, which `cargo test --doc` runs.

use std::path::Path;

/// The functions of a file that begin with `start` and have no example.
fn without_example(file: &str, start: &str) -> (usize, Vec<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let (mut functions, mut missing, mut example) = (0, Vec::new(), false);
    for line in text.lines() {
        let trimmed = line.trim_start();
        if let Some(name) = line.strip_prefix(start) {
            functions += 1;
            if !example {
                missing.push(format!("{file}: {name}"));
            }
        }
        example = trimmed.starts_with("///") && (example || trimmed == "/// ```");
    }
    (functions, missing)
}

#[test]
fn every_hook_has_an_example() {
    let (functions, missing) = without_example("app.rs", "    fn ");
    assert_eq!(missing, [""; 0]);
    // Those of `lifecycle`, `policy`, `events` and `calls`.
    assert!(functions >= 15, "{functions}");
}

#[test]
fn every_function_of_the_host_has_an_example() {
    for (file, count) in [
        ("clock.rs", 1),
        ("control.rs", 11),
        ("http_client.rs", 1),
        ("kv.rs", 6),
        ("log.rs", 1),
        ("registry.rs", 5),
        ("timers.rs", 2),
    ] {
        let (functions, missing) = without_example(file, "pub fn ");
        // `log::debug` shows the other levels, too.
        let shown = ["log.rs: info(", "log.rs: warn(", "log.rs: error("];
        let missing = missing.into_iter();
        let missing: Vec<_> = missing
            .filter(|line| !shown.iter().any(|shown| line.starts_with(shown)))
            .collect();
        assert_eq!(missing, [""; 0]);
        assert!(functions >= count, "{file}: {functions}");
    }
}
