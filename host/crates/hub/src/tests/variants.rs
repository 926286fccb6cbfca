//! What is made of packets for the sockets of players, and for whom.

use super::*;

/// Renderings that do not have the body inside.
#[derive(Debug, Clone)]
struct Copies;

impl Format for Copies {
    fn variant(&self) -> Variant {
        Variant {
            format: *b"copy",
            parameter: 0,
        }
    }

    fn renderer(&self) -> Box<dyn Renderer> {
        Box::new(Self)
    }
}

impl Renderer for Copies {
    fn render(&mut self, packet: &Packet) -> Rendering {
        self.repeat(packet)
    }

    fn repeat(&self, packet: &Packet) -> Rendering {
        let backwards: Vec<u8> = packet.flv_bytes().iter().rev().copied().collect();
        Rendering {
            bytes: backwards.into(),
            body: None,
        }
    }
}

/// Bytes that were numbered in the order in which packets came.
#[derive(Debug, Default)]
struct Numbered(u64);

impl Format for Numbered {
    fn variant(&self) -> Variant {
        Variant {
            format: *b"numb",
            parameter: 0,
        }
    }

    fn renderer(&self) -> Box<dyn Renderer> {
        Box::new(Self(0))
    }
}

impl Renderer for Numbered {
    fn render(&mut self, _: &Packet) -> Rendering {
        self.0 += 1;
        self.repeat_number(self.0)
    }

    fn repeat(&self, _: &Packet) -> Rendering {
        self.repeat_number(0)
    }
}

impl Numbered {
    fn repeat_number(&self, number: u64) -> Rendering {
        Rendering {
            bytes: Bytes::copy_from_slice(&number.to_be_bytes()),
            body: None,
        }
    }
}

fn play_as(hub: &Arc<Hub>, format: Option<Arc<dyn Format>>) -> Subscription {
    let listener = Subscriber {
        format,
        ..listener(settings())
    };
    hub.play(&key("cam"), listener)
}

fn frames(player: &mut Subscription) -> Vec<Arc<Frame>> {
    let items = std::iter::from_fn(|| player.next());
    items
        .filter_map(|item| match item {
            Item::Frame(frame) => Some(frame),
            Item::Published | Item::Unpublished => None,
        })
        .collect()
}

fn bytes(player: &mut Subscription, variant: Variant) -> Vec<Bytes> {
    let frames = frames(player);
    let bytes = frames.iter().map(|frame| frame.rendering(variant).cloned());
    bytes.collect::<Option<_>>().unwrap()
}

#[test]
fn a_stream_is_rendered_for_those_who_are_there_and_once_for_all_of_them() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let format = Pieces::of(60_000);
    let count = || format.rendered.load(Ordering::Relaxed);
    publication.push_flv(Kind::Data, 0, metadata()).unwrap();
    keyframe(&publication, 0, 1);
    // Nobody, then one that takes packets.
    let mut packets = play_as(&hub, None);
    inter(&publication, 33, 2);
    assert_eq!(count(), 0);
    let unrendered = frames(&mut packets);
    assert_eq!(unrendered.len(), 3);
    let rendering = unrendered
        .iter()
        .find_map(|frame| frame.rendering(format.variant()));
    assert_eq!(rendering, None);

    // The first gets what is kept, and so do those after it.
    let mut first = play_as(&hub, Some(format.clone()));
    assert_eq!((taken(&mut first).len(), count()), (3, 3));
    let mut others: Vec<_> = (0..20)
        .map(|_| play_as(&hub, Some(format.clone())))
        .collect();
    assert_eq!(count(), 3);
    inter(&publication, 66, 3);
    assert_eq!(count(), 4);
    for other in &mut others {
        let expected = ["meta@0", "key1@0", "inter2@33", "inter3@66"];
        assert_eq!(taken(other), expected);
    }

    drop(others);
    inter(&publication, 99, 4);
    assert_eq!(count(), 5, "one is there");
    drop(first);
    inter(&publication, 132, 5);
    assert_eq!((frames(&mut packets).len(), count()), (3, 5));
    // One that comes back finds what was made while there were some.
    let mut again = play_as(&hub, Some(format.clone()));
    assert_eq!((taken(&mut again).len(), count()), (6, 6));
}

#[test]
fn players_of_several_variants_get_each_its_own_bytes() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let (small, large) = (Pieces::of(3), Pieces::of(60_000));
    let mut as_small = play_as(&hub, Some(small.clone()));
    let mut as_large = play_as(&hub, Some(large.clone()));
    let mut as_copies = play_as(&hub, Some(Arc::new(Copies)));
    for (at, marker) in [(0, 1), (33, 2), (66, 3)] {
        keyframe(&publication, at, marker);
        let packet = Packet::from_flv(Kind::Video, from_ms(at), avc(1, 1, marker, 100));
        let packet = packet.unwrap();
        let rendered = |format: &Pieces| [format.repeat(&packet).bytes];
        assert_eq!(bytes(&mut as_small, small.variant()), rendered(&small));
        assert_eq!(bytes(&mut as_large, large.variant()), rendered(&large));
        let copies = bytes(&mut as_copies, Copies.variant());
        assert_eq!(copies, [Copies.repeat(&packet).bytes]);
    }
    // The same for those who come.
    let mut late = play_as(&hub, Some(small.clone()));
    let of_late = frames(&mut late);
    assert_eq!(of_late.len(), 1);
    assert_eq!(of_late[0].payload(), avc(1, 1, 3, 100));
    assert!(of_late[0].rendering(large.variant()).is_some());
}

