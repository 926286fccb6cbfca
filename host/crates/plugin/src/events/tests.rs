//! Order, bounds and waits of the queue.

use livehost_policy::{Relay, SessionEnd, StreamInfo};

use super::*;

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

/// No function is suspended.
fn never(_: Function) -> Option<Duration> {
    None
}

fn due(event: Event) -> NextEvent {
    NextEvent::Due(Box::new(Due {
        event,
        is_last_call: false,
    }))
}

/// Everything that may be delivered now.
fn drain(queue: &mut Backlog, suspended: impl Fn(Function) -> Option<Duration>) -> Vec<Event> {
    let mut out = Vec::new();
    while let (NextEvent::Due(due), _) = queue.pop(&suspended) {
        out.push(due.event);
    }
    out
}

async fn next(queue: &EventQueue) -> Option<Event> {
    queue.next(|_, _| None).await.map(|due| due.event)
}

#[test]
fn every_announced_stream_ends_even_in_a_full_queue() {
    let mut queue = Backlog::new(2);
    assert_eq!(queue.push(published(1)), PushOutcome::Queued);
    assert_eq!(queue.push(published(2)), PushOutcome::Queued);
    assert_eq!(queue.push(published(3)), PushOutcome::FirstDropped);
    assert_eq!(queue.push(Event::Ready(info(1))), PushOutcome::Dropped);
    assert_eq!(queue.push(unpublished(3)), PushOutcome::Dropped);
    assert_eq!(queue.push(unpublished(1)), PushOutcome::Queued);
    assert_eq!(queue.push(unpublished(1)), PushOutcome::Dropped, "once");
    assert_eq!(queue.push(unpublished(2)), PushOutcome::Queued);
    assert_eq!(
        drain(&mut queue, never),
        [published(1), published(2), unpublished(1), unpublished(2)]
    );
    assert!(queue.announced.is_empty());
}

#[tokio::test]
async fn a_plugin_that_comes_later_hears_of_the_end() {
    let queue = EventQueue::new("live".into(), 8);
    assert!(queue.passes_over(&published(1)));
    assert!(queue.passes_over(&published(2)));
    assert!(queue.passes_over(&unpublished(2)));
    assert!(!queue.push(unpublished(2)), "its end has been");
    assert!(queue.push(unpublished(1)));
    assert_eq!(next(&queue).await, Some(unpublished(1)));
    queue.with(|queue| assert!(queue.announced.is_empty()));
}

#[tokio::test]
async fn an_end_follows_its_beginning_although_nobody_hears_of_it_now() {
    let queue = EventQueue::new("live".into(), 8);
    // Not delivered before a plugin came that hears nothing.
    assert!(queue.push(published(1)));
    assert!(queue.passes_over(&Event::Ready(info(1))));
    assert!(!queue.passes_over(&unpublished(1)));
    assert!(queue.push(unpublished(1)));
    assert!(queue.passes_over(&unpublished(1)), "once");
    assert_eq!(next(&queue).await, Some(published(1)));
    assert_eq!(next(&queue).await, Some(unpublished(1)));
}

#[test]
fn a_relay_that_was_told_of_ends_even_in_a_full_queue() {
    let relay = |conn| Relay {
        conn,
        ..Relay::default()
    };
    let ended = |conn| Event::RelayEnded(relay(conn), "stopped".into());
    let mut queue = Backlog::new(1);
    assert_eq!(queue.push(Event::RelayUp(relay(1))), PushOutcome::Queued);
    assert_eq!(
        queue.push(Event::RelayUp(relay(2))),
        PushOutcome::FirstDropped
    );
    assert_eq!(queue.push(ended(2)), PushOutcome::Dropped);
    assert_eq!(queue.push(ended(1)), PushOutcome::Queued);
    assert!(queue.relays.is_empty());
    drain(&mut queue, never);
    assert_eq!(
        queue.push(ended(3)),
        PushOutcome::Queued,
        "nothing else of it"
    );
}

#[test]
fn what_was_dropped_is_counted() {
    let mut queue = Backlog::new(1);
    queue.push(published(1));
    for id in 2..5 {
        queue.push(published(id));
    }
    assert_eq!(queue.pop(never), (due(published(1)), 3));
    assert_eq!(queue.pop(never), (NextEvent::Never, 0));
}

#[tokio::test]
async fn a_closed_queue_delivers_what_it_holds() {
    let queue = EventQueue::new("live".into(), 8);
    queue.push(published(1));
    queue.close();
    queue.push(published(2));
    assert_eq!(next(&queue).await, Some(published(1)));
    assert_eq!(next(&queue).await, None);
}

fn recorded() -> Event {
    let file = livehost_policy::Recording {
        container: "flv".into(),
        path: "a.flv".into(),
        split_seconds: None,
    };
    Event::Recorded(info(1), file, 0, 0)
}

/// Only `function` is suspended.
fn only(function: Function) -> impl Fn(Function) -> Option<Duration> + Copy {
    move |asked| (asked == function).then_some(Duration::from_secs(5))
}

