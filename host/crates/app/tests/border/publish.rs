//! Publishers.

use std::sync::Arc;
use std::time::Duration;

use livehost_app::broker::Granted;
use livehost_app::lineage::Lineage;
use livehost_hub::{StreamKey, Wake};
use livehost_media::NotAPacket;
use livehost_policy::{
    Client, DuplicateRule, PolicyError, PublishDecision, PublishGrant, Recording, Rejection,
    StreamRef,
};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::Span;

use crate::protocol::{Caller, HOUR, Heard, Publisher, Server, Status};

fn number(outcome: Result<Publisher, Status>) -> u16 {
    outcome.err().map_or(200, |status| status.number)
}

fn with(rule: DuplicateRule) -> PublishGrant {
    PublishGrant {
        on_duplicate: rule,
        ..PublishGrant::default()
    }
}

#[tokio::test]
async fn what_is_published_is_played_and_each_has_its_end_once() {
    let server = Server::new();
    let mut player = server.play("room/cam").await.unwrap();
    let mut publisher = server.publish("/room//cam?key=1").await.unwrap();
    publisher.send(10).unwrap();
    assert_eq!(player.next().await, Ok(Heard::Published));
    assert_eq!(player.next().await, Ok(Heard::Frame));
    publisher.leave();
    assert_eq!(player.next().await, Ok(Heard::Unpublished));
    drop(player);
    // One that is dropped has its end, too.
    drop(server.publish("other").await.unwrap());
    let told = [
        "published room/cam",
        "unpublished room/cam: unpublish",
        "played cam: aborted",
        "published other",
        "unpublished other: aborted",
    ];
    assert_eq!(server.policy.events(), told);
    let asked = server.policy.asked.lock();
    assert_eq!(asked[1].query, [("key".to_owned(), "1".to_owned())]);
    assert_eq!(server.broker.hub().census().get("streams"), 0);
}

#[tokio::test]
async fn who_is_refused_hears_why_and_leaves_nothing_behind() {
    let server = Server::new();
    let rejection = |code: &str, retry_after_ms, is_verdict| {
        Ok(PublishDecision::Reject(Rejection {
            code: code.to_owned(),
            description: "no".to_owned(),
            retry_after_ms,
            is_verdict,
        }))
    };
    assert_eq!(number(server.publish("a/../b").await), 400);
    server.policy.on_publish(rejection("", None, true));
    let refused = server.publish("cam").await.err().unwrap();
    assert_eq!((refused.number, &*refused.text), (403, "no"));
    server.policy.on_publish(rejection("", Some(5), false));
    let refused = server.publish("cam").await.err().unwrap();
    assert_eq!((refused.number, refused.retry_after_ms), (503, Some(5)));
    let lost = PolicyError::Unavailable("it is gone".into());
    server.policy.on_publish(Err(lost));
    let refused = server.publish("cam").await.err().unwrap();
    assert_eq!(refused.number, 503);
    assert!(!refused.text.contains("gone"), "{}", refused.text);
    server.policy.grant(PublishGrant {
        name: Some("a/..".to_owned()),
        ..PublishGrant::default()
    });
    assert_eq!(number(server.publish("cam").await), 500);
    assert_eq!(server.policy.events(), [""; 0]);
    assert_eq!(server.broker.hub().census().get("publishes"), 0);
}

#[tokio::test]
async fn a_stream_that_comes_back_is_refused() {
    let server = Server::new();
    let key = StreamKey::called("live", "cam");
    let lineage = server.identity.extend(&Lineage::default(), &key).unwrap();
    let caller = Caller {
        lineage,
        ..Caller::default()
    };
    assert_eq!(number(server.publish_as(caller.clone(), "cam").await), 508);
    let played = server.play_as(caller.clone(), "cam").await;
    assert_eq!(played.err().unwrap().number, 508);
    assert_eq!(number(server.publish_as(caller, "other").await), 200);
}

