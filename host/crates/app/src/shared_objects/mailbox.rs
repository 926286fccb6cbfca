//! What waits for one client: bounded, and filled by whoever changes an object.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use livehost_hub::Wake;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::room::RoomId;

/// What an entry costs beside its body, bytes.
const OVERHEAD: usize = 64;

/// Messages for one client, in order.
#[derive(Debug)]
pub struct Mailbox {
    /// Its session's.
    wake: Wake,
    /// Bytes that others may put in.
    limit: AtomicUsize,
    waiting: Mutex<Waiting>,
    /// Less waits than before, or more may.
    eased: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<QueuedMessage>,
    bytes: usize,
    /// Objects of which the client has missed changes.
    missed: BTreeSet<RoomId>,
}

#[derive(Debug)]
struct QueuedMessage {
    room: RoomId,
    body: Bytes,
    /// An answer to the client's own message: never left out.
    is_answer: bool,
}

impl QueuedMessage {
    fn cost(&self) -> usize {
        self.body.len().saturating_add(OVERHEAD)
    }
}

/// What is next for a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This body.
    Body(Bytes),
    /// The whole state of this object.
    State(RoomId),
}

impl Mailbox {
    pub(super) fn new(wake: Wake, limit: usize) -> Self {
        Self {
            wake,
            limit: AtomicUsize::new(limit),
            waiting: Mutex::default(),
            eased: Notify::new(),
        }
    }

    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
        self.eased.notify_one();
    }

    /// The client may be answered: less waits than the limit.
    pub fn has_room(&self) -> bool {
        self.waiting.lock().bytes < self.limit.load(Ordering::Relaxed)
    }

    /// Waits until the client may be answered.
    pub async fn room(&self) {
        while !self.has_room() {
            self.eased.notified().await;
        }
    }

    /// An answer to the client's own message, whatever waits: the caller asks
    /// [`Mailbox::has_room`] before it takes another.
    pub(super) fn answer(&self, room: RoomId, body: Bytes) {
        self.waiting.lock().push(QueuedMessage {
            room,
            body,
            is_answer: true,
        });
    }

    /// What another client did. When it does not fit, everything of others
    /// that waits is left out: the client gets the state of those objects.
    pub(super) fn post(&self, room: RoomId, body: Bytes) {
        let mut waiting = self.waiting.lock();
        if waiting.missed.contains(&room) {
            return;
        }
        let message = QueuedMessage {
            room,
            body,
            is_answer: false,
        };
        let bytes = waiting.bytes.saturating_add(message.cost());
        if bytes <= self.limit.load(Ordering::Relaxed) {
            waiting.push(message);
        } else {
            waiting.leave_out(room);
            self.eased.notify_one();
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// Takes what is next. After [`Next::State`] the object's messages wait here
    /// again only when [`Mailbox::caught_up`] was called.
    pub(super) fn take(&self) -> Option<Next> {
        let mut waiting = self.waiting.lock();
        let Some(message) = waiting.messages.pop_front() else {
            // A client that keeps up needs no memory here.
            waiting.messages = VecDeque::new();
            return waiting.missed.first().map(|room| Next::State(*room));
        };
        waiting.bytes = waiting.bytes.saturating_sub(message.cost());
        drop(waiting);
        self.eased.notify_one();
        Some(Next::Body(message.body))
    }

    /// The client has the state of this object, or uses it no more.
    pub(super) fn caught_up(&self, room: RoomId) {
        self.waiting.lock().missed.remove(&room);
    }
}

impl Waiting {
    fn push(&mut self, message: QueuedMessage) {
        self.bytes = self.bytes.saturating_add(message.cost());
        self.messages.push_back(message);
    }

    fn leave_out(&mut self, room: RoomId) {
        self.missed.insert(room);
        let (answers, left_out): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.messages)
            .into_iter()
            .partition(|message| message.is_answer);
        self.missed
            .extend(left_out.iter().map(|message| message.room));
        self.bytes = answers
            .iter()
            .map(QueuedMessage::cost)
            .fold(0, usize::saturating_add);
        self.messages = answers;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const LIMIT: usize = 4 * (OVERHEAD + 10);

    fn mailbox() -> Mailbox {
        Mailbox::new(Arc::default(), LIMIT)
    }

    fn body(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    fn all(mailbox: &Mailbox) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(next) = mailbox.take() {
            all.push(match next {
                Next::Body(body) => String::from_utf8_lossy(&body).into_owned(),
                Next::State(room) => {
                    mailbox.caught_up(room);
                    format!("state {room}")
                }
            });
        }
        all
    }

    #[test]
    fn what_fits_comes_in_order() {
        let mailbox = mailbox();
        mailbox.post(1, body("a"));
        mailbox.answer(1, body("b"));
        mailbox.post(2, body("c"));
        assert_eq!(all(&mailbox), ["a", "b", "c"]);
        assert_eq!(all(&mailbox), [""; 0]);
    }

    #[test]
    fn what_does_not_fit_becomes_the_state_and_answers_stay() {
        let mailbox = mailbox();
        mailbox.post(1, body("1"));
        mailbox.answer(1, body("mine"));
        mailbox.post(2, body("2"));
        mailbox.post(3, body("3"));
        mailbox.post(3, body("much too long for it"));
        // What follows is in the state that will be told.
        mailbox.post(2, body("4"));
        assert_eq!(all(&mailbox), ["mine", "state 1", "state 2", "state 3"]);
        mailbox.post(2, body("5"));
        assert_eq!(all(&mailbox), ["5"]);
    }

    #[tokio::test]
    async fn who_asks_more_than_it_reads_waits() {
        let mailbox = mailbox();
        while mailbox.has_room() {
            mailbox.answer(1, body("ten bytes."));
        }
        let waits = mailbox.room();
        tokio::pin!(waits);
        assert!(futures_util::poll!(&mut waits).is_pending());
        mailbox.take();
        waits.await;
    }

    #[tokio::test]
    async fn who_waits_goes_on_when_others_are_left_out_or_more_may_wait() {
        let mailbox = mailbox();
        while mailbox.has_room() {
            mailbox.post(1, body("ten bytes."));
        }
        {
            let waits = mailbox.room();
            tokio::pin!(waits);
            assert!(futures_util::poll!(&mut waits).is_pending());
            mailbox.post(2, body("one more."));
            // Nothing is left that could be taken to wake it.
            assert!(futures_util::poll!(&mut waits).is_ready());
        }
        mailbox.answer(1, body(&"long".repeat(LIMIT)));
        let waits = mailbox.room();
        tokio::pin!(waits);
        assert!(futures_util::poll!(&mut waits).is_pending());
        mailbox.set_limit(10 * LIMIT);
        assert!(futures_util::poll!(&mut waits).is_ready());
    }
}
