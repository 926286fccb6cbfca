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
fn chunk_sizes_out_of_range_are_refused() {
    let set = |size: u32| {
        let bytes = [&header0(2, 0, 4, 1, 0)[..], &size.to_be_bytes()].concat();
        let mut reader = reader();
        read_all(&mut reader, &bytes).map(|_| reader.chunk_size())
    };
    assert_eq!(set(1), Ok(1));
    assert_eq!(set(65_537), Ok(65_537));
    assert_eq!(set(16 << 20), Ok(16 << 20));
    for size in [0, (16 << 20) + 1, 0x8000_0000, 0x8000_0080, u32::MAX] {
        let error = set(size).unwrap_err();
        assert_eq!(
            error.kind,
            ChunkErrorKind::ChunkSize {
                found: size,
                limit: 16 << 20
            }
        );
        assert_eq!(error.offset, 16);
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

#[test]
fn unfinished_messages_are_bounded_together() {
    let limits = ReaderLimits {
        max_partial_bytes: 300,
        ..ReaderLimits::default()
    };
    let begin = |id| [&header0(id, 0, 1000, 9, 1)[..], &[0; 128]].concat();
    let mut reader = limited(limits);
    assert_eq!(read_all(&mut reader, &begin(4)), Ok(vec![]));
    assert_eq!(read_all(&mut reader, &begin(5)), Ok(vec![]));
    assert_eq!(reader.partial_bytes(), 256);
    assert_eq!(
        kind(read_all(&mut reader, &begin(6))),
        ChunkErrorKind::TooMuchUnfinished {
            chunk_stream_id: 6,
            limit: 300
        }
    );
}

/// 64 chunk streams that each announce 8 MiB and send one byte.
#[test]
fn announced_bytes_cost_nothing_until_they_arrive() {
    let mut reader = reader();
    for id in 2..=63 {
        let bytes = [&header0(id, 0, 8 << 20, 9, 1)[..], &[0]].concat();
        let size = [&header0(2, 0, 4, 1, 0)[..], &[0, 0, 0, 1]].concat();
        if id == 2 {
            read_all(&mut reader, &size).unwrap();
        } else {
            read_all(&mut reader, &bytes).unwrap();
        }
    }
    assert_eq!(reader.partial_bytes(), 61);
    assert!(reader.allocated_bytes() <= 61 * 4096);
}
