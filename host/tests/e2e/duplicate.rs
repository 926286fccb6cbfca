//! A second publisher of a name that is live.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    publish_play::{assert_whole, sent},
    support::{
        App, Config, Encoder, Host, Player, Tool, clients,
        compare::{self, By},
        fixture, flv,
        log::START,
        marked,
        rtmp::Client,
        together,
    },
};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn reject_leaves_the_first_untouched() {
    let _guard = together();
    if !clients::all(&[Tool::Ffmpeg9, Tool::Ffmpeg5]) {
        return;
    }
    let film = fixture::film(6, 0);
    let host = Host::start(&Config::live(App::open("reject")));
    let sent = sent(&host, Encoder(Tool::Ffmpeg9), &film);
    let url = host.url("live/film");
    let mut player = Player(Tool::Ffmpeg9).record(&url, host.file("played.flv"));
    let waiting = "playing: waiting for a publisher";
    host.log.wait(START, waiting, &[], SOON);
    let mut first = Encoder(Tool::Ffmpeg9).publish(&film, &url);
    host.log.wait(START, "publishing", &[], SOON);
    for tool in [Tool::Ffmpeg5, Tool::Ffmpeg9] {
        let mark = host.log.mark();
        let exit = Encoder(tool).publish(&film, &url).wait(SOON);
        assert!(
            !exit.status.success(),
            "{tool} published a name that is live"
        );
        let refused = host.log.wait(mark, "publish refused", &[], SOON);
        let reason = refused.field("reason").expect("a refusal has a reason");
        assert_eq!(
            refused.field("code").as_deref(),
            Some("NetStream.Publish.BadName")
        );
        eprintln!("{tool} was told: {}", exit.stderr.replace('\n', " / "));
        assert!(
            exit.stderr.contains(&reason),
            "{tool} shows {reason:?}: {}",
            exit.stderr
        );
    }
    let exit = first.wait(Duration::from_secs(40));
    assert!(exit.status.success(), "{}", exit.stderr);
    player.ended(SOON);
    let run = compare::contiguous(&sent, &flv::packets(&player.file), By::Hash)
        .unwrap_or_else(|difference| panic!("the first publisher suffered: {difference}"));
    assert_eq!((run.skipped, run.offset), (0, 0), "{run:?}");
    assert_whole(Tool::Ffmpeg9, run, "first publisher");
    host.stop();
}

/// A streamer's address is no business of who may publish, too.
#[test]
fn who_is_refused_does_not_hear_who_publishes() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    let first = Client::publish(host.addr, "live", "cam").expect("may publish");
    let refused = Client::publish(host.addr, "live", "cam").expect_err("it is taken");
    assert_eq!(refused.code(), "NetStream.Publish.BadName");
    let told = refused.description();
    assert!(told.contains("the stream is busy"), "{told}");
    let address = first.local();
    for hidden in address.split(':') {
        assert!(!told.contains(hidden), "{hidden} is in {told}");
    }
    let its = [("publisher", &*address)];
    let logged = host.log.wait(START, "publish refused", &its, SOON);
    assert_eq!(logged.field("reason").as_deref(), Some(told));
    host.stop();
}

#[test]
fn replace_closes_the_first_and_keeps_the_players() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("replace")));
    let player = Client::playing(host.addr, "live", "cam").expect("may play");
    let player = thread::spawn(move || marked::watch(player));
    let mut first = Client::publish(host.addr, "live", "cam").expect("may publish");
    marked::send(&mut first, 1, 500).expect("the first sends");
    // Media is on its way; what arrives before the newcomer's claim counts.
    thread::sleep(Duration::from_millis(200));
    let mut second = Client::publish(host.addr, "live", "cam").expect("replaces the first");
    assert!(first.closed(SOON), "the first is closed");
    host.log
        .wait(START, "unpublished", &[("reason", "replaced")], SOON);
    marked::send(&mut second, 2, 500).expect("the second sends");
    let seen = player.join().expect("the player");
    marked::assert_handed_over(&seen, 1, 2, marked::frames_before(500));
    drop(second);
    host.stop();
}

#[test]
fn standby_takes_over_when_the_first_is_lost() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("standby")));
    let player = Client::playing(host.addr, "live", "cam").expect("may play");
    let player = thread::spawn(move || marked::watch(player));
    let mut first = Client::publish(host.addr, "live", "cam").expect("may publish");
    let mut second = Client::publish(host.addr, "live", "cam").expect("may stand by");
    host.log.wait(
        START,
        "standing by behind the stream's publisher",
        &[("stream", "cam")],
        SOON,
    );
    // Both send; the second's first group of pictures is for nobody.
    let standing_by = thread::spawn(move || marked::send(&mut second, 2, 3000).map(|()| second));
    marked::send(&mut first, 1, 500).expect("the first sends");
    thread::sleep(Duration::from_millis(200));
    let begin = Instant::now();
    first.reset();
    let lost = host.log.wait(START, "unpublished", &[], SOON);
    eprintln!("the first was missed after {:?}", lost.at - begin);
    let second = standing_by.join().expect("the second").expect("it sends");
    let seen = player.join().expect("the player");
    // The second's keyframes are at 0 and 2 s; the first was lost after 0.7 s.
    marked::assert_handed_over(&seen, 1, 2, marked::frames_before(500));
    drop(second);
    host.stop();
}
