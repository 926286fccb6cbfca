//! Whether a stream's players can count on video.
//!
//! With video, a player's audio waits for the keyframe, so that sound and
//! picture begin together. That is right as long as a keyframe is to be
//! expected: a camera that is switched off, or was never on, sends none, and
//! neither does an encoder that refreshes its picture bit by bit. Then nothing
//! waits. And audio does not wait for the end of a group of pictures that is
//! larger than what is kept of it.

use crate::time::{MILLISECOND, distance};
use crate::{Kind, Packet, Role};

/// Audio without any video for so long: the video has stopped. Longer than the
/// time between two frames of slow video, and than what audio may be ahead of
/// video in sending order.
const STOPPED_AFTER: i64 = 5_000 * MILLISECOND;
/// A longer time between two messages counts as so much: in a gap of everything
/// video has not stopped alone, and a group of pictures is no longer for it.
const MAX_STEP: i64 = 1_000 * MILLISECOND;
/// After so long no keyframe is expected any more, unless the stream had groups
/// of pictures of that length. Encoders are set to 2 to 20 s.
const ENDLESS_AFTER: i64 = 30_000 * MILLISECOND;
/// The same for a group of pictures that is larger than what is kept: who joins
/// has nothing of its video meanwhile.
const LARGE_ENDLESS_AFTER: i64 = 20_000 * MILLISECOND;
/// A longer group of pictures counts as so much: nobody waits for longer than
/// two of them.
const LONGEST_GROUP: i64 = 60_000 * MILLISECOND;

/// The video of a stream, as far as its players' waiting is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Video {
    /// Neither was there any, nor is it promised.
    #[default]
    Never,
    /// It sends nothing, and audio waits for nothing: so far there is a header
    /// alone, or it has stopped while audio goes on.
    Off,
    /// Audio waits for a keyframe.
    Going,
    /// The group of pictures is larger than what is kept: video alone waits for
    /// a keyframe.
    Large,
    /// It goes on without a keyframe to be expected: nothing waits.
    Endless,
}

/// How a packet has changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VideoTurn {
    /// The first video.
    Begins,
    /// Audio has gone on alone for too long.
    Stops,
    /// The first video since it stopped.
    Returns,
    /// The group of pictures has gone on for too long, for the first time.
    LosesKeyframes,
}

/// Finds out by the packets that pass.
#[derive(Debug, Default)]
pub struct VideoWatch {
    video: Video,
    /// There was some, now or before it stopped.
    has_begun: bool,
    /// How long audio has been alone: since the newest video.
    alone: Span,
    group: OpenGroup,
    /// The longest group of pictures so far, nanoseconds.
    longest_group: i64,
    /// It was said that no keyframe is expected. Once: groups may go on for too
    /// long again and again.
    has_lost_keyframes: bool,
}

/// What came since the newest keyframe, or since video began.
#[derive(Debug, Default)]
struct OpenGroup {
    has_keyframe: bool,
    cost: usize,
    lasts: Span,
}

/// Time that passes by the packets of a kind, nanoseconds.
#[derive(Debug, Default)]
struct Span {
    newest: Option<i64>,
    length: i64,
}

impl Span {
    /// Tracks of one kind need not go exactly together: what is a little behind
    /// the newest adds nothing. What is far behind is another clock's, as of a
    /// publisher that took over.
    fn note(&mut self, dts: i64) {
        let step = distance(*self.newest.get_or_insert(dts), dts);
        if step >= 0 {
            self.length = self.length.saturating_add(step.min(MAX_STEP));
        } else if step >= -MAX_STEP {
            return;
        }
        self.newest = Some(dts);
    }
}

impl VideoWatch {
    /// Notes a packet, in sending order, that costs so many bytes to keep.
    /// `limit` bounds those of a group of pictures that are kept for players
    /// that join; 0 keeps none.
    pub fn note(&mut self, packet: &Packet, cost: usize, limit: usize) -> Option<VideoTurn> {
        let turn = match packet.kind() {
            Kind::Video if packet.is_coded() => self.note_video(packet),
            // What names no codec is no promise of video: a command to those
            // that decode.
            Kind::Video if self.video == Video::Never && packet.codec().is_some() => {
                self.video = Video::Off;
                None
            }
            Kind::Audio if packet.is_coded() => self.note_audio(packet.dts()),
            _ => None,
        };
        if matches!(self.video, Video::Never | Video::Off) {
            return turn;
        }
        self.group.cost = self.group.cost.saturating_add(cost);
        if self.video == Video::Endless {
            return turn;
        }
        let is_large = limit > 0 && self.group.cost > limit;
        if self.is_endless(is_large) {
            self.video = Video::Endless;
            if turn.is_none() && !std::mem::replace(&mut self.has_lost_keyframes, true) {
                return Some(VideoTurn::LosesKeyframes);
            }
        } else if is_large {
            self.video = Video::Large;
        }
        turn
    }

