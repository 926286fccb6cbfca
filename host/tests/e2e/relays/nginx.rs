//! To nginx and from it: the same packets.

use std::{thread, time::Duration};

use super::{SOON, forward_to, open, packets, relaying};
use crate::publish_play::sent;
use crate::support::{
    Config, Encoder, Host, Player, Tool, clients,
    compare::{self, By},
    fixture, flv,
    log::START,
    nginx::Nginx,
    rtmp::Client,
    together,
};

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
