//! What a plugin grants is what its client gets, and what it hears of.

use std::time::{Duration, Instant};

use crate::state::run;
use crate::support::{App, Config, Host, guests, log::START, rtmp::Client, together};

const SOON: Duration = Duration::from_secs(20);
const VIDEO: u8 = 9;
const AUDIO: u8 = 8;
/// The headers of two codecs, and a keyframe.
const BODIES: [(u8, &[u8]); 3] = [
    (
        VIDEO,
        &[0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 0, 0],
    ),
    (AUDIO, &[0xaf, 0, 0x12, 0x10]),
    (VIDEO, &[0x17, 1, 0, 0, 0, 0, 0, 0, 1, 0x65]),
];

#[test]
fn a_grant_does_what_it_says() {
    let _guard = together();
    // Longer than this test waits for anybody.
    let app = App::probe("accept").media("wait_for_publisher: \"10 min\"");
    let host = Host::start(&Config::live(app));

    // A connection's lifetime.
    let mut limited = Client::connect(host.addr, "live?mode=limited").expect("may connect");
    // A player's patience.
    let mut player = Client::play(host.addr, "live", "nobody?mode=impatient").expect("may wait");
    player
        .status(SOON, "NetStream.Play.StreamNotFound")
        .expect("told that nobody published");
    assert!(limited.closed(SOON), "its time is over");

    // Another name; the codec comes after the claim, and bodies are counted.
    let mut publisher = Client::publish(host.addr, "live", "cam?mode=rename").expect("accepted");
    host.log
        .wait(START, "event published renamed-cam", &[], SOON);
    host.log.wait(START, "published: none and none", &[], SOON);
    assert_eq!(run(&host, "live", "registry-get", "cam"), "none");
    for (kind, body) in BODIES {
        publisher.media(kind, 0, body).expect("sent");
    }
    host.log.wait(START, "event ready renamed-cam", &[], SOON);
    host.log.wait(START, "ready: avc and aac", &[], SOON);
    let expected: usize = BODIES.iter().map(|(_, body)| body.len()).sum();
    let deadline = Instant::now() + SOON;
    loop {
        let counted = run(&host, "live", "registry-bytes", "renamed-cam");
        if counted == expected.to_string() {
            break;
        }
        assert!(Instant::now() < deadline, "{counted} of {expected}");
    }
    publisher.leave();
    host.stop();
}

/// The shipped `rules` with one rule each for publishing and playing.
fn ruled(publish: &str, play: &str) -> Host {
    let rules = format!(
        "(rules: [(match: (action: \"publish\"), then: {publish}), \
         (match: (action: \"play\"), then: {play})])"
    );
    let app = App::new(guests::guest("rules.wasm"), rules);
    Host::start(&Config::live(app.media(
        "wait_for_publisher: \"10 min\", publisher_timeout: \"10 min\"",
    )))
}

#[test]
fn a_playback_ends_after_its_time() {
    let _guard = together();
    let host = ruled("Allow", "Allow(max_duration: \"1 s\")");
    let mut publisher = Client::publish(host.addr, "live", "cam").expect("may publish");
    let (kind, body) = BODIES[0];
    publisher.media(kind, 0, body).expect("sent");
    let mut player = Client::playing(host.addr, "live", "cam").expect("may play");
    player
        .status(SOON, "NetStream.Play.Stop")
        .expect("its time is over");
    host.stop();
}

#[test]
fn a_publisher_has_no_more_than_it_was_granted() {
    let _guard = together();
    let host = ruled("Allow(idle_timeout: \"500 ms\", max_kbps: 1)", "Allow");
    let mut silent = Client::publish(host.addr, "live", "silent").expect("may publish");
    let ended = silent.status(SOON, "NetStream.Publish.Idle");
    ended.expect("nothing came for so long");
    let mut fast = Client::publish(host.addr, "live", "fast").expect("may publish");
    // Far more than any burst that is allowed; the rest is never read.
    for _ in 0..200 {
        if fast.media(VIDEO, 0, &[0x27; 100_000]).is_err() {
            break;
        }
    }
    host.log.wait(
        START,
        "unpublished",
        &[("stream", "fast"), ("reason", "too-fast")],
        SOON,
    );
    host.stop();
}
