//! Events on their way to the plugin: one ordered, bounded queue for each
//! application.
//!
//! Flows in: events, from whoever saw them, without waiting. Flows out: the
//! same events in order, to the one task that delivers them. While a function
//! may not be called, its events wait beside the queue, and so does what follows
//! about the same stream or connection; the others go on.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use livehost_policy::{Client, ConnId, Event, StreamId};
use livehost_telemetry::limited;
use livehost_telemetry::log::Quota;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::function::Function;

/// One application's queue.
#[derive(Debug)]
pub(super) struct EventQueue {
    app: String,
    queue: Mutex<Backlog>,
    changed: Notify,
    /// Lines about it: clients may fill it again and again.
    lines: Arc<Quota>,
}

impl EventQueue {
    pub(super) fn new(app: String, limit: usize) -> Self {
        Self {
            lines: Arc::new(Quota::new(format!("events of the application {app:?}"))),
            app,
            queue: Mutex::new(Backlog::new(limit)),
            changed: Notify::new(),
        }
    }

    /// Another limit from now on.
    pub(super) fn set_limit(&self, limit: usize) {
        self.with(|queue| queue.limit = limit);
    }

    fn with<R>(&self, f: impl FnOnce(&mut Backlog) -> R) -> R {
        f(&mut self.queue.lock())
    }

    /// Queues `event`, or drops it when the queue is full and says so once a
    /// jam. False when it was dropped.
    pub(super) fn push(&self, event: Event) -> bool {
        let pushed = self.with(|queue| queue.push(event));
        match pushed {
            PushOutcome::Queued => self.changed.notify_one(),
            PushOutcome::FirstDropped => limited!(
                WARN,
                self.lines.admits_and_reports(),
                app = self.app,
                "event queue full: events are dropped until the plugin keeps up"
            ),
            PushOutcome::Dropped => {}
        }
        pushed == PushOutcome::Queued
    }

    /// Something happened that nobody hears of now. A plugin that comes while
    /// the stream is live hears of its end. False when the event has to be
    /// queued all the same: another one may hear it yet, and what is before it.
    pub(super) fn passes_over(&self, event: &Event) -> bool {
        match event {
            Event::Published(info) => {
                self.with(|queue| queue.announced.insert(info.id, Announced::ToNobody));
                true
            }
            Event::Unpublished(info, _) => self.with(|queue| match queue.announced.get(&info.id) {
                Some(Announced::Queued) => false,
                Some(Announced::ToNobody) => queue.announced.remove(&info.id).is_some(),
                None => true,
            }),
            Event::Ready(_)
            | Event::PlayEnded(..)
            | Event::Disconnected(..)
            | Event::Recorded(..) => true,
            // Their account is the queue's.
            Event::RelayUp(_) | Event::RelayFailed(..) | Event::RelayEnded(..) => false,
        }
    }

    /// The next event whose function may be called; none once the queue is closed
    /// and empty. `suspended`: how much longer a function may not be at a time. One
    /// task calls this.
    pub(super) async fn next(
        &self,
        suspended: impl Fn(Function, Instant) -> Option<Duration>,
    ) -> Option<Due> {
        loop {
            // A back-off that ends between two questions would be no reason to
            // wait, and none to go on.
            let now = Instant::now();
            let (next, dropped) = self.with(|queue| queue.pop(|it| suspended(it, now)));
            if dropped > 0 {
                limited!(
                    WARN,
                    self.lines.admits_and_reports(),
                    app = self.app,
                    dropped,
                    "event queue keeps up again"
                );
            }
            match next {
                NextEvent::Due(due) => return Some(*due),
                NextEvent::End => return None,
                NextEvent::Later(left) => {
                    // Either way the queue is looked at again.
                    let _ = tokio::time::timeout(left, self.changed.notified()).await;
                }
                NextEvent::Never => self.changed.notified().await,
            }
        }
    }

    /// The event could not be delivered: it is the next again.
    pub(super) fn put_back(&self, event: Event) {
        self.with(|queue| queue.events.push_front(event));
    }

    /// What was suspended may not be any more.
    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Takes no more events; those queued are still delivered.
    pub(super) fn close(&self) {
        self.with(|queue| queue.closed = true);
        self.changed.notify_one();
    }
}

/// An event that is to be delivered.
#[derive(Debug, PartialEq)]
pub(super) struct Due {
    pub(super) event: Event,
    /// The queue is closed, so there is no later, whether or not its function
    /// may be called.
    pub(super) is_last_call: bool,
}

/// The queue itself: no lock, no waiting.
#[derive(Debug)]
struct Backlog {
    limit: usize,
    events: VecDeque<Event>,
    /// Those whose function may not be called now, and those that must not be
    /// heard before them; all of them older than `events`.
    held: VecDeque<Event>,
    /// What `held` is about.
    subjects: HashSet<Subject>,
    /// Functions that could not be called when it was last asked.
    suspended: HashSet<Function>,
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

/// What an event is about. Those about the same are heard in order, whatever
/// becomes of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    Stream(StreamId),
    Conn(ConnId),
}

