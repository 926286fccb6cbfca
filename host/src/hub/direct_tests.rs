//! Frames that go straight to a player's outlet.

use std::time::Instant;

use bytes::Bytes;

use super::*;

/// A socket with room for so many offers.
#[derive(Debug, Default)]
struct Socket {
    room: AtomicU64,
    /// The player that it is open for, or 0.
    open_for: AtomicU64,
    written: Mutex<Vec<Bytes>>,
}

impl Outlet for Socket {
    fn pass(&self, player: PlayerId, chunks: &Bytes) -> Offer {
        if !self.is_open(player) || self.room.load(Ordering::Relaxed) == 0 {
            return Offer::Refused;
        }
        self.room.fetch_sub(1, Ordering::Relaxed);
        self.written.lock().push(chunks.clone());
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
        self.written
            .lock()
            .iter()
            .map(|bytes| bytes.len() as u64)
            .sum()
    }
}

impl Socket {
    fn with_room(offers: u64) -> Arc<Self> {
        Arc::new(Self {
            room: AtomicU64::new(offers),
            ..Self::default()
        })
    }

    fn count(&self) -> usize {
        self.written.lock().len()
    }

    fn is_open_for_any(&self) -> bool {
        self.open_for.load(Ordering::Relaxed) != 0
    }
}

fn settings(chunk_size: u32) -> Settings {
    Settings {
        keyframe_cache: 1 << 20,
        join: Join::Keyframe,
        queue_bytes: 1 << 20,
        queue_time: Duration::from_secs(10),
        slow_close: Duration::from_secs(20),
        chunk_size,
        gather: Duration::ZERO,
    }
}

fn key() -> StreamKey {
    StreamKey {
        app: "live".into(),
        instance: None,
        name: "cam".into(),
    }
}

fn publish(hub: &Arc<Hub>, chunk_size: u32) -> Publication {
    let claim = Claim {
        key: key(),
        on_duplicate: DuplicateRule::Reject,
        hold: Duration::ZERO,
        client: Client::default(),
        settings: settings(chunk_size),
        wake: Wake::default(),
    };
    hub.publish(claim).unwrap()
}

fn play(hub: &Arc<Hub>, socket: &Arc<Socket>) -> Subscription {
    let listener = Listener {
        settings: settings(60_000),
        wake: Wake::default(),
        outlet: Some(socket.clone()),
    };
    let mut player = hub.play(&key(), listener);
    rest(&mut player);
    player
}

/// Takes what waits, and then wants frames as they are: their timestamps.
fn rest(player: &mut Subscription) -> Vec<u32> {
    let mut waiting = Vec::new();
    while let Some(item) = player.next() {
        if let Item::Frame(frame) = item {
            waiting.push(frame.timestamp());
        }
    }
    player.rest(true, true);
    waiting
}

/// An AVC message, a keyframe or not.
fn video(publication: &Publication, timestamp: u32, is_keyframe: bool) {
    let body = body(is_keyframe);
    publication.push(Kind::Video, timestamp, body).unwrap();
}

/// The same as the hub makes of it.
fn frame(timestamp: u32, is_keyframe: bool) -> Frame {
    Frame::new(Kind::Video, timestamp, body(is_keyframe), 60_000).unwrap()
}

fn body(is_keyframe: bool) -> Bytes {
    let first = if is_keyframe { 0x17 } else { 0x27 };
    Bytes::copy_from_slice(&[first, 1, 0, 0, 0, 9, 9, 9])
}

#[test]
fn a_player_whose_socket_has_room_is_not_woken() {
    let hub = Hub::new();
    let publication = publish(&hub, 60_000);
    let socket = Socket::with_room(2);
    let mut player = play(&hub, &socket);
    video(&publication, 0, false);
    assert!(player.next().is_none(), "it has no keyframe yet");
    video(&publication, 33, true);
    assert_eq!(rest(&mut player), [33], "the first one waits");
    video(&publication, 66, false);
    video(&publication, 99, true);
    assert_eq!(socket.count(), 2);
    assert!(player.next().is_none());
    // No room: this one and all behind it wait, in order.
    video(&publication, 132, false);
    socket.room.store(9, Ordering::Relaxed);
    video(&publication, 165, false);
    assert_eq!(socket.count(), 2);
    assert_eq!(rest(&mut player), [132, 165]);
    video(&publication, 198, false);
    assert_eq!(socket.count(), 3);
}

#[test]
fn a_player_that_left_gets_nothing() {
    let hub = Hub::new();
    let publication = publish(&hub, 60_000);
    video(&publication, 0, true);
    let socket = Socket::with_room(9);
    let player = play(&hub, &socket);
    video(&publication, 16, true);
    assert_eq!(socket.count(), 1);
    drop(player);
    video(&publication, 33, true);
    assert_eq!(socket.count(), 1);
    assert_eq!(publication.info().players, 0);
}

#[test]
fn frames_cut_for_another_chunk_size_wait_for_the_session() {
    let hub = Hub::new();
    let publication = publish(&hub, 4096);
    video(&publication, 0, true);
    let socket = Socket::with_room(9);
    let mut player = play(&hub, &socket);
    assert!(socket.is_open_for_any());
    video(&publication, 33, true);
    assert_eq!(socket.count(), 0);
    assert_eq!(rest(&mut player), [33]);
}

