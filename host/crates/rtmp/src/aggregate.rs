//! Aggregate messages: several media messages in one (type 22).
//!
//! In: an aggregate [`Message`]. Out: its parts, with the timestamps and the
//! message stream that count; and the other way round. RTMP 1.0 section 7.1.6:
//! the body is a run of FLV tags, each an 11-byte header, a payload, and a
//! 4-byte back pointer.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

use crate::message::{Message, type_id};

/// Most parts in one message. Encoders put a fraction of a second into one;
/// this keeps an aggregate of empty parts from growing thirty-fold in memory.
pub const MAX_PARTS: usize = 4096;

/// Length of a part's header in bytes.
const HEADER_LEN: usize = 11;

/// Length of a back pointer in bytes.
const BACK_POINTER_LEN: usize = 4;

/// Why a message isn't a good aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AggregateError {
    /// The payload ends inside a part.
    #[error(
        "aggregate: expected {expected} more bytes for part {part} at byte {offset}, found {found}"
    )]
    Truncated {
        /// Index of the part.
        part: usize,
        /// Where its header or payload begins.
        offset: usize,
        /// Bytes needed.
        expected: usize,
        /// Bytes there.
        found: usize,
    },
    /// More than [`MAX_PARTS`].
    #[error("aggregate: expected at most {MAX_PARTS} parts, found more")]
    TooManyParts,
    /// The parts don't fit into one message.
    #[error("aggregate: expected parts of {limit} bytes in all at most, found {found}")]
    TooLong {
        /// What fits, in bytes.
        limit: usize,
        /// What the parts need, in bytes.
        found: usize,
    },
}

/// The parts of an aggregate, in order. Their payloads are copies: whoever keeps
/// a part does not keep all of the aggregate.
///
/// The timestamps of the parts are moved so that the first has the aggregate's;
/// their message stream is the aggregate's. Back pointers are skipped, and the
/// last may be missing. Parts of any type are returned, and an aggregate inside
/// is not taken apart.
///
/// # Errors
/// When a part is cut short, or there are too many.
pub fn split(message: &Message) -> Result<Vec<Message>, AggregateError> {
    let mut parts = Vec::new();
    let mut shift = 0;
    let mut at = 0;
    while let Some(rest) = message.payload.get(at..).filter(|rest| !rest.is_empty()) {
        if parts.len() >= MAX_PARTS {
            return Err(AggregateError::TooManyParts);
        }
        let truncated = |offset, expected, found| AggregateError::Truncated {
            part: parts.len(),
            offset,
            expected,
            found,
        };
        let Some((header, body)) = rest.split_first_chunk::<HEADER_LEN>() else {
            return Err(truncated(at, HEADER_LEN, rest.len()));
        };
        // The stream id that ends the header is the aggregate's.
        let [type_id, l1, l2, l3, t2, t3, t4, t1, _, _, _] = *header;
        let length = u32::from_be_bytes([0, l1, l2, l3]) as usize;
        let start = at + HEADER_LEN;
        let Some(payload) = body.get(..length) else {
            return Err(truncated(start, length, body.len()));
        };
        let timestamp = u32::from_be_bytes([t1, t2, t3, t4]);
        if parts.is_empty() {
            shift = message.timestamp.wrapping_sub(timestamp);
        }
        parts.push(Message {
            chunk_stream_id: message.chunk_stream_id,
            timestamp: timestamp.wrapping_add(shift),
            type_id,
            message_stream_id: message.message_stream_id,
            payload: Bytes::copy_from_slice(payload),
        });
        at = start + length + BACK_POINTER_LEN;
    }
    Ok(parts)
}

