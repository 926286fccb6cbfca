//! The compiled plugins that tests run, and new versions of the probe.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{LazyLock, Mutex, PoisonError},
};

use super::{clients, workspace};

/// A compiled plugin: `allow-all.wasm`, `static-keys.wasm`, `test/probe.wasm`.
///
/// # Panics
/// If it hasn't been built.
pub(crate) fn guest(file: &str) -> PathBuf {
    let guest = path(file);
    assert!(
        guest.is_file(),
        "{} is missing: run `make test`, or `make plugins` before `cargo test`",
        guest.display()
    );
    guest
}

/// Whether a plugin whose tools not every machine has was built. If not, that
/// is reported loudly.
///
/// # Panics
/// In CI (`CI` or `LIVEHOST_CI` is set), if it wasn't.
pub(crate) fn built(file: &str) -> bool {
    let guest = path(file);
    let built = guest.is_file();
    let missing = format!("{} is not built: run `make plugins-all`", guest.display());
    assert!(built || !clients::in_ci(), "mandatory in CI: {missing}");
    if !built {
        eprintln!("SKIPPED: {missing}");
    }
    built
}

fn path(file: &str) -> PathBuf {
    let folder = match std::env::var_os("LIVEHOST_GUESTS") {
        Some(folder) => PathBuf::from(folder),
        None => workspace().join("target/plugins"),
    };
    folder.join(file)
}

/// A state folder whose compiled code has `plugin`: an interpreter takes seconds
/// of a core, so it is compiled once for all tests.
pub(crate) fn compiled(plugin: &str) -> PathBuf {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let state = workspace().join("target/tmp/e2e-state");
    let output = Command::new(env!("CARGO_BIN_EXE_host"))
        .args(["plugin", "compile"])
        .arg(guest(plugin))
        .arg("--state")
        .arg(&state)
        .output()
        .expect("the host starts");
    assert!(output.status.success(), "{output:?}");
    state
}

/// Puts the compiled code of `plugin` where a server with this state folder looks
/// for it.
pub(crate) fn compiled_for(state: &Path, plugin: &str) {
    let from = compiled(plugin).join("compiled");
    let to = state.join("compiled");
    let mut folder = fs::DirBuilder::new();
    folder.recursive(true).mode(0o700);
    folder.create(&to).expect("the folder can be made");
    for file in fs::read_dir(from).expect("the folder is there") {
        let file = file.expect("an entry");
        // Others may be compiled meanwhile.
        if file.path().extension().is_some_and(|end| end == "compiled") {
            fs::copy(file.path(), to.join(file.file_name())).expect("it can be copied");
        }
    }
}

/// What most tests serve.
const COMMON: [&str; 6] = [
    "allow-all.wasm",
    "http-auth.wasm",
    "jwt.wasm",
    "rules.wasm",
    "static-keys.wasm",
    "test/probe.wasm",
];

/// The compiled code of [`COMMON`], made once: a start that compiles takes most of
/// a second of a core, and nearly every test starts a server.
static COMPILED: LazyLock<Vec<PathBuf>> = LazyLock::new(|| {
    let output = Command::new(env!("CARGO_BIN_EXE_host"))
        .args(["plugin", "compile"])
        .args(COMMON.map(guest))
        .arg("--state")
        .arg(workspace().join("target/tmp/e2e-common"))
        .output()
        .expect("the host starts");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let files = text.lines().filter_map(|line| line.rsplit(": ").next());
    files.map(PathBuf::from).collect()
});

/// A state folder in which nothing that tests serve need be compiled.
pub(crate) fn compiled_ahead(state: &Path) {
    let folder = state.join("compiled");
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(&folder).expect("the folder can be made");
    for file in &*COMPILED {
        let name = file.file_name().expect("a file");
        fs::copy(file, folder.join(name)).expect("it can be copied");
    }
}

/// The test guest, which behaves as its configuration or its client asks.
pub(crate) fn probe() -> PathBuf {
    guest("test/probe.wasm")
}

const MARKER: &[u8] = b"LIVEHOST-PROBE-VERSION=";

/// The probe with another version number in its marker.
pub(crate) fn probe_version(version: u32) -> Vec<u8> {
    let mut wasm = fs::read(probe()).expect("the probe can be read");
    let places: Vec<usize> = wasm
        .windows(MARKER.len())
        .enumerate()
        .filter(|(_, window)| *window == MARKER)
        .map(|(place, _)| place + MARKER.len())
        .collect();
    assert!(!places.is_empty(), "the probe has no version marker");
    let digits = format!("{version:06}");
    for place in places {
        wasm[place..place + 6].copy_from_slice(digits.as_bytes());
    }
    wasm
}

/// Replaces `file` as a deployment does: written beside it, then renamed.
pub(crate) fn replace(file: &Path, content: &[u8]) {
    let fresh = file.with_extension("new");
    fs::write(&fresh, content).expect("the new file can be written");
    fs::rename(&fresh, file).expect("the new file can be renamed");
}