#[test]
fn events_of_a_suspended_function_wait_and_others_pass_them() {
    let mut queue = Backlog::new(8);
    let all = [
        published(1),
        Event::Ready(info(1)),
        published(2),
        unpublished(1),
        Event::Disconnected(Client::default(), SessionEnd::default()),
    ];
    for event in all.clone() {
        assert_eq!(queue.push(event), PushOutcome::Queued);
    }
    let suspended = only(Function::Ready);
    let [first, ready, second, end, gone] = all;
    assert_eq!(drain(&mut queue, suspended), [first, second, gone]);
    let later = NextEvent::Later(Duration::from_secs(5));
    assert_eq!(queue.pop(suspended), (later, 0));
    // What follows about the stream stays behind, also if it comes later.
    queue.push(recorded());
    assert_eq!(drain(&mut queue, suspended), []);
    // Then all of it in order.
    assert_eq!(drain(&mut queue, never), [ready, end, recorded()]);
    assert_eq!(queue.pop(never), (NextEvent::Never, 0));
    assert!(queue.subjects.is_empty() && queue.suspended.is_empty());
}

#[test]
fn what_is_held_is_looked_at_again_whenever_its_suspension_ends() {
    // After so many questions the function may be called.
    for ends_after in 0..8 {
        let mut queue = Backlog::new(8);
        queue.push(Event::Disconnected(
            Client::default(),
            SessionEnd::default(),
        ));
        let asked = std::cell::Cell::new(0);
        let suspended = |_| {
            asked.set(asked.get() + 1);
            (asked.get() <= ends_after).then_some(Duration::from_secs(5))
        };
        let looks = (0..8).map(|_| queue.pop(suspended).0);
        let mut looks = looks.skip_while(|next| matches!(next, NextEvent::Later(_)));
        assert!(
            matches!(looks.next(), Some(NextEvent::Due(_))),
            "{ends_after}"
        );
    }
}

#[test]
fn an_event_that_could_not_be_delivered_is_the_next_again() {
    let queue = EventQueue::new("live".into(), 8);
    assert!(queue.push(unpublished_of(&queue, 1)));
    let popped = queue.with(|queue| queue.pop(never));
    assert_eq!(popped.0, due(unpublished(1)));
    queue.put_back(unpublished(1));
    let popped = queue.with(|queue| queue.pop(only(Function::Unpublished)));
    assert_eq!(popped.0, NextEvent::Later(Duration::from_secs(5)));
    let popped = queue.with(|queue| queue.pop(never));
    assert_eq!(popped.0, due(unpublished(1)), "kept");
}

/// The end of a stream whose start was delivered.
fn unpublished_of(queue: &EventQueue, id: StreamId) -> Event {
    queue.push(published(id));
    queue.with(|queue| assert_eq!(queue.pop(never).0, due(published(id))));
    unpublished(id)
}

#[test]
fn what_is_suspended_takes_no_place_from_others_and_is_bounded() {
    const LIMIT: u64 = 4;
    let mut queue = Backlog::new(4);
    let suspended = only(Function::Unpublished);
    let mut told = Vec::new();
    let mut dropped = 0;
    for id in 0..100 {
        dropped += u64::from(queue.push(published(id)) != PushOutcome::Queued);
        told.extend(drain(&mut queue, suspended));
        queue.push(unpublished(id));
        told.extend(drain(&mut queue, suspended));
        let gone = Event::Disconnected(Client::default(), SessionEnd::default());
        queue.push(gone);
        told.extend(drain(&mut queue, suspended));
    }
    let count = |told: &[Event], function| {
        let mut all = told.iter().map(Function::told);
        all.by_ref().filter(|of| *of == function).count() as u64
    };
    assert_eq!(count(&told, Function::Disconnected), 100);
    // Streams whose end could not be kept were not told of.
    let begun = count(&told, Function::Published);
    assert!((LIMIT..=2 * LIMIT).contains(&begun), "{begun}");
    assert_eq!(begun + dropped, 100);
    assert!(queue.announced.is_empty());
    let ends = drain(&mut queue, never);
    assert_eq!(count(&ends, Function::Unpublished), begun, "one for each");
    assert_eq!(ends.len() as u64, begun);
}

#[test]
fn at_the_end_what_was_suspended_has_its_last_call() {
    let mut queue = Backlog::new(8);
    queue.push(published(1));
    queue.push(published(2));
    queue.push(unpublished(1));
    queue.push(Event::Disconnected(
        Client::default(),
        SessionEnd::default(),
    ));
    queue.closed = true;
    let suspended = only(Function::Published);
    let mut last = Vec::new();
    let mut first = Vec::new();
    while let (NextEvent::Due(due), _) = queue.pop(suspended) {
        match due.is_last_call {
            true => last.push(due.event),
            false => first.push(due.event),
        }
    }
    assert_eq!(first.len(), 1, "the disconnected one");
    assert_eq!(last, [published(1), published(2), unpublished(1)]);
    assert_eq!(queue.pop(suspended).0, NextEvent::End);
}
