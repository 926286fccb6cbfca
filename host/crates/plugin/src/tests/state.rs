//! What outlives instances and generations, and what guests can't reach.

use livehost_policy::SessionEnd;

use super::*;

fn end(reason: &str) -> SessionEnd {
    SessionEnd {
        reason: reason.into(),
        ..SessionEnd::default()
    }
}

async fn ok(fixture: &Fixture, method: &str, args: &str) -> String {
    match fixture.call(method, args).await {
        Ok(answer) => answer,
        Err(error) => panic!("{method} {args}: {error}"),
    }
}

async fn refused(fixture: &Fixture, method: &str, args: &str) -> String {
    match fixture.call(method, args).await {
        Err(NoResult::Said(CallError::Refused(error))) => error,
        other => panic!("{method} {args}: {other:?}"),
    }
}

#[tokio::test]
async fn kv_survives_traps_and_reloads_and_is_private() {
    let fixture = Fixture::probe("accept").await;
    let other = Fixture::probe("accept").await;
    let version = ok(&fixture, "kv-set", "key value").await;
    assert!(fixture.call("panic", "").await.is_err());
    fixture.replace(&probe(1));
    fixture.plugin.reload().await.unwrap();
    assert_eq!(
        ok(&fixture, "kv-get", "key").await,
        format!("{version} value")
    );
    assert_eq!(ok(&other, "kv-get", "key").await, "none");

    assert_eq!(ok(&fixture, "kv-cas", "key new 0").await, "false");
    let cas = format!("key new {version}");
    assert_eq!(ok(&fixture, "kv-cas", &cas).await, "true");
    assert_eq!(ok(&fixture, "kv-cas", &cas).await, "false");
    assert_eq!(ok(&fixture, "kv-incr", "n 5").await, "5");
    assert_eq!(ok(&fixture, "kv-incr", "n -7").await, "-2");
    ok(&fixture, "kv-delete", "key").await;
    assert_eq!(ok(&fixture, "kv-get", "key").await, "none");
}

#[tokio::test]
async fn kv_is_bounded() {
    let fixture = Fixture::probe_within(
        "accept",
        PluginLimits {
            kv_bytes: 1 << 20,
            ..PluginLimits::default()
        },
    )
    .await;
    ok(&fixture, "kv-fill", "a 600000").await;
    let error = refused(&fixture, "kv-fill", "b 600000").await;
    assert!(error.contains("Quota"), "{error}");
    let error = refused(&fixture, "kv-fill", "c 2000000").await;
    assert!(error.contains("TooLarge"), "{error}");
    ok(&fixture, "kv-delete", "a").await;
    ok(&fixture, "kv-fill", "b 600000").await;
}

#[tokio::test]
async fn a_guest_can_not_make_the_host_copy_without_bound() {
    let fixture = Fixture::probe_within(
        "accept",
        PluginLimits {
            transfer_bytes: 1 << 20,
            ..PluginLimits::default()
        },
    )
    .await;
    let error = fixture.call("kv-fill", "a 3000000").await.unwrap_err();
    assert!(
        matches!(error, NoResult::Policy(PolicyError::Trapped { .. })),
        "{error}"
    );
    ok(&fixture, "kv-fill", "a 1000").await;
}

#[tokio::test]
async fn a_timer_fires_once_on_the_serving_version() {
    let fixture = Fixture::probe("accept").await;
    ok(&fixture, "timer-set", "later 400").await;
    ok(&fixture, "timer-set", "never 200").await;
    ok(&fixture, "timer-cancel", "never").await;
    ok(&fixture, "timer-set", "soon 1").await;
    fixture.replace(&probe(1));
    fixture.plugin.reload().await.unwrap();
    let fired = fixture.media.wait_for("timer", 2).await;
    assert_eq!(fired, ["timer soon", "timer later"]);
    let fired = ok(&fixture, "kv-get", "timer:later").await;
    assert!(fired.ends_with(" 1"), "once: {fired}");
}

