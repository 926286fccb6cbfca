//! Every limit, hit on purpose: a clear message, the right counter, and another
//! application that does not notice.

use super::*;

/// An application that hits a limit, and one beside it.
struct Pair {
    hit: Fixture,
    other: Fixture,
}

async fn pair(limits: PluginLimits) -> Pair {
    Pair {
        hit: Fixture::probe_within("accept", limits).await,
        other: Fixture::probe("accept").await,
    }
}

impl Pair {
    /// Asks to connect in `mode`; the failure's message.
    async fn fails(&self, mode: &str) -> String {
        match self.hit.connect(&[("mode", mode)]).await {
            Err(error) => error.to_string(),
            Ok(decision) => panic!("{mode}: {decision:?}"),
        }
    }

    /// Other settings than it was loaded with; the failure's message.
    async fn refuses_to_start(&self, mode: &str, limits: PluginLimits) -> String {
        let config = super::mode(mode);
        let spec = PluginSpec {
            config,
            limits,
            ..self.hit.spec()
        };
        match self.hit.plugin.respec(spec).await {
            Err(error) => error.to_string(),
            Ok(reload) => panic!("{mode}: {reload:?}"),
        }
    }

    /// Calls one of the probe's commands; the error's message.
    async fn refuses(&self, method: &str, args: &str) -> String {
        match self.hit.call(method, args).await {
            Err(error) => error.to_string(),
            Ok(answer) => panic!("{method} {args}: {answer}"),
        }
    }

    /// Of the counters for failures exactly `expected` went up, the application
    /// decides again, and the other one has none.
    async fn counted(&self, expected: &[(&str, u64)]) {
        const TROUBLE: [&str; 17] = [
            "traps",
            "memory_exceeded",
            "cpu_exceeded",
            "wall_exceeded",
            "pool_exhausted",
            "breaker_opened",
            "breaker_refused",
            "events_dropped",
            "timers_refused",
            "kv_too_large",
            "kv_over_quota",
            "kv_not_counted",
            "log_lines_dropped",
            "reloads_refused",
            "snapshots_left_out",
            "drains_exceeded",
            "instances_recycled",
        ];
        let stats = self.hit.plugin.stats();
        for name in TROUBLE {
            let count = expected.iter().find(|(known, _)| *known == name);
            let count = count.map_or(0, |(_, count)| *count);
            assert_eq!(stats.get(name), count, "{name}: {stats}");
        }
        let decision = self.other.connect(&[]).await;
        assert!(matches!(decision, Ok(ConnectDecision::Accept(_))));
        let other = self.other.plugin.stats();
        assert_eq!(other.get("connects_accepted"), 1);
        for name in TROUBLE {
            assert_eq!(other.get(name), 0, "the other application's {name}");
        }
    }
}

fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    assert!(!message.contains('\n'), "one line: {message:?}");
}

#[tokio::test]
async fn traps() {
    let pair = pair(PluginLimits::default()).await;
    let message = pair.fails("panic-on-connect").await;
    says(&message, &["trapped in on-connect", "asked to panic"]);
    pair.counted(&[("traps", 1)]).await;
    assert_eq!(pair.hit.plugin.stats().get("connects_failed"), 1);
}

#[tokio::test]
async fn computing_time() {
    let pair = pair(PluginLimits {
        cpu: Duration::from_millis(20),
        wall: SOON,
        ..PluginLimits::default()
    })
    .await;
    let message = pair.fails("loop-on-connect").await;
    says(&message, &["CPU budget of 20 ms", "on-connect"]);
    pair.counted(&[("cpu_exceeded", 1)]).await;
}

#[tokio::test]
async fn time_in_all() {
    let pair = pair(PluginLimits {
        wall: Duration::from_millis(100),
        ..PluginLimits::default()
    })
    .await;
    let message = pair.fails("sleep-on-connect").await;
    says(&message, &["wall deadline of 100 ms", "on-connect"]);
    pair.counted(&[("wall_exceeded", 1)]).await;
}

#[tokio::test]
async fn memory() {
    let pair = pair(PluginLimits {
        memory_bytes: 4 << 20,
        cpu: SOON,
        wall: SOON,
        ..PluginLimits::default()
    })
    .await;
    let message = pair.fails("alloc-on-connect").await;
    says(&message, &["asked for more than its 4194304 bytes"]);
    pair.counted(&[("memory_exceeded", 1)]).await;
}

