//! The RTMP message: what a chunk stream carries and a session acts on.
//!
//! Flows out of [`crate::chunk::Reader`] and into [`crate::chunk::Writer`].
//! RTMP 1.0 section 6.1 (message format) and section 7.1 (message types).

use std::fmt;

use bytes::Bytes;

/// One complete RTMP message.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The chunk stream that carried it or shall carry it: 2 to 65599.
    pub chunk_stream_id: u32,
    /// Milliseconds, absolute, on the sender's clock; wraps at 2^32.
    pub timestamp: u32,
    /// What the payload is: one of [`type_id`].
    pub type_id: u8,
    /// The message stream (0 is the connection itself).
    pub message_stream_id: u32,
    /// At most 2^24 - 1 bytes; may be empty.
    pub payload: Bytes,
}

impl Message {
    /// Whether this is audio, video, data or an aggregate of those.
    pub fn is_media(&self) -> bool {
        type_id::is_media(self.type_id)
    }
}

/// Prints the payload's length, not its bytes: messages end up in logs.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("chunk_stream_id", &self.chunk_stream_id)
            .field("timestamp", &self.timestamp)
            .field("type_id", &self.type_id)
            .field("message_stream_id", &self.message_stream_id)
            .field("payload_len", &self.payload.len())
            .finish()
    }
}

/// Message type ids, RTMP 1.0 sections 5.4 and 7.1.
pub mod type_id {
    /// Set Chunk Size, section 5.4.1.
    pub const SET_CHUNK_SIZE: u8 = 1;
    /// Abort Message, section 5.4.2.
    pub const ABORT: u8 = 2;
    /// Acknowledgement, section 5.4.3.
    pub const ACKNOWLEDGEMENT: u8 = 3;
    /// User Control Message, section 6.2.
    pub const USER_CONTROL: u8 = 4;
    /// Window Acknowledgement Size, section 5.4.4.
    pub const WINDOW_ACK_SIZE: u8 = 5;
    /// Set Peer Bandwidth, section 5.4.5.
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    /// Audio, section 7.1.4: an FLV audio tag body.
    pub const AUDIO: u8 = 8;
    /// Video, section 7.1.5: an FLV video tag body.
    pub const VIDEO: u8 = 9;
    /// Data in AMF3, section 7.1.2.
    pub const DATA_AMF3: u8 = 15;
    /// Shared object in AMF3, section 7.1.3.
    pub const SHARED_OBJECT_AMF3: u8 = 16;
    /// Command in AMF3, section 7.1.1.
    pub const COMMAND_AMF3: u8 = 17;
    /// Data in AMF0, section 7.1.2.
    pub const DATA_AMF0: u8 = 18;
    /// Shared object in AMF0, section 7.1.3.
    pub const SHARED_OBJECT_AMF0: u8 = 19;
    /// Command in AMF0, section 7.1.1.
    pub const COMMAND_AMF0: u8 = 20;
    /// Aggregate, section 7.1.6: several media messages in one.
    pub const AGGREGATE: u8 = 22;

    /// Whether it is audio, video, data or an aggregate of those.
    pub const fn is_media(type_id: u8) -> bool {
        matches!(type_id, AUDIO | VIDEO | DATA_AMF0 | DATA_AMF3 | AGGREGATE)
    }
}
