//! The frames since the last keyframe, for players that join: bounded by what
//! they cost.
//!
//! Once video has stopped it is the last picture of it, which moves on with the
//! stream: who joins begins in the present, not where the video ended.

use std::sync::Arc;

use super::frame::{Frame, Kind, Role};
use super::headers::Headers;
use super::tracks::Tracks;

/// How long a group of pictures before a gap lasts for who joins, milliseconds:
/// only its last one is worth a look.
const SPAN: u32 = 500;
/// The last picture before a gap is at least so long before what follows,
/// milliseconds: video that comes back may be sent a little later than audio.
const LAG: u32 = 500;
/// And at most so long: moving it copies the group.
const MAX_LAG: u32 = 1_500;

/// What is kept from the last keyframe on.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Starts with a keyframe, or is empty. Headers are among them that replace
    /// those before.
    frames: Vec<Arc<Frame>>,
    /// The codec headers that it began with, once others have come.
    headers: Option<Vec<Arc<Frame>>>,
    cost: usize,
    gap: Option<Gap>,
}

/// Where video had stopped.
#[derive(Debug, Clone, Copy)]
struct Gap {
    /// How many frames are before it: video and headers alone.
    after: usize,
    /// When video came back, milliseconds on the stream's timeline.
    until: Option<u32>,
}

impl Group {
    /// The frames, to be sent in this order.
    pub(super) fn frames(&self) -> &[Arc<Frame>] {
        &self.frames
    }

    /// The headers that its first frame needs, if they are not the newest.
    pub(super) fn headers(&self) -> Option<&[Arc<Frame>]> {
        self.headers.as_deref()
    }

    /// A frame of media. A group that costs more than `limit` bytes is not kept
    /// at all.
    pub(super) fn push(&mut self, frame: &Arc<Frame>, limit: usize) {
        let is_paused = self.gap.is_some_and(|gap| gap.until.is_none());
        if frame.role() == Role::Keyframe {
            self.clear();
        } else if self.frames.is_empty() || is_paused {
            return;
        }
        self.add(frame, limit);
    }

    /// A codec header. With it the headers `before` became those that are `now`.
    /// What is kept so far was coded under the former, and stays behind them: a
    /// header that replaces another on any track follows in its place.
    pub(super) fn push_header(
        &mut self,
        frame: &Arc<Frame>,
        before: Vec<Arc<Frame>>,
        now: &Headers,
        limit: usize,
    ) {
        let replaces = before.iter().any(|old| {
            let (old_slot, slot) = (old.slot(), frame.slot());
            old_slot.is_like(slot)
                && old_slot.tracks.intersects(slot.tracks)
                && !is_same(old, frame)
                && !old.configured().is_empty()
        });
        let is_new = !before.iter().any(|old| is_same(old, frame));
        // One that configures nothing was left out.
        let counts = now.frames().any(|kept| Arc::ptr_eq(kept, frame))
            || before.len() > now.frames().count();
        let belongs = replaces || is_new && self.headers.is_some();
        if self.frames.is_empty() || !counts || !belongs {
            return;
        }
        self.headers.get_or_insert(before);
        self.add(frame, limit);
        // It moves with the last picture before a gap.
        if let Some(gap) = self.gap.as_mut().filter(|gap| gap.until.is_none()) {
            gap.after = self.frames.len();
        }
    }

    fn add(&mut self, frame: &Arc<Frame>, limit: usize) {
        self.cost = self.cost.saturating_add(frame.cost());
        if self.cost > limit {
            return self.clear();
        }
        self.frames.push(frame.clone());
    }

    /// What there is of these tracks can't be decoded any more. Of video
    /// nothing is left: a group is as good as its keyframe.
    pub(super) fn forget(&mut self, kind: Kind, tracks: Tracks) {
        if kind == Kind::Video {
            return self.clear();
        }
        let is_gone =
            |frame: &Frame| frame.kind() == kind && frame.slot().tracks.intersects(tracks);
        if let Some(gap) = &mut self.gap {
            let before = self.frames.iter().take(gap.after);
            gap.after = before.filter(|frame| !is_gone(frame)).count();
        }
        self.frames.retain(|frame| !is_gone(frame));
        self.cost = self.frames.iter().map(|frame| frame.cost()).sum();
        if let Some(headers) = &mut self.headers {
            headers.retain(|header| {
                header.kind() != kind || !header.slot().tracks.is_subset_of(tracks)
            });
        }
    }

    /// From now on there is audio alone, which is not kept.
    pub(super) fn pause(&mut self) {
        self.frames
            .retain(|frame| frame.kind() == Kind::Video || frame.role() == Role::Header);
        self.cost = self.frames.iter().map(|frame| frame.cost()).sum();
        self.gap = Some(Gap {
            after: self.frames.len(),
            until: None,
        });
    }

    /// Video is back at `timestamp`.
    pub(super) fn resume(&mut self, timestamp: u32) {
        if let Some(gap) = &mut self.gap {
            gap.until = Some(timestamp);
        }
    }

    /// A player is to begin with the group while the stream is at `newest`: what
    /// is before a gap moves to its end.
    pub(super) fn refresh(&mut self, newest: u32) {
        let Some(gap) = self.gap else {
            return;
        };
        if let Some(frames) = self.frames.get_mut(..gap.after) {
            close(frames, gap.until.unwrap_or(newest));
        }
        if gap.until.is_some() {
            self.gap = None;
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Whether two headers say the same of the same.
fn is_same(one: &Frame, other: &Frame) -> bool {
    one.slot() == other.slot() && one.payload() == other.payload()
}

/// Moves `frames` to shortly before `end`, within [`SPAN`], unless they are
/// there or after it.
fn close(frames: &mut [Arc<Frame>], end: u32) {
    let Some(last) = frames.last().map(|frame| frame.timestamp()) else {
        return;
    };
    if !(MAX_LAG..u32::MAX / 2).contains(&end.wrapping_sub(last)) {
        return;
    }
    // Of several tracks the last frame need not be the newest.
    let before_last = |frame: &Arc<Frame>| {
        let before = last.wrapping_sub(frame.timestamp());
        u64::from(if before < u32::MAX / 2 { before } else { 0 })
    };
    let span = frames.iter().map(before_last).max().unwrap_or_default();
    let squeezed = span.min(SPAN.into());
    let target = end.wrapping_sub(LAG);
    for frame in frames {
        let before = before_last(frame).saturating_mul(squeezed);
        let before = before.checked_div(span).unwrap_or_default();
        let timestamp = target.wrapping_sub(u32::try_from(before).unwrap_or_default());
        *frame = Arc::new(frame.restamped(timestamp, frame.chunk_size()));
    }
}
