//! Keeps a stream's time continuous, whatever its publishers' clocks do. The
//! rule and its reasons are in `docs/timestamps.md`.
//!
//! Flows in: the time of every packet on its publisher's clock, and when it
//! came. Flows out: its place on the stream's line, in nanoseconds. The line does
//! not wrap. A publisher's clock may, as RTMP's does after 2^32 milliseconds, so
//! two of its times are as far apart as the shorter way around. Audio and video
//! have a clock each, since one may jump before the other does; both come back
//! to the same offset, so that they stay in sync as the publisher has them.

use std::time::Instant;

use crate::Kind;
use crate::time::{MILLISECOND, distance, wrapped};

/// A step back of one track that is passed on: frames that are slightly out of
/// order.
const JITTER: i64 = 100 * MILLISECOND;
/// A step back to another track of the same kind that is passed on: tracks need
/// not go exactly together.
const BACK: i64 = 1_000 * MILLISECOND;
/// A step forward that is passed on even if less time has passed: media that is
/// sent faster than it plays.
const FORWARD: i64 = 3_000 * MILLISECOND;
/// How far audio and video may lie apart and still have the same clock.
const SKEW: i64 = 10_000 * MILLISECOND;
/// Steps longer than this are no interval between two frames.
const LONGEST_STEP: i64 = 1_000 * MILLISECOND;

/// The line of one stream.
#[derive(Debug, Default)]
pub struct Timeline {
    audio: Clock,
    video: Clock,
    /// The newest media that went out, of either kind.
    newest: Option<LinePoint>,
    lead: Lead,
    verdict: Option<Verdict>,
    /// When the first media came: what [`LinePoint::now`] counts from.
    origin: Option<Instant>,
    /// Of data before any media.
    data: i64,
    jumps: u64,
}

/// Where the timeline puts a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Nanoseconds on the stream's line.
    pub dts: i64,
    /// The publisher's clock has jumped with it, for the how many-th time: to be
    /// told once, since it might jump all the time.
    pub jump: Option<u64>,
}

/// Where a packet was put, and when that was.
#[derive(Debug, Clone, Copy)]
struct LinePoint {
    /// Nanoseconds.
    at: i64,
    /// Nanoseconds since the first media came.
    now: i64,
}

/// The clock of one kind of media.
#[derive(Debug, Default)]
struct Clock {
    /// Added to the publisher's times, and wrapped as they are; none until the
    /// publisher has sent media of this kind.
    offset: Option<i64>,
    /// The newest that went out, of this publisher or the one before.
    last: Option<LinePoint>,
    /// The track that was newest.
    track: u8,
    /// Between its last two frames, nanoseconds.
    step: i64,
}

/// What was made of an unusual step of one kind: the other kind's, when it
/// comes, is the same step.
#[derive(Debug, Clone, Copy)]
struct Verdict {
    kind: Kind,
    /// What the step had too much, nanoseconds.
    excess: i64,
    continues: bool,
    /// As [`LinePoint::now`].
    now: i64,
}

/// How far media is ahead of the time that has passed: a live publisher's keep
/// the same distance, and a pause does not move it; a jump does.
#[derive(Debug, Default)]
struct Lead {
    /// The most so far. It sinks by a thousandth of the time that passes, more
    /// than the clocks of publisher and server can drift apart.
    most: Option<LinePoint>,
}

impl Timeline {
    /// Another publisher continues for the same players.
    pub fn splice(&mut self) {
        self.audio.offset = None;
        self.video.offset = None;
        self.verdict = None;
        self.jumps = 0;
    }

    /// A publisher starts anew; nobody is left who saw the former.
    pub fn restart(&mut self) {
        *self = Self::default();
    }

    /// The time of the newest media, 0 before the first.
    pub fn newest(&self) -> i64 {
        self.newest.map_or(self.data, |newest| newest.at)
    }

    /// The place of a packet with the time `dts` on its publisher's clock: of
    /// coded media on `track`, or of something about it, which has none. Only
    /// coded media moves the time: configurations and data go where the media
    /// is, whatever they say.
    pub fn place(&mut self, kind: Kind, track: Option<u8>, dts: i64, now: Instant) -> Placed {
        let (Some(track), Kind::Audio | Kind::Video) = (track, kind) else {
            return Placed {
                dts: self.follow(kind, dts),
                jump: None,
            };
        };
        let origin = *self.origin.get_or_insert(now);
        let now = now.saturating_duration_since(origin).as_nanos();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let (placed, jump) = match self.in_line(kind, track, dts, now) {
            Some(placed) => (placed, None),
            None => self.rejoin(kind, dts, now),
        };
        self.lead.note(placed, now);
        let place = LinePoint { at: placed, now };
        if self.newest.is_none_or(|newest| newest.at <= placed) {
            self.newest = Some(place);
        }
        self.clock(kind).note(track, place);
        Placed { dts: placed, jump }
    }

