//! What the application's plugin hears of its relays.

use super::{QUICK, SOON, first_frame, forward_to, open};
use crate::support::{
    App, Config, Host, Witness,
    log::{Mark, START},
    nginx::{Nginx, free},
    rtmp::Client,
    together,
};

/// The probe, which logs its events; `fields` are `forward` and `pull`.
fn hearing(fields: &str) -> Config {
    Config::live(App::probe("accept").relays(&format!("relay: ({QUICK}), {fields}")))
}

/// The events of relays that the probe logged: kind, attempt, what follows.
fn events(host: &Host, since: Mark) -> Vec<(String, u32, String)> {
    let entries = host.log.all(since);
    let told = entries
        .iter()
        .filter_map(|entry| entry.message().strip_prefix("event relay-"));
    told.map(|event| {
        let words: Vec<&str> = event.splitn(6, ' ').collect();
        let attempt = words[4].parse().expect("the attempt");
        let rest = words.get(5).unwrap_or(&"");
        (words[0].to_owned(), attempt, (*rest).to_owned())
    })
    .collect()
}

/// Waits for an event that begins so.
fn heard(host: &Host, since: Mark, beginning: &str) {
    let beginning = format!("event {beginning}");
    let heard = host
        .log
        .wait_until(since, SOON, |entry| entry.message().starts_with(&beginning));
    assert!(heard.is_some(), "{beginning}: {}", host.log.0.text());
}

#[test]
fn a_plugin_hears_how_a_push_fails_comes_up_is_lost_and_ends() {
    let _guard = together();
    let later = free();
    let host = Host::start(&hearing(&forward_to(later)));
    let witness = Witness::start(host.addr, "live", "cam");
    let to = format!("push cam rtmp://{later}/live");
    heard(&host, START, &format!("relay-failed {to} 1 again "));
    let target = Host::start(&open().listen(&later.to_string()));
    heard(&host, START, &format!("relay-up {to} "));
    // Its process is gone, and nobody listens there.
    let mark = host.log.mark();
    target.stop();
    heard(&host, mark, &format!("relay-lost {to} "));
    heard(&host, mark, &format!("relay-failed {to} "));
    witness.finish();
    heard(&host, mark, &format!("relay-ended {to} "));

    let events = events(&host, START);
    let (last, before) = events.split_last().expect("events");
    assert_eq!((&*last.0, &*last.2), ("ended", "unpublished"), "{events:?}");
    assert!(
        before.iter().all(|(kind, ..)| kind != "ended"),
        "{events:?}"
    );
    // Each attempt failed, or came up and was lost; those that follow count on.
    let mut attempt = 0;
    let mut is_up = false;
    for (kind, number, rest) in before {
        if kind == "lost" {
            assert!(is_up && *number == attempt, "{events:?}");
        } else {
            assert!(!is_up && *number == attempt + 1, "{events:?}");
            attempt = *number;
        }
        is_up = kind == "up";
        assert!(is_up || rest.starts_with("again "), "{events:?}");
    }
    // As often as the operator read of it.
    for (line, kind) in [
        ("relay failed", "failed"),
        ("relay lost", "lost"),
        ("relay up", "up"),
        ("relay ended", "ended"),
    ] {
        let lines = host.log.find(START, line, &[]).len();
        let told = events.iter().filter(|(told, ..)| told == kind).count();
        assert_eq!(told, lines, "{line}");
    }
    host.stop();
}

#[test]
fn a_plugin_hears_of_a_push_to_nginx_between_its_streams_beginning_and_end() {
    let _guard = together();
    let Some(nginx) = Nginx::start() else { return };
    let host = Host::start(&hearing(&forward_to(nginx.addr)));
    let publisher = Client::publish(host.addr, "live", "cam").expect("may publish");
    let to = format!("push cam rtmp://{}/live", nginx.addr);
    heard(&host, START, &format!("relay-up {to} 1"));
    publisher.leave();
    heard(&host, START, &format!("relay-ended {to} 1 unpublished"));
    let order = order(&host);
    assert_eq!(
        order,
        ["published", "relay-up", "unpublished", "relay-ended"]
    );
    host.stop();
}

