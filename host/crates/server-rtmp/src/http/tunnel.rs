//! One tunnelled client: the bytes of its requests in, the bytes for its
//! answers out. To its session it is a carrier like any other.

use std::fmt;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use livehost_net::carrier::Carrier;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Received bytes that the session has not read; then requests wait.
const MAX_INBOUND: usize = 64 * 1024;
/// Bytes for the client that it has not asked for; then the session waits.
const MAX_OUTBOUND: usize = 256 * 1024;
/// What a client is told of how long to wait between two questions: the first
/// byte of each answer, in units nobody has written down. Clients take it as
/// "more is worse".
const INTERVALS: [u8; 6] = [1, 3, 5, 9, 17, 33];

/// A tunnelled client's connection.
#[derive(Debug)]
pub(super) struct Tunnel {
    state: Mutex<TunnelState>,
    /// The session has read, or is over.
    room: Notify,
    /// Held while a request is worked on: they come one after the other.
    turn: tokio::sync::Mutex<Sequence>,
}

/// What orders the requests.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    /// Of the last request.
    number: Option<u64>,
}

impl Sequence {
    /// Whether `number` may be next. One that comes again would put its bytes
    /// into the stream twice.
    pub(super) fn advance(&mut self, number: u64) -> bool {
        let is_next = self.number.is_none_or(|last| number > last);
        if is_next {
            self.number = Some(number);
        }
        is_next
    }
}

struct TunnelState {
    /// Copied: what a request brings may be a byte of a large buffer.
    inbound: BytesMut,
    outbound: BytesMut,
    /// The client is gone, or was told that the session is.
    closed: bool,
    /// The session sends no more.
    finished: bool,
    /// Answers in a row that had nothing for the client.
    empty: usize,
    requested: Instant,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl fmt::Debug for TunnelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("inbound", &self.inbound.len())
            .field("outbound", &self.outbound.len())
            .field("closed", &self.closed)
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}

impl TunnelState {
    fn close(&mut self) {
        self.closed = true;
        self.wake();
    }

