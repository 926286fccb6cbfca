//! The chunk stream at the sizes of real media: an audio frame, a video frame,
//! a keyframe.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use livehost_rtmp::{
    chunk::{Reader, ReaderLimits, Writer, encode_absolute},
    message::{Message, type_id},
};

/// Message lengths, in bytes.
const LENGTHS: [usize; 3] = [371, 7_000, 250_000];
/// FFmpeg's and OBS's chunk sizes, and the one every connection starts with.
const CHUNK_SIZES: [u32; 3] = [60_000, 4096, 128];
/// Messages that are read or written in a row.
const BATCH: u32 = 16;

fn message(len: usize, index: u32) -> Message {
    Message {
        chunk_stream_id: 6,
        timestamp: index * 33,
        type_id: type_id::VIDEO,
        message_stream_id: 1,
        payload: Bytes::from(vec![0x5A; len]),
    }
}

fn write(writer: &mut Writer, messages: &[Message], out: &mut BytesMut) {
    for message in messages {
        writer.write(message, out);
    }
}

fn chunks(criterion: &mut Criterion) {
    for chunk_size in CHUNK_SIZES {
        for len in LENGTHS {
            let messages: Vec<_> = (0..BATCH).map(|index| message(len, index)).collect();
            let id = format!("{len} B in chunks of {chunk_size}");
            let bytes = Throughput::Bytes(len as u64 * u64::from(BATCH));

            let mut group = criterion.benchmark_group("writer");
            group.throughput(bytes.clone());
            let mut out = BytesMut::new();
            group.bench_function(BenchmarkId::from_parameter(&id), |bencher| {
                bencher.iter(|| {
                    out.clear();
                    let mut writer = Writer::new();
                    writer.set_chunk_size(chunk_size);
                    write(&mut writer, &messages, &mut out);
                    black_box(out.len())
                });
            });
            group.finish();

            let mut group = criterion.benchmark_group("absolute");
            group.throughput(bytes.clone());
            group.bench_function(BenchmarkId::from_parameter(&id), |bencher| {
                bencher.iter(|| {
                    for message in &messages {
                        black_box(encode_absolute(message, chunk_size));
                    }
                });
            });
            group.finish();

            // Set Chunk Size first: the reader starts at 128.
            let mut wire = BytesMut::new();
            let mut writer = Writer::new();
            let size = livehost_rtmp::control::ProtocolControl::SetChunkSize(chunk_size);
            writer.write(&size.to_message(), &mut wire);
            writer.set_chunk_size(chunk_size);
            write(&mut writer, &messages, &mut wire);
            let mut group = criterion.benchmark_group("reader");
            group.throughput(bytes);
            group.bench_function(BenchmarkId::from_parameter(&id), |bencher| {
                bencher.iter(|| {
                    let mut reader = Reader::new(ReaderLimits::default());
                    let mut read = 0;
                    // As a socket gives them.
                    for mut input in wire.chunks(64 << 10) {
                        while let Ok(Some(message)) = reader.read(&mut input) {
                            black_box(message.payload);
                            read += 1;
                        }
                    }
                    assert_eq!(read, BATCH + 1, "every message and Set Chunk Size");
                });
            });
            group.finish();
        }
    }
}

criterion_group!(benches, chunks);
criterion_main!(benches);
