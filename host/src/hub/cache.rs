//! What a joining player needs before the live frames: metadata, codec
//! headers and the frames since the last keyframe, bounded by bytes.

use std::sync::Arc;

use livehost_rtmp::data;

use super::frame::{Frame, Kind, Role};

/// Headers kept: one for each track of audio and video that fits here.
const MAX_HEADERS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Cache {
    metadata: Option<Arc<Frame>>,
    headers: Vec<Arc<Frame>>,
    /// Starts with a keyframe, or is empty.
    frames: Vec<Arc<Frame>>,
    frames_bytes: usize,
    audio_codec: Option<&'static str>,
    video_codec: Option<&'static str>,
}

impl Cache {
    /// Remembers a frame; `limit` bounds the bytes of media kept. A group of
    /// pictures larger than that is not kept at all: joining players then wait
    /// for the next keyframe.
    pub(super) fn push(&mut self, frame: &Arc<Frame>, limit: usize) {
        match frame.kind() {
            Kind::Audio => self.audio_codec = self.audio_codec.or(frame.codec()),
            Kind::Video => self.video_codec = self.video_codec.or(frame.codec()),
            Kind::Data => {}
        }
        match frame.role() {
            Role::Metadata => {
                self.metadata = Some(self.merged(frame));
                return;
            }
            Role::Header => {
                self.push_header(frame);
                return;
            }
            Role::Keyframe => {
                self.frames.clear();
                self.frames_bytes = 0;
            }
            Role::Dependent if self.frames.is_empty() => return,
            Role::Dependent => {}
        }
        self.frames_bytes = self.frames_bytes.saturating_add(frame.len());
        if self.frames_bytes > limit {
            self.frames = Vec::new();
            self.frames_bytes = 0;
            return;
        }
        self.frames.push(frame.clone());
    }

    /// A player that joins later gets what was said before, too.
    fn merged(&self, newer: &Arc<Frame>) -> Arc<Frame> {
        let Some(kept) = &self.metadata else {
            return newer.clone();
        };
        let payload = data::merged_metadata(kept.payload(), newer.payload());
        Frame::new(Kind::Data, newer.timestamp(), payload, newer.chunk_size())
            .map_or_else(|_| newer.clone(), Arc::new)
    }

    /// Players that join later get no metadata until there is some again.
    pub(super) fn clear_metadata(&mut self) {
        self.metadata = None;
    }

    fn push_header(&mut self, frame: &Arc<Frame>) {
        let same = |old: &&mut Arc<Frame>| old.slot() == frame.slot();
        if let Some(old) = self.headers.iter_mut().find(same) {
            *old = frame.clone();
        } else if self.headers.len() < MAX_HEADERS {
            self.headers.push(frame.clone());
        }
    }

    /// True once the publisher has sent video: players then start at a keyframe.
    pub(super) fn has_video(&self) -> bool {
        self.video_codec.is_some()
    }

    /// The codec of audio or video, once a message has told.
    pub(super) fn codec(&self, kind: Kind) -> Option<&'static str> {
        match kind {
            Kind::Audio => self.audio_codec,
            Kind::Video => self.video_codec,
            Kind::Data => None,
        }
    }

    /// Metadata and headers, at the time of the first frame that follows.
    pub(super) fn preamble(&self, timestamp: u32, chunk_size: u32) -> Vec<Arc<Frame>> {
        self.metadata
            .iter()
            .chain(&self.headers)
            .map(|frame| Arc::new(frame.restamped(timestamp, chunk_size)))
            .collect()
    }

    /// The frames from the last keyframe on.
    pub(super) fn frames(&self) -> &[Arc<Frame>] {
        &self.frames
    }

    /// Another publisher: nothing of the old is decodable with the new.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
