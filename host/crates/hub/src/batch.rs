//! Frames that go out together: prepared once for all players of a stream.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use livehost_media::Video;

use super::frame::Frame;
use super::renderer::Variant;

/// Frames in one write at most.
const MAX_FRAMES: usize = 64;
/// Bytes that are joined for one write at most: a longer frame goes alone.
const MAX_BYTES: usize = 1 << 20;

/// One frame, or those of one interval when writes are gathered.
#[derive(Debug, Default)]
pub(super) struct Batch {
    frames: Vec<Arc<Frame>>,
    /// For each variant of the lane the bytes of all frames in one piece, made
    /// before the first delivery; empty before that. One plain write of it
    /// costs every player less than a vectored one.
    joined: Vec<Option<Bytes>>,
    bytes: usize,
    video: Video,
}

/// A batch on its way to one player after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery<'a> {
    pub(super) frames: &'a [Arc<Frame>],
    /// The same frames as one piece, for each variant of the lane.
    pub(super) joined: &'a [Option<Bytes>],
    /// Whether audio waits for the keyframe.
    pub(super) video: Video,
    pub(super) now: Instant,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.frames.len() >= MAX_FRAMES || self.bytes >= MAX_BYTES
    }

    /// Whether `frame` may follow: players get a batch whole or not at all.
    pub(super) fn fits(&self, frame: &Frame) -> bool {
        let bytes = self.bytes.saturating_add(frame.longest());
        self.is_empty() || bytes <= MAX_BYTES
    }

    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.joined.clear();
        self.bytes = 0;
    }

    pub(super) fn push(&mut self, frame: Arc<Frame>, video: Video) {
        self.video = video;
        self.bytes = self.bytes.saturating_add(frame.longest());
        self.frames.push(frame);
    }

    /// The batch as the players of a lane want it, which has these variants.
    pub(super) fn delivery(
        &mut self,
        variants: impl Iterator<Item = Option<Variant>>,
        now: Instant,
    ) -> Delivery<'_> {
        if self.joined.is_empty() {
            let joined = variants.map(|variant| join(&self.frames, variant?));
            self.joined.extend(joined);
        }
        Delivery {
            frames: &self.frames,
            joined: &self.joined,
            video: self.video,
            now,
        }
    }
}

/// `None` if any of them was not rendered for that variant: it came before the
/// first who wanted it.
fn join(frames: &[Arc<Frame>], variant: Variant) -> Option<Bytes> {
    if let [frame] = frames {
        return frame.rendering(variant).cloned();
    }
    let mut bytes = 0_usize;
    for frame in frames {
        bytes = bytes.saturating_add(frame.rendering(variant)?.len());
    }
    let mut joined = BytesMut::with_capacity(bytes);
    for frame in frames {
        joined.extend_from_slice(frame.rendering(variant)?);
    }
    Some(joined.freeze())
}
