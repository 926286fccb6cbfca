//! Which protocols an accepted connection's bytes pass before a session.
//!
//! Flows in: a connection that was let in, and the acceptor's layers. Flows
//! out: a running session on top of them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use livehost_net::carrier::Carrier;
use livehost_net::carrier::tls::TlsCarrier;
use livehost_net::handshake::{self, Deadline};
use livehost_net::tls::Tls;
use livehost_net::{Arrival, Protocol};
use livehost_telemetry::limited;
use livehost_telemetry::log::STRANGERS;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::chain::RtmpChain;
use crate::http::{self, Tunnels};
use crate::rtmpe;
use crate::session::{self, Entrance, Shared};

/// What the bytes of an acceptor's connections pass.
#[derive(Debug, Clone)]
pub struct Layers {
    /// The protocols.
    pub chain: RtmpChain,
    /// Of a chain with TLS.
    pub tls: Option<Arc<Tls>>,
}

/// RTMP, as it is served at one address.
#[derive(Debug)]
pub struct RtmpServer {
    /// What its bytes pass.
    pub layers: Layers,
    /// Applications served here; empty: all.
    pub applications: Arc<[String]>,
    /// The address's clients that are tunnelled through HTTP.
    pub tunnels: Arc<Tunnels>,
    /// What all sessions share.
    pub shared: Arc<Shared>,
}

impl Protocol for RtmpServer {
    /// Boxed, so that each connection takes the memory of its own chain and not
    /// that of the longest.
    fn serve(&self, arrival: Arrival) -> BoxFuture<'static, ()> {
        let entrance = Entrance {
            protocol: self.layers.chain.scheme(),
            local: arrival.local,
            accepted: arrival.accepted,
            permit: arrival.permit,
            tls_name: None,
            handshake_done: false,
            applications: self.applications.clone(),
        };
        let (chain, remote) = (self.layers.chain, arrival.remote);
        let (tunnels, shared) = (self.tunnels.clone(), self.shared.clone());
        match (&self.layers.tls, chain.has_http()) {
            (None, _) if chain.has_tls() => {
                limited!(WARN, STRANGERS.admits(), %remote, %chain,
                    "the acceptor has no certificate");
                Box::pin(std::future::ready(()))
            }
            (None, false) => ascend(chain, arrival.socket, remote, entrance, shared),
            (None, true) => Box::pin(http::serve(
                arrival.socket,
                chain,
                remote,
                entrance,
                tunnels,
                shared,
            )),
            (Some(tls), _) => {
                let secured = secure(tls.clone(), arrival.socket, remote, entrance, shared);
                Box::pin(async move {
                    let Some((stream, entrance, shared)) = secured.await else {
                        return;
                    };
                    if chain.has_http() {
                        http::serve(stream, chain, remote, entrance, tunnels, shared).await;
                    } else {
                        let carrier = TlsCarrier::new(stream);
                        ascend(chain, carrier, remote, entrance, shared).await;
                    }
                })
            }
        }
    }

    fn handshake_limit(&self) -> Duration {
        self.shared.limits.load().handshake
    }
}

/// From a carrier of RTMP to the session on top.
pub(crate) fn ascend(
    chain: RtmpChain,
    carrier: impl Carrier,
    remote: SocketAddr,
    mut entrance: Entrance,
    shared: Arc<Shared>,
) -> BoxFuture<'static, ()> {
    if !chain.is_encrypted() {
        return Box::pin(session::serve(carrier, remote, entrance, shared));
    }
    Box::pin(async move {
        let handshake = rtmpe::accept(Arc::new(carrier));
        let Some(encrypted) = in_time("RTMPE", handshake, remote, &entrance, &shared).await else {
            return;
        };
        entrance.handshake_done = true;
        session::serve(encrypted, remote, entrance, shared).await;
    })
}

async fn secure(
    tls: Arc<Tls>,
    socket: TcpStream,
    remote: SocketAddr,
    mut entrance: Entrance,
    shared: Arc<Shared>,
) -> Option<(TlsStream<TcpStream>, Entrance, Arc<Shared>)> {
    let stream = in_time("TLS", tls.accept(socket), remote, &entrance, &shared).await?;
    entrance.tls_name = stream.get_ref().1.server_name().map(str::to_owned);
    Some((stream, entrance, shared))
}

/// What comes of a handshake within the limit.
async fn in_time<T>(
    what: &str,
    handshake: impl Future<Output = io::Result<T>>,
    remote: SocketAddr,
    entrance: &Entrance,
    shared: &Shared,
) -> Option<T> {
    let limit = shared.limits.load().handshake;
    let deadline = Deadline {
        at: entrance.accepted + limit,
        limit,
    };
    handshake::in_time(what, handshake, remote, deadline, &shared.shutdown).await
}
