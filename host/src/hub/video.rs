//! Whether a stream's players can count on video.
//!
//! With video, a player's audio waits for the keyframe, so that sound and
//! picture begin together. A camera that is switched off sends neither that
//! keyframe nor the frames before it: then audio waits no more.

use super::frame::{Frame, Kind, Role};

/// Milliseconds of audio without any video after which the video has stopped.
/// Longer than the time between two frames of slow video, and than what audio
/// may be ahead of video in sending order.
const STOPPED_AFTER: u32 = 5_000;

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

/// Finds out by the frames that pass.
#[derive(Debug, Default)]
pub(super) struct VideoWatch {
    video: Video,
    /// The first audio after the newest video, milliseconds on the stream's
    /// timeline.
    alone_since: Option<u32>,
}

impl VideoWatch {
    /// Notes a frame, in sending order.
    pub(super) fn note(&mut self, frame: &Frame) {
        match (frame.kind(), frame.role()) {
            // What names no codec is no video: a command to those that decode.
            (Kind::Video, _) if frame.codec().is_none() => {}
            (Kind::Video, Role::Keyframe | Role::Dependent) => {
                self.video = Video::Going;
                self.alone_since = None;
            }
            // A header alone does not bring video back.
            (Kind::Video, _) if self.video == Video::Never => self.video = Video::Going,
            (Kind::Audio, Role::Dependent) if self.video == Video::Going => {
                let since = *self.alone_since.get_or_insert(frame.timestamp());
                let alone = frame.timestamp().wrapping_sub(since);
                if (STOPPED_AFTER..u32::MAX / 2).contains(&alone) {
                    self.video = Video::Stopped;
                }
            }
            _ => {}
        }
    }

    pub(super) fn video(&self) -> Video {
        self.video
    }
}
