//! A packet of a stream on its way to all subscribers, with what was made of it
//! for their sockets.
//!
//! It is rendered once for each variant, when it enters the hub; a player then
//! costs one reference.

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

    /// The bytes for sockets of subscribers of `variant`; `None` if there were
    /// none when it came.
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

    /// What it costs to keep, in bytes: small ones cost more than they hold.
    #[inline]
    pub(super) fn cost(&self) -> usize {
        let beside = self.beside.iter().map(|(_, bytes)| bytes.len());
        let own = self.packet.memory().saturating_add(OVERHEAD);
        beside.fold(own, usize::saturating_add)
    }
}
