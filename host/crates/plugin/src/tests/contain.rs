//! A function that keeps failing: whom it harms, for how long, and what is
//! still decided and told meanwhile.

use std::sync::atomic::AtomicU8;
use std::time::Instant;

use super::*;
use crate::breaker::{Caller, FailureKind};

/// A client at the address of this number.
fn at(address: u8) -> Client {
    Client {
        conn: u64::from(address),
        remote: format!("198.51.100.{address}:50000"),
        ..client()
    }
}

impl Fixture {
    async fn connect_from(&self, address: u8, mode: &str) -> Result<ConnectDecision, PolicyError> {
        let mut request = super::connect(&[("mode", mode)]);
        request.client = at(address);
        ask(&*self.plugin, OnConnect::new(request)).await
    }

    async fn publish_from(&self, address: u8, mode: &str) -> Result<PublishDecision, PolicyError> {
        let mut request = stream("s", &[("mode", mode)]);
        request.client = at(address);
        ask(&*self.plugin, OnPublish::new(request)).await
    }

    async fn play_from(&self, address: u8, mode: &str) -> Result<PlayDecision, PolicyError> {
        let mut request = stream("s", &[("mode", mode)]);
        request.client = at(address);
        ask(&*self.plugin, OnPlay::new(request)).await
    }

