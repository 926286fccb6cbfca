//! A packet of a stream on its way to all subscribers, with what was made of it
//! for their sockets.
//!
//! It is rendered once for each variant, when it enters the hub; a player then
//! costs one reference.

use std::sync::Arc;

use bytes::Bytes;
use livehost_media::{Packet, Role};

use super::renderer::{Rendering, Variant};

/// What a frame costs beside its bytes: counted, so that a flood of tiny ones
/// has a limit, too.
pub(super) const OVERHEAD: usize = 256;

/// One packet, and its renderings.
#[derive(Debug, Clone)]
pub struct Frame {
    packet: Packet,
    /// The variant of the bytes that the packet's body is inside of.
    embedded_for: Option<Variant>,
    /// Of the other variants.
    beside: Vec<(Variant, Bytes)>,
}

impl Frame {
    pub(super) fn new(packet: Packet) -> Self {
        Self {
            packet,
            embedded_for: None,
            beside: Vec::new(),
        }
    }

    /// What it costs to keep `packet` before anything is made of it, in bytes:
    /// small ones cost more than they hold.
    #[inline]
    pub(super) fn cost_of(packet: &Packet) -> usize {
        packet.memory().saturating_add(OVERHEAD)
    }

    /// The same at `dts`, for whom it is sent to again.
    pub(super) fn at(self: &Arc<Self>, dts: i64) -> Arc<Self> {
        if self.packet.is_at(dts) {
            return self.clone();
        }
        Arc::new(Self::new(self.packet.at(dts)))
    }

    /// What it is made of; its time is on the stream's line.
    #[inline]
    pub fn packet(&self) -> &Packet {
        &self.packet
    }

    /// What its packet means to a joining player.
    #[inline]
    pub(super) fn role(&self) -> Role {
        self.packet.role()
    }

    /// The bytes for sockets of subscribers of `variant`. What a
    /// [`Subscription`](crate::Subscription) of that variant returns has them.
    #[inline]
    pub fn rendering(&self, variant: Variant) -> Option<&Bytes> {
        if self.embedded_for == Some(variant) {
            return self.packet.embedded_in();
        }
        let mut beside = self.beside.iter();
        let found = beside.find(|(other, _)| *other == variant);
        found.map(|(_, bytes)| bytes)
    }

    /// The first that has the body inside is all that is kept of both: a body
    /// beside it would be in memory twice.
    pub(super) fn add(&mut self, variant: Variant, rendering: Rendering) {
        let Rendering { bytes, body } = rendering;
        let bytes = match body {
            None => bytes,
            Some(layout) => match self.packet.embed(bytes, layout) {
                Ok(()) => {
                    self.embedded_for = Some(variant);
                    return;
                }
                Err(bytes) => bytes,
            },
        };
        self.beside.push((variant, bytes));
    }

    /// Bytes of the longest rendering, or of the packet without one.
    pub(super) fn longest(&self) -> usize {
        let beside = self.beside.iter().map(|(_, bytes)| bytes.len());
        beside.fold(self.packet.memory(), usize::max)
    }

    /// What it costs those of the variant that it costs most, in bytes.
    #[inline]
    pub(super) fn cost(&self) -> usize {
        let beside = self.beside.iter().map(|(_, bytes)| bytes.len());
        beside.fold(Self::cost_of(&self.packet), |cost, bytes| {
            cost.max(self.cost_beside(bytes))
        })
    }

    /// What it costs a subscriber of `variant`, or one of packets, in bytes: what
    /// was made for others is theirs.
    pub(super) fn cost_for(&self, variant: Option<Variant>) -> usize {
        let mut beside = self.beside.iter();
        match beside.find(|(other, _)| Some(*other) == variant) {
            Some((_, bytes)) => self.cost_beside(bytes.len()),
            None => Self::cost_of(&self.packet),
        }
    }

    /// The cost of a rendering of so many bytes, with the body unless that is in
    /// another rendering.
    fn cost_beside(&self, bytes: usize) -> usize {
        match self.embedded_for {
            Some(_) => bytes.saturating_add(OVERHEAD),
            None => Self::cost_of(&self.packet).saturating_add(bytes),
        }
    }
}
