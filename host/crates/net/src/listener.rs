//! Sockets that listen, and how one takes over from another.
//!
//! Flows in: addresses. Flows out: listeners. An address is taken first and
//! listened on later, so that whether it can be had is known before anything
//! else begins.
//!
//! Two sockets that overlap (127.0.0.1:1935 and 0.0.0.0:1935) can listen at
//! once only under `SO_REUSEPORT`. It is set while this server replaces one of
//! its own, and at no other time: two servers would silently share clients.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpListener;

use crate::carrier::socket::{Keepalive, tune};

/// Connections the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;
/// A peer whose machine is gone is noticed by the kernel after about
/// 60 + 4 x 15 seconds, whatever the protocol above does.
const KEEPALIVE: Keepalive = Keepalive {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(15),
    retries: 4,
};

/// Why an address can't be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process, or another acceptor, has it.
    #[error("cannot listen on {0}: the address is in use; is another server running there?")]
    InUse(SocketAddr),
    /// Ports below 1024 are the system's.
    #[error(
        "cannot listen on {0}: its port needs the privilege CAP_NET_BIND_SERVICE: write \
         AmbientCapabilities=CAP_NET_BIND_SERVICE into the systemd unit, or run \
         `setcap cap_net_bind_service=+ep` on the program, or take a port from 1024 on"
    )]
    Privileged(SocketAddr),
    /// Other machines' addresses can't be had.
    #[error("cannot listen on {address}: {source}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
}

impl BindError {
    fn new(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address),
            io::ErrorKind::PermissionDenied if (1..1024).contains(&address.port()) => {
                Self::Privileged(address)
            }
            _ => Self::Other { address, source },
        }
    }
}

/// What is listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// Port 0 takes any free one.
    pub address: SocketAddr,
    /// An IPv6 address takes IPv4 clients, too.
    pub dual_stack: bool,
}

impl Binding {
    /// Whether the second bind of the two would fail.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        let (a, b) = (self.address, other.address);
        let same_family = a.is_ipv4() == b.is_ipv4() || self.dual_stack || other.dual_stack;
        let same_ip = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
        a.port() != 0 && a.port() == b.port() && same_family && same_ip
    }
}

/// An address that is taken, and not listened on yet.
#[derive(Debug)]
pub struct Bound {
    socket: Socket,
    address: SocketAddr,
    /// Own listeners that overlap.
    replaced: Vec<Listener>,
}

/// A socket that listens until the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Listener {
    socket: Arc<TcpListener>,
    address: SocketAddr,
    dual_stack: bool,
}

impl Bound {
    /// Takes the address, which those of `own` that overlap may have.
    ///
    /// # Errors
    /// When it can't be had; nothing has changed then.
    pub fn new(binding: Binding, own: &[Listener]) -> Result<Self, BindError> {
        let address = binding.address;
        let own = own.iter();
        let replaced = own.filter(|own| own.binding().overlaps(binding));
        let replaced: Vec<Listener> = replaced.cloned().collect();
        let socket = socket(binding).map_err(|error| BindError::new(address, error))?;
        together(&socket, &replaced, || socket.bind(&address.into()))
            .map_err(|error| BindError::new(address, error))?;
        let bound = socket.local_addr().ok().and_then(|bound| bound.as_socket());
        Ok(Self {
            address: bound.unwrap_or(address),
            socket,
            replaced,
        })
    }

    /// The address, its port known.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens, beside those that it replaces: they go on until they are told
    /// to stop.
    ///
    /// Must run inside a tokio runtime.
    ///
    /// # Errors
    /// When somebody else listens there meanwhile.
    pub fn listen(self) -> Result<Listener, BindError> {
        let Self {
            socket,
            address,
            replaced,
        } = self;
        let fail = |error| BindError::new(address, error);
        together(&socket, &replaced, || socket.listen(BACKLOG)).map_err(fail)?;
        let dual_stack = address.is_ipv6() && !socket.only_v6().unwrap_or(true);
        let socket = TcpListener::from_std(socket.into()).map_err(fail)?;
        Ok(Listener {
            socket: Arc::new(socket),
            address,
            dual_stack,
        })
    }
}