#[tokio::test]
async fn a_repeating_timer_goes_on_until_it_is_cancelled() {
    let fixture = Fixture::probe("accept").await;
    ok(&fixture, "timer-set", "tick 1 20").await;
    fixture.media.wait_for("timer tick", 3).await;
    ok(&fixture, "timer-cancel", "tick").await;
    // One may have been on its way.
    ok(&fixture, "timer-set", "after 100").await;
    fixture.media.wait_for("timer after", 1).await;
    let ticks = |lines: Vec<String>| lines.iter().filter(|l| l.ends_with("tick")).count();
    let fired = ticks(fixture.media.told());
    ok(&fixture, "timer-set", "after 100").await;
    fixture.media.wait_for("timer after", 2).await;
    assert_eq!(ticks(fixture.media.told()), fired);
}

#[tokio::test]
async fn a_timer_that_traps_does_not_stop_the_others() {
    let fixture = Fixture::probe("panic-on-timer").await;
    ok(&fixture, "timer-set", "bad 1").await;
    fixture.reconfigure(mode("accept")).await.unwrap();
    ok(&fixture, "timer-set", "good 1").await;
    fixture.media.wait_for("timer good", 1).await;
}

#[tokio::test]
async fn events_arrive_once_and_in_order_across_reloads() {
    const STREAMS: u64 = 60;
    let fixture = Fixture::probe("accept").await;
    let mut expected = Vec::new();
    for id in 0..STREAMS {
        let name = format!("s{id}");
        let plugin = &fixture.plugin;
        plugin.notify(Event::Published(info(id, &name)));
        plugin.notify(Event::Ready(info(id, &name)));
        plugin.notify(Event::PlayEnded(stream(&name, &[]), end("eof")));
        plugin.notify(Event::Unpublished(info(id, &name), end("reset")));
        expected.extend([
            format!("event published {name}"),
            format!("event ready {name}"),
            format!("event play-ended {name} eof"),
            format!("event unpublished {name} reset"),
        ]);
        if id % 20 == 10 {
            fixture.replace(&probe(id as u32));
            fixture.plugin.reload().await.unwrap();
        }
    }
    fixture
        .plugin
        .notify(Event::Disconnected(client(), end("fin")));
    expected.push("event disconnected 7 fin".into());
    let events = fixture.media.wait_for("event", expected.len()).await;
    assert_eq!(events, expected);
}

#[tokio::test]
async fn a_trap_in_an_event_costs_that_event_only() {
    let fixture = Fixture::probe("panic-on-published").await;
    fixture.plugin.notify(Event::Published(info(1, "a")));
    fixture
        .plugin
        .notify(Event::Unpublished(info(1, "a"), end("eof")));
    let events = fixture.media.wait_for("event", 1).await;
    assert_eq!(events, ["event unpublished a eof"]);
}

#[tokio::test]
async fn events_wait_while_the_plugin_is_left_alone() {
    let fixture = Fixture::probe("panic-on-connect").await;
    for _ in 0..5 {
        assert!(fixture.connect(&[]).await.is_err());
    }
    let refused = fixture.connect(&[]).await.unwrap_err();
    assert!(
        matches!(refused, PolicyError::LeftAlone { .. }),
        "{refused}"
    );
    fixture.plugin.notify(Event::Published(info(1, "a")));
    fixture
        .plugin
        .notify(Event::Unpublished(info(1, "a"), end("eof")));
    let events = fixture.media.wait_for("event", 2).await;
    assert_eq!(events, ["event published a", "event unpublished a eof"]);
}

#[tokio::test]
async fn a_shutdown_delivers_what_was_queued() {
    let fixture = Fixture::probe("accept").await;
    for id in 0..50 {
        fixture.plugin.notify(Event::Published(info(id, "s")));
        fixture
            .plugin
            .notify(Event::Unpublished(info(id, "s"), end("shutdown")));
    }
    fixture.plugin.shutdown(StopReason::Shutdown).await;
    let told = fixture.media.told();
    let unpublished = told.iter().filter(|l| l.contains("unpublished"));
    assert_eq!(unpublished.count(), 50);
    assert_eq!(told.last().unwrap(), "stop StopReason::Shutdown 000000");
}

