//! The hub from outside: publications push, subscriptions take.

mod changed_headers;
mod claims;
mod codec_headers;
mod endless_video;
mod falling_behind;
mod joining;
mod late_video;
mod names;
mod outlet;
mod stopped_video;
mod tracks;
mod variants;

use std::pin::pin;
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use livehost_media::time::{from_ms, to_ms};
use livehost_media::{BodyLayout, Kind, NotAPacket, Packet, Role};
use livehost_policy::{Awaited, Client, DuplicateRule, StreamRef};
use livehost_wire::amf0;

use super::*;

const LARGE: usize = 1 << 20;

fn settings() -> MediaSettings {
    MediaSettings {
        keyframe_cache: LARGE,
        join: Join::Keyframe,
        queue_bytes: LARGE,
        queue_time: Duration::from_secs(10),
        slow_close: Duration::from_secs(20),
        gather: Duration::ZERO,
    }
}

fn listener(settings: MediaSettings) -> Subscriber {
    Subscriber {
        settings,
        wake: Wake::default(),
        format: Some(Pieces::of(60_000)),
        outlet: None,
    }
}

/// The time, then the body in pieces with a byte between two.
#[derive(Debug, Clone, Default)]
struct Pieces {
    size: u32,
    /// How many packets were rendered.
    rendered: Arc<AtomicU64>,
}

impl Pieces {
    fn of(size: u32) -> Arc<Self> {
        Arc::new(Self {
            size,
            ..Self::default()
        })
    }
}

impl Format for Pieces {
    fn variant(&self) -> Variant {
        Variant {
            format: *b"test",
            parameter: self.size,
        }
    }

    fn renderer(&self) -> Box<dyn Renderer> {
        Box::new(self.clone())
    }

    fn repeat(&self, packet: &Packet) -> Rendering {
        self.rendered.fetch_add(1, Ordering::Relaxed);
        let mut bytes = BytesMut::new();
        bytes.put_i64(packet.dts());
        let piece = self.size;
        for (index, part) in packet.flv_bytes().chunks(piece as usize).enumerate() {
            if index > 0 {
                bytes.put_u8(b'|');
            }
            bytes.put_slice(part);
        }
        let (head, gap) = (8, 1);
        Rendering {
            bytes: bytes.freeze(),
            body: Some(BodyLayout { head, piece, gap }),
        }
    }
}

impl Renderer for Pieces {
    fn render(&mut self, packet: &Packet) -> Rendering {
        self.repeat(packet)
    }
}

/// RTMP's side, as most tests have it: bodies, and timestamps in milliseconds.
trait Rtmp {
    fn push_flv(&self, kind: Kind, timestamp: u32, body: Bytes) -> Result<Pushed, NotAPacket>;
}

impl Rtmp for Publication {
    fn push_flv(&self, kind: Kind, timestamp: u32, body: Bytes) -> Result<Pushed, NotAPacket> {
        let packet = Packet::from_flv(kind, from_ms(timestamp), body)?;
        Ok(self.push(packet))
    }
}

/// What tests look at.
trait Parts {
    fn kind(&self) -> Kind;
    fn timestamp(&self) -> u32;
    fn payload(&self) -> Bytes;
}

impl Parts for Frame {
    fn kind(&self) -> Kind {
        self.packet().kind()
    }

    fn timestamp(&self) -> u32 {
        to_ms(self.packet().dts())
    }

    fn payload(&self) -> Bytes {
        self.packet().flv_body()
    }
}

fn key(name: &str) -> StreamKey {
    StreamKey {
        app: "live".into(),
        instance: None,
        name: name.into(),
    }
}

fn claim(conn: u64, on_duplicate: DuplicateRule) -> Claim {
    Claim {
        key: key("cam"),
        on_duplicate,
        hold: Duration::ZERO,
        client: Client {
            conn,
            remote: format!("192.0.2.{conn}:1000"),
            ..Client::default()
        },
        settings: settings(),
        wake: Wake::default(),
    }
}

fn publish(hub: &Arc<Hub>, conn: u64) -> Publication {
    hub.publish(claim(conn, DuplicateRule::Reject)).unwrap()
}

/// It did not say that it is done.
fn lose(publication: Publication) {
    publication.finish(true, |_| {});
}

fn play(hub: &Arc<Hub>) -> Subscription {
    hub.play(&key("cam"), listener(settings()))
}

fn path(path: &str) -> StreamRef {
    StreamRef::Path(path.to_owned())
}

/// An AVC message: frame type, packet type, a marker, and padding.
fn avc(frame_type: u8, packet: u8, marker: u8, len: usize) -> Bytes {
    let mut body = BytesMut::new();
    body.put_slice(&[(frame_type << 4) | 7, packet, 0, 0, 0, marker]);
    body.resize(body.len() + len, 0);
    body.freeze()
}

fn metadata() -> Bytes {
    amf0::encode_all(&[amf0::Value::from("onMetaData"), amf0::Value::Null])
}

fn aac(packet: u8) -> Bytes {
    Bytes::copy_from_slice(&[0xaf, packet, 0x12, 0x10])
}

fn video_header(publication: &Publication) {
    publication
        .push_flv(Kind::Video, 0, avc(1, 0, 0, 10))
        .unwrap();
}

fn keyframe(publication: &Publication, timestamp: u32, marker: u8) {
    publication
        .push_flv(Kind::Video, timestamp, avc(1, 1, marker, 100))
        .unwrap();
}

fn inter(publication: &Publication, timestamp: u32, marker: u8) {
    publication
        .push_flv(Kind::Video, timestamp, avc(2, 1, marker, 100))
        .unwrap();
}

/// An AAC message: a frame, not a header.
fn audio(publication: &Publication, timestamp: u32) {
    publication
        .push_flv(Kind::Audio, timestamp, aac(1))
        .unwrap();
}

/// Each player has a format: what it gets is rendered at its present time.
fn assert_rendered(frame: &Frame) {
    let format = Pieces::of(60_000);
    let bytes = frame.rendering(format.variant());
    assert_eq!(bytes, Some(&format.repeat(frame.packet()).bytes));
}

/// What waits, as a person would tell it: role letter, timestamp, marker.
fn taken(subscription: &mut Subscription) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(item) = subscription.next() {
        if let Item::Frame(frame) = &item {
            assert_rendered(frame);
        }
        told.push(match item {
            Item::Published => "published".to_owned(),
            Item::Unpublished => "unpublished".to_owned(),
            Item::Frame(frame) => match (frame.kind(), frame.role()) {
                (Kind::Data, Role::Metadata) => format!("meta@{}", frame.timestamp()),
                (Kind::Data, _) => format!("data@{}", frame.timestamp()),
                (kind, Role::Configuration) => format!("{kind:?} header@{}", frame.timestamp()),
                (Kind::Audio, _) => format!("audio@{}", frame.timestamp()),
                (_, Role::Keyframe) => {
                    format!("key{}@{}", frame.payload()[5], frame.timestamp())
                }
                _ => format!("inter{}@{}", frame.payload()[5], frame.timestamp()),
            },
        });
    }
    told
}
