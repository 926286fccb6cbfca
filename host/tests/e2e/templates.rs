//! `host plugin new` in every language: what it writes builds, and passes the
//! tests that it comes with.
//!
//! The tools are those that `make plugins-all` fetched for `plugins/lang`, so
//! that they are fetched once; `author.rs` has a Rust plugin from nothing.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
    process::Command,
    time::Duration,
};

use crate::support::{guests, process::Process, together, workspace};

/// A machine that builds other things, too.
const LIMIT: Duration = Duration::from_secs(600);

/// A plugin that was just made, and nothing else, in a folder of its own.
struct New {
    parent: tempfile::TempDir,
    path: OsString,
}

impl New {
    fn plugin(language: &str) -> Self {
        let new = Self {
            parent: tempfile::tempdir().expect("a folder"),
            path: std::env::var_os("PATH").unwrap_or_default(),
        };
        new.host(&["plugin", "new", "studio", "--lang", language]);
        new
    }

    /// Puts a tool of `plugins/lang` where the build would install its own.
    fn tool(&self, place: &str, tool: &str) {
        let tool = workspace().join("target/lang").join(tool);
        assert!(tool.exists(), "{}: run `make plugins-all`", tool.display());
        symlink(tool, self.folder().join(place)).expect("a link");
    }

    fn folder(&self) -> PathBuf {
        self.parent.path().join("studio")
    }

    /// Runs the host beside the plugin's folder, and returns what it says.
    fn host(&self, arguments: &[&str]) -> String {
        self.run(
            Command::new(env!("CARGO_BIN_EXE_host"))
                .args(arguments)
                .current_dir(self.parent.path()),
        )
    }

    fn run(&self, command: &mut Command) -> String {
        let name = format!("{command:?}");
        let mut process = Process::spawn(&name, command.env("PATH", &self.path));
        let exit = process.wait(LIMIT);
        let text = format!("{}\n{}", process.stdout.text(), exit.stderr);
        assert!(exit.status.success(), "{name}: {text}");
        text
    }

    fn builds_and_passes_its_cases(&self) {
        let built = self.host(&["plugin", "build", "studio"]);
        assert!(built.contains("studio/studio.wasm"), "{built}");
        let tested = self.host(&[
            "plugin",
            "test",
            "studio/studio.wasm",
            "studio/cases.ron",
            "--instances",
            "2",
            "--shuffle",
        ]);
        assert!(tested.contains("3 cases: 3 ok"), "{tested}");
        assert!(tested.contains("0 decisions changed"), "{tested}");
    }
}

#[test]
fn a_new_plugin_in_c_builds_and_passes_its_cases() {
    if !guests::built("lang/c.wasm") {
        return;
    }
    let _guard = together();
    let new = New::plugin("c");
    new.tool(".tools", "");
    new.builds_and_passes_its_cases();
}

#[test]
fn a_new_plugin_in_javascript_builds_and_passes_its_cases() {
    if !guests::built("lang/js.wasm") {
        return;
    }
    let _guard = together();
    let mut new = New::plugin("js");
    new.tool("node_modules", "js/node_modules");
    // Where the machine's Node.js is missing or too old, one is in there.
    let fetched = workspace().join("target/lang/venv/bin");
    if fetched.join("node").exists() {
        let folders = std::env::split_paths(&new.path);
        let folders = std::iter::once(fetched).chain(folders);
        new.path = std::env::join_paths(folders).expect("folders without a colon");
    }
    new.builds_and_passes_its_cases();
}

#[test]
fn a_new_plugin_in_python_builds_and_passes_its_cases() {
    if !guests::built("lang/python.wasm") {
        return;
    }
    let _guard = together();
    let new = New::plugin("python");
    new.tool(".venv", "venv");
    new.builds_and_passes_its_cases();
}

/// Native ones, without WebAssembly.
#[test]
fn a_new_plugin_in_rust_passes_its_unit_tests() {
    let _guard = together();
    let new = New::plugin("rust");
    // The versions that this repository has built already.
    let lock = new.folder().join("Cargo.lock");
    fs::copy(workspace().join("Cargo.lock"), lock).expect("Cargo.lock");
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.unwrap_or_else(|| workspace().join("target").into());
    let text = new.run(
        Command::new(env!("CARGO"))
            .arg("test")
            .current_dir(new.folder())
            .env("CARGO_TARGET_DIR", workspace().join(OsStr::new(&target))),
    );
    assert!(text.contains("test result: ok. 2 passed"), "{text}");
}
