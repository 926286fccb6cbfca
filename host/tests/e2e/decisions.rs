//! The decision log, switched on and off while the server runs.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use crate::{
    reconfigure::save,
    support::{App, Config, Host, rtmp::Client, together},
};

const SOON: Duration = Duration::from_secs(20);
const FILE: &str = "log/decisions.jsonl";
const KEY: &str = "k-s3cret";
const OTHER: &str = "k-wr0ng";

fn publish(host: &Host, name: &str) -> bool {
    let client = Client::publish(host.addr, "live", name);
    let is_accepted = client.is_ok();
    client.into_iter().for_each(Client::leave);
    is_accepted
}

/// The file's lines once so many of them are about publishing.
fn lines(host: &Host, publishes: usize) -> Vec<serde_json::Value> {
    let deadline = Instant::now() + SOON;
    loop {
        let text = fs::read_to_string(host.file(FILE)).unwrap_or_default();
        let lines = text.lines().map(serde_json::from_str);
        let lines: Vec<serde_json::Value> = lines.map_while(Result::ok).collect();
        let about = lines.iter().filter(|line| line["hook"] == "on-publish");
        if about.count() >= publishes {
            assert!(!text.contains(KEY) && !text.contains(OTHER), "{text}");
            return lines;
        }
        assert!(Instant::now() < deadline, "{publishes} of: {text}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn decisions_are_written_while_they_are_wanted_and_without_keys() {
    let _guard = together();
    let keys = format!("{{ \"publish\": {{ \"keys\": [\"{KEY}\"] }}, \"play\": \"open\" }}");
    let off = Config::live(App::keys(&keys)).text();
    let section = format!("decisions: (file: \"{FILE}\"), applications:");
    let on = off.replacen("applications:", &section, 1);
    let host = Host::start(&Config::live(App::keys(&keys)));
    let saved = |text| save(&host, text, "configuration in force");
    assert!(publish(&host, &format!("unseen1?key={KEY}")));

    saved(&on);
    assert!(publish(&host, &format!("cam?key={KEY}")));
    assert!(!publish(&host, &format!("cam?key={OTHER}")));
    lines(&host, 2);
    saved(&off);
    assert!(publish(&host, &format!("unseen2?key={KEY}")));
    saved(&on);
    assert!(publish(&host, &format!("cam2?key={KEY}")));

    let lines = lines(&host, 3);
    let about = lines.iter().filter(|line| line["hook"] == "on-publish");
    let about: Vec<_> = about
        .map(|line| {
            assert_eq!(
                (&line["app"], &line["generation"]),
                (&"live".into(), &1.into())
            );
            let text = |field| line[field].as_str().unwrap_or_default();
            (text("stream"), text("outcome"))
        })
        .collect();
    let expected = [
        ("cam", "accepted"),
        ("cam", "rejected"),
        ("cam2", "accepted"),
    ];
    assert_eq!(about, expected);
    let ids = lines.iter().map(|line| line["id"].as_u64());
    assert!(ids.eq((1..).map(Some).take(lines.len())), "{lines:?}");
    host.stop();
}
