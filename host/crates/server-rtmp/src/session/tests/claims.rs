//! Who gets a name when its publisher has just left.

use super::*;

fn assert_busy(outcome: Option<Result<u32, String>>) {
    let refused = outcome.expect("an answer").unwrap_err();
    assert_eq!(refused, "the stream is busy: it is already being published");
}

async fn turns() {
    for _ in 0..TURNS {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_name_is_free_when_its_publisher_has_closed_even_if_nobody_heard_of_it() {
    let (shared, _) = shared();
    for _ in 0..50 {
        let first = Client::publishing(&shared, "cam").await;
        first.wire.close(false);
        // The next one claims the name before the end of this one was told.
    }
    assert_eq!(shared.broker.hub().census().get("publishes_busy"), 0);
}

#[tokio::test]
async fn a_name_stays_with_who_publishes_and_the_other_hears_it_at_once() {
    let (shared, _) = shared();
    let mut first = Client::publishing(&shared, "cam").await;
    let mut second = Client::open(&shared);
    assert_busy(second.publish("cam").await);
    // Both go on.
    assert!(matches!(first.publish("other").await, Some(Ok(_))));
    assert_busy(second.publish("other").await);
    assert!(matches!(second.publish("third").await, Some(Ok(_))));
}

#[tokio::test]
async fn what_a_publisher_said_before_its_end_is_read_first() {
    let (shared, _) = shared();
    let mut first = Client::open(&shared);
    let stream = first.publish("cam").await.unwrap().unwrap();
    // More than one read takes, and the end behind it.
    let frame = [&[0x17, 1, 0, 0, 0][..], &[1; 50_000]].concat();
    for at in 0..5 {
        let frame = Bytes::from(frame.clone());
        first.machine.send_video(stream, at, frame);
    }
    first.pump();
    first.wire.close(true);
    let _second = Client::publishing(&shared, "cam").await;
    let frames = shared.broker.hub().census().get("frames_in");
    assert_eq!(frames, 5);
}

#[tokio::test]
async fn a_publisher_in_the_middle_of_a_message_is_heard_to_its_end() {
    let (shared, _) = shared();
    let mut first = Client::open(&shared);
    let stream = first.publish("cam").await.unwrap().unwrap();
    let frame = [&[0x17, 1, 0, 0, 0][..], &[1; 5000]].concat();
    first.machine.send_video(stream, 0, frame.into());
    let mut said = Vec::new();
    while let Some(output) = first.machine.poll_output() {
        if let Output::Send(bytes) = output {
            said.extend(bytes);
        }
    }
    let (begun, rest) = said.split_at(1000);
    first.wire.send(begun);
    turns().await;
    let mut second = Client::open(&shared);
    assert_eq!(second.publish("cam").await, None, "more must come first");
    first.wire.send(rest);
    first.wire.close(true);
    assert!(matches!(second.outcome().await, Some(Ok(_))));
    assert_eq!(shared.broker.hub().census().get("frames_in"), 1);
}

#[tokio::test]
async fn a_publisher_that_waits_for_a_decision_is_waited_for() {
    let (shared, policy) = shared();
    let mut first = Client::open(&shared);
    let stream = first.publish("cam").await.unwrap().unwrap();
    first.machine.call("anything", Vec::new());
    // So much that no more is read before the decision.
    for at in 0..5 {
        let frame = [&[0x17, 1, 0, 0, 0][..], &[1; 50_000]].concat();
        first.machine.send_video(stream, at, frame.into());
    }
    first.pump();
    first.wire.close(true);
    turns().await;
    let mut second = Client::open(&shared);
    assert_eq!(second.publish("cam").await, None, "not decided yet");
    policy.go_on.notify_one();
    assert!(matches!(second.outcome().await, Some(Ok(_))));
}

#[tokio::test]
async fn two_that_want_each_others_names_are_both_refused() {
    let (shared, _) = shared();
    let mut first = Client::publishing(&shared, "one").await;
    let mut second = Client::publishing(&shared, "two").await;
    first.machine.publish("two", "live");
    second.machine.publish("one", "live");
    first.pump();
    second.pump();
    assert_busy(first.outcome().await);
    assert_busy(second.outcome().await);
    // And its own.
    assert_busy(first.publish("one").await);
}

#[tokio::test]
async fn nobody_who_has_gone_is_let_in() {
    let (shared, policy) = shared();
    let mut first = Client::publishing(&shared, "cam").await;
    first.machine.publish("later", "live");
    first.pump();
    turns().await;
    first.wire.close(true);
    turns().await;
    policy.go_on.notify_one();
    turns().await;
    let census = shared.broker.hub().census();
    assert_eq!((census.get("publishes"), census.get("streams")), (1, 0));
}
