//! Plugins that misbehave: their own client waits no longer than the limit,
//! nobody else notices.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    App, Config, Host, Witness, alone,
    log::START,
    rtmp::{Client, Failure},
    together,
};

/// Ten times the wall limit of a decision in these tests.
const SOON: Duration = Duration::from_secs(10);
const LIMITS: &str = "decision: \"1 s\"";

/// Connects to `app`; returns what it was told, and after how long.
fn attempt(host: &Host, app: &str) -> (Failure, Duration) {
    let begin = Instant::now();
    match Client::connect(host.addr, app) {
        Ok(_) => panic!("{app} was accepted"),
        Err(refused) => (refused, begin.elapsed()),
    }
}

/// Good clients, one after the other until `over`; returns how many and the
/// longest that one had to wait for its connect.
fn good_clients(host: &Host, over: impl Fn() -> bool) -> (u32, Duration) {
    let (mut count, mut worst) = (0, Duration::ZERO);
    while !over() {
        let begin = Instant::now();
        Client::connect(host.addr, "live").expect("a good client is let in");
        worst = worst.max(begin.elapsed());
        count += 1;
        thread::sleep(Duration::from_millis(10));
    }
    (count, worst)
}

#[test]
fn bad_plugins_harm_only_their_own_clients() {
    let _guard = alone();
    let faults = ["loop", "panic", "alloc", "sleep"];
    let mut config = Config::live(App::probe("accept").limits(LIMITS));
    for fault in faults {
        let app = App::probe(&format!("{fault}-on-connect")).limits(LIMITS);
        config = config.and(fault, app);
    }
    let host = Host::start(&config);
    let witness = Witness::start(host.addr, "live", "watched");
    for fault in faults {
        let (host, fault) = (&host, fault);
        let (refusals, good) = thread::scope(|scope| {
            let bad: Vec<_> = (0..4)
                .map(|_| scope.spawn(move || attempt(host, fault)))
                .collect();
            let good = good_clients(host, || bad.iter().all(|bad| bad.is_finished()));
            let join = |bad: thread::ScopedJoinHandle<'_, _>| bad.join().expect("a bad client");
            (bad.into_iter().map(join).collect::<Vec<_>>(), good)
        });
        let slowest = refusals.iter().map(|(_, took)| *took).max();
        let slowest = slowest.expect("four attempts");
        let told = refusals[0].0.description();
        eprintln!(
            "{fault}-on-connect: 4 clients refused ({told:?}), the last after {:.0} ms; \
             {} good clients meanwhile, the slowest connected in {:.1} ms",
            slowest.as_secs_f64() * 1e3,
            good.0,
            good.1.as_secs_f64() * 1e3,
        );
        for (refused, took) in &refusals {
            assert_eq!(
                refused.code(),
                "NetConnection.Connect.Rejected",
                "{refused:?}"
            );
            assert!(*took < SOON, "{took:?}");
        }
        // The first of the good would have waited for as long as the bad.
        assert!(fault != "sleep" || good.0 > 1, "good: {good:?}");
        let said = host.log.wait_until(START, SOON, |entry| {
            entry.message() == "no decision from the plugin"
                && entry.field("app").as_deref() == Some(fault)
        });
        assert!(said.is_some(), "the log says why {fault} was refused");
    }
    let report = witness.finish();
    eprintln!("the running stream beside bad plugins: {report}");
    report.assert_on_time();
    host.stop();
}

#[test]
fn one_bad_call_harms_no_other_call_of_the_same_plugin() {
    let _guard = alone();
    let host = Host::start(&Config::live(App::probe("accept").limits(LIMITS)));
    let witness = Witness::start(host.addr, "live", "watched");
    let (host, begin) = (&host, Instant::now());
    let good = thread::scope(|scope| {
        let connect = scope.spawn(|| attempt(host, "live?mode=sleep-on-connect").0);
        let publish = scope.spawn(|| {
            Client::publish(host.addr, "live", "a?mode=panic-on-publish").expect_err("refused")
        });
        let play = scope.spawn(|| {
            let mut client = Client::connect(host.addr, "live").expect("may connect");
            client.start_play("b?mode=loop-on-play").expect("sent");
            client
                .status(SOON, "NetStream.Play.Start")
                .expect_err("refused")
        });
        let ended = || connect.is_finished() && publish.is_finished() && play.is_finished();
        let good = good_clients(host, ended);
        let codes = [connect, publish, play].map(|bad| {
            let refused = bad.join().expect("a bad client");
            assert!(matches!(refused, Failure::Refused { .. }), "{refused:?}");
            refused.code().to_owned()
        });
        eprintln!("refused with {codes:?} after {:?}", begin.elapsed());
        good
    });
    eprintln!(
        "{} good clients meanwhile, the slowest in {:?}",
        good.0, good.1
    );
    assert!(good.0 > 1, "none waited for the bad ones");
    let report = witness.finish();
    eprintln!("the running stream beside bad calls: {report}");
    report.assert_on_time();
}

