//! What players cost, counted by the allocator: on a stream whose group of
//! pictures was kept before anybody played it.

// clippy.toml allows these in test functions; helpers are tests as well.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use livehost_counting::{Counting, held, peak_of};
use livehost_hub::{
    Claim, Format, Hub, Item, Join, MediaSettings, Publication, Renderer, Rendering, StreamKey,
    Subscriber, Subscription, Variant, Wake,
};
use livehost_media::{BodyLayout, Kind, Packet};
use livehost_policy::{Client, DuplicateRule};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Frames of a group, and bytes of each.
const FRAMES: usize = 200;
const LEN: usize = 5_000;

/// A byte, and the body.
#[derive(Debug, Clone, Copy)]
struct Prefixed;

impl Format for Prefixed {
    fn variant(&self) -> Variant {
        Variant {
            format: *b"test",
            parameter: 0,
        }
    }

    fn renderer(&self) -> Box<dyn Renderer> {
        Box::new(Self)
    }

    fn repeat(&self, packet: &Packet) -> Rendering {
        let mut bytes = BytesMut::with_capacity(1 + packet.len());
        bytes.put_u8(0);
        bytes.put_slice(&packet.flv_bytes());
        Rendering {
            bytes: bytes.freeze(),
            body: Some(BodyLayout {
                head: 1,
                piece: u32::MAX,
                gap: 0,
            }),
        }
    }
}

impl Renderer for Prefixed {
    fn render(&mut self, packet: &Packet) -> Rendering {
        self.repeat(packet)
    }
}

fn settings() -> MediaSettings {
    MediaSettings {
        keyframe_cache: 1 << 30,
        join: Join::Keyframe,
        queue_bytes: 1 << 30,
        queue_time: Duration::from_secs(100),
        slow_close: Duration::from_secs(100),
        gather: Duration::ZERO,
    }
}

fn publish(hub: &Arc<Hub>) -> Publication {
    let claim = Claim {
        key: StreamKey::called("live", "cam"),
        on_duplicate: DuplicateRule::Reject,
        hold: Duration::ZERO,
        client: Client::default(),
        settings: settings(),
        wake: Wake::default(),
    };
    hub.publish(claim).unwrap()
}

/// A keyframe, and what builds on it.
fn push_group(publication: &Publication) {
    for number in 0..FRAMES {
        let mut body = vec![7; LEN];
        let first = if number == 0 { 0x17 } else { 0x27 };
        body.splice(..6, [first, 1, 0, 0, 0, 0]);
        let packet = Packet::from_flv(Kind::Video, number as i64, Bytes::from(body));
        publication.push(packet.unwrap());
    }
}

fn play(hub: &Arc<Hub>) -> Subscription {
    let subscriber = Subscriber {
        settings: settings(),
        wake: Wake::default(),
        format: Some(Arc::new(Prefixed)),
        outlet: None,
    };
    hub.play(&StreamKey::called("live", "cam"), subscriber)
}

fn take_all(player: &mut Subscription) {
    let mut frames = 0;
    while let Some(item) = player.next() {
        if let Item::Frame(frame) = item {
            frames += 1;
            assert_eq!(frame.rendering(Prefixed.variant()).unwrap().len(), LEN + 1);
        }
    }
    assert_eq!(frames, FRAMES);
}

#[test]
fn a_player_that_joins_costs_its_list_of_frames_and_one_frame_at_a_time() {
    let hub = Hub::new();
    let publication = publish(&hub);
    push_group(&publication);
    for _ in 0..3 {
        let (joining, mut player) = peak_of(|| play(&hub));
        assert!(joining < 100 * FRAMES, "{joining} bytes");
        let (taking, ()) = peak_of(|| take_all(&mut player));
        assert!(taking < 3 * LEN, "{taking} bytes");
    }
}

#[test]
fn a_player_that_has_taken_all_costs_little() {
    const PLAYERS: usize = 20;
    let hub = Hub::new();
    let publication = publish(&hub);
    push_group(&publication);
    let before = held();
    let mut players: Vec<_> = (0..PLAYERS).map(|_| play(&hub)).collect();
    players.iter_mut().for_each(take_all);
    let each = (held() - before) / PLAYERS;
    assert!(each < 700, "{each} bytes");
    // What is rendered for all of them is one piece with its body.
    push_group(&publication);
    players.iter_mut().for_each(take_all);
    let each = (held() - before) / PLAYERS;
    assert!(each < 700, "{each} bytes");
}
