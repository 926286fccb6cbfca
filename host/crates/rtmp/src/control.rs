//! Protocol control and user control messages, typed.
//!
//! In: the payload of a message of types 1 to 6. Out: [`ProtocolControl`], or
//! the message that says it. RTMP 1.0 sections 5.4, 6.2 and 7.1.7. All
//! integers are big-endian.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

use crate::message::{Message, type_id};

/// The chunk stream that protocol control messages must use (section 5.4).
pub const CHUNK_STREAM_ID: u32 = 2;

/// A protocol control message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProtocolControl {
    /// The largest chunk payload the sender will write from now on, in bytes
    /// (31 bits).
    SetChunkSize(u32),
    /// The half-sent message of this chunk stream will not be finished.
    Abort(u32),
    /// Bytes received so far on this connection, modulo 2^32.
    Acknowledgement(u32),
    /// An event, see [`UserControl`].
    UserControl(UserControl),
    /// The sender wants an acknowledgement at least every so many bytes.
    WindowAckSize(u32),
    /// Asks the receiver to have at most `size` unacknowledged bytes in flight.
    SetPeerBandwidth {
        /// Bytes.
        size: u32,
        /// How `size` relates to the limit already in force.
        limit: LimitType,
    },
}

/// The limit type of Set Peer Bandwidth (section 5.4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitType {
    /// Use this window.
    Hard,
    /// Use the smaller of this window and the one in force.
    Soft,
    /// As hard if the last one was hard, else ignore it.
    Dynamic,
}

/// The events of a User Control Message (section 7.1.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserControl {
    /// The message stream can now be used.
    StreamBegin(u32),
    /// Playback of the message stream is over.
    StreamEof(u32),
    /// No more data on the message stream for now.
    StreamDry(u32),
    /// The client's buffer for a message stream.
    SetBufferLength {
        /// The message stream.
        stream: u32,
        /// Milliseconds.
        millis: u32,
    },
    /// The message stream plays a recording.
    StreamIsRecorded(u32),
    /// Carries the sender's clock in milliseconds, to be returned.
    PingRequest(u32),
    /// The clock value of the ping request it answers.
    PingResponse(u32),
    /// An event this crate doesn't know; harmless.
    Unknown {
        /// Event type.
        event: u16,
        /// What follows it.
        data: Bytes,
    },
}

/// A control message that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ControlMessageError {
    /// The payload ends before its fields do.
    #[error("{message}: expected {expected} bytes of payload, found {found}")]
    TooShort {
        /// Name of the message.
        message: &'static str,
        /// Bytes needed.
        expected: usize,
        /// Bytes there.
        found: usize,
    },
    /// Set Peer Bandwidth with a limit type beyond 2.
    #[error("set peer bandwidth: expected limit type 0, 1 or 2 in byte 4, found {found}")]
    LimitType {
        /// The byte found.
        found: u8,
    },
    /// Not one of the six protocol control types.
    #[error("expected a control message type (1 to 6), found type {found}")]
    NotControl {
        /// The message type.
        found: u8,
    },
}

impl ProtocolControl {
    /// Reads the payload of a message of type `type_id`. Bytes after the known
    /// fields are ignored.
    ///
    /// # Errors
    /// When the payload is too short, or the type isn't a control type.
    pub fn decode(type_id: u8, payload: &[u8]) -> Result<Self, ControlMessageError> {
        let only = |message| be32(message, payload, 0);
        Ok(match type_id {
            type_id::SET_CHUNK_SIZE => Self::SetChunkSize(only("set chunk size")?),
            type_id::ABORT => Self::Abort(only("abort")?),
            type_id::ACKNOWLEDGEMENT => Self::Acknowledgement(only("acknowledgement")?),
            type_id::USER_CONTROL => Self::UserControl(UserControl::decode(payload)?),
            type_id::WINDOW_ACK_SIZE => Self::WindowAckSize(only("window acknowledgement size")?),
            type_id::SET_PEER_BANDWIDTH => {
                let size = only("set peer bandwidth")?;
                let limit = match payload.get(4) {
                    Some(0) => LimitType::Hard,
                    Some(1) => LimitType::Soft,
                    Some(2) => LimitType::Dynamic,
                    Some(&found) => return Err(ControlMessageError::LimitType { found }),
                    None => {
                        return Err(ControlMessageError::TooShort {
                            message: "set peer bandwidth",
                            expected: 5,
                            found: payload.len(),
                        });
                    }
                };
                Self::SetPeerBandwidth { size, limit }
            }
            found => return Err(ControlMessageError::NotControl { found }),
        })
    }

