//! When a player joins: before its publisher, late, beside others.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    publish_play::{assert_whole, sent},
    support::{
        App, Config, Encoder, Host, Player, Tool, Witness, alone,
        amf::Amf,
        clients,
        compare::{self, By},
        fixture,
        flv::{self, AUDIO, Packet, Role, SCRIPT, VIDEO},
        log::START,
        rtmp::Client,
        together,
        torrent::{FRAMES, next_number, numbers, torrent},
        witness,
    },
};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn players_that_came_3_s_before_the_publisher_miss_nothing() {
    let _guard = together();
    if !clients::all(&[Tool::Ffmpeg9]) {
        return;
    }
    let film = fixture::film(6, 0);
    let host = Host::start(&Config::live(App::open("reject")));
    let sent = sent(&host, Encoder(Tool::Ffmpeg9), &film);
    let mut recordings: Vec<_> = clients::present(&Tool::ALL)
        .into_iter()
        .enumerate()
        .map(|(i, tool)| {
            let mark = host.log.mark();
            let file = host.file(&format!("played-{i}.flv"));
            let recording = Player(tool).record(&host.url("live/film"), file);
            host.log
                .wait(mark, "playing: waiting for a publisher", &[], SOON);
            recording
        })
        .collect();
    // The time is the point here: players must be patient.
    thread::sleep(Duration::from_secs(3));
    let mut publisher = Encoder(Tool::Ffmpeg9).publish(&film, &host.url("live/film"));
    let exit = publisher.wait(Duration::from_secs(40));
    assert!(exit.status.success(), "{}", exit.stderr);
    for recording in &mut recordings {
        recording.ended(SOON);
        let who = format!("{} before its publisher", recording.tool);
        let run = compare::contiguous(&sent, &flv::packets(&recording.file), By::Hash)
            .unwrap_or_else(|difference| panic!("{who}: {difference}"));
        eprintln!("{who}: {run:?}");
        assert_eq!((run.skipped, run.offset), (0, 0), "{who}: {run:?}");
        assert_whole(recording.tool, run, &who);
    }
    host.stop();
}

/// Joins a running stream; returns the first video frame and how long after
/// the TCP connect began it came.
fn join(host: &Host) -> (Packet, Duration) {
    let begin = Instant::now();
    let mut client = Client::play(host.addr, "live", "film").expect("may play");
    let metadata = witness::metadata();
    let (mut has_metadata, mut has_header) = (false, false);
    loop {
        let message = client.next(begin + SOON).expect("media comes");
        has_metadata |= message.kind == SCRIPT && message.payload == metadata;
        if message.kind != VIDEO || message.payload.is_empty() {
            continue;
        }
        let packet = Packet::new(VIDEO, message.timestamp, &message.payload);
        match packet.role {
            Role::Header => has_header = true,
            Role::Frame => {
                assert!(has_metadata, "a frame came before the metadata");
                assert!(has_header, "a frame came before its codec header");
                return (packet, message.at - begin);
            }
            Role::Supplement | Role::End | Role::Script => {}
        }
    }
}

#[test]
fn late_player_gets_the_cached_keyframe() {
    let _guard = alone();
    let host = Host::start(&Config::live(App::open("reject")));
    let witness = Witness::start(host.addr, "live", "film");
    let mut waits = Vec::new();
    // 40 joins spread over two groups of pictures of 2 s each.
    for _ in 0..40 {
        thread::sleep(Duration::from_millis(100));
        let (first, wait) = join(&host);
        assert!(first.keyframe, "the first frame is no keyframe: {first:?}");
        waits.push(wait);
    }
    waits.sort();
    let report = witness.finish();
    let worst = *waits.last().expect("40 joins");
    eprintln!(
        "late join, TCP connect to first keyframe: median {:.1} ms, worst {:.1} ms of {}; {report}",
        waits[waits.len() / 2].as_secs_f64() * 1e3,
        worst.as_secs_f64() * 1e3,
        waits.len(),
    );
    // Without a cache each would wait for its next keyframe.
    let all: Duration = waits.iter().sum();
    let mean = all / 40;
    assert!(mean < Duration::from_millis(500), "mean join: {mean:?}");
    host.stop();
}