#[tokio::test]
async fn keys_are_listed_in_pages() {
    let fixture = Fixture::probe("accept").await;
    for key in ["a/3", "a/1", "b/1", "a/2", "a"] {
        ok(&fixture, "kv-set", &format!("{key} x")).await;
    }
    ok(&fixture, "kv-set", "a/0 x 1").await;
    ok(&fixture, "kv-delete", "a/0").await;
    assert_eq!(ok(&fixture, "kv-list", "a/ 10").await, "a/1,a/2,a/3");
    assert_eq!(ok(&fixture, "kv-list", "a/ 2").await, "a/1,a/2");
    assert_eq!(ok(&fixture, "kv-list", "a/ 2 a/2").await, "a/3");
    assert_eq!(ok(&fixture, "kv-list", "a/ 2 a/3").await, "");
    // Before and behind what begins so.
    assert_eq!(ok(&fixture, "kv-list", "b/ 9 a").await, "b/1");
    assert_eq!(ok(&fixture, "kv-list", "a 9 b").await, "");
    assert_eq!(ok(&fixture, "kv-list", " 9").await, "a,a/1,a/2,a/3,b/1");
    assert_eq!(ok(&fixture, "kv-list", "a/ 0").await, "");
}

#[tokio::test]
async fn orders_are_carried_out_when_the_hook_has_returned_and_in_order() {
    let fixture = Fixture::probe("accept").await;
    assert_eq!(ok(&fixture, "order", "first second").await, "queued");
    let mut told = fixture.media.told();
    told.retain(|line| !line.starts_with("start"));
    let expected = ["asks for first", "asks for second", "first", "second"];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn the_orders_of_a_hook_that_fails_are_dropped() {
    let fixture = Fixture::probe("accept").await;
    let (log, _guard) = super::logs::Captured::start();
    fixture
        .call("order", "first second panic")
        .await
        .unwrap_err();
    log.one(
        "on-call failed: its 2 orders are dropped",
        &["app=\"live\""],
    );
    assert_eq!(ok(&fixture, "order", "third fourth").await, "queued");
    let told = fixture.media.told();
    assert!(!told.iter().any(|line| line == "first"), "{told:?}");
    assert!(told.ends_with(&["third".to_owned(), "fourth".to_owned()]));
}

#[tokio::test]
async fn the_orders_of_a_call_are_bounded() {
    let limits = PluginLimits {
        cpu: SOON,
        wall: SOON,
        ..PluginLimits::default()
    };
    let fixture = Fixture::probe_within("accept", limits).await;
    assert_eq!(ok(&fixture, "order-often", "1").await, "10000");
    let of_size: usize = ok(&fixture, "order-often", "512").await.parse().unwrap();
    assert!((4000..10_000).contains(&of_size), "{of_size}");
    assert_eq!(ok(&fixture, "order-often", "1").await, "10000");
}

#[tokio::test]
async fn registry_and_control_reach_the_media_plane() {
    let fixture = Fixture::probe("accept").await;
    assert_eq!(ok(&fixture, "registry-get", "cam1").await, "cam1");
    assert_eq!(ok(&fixture, "registry-get", "cam9").await, "none");
    assert_eq!(ok(&fixture, "registry-find", "cam").await, "cam1,cam2");
    assert_eq!(ok(&fixture, "registry-count", "cam2").await, "1");
    assert_eq!(
        ok(&fixture, "registry-clients", "").await,
        "203.0.113.7:51234"
    );
    assert_eq!(ok(&fixture, "disconnect", "7 rude").await, "queued");
    fixture.media.wait_for("disconnect live 7 rude", 1).await;
}
