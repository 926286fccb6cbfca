//! The tools for authors of plugins, as their users run them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::support::log::{Log, START};
use crate::support::process::{Process, Signal};
use crate::support::together;

/// A build from nothing, on a machine that does other things too.
const BUILD_LIMIT: Duration = Duration::from_secs(300);

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn plugin(name: &str) -> PathBuf {
    Path::new(REPOSITORY).join(format!("target/plugins/{name}.wasm"))
}

fn host(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_host"))
        .args(arguments)
        .output()
        .expect("the host starts")
}

/// What `host plugin test` says about static-keys and these cases, and whether
/// they passed.
fn test(cases: &str, more: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cases.ron");
    std::fs::write(&file, cases).unwrap();
    let plugin = plugin("static-keys");
    let mut arguments = vec!["plugin", "test"];
    arguments.extend([plugin.to_str().unwrap(), file.to_str().unwrap()]);
    arguments.extend(more);
    let output = host(&arguments);
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// The cases of the folder `plugins/FOLDER` pass with the plugin of this name,
/// and no decision depends on which instance makes it, or on their order.
pub(crate) fn passes(name: &str, folder: &str, more: &[&str]) {
    let cases = format!("{REPOSITORY}/plugins/{folder}/cases.ron");
    let plugin = plugin(name);
    let plugin = plugin.to_str().unwrap();
    let together = ["--instances", "3", "--shuffle"];
    let arguments = [&["plugin", "test", plugin, &cases][..], more, &together].concat();
    let output = host(&arguments);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("0 decisions changed"), "{text}");
}

#[test]
fn the_cases_of_shipped_plugins_pass() {
    let _guard = together();
    let plugins = std::fs::read_dir(format!("{REPOSITORY}/plugins")).unwrap();
    let folders = plugins.map(|entry| entry.unwrap().path());
    // Those of plugins/lang are for several plugins: see languages.rs.
    let of_one = folders.filter(|folder| folder.join("Cargo.toml").exists());
    let with_cases: Vec<_> = of_one.filter(|f| f.join("cases.ron").exists()).collect();
    assert!(!with_cases.is_empty());
    for folder in with_cases {
        let name = folder.file_name().unwrap().to_str().unwrap();
        passes(name, name, &[]);
    }
}

#[test]
fn a_failed_case_shows_the_field_and_its_line() {
    let (passed, text) = test(
        r#"(
    config: (publish: {"keys": ["k"]}),
    cases: [(
        name: "replaces",
        steps: [
            Publish(query: {"key": "k"}, expect: Accept(on_duplicate: Replace)),
            Publish(query: {"key": "x"}, expect: Accept),
        ],
    )],
)"#,
        &[],
    );
    assert!(!passed, "{text}");
    for expected in [
        "FAILED  replaces",
        "cases.ron:6: step 1, Publish \"cam1\"",
        "decision: on_duplicate",
        "- expected Replace",
        "+ got      Reject",
        "cases.ron:7: step 2, Publish \"cam1\"",
        "+ got      Reject(code: \"NetStream.Publish.Denied\"",
        "1 of 1 cases failed",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
}

#[test]
fn a_password_that_differs_is_shown_beside_the_expected_one() {
    let cases = r#"(
    config: (publish: "users", users: {"ann": "s3cret"}),
    cases: [(
        name: "logs in",
        steps: [
            Authenticate(expect: Challenge("llnw")),
            Credential(user: "ann", expect: Password("other")),
            Credential(user: "bob", expect: Adobe(salt: "s")),
        ],
    )],
)"#;
    let (passed, text) = test(cases, &[]);
    assert!(!passed, "{text}");
    for expected in [
        "cases.ron:6: step 1, Authenticate \"live\"",
        "- expected Challenge(\"llnw\")",
        "+ got      NoChallenge",
        "cases.ron:7: step 2, Credential \"ann\"",
        "- expected \"other\"",
        "+ got      \"s3cret\"",
        "cases.ron:8: step 3, Credential \"bob\"",
        "- expected Adobe(salt: \"s\")",
        "+ got      NoUser",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
}

