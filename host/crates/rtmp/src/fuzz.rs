//! Bodies of the fuzz targets, here so that refactoring breaks them at
//! compile time. They panic when something that must hold doesn't.

mod client;
pub mod expanding;
mod program;
mod server;
mod session;
mod speaker;
mod speech;

use bytes::{Bytes, BytesMut};

pub use session::session;

use crate::{
    aggregate,
    chunk::{ChunkError, Reader, ReaderLimits, Writer, encode_absolute},
    command::Command,
    control::ProtocolControl,
    data::{DataMessage, relayed_payload},
    handshake::{
        ClientHandshake, HANDSHAKE_LEN, HandshakeError, HandshakeKind, Progress, RANDOM_LEN,
        ServerHandshake,
    },
    message::{Message, type_id},
    shared_object::SharedObjectMessage,
};

/// The first byte says which ends meet and the second how bytes are cut; the
/// rest is what an end receives, or (so that the digests are reached) is
/// xor-ed onto what a good peer sends.
pub fn handshake(data: &[u8]) {
    let Some((&[mode, piece], noise)) = data.split_first_chunk::<2>() else {
        return;
    };
    let kind = if mode & 1 == 0 {
        HandshakeKind::Simple
    } else {
        HandshakeKind::Digest
    };
    let piece = usize::from(piece) * 16 + 1;
    let mut client = ClientHandshake::new(kind, &[mode; RANDOM_LEN], 1);
    let mut server = ServerHandshake::new([!mode; RANDOM_LEN], 2).strict(mode & 2 != 0);
    if mode & 4 == 0 {
        let whole = feed(noise, usize::MAX, HANDSHAKE_LEN, |input, out| {
            server.handle_input(input, out)
        });
        let mut server = ServerHandshake::new([!mode; RANDOM_LEN], 2).strict(mode & 2 != 0);
        let cut = feed(noise, piece, HANDSHAKE_LEN, |input, out| {
            server.handle_input(input, out)
        });
        assert_eq!(whole, cut);
        let whole = feed(noise, usize::MAX, HANDSHAKE_LEN, |input, out| {
            client.handle_input(input, out)
        });
        let mut client = ClientHandshake::new(kind, &[mode; RANDOM_LEN], 1);
        let cut = feed(noise, piece, HANDSHAKE_LEN, |input, out| {
            client.handle_input(input, out)
        });
        assert_eq!(whole, cut);
        return;
    }
    let (mut from_client, mut from_server) = (BytesMut::new(), BytesMut::new());
    let _ = client.handle_input(&mut &[][..], &mut from_client);
    spoil(&mut from_client, noise);
    let _ = server.handle_input(&mut &from_client[..], &mut from_server);
    let rest = noise.get(from_client.len()..).unwrap_or_default();
    spoil(&mut from_server, rest);
    let sent = feed(&from_server, piece, HANDSHAKE_LEN, |input, out| {
        client.handle_input(input, out)
    });
    if let Ok((_, c2, _)) = sent
        && !from_server.is_empty()
    {
        let _ = feed(&c2, piece, c2.len(), |input, out| {
            server.handle_input(input, out)
        });
    }
}

fn spoil(bytes: &mut BytesMut, noise: &[u8]) {
    for (byte, noise) in bytes.iter_mut().zip(noise) {
        *byte ^= noise;
    }
}

/// The end of a handshake given all of `bytes`, of which `expected` make it
/// done: how far it came, what it said, and how much it took.
fn feed(
    bytes: &[u8],
    piece: usize,
    expected: usize,
    mut handle: impl FnMut(&mut &[u8], &mut BytesMut) -> Result<Progress, HandshakeError>,
) -> Result<(Progress, Bytes, usize), HandshakeError> {
    let mut out = BytesMut::new();
    let mut progress = handle(&mut &[][..], &mut out)?;
    let mut taken = 0;
    for part in bytes.chunks(piece) {
        let mut input = part;
        progress = handle(&mut input, &mut out)?;
        taken += part.len() - input.len();
        assert!(progress == Progress::Done || input.is_empty());
    }
    assert!(taken <= HANDSHAKE_LEN && out.len() <= HANDSHAKE_LEN);
    assert_eq!(progress == Progress::Done, taken == expected);
    Ok((progress, out.freeze(), taken))
}

