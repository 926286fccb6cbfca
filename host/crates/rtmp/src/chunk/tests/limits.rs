//! What the reader refuses, and what it holds while it waits.

use super::*;

fn limited(limits: ReaderLimits) -> Reader {
    Reader::new(limits)
}

fn kind(result: Result<Vec<Message>, ChunkError>) -> ChunkErrorKind {
    result.unwrap_err().kind
}

#[test]
fn message_length_is_refused_by_its_header() {
    let limits = ReaderLimits {
        max_message_size: 1000,
        ..ReaderLimits::default()
    };
    let read = |length| read_all(&mut limited(limits), &header0(4, 0, length, 9, 1));
    assert_eq!(read(1000), Ok(vec![]));
    assert_eq!(
        read(1001),
        Err(ChunkError {
            offset: 12,
            kind: ChunkErrorKind::MessageTooLong {
                chunk_stream_id: 4,
                length: 1001,
                limit: 1000
            }
        })
    );
    assert_eq!(
        read(1001).unwrap_err().to_string(),
        "byte 12 of the chunk stream: expected messages of at most 1000 bytes, found one of 1001 \
         bytes on chunk stream 4"
    );
}

#[test]
fn a_chunk_size_has_31_bits() {
    let set = |size: u32| {
        let bytes = [&header0(2, 0, 4, 1, 0)[..], &size.to_be_bytes()].concat();
        let mut reader = reader();
        read_all(&mut reader, &bytes).map(|_| reader.chunk_size())
    };
    for size in [1, 65_537, 0xFF_FFFF] {
        assert_eq!(set(size), Ok(size));
    }
    // RTMP 1.0 section 5.4.1: they mean the same.
    for size in [0x100_0000, 128 << 20, 0x7FFF_FFFF] {
        assert_eq!(set(size), Ok(0xFF_FFFF));
    }
    for size in [0, 0x8000_0000, 0x8000_0080, u32::MAX] {
        let error = set(size).unwrap_err();
        assert_eq!(error.kind, ChunkErrorKind::ChunkSize { found: size });
        assert_eq!(error.offset, 16);
        assert_eq!(
            error.kind.to_string(),
            format!("expected a chunk size of 1 to 2147483647 bytes, found {size}")
        );
    }
}

#[test]
fn short_set_chunk_size_and_abort_are_refused() {
    for type_id in [1, 2] {
        let bytes = [&header0(2, 0, 3, type_id, 0)[..], &[0, 0, 1]].concat();
        assert!(matches!(
            kind(read_bytes(&bytes)),
            ChunkErrorKind::Control(_)
        ));
    }
}

#[test]
fn too_many_chunk_streams_are_refused() {
    let limits = ReaderLimits {
        max_chunk_streams: 3,
        ..ReaderLimits::default()
    };
    let open = |id| [&header0(id, 0, 1, 9, 1)[..], &[0]].concat();
    let bytes = [open(2), open(3), open(4), open(2)].concat();
    let mut reader = limited(limits);
    assert_eq!(read_all(&mut reader, &bytes).unwrap().len(), 4);
    assert_eq!(
        kind(read_all(&mut reader, &open(5))),
        ChunkErrorKind::TooManyChunkStreams {
            chunk_stream_id: 5,
            limit: 3
        }
    );
}

/// The beginning of a message of 1000 bytes: its first 128.
fn begin(chunk_stream_id: u8) -> Vec<u8> {
    [&header0(chunk_stream_id, 0, 1000, 9, 1)[..], &[0; 128]].concat()
}

#[test]
fn unfinished_messages_are_bounded_together_by_their_memory() {
    let limits = ReaderLimits {
        max_held_bytes: 2500,
        ..ReaderLimits::default()
    };
    let mut reader = limited(limits);
    assert_eq!(read_all(&mut reader, &begin(4)), Ok(vec![]));
    assert_eq!(read_all(&mut reader, &begin(5)), Ok(vec![]));
    assert_eq!(reader.held_bytes(), 2000);
    assert_eq!(
        kind(read_all(&mut reader, &begin(6))),
        ChunkErrorKind::TooMuchUnfinished {
            chunk_stream_id: 6,
            limit: 2500
        }
    );
    // One that is given up makes room.
    let mut reader = limited(limits);
    read_all(
        &mut reader,
        &[begin(4), begin(5), begin(4), begin(5)].concat(),
    )
    .unwrap();
    let abort = [&header0(2, 0, 4, 2, 0)[..], &[0, 0, 0, 5]].concat();
    read_all(&mut reader, &[abort, begin(6)].concat()).unwrap();
    assert_eq!(reader.held_bytes(), 2000);
}