#[tokio::test]
async fn all_of_a_grant_is_applied() {
    let server = Server::new();
    server.policy.grant(PublishGrant {
        name: Some("main".to_owned()),
        forward_to: vec!["rtmp://a/b/c".to_owned()],
        max_kbps: Some(1),
        idle_timeout_ms: Some(2000),
        record_to: Some(Recording {
            container: "flv".to_owned(),
            path: "cam".to_owned(),
            split_seconds: None,
        }),
        ..PublishGrant::default()
    });
    let mut publisher = server.publish("room/cam").await.unwrap();
    let pushed = [("room/main".to_owned(), vec!["rtmp://a/b/c".to_owned()])];
    assert_eq!(server.relays.pushed(), pushed);
    assert_eq!(publisher.over(Instant::now()), None);
    let late = publisher.over(Instant::now() + Duration::from_secs(3));
    let late = late.unwrap();
    assert_eq!((late.number, &*late.text), (408, "no media for 2 s"));
    let too_fast = (0..100).find_map(|_| publisher.send(1 << 20).err());
    assert_eq!(too_fast.map(|status| status.number), Some(413));
    assert_eq!(server.policy.events(), ["published room/main"]);
}

#[tokio::test]
async fn what_is_no_packet_counts_and_is_not_played() {
    let server = Server::new();
    let mut player = server.play("cam").await.unwrap();
    server.policy.grant(PublishGrant {
        max_kbps: Some(1),
        ..PublishGrant::default()
    });
    let mut publisher = server.publish("cam").await.unwrap();
    let mut nonsense = |bytes| publisher.send_nonsense(bytes, &NotAPacket::Empty);
    nonsense(7).unwrap();
    publisher.send(10).unwrap();
    assert_eq!(player.next().await, Ok(Heard::Published));
    assert_eq!(player.next().await, Ok(Heard::Frame));
    assert!(player.hears_nothing());
    let bytes = server.broker.hub().get("live", "cam").unwrap().bytes_in;
    assert_eq!(bytes, 7 + 5 + 10);
    let mut nonsense = |bytes| publisher.send_nonsense(bytes, &NotAPacket::Empty);
    let too_fast = (0..100).find_map(|_| nonsense(1 << 20).err());
    assert_eq!(too_fast.map(|status| status.number), Some(413));
}

#[tokio::test]
async fn a_publisher_of_an_application_that_is_removed_goes_on_without_pushes() {
    let server = Server::new();
    *server.relays.removed.lock() = true;
    server.policy.grant(PublishGrant {
        forward_to: vec!["rtmp://a/b/c".to_owned()],
        ..PublishGrant::default()
    });
    server.publish("cam").await.unwrap().send(10).unwrap();
}

#[tokio::test]
async fn a_name_is_its_publishers_as_long_as_it_is_there() {
    let server = Server::new();
    let mut first = server.publish("cam").await.unwrap();
    let (second, ()) = tokio::join!(server.publish("cam"), async {
        first.asked().await;
        first.publishing.answer_question();
    });
    let refused = second.err().unwrap();
    assert_eq!(refused.number, 409);
    assert!(!refused.text.contains("192.0.2"), "{}", refused.text);
    // Now it has left, and nobody has heard of it.
    let (third, ()) = tokio::join!(server.publish("cam"), async {
        first.asked().await;
        first.lose();
    });
    third.unwrap().send(10).unwrap();
}

#[tokio::test]
async fn who_is_replaced_or_stopped_hears_it() {
    let server = Server::new();
    let first = server.publish("cam").await.unwrap();
    server.policy.grant(with(DuplicateRule::Replace));
    let second = server.publish("cam").await.unwrap();
    let over = first.publishing.over(Instant::now()).unwrap();
    assert_eq!(over.kind.reason(), "replaced");
    assert_eq!(second.over(Instant::now()), None);
    let stream = StreamRef::Id(second.publishing.id());
    assert!(server.broker.hub().stop("live", &stream, "enough"));
    let over = second.publishing.over(Instant::now()).unwrap();
    assert_eq!((over.kind.reason(), &*over.text), ("kicked", "enough"));
    assert_eq!(Status::from(over).number, 410);
}