    /// The place on the clock that this kind of media has, if it is one that
    /// continues what was before.
    fn in_line(&mut self, kind: Kind, track: u8, dts: i64, now: i64) -> Option<i64> {
        let clock = self.clock_of(kind);
        let (offset, last) = (clock.offset?, clock.last?);
        let step = distance(last.at, dts.saturating_add(offset));
        let placed = last.at.saturating_add(step);
        let excess = step.saturating_sub(clock.step);
        let is_same_step = |verdict: &Verdict| {
            verdict.kind != kind
                && since(verdict.now, now) <= SKEW
                && verdict.excess.saturating_sub(excess).saturating_abs() <= JITTER
        };
        let is_other_track = track != clock.track;
        let continues = match self.verdict.filter(is_same_step) {
            Some(verdict) => verdict.continues,
            None if step > FORWARD => !self.lead.is_exceeded_by(placed, now),
            None if is_other_track => step >= -BACK,
            None => step >= -JITTER,
        };
        if step > LONGEST_STEP || step < 0 && !is_other_track {
            self.verdict = Some(Verdict {
                kind,
                excess,
                continues,
                now,
            });
        }
        continues.then_some(placed)
    }

    /// The first of a kind, or a jump: a place that continues, and a clock that
    /// leads there. With the number of the jump.
    fn rejoin(&mut self, kind: Kind, dts: i64, now: i64) -> (i64, Option<u64>) {
        let own = self.clock_of(kind);
        let other = self.other_of(kind);
        let is_jump = own.offset.is_some();
        // Where it would continue, by the time that passed.
        let base = if is_jump { own.last } else { self.newest };
        let Some(base) = base else {
            // The first of all: as the publisher has it.
            self.clock(kind).offset = Some(0);
            return (dts, None);
        };
        let step = own.step.max(since(base.now, now)).max(MILLISECOND);
        let expected = base.at.saturating_add(step);
        let floor = own.last.map_or(i64::MIN, |last| {
            last.at.saturating_add(own.step.max(MILLISECOND))
        });
        let with_other = match (other.offset, other.last) {
            (Some(offset), Some(last)) if own.offset != Some(offset) => {
                let ahead = distance(last.at, dts.saturating_add(offset));
                Some((offset, last.at.saturating_add(ahead)))
            }
            _ => None,
        };
        let placed = match with_other {
            // It jumped as the other did, or belongs to it from the start.
            Some((offset, placed)) if expected.saturating_sub(placed).saturating_abs() <= SKEW => {
                // What makes this one continue moves both: they stay in sync.
                let missing = floor.saturating_sub(placed).max(0);
                let offset = wrapped(offset.saturating_add(missing));
                self.other(kind).offset = Some(offset);
                placed.saturating_add(missing)
            }
            _ => expected.max(floor),
        };
        self.clock(kind).offset = Some(wrapped(placed.saturating_sub(dts)));
        let jump = is_jump.then(|| {
            self.jumps = self.jumps.saturating_add(1);
            self.jumps
        });
        (placed, jump)
    }

    /// Configurations and data: at their own time where that is near the media,
    /// else at the newest.
    fn follow(&mut self, kind: Kind, dts: i64) -> i64 {
        let Some(newest) = self.newest else {
            self.data = dts;
            return dts;
        };
        let of_kind = match kind {
            Kind::Data => None,
            _ => self.clock_of(kind).offset,
        };
        let Some(offset) = of_kind.or(self.video.offset).or(self.audio.offset) else {
            return newest.at;
        };
        let ahead = distance(newest.at, dts.saturating_add(offset));
        if (-BACK..=FORWARD).contains(&ahead) {
            newest.at.saturating_add(ahead)
        } else {
            newest.at
        }
    }

    fn clock_of(&self, kind: Kind) -> &Clock {
        match kind {
            Kind::Audio => &self.audio,
            _ => &self.video,
        }
    }

    fn other_of(&self, kind: Kind) -> &Clock {
        match kind {
            Kind::Audio => &self.video,
            _ => &self.audio,
        }
    }

    fn clock(&mut self, kind: Kind) -> &mut Clock {
        match kind {
            Kind::Audio => &mut self.audio,
            _ => &mut self.video,
        }
    }

    fn other(&mut self, kind: Kind) -> &mut Clock {
        match kind {
            Kind::Audio => &mut self.video,
            _ => &mut self.audio,
        }
    }
}

impl Clock {
    fn note(&mut self, track: u8, place: LinePoint) {
        let step = self.last.map_or(0, |last| place.at.saturating_sub(last.at));
        if self.last.is_none() || step >= 0 {
            self.last = Some(place);
            self.track = track;
        }
        if (1..=LONGEST_STEP).contains(&step) {
            self.step = step;
        }
    }
}

impl Lead {
    fn note(&mut self, placed: i64, now: i64) {
        let lead = placed.saturating_sub(since(0, now));
        if self.most_at(now).is_none_or(|most| lead >= most) {
            self.most = Some(LinePoint { at: lead, now });
        }
    }

    fn is_exceeded_by(&self, placed: i64, now: i64) -> bool {
        let lead = placed.saturating_sub(since(0, now));
        let most = self.most_at(now);
        most.is_some_and(|most| lead > most.saturating_add(FORWARD))
    }

    fn most_at(&self, now: i64) -> Option<i64> {
        let most = self.most?;
        let passed = since(most.now, now) / MILLISECOND;
        let sunk = (passed / 1_000).saturating_mul(MILLISECOND);
        Some(most.at.saturating_sub(sunk))
    }
}

/// The whole milliseconds between, in nanoseconds: a clock on the wall knows no
/// better, and times of audio and video that were moved by it are rounded alike.
fn since(then: i64, now: i64) -> i64 {
    let passed = now.saturating_sub(then).max(0);
    passed.saturating_sub(passed % MILLISECOND)
}

#[cfg(test)]
mod tests;
