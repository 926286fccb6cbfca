//! A socket behind TLS, as a carrier.
//!
//! The protocol's state is driven on the non-blocking socket itself, so that
//! the hub's lanes write a frame to it as to any other carrier.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use rustls::Connection;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use super::Carrier;
use super::ahead::{self, Encrypt};

/// The most that is encrypted ahead of the socket, bytes.
const MAX_AHEAD: usize = 64 * 1024;

/// A connection after its TLS handshake.
#[derive(Debug)]
pub struct TlsCarrier {
    socket: TcpStream,
    tls: Mutex<Connection>,
    /// The last read did not stop for want of bytes: there may be decrypted
    /// ones, an end or an error, of which the socket's readiness says nothing.
    more: AtomicBool,
}

impl TlsCarrier {
    /// Takes over where the handshake ended.
    pub fn new(stream: impl Into<TlsStream<TcpStream>>) -> Self {
        let (socket, mut tls): (_, Connection) = match stream.into() {
            TlsStream::Server(stream) => {
                let (socket, tls) = stream.into_inner();
                (socket, tls.into())
            }
            TlsStream::Client(stream) => {
                let (socket, tls) = stream.into_inner();
                (socket, tls.into())
            }
        };
        tls.set_buffer_limit(Some(MAX_AHEAD));
        Self {
            socket,
            tls: Mutex::new(tls),
            // What the peer sent right behind its handshake.
            more: AtomicBool::new(true),
        }
    }

    fn read(&self, buffer: &mut [u8], now: bool) -> io::Result<usize> {
        let mut tls = self.tls.lock();
        let (filled, outcome) = self.decrypt(&mut tls, buffer, now);
        let waits = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        let more = !outcome.as_ref().is_err_and(waits);
        self.more.store(more, Ordering::Relaxed);
        match outcome {
            // What came before an error counts; the error comes again.
            Err(error) if filled == 0 => Err(error),
            _ => Ok(filled),
        }
    }

    fn decrypt(
        &self,
        tls: &mut Connection,
        buffer: &mut [u8],
        now: bool,
    ) -> (usize, io::Result<()>) {
        let mut filled = 0;
        loop {
            match tls
                .reader()
                .read(buffer.get_mut(filled..).unwrap_or_default())
            {
                // The buffer is full, or the peer has said that it closes.
                Ok(0) => return (filled, Ok(())),
                Ok(count) => {
                    filled = filled.saturating_add(count);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // It closed without saying so, as most encoders do.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return (filled, Ok(()));
                }
                Err(error) => return (filled, Err(error)),
            }
            let read = match now {
                true => tls.read_tls(&mut Now(&self.socket)),
                false => tls.read_tls(&mut Socket(&self.socket)),
            };
            if let Err(error) = read {
                return (filled, Err(error));
            }
            let processed = tls.process_new_packets();
            // An alert, or the answer to a change of keys. If there is no room
            // now it goes out in front of the next write.
            let sent = self.flush(tls);
            if let Err(error) = processed {
                return (
                    filled,
                    Err(io::Error::new(io::ErrorKind::InvalidData, error)),
                );
            }
            match sent {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    return (filled, Err(error));
                }
                _ => {}
            }
        }
    }

    fn flush(&self, tls: &mut Connection) -> io::Result<()> {
        let socket = &self.socket;
        TlsLayer { tls, socket }.flush()
    }
}

impl Carrier for TlsCarrier {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer, false)
    }

    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer, true)
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let tls = &mut *self.tls.lock();
        let socket = &self.socket;
        ahead::write(&mut TlsLayer { tls, socket }, slices)
    }

    fn pending(&self) -> bool {
        self.tls.lock().wants_write()
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
        let mut tls = self.tls.lock();
        tls.send_close_notify();
        match self.flush(&mut tls) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        SockRef::from(&self.socket).shutdown(Shutdown::Write)
    }

    fn abort(&self) {
        Carrier::abort(&self.socket);
    }
}

/// The protocol and its socket.
struct TlsLayer<'l> {
    tls: &'l mut Connection,
    socket: &'l TcpStream,
}

impl Encrypt for TlsLayer<'_> {
    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            if self.tls.write_tls(&mut Socket(self.socket))? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    fn seal(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.tls.writer().write_vectored(slices)
    }
}

/// The socket as rustls wants it.
struct Socket<'s>(&'s TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

/// The same, whether or not the runtime knows that it is ready.
struct Now<'s>(&'s TcpStream);

impl Read for Now<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_now(buffer)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
