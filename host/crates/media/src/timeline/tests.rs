//! Publishers of every kind against a simulated clock. They are of RTMP, so are
//! the players: times are milliseconds, wrapped.

use std::time::Duration;

use super::*;
use crate::time::{from_ms, to_ms};

fn place(
    timeline: &mut Timeline,
    kind: Kind,
    track: Option<u8>,
    timestamp: u32,
    now: Instant,
) -> u32 {
    to_ms(timeline.place(kind, track, from_ms(timestamp), now).dts)
}

/// Milliseconds from one timestamp to another, the shorter way around.
fn apart(from: u32, to: u32) -> i64 {
    to.wrapping_sub(from).cast_signed().into()
}

/// A publisher of video at 25 frames/s and audio at 50 frames/s whose clock a
/// test may set, and what its players see.
struct Stage {
    timeline: Timeline,
    now: Instant,
    /// The publisher's timestamps of the next frames.
    video: u32,
    audio: u32,
    seen: Vec<(Kind, u32, u32)>,
}

impl Stage {
    fn at(first: u32) -> Self {
        Self {
            timeline: Timeline::default(),
            now: Instant::now(),
            video: first,
            audio: first,
            seen: Vec::new(),
        }
    }

    fn send(&mut self, kind: Kind) -> u32 {
        let timestamp = match kind {
            Kind::Audio => self.audio,
            _ => self.video,
        };
        let placed = place(&mut self.timeline, kind, Some(0), timestamp, self.now);
        self.seen.push((kind, timestamp, placed));
        match kind {
            Kind::Audio => self.audio = self.audio.wrapping_add(20),
            _ => self.video = self.video.wrapping_add(40),
        }
        placed
    }

    fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    /// Sends `frames` of video, and audio with them, at their time.
    fn run(&mut self, frames: u32) {
        for _ in 0..frames {
            self.send(Kind::Video);
            self.send(Kind::Audio);
            self.wait(20);
            self.send(Kind::Audio);
            self.wait(20);
        }
    }

    fn set(&mut self, timestamp: u32) {
        (self.video, self.audio) = (timestamp, timestamp);
    }

    fn skip(&mut self, by: u32) {
        self.set(self.video.wrapping_add(by));
    }

    /// Steps between frames of one kind that players see.
    fn steps(&self, kind: Kind) -> Vec<i64> {
        let of_kind: Vec<_> = self.seen.iter().filter(|(k, ..)| *k == kind).collect();
        of_kind
            .windows(2)
            .map(|pair| apart(pair[0].2, pair[1].2))
            .collect()
    }

    /// Every frame comes after the one before it, by no more than the usual
    /// step and `slack` milliseconds.
    fn assert_continuous(&self, slack: i64) {
        for (kind, usual) in [(Kind::Video, 40), (Kind::Audio, 20)] {
            for (i, step) in self.steps(kind).into_iter().enumerate() {
                assert!(
                    (1..=usual + slack).contains(&step),
                    "{kind:?} {i}: a step of {step} ms"
                );
            }
        }
    }

    /// What the last frames of both kinds were moved by.
    fn offsets(&self) -> (u32, u32) {
        let of = |kind| {
            let last = self.seen.iter().rev().find(|(k, ..)| *k == kind);
            last.map(|(_, sent, seen)| seen.wrapping_sub(*sent))
                .unwrap()
        };
        (of(Kind::Video), of(Kind::Audio))
    }

    fn assert_unchanged(&self) {
        for (kind, sent, seen) in &self.seen {
            assert_eq!(sent, seen, "{kind:?}");
        }
    }

    fn assert_in_sync(&self) {
        let (video, audio) = self.offsets();
        assert_eq!(video, audio, "audio and video were moved alike");
    }
}

#[test]
fn a_publishers_timestamps_pass_unchanged() {
    for first in [0, 1, 90_000, 0x7fff_ff00, u32::MAX] {
        let mut stage = Stage::at(first);
        stage.run(500);
        stage.assert_unchanged();
    }
}

#[test]
fn the_24_bit_edge_is_no_edge() {
    let mut stage = Stage::at(0xff_ffff - 1_000);
    stage.run(100);
    stage.assert_unchanged();
    stage.assert_continuous(0);
}

