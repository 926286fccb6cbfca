//! Keeps a stream's timestamps continuous when its publisher changes.
//!
//! The first publisher's timestamps pass unchanged. When another takes over
//! while players stay, its first frame is placed where the clock on the wall
//! says it belongs: the last frame's timestamp plus the time since.

use std::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// Added to the publisher's timestamps, modulo 2^32.
    offset: u32,
    /// The newest frame that went out: its timestamp, and when.
    last: Option<(u32, Instant)>,
    /// The next frame is the first of another publisher.
    joint: bool,
}

impl Timeline {
    /// Another publisher continues for the same players.
    pub(super) fn splice(&mut self) {
        self.joint = self.last.is_some();
    }

    /// A publisher starts anew; nobody is left who saw the former.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    /// The timestamp of the newest frame, 0 before the first.
    pub(super) fn newest(&self) -> u32 {
        self.last.map_or(0, |(timestamp, _)| timestamp)
    }

    /// The publisher's timestamp on the stream's timeline, in milliseconds
    /// modulo 2^32 (RTMP 1.0 section 3 wraps it so).
    pub(super) fn place(&mut self, timestamp: u32, now: Instant) -> u32 {
        if let (true, Some((last, at))) = (self.joint, self.last) {
            let since = now.saturating_duration_since(at).as_millis();
            let gap = u32::try_from(since).unwrap_or(u32::MAX / 2).max(1);
            self.offset = last.wrapping_add(gap).wrapping_sub(timestamp);
            self.joint = false;
        }
        let placed = timestamp.wrapping_add(self.offset);
        let newer = match self.last {
            // Audio and video interleave: only the newest of both counts.
            Some((last, _)) => placed.wrapping_sub(last) < u32::MAX / 2,
            None => true,
        };
        if newer {
            self.last = Some((placed, now));
        }
        placed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_first_publisher_passes_unchanged() {
        let mut timeline = Timeline::default();
        let now = Instant::now();
        timeline.splice();
        for timestamp in [0, 33, 20, 66, u32::MAX, 5] {
            assert_eq!(timeline.place(timestamp, now), timestamp);
        }
    }

    #[test]
    fn a_successor_continues_after_the_time_that_passed() {
        let mut timeline = Timeline::default();
        let now = Instant::now();
        timeline.place(5_000, now);
        timeline.splice();
        let later = now + Duration::from_millis(250);
        assert_eq!(timeline.place(70_000, later), 5_250);
        assert_eq!(timeline.place(70_040, later), 5_290);
    }

    #[test]
    fn a_successor_continues_across_the_wrap() {
        let mut timeline = Timeline::default();
        let now = Instant::now();
        timeline.place(u32::MAX - 9, now);
        timeline.splice();
        assert_eq!(timeline.place(0, now + Duration::from_millis(20)), 10);
    }

    #[test]
    fn interleaved_audio_behind_video_does_not_move_the_joint_back() {
        let mut timeline = Timeline::default();
        let now = Instant::now();
        timeline.place(1_000, now);
        timeline.place(900, now);
        timeline.splice();
        assert_eq!(timeline.place(0, now), 1_001);
    }
}