/// One aggregate of these messages: its timestamp, chunk stream and message
/// stream are those of the first. `None` if there are no messages.
///
/// # Errors
/// When there are too many messages, or they don't fit into 2^24 - 1 bytes.
pub fn join(messages: &[Message]) -> Result<Option<Message>, AggregateError> {
    const LIMIT: usize = 0x00FF_FFFF;
    let Some(first) = messages.first() else {
        return Ok(None);
    };
    if messages.len() > MAX_PARTS {
        return Err(AggregateError::TooManyParts);
    }
    let found = messages.iter().fold(0_usize, |sum, message| {
        sum.saturating_add(HEADER_LEN + BACK_POINTER_LEN)
            .saturating_add(message.payload.len())
    });
    if found > LIMIT {
        return Err(AggregateError::TooLong {
            limit: LIMIT,
            found,
        });
    }
    let mut payload = BytesMut::with_capacity(found);
    for message in messages {
        let length = message.payload.len();
        let [t1, t2, t3, t4] = message.timestamp.to_be_bytes();
        payload.put_u8(message.type_id);
        payload.put_uint(length as u64, 3);
        payload.put_slice(&[t2, t3, t4, t1]);
        payload.put_uint(u64::from(message.message_stream_id & 0x00FF_FFFF), 3);
        payload.extend_from_slice(&message.payload);
        payload.put_uint((HEADER_LEN + length) as u64, BACK_POINTER_LEN);
    }
    Ok(Some(Message {
        chunk_stream_id: first.chunk_stream_id,
        timestamp: first.timestamp,
        type_id: type_id::AGGREGATE,
        message_stream_id: first.message_stream_id,
        payload: payload.freeze(),
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(type_id: u8, timestamp: u32, payload: &'static [u8]) -> Message {
        Message {
            chunk_stream_id: 6,
            timestamp,
            type_id,
            message_stream_id: 1,
            payload: Bytes::from_static(payload),
        }
    }

    const GOLDEN: &[u8] = &[
        8, 0, 0, 2, 0, 0, 0x10, 0, 0, 0, 1, 0xAF, 1, 0, 0, 0, 13, // audio at 16
        9, 0, 0, 1, 0, 0, 0x20, 1, 0, 0, 1, 0x17, 0, 0, 0, 12, // video at 2^24 + 32
    ];

    #[test]
    fn golden_bytes_both_ways() {
        let parts = [part(8, 0x10, &[0xAF, 1]), part(9, 0x0100_0020, &[0x17])];
        let joined = join(&parts).unwrap().unwrap();
        assert_eq!(joined.payload, GOLDEN);
        assert_eq!((joined.type_id, joined.timestamp), (22, 0x10));
        assert_eq!(split(&joined).unwrap(), parts);
    }

    #[test]
    fn a_part_keeps_its_own_bytes_alone() {
        let joined = part(22, 0x10, GOLDEN);
        let whole = joined.payload.as_ptr_range();
        for part in split(&joined).unwrap() {
            assert!(!whole.contains(&part.payload.as_ptr()));
        }
    }

    #[test]
    fn timestamps_and_stream_are_those_of_the_aggregate() {
        let message = Message {
            timestamp: 5,
            message_stream_id: 3,
            ..part(22, 0, GOLDEN)
        };
        let parts = split(&message).unwrap();
        assert_eq!(parts[0].timestamp, 5);
        assert_eq!(parts[1].timestamp, 5 + 0x0100_0010);
        assert!(parts.iter().all(|part| part.message_stream_id == 3));
    }

    #[test]
    fn only_the_last_back_pointer_may_be_missing() {
        let whole = split(&part(22, 0x10, GOLDEN)).unwrap();
        for cut in 0..GOLDEN.len() {
            let result = split(&part(22, 0x10, &GOLDEN[..cut]));
            match cut {
                0 => assert_eq!(result, Ok(vec![])),
                13..=17 => assert_eq!(result.unwrap(), whole[..1]),
                29.. => assert_eq!(result.unwrap(), whole),
                _ => assert!(
                    matches!(result, Err(AggregateError::Truncated { .. })),
                    "{cut}"
                ),
            }
        }
    }

    #[test]
    fn too_many_parts_are_refused() {
        let parts = vec![part(8, 0, &[]); MAX_PARTS];
        let mut joined = join(&parts).unwrap().unwrap();
        assert_eq!(split(&joined).unwrap().len(), MAX_PARTS);
        joined.payload = [&joined.payload[..], GOLDEN].concat().into();
        assert_eq!(split(&joined), Err(AggregateError::TooManyParts));
        assert_eq!(
            join(&vec![part(8, 0, &[]); MAX_PARTS + 1]),
            Err(AggregateError::TooManyParts)
        );
        assert_eq!(join(&[]), Ok(None));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_split_or_fail(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let length = payload.len();
            let message = Message { payload: payload.into(), ..part(22, 0, &[]) };
            if let Ok(parts) = split(&message) {
                let sum: usize = parts.iter().map(|part| part.payload.len() + HEADER_LEN).sum();
                prop_assert!(sum <= length);
            }
        }

        #[test]
        fn join_then_split(
            parts in proptest::collection::vec(
                (8..=9_u8, any::<u32>(), proptest::collection::vec(any::<u8>(), 0..50)), 1..20)
        ) {
            let parts: Vec<_> = parts.into_iter().map(|(type_id, timestamp, payload)| Message {
                payload: payload.into(),
                ..part(type_id, timestamp, &[])
            }).collect();
            let joined = join(&parts).unwrap().unwrap();
            prop_assert_eq!(split(&joined).unwrap(), parts);
        }
    }
}
