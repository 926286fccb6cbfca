//! The frames since the last keyframe, for players that join: bounded by what
//! they cost.
//!
//! Once video has stopped it is the last picture of it, which moves on with the
//! stream: who joins begins in the present, not where the video ended.

use std::sync::Arc;

use super::frame::{Frame, Kind, Role};
use super::headers::{Headers, is_same};
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
    /// So many of them, from the first on, are without sound: video and headers
    /// alone, up to the newest gap. No pause looks at them again.
    silent: usize,
    /// Some of it was forgotten.
    has_forgotten: bool,
    gap: Option<Gap>,
}

/// Where video had stopped: behind the silent frames.
#[derive(Debug, Clone, Copy)]
struct Gap {
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
    /// header that `replaces` another on any track follows in its place.
    pub(super) fn push_header(
        &mut self,
        frame: &Arc<Frame>,
        replaces: bool,
        before: Vec<Arc<Frame>>,
        now: &Headers,
        limit: usize,
    ) {
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
        if self.gap.is_some_and(|gap| gap.until.is_none()) {
            self.silent = self.frames.len();
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
    /// nothing is left: a group is as good as its keyframe. Nor is anything the
    /// second time: a publisher that changes its codec with every message must
    /// not have all frames looked at for each.
    pub(super) fn forget(&mut self, kind: Kind, tracks: Tracks) {
        if self.frames.is_empty() {
            return;
        }
        if kind == Kind::Video || self.has_forgotten {
            return self.clear();
        }
        self.has_forgotten = true;
        let is_gone =
            |frame: &Frame| frame.kind() == kind && frame.slot().tracks.intersects(tracks);
        let before = self.frames.iter().take(self.silent);
        self.silent = before.filter(|frame| !is_gone(frame)).count();
        self.keep_from(0, |frame| !is_gone(frame));
        if let Some(headers) = &mut self.headers {
            headers.retain(|header| {
                header.kind() != kind || !header.slot().tracks.is_subset_of(tracks)
            });
        }
    }

    /// From now on there is audio alone, which is not kept.
    pub(super) fn pause(&mut self) {
        self.keep_from(self.silent, |frame| {
            frame.kind() == Kind::Video || frame.role() == Role::Header
        });
        self.silent = self.frames.len();
        self.gap = Some(Gap { until: None });
    }

    /// Of the frames from number `start` on those stay for which `keeps` says so.
    fn keep_from(&mut self, start: usize, keeps: impl Fn(&Frame) -> bool) {
        let rest = self.frames.split_off(start.min(self.frames.len()));
        for frame in rest {
            if keeps(&frame) {
                self.frames.push(frame);
            } else {
                self.cost = self.cost.saturating_sub(frame.cost());
            }
        }
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
        if let Some(frames) = self.frames.get_mut(..self.silent) {
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

/// Moves `frames` to shortly before `end`, within [`SPAN`], unless the last
/// picture is there or after it. Headers may have come long after it: they go
/// with it.
fn close(frames: &mut [Arc<Frame>], end: u32) {
    let is_picture = |frame: &&Arc<Frame>| frame.role() != Role::Header;
    let Some(last) = frames.iter().rfind(is_picture) else {
        return;
    };
    let last = last.timestamp();
    if !(MAX_LAG..u32::MAX / 2).contains(&end.wrapping_sub(last)) {
        return;
    }
    // Of several tracks the last frame need not be the newest.
    let before_last = |frame: &Arc<Frame>| {
        let before = last.wrapping_sub(frame.timestamp());
        u64::from(if before < u32::MAX / 2 { before } else { 0 })
    };
    let pictures = frames.iter().filter(is_picture);
    let span = pictures.map(before_last).max().unwrap_or_default();
    let squeezed = span.min(SPAN.into());
    let target = end.wrapping_sub(LAG);
    for frame in frames {
        let before = before_last(frame).min(span).saturating_mul(squeezed);
        let before = before.checked_div(span).unwrap_or_default();
        let timestamp = target.wrapping_sub(u32::try_from(before).unwrap_or_default());
        *frame = Arc::new(frame.restamped(timestamp, frame.chunk_size()));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const LIMIT: usize = 1 << 20;

    fn frame(kind: Kind, body: &'static [u8]) -> Arc<Frame> {
        Arc::new(Frame::new(kind, 0, Bytes::from_static(body), 60_000).unwrap())
    }

    fn cost(group: &Group) -> usize {
        group.frames.iter().map(|frame| frame.cost()).sum()
    }

    #[test]
    fn a_pause_looks_at_nothing_that_one_before_has_looked_at() {
        let mut group = Group::default();
        let (inter, sound) = (
            frame(Kind::Video, b"\x27\x01\0\0\0i"),
            frame(Kind::Audio, b"\xaf\x01s"),
        );
        group.push(&frame(Kind::Video, b"\x17\x01\0\0\0k"), LIMIT);
        for pauses in 0..100 {
            assert_eq!(group.silent, 2 * pauses);
            group.resume(0);
            group.push(&inter, LIMIT);
            group.push(&sound, LIMIT);
            if pauses > 0 {
                group.push(&inter, LIMIT);
            }
            group.pause();
            let pictures = 2 * (pauses + 1);
            assert_eq!((group.silent, group.frames.len()), (pictures, pictures));
            assert!(group.frames.iter().all(|frame| frame.kind() == Kind::Video));
            assert_eq!(group.cost, cost(&group));
        }
        // Sound in a place where no pause looks for it any more.
        *group.frames.get_mut(1).unwrap() = sound.clone();
        group.resume(0);
        group.push(&sound, LIMIT);
        group.pause();
        assert_eq!((group.silent, group.frames.len()), (200, 200));
    }

    #[test]
    fn what_is_forgotten_costs_nothing_and_leaves_the_rest() {
        let mut group = Group::default();
        let sound = frame(Kind::Audio, b"\xaf\x01s");
        group.push(&frame(Kind::Video, b"\x17\x01\0\0\0k"), LIMIT);
        group.push(&sound, LIMIT);
        group.pause();
        group.resume(0);
        group.push(&sound, LIMIT);
        group.forget(Kind::Audio, Tracks::DEFAULT);
        assert_eq!((group.silent, group.frames.len()), (1, 1));
        assert_eq!(group.cost, cost(&group));
        group.push(&sound, LIMIT);
        group.forget(Kind::Audio, Tracks::DEFAULT);
        assert!(group.frames.is_empty() && group.cost == 0);
    }
}
