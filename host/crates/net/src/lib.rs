//! Sockets: listening, accepting, limits on connections, and the loop of each.

mod acceptor;
mod admission;
pub mod carrier;
pub mod driver;
pub mod handshake;
mod listener;
pub mod outbound;
mod proxy;
pub mod tls;

use std::net::SocketAddr;

pub use acceptor::{Acceptor, Arrival, Ingress, Protocol, Stop};
pub use admission::{Admission, AdmissionError, AdmissionLimits, Permit};
pub use listener::{BindError, Binding, Bound, Listener};

/// A client's address, whoever says it: an IPv4 client of a dual-stack socket,
/// ours or a proxy's, is what it is.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
