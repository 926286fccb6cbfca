//! RTMPE: RTMP whose chunk stream is encrypted with keys from the handshake.
//! Obsolete; it keeps nothing from anybody who really wants to know.
//!
//! Flows in: a carrier. Flows out: a carrier behind the handshake.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, BytesMut};
use livehost_net::carrier::Carrier;
use livehost_net::carrier::ahead::{self, Encrypt};
use livehost_rtmp::handshake::{
    Cipher, EncryptedHandshake, HANDSHAKE_LEN, HandshakeError, Progress, RANDOM_LEN, SECRET_LEN,
};
use parking_lot::Mutex;
use tokio::task::spawn_blocking;

/// The most that is encrypted ahead of the socket, bytes.
const MAX_AHEAD: usize = 64 * 1024;
/// Bytes that one read of the handshake takes.
const PIECE: usize = 2048;

/// A connection after its encrypted handshake.
#[derive(Debug)]
pub(super) struct EncryptedCarrier {
    inner: Arc<dyn Carrier>,
    inbound: Mutex<Cipher>,
    outbound: Mutex<Encrypted>,
}

#[derive(Debug)]
struct Encrypted {
    cipher: Cipher,
    /// Encrypted, and not sent.
    waiting: BytesMut,
}

/// The handshake with a client. It takes as long as the client does.
pub(super) async fn accept(inner: Arc<dyn Carrier>) -> io::Result<EncryptedCarrier> {
    let mut random = [0; RANDOM_LEN];
    let mut secret = [0; SECRET_LEN];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    getrandom::fill(&mut secret).map_err(io::Error::other)?;
    let mut handshake = EncryptedHandshake::new(&random, &secret, 0);
    let mut left = HANDSHAKE_LEN;
    loop {
        let mut bytes = [0; PIECE];
        // Not a byte of what follows the handshake.
        let bytes = bytes.get_mut(..left.min(PIECE)).unwrap_or_default();
        let count = read(&*inner, bytes).await?;
        left = left.saturating_sub(count);
        let received = bytes.get(..count).unwrap_or_default().to_vec();
        // The exchange of keys takes milliseconds, which media can't wait.
        let (shaken, progress, answer) = spawn_blocking(move || {
            let mut answer = BytesMut::new();
            let progress = handshake.handle_input(&mut received.as_slice(), &mut answer);
            (handshake, progress, answer)
        })
        .await
        .map_err(io::Error::other)?;
        handshake = shaken;
        let progress = progress.map_err(invalid)?;
        write(&*inner, answer).await?;
        if progress == Progress::Done {
            break;
        }
    }
    let ciphers = handshake.take_ciphers();
    let ciphers = ciphers.ok_or_else(|| invalid(HandshakeError::PublicKey))?;
    Ok(EncryptedCarrier {
        inner,
        inbound: Mutex::new(ciphers.inbound),
        outbound: Mutex::new(Encrypted {
            cipher: ciphers.outbound,
            waiting: BytesMut::new(),
        }),
    })
}

fn invalid(error: HandshakeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

async fn read(inner: &dyn Carrier, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        poll_fn(|cx| inner.poll_read_ready(cx)).await?;
        match inner.try_read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            outcome => return outcome,
        }
    }
}

async fn write(inner: &dyn Carrier, mut bytes: BytesMut) -> io::Result<()> {
    while !bytes.is_empty() || inner.pending() {
        match inner.try_write(&[IoSlice::new(&bytes)]) {
            Ok(written) => bytes.advance(written.min(bytes.len())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll_fn(|cx| inner.poll_write_ready(cx)).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The cipher and what is below it.
struct RtmpeLayer<'l> {
    cipher: &'l mut Cipher,
    waiting: &'l mut BytesMut,
    inner: &'l dyn Carrier,
}

impl Encrypt for RtmpeLayer<'_> {
    fn flush(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() || self.inner.pending() {
            let written = self.inner.try_write(&[IoSlice::new(self.waiting)])?;
            if written == 0 && !self.waiting.is_empty() {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.waiting.advance(written.min(self.waiting.len()));
        }
        // An idle player holds none.
        *self.waiting = BytesMut::new();
        Ok(())
    }

    fn seal(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let before = self.waiting.len();
        for slice in slices {
            let room = MAX_AHEAD.saturating_sub(self.waiting.len());
            let part = slice.get(..room.min(slice.len())).unwrap_or_default();
            self.waiting.extend_from_slice(part);
        }
        let fresh = self.waiting.get_mut(before..).unwrap_or_default();
        self.cipher.apply(fresh);
        Ok(fresh.len())
    }
}

impl EncryptedCarrier {
    fn decrypt(
        &self,
        buffer: &mut [u8],
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        // Held meanwhile: the cipher goes on in the order of the bytes.
        let mut cipher = self.inbound.lock();
        let count = read(buffer)?;
        cipher.apply(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

impl Carrier for EncryptedCarrier {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.decrypt(buffer, |buffer| self.inner.try_read(buffer))
    }

    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.decrypt(buffer, |buffer| self.inner.read_now(buffer))
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Encrypted { cipher, waiting } = &mut *self.outbound.lock();
        let inner = &*self.inner;
        let mut layer = RtmpeLayer {
            cipher,
            waiting,
            inner,
        };
        ahead::write(&mut layer, slices)
    }

    fn pending(&self) -> bool {
        !self.outbound.lock().waiting.is_empty() || self.inner.pending()
    }

    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_read_ready(cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_write_ready(cx)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.inner.shutdown_write()
    }

    fn abort(&self) {
        self.inner.abort();
    }
}
