//! Guests that panic, loop, allocate, sleep: the call fails in bounded time
//! with the right reason, and the next one is answered.

use std::time::Instant;

use super::*;

/// Short enough for a test, long enough for a busy machine.
fn tight() -> PluginLimits {
    PluginLimits {
        cpu: Duration::from_millis(40),
        wall: Duration::from_millis(400),
        ..PluginLimits::default()
    }
}

/// Asks all three decisions with `<fault>-on-<hook>`.
async fn fails(fixture: &Fixture, fault: &str) -> Vec<PolicyError> {
    let plugin = &fixture.plugin;
    let of = |hook| format!("{fault}-on-{hook}");
    vec![
        fixture
            .connect(&[("mode", &of("connect"))])
            .await
            .unwrap_err(),
        ask(
            &**plugin,
            OnPublish::new(stream("s", &[("mode", &of("publish"))])),
        )
        .await
        .unwrap_err(),
        ask(
            &**plugin,
            OnPlay::new(stream("s", &[("mode", &of("play"))])),
        )
        .await
        .unwrap_err(),
    ]
}

/// A good decision between failures, which also keeps the breaker closed.
async fn recovers(fixture: &Fixture) {
    for _ in 0..20 {
        assert!(matches!(
            fixture.connect(&[]).await,
            Ok(ConnectDecision::Accept(_))
        ));
    }
}

