//! A connection's way out, shared by its session and the hub.
//!
//! Usually nothing waits and the hub writes a frame straight to the socket.
//! When something does, the hub leaves the frame in the player's bounded queue,
//! and the session, which awaits the socket, goes on from there.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

use super::SendQueue;
use crate::carrier::Carrier;
use crate::hub::{Offer, Outlet};

/// The socket and the bytes that wait for it.
#[derive(Debug)]
pub struct Outbound {
    carrier: Arc<dyn Carrier>,
    queue: Mutex<SendQueue>,
}

impl Outbound {
    /// Nothing waits yet.
    pub fn new(carrier: Arc<dyn Carrier>) -> Arc<Self> {
        Arc::new(Self {
            carrier,
            queue: Mutex::default(),
        })
    }

    /// The bytes that wait. While this is held the hub writes nothing.
    pub fn lock(&self) -> MutexGuard<'_, SendQueue> {
        self.queue.lock()
    }

    /// Appends bytes.
    pub fn push(&self, bytes: Bytes) {
        self.lock().push(bytes);
    }

    /// Waits until the socket has taken some. Cancel-safe.
    pub async fn write(&self) -> io::Result<()> {
        poll_fn(|cx| {
            loop {
                ready!(self.carrier.poll_write_ready(cx))?;
                match self.lock().write_to(&*self.carrier) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
            }
        })
        .await
    }
}

impl Outlet for Outbound {
    fn offer(&self, chunks: &[Bytes], slices: &[IoSlice<'_>]) -> Offer {
        // Locked: the session is about to send something itself.
        let Some(mut queue) = self.queue.try_lock() else {
            return Offer::Refused;
        };
        if !queue.is_empty() || queue.is_closed() {
            return Offer::Refused;
        }
        // An error is the session's to find.
        let Ok(written) = self.carrier.try_write(slices) else {
            return Offer::Refused;
        };
        queue.count(written);
        let mut skip = written;
        for chunk in chunks {
            let rest = skip.min(chunk.len());
            skip = skip.saturating_sub(rest);
            if rest < chunk.len() {
                queue.push(chunk.slice(rest..));
            }
        }
        if queue.is_empty() {
            Offer::Written
        } else {
            Offer::Taken
        }
    }
}
