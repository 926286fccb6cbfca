//! Frames that go out together: prepared once for all players of a stream.

use std::cell::OnceCell;
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
    bytes: usize,
    video: Video,
}

/// The players of a lane that get the same bytes.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) variant: Variant,
    pub(super) players: usize,
    /// The bytes of the batch's frames in one piece, if they are several: made
    /// before the first delivery. One plain write of it costs every player less
    /// than a vectored one.
    joined: Option<Bytes>,
}

/// A batch on its way to one player after the other.
#[derive(Debug)]
pub(super) struct Delivery<'a> {
    pub(super) frames: &'a [Arc<Frame>],
    /// The same frames as one piece, for each variant of the lane.
    shared: &'a [Shared],
    /// Whether audio waits for the keyframe.
    pub(super) video: Video,
    /// Players that are behind need it, and no other.
    pub(super) now: OnceCell<Instant>,
}

impl Shared {
    pub(super) fn new(variant: Variant) -> Self {
        Self {
            variant,
            players: 0,
            joined: None,
        }
    }

    /// Joins the frames of a batch. There are no bytes if any of them was not
    /// rendered for that variant: it came before the first who wanted it.
    #[inline]
    pub(super) fn join(&mut self, batch: &Batch) {
        if batch.frames.len() > 1 && self.players > 0 {
            self.joined = join(&batch.frames, self.variant);
        }
    }

    #[inline]
    fn bytes<'a>(&'a self, frames: &'a [Arc<Frame>]) -> Option<&'a Bytes> {
        match frames {
            [frame] => frame.rendering(self.variant),
            _ => self.joined.as_ref(),
        }
    }

    /// All players have the batch.
    pub(super) fn clear(&mut self) {
        self.joined = None;
    }
}

impl<'a> Delivery<'a> {
    /// The bytes for the players in one place among the lane's variants.
    #[inline]
    pub(super) fn bytes(&self, place: usize) -> Option<&'a Bytes> {
        self.shared.get(place)?.bytes(self.frames)
    }

    /// The bytes for all players with an outlet, if these are of one variant.
    #[inline]
    pub(super) fn only(&self) -> Option<&'a Bytes> {
        match self.shared {
            [only] => only.bytes(self.frames),
            _ => None,
        }
    }

    /// When the first player that asked got it.
    pub(super) fn now(&self) -> Instant {
        *self.now.get_or_init(Instant::now)
    }
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
        self.bytes = 0;
    }

    pub(super) fn push(&mut self, frame: Arc<Frame>, video: Video) {
        self.video = video;
        self.bytes = self.bytes.saturating_add(frame.longest());
        self.frames.push(frame);
    }

    /// The batch as the players of a lane want it.
    pub(super) fn delivery<'a>(&'a self, shared: &'a [Shared]) -> Delivery<'a> {
        Delivery {
            frames: &self.frames,
            shared,
            video: self.video,
            now: OnceCell::new(),
        }
    }
}

fn join(frames: &[Arc<Frame>], variant: Variant) -> Option<Bytes> {
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