#[tokio::test]
async fn instances() {
    let pair = pair(PluginLimits {
        max_instances: 1,
        wall: Duration::from_millis(100),
        ..PluginLimits::default()
    })
    .await;
    let pair = Arc::new(pair);
    // Both have the same deadline but for microseconds. The one that waits has
    // no instance at it, or has got the one that the other lost.
    let mut tries = 0;
    let waited = loop {
        tries += 1;
        let waits = pair.hit.connect(&[("mode", "accept")]);
        let (first, second) = tokio::join!(pair.fails("sleep-on-connect"), waits);
        says(&first, &["wall deadline"]);
        match second {
            Err(error) => break error.to_string(),
            Ok(_) => assert!(tries < 100, "there is always an instance"),
        }
    };
    says(&waited, &["no plugin instance was free", "limit: 1"]);
    pair.counted(&[("wall_exceeded", tries), ("pool_exhausted", 1)])
        .await;
}

#[tokio::test]
async fn breaker() {
    let pair = pair(PluginLimits {
        failures: 2,
        ..PluginLimits::default()
    })
    .await;
    pair.hit.connect_from_all("panic-on-connect", 3).await;
    let message = pair.fails("accept").await;
    let parts = ["kept failing in on-connect", "not called for another"];
    says(&message, &parts);
    assert_eq!(pair.hit.plugin.stats().get("breaker_open"), 1);
    pair.counted(&[("traps", 3), ("breaker_opened", 1), ("breaker_refused", 1)])
        .await;
}

#[tokio::test]
async fn transfer() {
    let pair = pair(PluginLimits {
        transfer_bytes: 1 << 20,
        ..PluginLimits::default()
    })
    .await;
    let message = pair.refuses("kv-fill", "a 3000000").await;
    says(&message, &["trapped in on-call"]);
    pair.counted(&[("traps", 1)]).await;
}

#[tokio::test]
async fn kv() {
    let pair = pair(PluginLimits {
        kv_bytes: 1000,
        ..PluginLimits::default()
    })
    .await;
    says(&pair.refuses("kv-fill", "a 1001").await, &["Quota"]);
    says(&pair.refuses("kv-fill", "a 2000000").await, &["TooLarge"]);
    pair.hit.call("kv-set", "a text").await.unwrap();
    says(&pair.refuses("kv-incr", "a 1").await, &["not a counter"]);
    pair.counted(&[
        ("kv_over_quota", 1),
        ("kv_too_large", 1),
        ("kv_not_counted", 1),
    ])
    .await;
}

#[tokio::test]
async fn timers() {
    let (log, _guard) = super::logs::Captured::start();
    let pair = pair(PluginLimits {
        timers: 1,
        ..PluginLimits::default()
    })
    .await;
    for key in ["a", "b", "c"] {
        let args = format!("{key} 3600000");
        pair.hit.call("timer-set", &args).await.unwrap();
    }
    let lines = log.lines("a timer was not set: the application has 1 timers");
    assert_eq!(lines.len(), 2, "{lines:?}");
    pair.counted(&[("timers_refused", 2)]).await;
}

#[tokio::test]
async fn events() {
    let (log, _guard) = super::logs::Captured::start();
    let pair = pair(PluginLimits {
        event_queue: 2,
        ..PluginLimits::default()
    })
    .await;
    // Nothing is delivered before this test waits.
    for id in 0..5 {
        pair.hit.plugin.notify(Event::Published(info(id, "s")));
    }
    log.one("event queue full", &["WARN"]);
    pair.counted(&[("events_dropped", 3)]).await;
    pair.hit.media.wait_for("event", 2).await;
}

#[tokio::test]
async fn log_lines() {
    let pair = pair(PluginLimits {
        log_lines_per_second: 10,
        ..PluginLimits::default()
    })
    .await;
    // A thousand lines take less than a second, or start another ten.
    let decision = pair.hit.connect(&[("mode", "chatter-on-connect")]).await;
    assert!(decision.is_ok());
    let dropped = pair.hit.plugin.stats().get("log_lines_dropped");
    assert!((900..1000).contains(&dropped), "{dropped}");
    pair.counted(&[("log_lines_dropped", dropped)]).await;
}

#[tokio::test]
async fn time_to_start() {
    let pair = pair(PluginLimits::default()).await;
    for (mode, hook) in [
        ("sleep-on-configure", "configure"),
        ("sleep-on-start", "on-start"),
    ] {
        // Enough for the hooks before it on a busy machine.
        let limits = PluginLimits {
            start: Duration::from_millis(500),
            ..PluginLimits::default()
        };
        let message = pair.refuses_to_start(mode, limits).await;
        let limit = format!("exceeded its wall deadline of 500 ms in {hook}");
        says(&message, &["application \"live\"", "probe.wasm", &limit]);
        // The version before serves.
        assert!(pair.hit.connect(&[]).await.is_ok());
    }
    pair.counted(&[("wall_exceeded", 2), ("reloads_refused", 2)])
        .await;
}

