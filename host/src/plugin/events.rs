//! Events on their way to the plugin: one ordered, bounded queue for each
//! application.
//!
//! Flows in: events, from whoever saw them, without waiting. Flows out: the
//! same events in order, to the one task that delivers them.

use std::collections::{HashMap, HashSet, VecDeque};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::warn;

use crate::policy::{ConnId, Event, Occasion, StreamId};

/// One application's queue.
#[derive(Debug)]
pub(super) struct EventQueue {
    app: String,
    queue: Mutex<Queue>,
    changed: Notify,
}

impl EventQueue {
    pub(super) fn new(app: String, limit: usize) -> Self {
        Self {
            app,
            queue: Mutex::new(Queue::new(limit)),
            changed: Notify::new(),
        }
    }

    /// Another limit from now on.
    pub(super) fn set_limit(&self, limit: usize) {
        self.with(|queue| queue.limit = limit);
    }

    fn with<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R {
        f(&mut self.queue.lock())
    }

    /// Queues `event`, or drops it when the queue is full and says so once a
    /// jam. False when it was dropped.
    pub(super) fn push(&self, event: Event) -> bool {
        let pushed = self.with(|queue| queue.push(event));
        match pushed {
            Pushed::Queued => self.changed.notify_one(),
            Pushed::FirstDropped => warn!(
                app = self.app,
                "event queue full: events are dropped until the plugin keeps up"
            ),
            Pushed::Dropped => {}
        }
        pushed == Pushed::Queued
    }

    /// Something happened that nobody hears of now. A plugin that comes while
    /// the stream is live hears of its end. False when the event has to be
    /// queued all the same: another one may hear it yet, and what is before it.
    pub(super) fn passes_over(&self, occasion: Occasion) -> bool {
        match occasion {
            Occasion::Published(id) => {
                self.with(|queue| queue.announced.insert(id, Announced::ToNobody));
            }
            Occasion::Unpublished(id) => {
                return self.with(|queue| match queue.announced.get(&id) {
                    Some(Announced::Queued) => false,
                    Some(Announced::ToNobody) => queue.announced.remove(&id).is_some(),
                    None => true,
                });
            }
            Occasion::Ready | Occasion::PlayEnded | Occasion::Disconnected => {}
        }
        true
    }

    /// The next event; none once the queue is closed and empty. One task calls
    /// this.
    pub(super) async fn next(&self) -> Option<Event> {
        loop {
            let (event, dropped, closed) = self.with(|queue| {
                let (event, dropped) = queue.pop();
                (event, dropped, queue.closed)
            });
            if dropped > 0 {
                warn!(app = self.app, dropped, "event queue keeps up again");
            }
            if event.is_some() || closed {
                return event;
            }
            self.changed.notified().await;
        }
    }

    /// Takes no more events; those queued are still delivered.
    pub(super) fn close(&self) {
        self.with(|queue| queue.closed = true);
        self.changed.notify_one();
    }
}

/// The queue itself: no lock, no waiting.
#[derive(Debug)]
struct Queue {
    limit: usize,
    events: VecDeque<Event>,
    /// Streams whose `published` was queued, or passed over while nobody heard
    /// of such, and whose `unpublished` was not yet. For these the end is always
    /// queued, and for others never, so that
    /// a plugin's accounting stays right. They are live, so there are no more
    /// of them than live streams.
    announced: HashMap<StreamId, Announced>,
    /// Relays of which something was queued and whose end was not yet. For
    /// these the end is always queued. They run, so `relay.max` bounds them.
    relays: HashSet<ConnId>,
    /// Dropped since the last event that was taken in.
    dropped: u64,
    closed: bool,
}

/// What became of a stream's `published`.
#[derive(Debug, Clone, Copy)]
enum Announced {
    Queued,
    ToNobody,
}

#[derive(Debug, PartialEq, Eq)]
enum Pushed {
    Queued,
    FirstDropped,
    Dropped,
}

