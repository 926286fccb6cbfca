//! A connection's way out, shared by its session and the hub.
//!
//! Usually nothing waits and the hub writes a frame straight to the socket.
//! When something does, the hub leaves the frame in the player's bounded queue,
//! and the session, which awaits the socket, goes on from there.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::{Buf, Bytes};
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
    fn offer(&self, chunks: &Bytes) -> Offer {
        // Locked: the session is about to send something itself.
        let Some(mut queue) = self.queue.try_lock() else {
            return Offer::Refused;
        };
        if !queue.is_empty() || queue.is_closed() {
            return Offer::Refused;
        }
        // An error is the session's to find.
        let Ok(written) = self.carrier.write_now(chunks) else {
            return Offer::Refused;
        };
        queue.count(written);
        if written >= chunks.len() {
            return Offer::Written;
        }
        let mut rest = chunks.clone();
        rest.advance(written);
        queue.push(rest);
        Offer::Taken
    }
}
