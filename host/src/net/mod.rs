//! Sockets: listening, accepting, limits on connections.

mod acceptor;
mod admission;
mod proxy;

use std::net::SocketAddr;

pub use acceptor::{Acceptor, BindError, Binding, Door};
pub use admission::{Admission, AdmissionLimits, Permit, Refused, network};

/// A client's address, whoever says it: an IPv4 client of a dual-stack socket,
/// ours or a proxy's, is what it is.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
