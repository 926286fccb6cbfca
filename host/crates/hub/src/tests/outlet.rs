//! Frames that go straight to a player's outlet.

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

fn publish_with(hub: &Arc<Hub>, settings: MediaSettings) -> Publication {
    let claim = claim(1, DuplicateRule::Reject);
    hub.publish(Claim { settings, ..claim }).unwrap()
}

fn play(hub: &Arc<Hub>, socket: &Arc<Socket>) -> Subscription {
    let listener = Subscriber {
        outlet: Some(socket.clone()),
        ..listener(settings())
    };
    let mut player = hub.play(&key("cam"), listener);
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
    publication.push_flv(Kind::Video, timestamp, body).unwrap();
}

/// The same as players get it.
fn rendered(timestamp: u32, is_keyframe: bool) -> Bytes {
    let packet = Packet::from_flv(Kind::Video, from_ms(timestamp), body(is_keyframe));
    Pieces::of(60_000).repeat(&packet.unwrap()).bytes
}

fn body(is_keyframe: bool) -> Bytes {
    let first = if is_keyframe { 0x17 } else { 0x27 };
    Bytes::copy_from_slice(&[first, 1, 0, 0, 0, 9, 9, 9])
}

#[test]
fn a_player_whose_socket_has_room_is_not_woken() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
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
    let publication = publish(&hub, 1);
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
fn frames_that_are_not_rendered_wait_for_the_session() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    video(&publication, 0, true);
    let socket = Socket::with_room(9);
    let listener = Subscriber {
        format: None,
        outlet: Some(socket.clone()),
        ..listener(settings())
    };
    let mut player = hub.play(&key("cam"), listener);
    rest(&mut player);
    assert!(socket.is_open_for_any());
    // Beside one whose frames are.
    let other = Socket::with_room(9);
    let _other = play(&hub, &other);
    video(&publication, 33, true);
    assert_eq!((socket.count(), other.count()), (0, 1));
    assert_eq!(rest(&mut player), [33]);
}

#[tokio::test]
async fn gathered_frames_go_out_together() {
    let hub = Hub::new();
    let gathering = MediaSettings {
        gather: Duration::from_millis(20),
        ..settings()
    };
    let publication = publish_with(&hub, gathering);
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
    let expected = [rendered(33, true), rendered(66, false)];
    assert_eq!(both[..], expected.concat());
}

#[tokio::test]
async fn many_players_all_get_every_frame_in_order() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
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
    let expected: Vec<u8> = (1..50).flat_map(|at| rendered(at, false)).collect();
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
    let publication = publish(&hub, 1);
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
    let publication = publish(&hub, 1);
    video(&publication, 0, true);
    rest(&mut player);
    assert!(is_open());

    drop(player);
    assert!(!is_open());
}

#[test]
fn audio_alone_passes_until_there_is_video() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let socket = Socket::with_room(99);
    let mut player = play(&hub, &socket);
    audio(&publication, 0);
    assert_eq!(rest(&mut player), [0]);
    audio(&publication, 23);
    assert_eq!(socket.count(), 1);

    // The picture comes with its keyframe, the audio goes on.
    video(&publication, 30, false);
    assert!(!socket.is_open_for_any());
    audio(&publication, 46);
    assert_eq!(rest(&mut player), [46]);
    video(&publication, 60, true);
    audio(&publication, 69);
    assert_eq!(rest(&mut player), [60, 69]);
    audio(&publication, 92);
    assert_eq!(socket.count(), 2);
}

#[test]
fn audio_without_video_passes_until_video_is_back() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let socket = Socket::with_room(99);
    let mut player = play(&hub, &socket);
    video(&publication, 0, false);
    for at in (1_000..=6_000).step_by(1_000) {
        audio(&publication, at);
    }
    assert_eq!(rest(&mut player), [6_000]);
    audio(&publication, 6_020);
    assert_eq!(socket.count(), 1);

    // Not a frame that it has no base for.
    video(&publication, 6_030, false);
    assert!(!socket.is_open_for_any());
    audio(&publication, 6_040);
    assert_eq!(rest(&mut player), [6_040]);
    video(&publication, 6_060, true);
    assert_eq!(rest(&mut player), [6_060]);
    video(&publication, 6_090, false);
    assert_eq!(socket.count(), 2);
}