/// The kinds of all events of the stream `cam`, in their order.
fn order(host: &Host) -> Vec<String> {
    let entries = host.log.all(START);
    let events = entries.iter().filter_map(|entry| {
        let mut words = entry.message().strip_prefix("event ")?.split(' ');
        let kind = words.next()?;
        (kind != "ready" && words.any(|word| word == "cam")).then(|| kind.to_owned())
    });
    events.collect()
}

#[test]
fn a_plugin_hears_of_a_pull_around_its_streams() {
    let _guard = together();
    let origin = Host::start(&open());
    let pull = format!(
        "pull: [(name: \"cam\", from: {:?})]",
        origin.url("live/s3cret")
    );
    let host = Host::start(&hearing(&pull));
    let witness = Witness::start(origin.addr, "live", "s3cret");
    let from = format!("pull cam rtmp://{}/live", origin.addr);
    heard(&host, START, &format!("relay-up {from} "));
    let mut player = Client::play(host.addr, "live", "cam").expect("may play");
    first_frame(&mut player);
    drop(player);
    // The origin says that the stream is over.
    witness.finish();
    heard(&host, START, &format!("relay-lost {from} "));
    let log = host.log.clone();
    host.stop();
    let text = log.0.text();
    assert!(!text.contains("s3cret"), "{text}");
    let kinds: Vec<String> = log
        .all(START)
        .iter()
        .filter_map(|entry| {
            let event = entry.message().strip_prefix("event ")?;
            let kind = event.split(' ').next()?;
            let of_the_stream = [
                "published",
                "unpublished",
                "relay-up",
                "relay-lost",
                "relay-ended",
            ];
            of_the_stream.contains(&kind).then(|| kind.to_owned())
        })
        .collect();
    let expected = [
        "relay-up",
        "published",
        "unpublished",
        "relay-lost",
        "relay-ended",
    ];
    assert_eq!(kinds, expected, "{text}");
    origin.stop();
}

#[test]
fn a_plugin_hears_why_a_relay_could_not_begin() {
    let _guard = together();
    let down = free();
    let fields = format!(
        "relay: ({QUICK}, max: 1), \
         pull: [(name: \"down\", from: \"rtmp://{down}/live/x\", on_demand: true)], \
         forward: [(to: \"rtmp://{down}/live/{{name}}\"), (to: \"rtmp://{down}/other/{{name}}\")]"
    );
    let host = Host::start(&Config::live(App::probe("accept").relays(&fields)));
    super::refused(&host, "down");
    let from = format!("pull down rtmp://{down}/live");
    heard(&host, START, &format!("relay-failed {from} 1 no-more "));
    heard(&host, START, &format!("relay-ended {from} 1 "));
    let publisher = Client::publish(host.addr, "live", "cam").expect("may publish");
    let to = format!("push cam rtmp://{down}/other");
    heard(&host, START, &format!("relay-failed {to} 0 no-more "));
    heard(&host, START, &format!("relay-ended {to} 0 not started"));
    publisher.leave();
    host.stop();
}

/// The hook that is called at an event may hang: relays don't wait for it.
#[test]
fn a_plugin_that_hangs_at_an_event_holds_no_relay_up() {
    let _guard = together();
    let target = Host::start(&open());
    let app = App::probe("sleep-on-relay-up").relays(&forward_to(target.addr));
    let app = app.limits("decision: \"2 s\"");
    let host = Host::start(&Config::live(app));
    let witness = Witness::across((host.addr, "live"), (target.addr, "live"), "cam");
    let missed = host.log.wait(START, "plugin missed an event", &[], SOON);
    let error = missed.field("error").expect("why");
    assert!(error.contains("on-relay-up"), "{error}");
    let report = witness.finish();
    eprintln!("while the plugin hung: {report}");
    for host in [host, target] {
        host.stop();
    }
}
