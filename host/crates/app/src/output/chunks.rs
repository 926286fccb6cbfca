//! Packets as RTMP players get them.
//!
//! A player on message stream 1 that was told the usual chunk size shares its
//! chunks with all others of the stream: they are a variant of the hub. For any
//! other they are made one by one.

use bytes::Bytes;
use livehost_hub::{Format, Renderer, Rendering, Variant};
use livehost_media::time::to_ms;
use livehost_media::{BodyLayout, Kind, Packet};
use livehost_rtmp::chunk::{self, Absolute};
use livehost_rtmp::message::{Message, type_id};

/// Message stream id that the shared chunks are written for: what
/// `createStream` answers to a connection's first call.
pub const SHARED_MESSAGE_STREAM: u32 = 1;

/// Chunks of so many bytes on [`SHARED_MESSAGE_STREAM`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunks(pub u32);

impl Format for Chunks {
    fn variant(&self) -> Variant {
        Variant {
            format: *b"RTMP",
            parameter: self.0,
        }
    }

    fn renderer(&self) -> Box<dyn Renderer> {
        Box::new(*self)
    }

    /// All chunks are right whatever the player got before.
    fn repeat(&self, packet: &Packet) -> Rendering {
        let Absolute { bytes, head, gap } = encode(packet, SHARED_MESSAGE_STREAM, self.0);
        Rendering {
            bytes,
            body: Some(BodyLayout {
                head,
                piece: self.0,
                gap,
            }),
        }
    }
}

impl Renderer for Chunks {
    fn render(&mut self, packet: &Packet) -> Rendering {
        self.repeat(packet)
    }
}

/// The chunks for a player on any message stream, of any chunk size.
pub fn chunks_for(packet: &Packet, message_stream_id: u32, chunk_size: u32) -> Bytes {
    encode(packet, message_stream_id, chunk_size).bytes
}

fn encode(packet: &Packet, message_stream_id: u32, chunk_size: u32) -> Absolute {
    let header = header(packet, message_stream_id);
    chunk::encode_payload(&header, &packet.flv_bytes(), chunk_size)
}

