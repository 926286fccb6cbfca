//! One generation follows another, and nobody is asked twice or not at all.

use super::*;

fn swapped(reload: &Reload) -> u64 {
    match reload {
        Reload::Swapped { generation, .. } => *generation,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn new_content_serves_and_the_old_stops() {
    let fixture = Fixture::probe("accept").await;
    assert_eq!(fixture.version().await, "version 000000");
    assert_eq!(fixture.plugin.reload().await, Ok(Reload::Unchanged));

    fixture.replace(&probe(1));
    let reload = fixture.plugin.reload().await.unwrap();
    assert_eq!(swapped(&reload), 2);
    assert_eq!(fixture.version().await, "version 000001");
    let described = fixture.plugin.describe();
    assert_eq!(described.generation, 2);
    assert!(matches!(reload, Reload::Swapped { hash, .. } if hash == described.hash));

    let stopped = fixture.media.wait_for("stop", 1).await;
    assert_eq!(stopped, ["stop StopReason::Reload 000000"]);
    let started = fixture.media.wait_for("start", 2).await;
    assert_eq!(
        started,
        [
            "start StartReason::Boot 000000",
            // With the old one's snapshot.
            "start StartReason::Reload 000001 after 000000",
        ]
    );
}

#[tokio::test]
async fn garbage_never_serves_and_is_reported_once() {
    let fixture = Fixture::probe("accept").await;
    for garbage in [&b"garbage"[..], b"", b"\0asm\x01\0\0\0"] {
        fixture.replace(garbage);
        assert!(fixture.plugin.reload().await.is_err());
        assert_eq!(fixture.plugin.reload().await, Ok(Reload::KnownBad));
        assert_eq!(fixture.version().await, "version 000000");
    }
    fixture.replace(&probe(2));
    swapped(&fixture.plugin.reload().await.unwrap());
    assert_eq!(fixture.version().await, "version 000002");
}

#[tokio::test]
async fn a_refused_configuration_leaves_the_old_one() {
    let fixture = Fixture::probe("accept").await;
    let refused = fixture.reconfigure(mode("refuse-configure")).await;
    assert!(matches!(
        refused.unwrap_err().fault,
        Fault::ConfigRefused(_)
    ));
    assert_eq!(fixture.plugin.describe().generation, 1);
    // A later reload still has the old configuration.
    assert_eq!(fixture.plugin.reload().await, Ok(Reload::Unchanged));
    fixture.replace(&probe(1));
    swapped(&fixture.plugin.reload().await.unwrap());
    assert!(matches!(
        fixture.connect(&[]).await,
        Ok(ConnectDecision::Accept(_))
    ));
}

#[tokio::test]
async fn another_configuration_takes_the_same_path() {
    let fixture = Fixture::probe("accept").await;
    swapped(&fixture.reconfigure(mode("reject")).await.unwrap());
    assert!(matches!(
        fixture.connect(&[]).await,
        Ok(ConnectDecision::Reject(_))
    ));
}

#[tokio::test]
async fn what_fails_to_start_is_tried_again() {
    let fixture = Fixture::probe("accept").await;
    for _ in 0..2 {
        let refused = fixture.reconfigure(mode("refuse-start")).await;
        assert!(matches!(refused.unwrap_err().fault, Fault::StartRefused(_)));
    }
    assert_eq!(fixture.version().await, "version 000000");
}

#[tokio::test]
async fn a_bad_snapshot_costs_the_handoff_only() {
    for bad in ["panic-on-snapshot", "huge-snapshot"] {
        let fixture = Fixture::probe(bad).await;
        fixture.replace(&probe(1));
        swapped(&fixture.plugin.reload().await.unwrap());
        let started = fixture.media.wait_for("start", 2).await;
        assert_eq!(started[1], "start StartReason::Reload 000001", "{bad}");
    }
}

#[tokio::test]
async fn a_call_under_way_is_finished_by_the_version_it_asked() {
    let fixture = Arc::new(Fixture::probe("doze-on-connect").await);
    let other = Arc::clone(&fixture);
    let dozing = tokio::spawn(async move { other.connect(&[]).await });
    tokio::task::yield_now().await;
    fixture.replace(&probe(1));
    swapped(&fixture.plugin.reload().await.unwrap());
    let Ok(ConnectDecision::Accept(grant)) = dozing.await.unwrap() else {
        panic!("refused");
    };
    assert_eq!(grant.attrs, pairs(&[("version", "000000")]));
    // Its generation stops after it, not before.
    fixture
        .media
        .wait_for("stop StopReason::Reload 000000", 1)
        .await;
}

#[tokio::test]
async fn a_stuck_generation_is_left_behind() {
    let limits = PluginLimits {
        max_instances: 1,
        wall: SOON,
        drain: Duration::from_millis(100),
        ..PluginLimits::default()
    };
    let fixture = Arc::new(Fixture::probe_within("accept", limits).await);
    let other = Arc::clone(&fixture);
    let stuck = tokio::spawn(async move { other.connect(&[("mode", "sleep-on-connect")]).await });
    tokio::task::yield_now().await;
    let other = Arc::clone(&fixture);
    let waiting = tokio::spawn(async move { other.version().await });
    tokio::task::yield_now().await;
    fixture.replace(&probe(1));
    swapped(&fixture.plugin.reload().await.unwrap());
    // The call that waited for the old one's only instance asks the new one.
    assert_eq!(waiting.await.unwrap(), "version 000001");
    fixture.media.wait_for("stop", 1).await;
    stuck.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_drop_no_call() {
    const RELOADS: u32 = 20;
    let fixture = Arc::new(Fixture::probe("accept").await);
    let done = CancellationToken::new();
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (fixture, done) = (Arc::clone(&fixture), done.clone());
            tokio::spawn(async move {
                let mut newest = String::new();
                let mut calls = 0_u32;
                while !done.is_cancelled() {
                    let version = fixture.version().await;
                    assert!(version >= newest, "{newest} was served before {version}");
                    newest = version;
                    calls += 1;
                    // Clients arrive, they don't spin: the compiler has to run.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                calls
            })
        })
        .collect();
    for number in 1..=RELOADS {
        if number % 4 == 0 {
            fixture.replace(format!("garbage {number}").as_bytes());
            assert!(fixture.plugin.reload().await.is_err());
        } else {
            fixture.replace(&probe(number));
            swapped(&fixture.plugin.reload().await.unwrap());
            assert_eq!(fixture.version().await, format!("version {number:06}"));
        }
    }
    done.cancel();
    for caller in callers {
        assert!(caller.await.unwrap() > 0);
    }
    // 15 good versions after the first: all old ones stop, each once.
    fixture.media.wait_for("stop", 15).await;
    fixture.plugin.shutdown(StopReason::Shutdown).await;
    let stops = fixture.media.wait_for("stop", 16).await;
    assert_eq!(stops.len(), 16);
    assert_eq!(stops[15], "stop StopReason::Shutdown 000019");
}

#[tokio::test]
async fn a_young_version_that_keeps_failing_is_rolled_back() {
    let fixture = Fixture::probe("accept").await;
    let bad = mode("panic-on-connect");
    swapped(&fixture.reconfigure(bad.clone()).await.unwrap());
    assert_eq!(
        fixture.connect_from_all("panic-on-connect", 5).await.len(),
        5
    );
    fixture
        .media
        .wait_for("start StartReason::Restart 000000", 1)
        .await;
    let back = async {
        while !matches!(fixture.connect(&[]).await, Ok(ConnectDecision::Accept(_))) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, back)
        .await
        .expect("serves again");
    assert_eq!(fixture.plugin.describe().generation, 3);
    // What failed is not loaded again.
    assert_eq!(fixture.reconfigure(bad).await, Ok(Reload::KnownBad));
}

#[tokio::test]
async fn after_a_shutdown_there_are_no_answers_and_no_reloads() {
    let fixture = Fixture::probe("accept").await;
    fixture.plugin.shutdown(StopReason::Removed).await;
    assert_eq!(
        fixture.media.told(),
        [
            "start StartReason::Boot 000000",
            "stop StopReason::Removed 000000"
        ]
    );
    let error = fixture.connect(&[]).await.unwrap_err();
    assert!(matches!(error, PolicyError::Unavailable(_)), "{error}");
    fixture.replace(&probe(1));
    let error = fixture.plugin.reload().await.unwrap_err();
    assert_eq!(error.fault, Fault::ShutDown);
    // Once more is nothing.
    fixture.plugin.shutdown(StopReason::Shutdown).await;
    assert_eq!(fixture.media.told().len(), 2);
}

#[tokio::test]
async fn another_file_and_other_limits_take_the_same_path_and_state_stays() {
    let fixture = Fixture::probe("accept").await;
    fixture.call("kv-set", "key value").await.unwrap();
    let other = fixture.folder.path().join("other.wasm");
    std::fs::write(&other, probe(1)).unwrap();
    let limits = PluginLimits {
        kv_bytes: 1000,
        cpu: Duration::from_millis(20),
        ..PluginLimits::default()
    };
    let spec = PluginSpec {
        file: other.clone(),
        limits,
        ..fixture.spec()
    };
    swapped(&fixture.plugin.respec(spec.clone()).await.unwrap());
    assert_eq!(fixture.plugin.file(), other);
    assert_eq!(fixture.plugin.describe().file, other);
    assert_eq!(fixture.version().await, "version 000001");
    assert_eq!(fixture.plugin.respec(spec).await, Ok(Reload::Unchanged));
    let value = fixture.call("kv-get", "key").await.unwrap();
    assert!(value.ends_with(" value"), "{value}");
    // The new limits hold.
    let full = fixture.call("kv-fill", "big 2000").await.unwrap_err();
    assert!(full.to_string().contains("Quota"), "{full}");
    let slow = fixture.connect(&[("mode", "loop-on-connect")]).await;
    assert!(
        matches!(slow, Err(PolicyError::TimedOut { limit_ms: 20, .. })),
        "{slow:?}"
    );
    // And the new file is the one that is reloaded.
    std::fs::write(&other, probe(2)).unwrap();
    swapped(&fixture.plugin.reload().await.unwrap());
    assert_eq!(fixture.version().await, "version 000002");
}

#[tokio::test]
async fn settings_that_fail_change_nothing() {
    let fixture = Fixture::probe("accept").await;
    let before = fixture.spec();
    let spec = PluginSpec {
        file: fixture.folder.path().join("missing.wasm"),
        limits: PluginLimits {
            kv_bytes: 0,
            ..PluginLimits::default()
        },
        ..before.clone()
    };
    let error = fixture.plugin.respec(spec.clone()).await.unwrap_err();
    assert_eq!(error.file, spec.file);
    assert!(matches!(error.fault, Fault::Unreadable(_)), "{error}");
    assert_eq!(fixture.spec(), before);
    fixture.call("kv-set", "key value").await.unwrap();
    assert_eq!(fixture.plugin.reload().await, Ok(Reload::Unchanged));
}

/// The version that serves fails for many until the one before is back.
async fn roll_back(fixture: &Fixture) {
    let failed = fixture.connect_from_all("panic-on-connect", 5).await;
    assert_eq!(failed.len(), 5);
    fixture
        .media
        .wait_for("start StartReason::Restart", 1)
        .await;
}

#[tokio::test]
async fn after_a_roll_back_a_mended_file_gets_the_wanted_settings() {
    let fixture = Fixture::probe("accept").await;
    swapped(&fixture.reconfigure(mode("panic-on-connect")).await.unwrap());
    roll_back(&fixture).await;
    assert_eq!(fixture.plugin.reload().await, Ok(Reload::KnownBad));
    fixture.replace(&probe(1));
    swapped(&fixture.plugin.reload().await.unwrap());
    // Still the wanted configuration: it panics, in the new version.
    assert!(fixture.connect(&[]).await.is_err());
    assert_eq!(fixture.version().await, "version 000001");
}

#[tokio::test]
async fn settings_that_failed_before_are_wanted_again_after_others() {
    let fixture = Fixture::probe("accept").await;
    let bad = mode("panic-on-connect");
    swapped(&fixture.reconfigure(bad.clone()).await.unwrap());
    roll_back(&fixture).await;
    // The settings that serve since then, and again those that failed.
    let good = fixture.reconfigure(mode("accept")).await;
    assert_eq!(good, Ok(Reload::Unchanged));
    assert_eq!(fixture.reconfigure(bad).await, Ok(Reload::KnownBad));
    fixture.replace(&probe(1));
    swapped(&fixture.plugin.reload().await.unwrap());
    assert!(fixture.connect(&[]).await.is_err(), "it panics");
    assert_eq!(fixture.version().await, "version 000001");
}
