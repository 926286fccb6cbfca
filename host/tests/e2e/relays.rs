//! Streams that go to other servers and come from them.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio_rustls::TlsAcceptor;

use crate::support::{
    App, Config, Encoder, Host, Player, Tool, Witness, clients,
    compare::{self, By},
    fixture,
    flv::{self, AUDIO, Role, SCRIPT, VIDEO},
    guests,
    host::{self, TRUSTED},
    log::START,
    nginx::{Nginx, free},
    process::Signal,
    rtmp::{self, Client},
    together, witness,
};
use crate::{publish_play::sent, state::run};

const SOON: Duration = Duration::from_secs(10);

/// Failures are repeated quickly.
const QUICK: &str = "retry: \"100 ms\", retry_limit: \"400 ms\"";

/// Everybody may; `fields` are `forward` and `pull`.
fn relaying(fields: &str) -> App {
    App::open("reject").relays(&format!("relay: ({QUICK}), {fields}"))
}

fn open() -> Config {
    Config::live(App::open("reject"))
}

/// A forward of every stream to `live` of another server.
fn forward_to(addr: SocketAddr) -> String {
    format!("forward: [(to: \"rtmp://{addr}/live/{{name}}\")]")
}

/// What is played until the end of the stream.
fn packets(mut player: Client) -> Vec<flv::Packet> {
    let mut packets = Vec::new();
    while let Ok(message) = player.next(Instant::now() + SOON) {
        if rtmp::is_end(&message) {
            break;
        }
        if matches!(message.kind, AUDIO | VIDEO) && !message.payload.is_empty() {
            let packet = flv::Packet::new(message.kind, message.timestamp, &message.payload);
            packets.push(packet);
        }
    }
    packets
}

#[test]
fn a_stream_pushed_to_nginx_and_pulled_back_is_unchanged() {
    let _guard = together();
    let Some(nginx) = Nginx::start() else { return };
    if !clients::all(&[Tool::Ffmpeg9]) {
        return;
    }
    let film = fixture::film(6, 0);
    let pull = format!(
        "pull: [(name: \"film\", from: {:?}, on_demand: true)]",
        nginx.url("live/film")
    );
    let config = Config::live(relaying(&forward_to(nginx.addr))).and("back", relaying(&pull));
    let host = Host::start(&config);
    let sent = sent(&host, Encoder(Tool::Ffmpeg9), &film);
    // Both wait for the publisher, so nothing is skipped.
    let direct = Client::play(nginx.addr, "live", "film").expect("may play");
    let direct = thread::spawn(move || packets(direct));
    let mut back = Player(Tool::Ffmpeg9).record(&host.url("back/film"), host.file("back.flv"));
    nginx.wait("play: name='film'");
    let pulling = [("app", "back"), ("direction", "pull")];
    host.log.wait(START, "relay connecting", &pulling, SOON);
    let mut publisher = Encoder(Tool::Ffmpeg9).publish(&film, &host.url("live/film"));
    let pushing = [("app", "live"), ("direction", "push"), ("stream", "film")];
    host.log.wait(START, "relay up", &pushing, SOON);
    host.log.wait(START, "relay up", &pulling, SOON);
    let exit = publisher.wait(Duration::from_secs(40));
    assert!(exit.status.success(), "{}", exit.stderr);
    let ended = host.log.wait(START, "relay ended", &pushing, SOON);
    assert_eq!(ended.field("reason").as_deref(), Some("unpublished"));
    back.ended(SOON);
    let direct = direct.join().expect("the player at nginx");
    let back = flv::packets(&back.file);
    for (played, way) in [(direct, "to nginx"), (back, "to nginx and back")] {
        let run = compare::contiguous(&sent, &played, By::Hash)
            .unwrap_or_else(|difference| panic!("{way}: {difference}"));
        eprintln!("{way}: {run:?}");
        assert!(run.video > 170, "{way}: 6 s are 180 frames: {run:?}");
        assert_eq!((run.skipped, run.missing), (0, (0, 0)), "{way}: {run:?}");
    }
    host.stop();
}