#[tokio::test]
async fn computing_time_to_start_and_to_stop() {
    let (log, _guard) = super::logs::Captured::start();
    let limits = PluginLimits {
        start_cpu: Duration::from_millis(20),
        start: SOON,
        ..PluginLimits::default()
    };
    let pair = pair(limits.clone()).await;
    for (mode, hook) in [
        ("loop-on-configure", "configure"),
        ("loop-on-start", "on-start"),
    ] {
        let message = pair.refuses_to_start(mode, limits.clone()).await;
        let limit = format!("exceeded its CPU budget of 20 ms in {hook}");
        says(&message, &["application \"live\"", "probe.wasm", &limit]);
        assert!(pair.hit.connect(&[]).await.is_ok());
    }
    // Whoever serves already, goes when asked to, whatever it does then.
    for mode in ["loop-on-snapshot", "loop-on-stop", "accept"] {
        pair.hit.reconfigure(super::mode(mode)).await.unwrap();
        assert!(pair.hit.connect(&[]).await.is_ok());
    }
    pair.hit.plugin.shutdown(StopReason::Shutdown).await;
    for (told, hook) in [
        ("plugin snapshot failed: left out", "snapshot"),
        ("plugin on-stop failed", "on-stop"),
    ] {
        let limit = format!("CPU budget of 20 ms in {hook}");
        log.one(told, &["WARN", "app=\"live\"", &limit]);
    }
    let counts = [
        ("cpu_exceeded", 4),
        ("reloads_refused", 2),
        ("snapshots_left_out", 1),
    ];
    pair.counted(&counts).await;
}

#[tokio::test]
async fn handoff() {
    let (log, _guard) = super::logs::Captured::start();
    let pair = pair(PluginLimits {
        handoff_bytes: (2 << 20) - 1,
        ..PluginLimits::default()
    })
    .await;
    let hit = &pair.hit;
    hit.reconfigure(super::mode("huge-snapshot")).await.unwrap();
    hit.replace(&probe(1));
    hit.plugin.reload().await.unwrap();
    let parts = [
        "WARN",
        "app=\"live\"",
        "generation=2",
        "bytes=2097152",
        "limit=2097151",
    ];
    log.one("plugin snapshot too large: left out", &parts);
    // The new version serves without it.
    let started = hit.media.wait_for("start", 3).await;
    assert_eq!(started[2], "start StartReason::Reload 000001");
    assert_eq!(hit.version().await, "version 000001");
    pair.counted(&[("snapshots_left_out", 1)]).await;
}

#[tokio::test]
async fn drain() {
    let (log, _guard) = super::logs::Captured::start();
    let pair = pair(PluginLimits {
        drain: Duration::from_millis(100),
        wall: SOON,
        ..PluginLimits::default()
    })
    .await;
    let pair = Arc::new(pair);
    let stuck = Arc::clone(&pair);
    let stuck = tokio::spawn(async move { stuck.fails("sleep-on-connect").await });
    tokio::task::yield_now().await;
    pair.hit.replace(&probe(1));
    pair.hit.plugin.reload().await.unwrap();
    // It is stopped nevertheless, and who asks meanwhile is answered.
    assert_eq!(pair.hit.version().await, "version 000001");
    pair.hit
        .media
        .wait_for("stop StopReason::Reload 000000", 1)
        .await;
    let parts = ["WARN", "app=\"live\"", "generation=1", "limit_ms=100"];
    log.one("calls left after its drain", &parts);
    // The call under way has its own deadline.
    assert!(!stuck.is_finished());
    stuck.abort();
    pair.counted(&[("drains_exceeded", 1)]).await;
}

#[tokio::test]
async fn calls_of_one_instance() {
    let pair = pair(PluginLimits {
        recycle_after_calls: 3,
        max_instances: 1,
        ..PluginLimits::default()
    })
    .await;
    // The first was configured, asked whether anybody has to log in, and started:
    // no call is left to it. Others are configured: two.
    for left in [1, 0, 1, 0] {
        assert!(pair.hit.connect(&[]).await.is_ok());
        assert_eq!(pair.hit.plugin.stats().get("instances"), left);
    }
    pair.counted(&[("instances_recycled", 3)]).await;
}

#[tokio::test]
async fn memory_of_an_instance_that_is_kept() {
    let pair = pair(PluginLimits {
        memory_bytes: 8 << 20,
        max_instances: 1,
        ..PluginLimits::default()
    })
    .await;
    assert!(pair.hit.connect(&[]).await.is_ok());
    assert_eq!(pair.hit.plugin.stats().get("instances"), 1);
    // Three quarters of what it may have: the next call gets a fresh one.
    let log = "x".repeat(6 << 20);
    pair.hit.call("env", &log).await.unwrap();
    assert_eq!(pair.hit.plugin.stats().get("instances"), 0);
    assert!(pair.hit.connect(&[]).await.is_ok());
    pair.counted(&[("instances_recycled", 1)]).await;
}

