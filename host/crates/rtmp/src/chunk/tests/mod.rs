//! The chunk stream against bytes written down, against itself, and against
//! noise.

mod limits;
mod reading;
mod round_trip;
mod writing;

use bytes::{Bytes, BytesMut};

use super::*;
use crate::message::Message;

fn message(
    chunk_stream_id: u32,
    timestamp: u32,
    type_id: u8,
    message_stream_id: u32,
    payload: &[u8],
) -> Message {
    Message {
        chunk_stream_id,
        timestamp,
        type_id,
        message_stream_id,
        payload: Bytes::copy_from_slice(payload),
    }
}

fn reader() -> Reader {
    Reader::new(ReaderLimits::default())
}

/// All messages in `bytes`, which arrive in one piece.
fn read_all(reader: &mut Reader, bytes: &[u8]) -> Result<Vec<Message>, ChunkError> {
    let mut input = bytes;
    let mut messages = Vec::new();
    while let Some(message) = reader.read(&mut input)? {
        messages.push(message);
    }
    assert!(input.is_empty());
    Ok(messages)
}

/// As [`read_all`] with a new reader, after checking that the same comes out
/// when the bytes arrive one by one.
fn read_bytes(bytes: &[u8]) -> Result<Vec<Message>, ChunkError> {
    let mut by_byte = reader();
    let mut messages = Vec::new();
    let mut failure = None;
    for byte in bytes.chunks(1) {
        match read_all(&mut by_byte, byte) {
            Ok(read) => messages.extend(read),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    let whole = read_all(&mut reader(), bytes);
    match failure {
        Some(error) => assert_eq!(whole, Err(error)),
        None => assert_eq!(whole.as_ref(), Ok(&messages)),
    }
    whole
}

fn timestamps(messages: &[Message]) -> Vec<u32> {
    messages.iter().map(|message| message.timestamp).collect()
}

/// A format 0 header for chunk streams up to 63.
fn header0(id: u8, timestamp: u32, length: u32, type_id: u8, stream: u32) -> Vec<u8> {
    let mut header = vec![id];
    header.extend_from_slice(&timestamp.min(EXTENDED).to_be_bytes()[1..]);
    header.extend_from_slice(&length.to_be_bytes()[1..]);
    header.push(type_id);
    header.extend_from_slice(&stream.to_le_bytes());
    if timestamp >= EXTENDED {
        header.extend_from_slice(&timestamp.to_be_bytes());
    }
    header
}

fn written(writer: &mut Writer, message: &Message) -> Vec<u8> {
    let mut out = BytesMut::new();
    writer.write(message, &mut out);
    out.to_vec()
}
