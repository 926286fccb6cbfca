//! `config.ron` is saved while streams run.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    App, Config, Host, Witness, alone, guests, host, log::Entry, process::Signal, rtmp::Client,
    together,
};

const SOON: Duration = Duration::from_secs(20);

/// An application whose publishers need `key`.
fn studio(key: &str) -> App {
    App::keys(&format!(
        "{{ \"publish\": {{ \"keys\": [\"{key}\"] }}, \"play\": \"open\" }}"
    ))
}

/// With an acceptor of its own for `studio`.
fn with_door(config: &Config) -> String {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let door = config.clone();
    door.also(any_port, "[Tcp, Rtmp]", "applications: [\"studio\"]")
        .text()
}

/// Saves `text` and waits for `message`; the log from the save on.
pub(crate) fn save(host: &Host, text: &str, message: &str) -> Vec<Entry> {
    let mark = host.log.mark();
    guests::replace(&host.file("config.ron"), text.as_bytes());
    host.log.wait(mark, message, &[], SOON);
    host.log.all(mark)
}

fn publish(addr: SocketAddr, name: &str) -> Result<(), String> {
    let client = Client::publish(addr, "studio", name).map_err(|failure| format!("{failure:?}"))?;
    client.leave();
    Ok(())
}

#[test]
fn applications_and_acceptors_come_change_and_go_while_a_stream_runs() {
    let _guard = alone();
    let live = Config::live(App::open("reject"));
    let host = Host::start(&live);
    let witness = Witness::start(host.addr, "live", "watched");
    publish(host.addr, "cam").expect_err("there is no studio yet");

    let config = live.clone().and("studio", studio("k-1"));
    let log = save(&host, &with_door(&config), "configuration in force");
    let listening = log.iter().find(|entry| entry.message() == "listening");
    let door = listening.and_then(|entry| entry.field("addr"));
    let door: SocketAddr = door.expect("another address").parse().expect("an address");
    publish(door, "cam?key=k-1").expect("the key is right");
    publish(host.addr, "cam?key=k-1").expect("and the first address serves all");
    publish(door, "cam?key=k-2").expect_err("the key is wrong");
    Client::connect(door, "live").expect_err("that address is studio's");

    let config = live.clone().and("studio", studio("k-2"));
    save(&host, &with_door(&config), "configuration in force");
    publish(door, "cam?key=k-2").expect("the key has changed");
    publish(door, "cam?key=k-1").expect_err("the old key is wrong");

    save(&host, &live.text(), "listening no more");
    publish(host.addr, "cam?key=k-2").expect_err("the studio is gone");
    // The listener is closed soon after the line says so.
    let deadline = Instant::now() + SOON;
    while Client::open(door).is_ok() {
        assert!(Instant::now() < deadline, "{door} still listens");
    }

    let report = witness.finish();
    eprintln!("the running stream beside changes of the configuration: {report}");
    report.assert_on_time();
    host.stop();
}

/// Whether `logged` is `line`, but for the texts in quotes.
fn is_masked(logged: &str, line: &str) -> bool {
    let same = |(a, b)| a == b || a == '*';
    logged.chars().count() == line.chars().count() && logged.chars().zip(line.chars()).all(same)
}

