//! Keeps a stream's time continuous, whatever its publishers' clocks do. The
//! rule and its reasons are in `docs/timestamps.md`.
//!
//! Flows in: the timestamp of every message, and when it came. Flows out: its
//! place on the stream's timeline, in milliseconds modulo 2^32 (RTMP 1.0
//! section 3 wraps it so). Audio and video have a clock each, since one may
//! jump before the other does; both come back to the same offset, so that they
//! stay in sync as the publisher has them.

use std::time::{Duration, Instant};

use tracing::{debug, info};

use super::frame::Kind;

/// A step back of one track, in milliseconds, that is passed on: frames that
/// are slightly out of order.
const JITTER: i64 = 100;
/// A step back to another track of the same kind, in milliseconds, that is
/// passed on: tracks need not go exactly together.
const BACK: i64 = 1_000;
/// A step forward, in milliseconds, that is passed on even if less time has
/// passed: media that is sent faster than it plays.
const FORWARD: i64 = 3_000;
/// How far audio and video may lie apart and still have the same clock, in
/// milliseconds.
const SKEW: i64 = 10_000;
/// Steps longer than this are no interval between two frames.
const LONGEST_STEP: i64 = 1_000;

#[derive(Debug, Default)]
pub(super) struct Timeline {
    audio: Clock,
    video: Clock,
    /// The newest media that went out, of either kind.
    newest: Option<Place>,
    lead: Lead,
    verdict: Option<Verdict>,
    /// Of data before any media.
    data: u32,
    jumps: u64,
}

/// Where a message was put, and when that was.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Milliseconds, not wrapped.
    at: i64,
    now: Instant,
}

/// The clock of one kind of media.
#[derive(Debug, Default)]
struct Clock {
    /// Added to the publisher's timestamps, modulo 2^32; none until the
    /// publisher has sent media of this kind.
    offset: Option<u32>,
    /// The newest that went out, of this publisher or the one before.
    last: Option<Place>,
    /// The track that was newest.
    track: u8,
    /// Between its last two frames, milliseconds.
    step: i64,
}

/// What was made of an unusual step of one kind: the other kind's, when it
/// comes, is the same step.
#[derive(Debug, Clone, Copy)]
struct Verdict {
    kind: Kind,
    /// What the step had too much, milliseconds.
    excess: i64,
    continues: bool,
    now: Instant,
}

/// How far media is ahead of the time that has passed: a live publisher's keep
/// the same distance, and a pause does not move it; a jump does.
#[derive(Debug, Default)]
struct Lead {
    origin: Option<Instant>,
    /// The most so far. It sinks by a thousandth of the time that passes, more
    /// than the clocks of publisher and server can drift apart.
    most: Option<Place>,
}

impl Timeline {
    /// Another publisher continues for the same players.
    pub(super) fn splice(&mut self) {
        self.audio.offset = None;
        self.video.offset = None;
        self.verdict = None;
        self.jumps = 0;
    }

    /// A publisher starts anew; nobody is left who saw the former.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    /// The timestamp of the newest media, 0 before the first.
    pub(super) fn newest(&self) -> u32 {
        self.newest.map_or(self.data, |newest| wire(newest.at))
    }

    /// The place of a message: of coded media on `track`, or of something
    /// about it, which has none. Only coded media moves the time: headers and
    /// data go where the media is, whatever they say.
    pub(super) fn place(
        &mut self,
        kind: Kind,
        track: Option<u8>,
        timestamp: u32,
        now: Instant,
    ) -> u32 {
        let (Some(track), Kind::Audio | Kind::Video) = (track, kind) else {
            return self.follow(kind, timestamp);
        };
        let placed = self
            .in_line(kind, track, timestamp, now)
            .unwrap_or_else(|| self.rejoin(kind, timestamp, now));
        self.lead.note(placed, now);
        let place = Place { at: placed, now };
        if self.newest.is_none_or(|newest| newest.at <= placed) {
            self.newest = Some(place);
        }
        self.clock(kind).note(track, place);
        wire(placed)
    }

