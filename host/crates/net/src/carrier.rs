//! A carrier: one accepted connection's bytes, whatever lies below them.
//!
//! Reading and writing never wait; the `poll_*` functions tell when to try
//! again. Writing takes `&self`, so that the hub can hand a frame to a player's
//! socket without waking the session that owns it.

pub mod ahead;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
pub mod socket;
pub mod tls;

use std::fmt;
use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tracing::debug;

/// An accepted connection. `WouldBlock` is no failure: wait for readiness.
///
/// Readiness is awaited by one task, the session's.
pub trait Carrier: fmt::Debug + Send + Sync + 'static {
    /// Reads what there is; 0 says that the peer sends no more.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// The same, without asking first whether the socket is ready, which the
    /// runtime may not have heard of yet. What the peer has sent so far is
    /// there to be read, its end included.
    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.try_read(buffer)
    }

    /// Writes as much of `slices` as there is room for, behind what is
    /// [pending](Carrier::pending).
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Whether some of what was written waits in here for the socket, as what was
    /// encrypted does. Nothing sends it but the next write, be it of no bytes: so
    /// whoever writes last has to ask.
    fn pending(&self) -> bool {
        false
    }

    /// Writes as much of `bytes` as there is room for, without asking first
    /// whether the socket is ready, and without noting that it was not: for
    /// those who leave bytes that did not fit to [`Carrier::try_write`].
    fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(&[IoSlice::new(bytes)])
    }

    /// Ready when a read may give something.
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready when a write may take something.
    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Tells the peer that nothing more will be sent.
    fn shutdown_write(&self) -> io::Result<()>;

    /// What the peer has not taken yet is forgotten when the carrier is dropped.
    ///
    /// Otherwise the kernel keeps it, megabytes of a player that reads slowly,
    /// for as long as the peer takes a byte now and then.
    fn abort(&self);
}

/// A carrier that others hold, too.
impl<C: Carrier + ?Sized> Carrier for Arc<C> {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).try_read(buffer)
    }

    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).read_now(buffer)
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        (**self).try_write(slices)
    }

    fn pending(&self) -> bool {
        (**self).pending()
    }

    fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        (**self).write_now(bytes)
    }

    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        (**self).poll_read_ready(cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        (**self).poll_write_ready(cx)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        (**self).shutdown_write()
    }

    fn abort(&self) {
        (**self).abort();
    }
}

impl Carrier for TcpStream {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len();
        let mut read = 0;
        let waits = self.try_io(Interest::READABLE, || {
            read = (&*SockRef::from(self)).read(buffer)?;
            if read == 0 || read >= room {
                return Ok(());
            }
            // Less than asked for: the socket is empty. Noted now, it spares
            // the next poll a read that finds nothing.
            Err(io::ErrorKind::WouldBlock.into())
        });
        match waits {
            Err(error) if read == 0 => Err(error),
            _ => Ok(read),
        }
    }

    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // The socket is non-blocking.
        (&*SockRef::from(self)).read(buffer)
    }

    fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        // The socket is non-blocking.
        SockRef::from(self).send(bytes)
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let wanted = slices.iter().map(|slice| slice.len()).sum::<usize>();
        let mut written = 0;
        let waits = self.try_io(Interest::WRITABLE, || {
            let socket = SockRef::from(self);
            written = match slices {
                // One is the usual case: spares the kernel the vector.
                [slice] => socket.send(slice)?,
                slices => socket.send_vectored(slices)?,
            };
            if written >= wanted {
                return Ok(());
            }
            // Less than given: the socket is full. Noted now, it spares the
            // next poll a write that finds no room.
            Err(io::ErrorKind::WouldBlock.into())
        });
        match waits {
            Err(error) if written == 0 => Err(error),
            _ => Ok(written),
        }
    }

    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_read_ready(self, cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_write_ready(self, cx)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        SockRef::from(self).shutdown(Shutdown::Write)
    }

    fn abort(&self) {
        // Closing resets the connection then.
        if let Err(error) = SockRef::from(self).set_linger(Some(Duration::ZERO)) {
            debug!(%error, "a connection is closed and not reset");
        }
    }
}