/// What a message costs as each of those that it could be, where the first byte
/// is its type.
pub fn message(data: &[u8]) {
    let Some((&type_id, payload)) = data.split_first() else {
        return;
    };
    let message = Message {
        chunk_stream_id: 3,
        timestamp: 0,
        type_id,
        message_stream_id: 1,
        payload: Bytes::copy_from_slice(payload),
    };
    drop(Command::decode(&message));
    drop(DataMessage::decode(&message));
    drop(SharedObjectMessage::decode_names(&message));
    if let Ok(said) = SharedObjectMessage::decode(&message) {
        drop(said.encode());
    }
    drop(aggregate::split(&message));
    let _ = ProtocolControl::decode(message.type_id, &message.payload);
}

/// The first byte says how the bytes are cut; the rest is a chunk stream.
pub fn chunk(data: &[u8]) {
    let Some((&piece, bytes)) = data.split_first() else {
        return;
    };
    let limits = ReaderLimits {
        max_message_size: 1 << 15,
        max_ignored_size: 1 << 16,
        max_chunk_streams: 8,
        max_held_bytes: 1 << 16,
    };
    let whole = read_all(limits, bytes, usize::MAX);
    let cut = read_all(limits, bytes, usize::from(piece) + 1);
    assert_eq!(whole, cut);
    let (messages, _) = whole;
    for message in &messages {
        let _ = Command::decode(message);
        let _ = DataMessage::decode(message);
        let _ = ProtocolControl::decode(message.type_id, &message.payload);
        assert!(relayed_payload(message).len() <= message.payload.len());
        if let Ok(parts) = aggregate::split(message) {
            assert!(parts.len() <= aggregate::MAX_PARTS);
        }
    }
    write_again(&messages);
}

fn read_all(
    limits: ReaderLimits,
    bytes: &[u8],
    piece: usize,
) -> (Vec<Message>, Option<ChunkError>) {
    let mut reader = Reader::new(limits);
    let mut messages = Vec::new();
    for part in bytes.chunks(piece) {
        let mut input = part;
        loop {
            match reader.read(&mut input) {
                Ok(Some(message)) => {
                    assert!(message.payload.len() <= limits.max_message_size as usize);
                    messages.push(message);
                }
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(input.is_empty());
        assert!(reader.held_bytes() <= limits.max_held_bytes);
    }
    (messages, None)
}

/// What was read can be written, and is the same when read again.
fn write_again(messages: &[Message]) {
    let mut writer = Writer::new();
    let mut out = BytesMut::new();
    let mut expected = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        // These would change how the rest is read.
        if matches!(message.type_id, type_id::SET_CHUNK_SIZE | type_id::ABORT) {
            continue;
        }
        if index % 5 == 4 {
            out.extend_from_slice(&encode_absolute(message, writer.chunk_size()));
            writer.forget(message.chunk_stream_id);
        } else {
            writer.write(message, &mut out);
        }
        expected.push(message.clone());
    }
    let (again, error) = read_all(ReaderLimits::default(), &out, usize::MAX);
    assert_eq!(error, None);
    assert_eq!(again, expected);
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    // A short fuzz run in every test run.
    proptest! {
        #[test]
        fn handshake(data in vec(any::<u8>(), 0..5000)) {
            super::handshake(&data);
        }

        #[test]
        fn spoiled_handshake(
            mode in 4..8_u8,
            piece in any::<u8>(),
            at in 0..5000_usize,
            noise in any::<u8>(),
        ) {
            let mut data = vec![0; 5002];
            (data[0], data[1], data[at + 2]) = (mode, piece, noise);
            super::handshake(&data);
        }

        #[test]
        fn message(kind in 15..23_u8, data in vec(prop_oneof![any::<u8>(), 0..20_u8], 0..1000)) {
            super::message(&[&[kind], &data[..]].concat());
        }

        #[test]
        fn chunk(data in vec(prop_oneof![any::<u8>(), 0..8_u8], 0..1000)) {
            super::chunk(&data);
        }

        #[test]
        fn session(mode in any::<u8>(), data in vec(any::<u8>(), 0..600)) {
            super::session(&[&[mode, 0], &data[..]].concat());
        }

        #[test]
        fn session_in_pieces(data in vec(any::<u8>(), 0..300)) {
            super::session(&data);
        }
    }
}