#[test]
fn the_signed_edge_is_no_edge() {
    let mut stage = Stage::at(0x7fff_ffff - 1_000);
    stage.run(100);
    stage.assert_unchanged();
    stage.assert_continuous(0);
}

#[test]
fn the_32_bit_wrap_is_passed_on() {
    let mut stage = Stage::at(u32::MAX - 1_000);
    stage.run(100);
    stage.assert_unchanged();
    stage.assert_continuous(0);
}

#[test]
fn publishers_that_wrap_at_24_or_31_bits_are_continued() {
    for bits in [24, 31] {
        let mut stage = Stage::at((1 << bits) - 1_000);
        stage.run(25);
        stage.set(0);
        stage.run(50);
        stage.assert_continuous(0);
        stage.assert_in_sync();
        let (video, _) = stage.offsets();
        assert_eq!(video, 1 << bits, "as if it had not wrapped");
    }
}

#[test]
fn every_edge_is_crossed_in_fifty_days() {
    let mut stage = Stage::at(0);
    // A frame a minute: more than a usual step, and as much as time passes.
    for minute in 0_u64..=50 * 24 * 60 {
        let sent = (minute * 60_000 % (1 << 32)) as u32;
        stage.set(sent);
        assert_eq!(stage.send(Kind::Video), sent);
        assert_eq!(stage.send(Kind::Audio), sent);
        stage.wait(60_000);
    }
}

#[test]
fn clocks_that_drift_are_no_jump() {
    for (sent, passed) in [(1_000, 999), (1_000, 1_001), (1_001, 1_000)] {
        let mut stage = Stage::at(0);
        for _ in 0..100_000 {
            stage.send(Kind::Video);
            stage.set(stage.video + sent - 40);
            stage.wait(passed);
        }
        stage.assert_unchanged();
    }
}

#[test]
fn jumps_forward_are_closed() {
    for by in [4_000, 60_000, 3_600_000, 0x7fff_0000] {
        let mut stage = Stage::at(1_000);
        stage.run(50);
        stage.skip(by);
        stage.run(50);
        stage.assert_continuous(0);
        stage.assert_in_sync();
    }
}

#[test]
fn jumps_back_are_closed() {
    for by in [250, 1_100, 60_000, 3_600_000, 0x7fff_0000] {
        let mut stage = Stage::at(0x7fff_8000);
        stage.run(50);
        stage.skip(0_u32.wrapping_sub(by));
        stage.run(50);
        stage.assert_continuous(0);
        stage.assert_in_sync();
    }
}

#[test]
fn many_jumps_add_up_to_nothing() {
    let mut stage = Stage::at(0);
    for jump in [5_000_000, 17, u32::MAX, 0x8000_0000, 1 << 24, 0, 40_000] {
        stage.run(25);
        stage.set(jump);
    }
    stage.run(25);
    stage.assert_continuous(0);
    stage.assert_in_sync();
    let (_, _, last) = stage.seen.last().unwrap();
    assert_eq!(*last, 7 * 1_000 + 980, "players saw eight seconds");
}

#[test]
fn audio_that_jumps_later_than_video_comes_back_into_sync() {
    for lag in [1, 5, 20] {
        let mut stage = Stage::at(10_000);
        stage.run(50);
        let old = stage.audio;
        stage.set(900_000);
        let fresh = stage.audio;
        // Video is on the new time, audio is still on the old.
        stage.audio = old;
        stage.run(lag);
        stage.audio = fresh + lag * 40;
        stage.run(50);
        stage.assert_continuous(0);
        stage.assert_in_sync();
    }
}

#[test]
fn what_would_go_back_moves_both() {
    let mut stage = Stage::at(10_000);
    // Audio is 400 ms ahead of video, and no longer after the jump.
    stage.audio += 400;
    stage.run(50);
    stage.set(900_000);
    stage.run(50);
    stage.assert_continuous(400);
    stage.assert_in_sync();
}

#[test]
fn a_jump_of_one_kind_alone_is_closed_too() {
    let mut stage = Stage::at(0);
    stage.run(50);
    stage.video = 700_000;
    stage.run(50);
    stage.assert_continuous(0);
    let (video, audio) = stage.offsets();
    assert_eq!(audio, 0, "audio is as it was");
    assert_eq!(
        stage.video.wrapping_add(video),
        stage.audio,
        "and video is where it is"
    );
    // Back again.
    stage.video = stage.audio;
    stage.run(50);
    stage.assert_continuous(0);
    assert_eq!(stage.offsets(), (0, 0));
}

