//! The codec headers of a stream, for players that join later: of every track
//! the newest that configures a decoder, while its track has that codec.
//! Bounded by number and bytes.

use std::sync::Arc;

use livehost_media::{Covered, Packet, Scope, TrackCodec, Tracks};
use livehost_telemetry::limited;
use livehost_telemetry::log::PUBLISHERS;
use tracing::debug;

use super::frame::Frame;

/// Header messages kept for one stream: sequence headers and their
/// supplements, of every track of audio and video.
pub(super) const MAX_HEADERS: usize = 64;
/// What the header messages kept for one stream may cost, in bytes. A header
/// has some hundred.
pub(super) const MAX_HEADER_BYTES: usize = 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Headers {
    /// In the order in which they first came.
    kept: Vec<CachedHeader>,
    refused: u64,
}

#[derive(Debug)]
struct CachedHeader {
    frame: Arc<Frame>,
    /// Its tracks with their codecs, without those that have another codec by
    /// now: when the last is gone, so is the header. None from the start, if it
    /// is a supplement of another codec than the track has: FFmpeg sends those
    /// of a further track without the track's id.
    codecs: Vec<(u8, &'static str)>,
    /// The tracks that it configures.
    configured: Tracks,
}

impl Headers {
    /// The headers, to be sent in this order.
    pub(super) fn frames(&self) -> impl Iterator<Item = &Arc<Frame>> {
        self.kept.iter().map(|header| &header.frame)
    }

    /// A packet names the codecs of its tracks. Headers of other codecs are of
    /// no use any more; returns for which tracks there were such.
    pub(super) fn retire(&mut self, packet: &Packet) -> Tracks {
        let mut retired = Tracks::default();
        if !self.kept.iter().any(|header| header.is_outlived_by(packet)) {
            return retired;
        }
        let named = packet.track_codecs();
        self.kept.retain_mut(|header| {
            if header.frame.packet().kind() != packet.kind() || header.codecs.is_empty() {
                return true;
            }
            header.codecs.retain(|(id, codec)| {
                let is_other = |track: &TrackCodec| track.id == *id && track.codec != *codec;
                let is_retired = named.iter().any(is_other);
                if is_retired {
                    retired.insert(*id);
                }
                !is_retired
            });
            !header.codecs.is_empty()
        });
        retired
    }

    /// Whether there is a header with another configuration for any of the
    /// tracks of `frame`.
    pub(super) fn has_other_than(&self, frame: &Frame) -> bool {
        let scope = frame.packet().scope();
        self.kept.iter().any(|old| {
            old.scope().is_like(scope)
                && old.scope().tracks.intersects(scope.tracks)
                && !old.configured.is_empty()
                && !old.frame.packet().has_body_of(frame.packet())
        })
    }

    /// A header that has come. One that configures nothing is kept only while
    /// nothing better is known.
    pub(super) fn push(&mut self, frame: &Arc<Frame>) {
        let (scope, mut header) = (frame.packet().scope(), CachedHeader::new(frame));
        if scope.is_supplement {
            let record = Scope {
                is_supplement: false,
                ..scope
            };
            let known = || self.kept.iter().filter(|old| old.scope().is_like(record));
            let codecs = &mut header.codecs;
            codecs.retain(|(id, codec)| !known().any(|old| old.has_another_codec(*id, codec)));
        }
        let is_better = |old: &CachedHeader| {
            scope.is_like(old.scope()) && old.configured.intersects(scope.tracks)
        };
        if header.configured.is_empty() && self.kept.iter().any(is_better) {
            return;
        }
        let configured = header.configured;
        let is_replaced = |old: &&mut CachedHeader| {
            old.scope() == scope && old.configured.is_subset_of(configured)
        };
        match self.kept.iter_mut().find(is_replaced) {
            Some(old) => *old = header,
            None => self.kept.push(header),
        }
        // The newest counts first, wherever it is.
        let is_new = |header: &CachedHeader| Arc::ptr_eq(&header.frame, frame);
        let mut covered = Covered::default();
        covered.add(scope, configured);
        self.kept.reverse();
        self.kept
            .retain(|old| is_new(old) || covered.add(old.scope(), old.configured));
        self.kept.reverse();
        let cost: usize = self.frames().map(|frame| frame.cost()).sum();
        if self.kept.len() > MAX_HEADERS || cost > MAX_HEADER_BYTES {
            self.kept.retain(|header| !is_new(header));
            self.refuse(frame);
        }
    }

    /// Says so once; a publisher could send such headers all the time.
    fn refuse(&mut self, frame: &Frame) {
        let Scope { kind, tracks, .. } = frame.packet().scope();
        let (track, bytes) = (tracks.lowest(), frame.packet().len());
        if self.refused == 0 {
            limited!(
                WARN,
                PUBLISHERS.admits(),
                ?kind,
                track,
                bytes,
                most = MAX_HEADERS,
                most_bytes = MAX_HEADER_BYTES,
                "a codec header is not kept for players that join later: the stream has more \
                 of them than are kept"
            );
        } else {
            debug!(?kind, track, bytes, "one more codec header is not kept");
        }
        self.refused = self.refused.saturating_add(1);
    }
}

impl CachedHeader {
    fn new(frame: &Arc<Frame>) -> Self {
        let named = frame.packet().track_codecs();
        let configured = named.iter().filter(|track| track.is_configured);
        Self {
            frame: frame.clone(),
            codecs: named.iter().map(|track| (track.id, track.codec)).collect(),
            configured: configured.map(|track| track.id).collect(),
        }
    }

    fn scope(&self) -> Scope {
        self.frame.packet().scope()
    }

    fn has_another_codec(&self, id: u8, codec: &str) -> bool {
        let mut codecs = self.codecs.iter();
        codecs.any(|(known, other)| *known == id && *other != codec)
    }

    /// Whether `packet` may have another codec on a track of this header. Asked
    /// for every packet of media: what one of several codecs says is looked at
    /// only then.
    fn is_outlived_by(&self, packet: &Packet) -> bool {
        if self.frame.packet().kind() != packet.kind() {
            return false;
        }
        let tracks = packet.scope().tracks;
        let mut shared = self.codecs.iter().filter(|(id, _)| tracks.contains(*id));
        shared.any(|(_, codec)| packet.only_codec() != Some(codec))
    }
}