    /// The message that says this: chunk stream 2, message stream 0, timestamp
    /// 0 (which receivers ignore, section 5.4).
    pub fn to_message(&self) -> Message {
        let mut payload = BytesMut::with_capacity(10);
        let type_id = match self {
            Self::SetChunkSize(size) => {
                payload.put_u32(*size & 0x7FFF_FFFF);
                type_id::SET_CHUNK_SIZE
            }
            Self::Abort(chunk_stream) => {
                payload.put_u32(*chunk_stream);
                type_id::ABORT
            }
            Self::Acknowledgement(sequence) => {
                payload.put_u32(*sequence);
                type_id::ACKNOWLEDGEMENT
            }
            Self::UserControl(event) => {
                event.encode(&mut payload);
                type_id::USER_CONTROL
            }
            Self::WindowAckSize(size) => {
                payload.put_u32(*size);
                type_id::WINDOW_ACK_SIZE
            }
            Self::SetPeerBandwidth { size, limit } => {
                payload.put_u32(*size);
                payload.put_u8(match limit {
                    LimitType::Hard => 0,
                    LimitType::Soft => 1,
                    LimitType::Dynamic => 2,
                });
                type_id::SET_PEER_BANDWIDTH
            }
        };
        Message {
            chunk_stream_id: CHUNK_STREAM_ID,
            timestamp: 0,
            type_id,
            message_stream_id: 0,
            payload: payload.freeze(),
        }
    }
}

impl UserControl {
    /// Reads the payload of a message of type 4.
    ///
    /// # Errors
    /// When it is shorter than its event needs.
    pub fn decode(payload: &[u8]) -> Result<Self, ControlMessageError> {
        let Some((&[high, low], data)) = payload.split_first_chunk::<2>() else {
            return Err(ControlMessageError::TooShort {
                message: "user control",
                expected: 2,
                found: payload.len(),
            });
        };
        let value = |message| be32(message, payload, 2);
        Ok(match u16::from_be_bytes([high, low]) {
            0 => Self::StreamBegin(value("stream begin")?),
            1 => Self::StreamEof(value("stream EOF")?),
            2 => Self::StreamDry(value("stream dry")?),
            3 => Self::SetBufferLength {
                stream: value("set buffer length")?,
                millis: be32("set buffer length", payload, 6)?,
            },
            4 => Self::StreamIsRecorded(value("stream is recorded")?),
            6 => Self::PingRequest(value("ping request")?),
            7 => Self::PingResponse(value("ping response")?),
            event => Self::Unknown {
                event,
                data: Bytes::copy_from_slice(data),
            },
        })
    }

    /// Wraps this into a [`ProtocolControl`] message.
    pub fn to_message(&self) -> Message {
        ProtocolControl::UserControl(self.clone()).to_message()
    }

    fn encode(&self, out: &mut BytesMut) {
        let (event, value) = match self {
            Self::StreamBegin(stream) => (0, *stream),
            Self::StreamEof(stream) => (1, *stream),
            Self::StreamDry(stream) => (2, *stream),
            Self::SetBufferLength { stream, .. } => (3, *stream),
            Self::StreamIsRecorded(stream) => (4, *stream),
            Self::PingRequest(millis) => (6, *millis),
            Self::PingResponse(millis) => (7, *millis),
            Self::Unknown { event, data } => {
                out.put_u16(*event);
                out.extend_from_slice(data);
                return;
            }
        };
        out.put_u16(event);
        out.put_u32(value);
        if let Self::SetBufferLength { millis, .. } = self {
            out.put_u32(*millis);
        }
    }
}