impl Subject {
    fn of(event: &Event) -> Self {
        match event {
            Event::Published(info)
            | Event::Ready(info)
            | Event::Unpublished(info, _)
            | Event::Recorded(info, ..) => Self::Stream(info.id),
            Event::PlayEnded(request, _) => Self::Conn(request.client.conn),
            Event::Disconnected(who, _) => Self::Conn(who.conn),
            Event::RelayUp(relay) | Event::RelayFailed(relay, _) | Event::RelayEnded(relay, _) => {
                Self::Conn(relay.conn)
            }
        }
    }
}

/// The client that an event is about, or whose stream it is.
pub(super) fn client_of(event: &Event) -> Option<&Client> {
    match event {
        Event::Published(info)
        | Event::Ready(info)
        | Event::Unpublished(info, _)
        | Event::Recorded(info, ..) => Some(&info.publisher),
        Event::PlayEnded(request, _) => Some(&request.client),
        Event::Disconnected(who, _) => Some(who),
        Event::RelayUp(_) | Event::RelayFailed(..) | Event::RelayEnded(..) => None,
    }
}

#[derive(Debug, PartialEq)]
enum NextEvent {
    Due(Box<Due>),
    /// After so long a function may be called again.
    Later(Duration),
    /// Not before something else happens.
    Never,
    /// It is closed and empty.
    End,
}

#[derive(Debug, PartialEq, Eq)]
enum PushOutcome {
    Queued,
    FirstDropped,
    Dropped,
}

impl Backlog {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            events: VecDeque::new(),
            held: VecDeque::new(),
            subjects: HashSet::new(),
            suspended: HashSet::new(),
            announced: HashMap::new(),
            relays: HashSet::new(),
            dropped: 0,
            closed: false,
        }
    }

    fn push(&mut self, event: Event) -> PushOutcome {
        let full = self.is_full_for(&event);
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
            return PushOutcome::Queued;
        }
        self.dropped = self.dropped.saturating_add(1);
        if self.dropped == 1 && !self.closed {
            PushOutcome::FirstDropped
        } else {
            PushOutcome::Dropped
        }
    }

    /// Events of functions that are suspended take no place from others, and have
    /// as much for themselves. What could not have its end has no beginning.
    fn is_full_for(&self, event: &Event) -> bool {
        let end = match event {
            Event::Published(_) => Some(Function::Unpublished),
            Event::RelayUp(_) | Event::RelayFailed(..) => Some(Function::RelayEnded),
            _ => None,
        };
        let is_suspended = |function| self.suspended.contains(&function);
        let waits = self.must_wait(event) || end.is_some_and(is_suspended);
        let all = self.events.len().saturating_add(self.held.len());
        self.events.len() >= self.limit || (waits && all >= self.limit.saturating_mul(2))
    }

    /// Its function is suspended, or what it is about has an event that waits.
    fn must_wait(&self, event: &Event) -> bool {
        self.suspended.contains(&Function::told(event))
            || self.subjects.contains(&Subject::of(event))
    }

    /// The oldest event that may be delivered; how many were dropped, once the
    /// jam is over.
    fn pop(&mut self, suspended: impl Fn(Function) -> Option<Duration>) -> (NextEvent, u64) {
        let is_over = self
            .suspended
            .iter()
            .any(|function| suspended(*function).is_none());
        if is_over {
            self.release();
        }
        let mut next = None;
        while let Some(event) = self.events.pop_front() {
            let function = Function::told(&event);
            if suspended(function).is_some() {
                self.suspended.insert(function);
            }
            if !self.must_wait(&event) {
                next = Some(event);
                break;
            }
            self.subjects.insert(Subject::of(&event));
            self.held.push_back(event);
        }
        let mut is_last_call = false;
        if next.is_none() && self.closed {
            next = self.held.pop_front();
            is_last_call = true;
        }
        let dropped = match self.events.len() <= self.limit / 2 {
            true => std::mem::take(&mut self.dropped),
            false => 0,
        };
        let left = || self.suspended.iter().filter_map(|it| suspended(*it)).min();
        let next = match next {
            Some(event) => NextEvent::Due(Box::new(Due {
                event,
                is_last_call,
            })),
            None if self.closed => NextEvent::End,
            None if self.held.is_empty() => NextEvent::Never,
            // Who was suspended may be let go by others at any time.
            None => NextEvent::Later(left().unwrap_or_default()),
        };
        (next, dropped)
    }

    /// What was held is looked at again, in its place.
    fn release(&mut self) {
        self.held.append(&mut self.events);
        std::mem::swap(&mut self.held, &mut self.events);
        self.subjects.clear();
        self.suspended.clear();
    }
}

#[cfg(test)]
mod tests;