#[tokio::test]
async fn answers() {
    let pair = pair(PluginLimits::default()).await;
    let attrs = |bytes| [("mode", "attrs"), ("bytes", bytes)];
    let most = pair.hit.connect(&attrs("16383")).await;
    assert!(matches!(most, Ok(ConnectDecision::Accept(_))), "{most:?}");
    let error = pair.hit.connect(&attrs("16384")).await.unwrap_err();
    let expected = "answer to on-connect can't be used: expected at most 16384 bytes of attrs, \
                    found 16385";
    says(&error.to_string(), &[expected]);
    assert!(!error.may_be_allowed());
    assert_eq!(pair.hit.plugin.stats().get("connects_failed"), 1);
    pair.counted(&[]).await;
}

#[tokio::test]
async fn what_imports_are_given() {
    let pair = pair(PluginLimits {
        cpu: SOON,
        wall: SOON,
        ..PluginLimits::default()
    })
    .await;
    let hit = &pair.hit;
    let long = "k".repeat(3 << 20);
    let get = hit.call("kv-get", &long).await;
    assert_eq!(get.as_deref(), Ok("none"));
    let delete = hit.call("kv-delete", &long).await;
    assert_eq!(delete.as_deref(), Ok("deleted"));
    for method in ["kv-incr", "kv-cas", "kv-set"] {
        says(
            &pair.refuses(method, &format!("{long} 1 1")).await,
            &["TooLarge"],
        );
    }
    let slashes = hit.call("registry-slashes", "3000000").await;
    assert_eq!(slashes.as_deref(), Ok("false 0 false"));
    let sent = hit.call("send-data", "255 262144").await;
    assert_eq!(sent.as_deref(), Ok("sent"));
    for long in ["256 1", "1 262145"] {
        says(&pair.refuses("send-data", long).await, &["denied"]);
    }
    hit.call("disconnect", &format!("7 {long}")).await.unwrap();
    let told = hit.media.wait_for("disconnect live 7 k", 1).await;
    assert_eq!(told[0].len(), "disconnect live 7 ".len() + 512);
    pair.counted(&[("kv_too_large", 3)]).await;
}

#[tokio::test]
async fn commands_that_are_denied() {
    let pair = pair(PluginLimits {
        cpu: SOON,
        wall: SOON,
        ..PluginLimits::default()
    })
    .await;
    let answer = pair.hit.call("forward-often", "1000").await.unwrap();
    assert_eq!(answer, "1000 0", "denied and busy");
    // A second may have begun meanwhile, or some: each has another hundred that
    // the media plane is told of.
    assert!(pair.hit.media.told().len() >= 100);
    // What is allowed is done all the same.
    let url = "rtmp://192.0.2.2/live/cam1";
    let allowed = pair.hit.call("start-forward", &format!("cam1 {url}")).await;
    assert_eq!(allowed.as_deref(), Ok("started"));
    pair.hit.media.wait_for(&format!("forward {url}"), 1).await;
    pair.counted(&[]).await;
}

#[tokio::test]
async fn what_went_well_is_counted_too() {
    let fixture = Fixture::probe("accept").await;
    fixture.connect(&[]).await.unwrap();
    fixture.connect(&[("mode", "reject")]).await.unwrap();
    fixture.connect(&[("mode", "redirect")]).await.unwrap();
    ask(&*fixture.plugin, OnPublish::new(stream("s", &[])))
        .await
        .unwrap();
    ask(
        &*fixture.plugin,
        OnPlay::new(stream("s", &[("mode", "no-play")])),
    )
    .await
    .unwrap();
    fixture.call("log", "x").await.unwrap();
    assert!(fixture.call("nothing", "").await.is_err());
    fixture.plugin.notify(Event::Published(info(1, "s")));
    fixture.media.wait_for("event", 1).await;
    fixture.call("timer-set", "t 1").await.unwrap();
    fixture.media.wait_for("timer", 1).await;
    fixture.replace(&probe(1));
    fixture.plugin.reload().await.unwrap();
    fixture.replace(b"garbage");
    fixture.plugin.reload().await.unwrap_err();
    let (log, _guard) = super::logs::Captured::start();
    fixture.plugin.shutdown(StopReason::Shutdown).await;
    let stats = fixture.plugin.stats();
    for name in [
        "connects_accepted",
        "connects_rejected",
        "connects_redirected",
        "publishes_accepted",
        "plays_rejected",
        "events_delivered",
        "timers_fired",
        "reloads",
        "reloads_refused",
    ] {
        assert_eq!(stats.get(name), 1, "{name}: {stats}");
    }
    assert_eq!(stats.get("calls_answered"), 2);
    assert_eq!(stats.get("calls_refused"), 1);
    assert_eq!((stats.get("generations"), stats.get("instances")), (1, 1));
    log.one("plugin stats", &["app=\"live\"", "connects_accepted=1"]);
}