#[test]
fn nginx_pushes_a_stream_here_and_pulls_it_from_here() {
    let _guard = together();
    if !clients::all(&[Tool::Ffmpeg9]) {
        return;
    }
    let film = fixture::film(6, 0);
    let host = Host::start(&open());
    let applications = format!(
        "application live {{ live on; push rtmp://{addr}/live; }} \
         application back {{ live on; wait_key on; pull rtmp://{addr}/live; }}",
        addr = host.addr
    );
    let Some(nginx) = Nginx::serving(&applications) else {
        return;
    };
    let sent = sent(&host, Encoder(Tool::Ffmpeg9), &film);
    let here = Client::play(host.addr, "live", "film").expect("may play");
    let here = thread::spawn(move || packets(here));
    let waiting = "playing: waiting for a publisher";
    host.log.wait(START, waiting, &[], SOON);
    let mark = host.log.mark();
    let back = Client::play(nginx.addr, "back", "film").expect("may play");
    let back = thread::spawn(move || packets(back));
    // nginx's pull.
    host.log.wait(mark, waiting, &[], SOON);
    let mut publisher = Encoder(Tool::Ffmpeg9).publish(&film, &nginx.url("live/film"));
    let exit = publisher.wait(Duration::from_secs(40));
    assert!(exit.status.success(), "{}", exit.stderr);
    for (player, way) in [(here, "pushed here"), (back, "and pulled back")] {
        let played = player.join().expect("the player");
        let run = compare::contiguous(&sent, &played, By::Hash)
            .unwrap_or_else(|difference| panic!("{way}: {difference}"));
        eprintln!("{way}: {run:?}");
        // It connects once the stream is there, and keeps no frames for that.
        assert!(run.video > 110, "{way}: 6 s are 180 frames: {run:?}");
        assert_eq!(run.missing, (0, 0), "{way}: {run:?}");
    }
    host.stop();
}

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

fn first_frame(player: &mut Client) -> flv::Packet {
    let deadline = Instant::now() + SOON;
    loop {
        let message = player.next(deadline).expect("media comes");
        if message.kind == VIDEO && !message.payload.is_empty() {
            let packet = flv::Packet::new(VIDEO, message.timestamp, &message.payload);
            if packet.role == Role::Frame {
                return packet;
            }
        }
    }
}

/// Bytes of a frame of [`torrent`]: 10 MB/s, which no socket buffers for long.
const LARGE: usize = 100_000;
const FRAMES: u32 = 500;

/// Publishes large numbered frames, a keyframe each 20, one each 10 ms.
fn torrent(addr: SocketAddr, name: &str) -> JoinHandle<()> {
    let mut client = Client::publish(addr, "live", name).expect("may publish");
    let (round, _) = witness::round();
    let is_header = |tag: &&flv::Tag| tag.kind == VIDEO && tag.packet_role() == Role::Header;
    let header = round.iter().find(is_header).expect("a header").clone();
    thread::spawn(move || {
        client.media(VIDEO, 0, &header.payload).expect("sent");
        let begin = Instant::now();
        for number in 0..FRAMES {
            let due = begin + Duration::from_millis((10 * number).into());
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let first = if number % 20 == 0 { 0x17 } else { 0x27 };
            let mut payload = vec![first, 1, 0, 0, 0];
            payload.extend(number.to_be_bytes());
            payload.resize(LARGE, 0x55);
            client.media(VIDEO, 10 * number, &payload).expect("sent");
        }
        client.leave();
    })
}

/// The numbers of the frames that come, until the stream's end.
fn numbers(mut player: Client) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let Ok(message) = player.next(Instant::now() + SOON) {
        if rtmp::is_end(&message) {
            break;
        }
        if let (VIDEO, [_, 1, _, _, _, a, b, c, d, ..]) = (message.kind, &*message.payload) {
            numbers.push(u32::from_be_bytes([*a, *b, *c, *d]));
        }
    }
    numbers
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
    let app = app.media("queue_bytes: \"4 MiB\", slow_close: \"1 s\"");
    let host = Host::start(&Config::live(app));
    let player = Client::play(healthy.addr, "live", "cam").expect("may play");
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