    fn wake(&mut self) {
        let wakers = [self.reader.take(), self.writer.take()];
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Tunnel {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(TunnelState {
                inbound: BytesMut::new(),
                outbound: BytesMut::new(),
                closed: false,
                finished: false,
                empty: 0,
                requested: Instant::now(),
                reader: None,
                writer: None,
            }),
            room: Notify::new(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// The turn of one request.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, Sequence> {
        let turn = self.turn.lock().await;
        self.state.lock().requested = Instant::now();
        turn
    }

    /// Passes bytes of a request to the session; waits while it is behind.
    /// False when there is nobody to take them any more.
    pub(super) async fn push(&self, bytes: Bytes) -> bool {
        loop {
            let room = self.room.notified();
            {
                let mut state = self.state.lock();
                if state.closed {
                    return false;
                }
                state.requested = Instant::now();
                if state.inbound.len() < MAX_INBOUND {
                    state.inbound.extend_from_slice(&bytes);
                    if let Some(reader) = state.reader.take() {
                        reader.wake();
                    }
                    return true;
                }
            }
            room.await;
        }
    }

    /// An answer: the interval, then what waits for the client.
    pub(super) fn answer(&self) -> Bytes {
        let mut state = self.state.lock();
        let waiting = std::mem::take(&mut state.outbound);
        state.empty = match waiting.is_empty() {
            true => state.empty.saturating_add(1),
            false => 0,
        };
        let last = INTERVALS.len().saturating_sub(1);
        let interval = INTERVALS.get(state.empty.min(last)).copied();
        let mut answer = BytesMut::with_capacity(waiting.len().saturating_add(1));
        answer.extend_from_slice(&[interval.unwrap_or(1)]);
        answer.extend_from_slice(&waiting);
        if state.finished {
            // The last bytes are out.
            state.close();
        } else if let Some(writer) = state.writer.take() {
            writer.wake();
        }
        answer.freeze()
    }

    /// The client is gone.
    pub(super) fn close(&self) {
        self.state.lock().close();
        self.room.notify_waiters();
    }

    /// Waits until the client has asked for nothing for so long as `patience`.
    pub(super) async fn expired(&self, patience: Duration) {
        loop {
            let due = {
                let mut state = self.state.lock();
                if state.inbound.len() >= MAX_INBOUND {
                    // A request waits for the session, not the other way round.
                    state.requested = Instant::now();
                }
                state.requested + patience
            };
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    }
}

impl Carrier for Tunnel {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        let filled = buffer.len().min(state.inbound.len());
        let (front, _) = buffer.split_at_mut(filled);
        state.inbound.copy_to_slice(front);
        if state.inbound.is_empty() {
            // An idle tunnel holds none.
            state.inbound = BytesMut::new();
        }
        if filled == 0 && !state.closed {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        drop(state);
        self.room.notify_waiters();
        Ok(filled)
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state.lock();
        if state.closed || state.finished {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut written = 0_usize;
        for slice in slices {
            let room = MAX_OUTBOUND.saturating_sub(state.outbound.len());
            let part = slice.get(..room.min(slice.len())).unwrap_or_default();
            state.outbound.extend_from_slice(part);
            written = written.saturating_add(part.len());
            if part.len() < slice.len() {
                break;
            }
        }
        if written == 0 && slices.iter().any(|slice| !slice.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(written)
    }

    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.lock();
        if !state.inbound.is_empty() || state.closed {
            return Poll::Ready(Ok(()));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.lock();
        if state.closed || state.finished || state.outbound.len() < MAX_OUTBOUND {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn shutdown_write(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.finished = true;
        if state.outbound.is_empty() {
            state.close();
        }
        Ok(())
    }

    /// What waits for the client's next request ends with the tunnel anyway.
    fn abort(&self) {}
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn bytes_pass_both_ways_and_wake_who_waits() {
        let tunnel = Tunnel::new();
        let mut buffer = [0; 4];
        let nothing = tunnel.try_read(&mut buffer).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        let read = async {
            poll_fn(|cx| tunnel.poll_read_ready(cx)).await.unwrap();
            let first = tunnel.try_read(&mut buffer).unwrap();
            assert_eq!((first, buffer), (4, *b"abcd"));
            assert_eq!(tunnel.try_read(&mut buffer).unwrap(), 1);
        };
        let push = async {
            assert!(tunnel.push(Bytes::from_static(b"abc")).await);
            assert!(tunnel.push(Bytes::from_static(b"de")).await);
        };
        tokio::join!(read, push);
        let slices = [&b"answer"[..], b" in two"].map(IoSlice::new);
        assert_eq!(tunnel.try_write(&slices).unwrap(), 13);
        assert_eq!(&tunnel.answer()[..], b"\x01answer in two");
    }

    #[tokio::test]
    async fn both_directions_are_bounded() {
        let tunnel = Tunnel::new();
        let megabyte = vec![7; 1 << 20];
        let written = tunnel.try_write(&[IoSlice::new(&megabyte)]).unwrap();
        assert_eq!(written, MAX_OUTBOUND);
        let full = tunnel.try_write(&[IoSlice::new(b"x")]).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        let ready = poll_fn(|cx| tunnel.poll_write_ready(cx));
        let answer = async { tunnel.answer() };
        let (ready, answer) = tokio::join!(ready, answer);
        ready.unwrap();
        assert_eq!(answer.len(), 1 + MAX_OUTBOUND);

        assert!(tunnel.push(vec![1; MAX_INBOUND].into()).await);
        let mut buffer = vec![0; MAX_INBOUND];
        let read = async { tunnel.try_read(&mut buffer) };
        // Waits for the read.
        let (taken, read) = tokio::join!(tunnel.push(Bytes::from_static(b"x")), read);
        assert!(taken);
        assert_eq!(read.unwrap(), MAX_INBOUND);
        assert_eq!(tunnel.try_read(&mut buffer).unwrap(), 1);
    }

    #[tokio::test]
    async fn the_last_bytes_go_out_before_the_end() {
        let tunnel = Tunnel::new();
        tunnel.try_write(&[IoSlice::new(b"bye")]).unwrap();
        tunnel.shutdown_write().unwrap();
        let again = tunnel.try_write(&[IoSlice::new(b"x")]).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::BrokenPipe);
        tunnel.try_read(&mut [0]).unwrap_err();
        assert_eq!(&tunnel.answer()[..], b"\x01bye");
        assert_eq!(tunnel.try_read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn the_interval_grows_while_there_is_nothing() {
        let tunnel = Tunnel::new();
        let intervals: Vec<u8> = (0..7).map(|_| tunnel.answer()[0]).collect();
        assert_eq!(intervals, [3, 5, 9, 17, 33, 33, 33]);
        tunnel.try_write(&[IoSlice::new(b"x")]).unwrap();
        assert_eq!(&tunnel.answer()[..], b"\x01x");
    }

    #[test]
    fn a_number_comes_once() {
        let mut turn = Sequence::default();
        let taken: Vec<bool> = [0, 1, 1, 3, 2, 4].map(|n| turn.advance(n)).into();
        assert_eq!(taken, [true, true, false, true, false, true]);
    }
}
