//! `config.ron` is saved while streams run.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::support::{
    App, Config, Host, Witness, alone, guests, log::Entry, process::Signal, rtmp::Client, together,
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
fn save(host: &Host, text: &str, message: &str) -> Vec<Entry> {
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

#[test]
fn a_configuration_with_a_mistake_changes_nothing() {
    let _guard = together();
    let live = Config::live(App::open("reject"));
    let host = Host::start(&live);
    let refused = "configuration refused; the old one stays in force";

    let broken = live.text().replace("media:", "madia:");
    let log = save(&host, &broken, refused);
    let error = log.iter().find(|entry| entry.message() == refused);
    let error = error.and_then(|entry| entry.field("error")).expect("why");
    assert!(error.contains("config.ron:"), "no place: {error}");
    assert!(error.contains("media"), "no remedy: {error}");

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
