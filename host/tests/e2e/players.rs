//! Players that people watch with, and GStreamer's older elements.

use std::time::Duration;

use crate::{
    publish_play::{assert_whole, sent},
    support::{
        App, Config, Encoder, Host, Player, Tool, clients,
        compare::{self, By},
        fixture, flv,
        log::{Mark, START},
        together,
        viewer::{Seen, Viewer},
    },
};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn vlc_shows_every_picture() {
    shows_every_picture(Tool::Vlc);
}

#[test]
fn mpv_shows_every_picture() {
    shows_every_picture(Tool::Mpv);
}

fn shows_every_picture(tool: Tool) {
    let _guard = together();
    if !clients::all(&[Tool::Ffmpeg9, tool]) {
        return;
    }
    let film = fixture::film(6, 0);
    let sent = Seen::of(&film);
    assert!(
        sent.pictures.len() == 180 && sent.sound > 0,
        "{}",
        sent.sound
    );
    let host = Host::start(&Config::live(App::open("reject")));
    let url = host.url("live/film");
    let mut viewing = Viewer(tool).watch(&url, &host.file("seen"));
    await_waiting(&host, START);
    let mut publisher = Encoder(Tool::Ffmpeg9).publish(&film, &url);
    let exit = publisher.wait(SOON);
    assert!(exit.status.success(), "{}", exit.stderr);
    viewing.ended(SOON);
    let seen = viewing.seen();
    let count = seen
        .of_film(&sent, 0)
        .unwrap_or_else(|difference| panic!("{tool}: {difference}\n{}", viewing.process.tail()));
    eprintln!("{tool}: {count} pictures, {} bytes of sound", seen.sound);
    host.stop();
}

fn await_waiting(host: &Host, since: Mark) {
    let waiting = "playing: waiting for a publisher";
    host.log.wait(since, waiting, &[("stream", "film")], SOON);
}

#[test]
fn the_old_elements_of_gstreamer_publish_and_play() {
    let _guard = together();
    let tool = Tool::GstreamerLibrtmp;
    if !clients::all(&[Tool::Ffmpeg9, tool]) {
        return;
    }
    let film = fixture::film(6, 0);
    let host = Host::start(&Config::live(App::open("reject")));
    let url = host.url("live/film");
    let sent = sent(&host, Encoder(tool), &film);
    let mut recordings = Vec::new();
    for (player, name) in [(tool, "old.flv"), (Tool::Ffmpeg9, "new.flv")] {
        let mark = host.log.mark();
        recordings.push(Player(player).record(&url, host.file(name)));
        await_waiting(&host, mark);
    }
    let mark = host.log.mark();
    let exit = Encoder(tool).publish(&film, &url).wait(SOON);
    assert!(exit.status.success(), "{}", exit.stderr);
    // rtmpsrc comes back for the next publisher, whoever has left.
    await_waiting(&host, mark);
    recordings[0].process.kill();
    for recording in &mut recordings {
        recording.ended(SOON);
        let who = format!("{tool} to {}", recording.tool);
        // Its multiplexer makes its own timestamps.
        let run = compare::contiguous(&sent, &flv::packets(&recording.file), By::Essence)
            .unwrap_or_else(|difference| panic!("{who}: {difference}"));
        eprintln!("{who}: {run:?}");
        assert_eq!(run.skipped, 0, "{who}: {run:?}");
        assert_whole(recording.tool, run, &who);
    }
    host.stop();
}
