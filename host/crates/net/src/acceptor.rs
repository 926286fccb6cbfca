//! A listening address and its accept loop.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use ipnet::IpNet;
use livehost_telemetry::limited;
use livehost_telemetry::log::{Quota, STRANGERS};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::admission::{Admission, AdmissionError, Permit};
use super::canonical;
use super::listener::Listener;
use super::proxy::{self, ProxyError};

/// Pause after an accept that failed for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a listener that was replaced accepts those who had begun to connect.
const HAND_OVER: Duration = Duration::from_millis(250);

/// A protocol that an acceptor's clients speak.
pub trait Protocol: fmt::Debug + Send + Sync + 'static {
    /// Serves one connection to its end.
    fn serve(&self, arrival: Arrival) -> BoxFuture<'static, ()>;
    /// How long a client may take to say who it is, from accept on.
    fn handshake_limit(&self) -> Duration;
}

/// A connection that was let in.
#[derive(Debug)]
pub struct Arrival {
    /// Its bytes, behind a PROXY header if there was one.
    pub socket: TcpStream,
    /// The client, which may be behind a proxy.
    pub remote: SocketAddr,
    /// The acceptor's address, as plugins are told it.
    pub local: Arc<str>,
    /// When.
    pub accepted: Instant,
    /// Its place among all connections; given back when the last clone goes.
    pub permit: Arc<Permit>,
}

/// What a listening address leads to. It may be replaced while it listens;
/// connections that are there stay as they are.
#[derive(Debug, Clone)]
pub struct Ingress {
    /// What is spoken.
    pub protocol: Arc<dyn Protocol>,
    /// Connections from there begin with a PROXY header.
    pub proxies: Arc<[IpNet]>,
}

impl Ingress {
    fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies
            .iter()
            .any(|network| network.contains(&address))
    }
}

/// A listening address.
#[derive(Debug)]
pub struct Acceptor {
    listener: Listener,
    ingress: Arc<ArcSwap<Ingress>>,
}

/// How an acceptor is told to end.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// At once.
    pub now: CancellationToken,
    /// When those who have begun to connect are accepted: another listener
    /// takes the others.
    pub replaced: CancellationToken,
}

impl Acceptor {
    /// Who connects comes in through `ingress`.
    #[must_use]
    pub fn new(listener: Listener, ingress: Ingress) -> Self {
        Self {
            listener,
            ingress: Arc::new(ArcSwap::from_pointee(ingress)),
        }
    }

    /// What it listens with.
    #[must_use]
    pub fn listener(&self) -> &Listener {
        &self.listener
    }

    /// Its ingress, to be replaced while the acceptor runs.
    pub fn ingress(&self) -> Arc<ArcSwap<Ingress>> {
        self.ingress.clone()
    }

    /// Accepts until `stop`; connections run on as tasks of `connections`. One
    /// that has not said who it is ends with `shutdown`.
    pub async fn run(
        self,
        admission: Arc<Admission>,
        connections: TaskTracker,
        shutdown: CancellationToken,
        stop: Stop,
    ) {
        let address = self.listener.address();
        let local: Arc<str> = address.to_string().into();
        let mut handed_over = pin!(self.handed_over(&stop.replaced));
        // In a row.
        let mut failures = 0_u64;
        // A client that leaves lets the next one in, and so on.
        let lines = Arc::new(Quota::new(format!("accepting at {address}")));
        loop {
            let Some(accepted) = next(&self.listener, &stop.now, handed_over.as_mut()).await else {
                return;
            };
            let (socket, remote) = match accepted {
                Ok((socket, remote)) => {
                    failures = 0;
                    (socket, canonical(remote))
                }
                // The client left between its connect and our accept.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    limited!(
                        ERROR,
                        failures.is_power_of_two() && lines.admits_and_reports(),
                        %address,
                        %error,
                        failures,
                        "cannot accept; trying again"
                    );
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let ingress = self.ingress.load_full();
            let is_proxy = ingress.is_proxy(remote.ip());
            let permit = match admission.admit((!is_proxy).then(|| remote.ip())) {
                Ok(permit) => permit,
                Err(reason) => {
                    refused(remote, reason);
                    continue;
                }
            };
            let (accepted, local) = (Instant::now(), local.clone());
            let shutdown = shutdown.clone();
            connections.spawn(async move {
                let (mut socket, mut remote, mut permit) = (socket, remote, permit);
                if is_proxy {
                    let limit = ingress.protocol.handshake_limit();
                    let deadline = accepted + limit;
                    let header = announced(&mut socket, remote, deadline, limit, shutdown);
                    match Box::pin(header).await {
                        Some(client) => remote = client,
                        None => return,
                    }
                    if let Err(reason) = permit.attribute(remote.ip()) {
                        refused(remote, reason);
                        return;
                    }
                }
                let permit = Arc::new(permit);
                let served = ingress.protocol.serve(Arrival {
                    socket,
                    remote,
                    local,
                    accepted,
                    permit: permit.clone(),
                });
                drop(ingress);
                served.await;
                drop(permit);
            });
        }
    }

    /// Waits until another listener has taken over.
    async fn handed_over(&self, replaced: &CancellationToken) {
        replaced.cancelled().await;
        if let Err(error) = self.listener.turn_away() {
            let address = self.listener.address();
            debug!(%address, %error, "clients that connect right now may be reset");
        }
        tokio::time::sleep(HAND_OVER).await;
    }
}

/// The next connection; none at the end.
async fn next(
    listener: &Listener,
    stop: &CancellationToken,
    handed_over: Pin<&mut impl Future<Output = ()>>,
) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        // Clients may come faster than they are accepted, and an accept that fails
        // may always do: neither puts off the end.
        () = handed_over => None,
        accepted = listener.socket().accept() => Some(accepted),
    }
}

/// A connection is above the limits.
fn refused(remote: SocketAddr, reason: AdmissionError) {
    limited!(WARN, STRANGERS.admits(), %remote, %reason, "connection refused");
}

/// The address that the proxy at `proxy` announces; its own if it speaks for
/// itself. None, with a reason in the log, if there is no header.
async fn announced(
    socket: &mut TcpStream,
    proxy: SocketAddr,
    deadline: Instant,
    limit: Duration,
    shutdown: CancellationToken,
) -> Option<SocketAddr> {
    let header = tokio::select! {
        header = tokio::time::timeout_at(deadline, proxy::read(socket)) => header,
        () = shutdown.cancelled() => return None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::{Binding, Bound};

    #[tokio::test]
    async fn a_listener_that_was_replaced_ends_although_clients_keep_coming() {
        let binding = Binding {
            address: ([127, 0, 0, 1], 0).into(),
            dual_stack: false,
        };
        let listener = Bound::new(binding, &[]).unwrap().listen().unwrap();
        let mut clients = Vec::new();
        for _ in 0..2 {
            clients.push(TcpStream::connect(listener.address()).await.unwrap());
        }
        let stop = CancellationToken::new();
        let never = pin!(std::future::pending());
        let first = next(&listener, &stop, never).await;
        assert!(first.is_some_and(|first| first.is_ok()));
        // The second waits, and is not asked for any more.
        let over = pin!(std::future::ready(()));
        assert!(next(&listener, &stop, over).await.is_none());
    }
}