#[test]
fn audio_and_video_that_never_agreed_are_aligned_by_their_arrival() {
    let mut stage = Stage::at(5_000_000);
    stage.audio = 0;
    stage.run(100);
    stage.assert_continuous(0);
    let pairs = stage.seen.chunks(3);
    for frames in pairs {
        let apart = apart(frames[0].2, frames[1].2);
        assert!((0..=40).contains(&apart), "{apart} ms apart");
    }
}

#[test]
fn audio_and_video_out_of_order_are_left_alone() {
    let mut stage = Stage::at(60_000);
    // Audio comes two seconds behind video, in bursts.
    for _ in 0..20 {
        for _ in 0..25 {
            stage.send(Kind::Video);
            stage.wait(40);
        }
        if stage.video >= 62_000 {
            for _ in 0..50 {
                stage.send(Kind::Audio);
            }
        }
    }
    stage.assert_unchanged();
}

#[test]
fn a_pause_is_as_long_for_players_as_it_was() {
    for with_time in [true, false] {
        let mut stage = Stage::at(0);
        stage.run(25);
        stage.wait(30_000);
        if with_time {
            stage.skip(30_000);
        }
        stage.run(25);
        stage.assert_unchanged();
    }
    // What waited in the network comes at once, then the encoder goes on at
    // the time it is: it dropped what was between.
    let mut stage = Stage::at(0);
    stage.run(25);
    stage.wait(12_000);
    for _ in 0..50 {
        stage.send(Kind::Video);
    }
    stage.set(13_000);
    stage.run(25);
    stage.assert_unchanged();
}

#[test]
fn a_file_sent_faster_than_it_plays_keeps_its_times() {
    let mut stage = Stage::at(0);
    for _ in 0..10_000 {
        stage.send(Kind::Video);
        stage.set(stage.video + 2_000);
    }
    stage.assert_unchanged();
}

#[test]
fn small_steps_back_pass() {
    let mut timeline = Timeline::default();
    let now = Instant::now();
    timeline.splice();
    for timestamp in [0, 33, 20, 66, u32::MAX, 5] {
        assert_eq!(
            place(&mut timeline, Kind::Video, Some(0), timestamp, now),
            timestamp
        );
    }
}

#[test]
fn audio_and_video_never_take_a_step_differently() {
    for by in (0..400).chain(900..1_100).chain(2_800..3_200) {
        for back in [true, false] {
            let mut stage = Stage::at(100_000);
            stage.run(10);
            stage.skip(if back { 0_u32.wrapping_sub(by) } else { by });
            stage.run(10);
            stage.assert_in_sync();
            let lowest = stage.steps(Kind::Video).into_iter().min();
            assert!(
                lowest >= Some(-JITTER / MILLISECOND),
                "{by} ms back gave {lowest:?}"
            );
        }
    }
}

#[test]
fn tracks_need_not_go_together() {
    let mut timeline = Timeline::default();
    let mut now = Instant::now();
    for frame in 0..500_u32 {
        // Four tracks, each later than the one before it.
        for track in 0..4_u8 {
            let sent = 10_000 + frame * 40 - 300 * u32::from(track);
            let placed = place(&mut timeline, Kind::Audio, Some(track), sent, now);
            assert_eq!(placed, sent, "track {track}");
        }
        now += Duration::from_millis(40);
    }
}

#[test]
fn data_and_headers_never_move_the_time() {
    let mut stage = Stage::at(100_000);
    stage.run(25);
    let newest = to_ms(stage.timeline.newest());
    for kind in [Kind::Data, Kind::Video, Kind::Audio] {
        // Near the media, a message has its own time; else the media's.
        for (sent, placed) in [
            (newest + 500, newest + 500),
            (newest - 500, newest - 500),
            (0, newest),
            (u32::MAX, newest),
            (newest + 90_000, newest),
        ] {
            let found = place(&mut stage.timeline, kind, None, sent, stage.now);
            assert_eq!(found, placed, "{kind:?} of {sent}");
        }
        assert_eq!(to_ms(stage.timeline.newest()), newest);
    }
    stage.run(25);
    stage.assert_unchanged();
}