#[test]
fn each_question_has_its_own_answer_when_the_plugin_waits_in_vain() {
    let _guard = together();
    let app = App::probe("accept").on_error("(publish: Allow, play: Reject)");
    let sleeps = App::probe("sleep-on-connect").limits(LIMITS);
    let config = Config::live(app.limits(LIMITS))
        .and("strict", sleeps.clone())
        .and("free", sleeps.on_error("Allow"));
    let host = Host::start(&config);
    attempt(&host, "strict");
    Client::connect(host.addr, "free").expect("allowed");
    attempt(&host, "live?mode=sleep-on-connect");
    // What the plugin had no time to rename keeps its name.
    let _publisher =
        Client::publish(host.addr, "live", "a?mode=sleep-on-publish").expect("allowed");
    let play = |name: &str| {
        let mut client = Client::connect(host.addr, "live").expect("may connect");
        client.start_play(name).expect("sent");
        client.status(2 * SOON, "NetStream.Play.Start")
    };
    play("a").expect("the plugin accepts");
    let refused = play("a?mode=sleep-on-play").expect_err("refused");
    assert!(
        refused.description().contains("could not decide"),
        "{refused:?}"
    );
    let log = host.log.clone();
    host.stop();
    for (rule, count) in [("Allow", 2), ("Reject", 3)] {
        let told = "no decision from the plugin";
        let lines = log.find(START, told, &[("on_error", rule)]);
        assert_eq!(lines.len(), count, "{rule}: {lines:?}");
    }
}

#[test]
fn a_plugin_that_fails_lets_nobody_in_whatever_on_error_says() {
    let _guard = together();
    let faults = ["panic", "exit", "loop", "alloc"];
    let mut config = Config::live(App::probe("accept").on_error("Allow"));
    for fault in faults {
        let app = App::probe(&format!("{fault}-on-connect")).on_error("Allow");
        config = config.and(fault, app);
    }
    let host = Host::start(&config);
    for fault in faults {
        // Also when it is not called any more.
        for _ in 0..6 {
            let refused = attempt(&host, fault).0;
            assert!(
                refused.description().contains("could not decide"),
                "{refused:?}"
            );
        }
        let left_alone = host
            .log
            .find(START, "no decision from the plugin", &[("app", fault)]);
        let last = left_alone.last().and_then(|line| line.field("error"));
        assert!(
            last.is_some_and(|error| error.contains("kept failing")),
            "{left_alone:?}"
        );
    }
    Client::publish(host.addr, "live", "a?mode=panic-on-publish").expect_err("refused");
    let mut client = Client::connect(host.addr, "live").expect("may connect");
    client.start_play("a?mode=loop-on-play").expect("sent");
    let played = client.status(2 * SOON, "NetStream.Play.Start");
    played.expect_err("refused");
    let allowed = host.log.find(
        START,
        "no decision from the plugin",
        &[("on_error", "Allow")],
    );
    assert!(allowed.is_empty(), "{allowed:?}");
    host.stop();
}

#[test]
fn answers_and_names_beyond_their_bounds_cost_only_their_client() {
    let _guard = together();
    // Time enough for a busy machine: nothing of this takes long.
    let limits = "cpu: \"5 s\", decision: \"20 s\"";
    let host = Host::start(&Config::live(App::probe("accept").limits(limits)));
    Client::connect(host.addr, "live?mode=attrs&bytes=16000").expect("within its bounds");
    let refused = attempt(&host, "live?mode=attrs&bytes=1000000").0;
    assert!(
        refused.description().contains("could not decide"),
        "{refused:?}"
    );
    let told = host.log.find(START, "no decision from the plugin", &[]);
    let error = told.first().and_then(|line| line.field("error"));
    assert!(
        error.is_some_and(|error| error.contains("16384 bytes of attrs")),
        "{told:?}"
    );
    let looked_up = attempt(&host, "live?mode=do&do=registry-slashes&args=3000000").0;
    assert_eq!(looked_up.description(), "false 0 false");
    host.stop();
}

#[test]
fn a_timer_that_fails_is_named_and_refuses_nobody() {
    let _guard = together();
    let app = App::probe("loop-on-timer").limits("cpu: \"5 ms\", failures: 2");
    let host = Host::start(&Config::live(app));
    let set = "live?mode=do&do=timer-set&args=bad%201%2010";
    let told = Client::connect(host.addr, set).expect_err("it says what it did");
    assert_eq!(told.description(), "set");
    const FAILS: &str = "plugin timer keeps failing and is not called for a while";
    let named = [("app", "live"), ("function", "on-timer"), ("key", "bad")];
    let again = |retry| [named.as_slice(), &[("retry_ms", retry)]].concat();
    let first = host.log.wait(START, FAILS, &again("1000"), SOON);
    assert_eq!(first.level(), "WARN");
    for _ in 0..50 {
        Client::connect(host.addr, "live/room1?mode=accept").expect("is let in");
    }
    host.log.wait(START, FAILS, &again("2000"), SOON);
    Client::connect(host.addr, "live?mode=accept").expect("is let in");
    // Who it was is said where the client comes in.
    let who = [("app", "live"), ("instance", "room1")];
    host.log.wait(START, "connected", &who, SOON);
    host.stop();
}
