//! The server under soak: started with a configuration of its own, its plugin
//! replaced by other versions, its log read at the end.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{client::Target, peer::Programs, process::terminate};

/// What publishers need.
pub(super) const KEY: &str = "soak-key";
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    addr: SocketAddr,
    log: PathBuf,
    /// Its plugin as it was built, and where it reads it.
    plugin: Vec<u8>,
    file: PathBuf,
    versions: u32,
    /// Holds its configuration, plugin and state.
    _folder: TempDir,
}

/// What its log says.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) status: Option<ExitStatus>,
    pub(super) lines: u64,
    /// Versions of the plugin that were given, the first included.
    pub(super) versions: u32,
    /// Those that served.
    pub(super) served: u32,
    pub(super) warnings: u64,
    /// The first lines that should not be there: errors, panics.
    pub(super) bad: Vec<String>,
    /// How many sessions ended, by reason.
    pub(super) closed: Vec<(String, u64)>,
}

impl Log {
    /// How many sessions ended for this reason.
    pub(super) fn ended(&self, reason: &str) -> u64 {
        let found = self.closed.iter().find(|(known, _)| known == reason);
        found.map_or(0, |(_, count)| *count)
    }
}

impl Server {
    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// If a program is missing, or it does not listen in time.
    pub(super) fn start(programs: &Programs, out: &Path) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let host = programs
            .livehost
            .canonicalize()
            .context("livehost is missing (make host)")?;
        let plugin = fs::read(&programs.plugin)
            .with_context(|| format!("{} (make plugins)", programs.plugin.display()))?;
        let file = folder.path().join("plugin.wasm");
        fs::write(&file, &plugin).context("cannot write the plugin")?;
        let addr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .context("no free port")?;
        // Limits that misbehaviour reaches within seconds.
        let config = format!(
            r#"(
    log: (level: "info", format: Json),
    applications: {{"live": (
        plugin: "plugin.wasm",
        config: {{"publish": {{"keys": ["{KEY}"]}}, "play": "open"}},
        media: (queue_bytes: "2 MiB", queue_time: "10 s", slow_close: "4 s", publisher_timeout: "8 s"),
    )}},
    acceptors: [(listen: "{addr}")],
    limits: (ungranted_per_address: 0, handshake: "3 s", idle: "5 s"),
)
"#
        );
        let config_file = folder.path().join("config.ron");
        fs::write(&config_file, config).context("cannot write the configuration")?;
        let log = out.join("server.log");
        let output =
            File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new(&host)
            .arg("run")
            .arg(&config_file)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", host.display()))?;
        let mut server = Self {
            child,
            addr,
            log,
            plugin,
            file,
            versions: 1,
            _folder: folder,
        };
        server.wait_until_it_listens()?;
        Ok(server)
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect_timeout(&self.addr, POLL).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}: see {}", self.log.display());
            }
            ensure!(
                Instant::now() < deadline,
                "expected it to listen at {} within {START_LIMIT:?}",
                self.addr
            );
            thread::sleep(POLL);
        }
        Ok(())
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn target(&self) -> Target {
        Target {
            addr: self.addr,
            app: "live".to_owned(),
            url: format!("rtmp://{}/live", self.addr),
            raw: false,
            segment: 1448,
        }
    }

    /// Deploys another version of the plugin: the same code, and a custom
    /// section that makes it another file. By rename, as a deployment does.
    pub(super) fn replace_plugin(&mut self) -> Result<()> {
        self.versions += 1;
        let name = b"soak";
        let content = self.versions.to_le_bytes();
        // A component's custom section: id 0, its length, its name (with
        // length), its content. All lengths are below 128: one byte each.
        let length = 1 + name.len() + content.len();
        let mut wasm = self.plugin.clone();
        wasm.extend([0, u8::try_from(length)?, u8::try_from(name.len())?]);
        wasm.extend(name);
        wasm.extend(content);
        let fresh = self.file.with_extension("new");
        fs::write(&fresh, wasm).context("cannot write the plugin")?;
        fs::rename(&fresh, &self.file).context("cannot replace the plugin")
    }

    /// Ends it as a service manager does; what its log says.
    ///
    /// # Errors
    /// If it does not end in time.
    pub(super) fn stop(mut self) -> Result<Log> {
        terminate(self.child.id())?;
        let deadline = Instant::now() + STOP_LIMIT;
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    bail!("expected the server to end within {STOP_LIMIT:?}")
                }
                None => thread::sleep(POLL),
            }
        };
        let text = fs::read_to_string(&self.log).context("cannot read the log")?;
        let mut log = Log::read(&text);
        log.status = Some(status);
        log.versions = self.versions;
        Ok(log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Has ended, unless something failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Log {
    /// Bad lines kept.
    const MOST: usize = 20;

    fn read(text: &str) -> Self {
        let mut log = Self::default();
        let mut reasons = std::collections::BTreeMap::<String, u64>::new();
        for line in text.lines() {
            log.lines += 1;
            let Ok(entry) = serde_json::from_str::<Value>(line) else {
                // The banner, or a panic.
                if line.contains("panicked") {
                    log.bad(line);
                }
                continue;
            };
            match entry.get("level").and_then(Value::as_str) {
                Some("ERROR") => log.bad(line),
                Some("WARN") => log.warnings += 1,
                _ => {}
            }
            let fields = entry.get("fields").unwrap_or(&entry);
            let message = fields.get("message").and_then(Value::as_str);
            match message {
                Some("plugin generation serving") => log.served += 1,
                Some("plugin rolled back to the version before") => log.bad(line),
                Some("session ended" | "disconnected" | "closed") => {
                    let reason = fields.get("reason").and_then(Value::as_str);
                    *reasons.entry(reason.unwrap_or("?").to_owned()).or_default() += 1;
                }
                _ => {}
            }
        }
        log.closed = reasons.into_iter().collect();
        log
    }

    fn bad(&mut self, line: &str) {
        if self.bad.len() < Self::MOST {
            self.bad.push(line.chars().take(400).collect());
        }
    }
}
