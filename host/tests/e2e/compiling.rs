//! Compiling a large component costs memory, but never the server: a process of
//! its own does it, and what was compiled ahead is not compiled again.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::support::{
    App, Config, Host, Witness, guests, host,
    log::{Mark, START},
    rtmp::Client,
    together,
};

const SOON: Duration = Duration::from_secs(30);
/// An interpreter is megabytes of code to compile.
const COMPILED: Duration = Duration::from_secs(600);

/// The compiler of an interpreter needs eight times of it.
const LITTLE: u64 = 40 << 20;
/// Less than the 300 MiB that it needs, and enough for what it makes.
const ENOUGH_TO_LOAD: u64 = 200 << 20;

fn host_command(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_host"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the host starts")
}

/// The server, and with it its children, may have so much more memory of its
/// own than it has now.
fn limit_memory(host: &Host, more: u64) {
    let pid = i32::try_from(host.process.id())
        .ok()
        .and_then(Pid::from_raw);
    let limit = Rlimit {
        current: Some(host.data() + more),
        maximum: getrlimit(Resource::Data).maximum,
    };
    prlimit(pid, Resource::Data, limit).expect("the limit can be lowered");
}

fn policy(plugin: &str) -> App {
    // The machine may be busy.
    App::new(plugin, r#"(keys: {"cam*": ["k"]})"#)
        .limits(r#"cpu: "3 s", decision: "20 s", start_cpu: "10 s", start: "1 min""#)
}

/// The policy decides: a key opens, without one nothing does.
fn decides(host: &Host, name: &str) {
    let refused = Client::publish(host.addr, "live", name).expect_err("a key is required");
    assert!(refused.description().contains("a publish key is required"));
    Client::publish(host.addr, "live", &format!("{name}?key=k")).expect("the right key");
}

#[test]
fn a_reload_that_there_is_no_memory_for_fails_and_one_that_was_compiled_ahead_serves() {
    if !guests::built("lang/python.wasm") {
        return;
    }
    let _guard = together();
    // Not while the stream runs, which then need not be long.
    guests::compiled("lang/python.wasm");
    let folder = host::folder();
    let plugin = folder.path().join("plugin.wasm");
    fs::copy(guests::guest("lang/rust.wasm"), &plugin).expect("the plugin can be copied");
    let python = fs::read(guests::guest("lang/python.wasm")).expect("it can be read");
    let state = folder.path().join("state");
    let config = Config::live(policy("plugin.wasm")).state(&state);
    let host = Host::start_in(folder, &config);
    let witness = Witness::start(host.addr, "live", "cam1?key=k");
    limit_memory(&host, LITTLE);

    let mark = host.log.mark();
    guests::replace(&plugin, &python);
    let failed = host.log.wait(
        mark,
        "plugin reload failed; the old generation keeps serving",
        &[],
        COMPILED,
    );
    let error = failed.field("error").expect("a failure has a reason");
    for part in ["ran out of memory", "MiB", "host plugin compile"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    decides(&host, "cam2");
    let rss = host.memory();

    // By somebody who has more.
    guests::compiled_for(&state, "lang/python.wasm");
    let arguments = ["plugin", "compile", "--config", "config.ron"];
    let told = host_command(&arguments, host.folder.path()).stdout;
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("plugin.wasm: compiled already: "), "{told}");

    // The same content: what failed for want of memory is tried again.
    limit_memory(&host, ENOUGH_TO_LOAD);
    let mark = host.log.mark();
    guests::replace(&plugin, &python);
    let fields = [("generation", "2")];
    host.log
        .wait(mark, "plugin generation serving", &fields, SOON);
    decides(&host, "cam3");
    let report = witness.finish();
    eprintln!(
        "RSS {} MiB after a compiler that died, {} MiB with the interpreter; \
         the stream that ran: {report}",
        rss >> 20,
        host.memory() >> 20
    );
    host.stop();
}

/// What `host plugin test` compiled is there for the next, and for a server.
#[test]
fn tools_and_servers_share_what_was_compiled() {
    let _guard = together();
    let folder = host::folder();
    let state = folder.path().join("state");
    let plugin = guests::guest("static-keys.wasm");
    let plugin = plugin.to_str().expect("a path in UTF-8");
    let config = Config::live(App::new(plugin, r#"{"publish": "open"}"#)).state(&state);
    fs::write(folder.path().join("config.ron"), config.text()).expect("it can be written");
    let cases = "(config: {\"publish\": \"open\"}, cases: [(name: \"a\")])";
    fs::write(folder.path().join("cases.ron"), cases).expect("it can be written");
    let arguments = ["plugin", "test", plugin, "cases.ron"];
    let tested = host_command(&arguments, folder.path());
    assert!(tested.status.success(), "{tested:?}");
    let kept = || {
        let files = fs::read_dir(state.join("compiled")).expect("the folder was made");
        let files = files.map(|file| file.expect("an entry"));
        let files = files.map(|file| (file.path(), file.metadata().expect("it is there").len()));
        files.collect::<Vec<_>>()
    };
    let first = kept();
    assert_eq!(first.len(), 1);
    assert!(!state.join("kv.redb").exists(), "state is the server's");

    let compiled = host_command(&["plugin", "compile", plugin], folder.path());
    let text = String::from_utf8_lossy(&compiled.stdout).into_owned();
    assert!(text.contains("compiled already: "), "{text}");
    let host = Host::start_in(folder, &config);
    assert_eq!(kept(), first);
    host.stop();
}

#[test]
fn compiling_ahead_says_what_is_wrong() {
    let folder = host::folder();
    let fails = |arguments: &[&str]| {
        let output = host_command(&[&["plugin", "compile"], arguments].concat(), folder.path());
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let error = fails(&["a.wasm"]);
    assert!(
        error.contains("--config") && error.contains("--state"),
        "{error}"
    );
    fs::write(folder.path().join("core.wasm"), b"\0asm\x01\0\0\0").expect("it can be written");
    let error = fails(&["core.wasm", "--state", "state"]);
    assert!(
        error.contains("core.wasm is a core WebAssembly module"),
        "{error}"
    );
    // Nobody else may be able to put code there.
    let plugin = guests::guest("allow-all.wasm");
    let compiled = folder.path().join("open/compiled");
    fs::create_dir_all(&compiled).expect("a folder");
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(&compiled, fs::Permissions::from_mode(0o777)).expect("it can be opened");
    let error = fails(&[plugin.to_str().expect("UTF-8"), "--state", "open"]);
    assert!(error.contains("closed to others"), "{error}");
    // Machine code is no component, whoever names it.
    let good = host_command(
        &[
            "plugin",
            "compile",
            plugin.to_str().expect("UTF-8"),
            "--state",
            "good",
        ],
        folder.path(),
    );
    assert!(good.status.success(), "{good:?}");
    let code = fs::read_dir(folder.path().join("good/compiled")).expect("the folder");
    let code = code.map(|file| file.expect("an entry").path()).next();
    let code = code.expect("a file");
    let error = fails(&[code.to_str().expect("UTF-8"), "--state", "good"]);
    assert!(error.contains("is not a WebAssembly component"), "{error}");
}

/// Its death must not be the component's fault, nor the server's end.
#[test]
fn a_server_that_ends_while_it_compiles_leaves_no_compiler() {
    if !guests::built("lang/python.wasm") {
        return;
    }
    let _guard = together();
    let folder = host::folder();
    let plugin = folder.path().join("plugin.wasm");
    fs::copy(guests::guest("lang/rust.wasm"), &plugin).expect("the plugin can be copied");
    let host = Host::start_in(folder, &Config::live(policy("plugin.wasm")));
    let python = fs::read(guests::guest("lang/python.wasm")).expect("it can be read");
    let mark: Mark = host.log.mark();
    guests::replace(&plugin, &python);
    let begun = host.log.wait(
        mark,
        "compiling a large component; this takes some seconds",
        &[],
        SOON,
    );
    let pid = begun.field("pid").expect("whose");
    let process = format!("/proc/{pid}");
    assert!(Path::new(&process).exists());
    assert_eq!(
        host.log.find(START, "plugin generation serving", &[]).len(),
        1
    );
    host.stop();
    // Its parent is gone, and it is dead or about to be.
    let gone = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        let state = fs::read_to_string(format!("{process}/stat")).unwrap_or_default();
        state.is_empty() || state.contains(") Z")
    });
    assert!(gone, "the compiler lives on");
}