#[test]
fn without_a_cache_a_late_player_starts_at_the_next_keyframe() {
    let _guard = together();
    let app = App::open("reject").media("join: NextKeyframe");
    let host = Host::start(&Config::live(app));
    let witness = Witness::start(host.addr, "live", "film");
    // The clip's keyframes are 2 s apart: this is inside the first group.
    let (first, _) = join(&host);
    assert!(first.keyframe, "the first frame is no keyframe: {first:?}");
    assert!(first.dts > 0, "the first keyframe was over: {first:?}");
    witness.finish();
    host.stop();
}

/// Publishes to `app`, with the camera off for some time; returns the first
/// frame of a player that joins meanwhile, and the first audio and video frames
/// after that.
fn join_without_camera(host: &Host, app: &str) -> (Packet, [Packet; 2]) {
    let mut publisher = Client::publish(host.addr, app, "cam").expect("may publish");
    let (round, period) = witness::round();
    let send = |publisher: &mut Client, turn: u32, is_on: bool| {
        for tag in round.iter().filter(|tag| is_on || tag.kind == AUDIO) {
            let dts = tag.dts + turn * period;
            let sent = publisher.media(tag.kind, dts, &tag.payload);
            sent.expect("is taken");
        }
    };
    send(&mut publisher, 0, true);
    let off = 1..5;
    assert!(off.len() as u32 * period > 5_000, "off for long enough");
    for turn in off {
        send(&mut publisher, turn, false);
    }
    let stopped = "video has stopped: audio waits for it no more";
    let stream = format!("{app}/cam");
    host.log.wait(START, stopped, &[("stream", &stream)], SOON);
    let mut player = Client::playing(host.addr, app, "cam").expect("may play");
    let mut frame = || loop {
        let message = player.next(Instant::now() + SOON).expect("media comes");
        if matches!(message.kind, AUDIO | VIDEO) && !message.payload.is_empty() {
            let packet = Packet::new(message.kind, message.timestamp, &message.payload);
            if packet.role == Role::Frame {
                return packet;
            }
        }
    };
    send(&mut publisher, 5, false);
    let first = frame();
    assert!(first.dts > 3 * period, "of the present: {first:?}");
    // Back in the middle of a group of pictures.
    let inter = round.iter().position(|tag| {
        let packet = tag.packet();
        packet.kind == VIDEO && packet.role == Role::Frame && !packet.keyframe
    });
    for tag in &round[inter.expect("a frame that depends")..] {
        let sent = publisher.media(tag.kind, tag.dts + 6 * period, &tag.payload);
        sent.expect("is taken");
    }
    send(&mut publisher, 7, true);
    let mut until = |kind| loop {
        let frame = frame();
        if frame.kind == kind {
            break frame;
        }
    };
    let then = [until(AUDIO), until(VIDEO)];
    publisher.leave();
    (first, then)
}

#[test]
fn a_camera_that_is_off_keeps_no_player_waiting() {
    let _guard = together();
    let latest = App::open("reject").media("join: NextKeyframe");
    let config = Config::live(App::open("reject")).and("latest", latest);
    let host = Host::start(&config.level("debug"));
    let (first, [audio, _]) = join_without_camera(&host, "live");
    assert!(first.keyframe, "the last picture: {first:?}");
    let silence = audio.dts.saturating_sub(first.dts);
    assert!(silence < 3_000, "{silence} ms from {first:?} to {audio:?}");
    let (first, [_, video]) = join_without_camera(&host, "latest");
    assert_eq!(first.kind, AUDIO, "{first:?}");
    assert!(video.keyframe, "the picture is back: {video:?}");
    host.stop();
}

