//! A carrier in memory: the tests' end of a connection.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::Carrier;

/// The server's end, and what a test does at the other one.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Ends>);

#[derive(Debug)]
struct Ends {
    inbound: VecDeque<u8>,
    /// The peer sends no more.
    ended: bool,
    /// The runtime has heard of what is there.
    told: bool,
    outbound: Vec<u8>,
    /// So many more bytes are taken.
    room: usize,
    /// The server sends no more.
    shut: bool,
    aborted: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Default for Ends {
    fn default() -> Self {
        Self {
            inbound: VecDeque::new(),
            ended: false,
            told: false,
            outbound: Vec::new(),
            room: usize::MAX,
            shut: false,
            aborted: false,
            reader: None,
            writer: None,
        }
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl Memory {
    /// The peer sends `bytes`.
    pub fn send(&self, bytes: &[u8]) {
        let mut ends = self.0.lock();
        ends.inbound.extend(bytes);
        ends.told = true;
        wake(&mut ends.reader);
    }

    /// The same, without that the runtime hears of it.
    pub fn send_untold(&self, bytes: &[u8]) {
        self.0.lock().inbound.extend(bytes);
    }

    /// The peer closes; `tell`: the runtime hears of it now. Otherwise it does not.
    pub fn close(&self, tell: bool) {
        let mut ends = self.0.lock();
        ends.ended = true;
        if tell {
            ends.told = true;
            wake(&mut ends.reader);
        }
    }

    /// The peer takes so many more bytes.
    pub fn set_room(&self, room: usize) {
        let mut ends = self.0.lock();
        ends.room = room;
        wake(&mut ends.writer);
    }

    /// What the peer has got since the last call.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().outbound)
    }

    /// Bytes that the peer has sent and nobody has read.
    pub fn unread(&self) -> usize {
        self.0.lock().inbound.len()
    }

    /// Whether nothing more is sent.
    pub fn is_shut(&self) -> bool {
        self.0.lock().shut
    }

    /// Whether the connection is to be reset.
    pub fn is_aborted(&self) -> bool {
        self.0.lock().aborted
    }
}

impl Carrier for Memory {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.0.lock().told {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.read_now(buffer)
    }

    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ends = self.0.lock();
        if ends.inbound.is_empty() && !ends.ended {
            ends.told = false;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = buffer.len().min(ends.inbound.len());
        for (byte, sent) in buffer.iter_mut().zip(ends.inbound.drain(..count)) {
            *byte = sent;
        }
        Ok(count)
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut ends = self.0.lock();
        let mut taken = 0_usize;
        for slice in slices {
            let count = slice.len().min(ends.room);
            ends.room -= count;
            let bytes = slice.get(..count).unwrap_or_default();
            ends.outbound.extend_from_slice(bytes);
            taken = taken.saturating_add(count);
        }
        match taken {
            0 if slices.iter().any(|slice| !slice.is_empty()) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            taken => Ok(taken),
        }
    }

    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ends = self.0.lock();
        if ends.told {
            return Poll::Ready(Ok(()));
        }
        ends.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ends = self.0.lock();
        if ends.room > 0 {
            return Poll::Ready(Ok(()));
        }
        ends.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.0.lock().shut = true;
        Ok(())
    }

    fn abort(&self) {
        self.0.lock().aborted = true;
    }
}
