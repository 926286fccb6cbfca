//! Players.

use std::sync::Arc;
use std::time::Duration;

use livehost_app::relays::{NoPull, PullFailure};
use livehost_hub::Join;
use livehost_policy::{PlayDecision, PlayGrant, PolicyError, Rejection};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::protocol::{HOUR, Heard, Player, Server, Status};
use crate::script::Demand;

fn number(outcome: Result<Player, Status>) -> u16 {
    outcome.err().map_or(200, |status| status.number)
}

fn granted(change: impl FnOnce(&mut PlayGrant)) -> PlayGrant {
    let mut grant = PlayGrant::default();
    change(&mut grant);
    grant
}

fn extra(grant: &mut PlayGrant, key: &str, value: &str) {
    grant.extra.push((key.to_owned(), value.to_owned()));
}

#[tokio::test]
async fn who_is_refused_hears_why_and_leaves_nothing_behind() {
    let server = Server::new();
    assert_eq!(number(server.play("").await), 400);
    for (code, status) in [
        ("", 403),
        ("NetStream.Play.StreamNotFound", 404),
        ("x", 403),
    ] {
        server.policy.on_play(Ok(PlayDecision::Reject(Rejection {
            code: code.to_owned(),
            is_verdict: true,
            ..Rejection::new("no")
        })));
        assert_eq!(number(server.play("cam").await), status, "{code}");
    }
    let lost = PolicyError::Unavailable("it is gone".into());
    server.policy.on_play(Err(lost));
    assert_eq!(number(server.play("cam").await), 503);
    server
        .policy
        .grant_play(granted(|grant| grant.name = Some(" \u{1}".to_owned())));
    assert_eq!(number(server.play("cam").await), 500);
    for (why, status) in [(NoPull::Url, 500), (NoPull::Room, 503)] {
        *server.relays.no_pull.lock() = Some(why);
        server.policy.grant_play(PlayGrant::default());
        assert_eq!(number(server.play("cam").await), status, "{why}");
    }
    assert_eq!(server.policy.events(), [""; 0]);
    assert_eq!(server.broker.hub().census().get("streams"), 0);
}

#[tokio::test]
async fn a_player_hears_the_stream_that_it_was_granted() {
    let server = Server::new();
    let mut publisher = server.publish("room/main").await.unwrap();
    server
        .policy
        .grant_play(granted(|grant| grant.name = Some("main".to_owned())));
    let mut player = server.play("room/cam").await.unwrap();
    publisher.send(10).unwrap();
    assert_eq!(player.next().await, Ok(Heard::Frame));
    assert_eq!(player.playing.raw_name(), "room/cam");
    player.playing.end("bored");
    assert_eq!(server.policy.events()[1..], ["played main: bored"]);
}

#[tokio::test]
async fn a_player_has_the_settings_of_when_it_was_granted() {
    let server = Server::new();
    let mut publisher = server.publish("cam").await.unwrap();
    publisher.send(10).unwrap();
    let mut early = server.play("cam").await.unwrap();
    assert_eq!(early.next().await, Ok(Heard::Frame));
    let decide = Arc::new(Notify::new());
    *server.policy.pause.lock() = Some(decide.clone());
    let mut late = {
        let mut play = std::pin::pin!(server.play("cam"));
        assert!(futures_util::poll!(play.as_mut()).is_pending());
        let mut settings = server.live.settings();
        settings.media.join = Join::NextKeyframe;
        server.live.set_settings(settings);
        decide.notify_one();
        play.await.unwrap()
    };
    assert!(late.hears_nothing());
    publisher.send(10).unwrap();
    assert_eq!(late.next().await, Ok(Heard::Frame));
}

#[tokio::test]
async fn a_player_has_its_time() {
    let server = Server::new();
    let at = |seconds| Instant::now() + Duration::from_secs(seconds);
    let over = |player: &Player, seconds| {
        let over = player.over(at(seconds));
        over.map_or((200, String::new()), |status| (status.number, status.text))
    };
    let waits = server.play("cam").await.unwrap();
    assert_eq!(waits.over(at(3000)), None, "the application's setting");
    assert_eq!(over(&waits, 4000).0, 404);
    server.policy.grant_play(granted(|grant| {
        grant.wait_ms = Some(5000);
        grant.max_seconds = Some(60);
    }));
    let mut player = server.play("cam").await.unwrap();
    assert_eq!(player.over(at(4)), None);
    assert_eq!(
        over(&player, 6),
        (404, "nobody published within 5 s".to_owned())
    );
    let deadline = player.playing.deadline().unwrap();
    assert!(deadline <= at(5) && deadline > at(1));
    let _publisher = server.publish("cam").await.unwrap();
    assert_eq!(player.next().await, Ok(Heard::Published));
    assert_eq!(player.over(at(6)), None);
    assert_eq!(
        over(&player, 61),
        (410, "the granted 60 s are over".to_owned())
    );
    let reason = player
        .playing
        .over(at(61))
        .map(|refusal| refusal.kind.reason());
    assert_eq!(reason, Some("limit"));
}

