//! A connection's way out, shared by its session and the hub.
//!
//! Usually nothing waits and the hub writes a frame straight to the socket.
//! When something does, the hub leaves the frame in the player's bounded queue,
//! and the session, which awaits the socket, goes on from there.
//!
//! So two may write: the session (answers, what waited) and a lane (live frames).
//! The session holds the lock while it moves frames from the player's queue; a
//! lane only tries it, and leaves the frame in that queue when it is held or when
//! bytes wait here. Open and closed the outlet is under the queue's lock alone, by
//! whoever changes what is in the queue or what the player wants; and it is open
//! for one playback by number, so that a lane that has not heard of its end writes
//! nothing into the next.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
#[cfg(feature = "shuttle")]
use livehost_hub::sync;
use livehost_hub::sync::atomic::{AtomicU64, Ordering};
use livehost_hub::sync::{Mutex, MutexGuard};
use livehost_hub::{Offer, Outlet, PlayerId};
use livehost_net::carrier::Carrier;
use livehost_net::driver::{Egress, Waiting};

use super::SendQueue;

/// The carrier and the bytes that wait for it: all that a frame touches of a
/// player that keeps up, and therefore in one place, in this order.
#[repr(C)]
pub struct Outbound<C: ?Sized = dyn Carrier> {
    /// The player that the hub may write for without asking its queue; 0 for
    /// none.
    open_for: AtomicU64,
    queue: Mutex<SendQueue>,
    carrier: C,
}

impl<C: Carrier> Outbound<C> {
    /// Nothing waits yet.
    pub fn new(carrier: C) -> Arc<Self> {
        Arc::new(Self {
            open_for: AtomicU64::new(0),
            queue: Mutex::default(),
            carrier,
        })
    }
}

impl<C: Carrier + ?Sized> fmt::Debug for Outbound<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound")
            .field("carrier", &&self.carrier)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

impl<C: Carrier + ?Sized> Outbound<C> {
    /// The bytes that wait. While this is held the hub writes nothing.
    pub fn lock(&self) -> MutexGuard<'_, SendQueue> {
        self.queue.lock()
    }

    /// Appends bytes.
    pub fn push(&self, bytes: Bytes) {
        self.lock().push(bytes);
    }
}

impl Egress for Outbound {
    fn carrier(&self) -> &dyn Carrier {
        &self.carrier
    }

    fn waiting(&self) -> Waiting {
        let queue = self.lock();
        Waiting {
            bytes: queue.len(),
            since: queue.waiting_since(),
        }
    }

    /// Much, with more behind it, and what does not fit is left to
    /// [`Egress::poll_write`].
    fn flush(&self) -> io::Result<bool> {
        let mut queue = self.lock();
        if let Some(error) = queue.take_failure() {
            return Err(error);
        }
        if queue.is_empty() || !queue.has_room() {
            return Ok(false);
        }
        match queue.write_to(&self.carrier) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(queue.is_empty()),
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.carrier.poll_write_ready(cx))?;
            match self.lock().write_to(&self.carrier) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn take_failure(&self) -> Option<io::Error> {
        self.lock().take_failure()
    }
}

impl<C: Carrier + ?Sized> Outlet for Outbound<C> {
    fn pass(&self, player: PlayerId, chunks: &Bytes) -> Offer {
        // Locked: the session is about to send something itself.
        let Some(mut queue) = self.queue.try_lock() else {
            return Offer::Refused;
        };
        // Under the lock: see `finish`.
        if !self.is_open(player) {
            return Offer::Refused;
        }
        #[cfg(feature = "shuttle")]
        sync::slip(sync::Slip::Write, &mut queue);
        self.write_now(&mut queue, chunks)
    }

    fn is_open(&self, player: PlayerId) -> bool {
        self.open_for.load(Ordering::Acquire) == player.get()
    }

    fn set_open(&self, player: PlayerId, open: bool) {
        let (from, to) = if open {
            (0, player.get())
        } else {
            (player.get(), 0)
        };
        // Fails when it is another player's by now.
        let _ = self
            .open_for
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
    }

    fn finish(&self) -> u64 {
        self.lock().taken()
    }

    fn taken(&self) -> u64 {
        self.lock().taken()
    }
}

impl<C: Carrier + ?Sized> Outbound<C> {
    fn write_now(&self, queue: &mut SendQueue, chunks: &Bytes) -> Offer {
        if !queue.is_empty() || queue.is_closed() {
            return Offer::Refused;
        }
        let written = match self.carrier.write_now(chunks) {
            Ok(written) => written,
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    queue.fail(error);
                }
                return Offer::Refused;
            }
        };
        queue.count_taken(written, chunks.len(), self.carrier.pending());
        if queue.is_empty() && written >= chunks.len() {
            return Offer::Written;
        }
        let mut rest = chunks.clone();
        rest.advance(written);
        queue.push(rest);
        Offer::Taken
    }
}

#[cfg(test)]
#[path = "outbound_tests.rs"]
mod tests;
