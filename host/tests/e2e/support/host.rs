//! The server under test, as a process.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use super::{
    config::{Config, STATE},
    guests,
    log::{Log, START},
    process::{Exit, Process, Signal},
};

/// How long the server may take to load its plugins and listen, on a machine
/// that does other things too.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running server. Killed when dropped; [`Host::stop`] ends it as a user
/// would.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) process: Process,
    pub(crate) log: Log,
    pub(crate) addr: SocketAddr,
    /// The test's own folder, with `config.ron`.
    pub(crate) folder: TempDir,
}

/// `host run` on a configuration of this folder, not waited for.
pub(crate) fn launch(folder: &Path, config: &str) -> Process {
    command("run", folder, config)
}

/// Certificates in this file of the test's folder are those that the server
/// trusts, instead of the machine's.
pub(crate) const TRUSTED: &str = "trusted.pem";

/// `host check` on a configuration of this folder, not waited for.
pub(crate) fn check(folder: &Path, config: &str) -> Process {
    command("check", folder, config)
}

/// `host VERB config.ron` by a shell that has this behind it, like `> /dev/full`.
pub(crate) fn redirected(verb: &str, folder: &Path, config: &str, redirection: &str) -> Process {
    let line = format!("exec \"$0\" \"$@\" {redirection}");
    by_shell(verb, folder, config, &line)
}

/// `host VERB config.ron` with so much address space, in KiB.
pub(crate) fn confined(verb: &str, folder: &Path, config: &str, space: u64) -> Process {
    let line = format!("ulimit -v {space}; exec \"$0\" \"$@\"");
    by_shell(verb, folder, config, &line)
}

fn by_shell(verb: &str, folder: &Path, config: &str, line: &str) -> Process {
    let file = folder.join("config.ron");
    fs::write(&file, config).expect("config.ron can be written");
    Process::spawn(
        format!("host {verb}: {line}"),
        Command::new("sh")
            .args(["-c", line, env!("CARGO_BIN_EXE_host"), verb])
            .arg(&file)
            .env("SSL_CERT_FILE", folder.join(TRUSTED))
            .env("SSL_CERT_DIR", "")
            // For its control socket.
            .env("XDG_RUNTIME_DIR", folder)
            .env_remove("RUNTIME_DIRECTORY")
            .env_remove("RUST_LOG"),
    )
}

fn command(verb: &str, folder: &Path, config: &str) -> Process {
    let file = folder.join("config.ron");
    fs::write(&file, config).expect("config.ron can be written");
    with_file(verb, folder, &file)
}

fn with_file(verb: &str, folder: &Path, file: &Path) -> Process {
    Process::spawn(
        format!("host {verb}"),
        Command::new(env!("CARGO_BIN_EXE_host"))
            .arg(verb)
            .arg(file)
            .env("SSL_CERT_FILE", folder.join(TRUSTED))
            .env("SSL_CERT_DIR", "")
            // For its control socket.
            .env("XDG_RUNTIME_DIR", folder)
            .env_remove("RUNTIME_DIRECTORY")
            .env_remove("RUST_LOG"),
    )
}

/// A folder of a test's own.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

impl Host {
    /// Starts the server and waits until it serves.
    pub(crate) fn start(config: &Config) -> Self {
        Self::start_in(folder(), config)
    }

    /// Starts the server with its configuration in `folder`.
    pub(crate) fn start_in(folder: TempDir, config: &Config) -> Self {
        let state = folder.path().join(STATE);
        if config.has_default_state() && !state.exists() {
            guests::compiled_ahead(&state);
        }
        let process = launch(folder.path(), &config.text());
        Self::ready(folder, process)
    }

    /// Starts the server with a file of `folder` that is there.
    pub(crate) fn start_at(folder: TempDir, file: &str) -> Self {
        let process = with_file("run", folder.path(), &folder.path().join(file));
        Self::ready(folder, process)
    }

    fn ready(folder: TempDir, process: Process) -> Self {
        let log = Log(process.stderr.clone());
        let listening = log.wait(START, "listening", &[], START_LIMIT);
        let addr = listening.field("addr").expect("listening says where");
        let addr = addr.parse().expect("an address and a port");
        log.wait(START, "ready", &[], START_LIMIT);
        Self {
            process,
            log,
            addr,
            folder,
        }
    }

    /// A URL below this server: `live/name`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("rtmp://{}/{path}", self.addr)
    }

    /// A file in the test's own folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Resident memory now, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most resident memory so far, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Memory of its own, resident or not, in bytes.
    pub(crate) fn data(&self) -> u64 {
        self.status("VmData:")
    }

    /// The peak counts from now on.
    pub(crate) fn forget_peak(&self) {
        let file = format!("/proc/{}/clear_refs", self.process.id());
        fs::write(file, "5").expect("the server runs");
    }

    /// A size of `/proc/PID/status`, in bytes.
    fn status(&self, name: &str) -> u64 {
        let status = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(status).expect("the server runs");
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.trim().strip_suffix("kB"))
            .and_then(|kib| kib.trim().parse::<u64>().ok());
        kib.expect("a size in kB") * 1024
    }

    /// Ends the server with SIGTERM, as a service manager does.
    ///
    /// # Panics
    /// If it doesn't exit with 0 within its drain limit and 5 s.
    pub(crate) fn stop(mut self) -> Exit {
        self.process.signal(Signal::Terminate);
        let exit = self.process.wait(Duration::from_secs(10));
        assert!(exit.status.success(), "{}\n{}", exit.status, exit.stderr);
        exit
    }
}
