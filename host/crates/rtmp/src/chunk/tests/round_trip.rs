//! Whatever is written is read again, however the bytes are cut.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::control::ProtocolControl;

/// What is done to a connection.
#[derive(Debug, Clone)]
enum Step {
    Write(Message),
    WriteAbsolute(Message),
    ChunkSize(u32),
}

fn any_timestamp() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => 0..100_000_u32,
        2 => 0x00FF_FF00..0x0100_0100_u32,
        1 => (u32::MAX - 100)..=u32::MAX,
        1 => any::<u32>(),
    ]
}

fn any_message() -> impl Strategy<Value = Message> {
    let id = prop_oneof![3 => 2..6_u32, 1 => 62..66_u32, 1 => 318..322_u32, 1 => Just(65_599)];
    let payload = prop_oneof![4 => vec(any::<u8>(), 0..8), 1 => vec(any::<u8>(), 0..600)];
    // Types that mean nothing to the chunk stream.
    (id, any_timestamp(), 8..23_u8, 0..3_u32, payload).prop_map(
        |(id, timestamp, type_id, stream, payload)| {
            message(id, timestamp, type_id, stream, &payload)
        },
    )
}

/// A run of messages that a writer can compress.
fn run() -> impl Strategy<Value = Vec<Step>> {
    (any_message(), 0..50_u32, 1..6_usize).prop_map(|(first, delta, count)| {
        let mut timestamp = first.timestamp;
        let mut steps = Vec::new();
        for _ in 0..count {
            steps.push(Step::Write(Message {
                timestamp,
                ..first.clone()
            }));
            timestamp = timestamp.wrapping_add(delta);
        }
        steps
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        3 => run(),
        2 => any_message().prop_map(|message| vec![Step::WriteAbsolute(message)]),
        1 => (1..5000_u32).prop_map(|size| vec![Step::ChunkSize(size)]),
    ];
    vec(one, 0..12).prop_map(|steps| steps.concat())
}

fn encode(steps: &[Step]) -> (Vec<u8>, Vec<Message>) {
    let mut writer = Writer::new();
    let mut bytes = BytesMut::new();
    let mut messages = Vec::new();
    for step in steps {
        match step {
            Step::Write(message) => {
                writer.write(message, &mut bytes);
                messages.push(message.clone());
            }
            Step::WriteAbsolute(message) => {
                bytes.extend_from_slice(&encode_absolute(message, writer.chunk_size()));
                writer.forget(message.chunk_stream_id);
                messages.push(message.clone());
            }
            Step::ChunkSize(size) => {
                let message = ProtocolControl::SetChunkSize(*size).to_message();
                writer.write(&message, &mut bytes);
                writer.set_chunk_size(*size);
                messages.push(message);
            }
        }
    }
    (bytes.to_vec(), messages)
}

/// Splits a chunked message into its chunks, for interleaving by hand.
fn chunks_of(message: &Message, chunk_size: usize) -> Vec<Vec<u8>> {
    let bytes = encode_absolute(message, u32::try_from(chunk_size).unwrap());
    let extended = if message.timestamp >= EXTENDED { 4 } else { 0 };
    let basic = match message.chunk_stream_id {
        0..64 => 1,
        64..320 => 2,
        _ => 3,
    };
    let mut rest = &bytes[..];
    let mut chunks = Vec::new();
    let mut missing = message.payload.len();
    while !rest.is_empty() {
        let header = if chunks.is_empty() { basic + 11 } else { basic } + extended;
        let payload = missing.min(chunk_size);
        let (chunk, after) = rest.split_at(header + payload);
        chunks.push(chunk.to_vec());
        missing -= payload;
        rest = after;
    }
    chunks
}

proptest! {
    #[test]
    fn written_messages_are_read_again_however_cut(
        steps in steps(),
        cuts in vec(1..300_usize, 1..20),
    ) {
        let (bytes, messages) = encode(&steps);
        let mut reader = reader();
        let mut read = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            read.extend(read_all(&mut reader, piece).unwrap());
            rest = after;
        }
        prop_assert_eq!(read, messages);
        prop_assert_eq!(reader.bytes_received(), bytes.len() as u64);
        prop_assert_eq!(reader.held_bytes(), 0);
    }

    #[test]
    fn interleaved_messages_are_all_read(
        messages in vec(any_message(), 1..8),
        order in vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let mut open: Vec<_> = messages
            .into_iter()
            .zip(100..)
            .map(|(message, chunk_stream_id)| Message { chunk_stream_id, ..message })
            .map(|message| (message.clone(), chunks_of(&message, 128)))
            .collect();
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        let mut order = order.into_iter();
        while !open.is_empty() {
            let at = order.next().map_or(0, |index| index.index(open.len()));
            let (message, chunks) = &mut open[at];
            bytes.extend(chunks.remove(0));
            if chunks.is_empty() {
                expected.push(message.clone());
                open.remove(at);
            }
        }
        prop_assert_eq!(read_bytes(&bytes).unwrap(), expected);
    }

    /// Noise is read or refused, never more than the limits allow is held.
    #[test]
    fn noise_stays_within_the_limits(
        noise in vec(prop_oneof![3 => any::<u8>(), 1 => Just(0_u8), 1 => 0xC2..0xC6_u8], 0..2000),
        cut in 1..200_usize,
    ) {
        let limits = ReaderLimits {
            max_message_size: 1000,
            max_ignored_size: 2000,
            max_chunk_streams: 4,
            max_held_bytes: 1500,
        };
        let mut reader = Reader::new(limits);
        for piece in noise.chunks(cut) {
            let result = read_all(&mut reader, piece);
            prop_assert!(reader.held_bytes() <= 1500);
            match result {
                Ok(messages) => {
                    prop_assert!(messages.iter().all(|message| message.payload.len() <= 1000));
                }
                Err(_) => break,
            }
        }
    }

    #[test]
    fn a_payload_is_where_its_chunks_have_it(message in any_message(), size in 1..700_u32) {
        let other = Message { payload: "other".into(), ..message.clone() };
        let chunks = encode_payload(&other, &message.payload, size);
        prop_assert_eq!(&chunks.bytes, &encode_absolute(&message, size));
        let mut rest = &chunks.bytes[chunks.head as usize..];
        let mut payload = Vec::new();
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(rest.len().min(size as usize));
            payload.extend_from_slice(part);
            rest = behind.get(chunks.gap as usize..).unwrap_or_default();
        }
        prop_assert_eq!(payload, message.payload);
    }
}
