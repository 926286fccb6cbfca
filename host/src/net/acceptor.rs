//! A listening address and its accept loop.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error};

use super::admission::{Admission, Permit, Refused};
use super::canonical;
use super::proxy::{self, ProxyError};
use crate::carrier::socket::{Keepalive, tune};
use crate::chain::{self, Layers, Tunnels};
use crate::logging::{STRANGERS, limited};
use crate::session::{Entrance, Shared};

/// Connections the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;
/// A peer whose machine is gone is noticed by the kernel after about
/// 60 + 4 x 15 seconds, whatever the protocol above does.
const KEEPALIVE: Keepalive = Keepalive {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(15),
    retries: 4,
};
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

/// What is listened on.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// Port 0 takes any free one.
    pub address: SocketAddr,
    /// An IPv6 address takes IPv4 clients, too.
    pub dual_stack: bool,
}

/// What a listening address leads to. It may be replaced while it listens;
/// connections that are there stay as they are.
#[derive(Debug, Clone)]
pub struct Door {
    /// What the bytes pass.
    pub layers: Layers,
    /// Connections from there begin with a PROXY header.
    pub proxies: Arc<[IpNet]>,
    /// Empty: all.
    pub applications: Arc<[String]>,
}

impl Door {
    fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies
            .iter()
            .any(|network| network.contains(&address))
    }

    fn entrance(&self, local: Arc<str>, accepted: Instant, permit: Permit) -> Entrance {
        Entrance {
            protocol: self.layers.chain.scheme(),
            local,
            accepted,
            permit: Arc::new(permit),
            tls_name: None,
            handshake_done: false,
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
    /// Listens; who connects comes in through `door`.
    pub fn bind(binding: Binding, door: Door) -> Result<Self, BindError> {
        let address = binding.address;
        let listener = listen(binding).map_err(|source| match source.kind() {
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
        let tunnels = Tunnels::new(admission.clone(), sessions.clone());
        let local: Arc<str> = self.address.to_string().into();
        // In a row.
        let mut failures = 0_u64;
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let (carrier, remote) = match accepted {
                Ok((carrier, remote)) => {
                    failures = 0;
                    (carrier, canonical(remote))
                }
                // The client left between its connect and our accept.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if failures.is_power_of_two() {
                        error!(address = %self.address, %error, failures, "cannot accept; trying again");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let door = self.door.load_full();
            let is_proxy = door.is_proxy(remote.ip());
            let permit = match admission.admit((!is_proxy).then(|| remote.ip())) {
                Ok(permit) => permit,
                Err(reason) => {
                    refused(remote, reason);
                    continue;
                }
            };
            let (accepted, local) = (Instant::now(), local.clone());
            let (shared, tunnels) = (shared.clone(), tunnels.clone());
            sessions.spawn(async move {
                let (mut carrier, mut remote, mut permit) = (carrier, remote, permit);
                if is_proxy {
                    match Box::pin(announced(&mut carrier, remote, accepted, &shared)).await {
                        Some(client) => remote = client,
                        None => return,
                    }
                    if let Err(reason) = permit.attribute(remote.ip()) {
                        refused(remote, reason);
                        return;
                    }
                }
                let entrance = door.entrance(local, accepted, permit);
                let permit = entrance.permit.clone();
                let layers = door.layers.clone();
                drop(door);
                chain::run(layers, carrier, remote, entrance, tunnels, shared).await;
                drop(permit);
            });
        }
    }
}

/// A connection is above the limits.
fn refused(remote: SocketAddr, reason: Refused) {
    limited!(WARN, STRANGERS.admits(), %remote, %reason, "connection refused");
}

/// The address that the proxy at `proxy` announces; its own if it speaks for
/// itself. None, with a reason in the log, if there is no header.
async fn announced(
    carrier: &mut TcpStream,
    proxy: SocketAddr,
    accepted: Instant,
    shared: &Shared,
) -> Option<SocketAddr> {
    let limit = shared.limits.load().handshake;
    let deadline = tokio::time::Instant::from(accepted + limit);
    let header = tokio::select! {
        header = tokio::time::timeout_at(deadline, proxy::read(carrier)) => header,
        () = shared.shutdown.cancelled() => return None,
    };
    match header {
        Ok(Ok(client)) => Some(client.unwrap_or(proxy)),
        // A probe that only looks whether somebody listens.
        Ok(Err(ProxyError::Lost(error))) => {
            debug!(%proxy, %error, "a proxy left without a PROXY header");
            None
        }
        Ok(Err(reason)) => {
            limited!(WARN, STRANGERS.admits(), %proxy, %reason, "PROXY header refused");
            None
        }
        Err(_) => {
            let reason = format!("none within {} s", limit.as_secs_f32());
            limited!(WARN, STRANGERS.admits(), %proxy, reason, "PROXY header refused");
            None
        }
    }
}

fn listen(binding: Binding) -> io::Result<TcpListener> {
    let address = binding.address;
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    // A restarted server must not wait for old connections to time out.
    socket.set_reuse_address(true)?;
    tune(&SockRef::from(&socket), KEEPALIVE);
    if address.is_ipv6() {
        // Machines differ in what they do when it is not said.
        socket.set_only_v6(!binding.dual_stack)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