#[tokio::test]
async fn gathered_frames_go_out_together() {
    let hub = Hub::new();
    let claim = Claim {
        key: key(),
        on_duplicate: DuplicateRule::Reject,
        hold: Duration::ZERO,
        client: Client::default(),
        settings: Settings {
            gather: Duration::from_millis(20),
            ..settings(60_000)
        },
        wake: Wake::default(),
    };
    let publication = hub.publish(claim).unwrap();
    video(&publication, 0, true);
    let socket = Socket::with_room(1);
    let _player = play(&hub, &socket);
    video(&publication, 33, true);
    video(&publication, 66, false);
    // Somebody who joins meanwhile does not send them before their time.
    drop(play(&hub, &Socket::with_room(0)));
    assert_eq!(socket.count(), 0);
    while socket.count() == 0 {
        tokio::task::yield_now().await;
    }
    let written = socket.written.lock().clone();
    let [both] = &written[..] else {
        panic!("expected one write, got {}", written.len());
    };
    let expected = [frame(33, true), frame(66, false)].map(|frame| frame.shared_chunks().to_vec());
    assert_eq!(both[..], expected.concat());
}

#[tokio::test]
async fn many_players_all_get_every_frame_in_order() {
    let hub = Hub::new();
    let publication = publish(&hub, 60_000);
    video(&publication, 0, true);
    let players: Vec<_> = (0..200)
        .map(|_| {
            let socket = Socket::with_room(u64::MAX);
            (play(&hub, &socket), socket)
        })
        .collect();
    for at in 1..50 {
        video(&publication, at, false);
    }
    let expected: Vec<u8> = (1..50)
        .flat_map(|at| frame(at, false).shared_chunks().to_vec())
        .collect();
    // Lanes run as tasks of this thread; frames that waited for one go out
    // together.
    while players
        .iter()
        .any(|(_, socket)| socket.taken() < expected.len() as u64)
    {
        tokio::task::yield_now().await;
    }
    for (player, socket) in players {
        assert_eq!(socket.written.lock().concat(), expected);
        assert_eq!(player.leave().written, expected.len() as u64);
    }
}

#[test]
fn an_outlet_is_open_only_while_nothing_can_be_before_a_frame() {
    let hub = Hub::new();
    let publication = publish(&hub, 60_000);
    let socket = Socket::with_room(99);
    let mut player = play(&hub, &socket);
    let is_open = || socket.is_open_for_any();
    assert!(!is_open(), "it has no keyframe yet");
    video(&publication, 0, true);
    assert!(!is_open(), "the keyframe waits");
    rest(&mut player);
    assert!(is_open());
    video(&publication, 33, false);
    assert_eq!(socket.count(), 1);

    // The session leaves frames out, and takes them again.
    player.set_direct(false);
    assert!(!is_open());
    player.set_direct(true);
    assert!(is_open());
    player.resync();
    assert!(!is_open(), "until the next keyframe");
    video(&publication, 66, false);
    assert_eq!(socket.count(), 1);
    video(&publication, 99, true);
    assert_eq!(rest(&mut player), [99]);
    assert!(is_open());

    // The socket is full: what waits is before what comes.
    socket.room.store(0, Ordering::Relaxed);
    video(&publication, 132, false);
    assert!(!is_open());
    socket.room.store(9, Ordering::Relaxed);
    assert_eq!(rest(&mut player), [132]);
    assert!(is_open());

    // The publisher leaves: the player is told before it gets more.
    drop(publication);
    assert!(!is_open());
    rest(&mut player);
    assert!(!is_open(), "the next publisher's keyframe is missing");
    let publication = publish(&hub, 60_000);
    video(&publication, 0, true);
    rest(&mut player);
    assert!(is_open());

    drop(player);
    assert!(!is_open());
}

/// An AAC message: a frame, not a header.
fn audio(publication: &Publication, timestamp: u32) {
    let body = Bytes::from_static(&[0xaf, 1, 9, 9, 9]);
    publication.push(Kind::Audio, timestamp, body).unwrap();
}

#[test]
fn audio_alone_passes_until_there_is_video() {
    let hub = Hub::new();
    let publication = publish(&hub, 60_000);
    let socket = Socket::with_room(99);
    let mut player = play(&hub, &socket);
    audio(&publication, 0);
    assert_eq!(rest(&mut player), [0]);
    audio(&publication, 23);
    assert_eq!(socket.count(), 1);

    // Audio waits for the picture from now on.
    video(&publication, 30, false);
    audio(&publication, 46);
    assert_eq!(socket.count(), 1);
    assert!(player.next().is_none());
    video(&publication, 60, true);
    audio(&publication, 69);
    assert_eq!(rest(&mut player), [60, 69]);
    audio(&publication, 92);
    assert_eq!(socket.count(), 2);
}

#[test]
fn a_player_whose_socket_took_all_is_not_behind() {
    let hub = Hub::new();
    let tight = Settings {
        queue_bytes: 2 * 400,
        slow_close: Duration::from_secs(20),
        ..settings(60_000)
    };
    let listener = Listener {
        settings: tight,
        wake: Wake::default(),
        outlet: None,
    };
    let queue = queue::PlayerQueue::new(listener, 0, hub.counters.clone());
    let start = Instant::now();
    let deliver = |frame_type: u8, second| {
        let body = [&[frame_type << 4 | 7, 1, 0, 0, 0][..], &[0; 100]].concat();
        let frame = Frame::new(Kind::Video, 0, body.into(), 60_000).unwrap();
        let mut batch = batch::Batch::default();
        batch.push(Arc::new(frame), true);
        queue.deliver(&batch.delivery(start + Duration::from_secs(second)));
    };
    for (frame_type, second) in [(1, 0), (2, 0), (2, 1), (2, 2)] {
        deliver(frame_type, second);
    }
    assert!(queue.dropped() > 0, "it is behind");
    while queue.pop().is_some() {}
    queue.rest(true, false);
    // The session's next write was the last.
    queue.caught_up();
    deliver(2, 30);
    assert_eq!(queue.end(), None);
}
