//! Claims that meet a taken name, and the publisher who may have left.

use futures_util::FutureExt;
use tokio::task::yield_now;

use super::*;

fn contested(hub: &Arc<Hub>, conn: u64, rule: DuplicateRule) -> Contested {
    hub.publish(claim(conn, rule)).unwrap_err()
}

/// A publisher, and what wakes its session.
fn publishing(hub: &Arc<Hub>, conn: u64, rule: DuplicateRule) -> (Publication, Wake) {
    let claim = claim(conn, rule);
    let wake = claim.wake.clone();
    (hub.publish(claim).unwrap(), wake)
}

fn answer(publication: &Publication) {
    publication.answer(publication.question().unwrap());
}

#[tokio::test]
async fn a_publisher_that_has_left_makes_room_for_one_that_waits() {
    let hub = Hub::new();
    let (first, wake) = publishing(&hub, 1, DuplicateRule::Reject);
    assert_eq!(first.question(), None);
    let mut settled = pin!(contested(&hub, 2, DuplicateRule::Reject).settle());
    assert!(settled.as_mut().now_or_never().is_none());
    wake.notified().await;
    assert!(first.question().is_some());
    first.finish(true, |_| {});
    let second = settled.await.unwrap();
    assert!(second.is_active());
    assert_eq!(hub.census().get("publishes_busy"), 0);
}

#[tokio::test]
async fn a_publisher_that_is_there_keeps_its_name_and_nobody_waits_longer() {
    let hub = Hub::new();
    let (first, wake) = publishing(&hub, 1, DuplicateRule::Reject);
    // One look answers all who asked before it.
    let mut settled: Vec<_> = (2..5)
        .map(|conn| Box::pin(contested(&hub, conn, DuplicateRule::Reject).settle()))
        .collect();
    for settled in &mut settled {
        assert!(settled.now_or_never().is_none());
    }
    wake.notified().await;
    answer(&first);
    for settled in settled {
        let refused = settled.now_or_never().unwrap().unwrap_err();
        assert!(matches!(refused, ClaimError::Busy(_)), "{refused:?}");
    }
    assert_eq!(first.question(), None);
    assert_eq!(hub.census().get("publishes_busy"), 3);
    // Who asks later has a question of its own.
    let mut later = pin!(contested(&hub, 9, DuplicateRule::Reject).settle());
    assert!(later.as_mut().now_or_never().is_none());
    drop(first);
    assert!(later.now_or_never().unwrap().is_ok());
}

#[tokio::test]
async fn a_publisher_that_does_not_look_keeps_its_name() {
    let hub = Hub::new();
    let first = publish(&hub, 1);
    let contested = contested(&hub, 2, DuplicateRule::Reject);
    let refused = contested.settle_within(Duration::from_millis(1)).await;
    assert!(matches!(refused, Err(ClaimError::Busy(_))), "{refused:?}");
    assert!(first.question().is_some());
    assert!(first.is_active());
}

#[tokio::test]
async fn whoever_has_the_name_next_is_asked_too() {
    let hub = Hub::new();
    let (first, _) = publishing(&hub, 1, DuplicateRule::Reject);
    let mut settled = pin!(contested(&hub, 3, DuplicateRule::Reject).settle());
    assert!(settled.as_mut().now_or_never().is_none());
    // Another one was faster, and has left as well.
    drop(first);
    let (second, wake) = publishing(&hub, 2, DuplicateRule::Reject);
    assert!(settled.as_mut().now_or_never().is_none());
    wake.notified().await;
    drop(second);
    assert!(settled.await.is_ok());
}

