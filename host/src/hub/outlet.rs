//! How a frame reaches a player's socket without its session being woken.

use std::fmt;

use bytes::Bytes;

/// What became of bytes that were offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// The socket has them.
    Written,
    /// The socket has a part; the session must be woken for the rest, which
    /// the outlet keeps.
    Taken,
    /// Nothing was taken: other bytes are before them, or there is no room.
    Refused,
}

/// A player's socket, as the hub sees it. Never waits.
pub trait Outlet: fmt::Debug + Send + Sync {
    /// Writes `chunks` now, all or a part of them, unless other bytes wait.
    fn offer(&self, chunks: &Bytes) -> Offer;
}
