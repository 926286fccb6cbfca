//! A connection to a server over TLS, as a carrier.
//!
//! The protocol's state is driven on the non-blocking socket itself, so that
//! reads and writes never wait.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use rustls::ClientConnection;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::carrier::Carrier;

/// The most that is encrypted ahead of the socket, bytes.
const MAX_AHEAD: usize = 64 * 1024;

/// A connection after its TLS handshake.
#[derive(Debug)]
pub(super) struct TlsCarrier {
    socket: TcpStream,
    state: Mutex<State>,
    /// The last read filled its buffer: more may be decrypted already, of
    /// which the socket's readiness says nothing.
    more: AtomicBool,
}

#[derive(Debug)]
struct State {
    tls: ClientConnection,
    /// The last byte that was encrypted was reported as not written, since
    /// the socket has not taken all before it. So whoever writes knows that
    /// something waits, and offers that byte again, in front of what follows.
    withheld: bool,
}

impl TlsCarrier {
    /// Takes over where the handshake ended.
    pub(super) fn new(stream: TlsStream<TcpStream>) -> Self {
        let (socket, mut tls) = stream.into_inner();
        tls.set_buffer_limit(Some(MAX_AHEAD));
        Self {
            socket,
            state: Mutex::new(State {
                tls,
                withheld: false,
            }),
            // What the server sent right behind its handshake.
            more: AtomicBool::new(true),
        }
    }

    fn read(&self, tls: &mut ClientConnection, buffer: &mut [u8]) -> (usize, io::Result<()>) {
        let mut filled = 0_usize;
        loop {
            let rest = buffer.get_mut(filled..).unwrap_or_default();
            match tls.reader().read(rest) {
                // The buffer is full, or the server has said that it closes.
                Ok(0) => return (filled, Ok(())),
                Ok(count) => {
                    filled = filled.saturating_add(count);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // It closed without saying so.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return (filled, Ok(()));
                }
                Err(error) => return (filled, Err(error)),
            }
            if let Err(error) = tls.read_tls(&mut Socket(&self.socket)) {
                return (filled, Err(error));
            }
            let processed = tls.process_new_packets();
            // An alert, or the answer to a change of keys. If there is no room
            // now it goes out in front of the next write.
            let sent = self.flush(tls);
            if let Err(error) = processed {
                let error = io::Error::new(io::ErrorKind::InvalidData, error);
                return (filled, Err(error));
            }
            match sent {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    return (filled, Err(error));
                }
                _ => {}
            }
        }
    }

    /// Writes what is encrypted; `WouldBlock` when some is left.
    fn flush(&self, tls: &mut ClientConnection) -> io::Result<()> {
        while tls.wants_write() {
            if tls.write_tls(&mut Socket(&self.socket))? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}

impl Carrier for TlsCarrier {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        let (filled, outcome) = self.read(&mut state.tls, buffer);
        self.more.store(filled == buffer.len(), Ordering::Relaxed);
        match outcome {
            // What came before an error counts; the error comes again.
            Err(error) if filled == 0 => Err(error),
            _ => Ok(filled),
        }
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state.lock();
        let state = &mut *state;
        self.flush(&mut state.tls)?;
        let mut skip = usize::from(std::mem::take(&mut state.withheld));
        let mut taken = 0_usize;
        for slice in slices {
            let skipped = skip.min(slice.len());
            skip = skip.saturating_sub(skipped);
            taken = taken.saturating_add(skipped);
            let mut rest = slice.get(skipped..).unwrap_or_default();
            while !rest.is_empty() {
                let count = state.tls.writer().write(rest)?;
                if count == 0 {
                    return Ok(taken);
                }
                rest = rest.get(count..).unwrap_or_default();
                taken = taken.saturating_add(count);
                match self.flush(&mut state.tls) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        // Of a single byte none can be withheld: it goes out
                        // in front of the next.
                        state.withheld = taken > 1;
                        return Ok(taken.saturating_sub(usize::from(state.withheld)));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(taken)
    }

    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.more.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        self.socket.poll_read_ready(cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_write_ready(cx)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.tls.send_close_notify();
        match self.flush(&mut state.tls) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        SockRef::from(&self.socket).shutdown(Shutdown::Write)
    }
}

/// The socket as rustls wants it.
struct Socket<'s>(&'s TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
