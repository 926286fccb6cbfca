//! Options of a connection's socket.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tracing::debug;

/// Bytes that may wait in the kernel to be sent, for each connection.
///
/// Without a limit it takes what it has room for, up to 4 MiB: 16 s of 2 Mbit/s,
/// which a player whose network stood still gets first, whatever the limits of
/// its queue, and memory that is part of no limit. Bytes on their way are not
/// counted, so that long and fast networks lose nothing.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 64 * 1024;

/// How the kernel notices that a peer's machine is gone.
#[derive(Debug, Clone, Copy)]
pub struct Keepalive {
    /// Silence after which it asks.
    pub idle: Duration,
    /// Time between two questions.
    pub interval: Duration,
    /// Questions without an answer after which the connection is closed.
    pub retries: u32,
}

/// Sets what every connection has. Accepted ones inherit it from their
/// listener, where it costs none of them a system call. A system that does not
/// know one of the options still gets the others.
pub fn tune(socket: &SockRef<'_>, keepalive: Keepalive) {
    let Keepalive {
        idle,
        interval,
        retries,
    } = keepalive;
    let keepalive = TcpKeepalive::new()
        .with_time(idle)
        .with_interval(interval)
        .with_retries(retries);
    #[cfg(target_os = "linux")]
    let unsent = socket.set_tcp_notsent_lowat(UNSENT);
    #[cfg(not(target_os = "linux"))]
    let unsent = Ok(());
    for (option, set) in [
        ("TCP_NODELAY", socket.set_tcp_nodelay(true)),
        ("SO_KEEPALIVE", socket.set_tcp_keepalive(&keepalive)),
        ("TCP_NOTSENT_LOWAT", unsent),
    ] {
        if let Err(error) = set {
            debug!(%error, option, "a socket option was not taken");
        }
    }
}