#[test]
fn a_question_of_an_interface_that_is_not_there_fails_its_case() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cases.ron");
    let cases = r#"(cases: [(name: "a", steps: [Credential(user: "ann", expect: NoUser)])])"#;
    std::fs::write(&file, cases).unwrap();
    let (plugin, file) = (plugin("allow-all"), file.to_str().unwrap());
    let output = host(&["plugin", "test", plugin.to_str().unwrap(), file]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("does not export livehost:app/auth"), "{text}");
}

#[test]
fn events_of_relays_are_steps_of_a_case() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cases.ron");
    let cases = r#"(
    config: {"mode": "accept"},
    cases: [(
        name: "told",
        steps: [
            RelayUp(relay: (direction: "pull"), log: [Info(message: Contains("relay-up pull cam1"))]),
            RelayFailed(
                relay: (name: "cam2", attempt: 2),
                failure: (reason: "refused", up_ms: 5, retry_ms: None),
                log: [Info(message: "event relay-lost push cam2 rtmp://backup.example:1935/live 2 no-more refused")],
            ),
            RelayEnded(reason: "stopped", log: [Info(message: Contains("1 stopped"))]),
        ],
    )],
)"#;
    std::fs::write(&file, cases).unwrap();
    let (plugin, file) = (plugin("test/probe"), file.to_str().unwrap());
    let output = host(&["plugin", "test", plugin.to_str().unwrap(), file]);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success(), "{text}");
}

#[test]
fn decisions_on_shared_objects_are_tested_by_cases() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cases.ron");
    let cases = r#"(
    config: (mode: "accept"),
    cases: [(
        name: "objects",
        steps: [
            SharedObject(name: "closed", expect: Deny),
            SharedObject(operation: Set, property: "lower", values: ["HI"], expect: Rewrite(["hi"])),
            SharedObject(operation: Clear, persistent: true, expect: Allow),
            SharedObject(operation: Send, values: ["spam", 1.0], expect: Allow),
        ],
    )],
)"#;
    std::fs::write(&file, cases).unwrap();
    let (plugin, file) = (plugin("test/probe"), file.to_str().unwrap());
    let plugin = plugin.to_str().unwrap();
    let output = host(&["plugin", "test", plugin, file]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("cases.ron:9: step 4, SharedObject \"room\""),
        "{text}"
    );
    assert!(text.contains("- expected Allow"), "{text}");
    assert!(text.contains("+ got      Deny"), "{text}");
    assert!(!text.contains("step 1") && !text.contains("step 2") && !text.contains("step 3"));
    let text = host(&["plugin", "inspect", plugin]).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("shared-objects decides on clients"), "{text}");
}

