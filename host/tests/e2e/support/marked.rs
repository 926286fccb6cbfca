//! Publishers whose frames can be told apart by whoever plays them.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    flv::{Packet, Role, Tag, VIDEO},
    rtmp::{Client, Failure},
    witness,
};

/// The video of the clip, `mark` added to every frame's bytes.
pub(crate) fn video(mark: u8) -> Vec<Tag> {
    let (mut round, _) = witness::round();
    round.retain(|tag| tag.kind == VIDEO);
    for tag in &mut round {
        if tag.packet_role() == Role::Frame {
            tag.payload.push(mark);
        }
    }
    round
}

/// How many frames of the clip come before `millis`.
pub(crate) fn frames_before(millis: u32) -> usize {
    let is_sent = |tag: &&Tag| tag.dts < millis && tag.packet_role() == Role::Frame;
    video(0).iter().filter(is_sent).count()
}

/// Sends the marked clip from its beginning up to `millis`, at its own pace.
pub(crate) fn send(client: &mut Client, mark: u8, millis: u32) -> Result<(), Failure> {
    let begin = Instant::now();
    for tag in video(mark).iter().filter(|tag| tag.dts < millis) {
        let due = begin + Duration::from_millis(tag.dts.into());
        thread::sleep(due.saturating_duration_since(Instant::now()));
        client.media(tag.kind, tag.dts, &tag.payload)?;
    }
    Ok(())
}

/// What a player saw of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) mark: u8,
    pub(crate) keyframe: bool,
}

/// Plays until nothing has come for 3 s. Returns the video frames.
pub(crate) fn watch(mut player: Client) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut patience = Duration::from_secs(10);
    while let Ok(message) = player.next(Instant::now() + patience) {
        if message.kind != VIDEO || message.payload.is_empty() {
            continue;
        }
        let packet = Packet::new(VIDEO, message.timestamp, &message.payload);
        if packet.role == Role::Frame {
            patience = Duration::from_secs(3);
            seen.push(Seen {
                mark: *message.payload.last().expect("a frame has bytes"),
                keyframe: packet.keyframe,
            });
        }
    }
    seen
}

/// Exactly `before` frames of the first publisher, then frames of the second
/// from a keyframe on, and nothing else.
pub(crate) fn assert_handed_over(seen: &[Seen], first: u8, second: u8, before: usize) {
    let turn = seen.iter().position(|frame| frame.mark == second);
    let turn = turn.unwrap_or_else(|| panic!("nothing of the second came: {seen:?}"));
    let (of_first, of_second) = seen.split_at(turn);
    assert!(of_first.iter().all(|f| f.mark == first), "{seen:?}");
    assert!(of_second.iter().all(|f| f.mark == second), "{seen:?}");
    assert_eq!(of_first.len(), before, "all of the first came: {seen:?}");
    assert!(of_second[0].keyframe, "starts at a keyframe: {seen:?}");
    eprintln!(
        "{before} frames of the first, then {} of the second from a keyframe on",
        of_second.len()
    );
}
