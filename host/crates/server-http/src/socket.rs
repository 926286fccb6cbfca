//! The control socket: the API in the file system, for this machine's `host status`
//! and its like.
//!
//! Its file has mode 0600: who may open it owns the server, or is root. So no token
//! is asked for, and every order is allowed. The user's number is in the log.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::connection::{self, Peer};
use crate::routes::{self, Service};
use crate::site::Site;

/// Connections at once.
const MAX_CONNECTIONS: usize = 64;
/// For the first request.
const FIRST: Duration = Duration::from_secs(10);
/// Pause after an accept that failed for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another server listens there.
    #[error("{0}: another server listens there")]
    Taken(PathBuf),
    /// Something else is there.
    #[error("{0}: expected nothing or a socket there; found something else")]
    Occupied(PathBuf),
    /// The system refused.
    #[error("{path}: {source}")]
    System {
        /// The socket's path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The socket, which is removed with it.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Listens at `path`; makes its folder, for this user alone, if there is none. What
    /// a server that crashed left there is replaced.
    ///
    /// # Errors
    /// [`SocketError`] says why it can't.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let system = |source| SocketError::System {
            path: path.to_owned(),
            source,
        };
        if let Some(folder) = path.parent() {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(folder).map_err(system)?;
        }
        if let Ok(there) = fs::symlink_metadata(path) {
            if !there.file_type().is_socket() {
                return Err(SocketError::Occupied(path.to_owned()));
            }
            if BlockingStream::connect(path).is_ok() {
                return Err(SocketError::Taken(path.to_owned()));
            }
            fs::remove_file(path).map_err(system)?;
        }
        let listener = UnixListener::bind(path).map_err(system)?;
        let mine = fs::Permissions::from_mode(0o600);
        fs::set_permissions(path, mine).map_err(system)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Serves the API until the site ends; connections are tasks of `connections`.
    pub async fn run(self, site: Arc<Site>, connections: TaskTracker) {
        let router = routes::router(&site, &[Service::Api, Service::Metrics]);
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = site.shutdown.cancelled() => return,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "cannot accept at the control socket; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                debug!("connection to the control socket refused: too many");
                continue;
            };
            let uid = stream.peer_cred().map(|peer| peer.uid());
            let peer = match uid {
                Ok(uid) if uid == rustix::process::geteuid().as_raw() || uid == 0 => {
                    Peer::Socket { uid }
                }
                Ok(uid) => {
                    warn!(
                        uid,
                        "connection to the control socket refused: another user"
                    );
                    continue;
                }
                Err(error) => {
                    warn!(%error, "connection to the control socket refused: nobody knows whose");
                    continue;
                }
            };
            let (tasks, shutdown) = (site.tasks.clone(), site.shutdown.clone());
            let served = connection::serve(stream, peer, router.clone(), tasks, shutdown, FIRST);
            connections.spawn(async move {
                served.await;
                drop(place);
            });
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
