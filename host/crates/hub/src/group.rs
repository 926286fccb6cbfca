//! The frames since the last keyframe, for players that join: bounded by what
//! they cost.
//!
//! Once video has stopped it is the last picture of it, which moves on with the
//! stream: who joins begins in the present, not where the video ended.

use std::sync::Arc;

use livehost_media::time::MILLISECOND;
use livehost_media::{Kind, Packet, Role, Tracks};

use super::frame::Frame;
use super::headers::Headers;

/// How long a group of pictures before a gap lasts for who joins: only its last
/// one is worth a look.
const SPAN: i64 = 500 * MILLISECOND;
/// The last picture before a gap is at least so long before what follows: video
/// that comes back may be sent a little later than audio.
const LAG: i64 = 500 * MILLISECOND;
/// And at most so long: moving it copies the group.
const MAX_LAG: i64 = 1_500 * MILLISECOND;

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
    /// When video came back, on the stream's line.
    until: Option<i64>,
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
        let is_new = !(before.iter()).any(|old| old.packet().has_body_of(frame.packet()));
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
        let is_gone = |packet: &Packet| {
            let scope = packet.scope();
            scope.kind == kind && scope.tracks.intersects(tracks)
        };
        let before = self.frames.iter().take(self.silent);
        self.silent = before.filter(|frame| !is_gone(frame.packet())).count();
        self.keep_from(0, |packet| !is_gone(packet));
        if let Some(headers) = &mut self.headers {
            headers.retain(|header| {
                let scope = header.packet().scope();
                scope.kind != kind || !scope.tracks.is_subset_of(tracks)
            });
        }
    }

    /// From now on there is audio alone, which is not kept.
    pub(super) fn pause(&mut self) {
        self.keep_from(self.silent, |packet| {
            packet.kind() == Kind::Video || packet.role() == Role::Configuration
        });
        self.silent = self.frames.len();
        self.gap = Some(Gap { until: None });
    }

    /// Of the frames from number `start` on those stay for which `keeps` says so.
    fn keep_from(&mut self, start: usize, keeps: impl Fn(&Packet) -> bool) {
        let rest = self.frames.split_off(start.min(self.frames.len()));
        for frame in rest {
            if keeps(frame.packet()) {
                self.frames.push(frame);
            } else {
                self.cost = self.cost.saturating_sub(frame.cost());
            }
        }
    }

    /// Video is back at `dts`.
    pub(super) fn resume(&mut self, dts: i64) {
        if let Some(gap) = &mut self.gap {
            gap.until = Some(dts);
        }
    }

    /// A player is to begin with the group while the stream is at `newest`: what
    /// is before a gap moves to its end. Returns what the group cost before, and
    /// costs after it.
    pub(super) fn prepare(&mut self, newest: i64) -> (usize, usize) {
        let before = self.cost;
        if self.gap.is_some() {
            self.close_gap(newest);
            let costs = self.frames.iter().map(|frame| frame.cost());
            self.cost = costs.fold(0, usize::saturating_add);
        }
        (before, self.cost)
    }

    fn close_gap(&mut self, newest: i64) {
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
fn close(frames: &mut [Arc<Frame>], end: i64) {
    let is_picture = |frame: &&Arc<Frame>| frame.role() != Role::Configuration;
    let Some(last) = frames.iter().rfind(is_picture) else {
        return;
    };
    let last = last.packet().dts();
    if end.saturating_sub(last) < MAX_LAG {
        return;
    }
    // Of several tracks the last frame need not be the newest.
    let before_last = |frame: &Arc<Frame>| last.saturating_sub(frame.packet().dts()).max(0);
    let pictures = frames.iter().filter(is_picture);
    let span = pictures.map(before_last).max().unwrap_or_default();
    let (span, squeezed) = (span / MILLISECOND, span.min(SPAN) / MILLISECOND);
    let target = end.saturating_sub(LAG);
    for frame in frames {
        let before = (before_last(frame) / MILLISECOND).min(span);
        let before = before.saturating_mul(squeezed).checked_div(span);
        let before = before.unwrap_or_default().saturating_mul(MILLISECOND);
        let moved = frame.packet().at(target.saturating_sub(before));
        *frame = Arc::new(Frame::new(moved));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const LIMIT: usize = 1 << 20;

    fn frame(kind: Kind, body: &'static [u8]) -> Arc<Frame> {
        let packet = Packet::from_flv(kind, 0, Bytes::from_static(body));
        Arc::new(Frame::new(packet.unwrap()))
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
            assert!(
                group
                    .frames
                    .iter()
                    .all(|frame| frame.packet().kind() == Kind::Video)
            );
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
