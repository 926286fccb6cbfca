//! A listening address and its accept loop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, warn};

use super::admission::Admission;
use crate::chain;
use crate::config::Chain;
use crate::session::{Entrance, Shared};

/// Connections the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;
/// A peer whose machine is gone is noticed by the kernel after about
/// 60 + 4 x 15 seconds, whatever the protocol above does.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);
/// Pause after an accept that failed for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why an address can't be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process, or another acceptor, has it.
    #[error("cannot listen on {0}: the address is in use; is another server running there?")]
    InUse(SocketAddr),
    /// Ports below 1024 want a privilege; other machines' addresses can't be had.
    #[error("cannot listen on {address}: {source}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
}

/// What a listening address leads to. It may be replaced while it listens;
/// connections that are there stay as they are.
#[derive(Debug, Clone)]
pub struct Door {
    /// The protocols that the bytes pass.
    pub chain: Chain,
    applications: Arc<[String]>,
}

impl Door {
    /// A chain to `applications` (empty: all).
    pub fn new(chain: Chain, applications: &[String]) -> Self {
        Self {
            chain,
            applications: applications.into(),
        }
    }

    fn entrance(&self, local: SocketAddr) -> Entrance {
        Entrance {
            protocol: chain::protocol(self.chain),
            local,
            applications: self.applications.clone(),
        }
    }
}

/// A listening address.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    address: SocketAddr,
    door: Arc<ArcSwap<Door>>,
}

impl Acceptor {
    /// Listens on `address`; who connects comes in through `door`.
    pub fn bind(address: SocketAddr, door: Door) -> Result<Self, BindError> {
        let listener = listen(address).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse(address),
            _ => BindError::Other { address, source },
        })?;
        let address = listener.local_addr().unwrap_or(address);
        Ok(Self {
            listener,
            address,
            door: Arc::new(ArcSwap::from_pointee(door)),
        })
    }

    /// The bound address, its port known.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The door, to be replaced while the acceptor runs.
    pub fn door(&self) -> Arc<ArcSwap<Door>> {
        self.door.clone()
    }

    /// Accepts until `stop`; sessions run on as tasks of `sessions`.
    pub async fn run(
        self,
        shared: Arc<Shared>,
        admission: Arc<Admission>,
        sessions: TaskTracker,
        stop: CancellationToken,
    ) {
        let mut refused = 0_u64;
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let (carrier, remote) = match accepted {
                Ok(accepted) => accepted,
                // The client left between its connect and our accept.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    error!(address = %self.address, %error, "cannot accept; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let permit = match admission.admit(remote.ip()) {
                Ok(permit) => permit,
                Err(reason) => {
                    refused = refused.saturating_add(1);
                    // Lines at 1, 2, 4, 8, ...: a flood must not fill the log.
                    if refused.is_power_of_two() {
                        warn!(%remote, %reason, refused, "connection refused");
                    }
                    continue;
                }
            };
            let door = self.door.load();
            let (chain, entrance) = (door.chain, door.entrance(self.address));
            drop(door);
            let shared = shared.clone();
            sessions.spawn(async move {
                chain::run(chain, carrier, remote, entrance, shared).await;
                drop(permit);
            });
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    // A restarted server must not wait for old connections to time out.
    socket.set_reuse_address(true)?;
    tune(&socket);
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Connections inherit these options: set once here, they cost none of them a
/// system call.
fn tune(socket: &Socket) {
    let (idle, interval, retries) = KEEPALIVE;
    let keepalive = TcpKeepalive::new()
        .with_time(idle)
        .with_interval(interval)
        .with_retries(retries);
    let tuned = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&keepalive));
    if let Err(error) = tuned {
        debug!(%error, "socket options were not taken");
    }
}