#[test]
fn media_that_is_too_long_to_be_kept_may_be_passed_over() {
    let limits = ReaderLimits {
        max_message_size: 1000,
        max_ignored_size: 2000,
        max_held_bytes: 1000,
        ..ReaderLimits::default()
    };
    let message = |id: u8, type_id: u8, len: usize| {
        let mut bytes = header0(id, 0, u32::try_from(len).unwrap(), type_id, 1);
        for (index, chunk) in vec![type_id; len].chunks(128).enumerate() {
            if index > 0 {
                bytes.push(0xC0 | id);
            }
            bytes.extend(chunk);
        }
        bytes
    };
    for type_id in [8, 9, 15, 18, 22] {
        let mut reader = limited(limits);
        for piece in message(4, type_id, 2000).chunks(100) {
            assert_eq!(read_all(&mut reader, piece), Ok(vec![]));
            assert_eq!(reader.held_bytes(), 0);
        }
        let kept = read_all(&mut reader, &message(4, type_id, 1000)).unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!(
            kind(read_all(&mut reader, &message(4, type_id, 2001))),
            ChunkErrorKind::MessageTooLong {
                chunk_stream_id: 4,
                length: 2001,
                limit: 2000
            }
        );
    }
    assert_eq!(
        kind(read_all(&mut limited(limits), &message(4, 20, 1001))),
        ChunkErrorKind::MessageTooLong {
            chunk_stream_id: 4,
            length: 1001,
            limit: 1000
        }
    );
}

#[test]
fn limits_that_change_apply_to_what_has_begun() {
    let mut reader = reader();
    // The rest of a message of 1000 bytes, its first chunk given or not.
    let rest = |chunks: &[usize]| {
        let chunks = chunks
            .iter()
            .map(|len| [&[0xC4][..], &vec![1; *len]].concat());
        chunks.collect::<Vec<_>>().concat()
    };
    assert_eq!(read_all(&mut reader, &begin(4)), Ok(vec![]));
    assert_eq!(reader.held_bytes(), 1000);
    reader.set_limits(ReaderLimits {
        max_message_size: 500,
        max_ignored_size: 1000,
        ..ReaderLimits::default()
    });
    assert_eq!(reader.held_bytes(), 0);
    // So is the next one, which has no length of its own.
    let both = rest(&[128, 128, 128, 128, 128, 128, 104, 128]);
    assert_eq!(read_all(&mut reader, &both), Ok(vec![]));
    assert_eq!(reader.held_bytes(), 0);
    // With room again the one that has begun stays lost, the next is kept.
    reader.set_limits(ReaderLimits::default());
    let both = rest(&[128, 128, 128, 128, 128, 128, 104, 128]);
    assert_eq!(read_all(&mut reader, &both), Ok(vec![]));
    assert_eq!(reader.held_bytes(), 1000);
    let last = rest(&[128, 128, 128, 128, 128, 128, 104]);
    assert_eq!(read_all(&mut reader, &last).unwrap().len(), 1);
}

#[test]
fn progress_is_of_messages_that_grow_and_are_not_complete() {
    let mut reader = reader();
    let mut grown = |bytes: &[u8]| {
        read_all(&mut reader, bytes).unwrap();
        reader.progress().collect::<Vec<_>>()
    };
    assert_eq!(grown(&begin(4)), [(9, 1)]);
    assert_eq!(grown(&[]), []);
    // Others, whole ones and headers alone, are none of it.
    assert_eq!(grown(&[&header0(5, 0, 1, 8, 1)[..], &[0]].concat()), []);
    assert_eq!(grown(&[0xC4]), []);
    assert_eq!(grown(&[1]), [(9, 1)]);
    assert_eq!(
        grown(&[&[1; 127][..], &begin(6)].concat()),
        [(9, 1), (9, 1)]
    );
}

/// 61 chunk streams that each announce 8 MiB and send one byte.
#[test]
fn announced_bytes_cost_nothing_until_they_arrive() {
    let mut reader = reader();
    let size = [&header0(2, 0, 4, 1, 0)[..], &[0, 0, 0, 1]].concat();
    read_all(&mut reader, &size).unwrap();
    for id in 3..=63 {
        let bytes = [&header0(id, 0, 8 << 20, 9, 1)[..], &[0]].concat();
        read_all(&mut reader, &bytes).unwrap();
    }
    assert_eq!(reader.held_bytes(), 61 * 4096);
}