fn trap_of(error: &PolicyError) -> &str {
    match error {
        PolicyError::Trapped { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_panic_is_a_trap_with_the_guests_words() {
    let fixture = Fixture::probe_within("accept", tight()).await;
    recovers(&fixture).await;
    for error in fails(&fixture, "panic").await {
        assert!(!error.may_be_allowed(), "{error}");
        let reason = trap_of(&error);
        assert!(reason.contains("asked to panic"), "{reason}");
        assert!(!reason.contains('\n'), "one line: {reason}");
    }
    recovers(&fixture).await;
}

#[tokio::test]
async fn an_abort_is_a_trap_and_an_exit_is_named() {
    let fixture = Fixture::probe_within("accept", tight()).await;
    recovers(&fixture).await;
    for error in fails(&fixture, "trap").await {
        assert!(trap_of(&error).contains("unreachable"), "{error}");
    }
    recovers(&fixture).await;
    for error in fails(&fixture, "exit").await {
        assert!(trap_of(&error).contains("exited with status"), "{error}");
    }
    recovers(&fixture).await;
}

#[tokio::test]
async fn endless_allocation_hits_the_memory_limit() {
    let fixture = Fixture::probe_within(
        "accept",
        PluginLimits {
            memory_bytes: 8 << 20,
            ..tight()
        },
    )
    .await;
    recovers(&fixture).await;
    for error in fails(&fixture, "alloc").await {
        assert!(trap_of(&error).contains("8388608 bytes"), "{error}");
    }
    recovers(&fixture).await;
}

#[tokio::test]
async fn a_loop_is_stopped_and_others_run_meanwhile() {
    // One worker thread: a guest that did not yield would stop everything.
    let limits = PluginLimits {
        wall: SOON,
        ..tight()
    };
    let fixture = Fixture::probe_within("accept", limits).await;
    recovers(&fixture).await;
    let turns = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = Arc::clone(&turns);
    let bystander = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    for error in fails(&fixture, "loop").await {
        assert!(!error.may_be_allowed(), "{error}");
        let PolicyError::TimedOut {
            budget, limit_ms, ..
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!((budget, limit_ms), ("CPU budget", 40));
    }
    assert!(
        turns.load(Ordering::Relaxed) > 30,
        "the bystander ran {turns:?} times"
    );
    bystander.abort();
    recovers(&fixture).await;
}

#[tokio::test]
async fn a_sleep_hits_the_wall_deadline_and_not_the_cpu_budget() {
    let fixture = Fixture::probe_within("accept", tight()).await;
    recovers(&fixture).await;
    for error in fails(&fixture, "sleep").await {
        assert!(error.may_be_allowed(), "{error}");
        let PolicyError::TimedOut {
            budget, limit_ms, ..
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!((budget, limit_ms), ("wall deadline", 400));
    }
    recovers(&fixture).await;
    // 300 ms of sleep are no CPU time.
    let limits = PluginLimits {
        wall: SOON,
        ..tight()
    };
    let fixture = Fixture::probe_within("accept", limits).await;
    let dozing = fixture.connect(&[("mode", "doze-on-connect")]).await;
    assert!(
        matches!(dozing, Ok(ConnectDecision::Accept(_))),
        "{dozing:?}"
    );
}

#[tokio::test]
async fn a_loop_that_meets_the_wall_deadline_computes_and_does_not_wait() {
    let limits = PluginLimits {
        cpu: SOON,
        wall: Duration::from_millis(200),
        ..PluginLimits::default()
    };
    let fixture = Fixture::probe_within("accept", limits).await;
    let error = fixture.connect(&[("mode", "loop-on-connect")]).await;
    let error = error.unwrap_err();
    assert!(error.to_string().contains("wall deadline"), "{error}");
    assert!(!error.may_be_allowed(), "{error}");
}

#[tokio::test]
async fn a_plugin_that_waits_in_vain_is_left_alone_for_that() {
    let fixture = Fixture::probe_within("sleep-on-connect", tight()).await;
    let connect = |address: u8| {
        let mut request = connect(&[]);
        request.client.remote = format!("198.51.100.{address}:50000");
        ask(&*fixture.plugin, OnConnect::new(request))
    };
    let waiting = (0..5).map(connect);
    for result in futures_util::future::join_all(waiting).await {
        assert!(result.unwrap_err().may_be_allowed());
    }
    let error = connect(9).await.unwrap_err();
    let left_alone = matches!(error, PolicyError::LeftAlone { waiting: true, .. });
    assert!(left_alone && error.may_be_allowed(), "{error}");
}

#[tokio::test]
async fn a_call_that_finds_no_instance_waits_and_then_is_busy() {
    let limits = PluginLimits {
        max_instances: 1,
        ..tight()
    };
    let fixture = Fixture::probe_within("accept", limits.clone()).await;
    let generation = fixture.plugin.core.serving.load_full();
    let mut budget = instance::CallBudget::new(limits.cpu, limits.wall);
    let Ok(lease) = generation.lease("test", &mut budget).await else {
        panic!("the first call gets an instance");
    };
    let started = Instant::now();
    assert_eq!(
        fixture.connect(&[]).await,
        Err(PolicyError::Busy {
            hook: "on-connect",
            waited_ms: 400,
            limit: 1
        })
    );
    assert!(started.elapsed() >= limits.wall);
    lease.give_back();
    recovers(&fixture).await;
}

#[tokio::test]
async fn a_burst_lets_nobody_in_and_leaves_the_breaker_closed() {
    // Each of these could open the breaker by itself.
    const INSTANCES: usize = 6;
    let limits = PluginLimits {
        max_instances: INSTANCES,
        failures: 1,
        ..tight()
    };
    let fixture = Fixture::probe_within("accept", limits.clone()).await;
    let generation = fixture.plugin.core.serving.load_full();
    let mut leases = Vec::new();
    for _ in 0..INSTANCES {
        let mut budget = instance::CallBudget::new(limits.cpu, limits.wall);
        match generation.lease("test", &mut budget).await {
            Ok(lease) => leases.push(lease),
            Err(_) => panic!("there are so many instances"),
        }
        assert!(budget.queued.is_none());
    }
    let burst = (0..4 * INSTANCES).map(|_| fixture.connect(&[("mode", "sleep-on-connect")]));
    let burst = futures_util::future::join_all(burst);
    // They queue; then half of the instances are given back, half are lost and
    // made anew.
    let free = async {
        for (n, lease) in leases.into_iter().enumerate() {
            if n % 2 == 0 {
                lease.give_back();
            }
        }
    };
    let (answers, ()) = tokio::join!(burst, free);
    for answer in answers {
        let error = answer.unwrap_err();
        let is_busy = matches!(
            error,
            PolicyError::Busy {
                hook: "on-connect",
                limit: INSTANCES,
                ..
            }
        );
        assert!(is_busy && !error.may_be_allowed(), "{error}");
    }
    let stats = fixture.plugin.stats();
    let burst = 4 * INSTANCES as u64;
    assert_eq!(stats.get("pool_exhausted"), burst, "{stats}");
    for none in ["wall_exceeded", "breaker_opened", "breaker_refused"] {
        assert_eq!(stats.get(none), 0, "{stats}");
    }
    recovers(&fixture).await;
}

#[test]
fn a_call_that_has_queued_does_not_hear_that_its_time_is_over() {
    let mut budget = instance::CallBudget::new(Duration::from_millis(40), SOON);
    assert!(budget.answer_by() < budget.deadline);
    let (hook, limit) = ("on-connect", 1);
    budget.queued = Some(instance::Queued { hook, limit });
    assert!(budget.answer_by() > budget.deadline);
}

#[tokio::test]
async fn a_waiting_call_gets_the_next_free_instance() {
    let limits = PluginLimits {
        max_instances: 1,
        wall: SOON,
        ..PluginLimits::default()
    };
    let fixture = Arc::new(Fixture::probe_within("accept", limits).await);
    let other = Arc::clone(&fixture);
    let dozing = tokio::spawn(async move { other.connect(&[("mode", "doze-on-connect")]).await });
    tokio::task::yield_now().await;
    assert!(fixture.connect(&[]).await.is_ok());
    assert!(dozing.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_instance() {
    let limits = PluginLimits {
        max_instances: 1,
        wall: SOON,
        ..PluginLimits::default()
    };
    let fixture = Fixture::probe_within("accept", limits).await;
    for _ in 0..3 {
        let sleeping = fixture.connect(&[("mode", "sleep-on-connect")]);
        let left = tokio::time::timeout(Duration::from_millis(50), sleeping).await;
        assert!(left.is_err(), "it sleeps");
        let started = Instant::now();
        assert!(fixture.connect(&[]).await.is_ok());
        assert!(started.elapsed() < SOON / 2, "the slot was free");
    }
}

#[tokio::test]
async fn a_plugin_that_keeps_failing_is_left_alone_for_a_while() {
    let fixture = Fixture::probe("panic-on-connect").await;
    for error in fixture.connect_from_all("panic-on-connect", 5).await {
        trap_of(&error);
    }
    let error = fixture.connect(&[]).await.unwrap_err();
    let by_traps = |error: &PolicyError| {
        matches!(error, PolicyError::LeftAlone { waiting: false, .. }) && !error.may_be_allowed()
    };
    assert!(by_traps(&error), "{error}");
    // After the back-off of a second, one good call closes it again.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(fixture.connect(&[("mode", "accept")]).await.is_ok());
    trap_of(&fixture.connect(&[]).await.unwrap_err());
}

#[tokio::test]
async fn a_failing_call_of_a_client_is_an_error_too() {
    let fixture = Fixture::probe("accept").await;
    let error = fixture.call("panic", "").await.unwrap_err();
    assert!(
        matches!(
            error,
            NoResult::Policy(PolicyError::Trapped {
                hook: "on-call",
                ..
            })
        ),
        "{error}"
    );
    assert_eq!(fixture.call("log", "still here").await, Ok("logged".into()));
}