/// Plays `name`, whose pull can't begin: what the player is told.
fn refused(host: &Host, name: &str) -> (String, String) {
    let mut player = Client::play(host.addr, "live", name).expect("the play is taken");
    let told = player
        .until(SOON, |_| false)
        .expect_err("there is no such stream");
    (told.code().to_owned(), told.description().to_owned())
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
        ("down", "NetStream.Play.Failed", "refused"),
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
        assert!(!told.1.contains("secret-name"), "{name}: {told:?}");
    }
    // Nothing goes on after that.
    let mark = host.log.mark();
    Witness::start(host.addr, "live", "other").finish();
    assert!(host.log.find(mark, "relay connecting", &[]).is_empty());
    for host in [host, origin] {
        host.stop();
    }
}

#[test]
fn a_plugin_relays_only_where_the_configuration_allows() {
    let _guard = together();
    let other = Host::start(&open());
    let addr = other.addr;
    let rules = format!(
        r#"(rules: [
            (match: (action: "publish", name: "good"), then: Allow(forward: ["rtmp://{addr}/live/{{name}}"])),
            (match: (action: "publish", name: "bad"), then: Allow(forward: ["rtmp://{addr}/vod/s3cret-key"])),
            (match: (action: "play", name: "pulled"), then: Allow(pull_from: "rtmp://{addr}/live/good")),
            (match: (action: "play", name: "denied"), then: Allow(pull_from: "rtmp://{addr}/vod/s3cret-key")),
        ], default: "allow")"#
    );
    let fields = format!("relay: ({QUICK}, allow: [\"rtmp://{addr}/live/*\"])");
    let app = App::new(guests::guest("rules.wasm"), rules).relays(&fields);
    let host = Host::start(&Config::live(app));

    let bad = Client::publish(host.addr, "live", "bad").expect("the publish goes on");
    let denied = host
        .log
        .wait(START, "the plugin may not push there", &[], SOON);
    let error = denied.field("error").expect("why");
    assert!(error.contains(&format!("rtmp://{addr}/vod/*")), "{error}");
    bad.leave();
    let told = refused(&host, "denied");
    assert_eq!(told.0, "NetStream.Play.Failed", "{told:?}");

    let witness = Witness::across((host.addr, "live"), (addr, "live"), "good");
    let mut player = Client::play(host.addr, "live", "pulled").expect("may play");
    first_frame(&mut player);
    witness.finish();
    assert!(
        !host.process.stderr.text().contains("s3cret"),
        "a key is in the log"
    );
    for host in [host, other] {
        host.stop();
    }
}

