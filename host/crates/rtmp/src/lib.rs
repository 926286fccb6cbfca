//! Sans-IO RTMP: bytes come in through `handle_*` and `read`, messages and
//! bytes to send come out; there are no sockets, clocks or random numbers in
//! here, so two ends can be run against each other in memory.
//!
//! From the wire up:
//!
//! - [`handshake`]: the first 3073 bytes each way, simple and digest.
//! - [`chunk`]: chunk streams, bytes to [`message::Message`] and back.
//! - [`control`], [`command`], [`data`], [`aggregate`]: what messages say.
//! - [`auth`]: passwords, as Adobe's and Limelight's servers ask for them.
//! - [`shared_object`]: values that clients have in common; the server does not
//!   offer them yet.
//! - [`session`]: the client and server state machines built of all those.
//!
//! "RTMP 1.0" in these pages is Adobe's "Real-Time Messaging Protocol (RTMP)
//! specification", 1.0, of 21 December 2012.

pub mod aggregate;
pub mod auth;
pub mod chunk;
pub mod command;
pub mod control;
pub mod data;
pub mod handshake;
pub mod message;
pub mod session;
pub mod shared_object;

#[doc(hidden)]
pub mod fuzz;
