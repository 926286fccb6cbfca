//! The tunnelled clients of one acceptor, by the name each was given.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use livehost_net::{Admission, AdmissionError, Permit};
use livehost_telemetry::limited;
use livehost_telemetry::log::STRANGERS;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::tunnel::Tunnel;
use crate::chain::RtmpChain;
use crate::layers;
use crate::session::{Entrance, Shared};

/// Random bytes of a name: who knows it may speak for the client.
const NAME_BYTES: usize = 16;

/// The tunnels of one acceptor. Each counts as a connection, beside those that
/// its requests come in on.
#[derive(Debug)]
pub struct Tunnels {
    open: Mutex<HashMap<String, Open>>,
    /// One was removed.
    removed: Notify,
    admission: Arc<Admission>,
    sessions: TaskTracker,
}

/// A tunnel, and its place among all connections.
#[derive(Debug, Clone)]
struct Open {
    tunnel: Arc<Tunnel>,
    permit: Arc<Permit>,
}

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(transparent)]
    Refused(#[from] AdmissionError),
    #[error("no random bytes for its name: {0}")]
    Random(getrandom::Error),
}

impl Tunnels {
    /// None yet; their sessions become tasks of `sessions`.
    pub fn new(admission: Arc<Admission>, sessions: TaskTracker) -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::default(),
            removed: Notify::new(),
            admission,
            sessions,
        })
    }

    /// The tunnel of this name, for a connection that carries a request of it:
    /// one that serves who was granted something is no stranger's.
    pub(super) fn get(&self, name: &str, carries: &Permit) -> Option<Arc<Tunnel>> {
        let open = self.open.lock().get(name).cloned()?;
        if open.permit.is_granted() {
            carries.grant();
        }
        Some(open.tunnel)
    }

    /// Starts the session of one more client; returns the tunnel's name.
    pub(super) fn open(
        self: &Arc<Self>,
        chain: RtmpChain,
        remote: SocketAddr,
        mut entrance: Entrance,
        shared: Arc<Shared>,
    ) -> Result<String, OpenError> {
        // Its connection may be older, and have carried others.
        entrance.accepted = Instant::now();
        let permit = Arc::new(self.admission.admit(Some(remote.ip()))?);
        entrance.permit = permit.clone();
        let mut random = [0; NAME_BYTES];
        getrandom::fill(&mut random).map_err(OpenError::Random)?;
        let name = random.map(|byte| format!("{byte:02x}")).concat();
        let tunnel = Arc::new(Tunnel::new());
        let open = Open {
            tunnel: tunnel.clone(),
            permit: permit.clone(),
        };
        self.open.lock().insert(name.clone(), open);
        let patience = shared.limits.load().tunnel;
        let (tunnels, known_as) = (self.clone(), name.clone());
        self.sessions.spawn(async move {
            {
                let mut session = layers::ascend(chain, tunnel.clone(), remote, entrance, shared);
                tokio::select! {
                    () = &mut session => {}
                    () = tunnel.expired(patience) => {
                        limited!(INFO, STRANGERS.admits(), %remote,
                            seconds = patience.as_secs_f32(), "a tunnelled client asks no more");
                        // The session takes it for the end of the connection.
                        tunnel.close();
                        session.await;
                    }
                }
            }
            tunnel.close();
            tunnels.open.lock().remove(&known_as);
            tunnels.removed.notify_waiters();
            debug!(%remote, "tunnel closed");
            drop(permit);
        });
        Ok(name)
    }

    /// Waits until there is no tunnel.
    pub(super) async fn drained(&self) {
        loop {
            let removed = self.removed.notified();
            if self.open.lock().is_empty() {
                return;
            }
            removed.await;
        }
    }
}
