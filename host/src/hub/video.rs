//! Whether a stream's players can count on video.
//!
//! With video, a player's audio waits for the keyframe, so that sound and
//! picture begin together. A camera that is switched off sends neither that
//! keyframe nor the frames before it: then audio waits no more.

use super::frame::{Frame, Kind};

/// Milliseconds of audio without any video after which the video has stopped.
/// Longer than the time between two frames of slow video, and than what audio
/// may be ahead of video in sending order.
const STOPPED_AFTER: u32 = 5_000;
/// A longer time between two messages of audio counts as so much: in a gap of
/// everything video has not stopped alone.
const MAX_STEP: u32 = 1_000;

/// The video of a stream, as far as its audio is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Video {
    /// There never was any: each frame stands alone.
    #[default]
    Never,
    /// Audio waits for a keyframe.
    Going,
    /// It sends nothing while audio goes on, which waits no more.
    Stopped,
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
}

/// Finds out by the frames that pass.
#[derive(Debug, Default)]
pub(super) struct VideoWatch {
    video: Video,
    /// The newest audio since the newest video, milliseconds on the stream's
    /// timeline.
    audio: Option<u32>,
    /// How much audio that was, milliseconds.
    alone: u32,
}

impl VideoWatch {
    /// Notes a frame, in sending order.
    pub(super) fn note(&mut self, frame: &Frame) -> Option<Turn> {
        match frame.kind() {
            Kind::Video if frame.is_coded() => {
                let going = Self {
                    video: Video::Going,
                    ..Self::default()
                };
                match std::mem::replace(self, going).video {
                    Video::Never => Some(Turn::Begins),
                    Video::Going => None,
                    Video::Stopped => Some(Turn::Returns),
                }
            }
            // A header promises video. What names no codec does not: a command
            // to those that decode.
            Kind::Video if self.video == Video::Never && frame.codec().is_some() => {
                self.video = Video::Going;
                Some(Turn::Begins)
            }
            Kind::Audio if frame.is_coded() => self.note_audio(frame.timestamp()),
            _ => None,
        }
    }

    fn note_audio(&mut self, timestamp: u32) -> Option<Turn> {
        let step = self.audio.replace(timestamp);
        let step = step.map_or(0, |before| timestamp.wrapping_sub(before));
        if step < u32::MAX / 2 {
            self.alone = self.alone.saturating_add(step.min(MAX_STEP));
        }
        if self.alone < STOPPED_AFTER || self.video != Video::Going {
            return None;
        }
        self.video = Video::Stopped;
        Some(Turn::Stops)
    }

    pub(super) fn video(&self) -> Video {
        self.video
    }
}