/// The big-endian 32-bit field at byte `at` of `payload`.
fn be32(message: &'static str, payload: &[u8], at: usize) -> Result<u32, ControlMessageError> {
    payload
        .get(at..)
        .and_then(|rest| rest.first_chunk::<4>())
        .map(|field| u32::from_be_bytes(*field))
        .ok_or(ControlMessageError::TooShort {
            message,
            expected: at + 4,
            found: payload.len(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same_again(control: ProtocolControl, type_id: u8, bytes: &[u8]) {
        let message = control.to_message();
        assert_eq!(message.type_id, type_id);
        assert_eq!(message.payload, bytes);
        assert_eq!(
            (
                message.chunk_stream_id,
                message.message_stream_id,
                message.timestamp
            ),
            (2, 0, 0)
        );
        assert_eq!(ProtocolControl::decode(type_id, bytes), Ok(control));
    }

    #[test]
    fn golden_bytes_both_ways() {
        same_again(ProtocolControl::SetChunkSize(4096), 1, &[0, 0, 0x10, 0]);
        same_again(ProtocolControl::Abort(5), 2, &[0, 0, 0, 5]);
        same_again(
            ProtocolControl::Acknowledgement(0xFFFF_FFFE),
            3,
            &[0xFF, 0xFF, 0xFF, 0xFE],
        );
        same_again(
            ProtocolControl::WindowAckSize(2_500_000),
            5,
            &[0x00, 0x26, 0x25, 0xA0],
        );
        for (limit, byte) in [
            (LimitType::Hard, 0),
            (LimitType::Soft, 1),
            (LimitType::Dynamic, 2),
        ] {
            let control = ProtocolControl::SetPeerBandwidth { size: 1, limit };
            same_again(control, 6, &[0, 0, 0, 1, byte]);
        }
    }

    #[test]
    fn golden_user_control_events() {
        let event = |event, bytes: &[u8]| {
            same_again(ProtocolControl::UserControl(event), 4, bytes);
        };
        event(UserControl::StreamBegin(1), &[0, 0, 0, 0, 0, 1]);
        event(UserControl::StreamEof(1), &[0, 1, 0, 0, 0, 1]);
        event(UserControl::StreamDry(1), &[0, 2, 0, 0, 0, 1]);
        event(
            UserControl::SetBufferLength {
                stream: 1,
                millis: 3000,
            },
            &[0, 3, 0, 0, 0, 1, 0, 0, 0x0B, 0xB8],
        );
        event(UserControl::StreamIsRecorded(1), &[0, 4, 0, 0, 0, 1]);
        event(UserControl::PingRequest(7), &[0, 6, 0, 0, 0, 7]);
        event(UserControl::PingResponse(7), &[0, 7, 0, 0, 0, 7]);
        event(
            UserControl::Unknown {
                event: 31,
                data: Bytes::from_static(&[0, 0, 0, 1]),
            },
            &[0, 31, 0, 0, 0, 1],
        );
    }

    #[test]
    fn short_payloads_are_errors_and_long_ones_are_not() {
        for type_id in 1..=6 {
            for len in 0..4 {
                let cut = [0_u8; 4];
                if type_id == 4 && len == 2 {
                    continue;
                }
                assert!(
                    matches!(
                        ProtocolControl::decode(type_id, &cut[..len]),
                        Err(ControlMessageError::TooShort { .. })
                    ),
                    "type {type_id}, {len} bytes"
                );
            }
        }
        assert_eq!(
            ProtocolControl::decode(6, &[0, 0, 0, 1]),
            Err(ControlMessageError::TooShort {
                message: "set peer bandwidth",
                expected: 5,
                found: 4
            })
        );
        assert_eq!(
            ProtocolControl::decode(6, &[0, 0, 0, 1, 3]),
            Err(ControlMessageError::LimitType { found: 3 })
        );
        assert_eq!(
            ProtocolControl::decode(5, &[0, 0, 0, 1, 9, 9]),
            Ok(ProtocolControl::WindowAckSize(1))
        );
        assert_eq!(
            ProtocolControl::decode(8, &[0; 8]),
            Err(ControlMessageError::NotControl { found: 8 })
        );
    }
}