#[tokio::test]
async fn a_standby_that_has_left_makes_room_for_another() {
    let hub = Hub::new();
    let (first, wake) = publishing(&hub, 1, DuplicateRule::Reject);
    let mut waiting: Vec<_> = (2..6)
        .map(|conn| publishing(&hub, conn, DuplicateRule::Standby))
        .collect();
    let mut settled = pin!(contested(&hub, 6, DuplicateRule::Standby).settle());
    assert!(settled.as_mut().now_or_never().is_none());
    wake.notified().await;
    answer(&first);
    let (gone, wake) = waiting.remove(0);
    assert!(settled.as_mut().now_or_never().is_none());
    wake.notified().await;
    drop(gone);
    let last = settled.await.unwrap();
    assert!(!last.is_active());
}

#[tokio::test]
async fn a_client_that_wants_its_own_name_twice_does_not_wait_for_itself() {
    let hub = Hub::new();
    let first = publish(&hub, 1);
    let settled = contested(&hub, 1, DuplicateRule::Reject).settle();
    assert!(settled.now_or_never().unwrap().is_err());
    assert_eq!(first.question(), None);
}

#[tokio::test]
async fn replacing_asks_nobody() {
    let hub = Hub::new();
    let first = publish(&hub, 1);
    hub.publish(claim(2, DuplicateRule::Replace)).unwrap();
    assert_eq!(first.question(), None);
}

#[tokio::test]
async fn claims_that_wait_are_few() {
    let hub = Hub::new();
    let _first = publish(&hub, 1);
    let mut waiting: Vec<_> = (2..40)
        .map(|conn| Box::pin(contested(&hub, conn, DuplicateRule::Reject).settle()))
        .collect();
    waiting.retain_mut(|settled| settled.now_or_never().is_none());
    assert_eq!(waiting.len(), 16, "the others are refused at once");
    // One that has given up leaves its place.
    waiting.pop();
    let next = contested(&hub, 50, DuplicateRule::Reject).settle();
    assert!(next.now_or_never().is_none());
}

#[tokio::test]
async fn a_publisher_that_is_lost_again_and_again_leaves_one_timer() {
    let hub = Hub::new();
    let mut player = play(&hub);
    for conn in 1..200 {
        let mut claim = Claim {
            hold: Duration::from_secs(3600),
            ..claim(1, DuplicateRule::Reject)
        };
        claim.client.conn = conn;
        lose(hub.publish(claim).unwrap());
        // The runtime takes away what was stopped.
        yield_now().await;
        yield_now().await;
        assert!(hub.tasks() <= 1, "{} tasks", hub.tasks());
    }
    assert_eq!(taken(&mut player), ["published"]);
    // Nor does one stay when the hold is over before its time.
    let id = hub.next_id.load(Ordering::Relaxed);
    hub.end_hold(&key("cam"), id);
    yield_now().await;
    yield_now().await;
    assert_eq!(hub.tasks(), 0);
    assert_eq!(taken(&mut player), ["unpublished"]);
}

#[tokio::test]
async fn names_that_are_held_are_bounded() {
    let hub = Hub::new();
    let lose = |name: &str| {
        let claim = Claim {
            key: key(name),
            hold: Duration::from_secs(3600),
            ..claim(1, DuplicateRule::Reject)
        };
        lose(hub.publish(claim).unwrap());
        hub.is_live(&key(name))
    };
    assert!(lose("held"));
    let others = u32::try_from(MAX_HOLDS - 1).unwrap();
    let _others = hub.holds.try_acquire_many(others).unwrap();
    assert!(!lose("one too many"));
    assert_eq!(hub.streams.lock().all().count(), 1);
    assert_eq!(hub.tasks(), 1);
}

#[tokio::test]
async fn a_held_name_that_nobody_plays_keeps_no_pictures() {
    let hub = Hub::new();
    let first = play(&hub);
    let publication = hub
        .publish(Claim {
            hold: Duration::from_secs(3600),
            ..claim(1, DuplicateRule::Reject)
        })
        .unwrap();
    keyframe(&publication, 0, 1);
    lose(publication);
    let mut second = play(&hub);
    assert_eq!(taken(&mut second), ["key1@0"]);
    drop((first, second));
    let mut third = play(&hub);
    assert!(third.is_live());
    assert!(taken(&mut third).is_empty());
}
