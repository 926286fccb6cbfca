//! Pulls: who makes them begin and end, and what players are told.

use std::{net::TcpListener, time::Instant};

use super::{QUICK, SOON, first_frame, forward_to, open, refused, relaying};
use crate::support::{
    App, Config, Host, Witness, flv::SCRIPT, guests, log::START, nginx::free, rtmp::Client,
    together, witness,
};

#[test]
fn a_stream_goes_through_three_servers_unchanged_and_on_time() {
    let _guard = together();
    let middle = Host::start(&open());
    let pull = format!(
        "pull: [(name: \"cam\", from: {:?}, on_demand: true)]",
        middle.url("live/cam")
    );
    let end = Host::start(&Config::live(relaying(&pull)));
    let first = Host::start(&Config::live(relaying(&forward_to(middle.addr))));
    let witness = Witness::across((first.addr, "live"), (end.addr, "live"), "cam");
    let mut late = Client::play(end.addr, "live", "cam").expect("may play");
    let metadata = witness::metadata();
    let deadline = Instant::now() + SOON;
    loop {
        let message = late.next(deadline).expect("the metadata comes along");
        if message.kind == SCRIPT && message.payload == metadata {
            break;
        }
    }
    drop(late);
    let report = witness.finish();
    eprintln!("pushed, then pulled: {report}");
    // The pulled stream is a publication like any other, until its end.
    end.log
        .wait(START, "publishing", &[("stream", "cam")], SOON);
    end.log
        .wait(START, "unpublished", &[("stream", "cam")], SOON);
    let ended = end
        .log
        .wait(START, "relay ended", &[("stream", "cam")], SOON * 3);
    assert_eq!(ended.field("reason").as_deref(), Some("nobody plays it"));
    for host in [first, middle, end] {
        host.stop();
    }
}

#[test]
fn a_pull_on_demand_begins_with_the_first_player_and_ends_after_the_last() {
    let _guard = together();
    let origin = Host::start(&open());
    let fields = format!(
        "relay: ({QUICK}, linger: \"500 ms\"), \
         pull: [(name: \"cam\", from: {:?}, on_demand: true)]",
        origin.url("live/main")
    );
    let host = Host::start(&Config::live(App::open("reject").relays(&fields)));
    let witness = Witness::start(origin.addr, "live", "main");
    let mut first = Client::play(host.addr, "live", "cam").expect("may play");
    first_frame(&mut first);
    let mut second = Client::play(host.addr, "live", "cam").expect("may play");
    first_frame(&mut second);
    drop(first);
    host.log.wait(START, "play ended", &[], SOON);
    first_frame(&mut second);
    assert!(host.log.find(START, "relay ended", &[]).is_empty());
    drop(second);
    let ended = host.log.wait(START, "relay ended", &[], SOON);
    assert_eq!(ended.field("reason").as_deref(), Some("nobody plays it"));
    // What was logged before is there by now.
    let begun = host.log.find(START, "relay connecting", &[]);
    assert_eq!(begun.len(), 1, "one pull for both");
    origin.log.wait(START, "play ended", &[], SOON);
    let mark = host.log.mark();
    let mut third = Client::play(host.addr, "live", "cam").expect("may play");
    first_frame(&mut third);
    host.log.wait(mark, "relay connecting", &[], SOON);

    // The origin's publisher leaves: players are told, and wait.
    witness.finish();
    third
        .status(SOON, "NetStream.Play.UnpublishNotify")
        .expect("the player is told");
    for host in [host, origin] {
        host.stop();
    }
}

#[test]
fn players_are_told_why_a_stream_can_not_be_pulled() {
    let _guard = together();
    let denying = guests::guest("rules.wasm");
    let denying = App::new(denying, r#"(rules: [(then: Deny("not for you"))])"#);
    let origin = Host::start(&Config::live(App::open("reject")).and("closed", denying));
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent = silent
        .local_addr()
        .map(|addr| (addr, silent))
        .expect("its address");
    let fields = format!(
        "relay: ({QUICK}, answer: \"1 s\"), pull: [\
         (name: \"down\", from: \"rtmp://{}/live/a\", on_demand: true), \
         (name: \"denied\", from: {:?}, on_demand: true), \
         (name: \"absent\", from: {:?}, on_demand: true), \
         (name: \"silent\", from: \"rtmp://{}/live/a\", on_demand: true)]",
        free(),
        origin.url("closed/secret-name"),
        origin.url("live/absent"),
        silent.0
    );
    let host = Host::start(&Config::live(App::open("reject").relays(&fields)));
    for (name, code, text) in [
        ("down", "NetStream.Play.Failed", "can't be reached"),
        ("denied", "NetStream.Play.Failed", "not for you"),
        (
            "absent",
            "NetStream.Play.StreamNotFound",
            "no media within 1 s",
        ),
        (
            "silent",
            "NetStream.Play.Failed",
            "no answer to handshake and connect",
        ),
    ] {
        let told = refused(&host, name);
        assert_eq!(told.0, code, "{name}: {told:?}");
        assert!(told.1.contains(text), "{name}: {told:?}");
        for hidden in ["secret-name", "127.0.0.1"] {
            assert!(!told.1.contains(hidden), "{name}: {told:?}");
        }
    }
    // Nothing goes on after that.
    let mark = host.log.mark();
    Witness::start(host.addr, "live", "other").finish();
    assert!(host.log.find(mark, "relay connecting", &[]).is_empty());
    for host in [host, origin] {
        host.stop();
    }
}
