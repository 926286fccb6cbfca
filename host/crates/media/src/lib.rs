//! Media as all protocols have it: what a publisher sent at one moment is a
//! [`Packet`], which several tracks may have a [`Sample`] in.
//!
//! Flows in: FLV bodies of RTMP and files, or samples of other protocols.
//! Flows out: what a packet means to a player that joins ([`Role`], [`Scope`]),
//! its place on the stream's line ([`Timeline`]), and, for who asks, its
//! [`Sample`]s, the [`Track`]s it configures, or its FLV body.
//!
//! A body is classified once, when it comes. It is read again only for samples
//! and tracks, so a stream that is passed on as it came does not pay for them.
//!
//! Times are nanoseconds. A stream's line does not wrap; RTMP's milliseconds
//! do, and exist at its edge alone ([`time`]).
//!
//! Nothing here reads a socket or a clock. Bodies are those of an untrusted
//! peer: none makes a panic, and what is read of one is bounded.

mod body;
mod classify;
pub mod metadata;
mod packet;
mod sample;
pub mod time;
mod timeline;
mod track;
mod tracks;
mod video;

pub use body::BodyLayout;
pub use classify::{Scope, TrackCodec};
pub use packet::{NotAPacket, Packet, Role};
pub use sample::{MAX_SAMPLES, Sample};
pub use timeline::{Placed, Timeline};
pub use track::{Codec, Kind, Track};
pub use tracks::{Covered, MainTrack, Tracks};
pub use video::{Video, VideoTurn, VideoWatch};
