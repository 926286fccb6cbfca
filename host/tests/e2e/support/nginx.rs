//! nginx with its RTMP module, as a server that streams are pushed to and
//! pulled from.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{clients, process::Process};

const PROGRAM: &str = "/usr/sbin/nginx";
const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

/// A running nginx; killed when dropped.
#[derive(Debug)]
pub(crate) struct Nginx {
    process: Process,
    _folder: TempDir,
    pub(crate) addr: SocketAddr,
}

impl Nginx {
    /// Starts it with an application `live`; none, said loudly, where it isn't
    /// installed.
    ///
    /// # Panics
    /// In CI, if it is missing.
    pub(crate) fn start() -> Option<Self> {
        Self::serving("application live { live on; wait_key on; }")
    }

    /// Starts it with these applications.
    ///
    /// # Panics
    /// As [`Nginx::start`].
    pub(crate) fn serving(applications: &str) -> Option<Self> {
        let addr = free();
        if let Some(missing) = [PROGRAM, MODULE]
            .iter()
            .find(|file| !Path::new(file).is_file())
        {
            let why = format!("{missing} is missing (Debian: nginx, libnginx-mod-rtmp)");
            assert!(!clients::in_ci(), "mandatory in CI: {why}");
            eprintln!("SKIPPED: what needs nginx, because {why}");
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().display();
        let config = format!(
            "load_module {MODULE};\n\
             daemon off;\nmaster_process off;\n\
             error_log stderr info;\npid {path}/pid;\n\
             events {{ worker_connections 256; }}\n\
             rtmp {{\n  access_log off;\n  server {{\n    listen {addr};\n\
             \x20   {applications}\n  }}\n}}\n"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, config).expect("nginx.conf can be written");
        let process = Process::spawn(
            "nginx",
            Command::new(PROGRAM)
                .arg("-p")
                .arg(folder.path())
                .arg("-c")
                .arg(&file)
                .args(["-e", "stderr"]),
        );
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(addr).is_err() {
            assert!(Instant::now() < deadline, "nginx: {}", process.tail());
            thread::sleep(Duration::from_millis(20));
        }
        Some(Self {
            process,
            _folder: folder,
            addr,
        })
    }

    /// Waits until its log has a line with `text`.
    ///
    /// # Panics
    /// If there is none for some seconds.
    pub(crate) fn wait(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let found = self
            .process
            .stderr
            .wait(0, deadline, |line| line.text.contains(text).then_some(()));
        assert!(found.is_some(), "no {text:?}: {}", self.process.tail());
    }

    /// A URL below it: `live/name`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("rtmp://{}/{path}", self.addr)
    }
}

/// An address where nothing listens now.
pub(crate) fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address")
}
