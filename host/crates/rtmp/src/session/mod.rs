//! The session state machines: received bytes in, bytes to send and events
//! out.
//!
//! Both ends are built on the same `Link`: the chunk stream after the
//! handshake, with acknowledgements and pings answered.

pub mod capabilities;
pub mod client;
mod link;
pub mod server;

use bytes::Bytes;
use thiserror::Error;

pub(crate) use link::Link;

use crate::{
    aggregate::AggregateError, chunk::ChunkError, command::CommandError, handshake::HandshakeError,
    shared_object::SharedObjectError,
};

/// What a session wants done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output<E> {
    /// Write these bytes to the peer.
    Send(Bytes),
    /// Something happened that the owner of the session must know or decide.
    Event(E),
}

/// Why a session can't go on. The connection must be closed.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SessionError {
    /// The handshake failed.
    #[error("handshake: {0}")]
    Handshake(#[from] HandshakeError),
    /// The chunk stream can't be read.
    #[error("chunk stream: {0}")]
    Chunk(#[from] ChunkError),
    /// A message can't be understood.
    #[error("message: {0}")]
    Command(#[from] CommandError),
    /// An aggregate message can't be taken apart.
    #[error("message: {0}")]
    Aggregate(#[from] AggregateError),
    /// A shared object message can't be read.
    #[error("shared object message: {0}")]
    SharedObject(#[from] SharedObjectError),
    /// The peer did something its state doesn't allow.
    #[error("expected {expected}, found {found}")]
    Violation {
        /// What the protocol allows here.
        expected: &'static str,
        /// What came.
        found: String,
    },
}
