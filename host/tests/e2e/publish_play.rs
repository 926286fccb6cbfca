//! Real encoders to real players: what is played is what was sent.

use std::time::{Duration, Instant};

use crate::support::{
    App, Config, Encoder, Host, Player, Tool, Witness, clients,
    compare::{self, By, Run},
    fixture,
    flv::{self, VIDEO},
    log::START,
    rtmp::Client,
    together,
};

/// For a player to end by itself once its stream was unpublished.
const END: Duration = Duration::from_secs(10);

#[test]
fn ffmpeg_5_publishes_20_s_to_every_player() {
    to_every_player(Tool::Ffmpeg5);
}

#[test]
fn ffmpeg_9_publishes_20_s_to_every_player() {
    to_every_player(Tool::Ffmpeg9);
}

fn to_every_player(encoder: Tool) {
    let _guard = together();
    if !clients::all(&[Tool::Ffmpeg9, encoder]) {
        return;
    }
    let film = fixture::film(20, 0);
    let host = Host::start(&Config::live(App::open("reject")));
    let sent = sent(&host, Encoder(encoder), &film);
    let mut publisher = Encoder(encoder).publish(&film, &host.url("live/film"));
    host.log
        .wait(START, "publishing", &[("stream", "film")], END);
    let players = clients::present(&Tool::ALL);
    let mut recordings: Vec<_> = players
        .into_iter()
        .enumerate()
        .map(|(i, tool)| {
            let file = host.file(&format!("played-{i}.flv"));
            Player(tool).record(&host.url("live/film"), file)
        })
        .collect();
    let exit = publisher.wait(Duration::from_secs(60));
    assert!(exit.status.success(), "{encoder}: {}", exit.stderr);
    for recording in &mut recordings {
        recording.ended(END);
        let played = flv::packets(&recording.file);
        let who = format!("{encoder} to {}", recording.tool);
        let run = compare::contiguous(&sent, &played, By::Hash)
            .unwrap_or_else(|difference| panic!("{who}: {difference}"));
        eprintln!("{who}: {run:?}");
        assert_eq!(run.offset, 0, "{who}: timestamps are the encoder's own");
        assert!(run.video > 500, "{who}: 20 s are 600 frames: {run:?}");
        assert_whole(recording.tool, run, &who);
    }
    host.stop();
}

#[test]
fn gstreamer_publishes() {
    let _guard = together();
    if !clients::all(&[Tool::Ffmpeg9, Tool::Gstreamer]) {
        return;
    }
    let film = fixture::film(6, 0);
    let host = Host::start(&Config::live(App::open("reject")));
    let encoder = Encoder(Tool::Gstreamer);
    let sent = sent(&host, encoder, &film);
    // Waits for the publisher, so nothing is skipped.
    let mut player = Player(Tool::Ffmpeg9).record(&host.url("live/film"), host.file("played.flv"));
    host.log.wait(
        START,
        "playing: waiting for a publisher",
        &[("stream", "film")],
        END,
    );
    let mut publisher = encoder.publish(&film, &host.url("live/film"));
    let exit = publisher.wait(Duration::from_secs(40));
    assert!(exit.status.success(), "{}", exit.stderr);
    player.ended(END);
    // Its multiplexer makes timestamps that depend on when it was started, so
    // the coded data is compared.
    let run = compare::contiguous(&sent, &flv::packets(&player.file), By::Essence)
        .unwrap_or_else(|difference| panic!("GStreamer to FFmpeg 9: {difference}"));
    eprintln!("GStreamer to FFmpeg 9: {run:?}");
    assert_eq!(run.skipped, 0, "{run:?}");
    assert_whole(Tool::Ffmpeg9, run, "GStreamer to FFmpeg 9");
    host.stop();
}

#[test]
fn every_log_line_of_a_session_says_whose_it_is() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    Witness::start(host.addr, "live", "watched").finish();
    // The last of what is looked for.
    host.log.wait(START, "play ended", &[], END);
    host.log.wait(START, "unpublished", &[], END);
    for message in [
        "publishing",
        "unpublished",
        // One of the two, as the player or the publisher was first.
        "playing",
        "playing: waiting for a publisher",
        "play ended",
    ] {
        for entry in host.log.find(START, message, &[]) {
            assert_eq!(entry.field("app").as_deref(), Some("live"), "{message}");
            let stream = entry.field("stream");
            assert_eq!(stream.as_deref(), Some("watched"), "{message}");
        }
    }
    for message in [
        "connected",
        "publishing",
        "unpublished",
        "play ended",
        "session ended",
    ] {
        host.log.wait(START, message, &[], END);
        for entry in host.log.find(START, message, &[]) {
            assert!(entry.field("conn").is_some(), "{message} without conn");
            assert!(entry.field("remote").is_some(), "{message} without remote");
            assert_eq!(entry.field("app").as_deref(), Some("live"), "{message}");
        }
    }
    host.stop();
}

#[test]
fn each_playback_of_a_connection_counts_its_own_bytes() {
    const FRAMES: u32 = 20;
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    let mut player = Client::connect(host.addr, "live").expect("may connect");
    for name in ["busy", "quiet"] {
        player.start_play(name).expect("may play");
        let waits = "playing: waiting for a publisher";
        host.log.wait(START, waits, &[("stream", name)], END);
    }
    let mut publisher = Client::publish(host.addr, "live", "busy").expect("may publish");
    let mut body = vec![0; 1000];
    for number in 0..FRAMES {
        let first = if number == 0 { 0x17 } else { 0x27 };
        body[..2].copy_from_slice(&[first, 1]);
        publisher
            .media(VIDEO, number * 33, &body)
            .expect("is taken");
        let deadline = Instant::now() + END;
        while player.next(deadline).expect("a message").kind != VIDEO {}
    }
    drop(player);
    let bytes_of = |stream| {
        let ended = host
            .log
            .wait(START, "play ended", &[("stream", stream)], END);
        let bytes = ended.field("bytes_out").expect("what it was sent");
        bytes.parse::<u32>().expect("a number")
    };
    assert!(bytes_of("busy") >= FRAMES * 1000, "{}", bytes_of("busy"));
    assert_eq!(bytes_of("quiet"), 0);
    host.stop();
}

/// What an encoder sends of a film.
pub(crate) fn sent(host: &Host, encoder: Encoder, film: &std::path::Path) -> Vec<flv::Packet> {
    let file = host.file("sent.flv");
    encoder.sent(film, &file);
    flv::packets(&file)
}

/// The run goes on to the last frame sent.
pub(crate) fn assert_whole(player: Tool, run: Run, who: &str) {
    // rtmp2src holds one message for its pipeline, and drops it when it hears
    // that the stream has ended (gstrtmp2src.c: control_callback, stop_task).
    let allowed = usize::from(player == Tool::Gstreamer);
    let (video, audio) = run.missing;
    assert!(
        video + audio <= allowed,
        "{who}: the last frames are missing: {run:?}"
    );
}