#[test]
fn ten_applications_streams_of_one_name_do_not_mix() {
    let _guard = together();
    if !clients::all(&[Tool::Ffmpeg9]) {
        return;
    }
    let encoders = clients::present(&[Tool::Ffmpeg9, Tool::Ffmpeg5]);
    let players = clients::present(&Tool::ALL);
    let films: Vec<_> = (0..10).map(|look| fixture::film(6, look)).collect();
    let mut config = Config::live(App::open("reject"));
    for i in 1..10 {
        config = config.and(&format!("app{i}"), App::open("reject"));
    }
    let host = Host::start(&config);
    let mut running = Vec::new();
    for (i, film) in films.iter().enumerate() {
        let app = if i == 0 {
            "live".into()
        } else {
            format!("app{i}")
        };
        let url = host.url(&format!("{app}/cam"));
        let player = Player(players[i % players.len()]);
        let mark = host.log.mark();
        let player = player.record(&url, host.file(&format!("{app}.flv")));
        host.log.wait(
            mark,
            "playing: waiting for a publisher",
            &[("app", &app)],
            SOON,
        );
        let publisher = Encoder(encoders[i % encoders.len()]).publish(film, &url);
        running.push((app, film, player, publisher));
    }
    for (app, film, mut player, mut publisher) in running {
        let exit = publisher.wait(Duration::from_secs(60));
        assert!(exit.status.success(), "{app}: {}", exit.stderr);
        player.ended(SOON);
        let run = compare::contiguous(&flv::packets(film), &flv::packets(&player.file), By::Hash)
            .unwrap_or_else(|difference| panic!("{app}: {difference}"));
        eprintln!("{app}/cam to {}: {run:?}", player.tool);
        assert_eq!((run.skipped, run.offset), (0, 0), "{app}: {run:?}");
        assert_whole(player.tool, run, &app);
    }
    host.stop();
}

#[test]
fn instances_of_an_application_do_not_mix() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    // One name in two instances and outside of them: three streams.
    let apps = ["live", "live/room1", "live/room2"];
    let witnesses = apps.map(|app| Witness::start(host.addr, app, "cam"));
    thread::sleep(Duration::from_secs(1));
    for (app, witness) in apps.into_iter().zip(witnesses) {
        eprintln!("{app}/cam: {}", witness.finish());
    }
    host.stop();
}

#[test]
fn player_without_a_publisher_is_told_when_the_wait_is_over() {
    let _guard = together();
    let app = App::open("reject").media("wait_for_publisher: \"1 s\"");
    let host = Host::start(&Config::live(app));
    let begin = Instant::now();
    let mut client = Client::play(host.addr, "live", "nobody").expect("may wait");
    client
        .status(SOON, "NetStream.Play.StreamNotFound")
        .expect("told that nobody published");
    let waited = begin.elapsed();
    eprintln!("told after {waited:?} (limit 1 s)");
    assert!(waited >= Duration::from_millis(900), "{waited:?}");
    host.stop();
}

#[test]
fn a_player_that_is_told_what_it_does_already_misses_nothing() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    let mut player = Client::playing(host.addr, "live", "cam").expect("may play");
    let publisher = torrent(host.addr, "cam");
    // A keyframe comes each 20.
    while next_number(&mut player).expect("the stream goes on") < 105 {}
    let stream = player.stream;
    let go_on = [Amf::Boolean(false), Amf::Number(0.0)];
    player
        .command(stream, "pause", 0.0, Amf::Null, &go_on)
        .expect("sent");
    let all = [Amf::Boolean(true)];
    player
        .command(stream, "receiveVideo", 0.0, Amf::Null, &all)
        .expect("sent");
    let rest: Vec<u32> = (106..FRAMES).collect();
    assert_eq!(numbers(player), rest);
    publisher.join().expect("the publisher was not held up");
    host.stop();
}
