//! What plugins keep outlives the process, and what was compiled is not
//! compiled again.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

use crate::support::{
    App, Config, Host, alone, guests, host,
    log::{Mark, START},
    process::Signal,
    rtmp::Client,
    together,
};

const SOON: Duration = Duration::from_secs(20);

/// What the probe's command returned.
pub(crate) fn run(host: &Host, app: &str, command: &str, args: &str) -> String {
    let args = args.replace(' ', "%20");
    let app = format!("{app}?mode=do&do={command}&args={args}");
    let refused = Client::connect(host.addr, &app).expect_err("the probe refuses with its answer");
    refused.description().to_owned()
}

/// Two applications that keep their state in `state`.
fn config(state: &Path) -> Config {
    let app = || App::probe("accept").limits("kv: \"64 KiB\"");
    Config::live(app())
        .and("other", app())
        .state(state)
        .level("info,livehost_plugin=debug")
}

/// Waits until what was written before `mark` is on disk.
fn saved(host: &Host, mark: Mark) {
    host.log.wait(mark, "plugin state saved", &[], SOON);
}

#[test]
fn state_survives_an_orderly_stop_and_a_crash() {
    let _guard = together();
    let folder = host::folder();
    let state = folder.path().join("state");
    let config = config(&state);

    let host = Host::start(&config);
    assert!(!state.join("kv.redb").exists(), "nothing to keep yet");
    let version = run(&host, "live", "kv-set", "key value");
    assert_eq!(run(&host, "other", "kv-get", "key"), "none");
    let other = run(&host, "other", "kv-set", "key else");
    run(&host, "live", "kv-set", "hour h 3600000");
    run(&host, "live", "kv-set", "moment m 1000");
    assert_eq!(run(&host, "live", "kv-incr", "count 41"), "41");
    let full = run(&host, "live", "kv-fill", "big 70000");
    assert!(full.contains("Quota"), "{full}");
    let expired = Instant::now() + Duration::from_secs(1);
    // Stopped at once: nothing waits for the writer's next turn.
    host.stop();

    let mut host = Host::start(&config);
    assert_eq!(
        run(&host, "live", "kv-get", "key"),
        format!("{version} value")
    );
    assert_eq!(
        run(&host, "other", "kv-get", "key"),
        format!("{other} else")
    );
    assert!(run(&host, "live", "kv-get", "hour").ends_with(" h"));
    assert_eq!(run(&host, "live", "kv-incr", "count 1"), "42");
    while Instant::now() < expired {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(run(&host, "live", "kv-get", "moment"), "none");
    let cas = format!("key swapped {version}");
    assert_eq!(run(&host, "live", "kv-cas", &cas), "true");
    run(&host, "other", "kv-delete", "key");
    let mark = host.log.mark();
    run(&host, "live", "kv-set", "last one");
    saved(&host, mark);
    host.process.signal(Signal::Kill);
    host.process.wait(SOON);

    let mut host = Host::start(&config);
    assert!(run(&host, "live", "kv-get", "key").ends_with(" swapped"));
    assert!(run(&host, "live", "kv-get", "last").ends_with(" one"));
    assert_eq!(run(&host, "other", "kv-get", "key"), "none");
    assert_eq!(run(&host, "live", "kv-incr", "count 0"), "42");
    // Killed in the middle of writing: some of it may be lost, no more.
    let mut newest = 0;
    for n in 43..80 {
        assert_eq!(run(&host, "live", "kv-incr", "count 1"), n.to_string());
        let told = run(&host, "live", "kv-set", "mark x");
        newest = told.parse::<u64>().expect("a version");
    }
    host.process.signal(Signal::Kill);
    host.process.wait(SOON);

    let host = Host::start(&config);
    let count: u32 = run(&host, "live", "kv-incr", "count 0")
        .parse()
        .expect("a number");
    assert!((42..80).contains(&count), "{count}");
    let version: u64 = run(&host, "live", "kv-set", "mark y")
        .parse()
        .expect("a version");
    assert!(version > newest, "{version} was given out before");
    host.stop();
}

#[test]
fn limits_change_while_it_serves_and_the_state_stays() {
    let _guard = together();
    let folder = host::folder();
    let state = folder.path().join("state");
    let with = |limits: &str| Config::live(App::probe("accept").limits(limits)).state(&state);
    let host = Host::start(&with("kv: \"64 KiB\", decision: \"20 s\""));
    run(&host, "live", "kv-fill", "big 40000");
    let mark = host.log.mark();
    let text = with("kv: \"1 KiB\", decision: \"1 s\"").text();
    guests::replace(&host.file("config.ron"), text.as_bytes());
    host.log.wait(mark, "configuration in force", &[], SOON);
    assert_ne!(run(&host, "live", "kv-get", "big"), "none");
    assert!(run(&host, "live", "kv-fill", "more 100").contains("Quota"));
    let mark = host.log.mark();
    Client::connect(host.addr, "live?mode=sleep-on-connect").expect_err("it sleeps for ever");
    let failed = host
        .log
        .wait(mark, "no decision from the plugin", &[], SOON);
    let error = failed.field("error").expect("a failure has a reason");
    assert!(error.contains("wall deadline of 1000 ms"), "{error}");
    host.stop();
}

/// What a server that can't start says in the end.
fn fails(config: &Config) -> String {
    let folder = host::folder();
    let mut process = host::launch(folder.path(), &config.text());
    let exit = process.wait(SOON);
    assert_eq!(exit.status.code(), Some(1), "{}", exit.stderr);
    let error = exit.stderr.lines().last().unwrap_or_default();
    error.to_owned()
}

#[test]
fn state_that_can_not_be_used_prevents_a_start() {
    let _guard = together();
    let folder = host::folder();
    let state = folder.path().join("state");
    let config = config(&state);
    let host = Host::start(&config);
    let mark = host.log.mark();
    run(&host, "live", "kv-set", "key value");
    saved(&host, mark);
    let error = fails(&config);
    assert!(
        error.contains("kv.redb") && error.contains("another process uses it"),
        "{error}"
    );
    host.stop();

    let file = state.join("kv.redb");
    fs::write(&file, b"damaged").expect("the file can be written");
    let error = fails(&config);
    assert!(
        error.contains("kv.redb") && error.contains("is damaged"),
        "{error}"
    );
    assert_eq!(fs::read(&file).expect("it is still there"), b"damaged");
}

#[test]
fn a_check_neither_reads_nor_writes_state() {
    let _guard = together();
    let folder = host::folder();
    let state = folder.path().join("state");
    let text = config(&state).text();
    let exit = host::check(folder.path(), &text).wait(SOON);
    assert!(exit.status.success(), "{}", exit.stderr);
    assert!(!state.exists(), "a check writes nothing");
    fs::create_dir(&state).expect("a folder");
    fs::write(state.join("kv.redb"), b"damaged").expect("the file can be written");
    let exit = host::check(folder.path(), &text).wait(SOON);
    assert!(exit.status.success(), "{}", exit.stderr);
    assert_eq!(fs::read_dir(&state).expect("a folder").count(), 1);
}

/// Every plugin that ships, each with a configuration that it takes.
fn shipped() -> Config {
    let app = |plugin: &str, config: &str| App::new(guests::guest(plugin), config);
    Config::live(app("allow-all.wasm", "{}"))
        .and("keys", app("static-keys.wasm", "{\"publish\": \"open\"}"))
        .and(
            "jwt",
            app(
                "jwt.wasm",
                "(keys: [(secret: \"0123456789abcdef0123456789abcdef\")])",
            ),
        )
        .and(
            "http",
            app(
                "http-auth.wasm",
                "(shape: \"srs\", hooks: {\"on_publish\": \"http://127.0.0.1:9/\"})",
            ),
        )
        .and(
            "rules",
            app("rules.wasm", "(rules: [], default: \"allow\")"),
        )
}

/// The compiled files of `state`; each that is written is another inode.
fn compiled(state: &Path) -> Vec<(String, u64)> {
    let mut files: Vec<_> = fs::read_dir(state.join("compiled"))
        .expect("the folder of compiled code")
        .map(|entry| {
            let entry = entry.expect("an entry");
            let metadata = entry.metadata().expect("it is there");
            (
                entry.file_name().to_string_lossy().into_owned(),
                metadata.ino(),
            )
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_second_start_compiles_nothing() {
    let _guard = alone();
    let folder = host::folder();
    let state = folder.path().join("state");
    let config = shipped().state(&state);
    let mut took = Vec::new();
    let mut files = Vec::new();
    for _ in 0..3 {
        let begin = Instant::now();
        let host = Host::start(&config);
        took.push(begin.elapsed());
        files.push(compiled(&state));
        let warned: Vec<_> = host.log.all(START);
        assert!(
            warned.iter().all(|entry| entry.level() == "INFO"),
            "{warned:?}"
        );
        host.stop();
    }
    eprintln!(
        "start with 5 plugins: {:?} compiling, {:?} and {:?} from the cache",
        took[0], took[1], took[2]
    );
    assert_eq!(files[0].len(), 5);
    assert!(files[0] == files[1] && files[1] == files[2], "{files:?}");

    // What is damaged is compiled again, and said.
    let victim = state.join("compiled").join(&files[0][0].0);
    fs::write(&victim, b"damaged").expect("the file can be written");
    let host = Host::start(&config);
    host.log
        .wait(START, "compiled code not used: compiling again", &[], SOON);
    host.stop();
    assert!(fs::metadata(&victim).expect("it is back").len() > 10_000);
}
