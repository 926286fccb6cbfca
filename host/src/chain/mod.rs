//! Which protocols an accepted connection's bytes pass before a session.
//!
//! Flows in: a carrier (an accepted socket) and the acceptor's layers. Flows
//! out: a running session on top of them.

mod http;
mod rtmpe;
pub mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use crate::carrier::Carrier;
use crate::carrier::tls::TlsCarrier;
use crate::config::Chain;
use crate::logging::{STRANGERS, limited};
use crate::session::{self, Entrance, Shared};
pub use http::Tunnels;
use tls::Tls;

/// What the bytes of an acceptor's connections pass.
#[derive(Debug, Clone)]
pub struct Layers {
    /// The protocols.
    pub chain: Chain,
    /// Of a chain with TLS.
    pub tls: Option<Arc<Tls>>,
}

/// Runs one connection through its chain until it ends.
///
/// Boxed, so that each takes the memory of its own chain and not that of the
/// longest.
pub fn run(
    layers: Layers,
    socket: TcpStream,
    remote: SocketAddr,
    entrance: Entrance,
    tunnels: Arc<Tunnels>,
    shared: Arc<Shared>,
) -> BoxFuture<'static, ()> {
    let chain = layers.chain;
    match (chain.has_tls(), chain.has_http()) {
        (false, false) => ascend(chain, socket, remote, entrance, shared),
        (false, true) => Box::pin(http::serve(
            socket, chain, remote, entrance, tunnels, shared,
        )),
        (true, _) => Box::pin(run_tls(layers, socket, remote, entrance, tunnels, shared)),
    }
}

async fn run_tls(
    layers: Layers,
    socket: TcpStream,
    remote: SocketAddr,
    mut entrance: Entrance,
    tunnels: Arc<Tunnels>,
    shared: Arc<Shared>,
) {
    let chain = layers.chain;
    let Some(stream) = secure(&layers, socket, remote, &entrance, &shared).await else {
        return;
    };
    entrance.tls_name = stream.get_ref().1.server_name().map(str::to_owned);
    if chain.has_http() {
        http::serve(stream, chain, remote, entrance, tunnels, shared).await;
    } else {
        let carrier = TlsCarrier::new(stream);
        ascend(chain, carrier, remote, entrance, shared).await;
    }
}

/// From a carrier of RTMP to the session on top.
fn ascend(
    chain: Chain,
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
    layers: &Layers,
    socket: TcpStream,
    remote: SocketAddr,
    entrance: &Entrance,
    shared: &Shared,
) -> Option<TlsStream<TcpStream>> {
    let Some(tls) = &layers.tls else {
        limited!(WARN, STRANGERS.admits(), %remote, chain = %layers.chain,
            "the acceptor has no certificate");
        return None;
    };
    in_time("TLS", tls.accept(socket), remote, entrance, shared).await
}

/// What comes of a handshake within the limit; one that fails is logged.
async fn in_time<T>(
    what: &str,
    handshake: impl Future<Output = io::Result<T>>,
    remote: SocketAddr,
    entrance: &Entrance,
    shared: &Shared,
) -> Option<T> {
    let limit = shared.limits.load().handshake;
    let deadline = tokio::time::Instant::from(entrance.accepted + limit);
    let accepted = tokio::select! {
        accepted = tokio::time::timeout_at(deadline, handshake) => accepted,
        () = shared.shutdown.cancelled() => return None,
    };
    let reason = match accepted {
        Ok(Ok(accepted)) => return Some(accepted),
        // A port scan, or a probe of a load balancer.
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            debug!(%remote, %error, "{what} handshake failed");
            return None;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it took longer than {} s", limit.as_secs_f32()),
    };
    limited!(WARN, STRANGERS.admits(), %remote, reason, "{what} handshake failed");
    None
}