#[test]
fn mistakes_in_cases_are_shown_at_their_place() {
    let cases = r#"(cases: [(name: "a", steps: [Publish(nam: "x", expect: Acept)])])"#;
    let (passed, text) = test(cases, &[]);
    assert!(!passed);
    for expected in [
        "cases.ron:1:38",
        "found `nam`",
        "did you mean `Accept`?",
        "2 problems",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
}

#[test]
fn a_refused_configuration_fails_a_case_that_does_not_expect_it() {
    let (passed, text) = test(r#"(config: (publis: 1), cases: [(name: "a")])"#, &[]);
    assert!(!passed, "{text}");
    assert!(text.contains("unknown field `publis`"), "{text}");
}

#[test]
fn inspect_tells_interface_capabilities_and_hash() {
    let file = plugin("http-auth");
    let output = host(&["plugin", "inspect", file.to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{output:?}");
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["version"], "0.1.0");
    assert_eq!(shown["problems"], serde_json::json!([]));
    let capabilities = shown["capabilities"].as_array().unwrap();
    let names: Vec<_> = capabilities
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"http"), "{names:?}");
    assert_eq!(shown["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn inspect_tells_which_optional_interfaces_are_exported() {
    let optional = |name: &str| {
        let file = plugin(name);
        let file = file.to_str().unwrap();
        let output = host(&["plugin", "inspect", file, "--json"]);
        let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let optional = shown["optional"].as_array().unwrap();
        assert!(
            optional.iter().all(|entry| entry["called"] == true),
            "{shown}"
        );
        let names = optional
            .iter()
            .map(|entry| entry["name"].as_str().unwrap().to_owned());
        let text = host(&["plugin", "inspect", file]).stdout;
        (names.collect::<Vec<_>>(), String::from_utf8(text).unwrap())
    };
    let (names, text) = optional("static-keys");
    assert_eq!(names, ["auth", "auth-need"]);
    assert!(text.contains("auth         has clients log in"), "{text}");
    let (names, text) = optional("http-auth");
    assert_eq!(names, ["events", "calls"]);
    assert!(!text.contains("log in"), "{text}");
}

/// What a policy adds for them.
const OPTIONAL: &str = r#"
use livehost_sdk::{
    Authenticate, Challenge, ConnectRequest, Credential, ObjectDecision, ObjectRequest, Relays,
    ShareObjects,
};

impl Relays for Policy {}

impl Authenticate for Policy {
    fn on_authenticate(&self, _: &ConnectRequest) -> Option<Challenge> {
        None
    }

    fn on_credential(&self, _: &ConnectRequest, _: &str) -> Option<Credential> {
        None
    }
}

impl ShareObjects for Policy {
    fn on_shared_object(&self, _: &ObjectRequest) -> ObjectDecision {
        ObjectDecision::when(true)
    }
}
"#;

/// From nothing to a policy that is replaced live, as docs/tutorial.md does it.
#[test]
fn a_new_rust_plugin_builds_passes_its_cases_and_reloads_when_saved() {
    let _guard = together();
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_host"));
        let output = command
            .args(arguments)
            .current_dir(folder.path())
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .expect("the host starts");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}");
        text
    };
    run(&["plugin", "new", "studio", "--lang", "rust"]);
    let config = r#"(
        log: (format: Json),
        applications: {"live": (plugin: "studio/studio.wasm")},
        acceptors: [(listen: "127.0.0.1:0")],
    )"#;
    std::fs::write(folder.path().join("config.ron"), config).unwrap();
    let mut process = Process::spawn(
        "host dev",
        Command::new(env!("CARGO_BIN_EXE_host"))
            .args(["dev", "config.ron"])
            .current_dir(folder.path())
            // Its control socket is nobody else's to find.
            .env("XDG_RUNTIME_DIR", folder.path())
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUST_LOG"),
    );
    let log = Log(process.stderr.clone());
    log.wait(START, "ready", &[], BUILD_LIMIT);
    let text = run(&["plugin", "test", "studio/studio.wasm", "studio/cases.ron"]);
    assert!(text.contains("3 cases: 3 ok"), "{text}");
    let source = folder.path().join("studio/src/lib.rs");
    let text = std::fs::read_to_string(&source).unwrap();

    // A mistake is shown, and the server goes on.
    let mark = process.stderr.len();
    std::fs::write(
        &source,
        text.replace("Ok(PublishGrant::default())", "Ok(nonsense)"),
    )
    .unwrap();
    let shown = process
        .stderr
        .wait(mark, Instant::now() + BUILD_LIMIT, |line| {
            line.text
                .contains("cannot find value `nonsense`")
                .then_some(())
        });
    assert!(shown.is_some(), "{}", process.tail());

    // With every optional interface that has a trait of its own.
    let edited = Instant::now();
    let text = text.replace("only {prefix}*", "nobody but {prefix}*");
    let text = text.replace(
        "export!(Policy);",
        "export!(Policy, auth, relays, shared_objects);",
    );
    std::fs::write(&source, text + OPTIONAL).unwrap();
    let fields = [("generation", "2")];
    log.wait(START, "plugin generation serving", &fields, BUILD_LIMIT);
    println!("edit to effect: {:?}", edited.elapsed());
    let text = run(&["plugin", "inspect", "studio/studio.wasm", "--json"]);
    for name in ["events", "calls", "auth", "relays", "shared-objects"] {
        let shown = format!("\"name\": \"{name}\",\n      \"called\": true");
        assert!(text.contains(&shown), "{name}: {text}");
    }
    process.signal(Signal::Terminate);
    let exit = process.wait(Duration::from_secs(20));
    assert!(exit.status.success(), "{}", exit.stderr);
}
