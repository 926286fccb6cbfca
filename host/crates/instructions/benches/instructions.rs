//! Instructions of the chunk stream, AMF, the server session, fan-out and decisions.
//!
//! Bodies are an audio frame, a video frame and a keyframe; chunk sizes are
//! FFmpeg's, OBS's and the one every connection starts with. Each bench is
//! sixteen messages, or one decision.

// The macros below make public items and know no documentation.
#![allow(missing_debug_implementations, unreachable_pub, clippy::expect_used)]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use gungraun::{Callgrind, CallgrindMetrics, EventKind, prelude::*};
use livehost_hub::Subscription;
use livehost_instructions::{
    BATCH, Decision, FanOut, Ingest, Media, Recorded, connect, decision, fan_out, ingest, media,
    metadata, metadata3, reads,
};
use livehost_rtmp::{
    chunk::{Reader, ReaderLimits, Writer, encode_absolute},
    session::{
        Output,
        server::{ServerEvent, ServerSession},
    },
};
use livehost_wire::{
    amf0::{self, Value},
    amf3,
};

#[library_benchmark]
#[bench::audio_60000(args = (371, 60_000), setup = media)]
#[bench::video_60000(args = (7_000, 60_000), setup = media)]
#[bench::video_4096(args = (7_000, 4096), setup = media)]
#[bench::video_128(args = (7_000, 128), setup = media)]
#[bench::keyframe_60000(args = (250_000, 60_000), setup = media)]
#[bench::keyframe_4096(args = (250_000, 4096), setup = media)]
fn chunk_write(mut media: Media) -> Media {
    let mut writer = Writer::new();
    writer.set_chunk_size(media.chunk_size);
    for message in &media.messages {
        writer.write(message, &mut media.out);
    }
    media
}

// What a stream's players share.
#[library_benchmark]
#[bench::audio_60000(args = (371, 60_000), setup = media)]
#[bench::video_60000(args = (7_000, 60_000), setup = media)]
#[bench::video_4096(args = (7_000, 4096), setup = media)]
#[bench::keyframe_60000(args = (250_000, 60_000), setup = media)]
fn chunk_write_absolute(media: Media) -> Media {
    for message in &media.messages {
        black_box(encode_absolute(message, media.chunk_size));
    }
    media
}

#[library_benchmark]
#[bench::audio_60000(args = (371, 60_000), setup = reads)]
#[bench::video_60000(args = (7_000, 60_000), setup = reads)]
#[bench::video_4096(args = (7_000, 4096), setup = reads)]
#[bench::video_128(args = (7_000, 128), setup = reads)]
#[bench::keyframe_60000(args = (250_000, 60_000), setup = reads)]
#[bench::keyframe_4096(args = (250_000, 4096), setup = reads)]
fn chunk_read(reads: Vec<Bytes>) -> Vec<Bytes> {
    let mut reader = Reader::new(ReaderLimits::default());
    let mut messages = 0;
    for bytes in &reads {
        let mut input = &bytes[..];
        while let Some(message) = reader.read(&mut input).expect("a chunk stream") {
            black_box(message);
            messages += 1;
        }
    }
    assert_eq!(messages, BATCH + 1, "every message and Set Chunk Size");
    reads
}

// What a publisher's session does: bytes to media events.
#[library_benchmark]
#[bench::audio_4096(args = (371, 4096), setup = ingest)]
#[bench::video_4096(args = (7_000, 4096), setup = ingest)]
#[bench::keyframe_4096(args = (250_000, 4096), setup = ingest)]
fn session_ingest(ingest: Ingest) -> ServerSession {
    let mut session = ingest.session;
    let mut messages = 0;
    for bytes in &ingest.reads {
        session
            .handle_input(&mut &bytes[..])
            .expect("a good client");
        while let Some(output) = session.poll_output() {
            messages += u32::from(matches!(output, Output::Event(ServerEvent::Media(_))));
        }
    }
    assert_eq!(messages, BATCH, "every message");
    session
}

// What the hub does for a message with players that keep up.
#[library_benchmark]
#[bench::one(args = (1), setup = fan_out)]
#[bench::thirty(args = (30), setup = fan_out)]
fn hub_push(mut stream: FanOut) -> FanOut {
    for packet in stream.packets.drain(..) {
        black_box(stream.publication.push(packet));
    }
    let waits = stream.players.first_mut().and_then(Subscription::next);
    assert!(waits.is_none(), "every message went to the outlet");
    stream
}

// What lies around a plugin: the gate, and the decision log, which costs nothing while
// nobody wants records.
#[library_benchmark]
#[bench::without_log(args = (Recorded::Never), setup = decision)]
#[bench::log_off(args = (Recorded::Off), setup = decision)]
#[bench::log_on(args = (Recorded::On), setup = decision)]
fn gate_ask(decision: Decision) -> Decision {
    black_box(decision.ask());
    decision
}

#[library_benchmark]
#[bench::connect(connect())]
#[bench::metadata(metadata())]
fn amf0_encode(values: Vec<Value>) -> (Vec<Value>, BytesMut) {
    let mut out = BytesMut::new();
    for value in &values {
        amf0::encode(value, &mut out);
    }
    (values, out)
}

#[library_benchmark]
#[bench::connect(amf0::encode_all(&connect()))]
#[bench::metadata(amf0::encode_all(&metadata()))]
fn amf0_decode(encoded: Bytes) -> (Bytes, Vec<Value>) {
    let values = amf0::decode_all(&encoded).expect("AMF0");
    (encoded, values)
}

#[library_benchmark]
#[bench::metadata(metadata3())]
fn amf3_encode(values: Vec<amf3::Value>) -> (Vec<amf3::Value>, Bytes) {
    let encoded = amf3::encode_all(&values);
    (values, encoded)
}

#[library_benchmark]
#[bench::metadata(amf3::encode_all(&metadata3()))]
fn amf3_decode(encoded: Bytes) -> (Bytes, Vec<amf3::Value>) {
    let values = amf3::decode_all(&encoded).expect("AMF3");
    (encoded, values)
}

library_benchmark_group!(
    name = chunks,
    benchmarks = [chunk_write, chunk_write_absolute, chunk_read]
);
library_benchmark_group!(name = sessions, benchmarks = session_ingest);
library_benchmark_group!(name = hub, benchmarks = hub_push);
library_benchmark_group!(name = decisions, benchmarks = gate_ask);
library_benchmark_group!(
    name = amf,
    benchmarks = [amf0_encode, amf0_decode, amf3_encode, amf3_decode]
);

main!(
    config = LibraryBenchmarkConfig::default().tool(
        Callgrind::with_args(["--cache-sim=no"])
            .format([CallgrindMetrics::SingleEvent(EventKind::Ir)])
    ),
    library_benchmark_groups = [chunks, sessions, hub, decisions, amf]
);