    /// The place on the clock that this kind of media has, if it is one that
    /// continues what was before.
    fn in_line(&mut self, kind: Kind, track: u8, timestamp: u32, now: Instant) -> Option<i64> {
        let clock = self.clock_of(kind);
        let (offset, last) = (clock.offset?, clock.last?);
        let step = distance(last.at, timestamp.wrapping_add(offset));
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
    /// leads there.
    fn rejoin(&mut self, kind: Kind, timestamp: u32, now: Instant) -> i64 {
        let own = self.clock_of(kind);
        let other = self.other_of(kind);
        let is_jump = own.offset.is_some();
        // Where it would continue, by the time that passed.
        let base = if is_jump { own.last } else { self.newest };
        let Some(base) = base else {
            // The first of all: as the publisher has it.
            self.clock(kind).offset = Some(0);
            return timestamp.into();
        };
        let step = own.step.max(since(base.now, now)).max(1);
        let expected = base.at.saturating_add(step);
        let floor = own
            .last
            .map_or(i64::MIN, |last| last.at.saturating_add(own.step.max(1)));
        let with_other = match (other.offset, other.last) {
            (Some(offset), Some(last)) if own.offset != Some(offset) => {
                let ahead = distance(last.at, timestamp.wrapping_add(offset));
                Some((offset, last.at.saturating_add(ahead)))
            }
            _ => None,
        };
        let placed = match with_other {
            // It jumped as the other did, or belongs to it from the start.
            Some((offset, placed)) if expected.saturating_sub(placed).saturating_abs() <= SKEW => {
                // What makes this one continue moves both: they stay in sync.
                let missing = floor.saturating_sub(placed).max(0);
                let offset = offset.wrapping_add(wire(missing));
                self.other(kind).offset = Some(offset);
                placed.saturating_add(missing)
            }
            _ => expected.max(floor),
        };
        self.clock(kind).offset = Some(wire(placed).wrapping_sub(timestamp));
        if is_jump {
            self.tell(kind, timestamp, placed);
        }
        placed
    }

    /// Says once that the publisher's time jumps; it might jump all the time.
    fn tell(&mut self, kind: Kind, timestamp: u32, placed: i64) {
        let placed = wire(placed);
        let told = "the publisher's timestamps jumped; players see them continue";
        if self.jumps == 0 {
            info!(?kind, timestamp, placed, "{told}");
        } else {
            debug!(?kind, timestamp, placed, "{told}");
        }
        self.jumps = self.jumps.saturating_add(1);
    }

    /// Headers and data: at their own time where that is near the media, else
    /// at the newest.
    fn follow(&mut self, kind: Kind, timestamp: u32) -> u32 {
        let Some(newest) = self.newest else {
            self.data = timestamp;
            return timestamp;
        };
        let of_kind = match kind {
            Kind::Data => None,
            _ => self.clock_of(kind).offset,
        };
        let Some(offset) = of_kind.or(self.video.offset).or(self.audio.offset) else {
            return wire(newest.at);
        };
        let placed = timestamp.wrapping_add(offset);
        if (-BACK..=FORWARD).contains(&distance(newest.at, placed)) {
            placed
        } else {
            wire(newest.at)
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
    fn note(&mut self, track: u8, place: Place) {
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
    fn note(&mut self, placed: i64, now: Instant) {
        let origin = *self.origin.get_or_insert(now);
        let lead = placed.saturating_sub(since(origin, now));
        if self.most_at(now).is_none_or(|most| lead >= most) {
            self.most = Some(Place { at: lead, now });
        }
    }

    fn is_exceeded_by(&self, placed: i64, now: Instant) -> bool {
        match (self.origin, self.most_at(now)) {
            (Some(origin), Some(most)) => {
                placed.saturating_sub(since(origin, now)) > most.saturating_add(FORWARD)
            }
            _ => false,
        }
    }

    fn most_at(&self, now: Instant) -> Option<i64> {
        let most = self.most?;
        Some(most.at.saturating_sub(since(most.now, now) / 1_000))
    }
}

/// A place as the wire has it.
fn wire(at: i64) -> u32 {
    u32::try_from(at.rem_euclid(1 << 32)).unwrap_or_default()
}

/// From a place to a timestamp of the wire, the shorter way around.
fn distance(from: i64, to: u32) -> i64 {
    let [a, b, c, d] = to.wrapping_sub(wire(from)).to_be_bytes();
    i32::from_be_bytes([a, b, c, d]).into()
}

fn since(then: Instant, now: Instant) -> i64 {
    let passed: Duration = now.saturating_duration_since(then);
    i64::try_from(passed.as_millis()).unwrap_or(i64::MAX / 2)
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
