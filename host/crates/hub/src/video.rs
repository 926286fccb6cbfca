//! Whether a stream's players can count on video.
//!
//! With video, a player's audio waits for the keyframe, so that sound and
//! picture begin together. That is right as long as a keyframe is to be
//! expected: a camera that is switched off, or was never on, sends none, and
//! neither does an encoder that refreshes its picture bit by bit. Then nothing
//! waits. And audio does not wait for the end of a group of pictures that is
//! larger than what is kept of it.

use super::frame::{Kind, Role};

/// Milliseconds of audio without any video after which the video has stopped.
/// Longer than the time between two frames of slow video, and than what audio
/// may be ahead of video in sending order.
const STOPPED_AFTER: u32 = 5_000;
/// A longer time between two messages counts as so much: in a gap of everything
/// video has not stopped alone, and a group of pictures is no longer for it.
const MAX_STEP: u32 = 1_000;
/// Milliseconds after which no keyframe is expected any more, unless the stream
/// had groups of pictures of that length. Encoders are set to 2 to 20 s.
const ENDLESS_AFTER: u32 = 30_000;
/// The same for a group of pictures that is larger than what is kept: who joins
/// has nothing of its video meanwhile.
const LARGE_ENDLESS_AFTER: u32 = 20_000;
/// A longer group of pictures counts as so much, milliseconds: nobody waits
/// for longer than two of them.
const LONGEST_GROUP: u32 = 60_000;

/// The video of a stream, as far as its players' waiting is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Video {
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

/// How a frame has changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The first video.
    Begins,
    /// Audio has gone on alone for too long.
    Stops,
    /// The first video since it stopped.
    Returns,
    /// The group of pictures has gone on for too long, for the first time.
    LosesKeyframes,
}

/// What a frame says of the video.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) kind: Kind,
    pub(super) role: Role,
    /// Audio or video itself, not what is said about it.
    pub(super) is_coded: bool,
    /// What names no codec is no promise of video: a command to those that
    /// decode.
    pub(super) names_codec: bool,
    /// Milliseconds on the stream's timeline.
    pub(super) timestamp: u32,
    pub(super) cost: usize,
}

/// Finds out by the frames that pass.
#[derive(Debug, Default)]
pub(super) struct VideoWatch {
    video: Video,
    /// There was some, now or before it stopped.
    has_begun: bool,
    /// How long audio has been alone: since the newest video.
    alone: Span,
    group: OpenGroup,
    /// The longest group of pictures so far, milliseconds.
    longest_group: u32,
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

/// Time that passes by the frames of a kind, milliseconds.
#[derive(Debug, Default)]
struct Span {
    /// On the stream's timeline.
    newest: Option<u32>,
    length: u32,
}

impl Span {
    /// Tracks of one kind need not go exactly together: what is a little behind
    /// the newest adds nothing. What is far behind is another clock's, as of a
    /// publisher that took over.
    fn note(&mut self, timestamp: u32) {
        let newest = *self.newest.get_or_insert(timestamp);
        let step = timestamp.wrapping_sub(newest);
        if step < u32::MAX / 2 {
            self.length = self.length.saturating_add(step.min(MAX_STEP));
        } else if newest.wrapping_sub(timestamp) <= MAX_STEP {
            return;
        }
        self.newest = Some(timestamp);
    }
}

impl VideoWatch {
    /// Notes a frame, in sending order. `limit` bounds the bytes of a group of
    /// pictures that are kept for players that join; 0 keeps none.
    pub(super) fn note(&mut self, seen: Seen, limit: usize) -> Option<Turn> {
        let turn = match seen.kind {
            Kind::Video if seen.is_coded => self.note_video(seen),
            Kind::Video if self.video == Video::Never && seen.names_codec => {
                self.video = Video::Off;
                None
            }
            Kind::Audio if seen.is_coded => self.note_audio(seen.timestamp),
            _ => None,
        };
        if matches!(self.video, Video::Never | Video::Off) {
            return turn;
        }
        self.group.cost = self.group.cost.saturating_add(seen.cost);
        if self.video == Video::Endless {
            return turn;
        }
        let is_large = limit > 0 && self.group.cost > limit;
        if self.is_endless(is_large) {
            self.video = Video::Endless;
            if turn.is_none() && !std::mem::replace(&mut self.has_lost_keyframes, true) {
                return Some(Turn::LosesKeyframes);
            }
        } else if is_large {
            self.video = Video::Large;
        }
        turn
    }

    fn note_video(&mut self, seen: Seen) -> Option<Turn> {
        self.alone = Span::default();
        self.group.lasts.note(seen.timestamp);
        let is_keyframe = seen.role == Role::Keyframe;
        if is_keyframe {
            self.begin_group(seen.timestamp);
        }
        let before = self.video;
        if before != Video::Endless || is_keyframe {
            self.video = Video::Going;
        }
        let had_begun = std::mem::replace(&mut self.has_begun, true);
        match before {
            Video::Never | Video::Off if had_begun => Some(Turn::Returns),
            Video::Never | Video::Off => Some(Turn::Begins),
            Video::Going | Video::Large | Video::Endless => None,
        }
    }

    fn begin_group(&mut self, timestamp: u32) {
        if self.group.has_keyframe {
            let lasted = self.group.lasts.length.min(LONGEST_GROUP);
            self.longest_group = self.longest_group.max(lasted);
        }
        self.group = OpenGroup {
            has_keyframe: true,
            ..OpenGroup::default()
        };
        self.group.lasts.note(timestamp);
    }

    fn note_audio(&mut self, timestamp: u32) -> Option<Turn> {
        self.alone.note(timestamp);
        let is_off = matches!(self.video, Video::Never | Video::Off);
        if is_off || self.alone.length < STOPPED_AFTER {
            return None;
        }
        self.video = Video::Off;
        Some(Turn::Stops)
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

    pub(super) fn video(&self) -> Video {
        self.video
    }
}