/// The message that a packet goes out as, without its payload. Media has chunk
/// streams of its own, apart from commands, since its headers are written
/// without regard to what went before.
pub fn header(packet: &Packet, message_stream_id: u32) -> Message {
    let (type_id, chunk_stream_id) = match packet.kind() {
        Kind::Audio => (type_id::AUDIO, 4),
        Kind::Data => (type_id::DATA_AMF0, 5),
        Kind::Video => (type_id::VIDEO, 6),
    };
    Message {
        chunk_stream_id,
        timestamp: to_ms(packet.dts()),
        type_id,
        message_stream_id,
        payload: Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use livehost_hub::{Claim, Hub, Item, Join, MediaSettings, StreamKey, Subscriber, Wake};
    use livehost_media::time::from_ms;
    use livehost_policy::{Client, DuplicateRule};
    use livehost_rtmp::chunk::{Reader, ReaderLimits};
    use proptest::prelude::*;

    use super::*;

    fn packet(kind: Kind, timestamp: u32, len: usize) -> Packet {
        let mut body = vec![0x17, 1, 0, 0, 0];
        body.extend((0..len).map(|at| at.to_le_bytes()[0]));
        Packet::from_flv(kind, from_ms(timestamp), body.into()).unwrap()
    }

    #[test]
    fn golden_chunks() {
        let video = packet(Kind::Video, 0x0102_0304, 3);
        let chunks = chunks_for(&video, 1, 6);
        let expected = b"\x06\xff\xff\xff\0\0\x08\x09\x01\0\0\0\x01\x02\x03\x04\x17\x01\0\0\0\0\
            \xc6\x01\x02\x03\x04\x01\x02";
        assert_eq!(chunks, &expected[..]);
        let audio = packet(Kind::Audio, 7, 0);
        let expected = b"\x04\0\0\x07\0\0\x05\x08\x02\0\0\0\x17\x01\0\0\0";
        assert_eq!(chunks_for(&audio, 2, 60_000), &expected[..]);
        let data = packet(Kind::Data, 0, 0);
        let expected = b"\x05\0\0\0\0\0\x05\x12\x01\0\0\0\x17\x01\0\0\0";
        assert_eq!(chunks_for(&data, 1, 60_000), &expected[..]);
    }

    /// Data, configurations and frames of FFmpeg's kind, across the wrap.
    const SENT: [(Kind, u32, &[u8]); 6] = [
        (Kind::Data, 9, b"\x02\0\x0aonMetaData\x05"),
        (Kind::Video, 0, b"\x17\0\0\0\0\x01\x64\0\x1f\xff\xe1\0"),
        (Kind::Video, u32::MAX - 20, b"\x17\x01\0\0\0key"),
        (Kind::Audio, u32::MAX - 9, b"\xaf\x01sound"),
        // Two tracks in one message.
        (
            Kind::Video,
            19,
            b"\xa6\x11avc1\x01\0\0\x05\0\0\0i1\0\0\0\x05\0\0\0i0",
        ),
        (Kind::Data, 20, b"\x02\0\x06onText\x05"),
    ];

    fn settings() -> MediaSettings {
        MediaSettings {
            keyframe_cache: 1 << 20,
            join: Join::Keyframe,
            queue_bytes: 1 << 20,
            queue_time: Duration::from_secs(10),
            slow_close: Duration::from_secs(10),
            gather: Duration::ZERO,
        }
    }

    /// What a player of these chunks reads: type, timestamp, payload.
    fn read(hub: &Arc<Hub>, key: &StreamKey, chunks: Chunks) -> Vec<(u8, u32, Bytes)> {
        let subscriber = Subscriber {
            settings: settings(),
            wake: Wake::default(),
            format: Some(Arc::new(chunks)),
            outlet: None,
        };
        let mut subscription = hub.play(key, subscriber);
        let mut reader = Reader::new(ReaderLimits::default());
        let mut messages = Vec::new();
        while let Some(item) = subscription.next() {
            let Item::Frame(frame) = item else { continue };
            let mut bytes = &frame.rendering(chunks.variant()).unwrap()[..];
            while let Some(message) = reader.read(&mut bytes).unwrap() {
                assert_eq!(message.message_stream_id, SHARED_MESSAGE_STREAM);
                messages.push((message.type_id, message.timestamp, message.payload));
            }
            assert!(bytes.is_empty());
        }
        messages
    }

    #[test]
    fn players_read_byte_for_byte_what_was_published() {
        let hub = Hub::new();
        let key = StreamKey::called("live", "cam");
        let claim = Claim {
            key: key.clone(),
            on_duplicate: DuplicateRule::Reject,
            hold: Duration::ZERO,
            client: Client::default(),
            settings: settings(),
            wake: Wake::default(),
        };
        let publication = hub.publish(claim).unwrap();
        for (kind, timestamp, body) in SENT {
            let packet = Packet::from_flv(kind, from_ms(timestamp), Bytes::from_static(body));
            publication.push(packet.unwrap());
        }
        let expected: Vec<_> = SENT
            .into_iter()
            .map(|(kind, timestamp, body)| {
                let (type_id, timestamp) = match (kind, timestamp) {
                    (Kind::Audio, at) => (8, at),
                    // With the first frame.
                    (Kind::Video, 0) => (9, u32::MAX - 20),
                    (Kind::Video, at) => (9, at),
                    // Of no moment.
                    (Kind::Data, 9) => (18, 0),
                    (Kind::Data, at) => (18, at),
                };
                (type_id, timestamp, Bytes::from_static(body))
            })
            .collect();
        // A reader begins with chunks of 128 bytes.
        assert_eq!(read(&hub, &key, Chunks(128)), expected);
    }

    proptest! {
        #[test]
        fn a_rendering_is_the_message_and_has_its_body_inside(
            timestamp: u32,
            len in 0..2_000_usize,
            size in prop_oneof![Just(128_u32), Just(60_000), 1..300_u32],
            kind in prop::sample::select(vec![Kind::Audio, Kind::Video, Kind::Data]),
        ) {
            let packet = packet(kind, timestamp, len);
            let rendering = Chunks(size).repeat(&packet);
            let message = Message {
                payload: packet.flv_body(),
                ..header(&packet, SHARED_MESSAGE_STREAM)
            };
            prop_assert_eq!(message.timestamp, timestamp);
            prop_assert_eq!(&rendering.bytes, &chunk::encode_absolute(&message, size));
            let mut embedded = packet.clone();
            prop_assert!(embedded.embed(rendering.bytes, rendering.body.unwrap()).is_ok());
            prop_assert_eq!(embedded.flv_body(), packet.flv_body());
        }
    }
}
