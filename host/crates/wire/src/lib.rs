//! Sans-IO codecs of the media wire formats: bytes in, typed values out, and
//! back again.
//!
//! - [`amf0`], [`amf3`]: Action Message Format values, as RTMP commands and
//!   metadata carry them.
//! - [`flv`]: the FLV file and tag headers, and the audio and video tag
//!   headers (legacy and Enhanced RTMP) at the front of every RTMP media
//!   message.
//! - [`codec`]: the codec configuration records inside sequence headers.
//!
//! Nothing here reads a socket, a clock or randomness. Every decoder is meant
//! for bytes of an untrusted peer: it returns an error rather than panic, and
//! allocates in proportion to the bytes that actually arrived: AMF within the
//! [`Budget`] of its message, all else within the limits each module names.

mod amf;
pub mod amf0;
pub mod amf3;
mod budget;
pub mod codec;
mod cursor;
pub mod flv;
#[doc(hidden)]
pub mod fuzz;
mod properties;
mod sink;

pub use amf::lossy as text;
pub use budget::{Budget, MAX_MEMORY};
pub use properties::Properties;