#[tokio::test]
async fn who_stands_by_is_pushed_when_it_takes_over() {
    let server = Server::new();
    let mut player = server.play("cam").await.unwrap();
    let to = |url: &str| PublishGrant {
        forward_to: vec![url.to_owned()],
        ..with(DuplicateRule::Standby)
    };
    server.policy.grant(to("first"));
    let mut first = server.publish("cam").await.unwrap();
    server.policy.grant(to("second"));
    let mut second = server.publish("cam").await.unwrap();
    second.send(10).unwrap();
    first.send(10).unwrap();
    assert_eq!(
        server.relays.pushed(),
        [("cam".to_owned(), vec!["first".to_owned()])]
    );
    first.lose();
    assert_eq!(server.relays.pushed(), []);
    for _ in 0..2 {
        second.send(10).unwrap();
    }
    assert_eq!(
        server.relays.pushed(),
        [("cam".to_owned(), vec!["second".to_owned()])]
    );
    // The player notices nothing but frames.
    assert_eq!(player.next().await, Ok(Heard::Published));
    for _ in 0..3 {
        assert_eq!(player.next().await, Ok(Heard::Frame));
    }
    assert!(player.hears_nothing());
}

#[tokio::test]
async fn a_name_is_held_for_who_was_lost() {
    let server = Server::new();
    let mut player = server.play("cam").await.unwrap();
    server.policy.grant(PublishGrant {
        hold_ms: Some(3_600_000),
        ..PublishGrant::default()
    });
    let at = |address| Caller {
        address: Some(address),
        ..Caller::default()
    };
    let mut first = server.publish_as(at("192.0.2.9"), "cam").await.unwrap();
    first.send(10).unwrap();
    first.lose();
    assert_eq!(
        number(server.publish_as(at("198.51.100.1"), "cam").await),
        409
    );
    let mut again = server.publish_as(at("192.0.2.9"), "cam").await.unwrap();
    again.send(10).unwrap();
    assert_eq!(player.next().await, Ok(Heard::Published));
    for _ in 0..2 {
        assert_eq!(player.next().await, Ok(Heard::Frame));
    }
    // One that says it is done leaves nothing to hold.
    again.leave();
    assert_eq!(player.next().await, Ok(Heard::Unpublished));
}

#[tokio::test]
async fn who_leaves_before_the_decision_was_never_there() {
    let server = Server::new();
    *server.policy.pause.lock() = Some(Arc::new(Notify::new()));
    {
        let publish = std::pin::pin!(server.publish("cam"));
        let play = std::pin::pin!(server.play("cam"));
        assert!(futures_util::poll!(publish).is_pending());
        assert!(futures_util::poll!(play).is_pending());
    }
    assert_eq!(server.policy.asked.lock().len(), 2);
    assert_eq!(server.policy.events(), [""; 0]);
    assert_eq!(server.broker.hub().census().get("streams"), 0);
    *server.policy.pause.lock() = None;
    // Nor who leaves while it waits for the name.
    let mut first = server.publish("cam").await.unwrap();
    {
        let publish = std::pin::pin!(server.publish("cam"));
        assert!(futures_util::poll!(publish).is_pending());
    }
    first.asked().await;
    first.leave();
    assert_eq!(server.broker.hub().census().get("streams"), 0);
    assert_eq!(server.policy.events().len(), 2);
}

#[tokio::test]
async fn what_needs_no_decision_is_announced_when_its_owner_says_so() {
    let server = Server::new();
    let granted = || Granted {
        application: server.live.clone(),
        key: StreamKey::called("live", "cam"),
        client: Client::default(),
        grant: PublishGrant::default(),
        span: Span::none(),
        wake: Wake::default(),
    };
    let first = granted();
    let publication = first.claim(server.broker.hub()).unwrap();
    assert_eq!(server.policy.events(), [""; 0]);
    let publishing = first.start(publication);
    assert_eq!(server.policy.events(), ["published cam"]);
    assert!(granted().claim(server.broker.hub()).is_err());
    assert_eq!(publishing.over(Instant::now()), None);
    assert!(publishing.over(Instant::now() + 2 * HOUR).is_some());
    assert!(server.policy.asked.lock().is_empty());
}
