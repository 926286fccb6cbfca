//! The servers that are compared: started on a free port of the loopback
//! interface, with a configuration of their own in a temporary folder, and
//! ended when dropped.

mod floor;
mod given;
mod livehost;
mod nginx;

use std::{
    fmt,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde::{Serialize, Serializer};
use tempfile::TempDir;

use crate::{
    client::Target,
    process::{Cores, pin, terminate},
};

/// How long a server may take to listen.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long it may take to end before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(8);
/// Between two looks at a process that starts or ends.
const POLL: Duration = Duration::from_millis(20);

/// The chunk size that nginx sends by default, in bytes.
pub(crate) const NGINX_CHUNK: u32 = 4096;

pub(crate) use given::Given;

/// A server by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Frames of so many milliseconds are gathered (`media.gather`).
    Livehost(u32),
    /// Two workers on all cores, which it shares with the load.
    LivehostOnAllCores,
    /// Players join at the next keyframe (`media.join`), as nginx's do: nothing
    /// of the stream is sent to one that leaves before.
    LivehostNextKeyframe,
    /// With chunks of so many bytes, and Nagle's algorithm as it comes: on.
    Nginx(u32),
    /// With so many milliseconds of gathering.
    Floor(u32),
    /// One that the user named.
    Given(Arc<Given>),
}

impl Kind {
    /// Whether it speaks RTMP: the floor only fans out.
    pub(crate) fn is_server(&self) -> bool {
        !matches!(self, Self::Floor(_))
    }

    /// Milliseconds of gathering.
    pub(crate) fn gathers(&self) -> u32 {
        match self {
            Self::Livehost(millis) | Self::Floor(millis) => *millis,
            Self::LivehostOnAllCores
            | Self::LivehostNextKeyframe
            | Self::Nginx(_)
            | Self::Given(_) => 0,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Livehost(0) => f.write_str("livehost"),
            Self::Livehost(millis) => write!(f, "livehost, {millis} ms"),
            Self::LivehostOnAllCores => f.write_str("livehost, all cores"),
            Self::LivehostNextKeyframe => f.write_str("livehost, next keyframe"),
            Self::Nginx(NGINX_CHUNK) => f.write_str("nginx-rtmp"),
            Self::Nginx(chunk) => write!(f, "nginx-rtmp, chunk {chunk}"),
            Self::Floor(0) => f.write_str("floor"),
            Self::Floor(millis) => write!(f, "floor, {millis} ms"),
            Self::Given(given) => given.fmt(f),
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where the servers' programs are.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Programs {
    /// The livehost server.
    #[arg(long, value_name = "FILE", default_value = "target/release/host")]
    pub(crate) livehost: PathBuf,
    /// The plugin it decides with: static-keys.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "target/plugins/static-keys.wasm"
    )]
    pub(crate) plugin: PathBuf,
    /// nginx.
    #[arg(long, value_name = "FILE", default_value = "/usr/sbin/nginx")]
    pub(crate) nginx: PathBuf,
    /// Its RTMP module (Debian: libnginx-mod-rtmp).
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/usr/lib/nginx/modules/ngx_rtmp_module.so"
    )]
    pub(crate) nginx_module: PathBuf,
    /// One more server to compare with, on rows with nginx, such as
    /// 'srs=/opt/srs/objs/srs -c my.conf'; {port} stands for its port on
    /// 127.0.0.1, {folder} for its temporary folder. It serves the application
    /// live to everybody. May be repeated.
    #[arg(long = "peer", value_name = "NAME=COMMAND")]
    pub(crate) given: Vec<Given>,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    pub(crate) target: Target,
    /// Holds its configuration and its log.
    folder: TempDir,
}

impl Peer {
    /// Starts a server on its cores and waits until it listens; the caller then
    /// runs on the client's. `segment`: see [`Target`].
    ///
    /// # Errors
    /// If a program is missing, or does not listen in time: with its log.
    pub(crate) fn start(
        kind: &Kind,
        programs: &Programs,
        cores: &Cores,
        segment: u32,
    ) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let addr = free_address()?;
        let mut command = match kind {
            Kind::Livehost(_) | Kind::LivehostOnAllCores | Kind::LivehostNextKeyframe => {
                let media = livehost::Media {
                    gather_ms: kind.gathers(),
                    joins_at_next_keyframe: *kind == Kind::LivehostNextKeyframe,
                };
                livehost::command(programs, folder.path(), addr, media)?
            }
            Kind::Nginx(chunk) => nginx::command(programs, folder.path(), addr, *chunk)?,
            Kind::Floor(millis) => floor::command(addr, *millis)?,
            Kind::Given(given) => given.command(folder.path(), addr),
        };
        let log = File::create(folder.path().join("log")).context("cannot write a log")?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        // A process inherits the cores of the thread that starts it.
        match kind {
            Kind::LivehostOnAllCores => pin(&cores.all)?,
            _ => pin(&cores.server)?,
        }
        let child = command.spawn();
        pin(&cores.client)?;
        let child = child.with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let mut peer = Self {
            child,
            target: Target {
                addr,
                app: "live".to_owned(),
                url: format!("rtmp://{addr}/live"),
                raw: !kind.is_server(),
                segment,
            },
            folder,
        };
        peer.wait_until_it_listens()
            .with_context(|| format!("{kind} did not start:\n{}", peer.log()))?;
        Ok(peer)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said, for errors.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect_timeout(&self.target.addr, POLL).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}");
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "expected it to listen at {} within {START_LIMIT:?}",
                self.target.addr
            );
            thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let deadline = Instant::now() + STOP_LIMIT;
        if terminate(self.child.id()).is_ok() {
            while Instant::now() < deadline {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                thread::sleep(POLL);
            }
        }
        // It did not listen; nobody is left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nothing listens on right now.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}

/// An absolute path, checked: servers run in folders of their own.
fn existing(path: &Path, what: &str) -> Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("{what} is missing: {}", path.display()))
}