#[test]
fn what_is_rendered_beside_a_packet_is_counted() {
    for (format, is_kept) in [
        (None, true),
        (Some(Pieces::of(60_000) as Arc<dyn Format>), true),
        (Some(Arc::new(Copies) as Arc<dyn Format>), false),
    ] {
        let hub = Hub::new();
        let tight = MediaSettings {
            keyframe_cache: 1_000 + 400,
            ..settings()
        };
        let claim = claim(1, DuplicateRule::Reject);
        let tight = Claim {
            settings: tight,
            ..claim
        };
        let publication = hub.publish(tight).unwrap();
        let _present = format.map(|format| play_as(&hub, Some(format)));
        let body = avc(1, 1, 1, 1_000);
        publication.push_flv(Kind::Video, 0, body).unwrap();
        let kept = frames(&mut play_as(&hub, None));
        assert_eq!(kept.len(), usize::from(is_kept));
    }
}

#[test]
fn a_renderer_is_fed_in_order_and_lives_as_long_as_it_has_players() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let format = || Some(Arc::new(Numbered::default()) as Arc<dyn Format>);
    let numbers = |player: &mut Subscription| -> Vec<u64> {
        let bytes = bytes(player, Numbered::default().variant()).into_iter();
        bytes
            .map(|bytes| u64::from_be_bytes(bytes[..].try_into().unwrap()))
            .collect()
    };
    keyframe(&publication, 0, 1);
    let mut first = play_as(&hub, format());
    assert_eq!(numbers(&mut first), [0], "it came before the renderer");
    inter(&publication, 33, 2);
    inter(&publication, 66, 3);
    let mut second = play_as(&hub, format());
    drop(first);
    inter(&publication, 99, 4);
    // What was kept meanwhile is not rendered again.
    assert_eq!(numbers(&mut second), [0, 1, 2, 3]);
    drop(second);
    inter(&publication, 132, 5);
    let mut third = play_as(&hub, format());
    keyframe(&publication, 165, 6);
    assert_eq!(numbers(&mut third).last(), Some(&1), "another renderer");
}

/// A socket that takes all.
#[derive(Debug, Default)]
struct Sink {
    open_for: AtomicU64,
    written: Mutex<Vec<u8>>,
}

impl Outlet for Sink {
    fn pass(&self, _: PlayerId, bytes: &Bytes) -> Offer {
        self.written.lock().extend_from_slice(bytes);
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
        self.written.lock().len() as u64
    }
}

/// A player with an outlet for which nothing waits.
fn watch(hub: &Arc<Hub>, format: &Arc<Pieces>) -> (Subscription, Arc<Sink>, Arc<Pieces>) {
    let sink = Arc::new(Sink::default());
    let listener = Subscriber {
        format: Some(format.clone()),
        outlet: Some(sink.clone()),
        ..listener(settings())
    };
    let mut player = hub.play(&key("cam"), listener);
    while player.next().is_some() {}
    player.rest(true, true);
    (player, sink, format.clone())
}

#[tokio::test]
async fn lanes_write_to_each_player_the_bytes_of_its_variant() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    keyframe(&publication, 0, 1);
    let formats = [3, 7, 60_000].map(Pieces::of);
    let mut players: Vec<_> = (0..99)
        .map(|number| watch(&hub, &formats[number % 3]))
        .collect();
    let expected = |format: &Pieces, times: std::ops::Range<u32>| -> Vec<u8> {
        let packet = |at| Packet::from_flv(Kind::Video, from_ms(at), avc(2, 1, 9, 100));
        let bytes = times.flat_map(|at| format.repeat(&packet(at).unwrap()).bytes);
        bytes.collect()
    };
    for at in 1..20 {
        inter(&publication, at, 9);
    }
    // All of one variant leave, and others come in the place of it.
    players.retain(|(_, _, format)| format.size != 3);
    let fresh: Vec<_> = (0..40).map(|_| watch(&hub, &Pieces::of(11))).collect();
    for at in 20..40 {
        inter(&publication, at, 9);
    }
    let players = players.iter().map(|player| (player, 1..40));
    for ((_, sink, format), times) in players.chain(fresh.iter().map(|player| (player, 20..40))) {
        let expected = expected(format, times);
        while sink.taken() < expected.len() as u64 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*sink.written.lock(), expected, "{format:?}");
    }
}
