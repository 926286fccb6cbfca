//! Targets that are down, stuck, or named while the stream runs.

use std::thread;

use super::{QUICK, SOON, first_frame, forward_to, open, relaying};
use crate::state::run;
use crate::support::{
    App, Config, Host, Witness,
    log::START,
    nginx::free,
    process::Signal,
    rtmp::Client,
    together,
    torrent::{FRAMES, numbers, torrent},
};

#[test]
fn a_target_that_is_down_at_first_gets_the_stream_once_it_is_up() {
    let _guard = together();
    let later = free();
    let host = Host::start(&Config::live(relaying(&forward_to(later))));
    let witness = Witness::start(host.addr, "live", "cam");
    // The waits grow.
    let mut waits = Vec::new();
    let mut mark = START;
    for _ in 0..3 {
        let failed = host.log.wait(mark, "relay failed", &[], SOON);
        mark = host.log.mark();
        let wait = failed.field("retry_ms").and_then(|ms| ms.parse().ok());
        waits.push(wait.expect("the wait is told"));
        let reason = failed.field("reason").expect("the reason is told");
        assert!(reason.contains("refused"), "{reason}");
    }
    let bounds = [(50..=100), (100..=200), (200..=400_u32)];
    for (wait, bounds) in waits.iter().zip(bounds) {
        assert!(bounds.contains(wait), "{waits:?}");
    }
    let target = Host::start(&open().listen(&later.to_string()));
    host.log.wait(mark, "relay up", &[], SOON);
    let mut player = Client::play(target.addr, "live", "cam").expect("may play");
    let frame = first_frame(&mut player);
    assert!(frame.keyframe, "decoding can start: {frame:?}");
    witness.finish();
    host.log.wait(mark, "relay ended", &[], SOON);
    target
        .log
        .wait(START, "unpublished", &[("reason", "unpublish")], SOON);
    for host in [host, target] {
        host.stop();
    }
}

#[test]
fn a_stuck_target_is_dropped_and_delays_nobody() {
    let _guard = together();
    let (stuck, healthy) = (Host::start(&open()), Host::start(&open()));
    let fields = format!(
        "relay: ({QUICK}, stall: \"1 s\", answer: \"1 s\"), forward: [\
         (to: \"rtmp://{}/live/{{name}}\"), (to: \"rtmp://{}/live/{{name}}\")]",
        stuck.addr, healthy.addr
    );
    let app = App::open("reject").relays(&fields);
    let app = app.media("queue_bytes: \"32 MiB\", slow_close: \"1 s\"");
    let host = Host::start(&Config::live(app));
    let player = Client::playing(healthy.addr, "live", "cam").expect("may play");
    let player = thread::spawn(move || numbers(player));
    let publisher = torrent(host.addr, "cam");
    let to = format!("rtmp://{}/live", stuck.addr);
    let to = [("target", to.as_str())];
    host.log.wait(START, "relay up", &to, SOON);
    // It accepts, and reads no more.
    stuck.process.signal(Signal::Stop);
    let lost = host.log.wait(START, "relay lost", &to, SOON);
    let reason = lost.field("reason").expect("a reason");
    assert!(
        reason.contains("took no bytes") || reason.contains("behind"),
        "{reason}"
    );
    let failed = host.log.wait(START, "relay failed", &to, SOON);
    let reason = failed.field("reason").expect("a reason");
    assert!(reason.contains("no answer"), "{reason}");
    let mark = host.log.mark();
    stuck.process.signal(Signal::Continue);
    publisher.join().expect("the publisher was not held up");
    let numbers = player.join().expect("the player");
    let all: Vec<u32> = (0..FRAMES).collect();
    assert_eq!(numbers, all, "every frame went to the healthy target");
    // It is back, or at least tried until the end of the stream.
    host.log.wait(mark, "relay ended", &to, SOON);
    assert!(
        host.log
            .find(START, "relay lost", &[])
            .iter()
            .all(|entry| { entry.field("target").as_deref() == Some(to[0].1) })
    );
    for host in [host, healthy, stuck] {
        host.stop();
    }
}

#[test]
fn a_plugin_starts_and_stops_a_push_of_a_running_stream() {
    let _guard = together();
    let other = Host::start(&open());
    let fields = format!("relay: ({QUICK}, allow: [\"rtmp://{}/*\"])", other.addr);
    let host = Host::start(&Config::live(App::probe("accept").relays(&fields)));
    let order = |order: &str, to: &str| run(&host, "live", order, &format!("cam {to}"));
    let to = other.url("live/copy");
    let refused = |order: String, name: &str| assert!(order.contains(name), "{order}");
    refused(order("start-forward", &to), "not-found");
    let witness = Witness::start(host.addr, "live", "cam");
    refused(order("start-forward", "rtmp://h/a/b"), "denied");
    assert_eq!(order("start-forward", &to), "started");
    let mut player = Client::play(other.addr, "live", "copy").expect("may play");
    first_frame(&mut player);
    assert_eq!(order("stop-forward", &to), "stopped");
    player
        .status(SOON, "NetStream.Play.UnpublishNotify")
        .expect("the push has ended");
    refused(order("stop-forward", &to), "not-found");
    witness.finish();
    for host in [host, other] {
        host.stop();
    }
}