impl Queue {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            events: VecDeque::new(),
            announced: HashMap::new(),
            relays: HashSet::new(),
            dropped: 0,
            closed: false,
        }
    }

    fn push(&mut self, event: Event) -> Pushed {
        let full = self.events.len() >= self.limit;
        let wanted = !self.closed
            && match &event {
                Event::Published(info) => {
                    !full && self.announced.insert(info.id, Announced::Queued).is_none()
                }
                Event::Unpublished(info, _) => self.announced.remove(&info.id).is_some(),
                Event::Ready(info) => !full && self.announced.contains_key(&info.id),
                Event::PlayEnded(..) | Event::Disconnected(..) | Event::Recorded(..) => !full,
                Event::RelayUp(relay) | Event::RelayFailed(relay, _) => {
                    if !full {
                        self.relays.insert(relay.conn);
                    }
                    !full
                }
                Event::RelayEnded(relay, _) => self.relays.remove(&relay.conn) || !full,
            };
        if wanted {
            self.events.push_back(event);
            return Pushed::Queued;
        }
        self.dropped = self.dropped.saturating_add(1);
        if self.dropped == 1 && !self.closed {
            Pushed::FirstDropped
        } else {
            Pushed::Dropped
        }
    }

    /// The oldest event; how many were dropped, once the jam is over.
    fn pop(&mut self) -> (Option<Event>, u64) {
        let event = self.events.pop_front();
        let over = self.events.len() <= self.limit / 2;
        let dropped = if over {
            std::mem::take(&mut self.dropped)
        } else {
            0
        };
        (event, dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Client, Relay, SessionEnd, StreamInfo};

    fn info(id: StreamId) -> StreamInfo {
        StreamInfo {
            id,
            app: "live".into(),
            instance: None,
            name: format!("s{id}"),
            publisher: Client::default(),
            video: None,
            audio: None,
            started_unix_ms: 0,
            bytes_in: 0,
            idle_ms: 0,
            kbps: 0,
            players: 0,
            extra: Vec::new(),
        }
    }

    fn published(id: StreamId) -> Event {
        Event::Published(info(id))
    }

    fn unpublished(id: StreamId) -> Event {
        Event::Unpublished(info(id), SessionEnd::default())
    }

    #[test]
    fn every_announced_stream_ends_even_in_a_full_queue() {
        let mut queue = Queue::new(2);
        assert_eq!(queue.push(published(1)), Pushed::Queued);
        assert_eq!(queue.push(published(2)), Pushed::Queued);
        assert_eq!(queue.push(published(3)), Pushed::FirstDropped);
        assert_eq!(queue.push(Event::Ready(info(1))), Pushed::Dropped);
        assert_eq!(queue.push(unpublished(3)), Pushed::Dropped);
        assert_eq!(queue.push(unpublished(1)), Pushed::Queued);
        assert_eq!(queue.push(unpublished(1)), Pushed::Dropped, "once");
        assert_eq!(queue.push(unpublished(2)), Pushed::Queued);
        let mut out = Vec::new();
        while let (Some(event), _) = queue.pop() {
            out.push(event);
        }
        assert_eq!(
            out,
            [published(1), published(2), unpublished(1), unpublished(2)]
        );
        assert!(queue.announced.is_empty());
    }

    #[tokio::test]
    async fn a_plugin_that_comes_later_hears_of_the_end() {
        let queue = EventQueue::new("live".into(), 8);
        assert!(queue.passes_over(Occasion::Published(1)));
        assert!(queue.passes_over(Occasion::Published(2)));
        assert!(queue.passes_over(Occasion::Unpublished(2)));
        assert!(!queue.push(unpublished(2)), "its end has been");
        assert!(queue.push(unpublished(1)));
        assert_eq!(queue.next().await, Some(unpublished(1)));
        queue.with(|queue| assert!(queue.announced.is_empty()));
    }

    #[tokio::test]
    async fn an_end_follows_its_beginning_although_nobody_hears_of_it_now() {
        let queue = EventQueue::new("live".into(), 8);
        // Not delivered before a plugin came that hears nothing.
        assert!(queue.push(published(1)));
        assert!(queue.passes_over(Occasion::Ready));
        assert!(!queue.passes_over(Occasion::Unpublished(1)));
        assert!(queue.push(unpublished(1)));
        assert!(queue.passes_over(Occasion::Unpublished(1)), "once");
        assert_eq!(queue.next().await, Some(published(1)));
        assert_eq!(queue.next().await, Some(unpublished(1)));
    }

    #[test]
    fn a_relay_that_was_told_of_ends_even_in_a_full_queue() {
        let relay = |conn| Relay {
            conn,
            ..Relay::default()
        };
        let ended = |conn| Event::RelayEnded(relay(conn), "stopped".into());
        let mut queue = Queue::new(1);
        assert_eq!(queue.push(Event::RelayUp(relay(1))), Pushed::Queued);
        assert_eq!(queue.push(Event::RelayUp(relay(2))), Pushed::FirstDropped);
        assert_eq!(queue.push(ended(2)), Pushed::Dropped);
        assert_eq!(queue.push(ended(1)), Pushed::Queued);
        assert!(queue.relays.is_empty());
        while queue.pop().0.is_some() {}
        assert_eq!(queue.push(ended(3)), Pushed::Queued, "nothing else of it");
    }

    #[test]
    fn what_was_dropped_is_counted() {
        let mut queue = Queue::new(1);
        queue.push(published(1));
        for id in 2..5 {
            queue.push(published(id));
        }
        assert_eq!(queue.pop(), (Some(published(1)), 3));
        assert_eq!(queue.pop(), (None, 0));
    }

    #[tokio::test]
    async fn a_closed_queue_delivers_what_it_holds() {
        let queue = EventQueue::new("live".into(), 8);
        queue.push(published(1));
        queue.close();
        queue.push(published(2));
        assert_eq!(queue.next().await, Some(published(1)));
        assert_eq!(queue.next().await, None);
    }
}
