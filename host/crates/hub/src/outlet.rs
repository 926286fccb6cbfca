//! How a frame reaches a player's socket without its session being woken.

use std::fmt;

use bytes::Bytes;

/// What became of bytes that were to pass.
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

/// One playback, among all that this process has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayerId(pub(super) u64);

impl PlayerId {
    /// The same as a number that is never 0.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The player of this number, which is not 0.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
}

/// A player's socket, as the hub sees it. Never waits.
///
/// It is open for at most one playback: the one that has nothing waiting in its
/// queue and takes frames as they are. Then the outlet is all that a frame has
/// to touch of that player, which matters with a thousand of them: whatever is
/// looked at for each frame and player comes from memory, not from a cache.
pub trait Outlet: fmt::Debug + Send + Sync {
    /// Writes `chunks` now, all or a part of them, if the outlet is open for
    /// `player` and no other bytes wait.
    fn pass(&self, player: PlayerId, chunks: &Bytes) -> Offer;

    /// Whether it is open for `player`, which may change at any time.
    fn is_open(&self, player: PlayerId) -> bool;

    /// Opens the outlet for `player`, or closes it if it is open for that one.
    fn set_open(&self, player: PlayerId, open: bool);

    /// Waits for a write of another thread. After that nothing passes for a
    /// player that the outlet was closed for before. Returns
    /// [`Outlet::taken`] as it is then.
    fn finish(&self) -> u64;

    /// Bytes taken by [`Outlet::pass`] so far.
    fn taken(&self) -> u64;
}