#[test]
fn data_goes_with_media_that_jumped() {
    let mut stage = Stage::at(100_000);
    stage.run(25);
    stage.set(3_000_000);
    stage.run(25);
    let (offset, _) = stage.offsets();
    let placed = place(
        &mut stage.timeline,
        Kind::Data,
        None,
        stage.video,
        stage.now,
    );
    assert_eq!(placed, stage.video.wrapping_add(offset));
}

#[test]
fn headers_at_zero_do_not_begin_the_time_of_a_clock_that_is_far_on() {
    let mut stage = Stage::at(77_000_000);
    for kind in [Kind::Data, Kind::Video, Kind::Audio] {
        assert_eq!(place(&mut stage.timeline, kind, None, 0, stage.now), 0);
    }
    assert_eq!(stage.timeline.newest(), 0);
    stage.run(25);
    stage.assert_unchanged();
}

#[test]
fn a_successor_continues_after_the_time_that_passed() {
    let mut stage = Stage::at(5_000);
    stage.run(25);
    stage.timeline.splice();
    stage.wait(250);
    stage.set(70_000);
    stage.run(25);
    stage.assert_continuous(250);
    stage.assert_in_sync();
    let first = stage.seen.iter().find(|(_, sent, _)| *sent == 70_000);
    // The last audio was at 5,980, 20 ms before the end.
    assert_eq!(first.unwrap().2, 5_980 + 20 + 250);
}

#[test]
fn a_successor_continues_across_the_wrap() {
    let mut stage = Stage::at(u32::MAX - 1_000);
    stage.run(25);
    stage.timeline.splice();
    stage.set(0);
    stage.run(25);
    stage.assert_continuous(20);
    stage.assert_in_sync();
}

#[test]
fn a_successors_audio_does_not_go_back_behind_its_predecessors() {
    let mut stage = Stage::at(0);
    stage.run(25);
    stage.timeline.splice();
    // Its audio is 600 ms behind its video.
    stage.set(40_000);
    stage.video += 600;
    stage.run(25);
    stage.assert_continuous(640);
    stage.assert_in_sync();
}

#[test]
fn a_restart_forgets() {
    let mut stage = Stage::at(40_000);
    stage.run(25);
    stage.timeline.restart();
    assert_eq!(stage.timeline.newest(), 0);
    let placed = place(&mut stage.timeline, Kind::Video, Some(0), 7, stage.now);
    assert_eq!(placed, 7);
}

#[test]
fn the_line_goes_on_where_timestamps_wrap() {
    let mut stage = Stage::at(u32::MAX - 1_000);
    stage.run(100);
    stage.assert_unchanged();
    let passed = 99 * 40 + 20;
    assert_eq!(
        stage.timeline.newest(),
        from_ms(u32::MAX - 1_000) + passed * MILLISECOND
    );
}

#[test]
fn nanoseconds_pass_and_are_kept_across_a_jump() {
    // 1,001 frames in 30 s, as MPEG-TS and RTP count them.
    let frame = |number: i64| number * 30_030_030;
    let mut timeline = Timeline::default();
    let mut now = Instant::now();
    for number in 0..200 {
        let jump = if number < 100 { 0 } else { frame(100_000) };
        let placed = timeline.place(Kind::Video, Some(0), frame(number) + jump, now);
        assert_eq!(placed.dts, frame(number), "{number}");
        assert_eq!(placed.jump, (number == 100).then_some(1));
        now += Duration::from_nanos(30_030_030);
    }
}

#[test]
fn jumps_of_one_publisher_are_counted() {
    let mut timeline = Timeline::default();
    let now = Instant::now();
    let mut jumps = |dts| timeline.place(Kind::Video, Some(0), dts, now).jump;
    let minute = 60_000 * MILLISECOND;
    assert_eq!(jumps(0), None);
    assert_eq!((jumps(minute), jumps(3 * minute)), (Some(1), Some(2)));
    timeline.splice();
    let jump = timeline.place(Kind::Video, Some(0), 7 * minute, now).jump;
    assert_eq!(jump, None, "another publisher's first");
}