#[test]
fn a_configuration_with_a_mistake_changes_nothing() {
    let _guard = together();
    let live = Config::live(App::open("reject"));
    let host = Host::start(&live);
    let refused = "configuration refused; the old one stays in force";

    let broken = live.text().replace("media:", "madia:");
    let mark = host.log.mark();
    let log = save(&host, &broken, refused);
    host.log
        .wait_until(mark, SOON, |entry| entry.message().contains("= help"));
    let log_lines = host.log.all(mark);
    let log_lines: Vec<_> = log_lines.iter().map(Entry::message).collect();
    let error = log.iter().find(|entry| entry.message() == refused);
    let error = error.and_then(|entry| entry.field("error")).expect("why");
    assert!(error.contains("config.ron:"), "no place: {error}");
    assert!(error.contains("media"), "no remedy: {error}");
    // And what `check` shows, line by line.
    let folder = host::folder();
    let checked = host::check(folder.path(), &broken).wait(SOON);
    let shown: Vec<&str> = checked.stderr.lines().skip(1).collect();
    assert!(shown.iter().any(|line| line.contains('^')), "{shown:?}");
    let logged = |line: &&str| log_lines.iter().any(|logged| is_masked(logged, line));
    let missing: Vec<_> = shown.iter().filter(|line| !logged(line)).collect();
    assert!(missing.is_empty(), "{missing:?} of {log_lines:?}");

    // Valid as such, but the plugin refuses its part: nothing of it counts.
    let config = live
        .clone()
        .and("other", App::open("reject"))
        .and("studio", App::keys("{ \"publish\": 7 }"));
    let log = save(&host, &config.text(), refused);
    let error = log.iter().find(|entry| entry.message() == refused);
    let error = error.and_then(|entry| entry.field("error")).expect("why");
    assert!(error.contains("studio"), "which application? {error}");
    Client::connect(host.addr, "other").expect_err("not half a configuration");
    Client::connect(host.addr, "live").expect("the old one serves");
    host.stop();
}

#[test]
fn sighup_reads_the_configuration_again() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    let mark = host.log.mark();
    host.process.signal(Signal::Hangup);
    host.log.wait(mark, "configuration unchanged", &[], SOON);
    Client::connect(host.addr, "live").expect("it serves on");
    host.stop();
}

/// Connects again and again until `over`; how many were served.
fn knock(addr: SocketAddr, over: &AtomicBool) -> u32 {
    let mut served = 0;
    while !over.load(Ordering::Acquire) {
        Client::open(addr).expect("nobody is refused meanwhile");
        served += 1;
    }
    served
}

#[test]
fn an_address_that_overlaps_an_own_one_is_handed_over_and_nobody_is_refused() {
    let _guard = together();
    let live = Config::live(App::open("reject"));
    let host = Host::start(&live);
    let port = host.addr.port();
    let elsewhere = SocketAddr::from(([127, 0, 0, 2], port));
    let at = |listen: &str| live.clone().listen(&format!("{listen}:{port}"));
    let dual_stack = at("[::]").chain("[Tcp, Rtmp]", "dual_stack: true,");
    let back = at("127.0.0.1");
    let changes = [at("0.0.0.0"), back.clone(), dual_stack, at("0.0.0.0"), back];

    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| knock(host.addr, &over)))
            .collect();
        for change in &changes {
            save(&host, &change.text(), "configuration in force");
            let everywhere = Client::open(elsewhere).is_ok();
            let expected = !change.text().contains("\"127.0.0.1:");
            if expected {
                assert!(everywhere, "{}", change.text());
            } else {
                let deadline = Instant::now() + SOON;
                while Client::open(elsewhere).is_ok() {
                    assert!(Instant::now() < deadline, "{elsewhere} still listens");
                }
            }
            // It shares clients with nobody.
            let folder = host::folder();
            let mut second = host::launch(folder.path(), &change.text());
            let exit = second.wait(SOON);
            assert!(exit.stderr.contains("in use"), "{}", exit.stderr);
        }
        over.store(true, Ordering::Release);
        let served = clients
            .into_iter()
            .map(|client| client.join().expect("served"));
        eprintln!(
            "served during {} changes: {}",
            changes.len(),
            served.sum::<u32>()
        );
    });
    host.stop();
}

#[test]
fn an_address_that_cant_be_had_leaves_the_old_one_alone() {
    let _guard = together();
    let live = Config::live(App::open("reject"));
    let host = Host::start(&live);
    let port = host.addr.port();
    let elsewhere = SocketAddr::from(([127, 0, 0, 2], port));
    let stranger = std::net::TcpListener::bind(elsewhere).expect("a free address");
    let everywhere = live.listen(&format!("0.0.0.0:{port}"));
    let refused = "configuration refused; the old one stays in force";
    let log = save(&host, &everywhere.text(), refused);
    let error = log.iter().find(|entry| entry.message() == refused);
    let error = error.and_then(|entry| entry.field("error")).expect("why");
    assert!(error.contains("in use"), "{error}");
    Client::open(host.addr).expect("the old one serves");
    drop(stranger);

    let mark = host.log.mark();
    host.process.signal(Signal::Hangup);
    host.log.wait(mark, "configuration in force", &[], SOON);
    Client::open(elsewhere).expect("it is free now");
    host.stop();
}