impl Listener {
    /// The bound address, its port known.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it is bound to.
    #[must_use]
    pub fn binding(&self) -> Binding {
        Binding {
            address: self.address,
            dual_stack: self.dual_stack,
        }
    }

    pub(super) fn socket(&self) -> &TcpListener {
        &self.socket
    }

    /// Leaves who comes from now on to the listener that takes over, and keeps
    /// those who have begun to connect.
    ///
    /// Of two listeners the one with the more exact address is asked, and one
    /// that closes resets who is half-way. So the first packet of a connection
    /// is dropped here: it comes again after a second, when only the other
    /// listens.
    pub(super) fn turn_away(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            use socket2::SockFilter;
            /// Where a TCP header has its flags, and those of a first packet.
            const FLAGS: u32 = 13;
            const SYN: u32 = 0x02;
            const ACK: u32 = 0x10;
            // Load the flags, look at two, and drop what has SYN alone (the
            // codes are those of linux/bpf_common.h).
            SockRef::from(&*self.socket).attach_filter(&[
                SockFilter::new(0x30, 0, 0, FLAGS),
                SockFilter::new(0x54, 0, 0, SYN | ACK),
                SockFilter::new(0x15, 0, 1, SYN),
                SockFilter::new(0x06, 0, 0, 0),
                SockFilter::new(0x06, 0, 0, u32::MAX),
            ])?;
        }
        Ok(())
    }
}

fn socket(binding: Binding) -> io::Result<Socket> {
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
    Ok(socket)
}

/// Does what fails unless `new` and `old` may share their port.
fn together(
    new: &Socket,
    old: &[Listener],
    act: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    if old.is_empty() {
        return act();
    }
    let share = |on| {
        let old = old.iter().map(|old| SockRef::from(&*old.socket));
        let sockets = old.chain([SockRef::from(new)]);
        let shared = sockets.map(|socket| socket.set_reuse_port(on));
        // Each of them, whatever became of those before.
        shared.fold(Ok(()), Result::and)
    };
    let done = share(true).and_then(|()| act());
    done.and(share(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(address: &str) -> Binding {
        Binding {
            address: address.parse().unwrap(),
            dual_stack: address.starts_with("[::]"),
        }
    }

    fn listen(binding: Binding, own: &[Listener]) -> Result<Listener, BindError> {
        Bound::new(binding, own)?.listen()
    }

    fn shares(listener: &Listener) -> bool {
        SockRef::from(listener.socket()).reuse_port().unwrap()
    }

    #[tokio::test]
    async fn an_own_address_is_taken_over_and_no_other_server_shares_it() {
        let places = ["127.0.0.1", "0.0.0.0", "[::]"];
        for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
            let old = listen(binding(&format!("{}:0", places[from])), &[]).unwrap();
            let port = old.address().port();
            let to = binding(&format!("{}:{port}", places[to]));
            let refused = listen(to, &[]).unwrap_err();
            assert!(matches!(refused, BindError::InUse(_)), "{refused}");

            let new = listen(to, std::slice::from_ref(&old)).unwrap();
            assert!(!shares(&old) && !shares(&new), "{old:?} {new:?}");
            for refused in [listen(to, &[]), listen(old.binding(), &[])] {
                refused.expect_err("another server");
            }
            drop(old);
            listen(to, &[]).expect_err("another server, after the change");
        }
    }

    #[tokio::test]
    async fn an_address_that_cant_be_had_leaves_the_old_one_as_it_was() {
        let old = listen(binding("127.0.0.1:0"), &[]).unwrap();
        let port = old.address().port();
        let _stranger = listen(binding(&format!("127.0.0.2:{port}")), &[]).unwrap();
        let own = std::slice::from_ref(&old);
        let refused = listen(binding(&format!("0.0.0.0:{port}")), own);
        assert!(matches!(refused, Err(BindError::InUse(_))), "{refused:?}");
        assert!(!shares(&old));
    }

    #[test]
    fn a_low_port_without_the_privilege_says_what_to_do() {
        let address = "0.0.0.0:80".parse().unwrap();
        let denied = io::Error::from_raw_os_error(rustix::io::Errno::ACCESS.raw_os_error());
        let text = BindError::new(address, denied).to_string();
        for part in [
            "0.0.0.0:80",
            "AmbientCapabilities=CAP_NET_BIND_SERVICE",
            "setcap",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
