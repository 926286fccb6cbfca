//! A stream with players that keep up: every message is rendered once and handed to
//! the outlet of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use livehost_app::output::chunks::Chunks;
use livehost_hub::{
    Claim, Hub, Join, MediaSettings, Offer, Outlet, PlayerId, Publication, StreamKey, Subscriber,
    Subscription, Wake,
};
use livehost_media::time::from_ms;
use livehost_media::{Kind, Packet};
use livehost_policy::{Client, DuplicateRule};

use crate::BATCH;

/// Bytes of a frame of video.
const LEN: usize = 5_000;

/// A stream, and what is published next.
#[derive(Debug)]
pub struct FanOut {
    /// To push to.
    pub publication: Publication,
    /// [`BATCH`] packets of video.
    pub packets: Vec<Packet>,
    /// Those who play it.
    pub players: Vec<Subscription>,
}

/// A stream with so many players, at most 32: then no task is made for them.
pub fn fan_out(players: usize) -> FanOut {
    let hub = Hub::new();
    let settings = MediaSettings {
        keyframe_cache: 16 << 20,
        join: Join::Keyframe,
        queue_bytes: 8 << 20,
        queue_time: Duration::from_secs(10),
        slow_close: Duration::from_secs(20),
        gather: Duration::ZERO,
    };
    let key = StreamKey::called("live", "cam");
    let claim = Claim {
        key: key.clone(),
        on_duplicate: DuplicateRule::Reject,
        hold: Duration::ZERO,
        client: Client::default(),
        settings,
        wake: Wake::default(),
    };
    let publication = hub.publish(claim).expect("a free name");
    publication.push(video(0));
    let play = |_| {
        let subscriber = Subscriber {
            settings,
            wake: Wake::default(),
            format: Some(Arc::new(Chunks(60_000))),
            outlet: Some(Arc::new(Sink::default())),
        };
        let mut player = hub.play(&key, subscriber);
        while player.next().is_some() {}
        player.rest(true, true);
        player
    };
    FanOut {
        players: (0..players).map(play).collect(),
        packets: (1..=BATCH).map(video).collect(),
        publication,
    }
}

fn video(number: u32) -> Packet {
    let mut body = vec![7; LEN];
    let first = if number == 0 { 0x17 } else { 0x27 };
    body.splice(..5, [first, 1, 0, 0, 0]);
    Packet::from_flv(Kind::Video, from_ms(40 * number), body.into()).expect("AVC")
}

/// A socket that takes all at no cost.
#[derive(Debug, Default)]
struct Sink {
    open_for: AtomicU64,
    taken: AtomicU64,
}

impl Outlet for Sink {
    fn pass(&self, player: PlayerId, chunks: &Bytes) -> Offer {
        if !self.is_open(player) {
            return Offer::Refused;
        }
        let taken = self.taken().wrapping_add(chunks.len() as u64);
        self.taken.store(taken, Ordering::Relaxed);
        Offer::Written
    }

    fn is_open(&self, player: PlayerId) -> bool {
        self.open_for.load(Ordering::Relaxed) == player.get()
    }

    fn set_open(&self, player: PlayerId, open: bool) {
        let open_for = if open { player.get() } else { 0 };
        self.open_for.store(open_for, Ordering::Relaxed);
    }

    fn finish(&self) -> u64 {
        self.taken()
    }

    fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}
