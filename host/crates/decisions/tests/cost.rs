//! A log that nobody wants costs a question no memory.

// clippy.toml allows these in test functions; helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use livehost_counting::peak_of;
use livehost_decisions::{DecisionFilter, DecisionLog, DecisionSettings};
use livehost_policy::{Answer, PlayDecision, Policy, Question};
use support::{Scripted, stream};

#[global_allocator]
static ALLOCATOR: livehost_counting::Counting = livehost_counting::Counting;

/// The most that a question took at a time.
fn cost(around: impl FnOnce(Arc<Scripted>) -> Arc<dyn Policy>) -> usize {
    let accepted = Answer::Play(PlayDecision::Accept(Default::default()));
    let policy = around(Scripted::new([Ok(accepted)]));
    let question = Question::Play(stream());
    let (peak, outcome) = peak_of(|| {
        let mut asked = pin!(policy.ask(question));
        asked.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    });
    assert!(matches!(outcome, Poll::Ready(reply) if reply.answer.is_ok()));
    peak
}

#[tokio::test]
async fn a_log_that_is_off_takes_no_memory() {
    let log = DecisionLog::new();
    let around = || cost(|policy| log.around("live", policy));
    let without = cost(|policy| policy);
    assert!(without > 0, "its future");
    assert_eq!(around(), without);
    let set = |settings| log.set(settings, Path::new(""));
    let ring = |ring| DecisionSettings {
        ring,
        ..DecisionSettings::default()
    };
    set(ring(1));
    assert!(around() > without, "the test can fail");
    // For others.
    set(DecisionSettings {
        hooks: vec!["on-publish"],
        ..ring(1)
    });
    assert_eq!(around(), without);
    // While somebody reads.
    set(ring(0));
    let feed = log.subscribe(DecisionFilter::default(), None);
    assert!(around() > without);
    drop(feed);
    assert_eq!(around(), without);
    // Off again.
    set(ring(1));
    log.close().await;
    assert_eq!(around(), without);
}