#[tokio::test]
async fn a_player_waits_for_its_pull_and_hears_what_became_of_it() {
    let server = Server::new();
    let from = "rtmp://a/b/c";
    server
        .policy
        .grant_play(granted(|grant| grant.pull_from = Some(from.to_owned())));
    for (is_not_found, status, reason) in [(true, 404, "timeout"), (false, 503, "pull-failed")] {
        let mut player = server.play("cam").await.unwrap();
        assert!(player.hears_nothing());
        let pending = server.relays.pending.lock().pop().unwrap();
        let fail = async {
            pending.fail(PullFailure {
                is_not_found,
                text: "why".to_owned(),
            });
        };
        let (heard, ()) = tokio::join!(player.next(), fail);
        assert_eq!(
            heard.map_err(|told| (told.number, told.text)),
            Err((status, "why".to_owned()))
        );
        let over = player.playing.over(Instant::now()).unwrap();
        assert_eq!(over.kind.reason(), reason);
    }
    // It came up, and the failure of a later attempt is none of the player's.
    let mut player = server.play("cam").await.unwrap();
    let _pulled = server.publish("cam").await.unwrap();
    assert_eq!(player.next().await, Ok(Heard::Published));
    let pending = server.relays.pending.lock().pop().unwrap();
    pending.fail(PullFailure {
        is_not_found: true,
        text: String::new(),
    });
    assert_eq!(player.over(Instant::now()), None);
    let demand = Demand {
        path: "cam".to_owned(),
        pull_from: Some(from.to_owned()),
        // A pull is to find that it is wanted.
        players: 1,
    };
    assert_eq!(*server.relays.demands.lock(), vec![demand; 3]);
}

#[tokio::test]
async fn no_more_play_than_may() {
    let server = Server::new();
    let most = |max: &'static str| {
        let grant = granted(|grant| extra(grant, "max-players", max));
        server.policy.grant_play(grant);
    };
    most("2");
    let first = server.play("cam").await.unwrap();
    let _second = server.play("cam").await.unwrap();
    let refused = server.play("cam").await.err().unwrap();
    assert_eq!(
        (refused.number, &*refused.text),
        (429, "the stream has 2 players, and 2 may play it")
    );
    assert_eq!(refused.retry_after_ms, Some(1000));
    assert_eq!(
        server.relays.demands.lock().len(),
        2,
        "nothing is pulled for it"
    );
    assert_eq!(number(server.play("other").await), 200);
    drop(first);
    let _third = server.play("cam").await.unwrap();
    assert_eq!(number(server.play("cam").await), 429);
    // Another grant may allow more; what is no number allows any.
    most("3");
    let _fourth = server.play("cam").await.unwrap();
    most("many");
    let _fifth = server.play("cam").await.unwrap();
    most("0");
    assert_eq!(number(server.play("nobody").await), 429);
    assert_eq!(server.broker.hub().census().get("streams"), 1);
}

#[tokio::test]
async fn of_many_that_are_decided_together_no_more_play_than_may() {
    let server = Server::new();
    server
        .policy
        .grant_play(granted(|grant| extra(grant, "max-players", "3")));
    let all = futures_util::future::join_all((0..10).map(|_| server.play("cam"))).await;
    assert_eq!(all.iter().filter(|outcome| outcome.is_ok()).count(), 3);
}

#[tokio::test]
async fn a_player_waits_again_when_its_publisher_has_left() {
    let server = Server::new();
    let publisher = server.publish("cam").await.unwrap();
    let mut player = server.play("cam").await.unwrap();
    let late = Instant::now() + 2 * HOUR;
    assert_eq!(player.over(late), None);
    publisher.leave();
    assert_eq!(player.next().await, Ok(Heard::Unpublished));
    assert_eq!(player.over(late).map(|status| status.number), Some(404));
}