#[test]
fn an_application_has_no_more_relays_than_it_may() {
    let _guard = together();
    let other = Host::start(&open());
    let fields = format!(
        "relay: ({QUICK}, max: 1), forward: [\
         (to: \"rtmp://{0}/live/{{name}}\"), (to: \"rtmp://{0}/live/{{name}}-2\")]",
        other.addr
    );
    let host = Host::start(&Config::live(App::open("reject").relays(&fields)));
    let witness = Witness::across((host.addr, "live"), (other.addr, "live"), "cam");
    let refused = host.log.wait(START, "relay not started", &[], SOON);
    let error = refused.field("error").expect("why");
    assert!(error.contains("relay.max"), "{error}");
    witness.finish();
    assert_eq!(host.log.find(START, "relay up", &[]).len(), 1);
    for host in [host, other] {
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

#[test]
fn pulls_and_forwards_change_with_the_configuration_while_a_stream_runs() {
    let _guard = together();
    let other = Host::start(&open());
    let before = Config::live(App::open("reject"));
    let host = Host::start(&before);
    let witness = Witness::start(host.addr, "live", "cam");
    let fields = format!(
        "{}, pull: [(name: \"back\", from: {:?})]",
        forward_to(other.addr),
        other.url("live/cam")
    );
    let save = |config: &Config| {
        let mark = host.log.mark();
        guests::replace(&host.file("config.ron"), config.text().as_bytes());
        host.log.wait(mark, "configuration in force", &[], SOON);
    };
    save(&Config::live(relaying(&fields)));
    // Away and back, each begun by the configuration.
    let mut player = Client::play(host.addr, "live", "back").expect("may play");
    first_frame(&mut player);
    let mark = host.log.mark();
    save(&before);
    for direction in ["push", "pull"] {
        let ended = [("direction", direction), ("reason", "stopped")];
        host.log.wait(mark, "relay ended", &ended, SOON);
    }
    player
        .status(SOON, "NetStream.Play.UnpublishNotify")
        .expect("the pull has ended");
    save(&Config::live(relaying(&fields)));
    first_frame(&mut player);

    // With the application its relays end.
    let mark = host.log.mark();
    save(&Config::live(App::open("reject")).renamed("other"));
    for direction in ["push", "pull"] {
        let ended = [("direction", direction), ("reason", "stopped")];
        host.log.wait(mark, "relay ended", &ended, SOON);
    }
    witness.finish();
    for host in [host, other] {
        host.stop();
    }
}

#[test]
fn a_stream_pushed_to_itself_is_noticed() {
    let _guard = together();
    let addr = free();
    // The push would take the name over.
    let app = App::open("replace").relays(&format!("relay: ({QUICK}), {}", forward_to(addr)));
    let host = Host::start(&Config::live(app).listen(&addr.to_string()));
    let witness = Witness::start(host.addr, "live", "cam");
    let failed = host.log.wait(START, "relay failed", &[], SOON);
    let reason = failed.field("reason").expect("a reason");
    assert!(reason.contains("a loop of relays"), "{reason}");
    // Not replaced, and no frame came twice.
    witness.finish();
    host.stop();
}

#[test]
fn a_loop_over_two_servers_is_noticed() {
    let _guard = together();
    let addr = free();
    let there = Host::start(&Config::live(
        App::open("replace").relays(&format!("relay: ({QUICK}), {}", forward_to(addr))),
    ));
    let app = format!("relay: ({QUICK}), {}", forward_to(there.addr));
    let here = Config::live(App::open("replace").relays(&app)).listen(&addr.to_string());
    let here = Host::start(&here);
    let witness = Witness::across((here.addr, "live"), (there.addr, "live"), "cam");
    let failed = there.log.wait(START, "relay failed", &[], SOON);
    let reason = failed.field("reason").expect("a reason");
    assert!(reason.contains("a loop of relays"), "{reason}");
    witness.finish();
    for host in [here, there] {
        host.stop();
    }
}

#[test]
fn no_secret_of_a_url_is_in_the_log() {
    let _guard = together();
    // Repeats the stream's name to whoever may not have it.
    let taken = Host::start(&open());
    let held = Client::publish(taken.addr, "live", "k3y-of-mine").expect("may publish");
    let fields = format!(
        "relay: ({QUICK}), forward: [\
         (name: \"cam\", to: \"rtmp://{}/live/k3y-of-mine?auth=t0ken\"), \
         (name: \"cam\", to: \"rtmp://{}/live?sign=s1gn/k3y-of-mine\")], \
         pull: [(name: \"x\", from: \"rtmp://{}/live/k3y-of-mine?auth=t0ken\")]",
        taken.addr,
        taken.addr,
        free()
    );
    let config = Config::live(App::open("reject").relays(&fields)).level("debug");
    let host = Host::start(&config);
    let witness = Witness::start(host.addr, "live", "cam");
    let failed = host
        .log
        .wait(START, "relay failed", &[("direction", "push")], SOON);
    let reason = failed.field("reason").expect("a reason");
    assert!(
        reason.contains("***"),
        "what the server repeats is hidden: {reason}"
    );
    host.log
        .wait(START, "relay failed", &[("direction", "pull")], SOON);
    witness.finish();
    held.leave();
    // A mistake in the file, beside the secrets.
    let mark = host.log.mark();
    let broken = config
        .text()
        .replace("media:", "madia:")
        .replace("k3y-of", "k3y of");
    guests::replace(&host.file("config.ron"), broken.as_bytes());
    let refused = "configuration refused; the old one stays in force";
    host.log.wait(mark, refused, &[], SOON);
    let stdout = host.process.stdout.clone();
    let log = host.log.clone();
    host.stop();
    for output in [log.0.text(), stdout.text()] {
        for secret in ["k3y", "t0ken", "s1gn"] {
            assert!(!output.contains(secret), "{secret} is in {output}");
        }
    }
}

/// TLS in front of a server, until the end of the tests: where it listens, and
/// its certificate in PEM.
fn behind_tls(server: SocketAddr) -> (u16, String) {
    let names = vec!["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::from(key))
        .expect("a server's settings");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    listener.set_nonblocking(true).expect("a setting");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    thread::spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut secure = acceptor.accept(socket).await?;
                    let mut plain = tokio::net::TcpStream::connect(server).await?;
                    tokio::io::copy_bidirectional(&mut secure, &mut plain).await
                });
            }
        });
    });
    (port, made.cert.pem())
}

