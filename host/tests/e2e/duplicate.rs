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
        fixture,
        flv::{self, Packet, Role, Tag, VIDEO},
        log::START,
        rtmp::{Client, Failure},
        together, witness,
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

/// The clip with a mark of its own in every frame, so that two publishers'
/// frames can be told apart.
fn marked(mark: u8) -> Vec<Tag> {
    let (mut round, _) = witness::round();
    for tag in &mut round {
        if tag.packet_role() == Role::Frame {
            tag.payload.push(mark);
        }
    }
    round
}

/// Sends the video of the clip up to `millis`, at its own pace.
fn send_until(client: &mut Client, tags: &[Tag], from: u32, to: u32) -> Result<(), Failure> {
    let begin = Instant::now();
    for tag in tags.iter().filter(|tag| tag.kind == VIDEO) {
        let is_header = tag.packet_role() == Role::Header;
        if tag.dts >= to || (tag.dts < from && !(is_header && from == 0)) {
            continue;
        }
        let due = begin + Duration::from_millis(u64::from(tag.dts - from));
        thread::sleep(due.saturating_duration_since(Instant::now()));
        client.media(tag.kind, tag.dts, &tag.payload)?;
    }
    Ok(())
}

/// The marks of the video frames that came, and whether each was a keyframe.
/// Ends once nothing has come for 3 s.
fn watch(mut player: Client) -> Vec<(u8, bool)> {
    let mut seen = Vec::new();
    let mut patience = SOON;
    while let Ok(message) = player.next(Instant::now() + patience) {
        if message.kind != VIDEO || message.payload.is_empty() {
            continue;
        }
        let packet = Packet::new(VIDEO, message.timestamp, &message.payload);
        if packet.role == Role::Frame {
            patience = Duration::from_secs(3);
            let mark = *message.payload.last().expect("a frame has bytes");
            seen.push((mark, packet.keyframe));
        }
    }
    seen
}

/// Frames of the first publisher, then frames of the second from a keyframe
/// on, nothing between or after.
fn assert_handed_over(seen: &[(u8, bool)], first: u8, second: u8, sent_by_first: usize) {
    let turn = seen.iter().position(|(mark, _)| *mark == second);
    let turn = turn.unwrap_or_else(|| panic!("nothing of the second came: {seen:?}"));
    let (before, after) = seen.split_at(turn);
    assert!(before.iter().all(|(mark, _)| *mark == first), "{seen:?}");
    assert!(after.iter().all(|(mark, _)| *mark == second), "{seen:?}");
    assert!(before[0].1 && after[0].1, "starts at a keyframe: {seen:?}");
    assert_eq!(before.len(), sent_by_first, "all of the first came");
    eprintln!(
        "{} frames of the first, then {} of the second from a keyframe on",
        before.len(),
        after.len()
    );
}

#[test]
fn replace_closes_the_first_and_keeps_the_players() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("replace")));
    let player = Client::play(host.addr, "live", "cam").expect("may play");
    let player = thread::spawn(move || watch(player));
    let mut first = Client::publish(host.addr, "live", "cam").expect("may publish");
    send_until(&mut first, &marked(1), 0, 500).expect("the first sends");
    // Media is on its way; what arrives before the newcomer's claim counts.
    thread::sleep(Duration::from_millis(200));
    let mut second = Client::publish(host.addr, "live", "cam").expect("replaces the first");
    assert!(first.closed(SOON), "the first is closed");
    host.log
        .wait(START, "unpublished", &[("reason", "replaced")], SOON);
    send_until(&mut second, &marked(2), 0, 500).expect("the second sends");
    let seen = player.join().expect("the player");
    assert_handed_over(&seen, 1, 2, frames_before(500));
    drop(second);
    host.stop();
}

#[test]
fn standby_takes_over_when_the_first_is_lost() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("standby")));
    let player = Client::play(host.addr, "live", "cam").expect("may play");
    let player = thread::spawn(move || watch(player));
    let mut first = Client::publish(host.addr, "live", "cam").expect("may publish");
    let mut second = Client::publish(host.addr, "live", "cam").expect("may stand by");
    host.log.wait(
        START,
        "standing by behind the stream's publisher",
        &[("stream", "cam")],
        SOON,
    );
    // Both send; the second's first group of pictures is for nobody.
    let standing_by =
        thread::spawn(move || send_until(&mut second, &marked(2), 0, 3000).map(|()| second));
    send_until(&mut first, &marked(1), 0, 500).expect("the first sends");
    thread::sleep(Duration::from_millis(200));
    let begin = Instant::now();
    first.reset();
    let lost = host.log.wait(START, "unpublished", &[], SOON);
    eprintln!("the first was missed after {:?}", lost.at - begin);
    let second = standing_by.join().expect("the second").expect("it sends");
    let seen = player.join().expect("the player");
    // The second's keyframes are at 0 and 2 s; the first was lost after 0.7 s.
    assert_handed_over(&seen, 1, 2, frames_before(500));
    drop(second);
    host.stop();
}

fn frames_before(millis: u32) -> usize {
    let (round, _) = witness::round();
    let video = round.iter().filter(|tag| tag.kind == VIDEO);
    video
        .filter(|tag| tag.dts < millis && tag.packet_role() == Role::Frame)
        .count()
}