    /// What is kept of the present group of pictures cost so many bytes
    /// `before`, and costs so many `now`.
    pub fn recount(&mut self, before: usize, now: usize) {
        let others = self.group.cost.saturating_sub(before);
        self.group.cost = others.saturating_add(now);
    }

    fn note_video(&mut self, packet: &Packet) -> Option<VideoTurn> {
        self.alone = Span::default();
        self.group.lasts.note(packet.dts());
        let is_keyframe = packet.role() == Role::Keyframe;
        if is_keyframe {
            self.begin_group(packet.dts());
        }
        let before = self.video;
        if before != Video::Endless || is_keyframe {
            self.video = Video::Going;
        }
        let had_begun = std::mem::replace(&mut self.has_begun, true);
        match before {
            Video::Never | Video::Off if had_begun => Some(VideoTurn::Returns),
            Video::Never | Video::Off => Some(VideoTurn::Begins),
            Video::Going | Video::Large | Video::Endless => None,
        }
    }

    fn begin_group(&mut self, dts: i64) {
        if self.group.has_keyframe {
            let lasted = self.group.lasts.length.min(LONGEST_GROUP);
            self.longest_group = self.longest_group.max(lasted);
        }
        self.group = OpenGroup {
            has_keyframe: true,
            ..OpenGroup::default()
        };
        self.group.lasts.note(dts);
    }

    fn note_audio(&mut self, dts: i64) -> Option<VideoTurn> {
        self.alone.note(dts);
        let is_off = matches!(self.video, Video::Never | Video::Off);
        if is_off || self.alone.length < STOPPED_AFTER {
            return None;
        }
        self.video = Video::Off;
        Some(VideoTurn::Stops)
    }

    /// Whether the present group of pictures is no more one whose end is to be
    /// waited for: longer than encoders are set to, and far longer than those
    /// before it. Size alone says nothing: 25 Mbit/s outgrow what is kept within
    /// some seconds.
    fn is_endless(&self, is_large: bool) -> bool {
        let lasts = self.group.lasts.length;
        let after = if is_large {
            LARGE_ENDLESS_AFTER
        } else {
            ENDLESS_AFTER
        };
        lasts > after && lasts >= self.longest_group.saturating_mul(2)
    }

    /// What was found out so far.
    pub fn video(&self) -> Video {
        self.video
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const COST: usize = 800;

    fn video(is_keyframe: bool, dts: i64) -> Packet {
        let body: &[u8] = if is_keyframe {
            b"\x17\x01\0\0\0k"
        } else {
            b"\x27\x01\0\0\0i"
        };
        Packet::from_flv(Kind::Video, dts, Bytes::from_static(body)).unwrap()
    }

    #[test]
    fn it_is_said_once_that_no_keyframe_is_expected() {
        let mut watch = VideoWatch::default();
        let mut turns = Vec::new();
        let mut note = |is_keyframe, dts| {
            turns.extend(watch.note(&video(is_keyframe, dts), COST, COST));
        };
        let mut at = 0;
        // The first is short, so that each of the others is twice as long.
        for seconds in [1, 30, 70, 200, 200, 200] {
            note(true, at);
            for _ in 0..seconds {
                at += 1_000 * MILLISECOND;
                note(false, at);
            }
        }
        assert_eq!(turns, [VideoTurn::Begins, VideoTurn::LosesKeyframes]);
        // However much comes: no time passes.
        let mut watch = VideoWatch::default();
        for _ in 0..100 {
            let turn = watch.note(&video(false, 0), 1_000, COST);
            assert_ne!(turn, Some(VideoTurn::LosesKeyframes));
        }
    }

    #[test]
    fn what_a_group_costs_may_change() {
        let mut watch = VideoWatch::default();
        watch.note(&video(true, 0), COST, 2 * COST);
        assert_eq!(watch.video(), Video::Going);
        watch.recount(COST, 2 * COST);
        watch.note(&video(false, MILLISECOND), 1, 2 * COST);
        assert_eq!(watch.video(), Video::Large);
    }
}