#[test]
fn streams_go_and_come_over_tls_where_the_server_is_trusted() {
    let _guard = together();
    let other = Host::start(&open());
    let (port, certificate) = behind_tls(other.addr);
    let forward = format!("forward: [(to: \"rtmps://localhost:{port}/live/{{name}}\")]");
    let pull = format!(
        "pull: [(name: \"cam\", from: \"rtmps://localhost:{port}/live/cam\", on_demand: true)]"
    );
    let config = Config::live(relaying(&forward)).and("back", relaying(&pull));

    let folder = host::folder();
    std::fs::write(folder.path().join(TRUSTED), certificate).expect("trusted.pem");
    let host = Host::start_in(folder, &config);
    let witness = Witness::across((host.addr, "live"), (host.addr, "back"), "cam");
    let report = witness.finish();
    eprintln!("pushed and pulled back over TLS: {report}");
    host.stop();

    let host = Host::start(&config);
    let witness = Witness::start(host.addr, "live", "cam");
    let failed = host.log.wait(START, "relay failed", &[], SOON);
    let reason = failed.field("reason").expect("a reason");
    assert!(
        reason.contains("TLS") && reason.contains("certificate"),
        "{reason}"
    );
    witness.finish();
    for host in [host, other] {
        host.stop();
    }
}

/// A password that appears nowhere else, so that the log can be searched.
const PASSWORD: &str = "pw-ann-5d1e";

#[test]
fn a_push_logs_in_with_the_password_of_its_url() {
    let _guard = together();
    for challenge in ["adobe", "llnw"] {
        let users = format!(
            r#"{{ "publish": "users", "users": {{ "ann": "{PASSWORD}" }}, "challenge": "{challenge}" }}"#
        );
        let target = Host::start(&Config::live(App::keys(&users)));
        let addr = target.addr;
        let fields = format!(
            "forward: [\
             (name: \"cam\", to: \"rtmp://ann:{PASSWORD}@{addr}/live/cam\"), \
             (name: \"cam\", to: \"rtmp://ann:{PASSWORD}x@{addr}/live/other\")]"
        );
        let host = Host::start(&Config::live(relaying(&fields)).level("debug"));
        let witness = Witness::start(host.addr, "live", "cam");
        target
            .log
            .wait(START, "publishing", &[("stream", "cam")], SOON);
        target
            .log
            .wait(START, "authenticated", &[("user", "ann")], SOON);
        let failed = host.log.wait(START, "relay failed", &[], SOON);
        let reason = failed.field("reason").expect("a reason");
        assert!(reason.contains("authfailed"), "{challenge}: {reason}");
        witness.finish();
        let log = host.log.clone();
        host.stop();
        for secret in ["5d1e", "response="] {
            assert!(!log.0.text().contains(secret), "{challenge}: {secret}");
        }
        target.stop();
    }
}
