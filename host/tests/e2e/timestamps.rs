//! Timestamps over real connections: the edges of the protocol, and publishers
//! whose clocks jump. The rule is in `docs/timestamps.md`; the hub's own tests
//! cross every edge with a simulated clock.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    App, Config, Host, Player, Tool, clients,
    compare::{self, By},
    flv::{self, AUDIO, Packet, Role, Tag, VIDEO},
    log::START,
    rtmp::{self, Client},
    together, witness,
};

const SOON: Duration = Duration::from_secs(10);

/// FLV timestamps have 31 bits, and FFmpeg's players may start at 0: times
/// since the first video frame are compared.
fn since_first(mut packets: Vec<Packet>) -> Vec<Packet> {
    let is_first = |p: &&Packet| p.kind == VIDEO && p.role == Role::Frame;
    let first = packets.iter().find(is_first).map_or(0, |p| p.dts);
    for packet in &mut packets {
        packet.dts = packet.dts.wrapping_sub(first) & 0x7fff_ffff;
    }
    packets
}

/// Sends the clip with its first frame at `base`, each frame when it is due.
fn publish_at(client: &mut Client, clip: &[Tag], base: u32) {
    let begin = Instant::now();
    for tag in clip {
        let due = begin + Duration::from_millis(tag.dts.into());
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let timestamp = base.wrapping_add(tag.dts);
        client
            .media(tag.kind, timestamp, &tag.payload)
            .expect("is taken");
    }
}

fn wait_for_player(host: &Host, name: &str) {
    let fields = [("stream", name)];
    host.log
        .wait(START, "playing: waiting for a publisher", &fields, SOON);
}

#[test]
fn a_real_player_crosses_the_24_bit_edge_and_the_wrap() {
    let _guard = together();
    if !clients::all(&[Tool::Ffmpeg9]) {
        return;
    }
    let host = Host::start(&Config::live(App::open("reject")));
    let (clip, _) = witness::round();
    // Both edges lie two seconds behind the start.
    let edges = [("24-bit", 0xff_ffff - 2_000), ("wrap", u32::MAX - 2_000)];
    thread::scope(|scope| {
        for (name, base) in edges {
            let (host, clip) = (&host, &clip);
            scope.spawn(move || {
                let url = host.url(&format!("live/{name}"));
                let file = host.file(&format!("{name}.flv"));
                let mut player = Player(Tool::Ffmpeg9).record(&url, file);
                wait_for_player(host, name);
                let mut publisher = Client::publish(host.addr, "live", name).expect("may publish");
                publish_at(&mut publisher, clip, base);
                publisher.leave();
                player.ended(SOON);
                let sent = clip
                    .iter()
                    .map(|tag| Packet::new(tag.kind, base.wrapping_add(tag.dts), &tag.payload));
                let run = compare::contiguous(
                    &since_first(sent.collect()),
                    &since_first(flv::packets(&player.file)),
                    By::Hash,
                )
                .unwrap_or_else(|difference| panic!("{name}: {difference}"));
                eprintln!("{name}: {run:?}");
                assert_eq!((run.skipped, run.missing), (0, (0, 0)), "{name}: {run:?}");
            });
        }
    });
    host.stop();
}

/// Plays to the end of the stream; the frames as they came.
fn play(host: &Host, name: &str) -> Vec<Packet> {
    let mut client = Client::play(host.addr, "live", name).expect("may play");
    let mut frames = Vec::new();
    loop {
        let message = client
            .next(Instant::now() + SOON)
            .expect("the stream goes on");
        if rtmp::is_end(&message) {
            return frames;
        }
        if matches!(message.kind, AUDIO | VIDEO) && !message.payload.is_empty() {
            let packet = Packet::new(message.kind, message.timestamp, &message.payload);
            if packet.role == Role::Frame {
                frames.push(packet);
            }
        }
    }
}

#[test]
fn jumps_of_a_publishers_clock_do_not_reach_its_players() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    let (clip, _) = witness::round();
    let played = thread::scope(|scope| {
        let player = scope.spawn(|| play(&host, "jumps"));
        wait_for_player(&host, "jumps");
        let mut publisher = Client::publish(host.addr, "live", "jumps").expect("may publish");
        // A second of the clip each: an hour on, back to the start, close to
        // the wrap and over it, back by a quarter of a second.
        let bases = [0, 3_600_000, 0, u32::MAX - 2_500, 100_000, 99_750];
        for tag in &clip {
            let part = (tag.dts / 700) as usize;
            let base = bases.get(part).unwrap_or(&99_750);
            let timestamp = tag.dts.wrapping_add(*base);
            publisher
                .media(tag.kind, timestamp, &tag.payload)
                .expect("is taken");
        }
        publisher.leave();
        player.join().expect("the player")
    });
    for kind in [VIDEO, AUDIO] {
        let of_kind = |packets: &[Packet]| -> Vec<Packet> {
            let frames = packets.iter().filter(|p| p.kind == kind);
            frames.filter(|p| p.role == Role::Frame).cloned().collect()
        };
        let sent = of_kind(&clip.iter().map(Tag::packet).collect::<Vec<_>>());
        let played = of_kind(&played);
        // Audio before the first keyframe is not played.
        let ahead = sent
            .len()
            .checked_sub(played.len())
            .expect("none is played twice");
        assert!(
            ahead <= usize::from(kind == AUDIO) * 2,
            "type {kind}: {ahead} are missing"
        );
        let sent = sent.get(ahead..).unwrap_or_default();
        for (i, (sent, played)) in sent.iter().zip(&played).enumerate() {
            assert_eq!(sent.hash, played.hash, "type {kind}, frame {i}");
            // As if it had never jumped, but for the steps at the jumps.
            let apart = i64::from(played.dts) - i64::from(sent.dts);
            assert!(
                apart.abs() <= 250,
                "type {kind}, frame {i}: {apart} ms away"
            );
        }
        for pair in played.windows(2) {
            let step = i64::from(pair[1].dts) - i64::from(pair[0].dts);
            assert!((1..=250).contains(&step), "type {kind}: {pair:?}");
        }
    }
    let told = "the publisher's timestamps jumped; players see them continue";
    assert_eq!(host.log.find(START, told, &[]).len(), 1, "once a publisher");
    host.stop();
}
