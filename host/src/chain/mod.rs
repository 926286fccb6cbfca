//! Which protocols an accepted connection's bytes pass before a session.
//!
//! Flows in: a carrier (an accepted socket) and the acceptor's chain. Flows
//! out: a running session on top of it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::config::Chain;
use crate::session::{self, Entrance, Shared};

/// Name of the protocol that a chain's clients speak, as policies see it.
pub fn protocol(chain: Chain) -> &'static str {
    match chain {
        Chain::Rtmp => "rtmp",
    }
}

/// Runs one connection through its chain until it ends.
pub async fn run(
    chain: Chain,
    carrier: TcpStream,
    remote: SocketAddr,
    entrance: Entrance,
    shared: Arc<Shared>,
) {
    match chain {
        Chain::Rtmp => session::serve(Arc::new(carrier), remote, entrance, shared).await,
    }
}