/// A probe whose configuration is another with another `note`.
fn probe(mode: &str, note: &str) -> App {
    let config = format!("{{ \"mode\": \"{mode}\", \"note\": \"{note}\" }}");
    App::new(guests::probe(), config)
}

#[test]
fn what_one_plugin_refuses_at_its_start_changes_nothing_anywhere() {
    let _guard = together();
    let live = Config::live(probe("reject", "1")).and("room", probe("accept", "1"));
    let host = Host::start(&live);
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let next = |room: &str| {
        Config::live(probe("accept", "2"))
            .and("room", probe(room, "2"))
            .and("added", probe("accept", "2"))
            .also(any_port, "[Tcp, Rtmp]", "")
    };
    let started = |mark, app: &str, line: &str| {
        let lines = host.log.all(mark);
        let of = lines
            .iter()
            .filter(|entry| entry.field("app").as_deref() == Some(app));
        of.filter(|entry| entry.message().starts_with(line)).count()
    };

    let mark = host.log.mark();
    let refused = "configuration refused; the old one stays in force";
    let log = save(&host, &next("refuse-start").text(), refused);
    let error = log.iter().find(|entry| entry.message() == refused);
    let error = error.and_then(|entry| entry.field("error")).expect("why");
    assert!(
        error.contains("room") && error.contains("asked to refuse to start"),
        "{error}"
    );
    // Those that had started are stopped again.
    let stopped = [
        ("live", "stop StopReason::Reload"),
        ("added", "stop StopReason::Removed"),
    ];
    for (app, line) in stopped {
        let ended = host.log.wait_until(mark, SOON, |entry| {
            entry.field("app").as_deref() == Some(app) && entry.message().starts_with(line)
        });
        let started = started(mark, app, "start");
        assert!(
            started == 0 || ended.is_some(),
            "{app} began and did not end"
        );
    }
    for entry in host.log.all(mark) {
        assert_ne!(entry.message(), "listening", "half of it came into force");
    }
    Client::connect(host.addr, "live").expect_err("the old generation decides");
    Client::connect(host.addr, "added").expect_err("there is no such application");

    // Nothing is in the way of the next attempt.
    let log = save(&host, &next("accept").text(), "configuration in force");
    assert!(log.iter().any(|entry| entry.message() == "listening"));
    Client::connect(host.addr, "live").expect("the new generation decides");
    Client::connect(host.addr, "added").expect("it is there");
    host.stop();
}

#[test]
fn a_refused_configuration_is_tried_again_when_a_file_of_it_changes() {
    let _guard = together();
    let live = Config::live(App::open("reject"));
    let host = Host::start(&live);
    let refused = "configuration refused; the old one stays in force";
    let studio = host.file("studio.wasm");
    let with_studio = live.clone().and("studio", App::probe_at(&studio, "accept"));
    save(&host, &with_studio.text(), refused);

    // It is there, and refuses the settings.
    let mark = host.log.mark();
    std::fs::copy(guests::guest("static-keys.wasm"), &studio).expect("the plugin");
    host.log.wait(mark, refused, &[], SOON);
    Client::connect(host.addr, "studio").expect_err("there is no studio");

    let mark = host.log.mark();
    guests::replace(&studio, &guests::probe_version(7));
    host.log.wait(mark, "configuration in force", &[], SOON);
    Client::connect(host.addr, "studio").expect("the studio is open");
    host.stop();
}

#[test]
fn a_server_that_does_not_start_stops_the_plugins_that_had_started() {
    let _guard = together();
    let folder = host::folder();
    let config = Config::live(probe("accept", "")).and("room", probe("refuse-start", ""));
    let mut process = host::launch(folder.path(), &config.text());
    let exit = process.wait(SOON);
    assert_eq!(exit.status.code(), Some(1), "{}", exit.stderr);
    let place = |text: &str| exit.stderr.find(text);
    let (began, ended) = (
        place("start StartReason::Boot"),
        place("stop StopReason::Shutdown"),
    );
    assert!(began.is_some() && began < ended, "{}", exit.stderr);
}
