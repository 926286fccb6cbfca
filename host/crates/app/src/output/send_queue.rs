//! Bytes on their way to the socket: written many at a time, never copied.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use livehost_net::carrier::Carrier;
use tokio::time::Instant;

/// Slices handed to one vectored write.
const MAX_SLICES: usize = 64;
/// A player's frames wait in its bounded queue once so much is on its way,
/// bytes: as much as the kernel may hold unsent. What is beyond the queue can't
/// be dropped any more.
pub const HIGH_WATER: usize = 64 * 1024;

/// Room that stays when nothing waits: for one answer after the other.
const KEPT: usize = 4;

/// Bytes that wait for the socket, in order.
// In this order: the first four are looked at for every frame.
#[derive(Debug, Default)]
#[repr(C)]
pub struct SendQueue {
    len: usize,
    sent: u64,
    /// Taken from the hub, in bytes.
    taken: u64,
    closed: bool,
    /// The carrier holds some of what it took, and has to be called again: see
    /// [`Carrier::pending`].
    pending: bool,
    /// Why a write of the hub failed.
    failure: Option<io::Error>,
    /// The last progress, while something waits.
    waiting_since: Option<Instant>,
    chunks: VecDeque<Bytes>,
}

impl SendQueue {
    /// Appends bytes; empty ones are nothing.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.waiting_since.get_or_insert_with(Instant::now);
            self.len = self.len.saturating_add(bytes.len());
            self.chunks.push_back(bytes);
        }
    }

    /// True when everything is on its way.
    pub fn is_empty(&self) -> bool {
        self.len == 0 && !self.pending
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

    /// Since when bytes wait, here or in the carrier, without any being taken.
    pub fn waiting_since(&self) -> Option<Instant> {
        self.waiting_since
    }

    /// From now on only the session sends: its last words.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// True after [`SendQueue::close`].
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// `written` of `taken` bytes went out without having waited here; the
    /// others are about to be pushed. Some of those written may be pending.
    pub(super) fn count_taken(&mut self, written: usize, taken: usize, pending: bool) {
        if pending {
            self.pending = true;
            self.waiting_since = Some(Instant::now());
        }
        self.sent = self.sent.saturating_add(written as u64);
        self.taken = self.taken.saturating_add(taken as u64);
    }

    /// What [`SendQueue::count_taken`] was told so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// A write has failed: the socket tells why once, and only then.
    pub(super) fn fail(&mut self, error: io::Error) {
        self.failure.get_or_insert(error);
    }

    /// Why a write of the hub failed, for the session to end with.
    pub fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// One vectored write; what was not written stays.
    pub(super) fn write_to(&mut self, carrier: &(impl Carrier + ?Sized)) -> io::Result<()> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(chunk);
            count += 1;
        }
        if self.is_empty() {
            return Ok(());
        }
        let written = carrier.try_write(slices.get(..count).unwrap_or_default())?;
        if written == 0 && count > 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.pending = carrier.pending();
        self.advance(written);
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        self.sent = self.sent.saturating_add(written as u64);
        self.len = self.len.saturating_sub(written);
        self.waiting_since = (!self.is_empty()).then(Instant::now);
        while let Some(front) = self.chunks.front_mut() {
            if front.len() > written {
                front.advance(written);
                return;
            }
            written = written.saturating_sub(front.len());
            self.chunks.pop_front();
        }
        // A player that keeps up needs next to no memory here.
        if self.chunks.capacity() > KEPT {
            self.chunks = VecDeque::new();
        }
    }
}