    /// Until the counter of this name has reached `count`; meanwhile somebody
    /// connects, again and again, and is let in.
    async fn counts_while_clients_enter(&self, name: &str, count: u64) {
        let begin = Instant::now();
        while self.plugin.stats().get(name) < count {
            assert!(begin.elapsed() < SOON, "{}", self.plugin.stats());
            let decision = self.connect_from(1, "accept").await;
            assert!(
                matches!(decision, Ok(ConnectDecision::Accept(_))),
                "{decision:?}"
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn is_left_alone<T: std::fmt::Debug>(answer: &Result<T, PolicyError>, alone: bool) -> bool {
    matches!(answer, Err(PolicyError::LeftAlone { alone: found, .. }) if *found == alone)
}

#[tokio::test]
async fn a_timer_that_fails_again_and_again_waits_alone() {
    let (log, _guard) = logs::Captured::start();
    let limits = PluginLimits {
        cpu: Duration::from_millis(10),
        failures: 2,
        ..PluginLimits::default()
    };
    let fixture = Fixture::probe_within("loop-on-timer", limits).await;
    fixture.call("timer-set", "bad 1 10").await.unwrap();
    fixture.counts_while_clients_enter("timers_failed", 2).await;
    // It has to wait now: a timer that fires every 10 ms would have failed often.
    fixture.counts_while_clients_enter("timers_failed", 3).await;
    let stats = fixture.plugin.stats();
    assert_eq!(stats.get("timers_delayed"), 2, "{stats}");
    for none in ["breaker_opened", "breaker_refused", "connects_failed"] {
        assert_eq!(stats.get(none), 0, "{stats}");
    }
    let lines = log.lines("plugin timer keeps failing");
    let last = lines.last().expect("it is said");
    for part in [
        "WARN",
        "app=\"live\"",
        "function=\"on-timer\"",
        "key=\"bad\"",
        "retry_ms=2000",
    ] {
        assert!(last.contains(part), "{part} is not in {last}");
    }
}

#[tokio::test]
async fn a_timer_that_had_to_wait_fires_once_its_function_answers() {
    let limits = PluginLimits {
        failures: 1,
        roll_back_within: Duration::ZERO,
        ..PluginLimits::default()
    };
    let fixture = Fixture::probe_within("panic-on-timer", limits).await;
    for key in ["a", "b", "c", "once"] {
        fixture
            .call("timer-set", &format!("{key} 1"))
            .await
            .unwrap();
    }
    fixture.counts_while_clients_enter("timers_failed", 3).await;
    // Three keys failed: the fourth, which has not, waits with them.
    fixture.reconfigure(mode("accept")).await.unwrap();
    assert_eq!(fixture.media.wait_for("timer", 1).await, ["timer once"]);
}

#[tokio::test]
async fn one_address_that_fails_waits_and_others_are_decided() {
    let fixture = Fixture::probe("accept").await;
    for _ in 0..5 {
        assert!(fixture.connect_from(1, "panic-on-connect").await.is_err());
    }
    let refused = fixture.connect_from(1, "accept").await;
    assert!(is_left_alone(&refused, true), "{refused:?}");
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("for this address for another"), "{error}");
    for address in 2..20 {
        assert!(fixture.connect_from(address, "accept").await.is_ok());
    }
    // And its other questions are answered.
    assert!(fixture.publish_from(1, "accept").await.is_ok());
    let stats = fixture.plugin.stats();
    assert_eq!(stats.get("breaker_opened"), 0, "{stats}");
    assert_eq!(stats.get("addresses_delayed"), 1, "{stats}");
    assert_eq!(stats.get("breaker_refused"), 1, "{stats}");
    // One good call after the wait, and it is as any other.
    let again = async {
        while fixture.connect_from(1, "accept").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, again)
        .await
        .expect("it is a second");
}

#[tokio::test]
async fn each_function_is_left_alone_for_itself() {
    let fixture = Fixture::probe("accept").await;
    for address in 1..=5 {
        assert!(
            fixture
                .publish_from(address, "panic-on-publish")
                .await
                .is_err()
        );
    }
    for address in 1..=9 {
        let refused = fixture.publish_from(address, "accept").await;
        assert!(is_left_alone(&refused, false), "{refused:?}");
        assert!(fixture.connect_from(address, "accept").await.is_ok());
        assert!(fixture.play_from(address, "accept").await.is_ok());
    }
    assert!(fixture.call("echo", "").await.is_ok());
    fixture.plugin.notify(Event::Published(info(1, "a")));
    fixture.media.wait_for("event published a", 1).await;
    let stats = fixture.plugin.stats();
    assert_eq!(stats.get("breaker_open"), 1, "{stats}");
    // All at once, each is opened by failures of its own.
    for address in 1..=5 {
        assert!(
            fixture
                .connect_from(address, "panic-on-connect")
                .await
                .is_err()
        );
        assert!(fixture.play_from(address, "panic-on-play").await.is_err());
    }
    assert_eq!(fixture.plugin.stats().get("breaker_open"), 3);
    assert!(fixture.call("echo", "").await.is_ok());
}

#[tokio::test]
async fn a_client_that_leaves_or_is_slow_does_not_keep_the_others_out() {
    let limits = PluginLimits {
        wall: SOON,
        failures: 3,
        ..PluginLimits::default()
    };
    let fixture = Arc::new(Fixture::probe_within("accept", limits).await);
    for address in 1..=3 {
        assert!(
            fixture
                .connect_from(address, "panic-on-connect")
                .await
                .is_err()
        );
    }
    assert!(is_left_alone(
        &fixture.connect_from(9, "accept").await,
        false
    ));
    // Both try as soon as they may: one stays with its call, one leaves.
    let other = Arc::clone(&fixture);
    let tries = Arc::new(AtomicU8::new(0));
    let slow_tries = Arc::clone(&tries);
    let slow = tokio::spawn(async move {
        while is_left_alone(&other.connect_from(1, "sleep-on-connect").await, false) {
            slow_tries.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let leaves = fixture.connect_from(2, "sleep-on-connect");
    let left = tokio::time::timeout(Duration::from_millis(50), leaves).await;
    assert!(left.is_err(), "it tries: {left:?}");
    let decision = fixture.connect_from(3, "accept").await;
    assert!(decision.is_ok(), "{decision:?}");
    assert!(tries.load(Ordering::Relaxed) > 0 && !slow.is_finished());
    slow.abort();
}

#[tokio::test]
async fn an_outage_opens_the_breaker_however_few_instances_there_are() {
    for (instances, failures) in [(1, 1), (1, 5), (2, 3), (4, 5)] {
        let limits = PluginLimits {
            max_instances: instances,
            failures,
            wall: Duration::from_millis(300),
            ..PluginLimits::default()
        };
        let fixture = Arc::new(Fixture::probe_within("sleep-on-connect", limits).await);
        let addresses = Arc::new(AtomicU8::new(0));
        let mut calls = tokio::task::JoinSet::new();
        let begin = Instant::now();
        // More than the instances can take: nearly every call has to queue.
        let error = loop {
            assert!(begin.elapsed() < SOON, "{}", fixture.plugin.stats());
            let (fixture, addresses) = (Arc::clone(&fixture), Arc::clone(&addresses));
            calls.spawn(async move {
                let mut request = super::connect(&[]);
                request.client = at(addresses.fetch_add(1, Ordering::Relaxed) % 50);
                ask(&*fixture.plugin, OnConnect::new(request)).await
            });
            tokio::time::sleep(Duration::from_millis(20)).await;
            let answer = calls.try_join_next().map(Result::unwrap);
            if let Some(Err(error @ PolicyError::LeftAlone { alone: false, .. })) = answer {
                break error;
            }
        };
        // It waited for something outside, as far as anybody knows.
        assert!(error.may_be_allowed(), "{error}");
    }
}

#[tokio::test]
async fn a_version_is_rolled_back_for_one_function_that_answers_nobody() {
    let (log, _guard) = logs::Captured::start();
    let fixture = Fixture::probe("accept").await;
    fixture.reconfigure(mode("panic-on-publish")).await.unwrap();
    for address in [1, 2, 3, 1, 2] {
        // Everything else goes well.
        assert!(fixture.connect_from(1, "accept").await.is_ok());
        assert!(fixture.play_from(1, "accept").await.is_ok());
        fixture
            .plugin
            .notify(Event::Disconnected(client(), SessionEnd::default()));
        let mut request = stream("s", &[]);
        request.client = at(address);
        assert!(
            ask(&*fixture.plugin, OnPublish::new(request))
                .await
                .is_err()
        );
    }
    fixture
        .media
        .wait_for("start StartReason::Restart 000000", 1)
        .await;
    let parts = [
        "ERROR",
        "app=\"live\"",
        "function=\"on-publish\"",
        "failing=2",
    ];
    let said = async {
        while log.lines("rolled back").is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, said).await.expect("it says so");
    log.one("rolled back", &parts);
    assert!(fixture.publish_from(1, "accept").await.is_ok());
}

#[tokio::test]
async fn a_version_is_rolled_back_for_a_failing_event_or_timer() {
    for bad in ["panic-on-published", "panic-on-timer"] {
        let fixture = Fixture::probe("accept").await;
        fixture.call("timer-set", "often 1 1").await.unwrap();
        fixture.reconfigure(mode(bad)).await.unwrap();
        for address in 1..=5 {
            let mut info = info(address.into(), "s");
            info.publisher = at(address);
            fixture.plugin.notify(Event::Published(info));
            assert!(fixture.connect_from(1, "accept").await.is_ok());
        }
        fixture
            .media
            .wait_for("start StartReason::Restart 000000", 1)
            .await;
    }
}

impl Fixture {
    /// Whether the version before has been asked for, and serves.
    async fn is_rolled_back(&self) -> bool {
        // Who has been told that a version fails has its turn before us.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let core = &self.plugin.core;
        let loader = core.loader.lock().await;
        loader.previous.is_none() || core.condemned.is_reported()
    }

    /// Five calls of `function` failed at `when`; all are those of one client.
    fn fails_for_one(&self, function: Function, when: Instant) {
        let core = &self.plugin.core;
        let generation = core.serving.load().number;
        let failing = FailureKind::Itself { waiting: false };
        for _ in 0..5 {
            let breaker = core.breakers.of(function);
            let ticket = breaker.admit(Caller::of(&at(1)), when).expect("it may");
            ticket.failed(generation, failing, when);
        }
    }
}

#[tokio::test]
async fn a_stranger_rolls_no_version_back() {
    let fixture = Fixture::probe("accept").await;
    fixture.reconfigure(mode("reject")).await.unwrap();
    // Whether it has answered others or nobody.
    for _ in 0..5 {
        assert!(fixture.connect_from(1, "panic-on-connect").await.is_err());
    }
    assert!(fixture.publish_from(9, "accept").await.is_ok());
    for _ in 0..5 {
        assert!(fixture.publish_from(1, "panic-on-publish").await.is_err());
    }
    let refused = fixture.publish_from(1, "accept").await;
    assert!(is_left_alone(&refused, true));
    assert!(!fixture.is_rolled_back().await);
}

#[tokio::test]
async fn events_of_one_client_roll_no_version_back() {
    let fixture = Fixture::probe("accept").await;
    fixture
        .reconfigure(mode("panic-on-disconnected"))
        .await
        .unwrap();
    for _ in 0..5 {
        fixture
            .plugin
            .notify(Event::Disconnected(at(1), end("eof")));
    }
    fixture.counts_while_clients_enter("events_failed", 5).await;
    assert_eq!(fixture.plugin.stats().get("breaker_open"), 1);
    assert!(!fixture.is_rolled_back().await);
}

#[tokio::test]
async fn one_client_is_enough_where_all_are_asked_and_nobody_is_answered_for_long() {
    let Some(a_while_ago) = Instant::now().checked_sub(Duration::from_secs(11)) else {
        return;
    };
    for function in [Function::Connect, Function::Publish, Function::Play] {
        let fixture = Fixture::probe("accept").await;
        fixture.reconfigure(mode("reject")).await.unwrap();
        fixture.fails_for_one(function, a_while_ago);
        let again = match function {
            Function::Connect => fixture.connect_from(1, "panic-on-connect").await.err(),
            Function::Publish => fixture.publish_from(1, "panic-on-publish").await.err(),
            _ => fixture.play_from(1, "panic-on-play").await.err(),
        };
        assert!(again.is_some());
        assert!(fixture.is_rolled_back().await, "{}", function.name());
    }
    // What few clients use may fail for one of them alone.
    let fixture = Fixture::probe("accept").await;
    fixture.reconfigure(mode("panic-on-call")).await.unwrap();
    fixture.fails_for_one(Function::Call, a_while_ago);
    let call = OnCall::new(CallRequest {
        client: at(1),
        method: "echo".into(),
        amf0: Bytes::new(),
    });
    let answer = ask(&*fixture.plugin, call).await;
    assert!(matches!(answer, Err(PolicyError::Trapped { .. })));
    assert!(!fixture.is_rolled_back().await);
}

#[tokio::test]
async fn a_roll_back_undoes_only_the_version_that_failed() {
    let fixture = Fixture::probe("accept").await;
    let core = &fixture.plugin.core;
    fixture.reconfigure(mode("panic-on-connect")).await.unwrap();
    // Version 2 fails; before its turn comes, version 3 is loaded.
    {
        let mut loader = core.loader.lock().await;
        core.condemned.report(2, Function::Connect);
        drop(loader);
        fixture.replace(&probe(1));
        fixture.reconfigure(mode("accept")).await.unwrap();
        loader = core.loader.lock().await;
        crate::reload::roll_back(core, &mut loader, 2, Function::Connect).await;
        assert!(loader.known_bad.is_none(), "nothing is known against it");
    }
    assert_eq!(fixture.version().await, "version 000001");
    assert_eq!(fixture.plugin.stats().get("roll_backs"), 0);
    // Its own failures still count.
    let mut loader = core.loader.lock().await;
    let serving = core.serving.load().number;
    crate::reload::roll_back(core, &mut loader, serving, Function::Connect).await;
    assert_eq!(fixture.plugin.stats().get("roll_backs"), 1);
    let known_bad = loader.known_bad.take().expect("what was rolled back");
    assert_eq!(known_bad.1.config, mode("accept"));
}

fn end(reason: &str) -> SessionEnd {
    SessionEnd {
        reason: reason.into(),
        ..SessionEnd::default()
    }
}

#[tokio::test]
async fn an_event_that_fails_holds_up_no_other_and_none_is_lost() {
    let limits = PluginLimits {
        failures: 3,
        ..PluginLimits::default()
    };
    let fixture = Fixture::probe_within("panic-on-ready", limits).await;
    let (plugin, media) = (&fixture.plugin, &fixture.media);
    const STREAMS: u64 = 8;
    for id in 0..STREAMS {
        plugin.notify(Event::Published(info(id, "s")));
        plugin.notify(Event::Ready(info(id, "s")));
        plugin.notify(Event::Unpublished(info(id, "s"), end("eof")));
        plugin.notify(Event::Disconnected(client(), end("eof")));
    }
    // Three failed, and each was followed by its stream's end. Then on-ready is
    // not called for a second, and the others are.
    media.wait_for("event disconnected", STREAMS as usize).await;
    media.wait_for("event published", STREAMS as usize).await;
    fixture.counts_while_clients_enter("events_failed", 4).await;
    let stats = plugin.stats();
    assert_eq!(stats.get("breaker_refused"), 0, "{stats}");
    let ended = media.told();
    let ended = ended
        .iter()
        .filter(|line| line.starts_with("event unpublished"));
    assert!(ended.count() < STREAMS as usize, "the rest waits in order");
    // A version that can take them gets all of them.
    fixture.reconfigure(mode("accept")).await.unwrap();
    media.wait_for("event unpublished", STREAMS as usize).await;
    assert_eq!(media.wait_for("event ready", 4).await.len(), 4);
    assert_eq!(plugin.stats().get("events_dropped"), 0);
}

#[tokio::test]
async fn an_end_that_meets_a_suspended_function_is_delivered_later() {
    let limits = PluginLimits {
        failures: 1,
        ..PluginLimits::default()
    };
    let fixture = Fixture::probe_within("panic-on-unpublished", limits).await;
    let plugin = &fixture.plugin;
    for id in 0..6 {
        plugin.notify(Event::Published(info(id, "s")));
        plugin.notify(Event::Unpublished(info(id, "s"), end("eof")));
    }
    fixture.media.wait_for("event published", 6).await;
    fixture.counts_while_clients_enter("events_failed", 1).await;
    // It is called again in a second; decisions go on, and other calls fail
    // meanwhile for reasons of their own.
    for address in 1..=6 {
        assert!(
            fixture
                .publish_from(address, "panic-on-publish")
                .await
                .is_err()
        );
    }
    fixture.reconfigure(mode("accept")).await.unwrap();
    assert_eq!(
        fixture.media.wait_for("event unpublished", 5).await.len(),
        5
    );
}

#[tokio::test]
async fn events_and_timers_wait_for_an_instance() {
    let limits = PluginLimits {
        max_instances: 1,
        wall: Duration::from_millis(200),
        failures: 1000,
        ..PluginLimits::default()
    };
    let fixture = Fixture::probe_within("accept", limits.clone()).await;
    let generation = fixture.plugin.core.serving.load_full();
    let mut budget = instance::CallBudget::new(limits.cpu, limits.wall);
    let Ok(lease) = generation.lease("test", &mut budget).await else {
        panic!("the first call gets an instance");
    };
    fixture.plugin.notify(Event::Published(info(1, "a")));
    // Longer than a decision could wait.
    let busy = fixture.connect_from(1, "accept").await;
    assert!(matches!(busy, Err(PolicyError::Busy { .. })), "{busy:?}");
    let busy = fixture.connect_from(1, "accept").await;
    assert!(matches!(busy, Err(PolicyError::Busy { .. })), "{busy:?}");
    lease.give_back();
    fixture.media.wait_for("event published a", 1).await;
    assert_eq!(fixture.plugin.stats().get("events_failed"), 0);
}

#[tokio::test]
async fn what_the_host_says_about_a_plugin_is_not_hidden_by_its_own_lines() {
    let (log, _guard) = logs::Captured::start();
    let limits = PluginLimits {
        log_lines_per_second: 1,
        cpu: SOON,
        ..PluginLimits::default()
    };
    let fixture = Fixture::probe_within("chatter-on-connect", limits).await;
    fixture.connect_from(1, "chatter-on-connect").await.unwrap();
    assert!(fixture.plugin.stats().get("log_lines_dropped") > 0);
    let denied = "GET http://192.0.2.1/ 100 0 0";
    assert!(fixture.call("http", denied).await.is_err());
    log.one(
        "HTTP request denied",
        &["WARN", "app=\"live\"", "plugin=\"probe\""],
    );
    // Nor do its warnings take the place of the plugin's lines.
    for _ in 0..200 {
        let _ = fixture.call("http", denied).await;
    }
    assert_eq!(
        log.lines("HTTP request denied").len(),
        60,
        "and the rest counted"
    );
    // Nor that of what the host says about calls that fail.
    for _ in 0..5 {
        assert!(fixture.publish_from(1, "panic-on-publish").await.is_err());
    }
    log.one(
        "calls for one address keep failing",
        &["WARN", "198.51.100.1"],
    );
    tokio::time::sleep(Duration::from_millis(1100)).await;
    fixture.call("log", "still heard").await.unwrap();
    log.one("still heard", &["INFO"]);
    log.one("the plugin wrote too many lines", &["WARN", "suppressed="]);
}
