//! Bytes on their way to the socket: written many at a time, never copied.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Slices handed to one vectored write.
const MAX_SLICES: usize = 64;
/// A player's frames wait in its bounded queue once so much is on its way.
const HIGH_WATER: usize = 256 * 1024;

/// Bytes that wait for the socket, in order.
#[derive(Debug, Default)]
pub struct SendQueue {
    chunks: VecDeque<Bytes>,
    len: usize,
    sent: u64,
}

impl SendQueue {
    /// Appends bytes; empty ones are nothing.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.len = self.len.saturating_add(bytes.len());
            self.chunks.push_back(bytes);
        }
    }

    /// True when everything was written.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// False when media should wait where it can be dropped.
    pub fn has_room(&self) -> bool {
        self.len < HIGH_WATER && self.chunks.len() < MAX_SLICES * 2
    }

    /// Bytes written so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// One vectored write. Cancel-safe: what was not written stays.
    pub async fn write_to<W>(&mut self, socket: &mut W) -> io::Result<()>
    where
        W: AsyncWrite + Unpin,
    {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(chunk);
            count += 1;
        }
        let slices = slices.get(..count).unwrap_or_default();
        let written = socket.write_vectored(slices).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.advance(written);
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        self.sent = self.sent.saturating_add(written as u64);
        self.len = self.len.saturating_sub(written);
        while let Some(front) = self.chunks.front_mut() {
            if front.len() > written {
                front.advance(written);
                return;
            }
            written = written.saturating_sub(front.len());
            self.chunks.pop_front();
        }
    }
}
