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

    fn repeat(&self, packet: &Packet) -> Rendering {
        let backwards: Vec<u8> = packet.flv_bytes().iter().rev().copied().collect();
        Rendering {
            bytes: backwards.into(),
            body: None,
        }
    }
}

impl Renderer for Copies {
    fn render(&mut self, packet: &Packet) -> Rendering {
        self.repeat(packet)
    }
}

/// Bytes that are numbered in the order in which packets come, from the next
/// hundred on when a publication begins.
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

    fn repeat(&self, _: &Packet) -> Rendering {
        self.repeat_number(0)
    }
}

impl Renderer for Numbered {
    fn begin(&mut self) {
        self.0 = (self.0 / 100 + 1) * 100;
    }

    fn render(&mut self, _: &Packet) -> Rendering {
        self.0 += 1;
        self.repeat_number(self.0)
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

    // What is kept is rendered as they take it, and not while others wait.
    let mut first = play_as(&hub, Some(format.clone()));
    assert_eq!(count(), 0);
    assert_eq!((taken(&mut first).len(), count()), (3, 3));
    let mut others: Vec<_> = (0..20)
        .map(|_| play_as(&hub, Some(format.clone())))
        .collect();
    inter(&publication, 66, 3);
    assert_eq!(count(), 4, "once for all");
    for other in &mut others {
        let expected = ["meta@0", "key1@0", "inter2@33", "inter3@66"];
        assert_eq!(taken(other), expected);
    }
    assert_eq!(count(), 64, "what was there before the first, by each");

    drop(others);
    inter(&publication, 99, 4);
    assert_eq!(count(), 65, "one is there");
    drop(first);
    inter(&publication, 132, 5);
    assert_eq!((frames(&mut packets).len(), count()), (3, 65));
    // One that comes back finds what was made while there were some.
    let mut again = play_as(&hub, Some(format.clone()));
    assert_eq!((taken(&mut again).len(), count()), (6, 69));
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
    let pieces = |size| Pieces::of(size) as Arc<dyn Format>;
    let copies = || Arc::new(Copies) as Arc<dyn Format>;
    for (formats, is_kept) in [
        (vec![], true),
        (vec![pieces(60_000)], true),
        (vec![pieces(60_000), pieces(59_999), copies()], true),
        (vec![copies()], false),
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
        let formats = formats.into_iter();
        let _present: Vec<_> = formats.map(|format| play_as(&hub, Some(format))).collect();
        let body = avc(1, 1, 1, 1_000);
        publication.push_flv(Kind::Video, 0, body).unwrap();
        let kept = frames(&mut play_as(&hub, None));
        assert_eq!(kept.len(), usize::from(is_kept));
    }
}

/// What a queue of 1,000 bytes has of three frames of 200 bytes each.
fn kept_of_three(format: Option<Arc<dyn Format>>, others: &[Arc<dyn Format>]) -> usize {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let _others: Vec<_> = (others.iter())
        .map(|format| play_as(&hub, Some(format.clone())))
        .collect();
    let tight = MediaSettings {
        queue_bytes: 3 * (200 + 256 + 100),
        ..settings()
    };
    let listener = Subscriber {
        format,
        ..listener(tight)
    };
    let mut player = hub.play(&key("cam"), listener);
    for at in 0..3 {
        let body = avc(1, 1, 1, 194);
        publication.push_flv(Kind::Video, at, body).unwrap();
    }
    frames(&mut player).len()
}

#[test]
fn a_variant_costs_its_subscribers_alone() {
    let pieces = |size| Pieces::of(size) as Arc<dyn Format>;
    let copies = || Arc::new(Copies) as Arc<dyn Format>;
    let others = [
        vec![],
        vec![pieces(60_000)],
        vec![copies()],
        vec![pieces(60_000), copies(), pieces(59_999), pieces(59_998)],
    ];
    for others in others {
        assert_eq!(kept_of_three(None, &others), 3, "{others:?}");
        for size in [60_000, 59_999] {
            let own = Some(pieces(size));
            assert_eq!(kept_of_three(own, &others), 3, "{others:?}");
        }
    }
    // Beside the body, or beside one that others have inside.
    assert_eq!(kept_of_three(Some(copies()), &[]), 1);
    assert_eq!(kept_of_three(Some(copies()), &[pieces(60_000)]), 3);
}

fn numbers(player: &mut Subscription) -> Vec<u64> {
    let bytes = bytes(player, Numbered::default().variant()).into_iter();
    bytes
        .map(|bytes| u64::from_be_bytes(bytes[..].try_into().unwrap()))
        .collect()
}

#[test]
fn a_renderer_is_fed_with_what_all_get_and_told_of_publications() {
    let hub = Hub::new();
    let mut player = play_as(&hub, Some(Arc::new(Numbered::default())));
    let publication = publish(&hub, 1);
    audio(&publication, 0);
    // No player gets a command to decoders while there is no video.
    let command = Bytes::from_static(b"\x57\x00");
    publication.push_flv(Kind::Video, 0, command).unwrap();
    publication.push_flv(Kind::Data, 0, metadata()).unwrap();
    assert!(hub.send_data("live", &path("cam"), "onText", b"\x05"));
    audio(&publication, 10);
    assert_eq!(numbers(&mut player), [101, 102, 103, 104]);

    // The headers of one that stood by come before the keyframe that they are for.
    let standby = hub.publish(claim(2, DuplicateRule::Standby)).unwrap();
    standby.push_flv(Kind::Data, 0, metadata()).unwrap();
    video_header(&standby);
    drop(publication);
    inter(&standby, 0, 1);
    keyframe(&standby, 33, 2);
    assert_eq!(numbers(&mut player), [202, 203, 204]);
    inter(&standby, 66, 3);
    assert_eq!(numbers(&mut player), [205]);

    let replacing = hub.publish(claim(3, DuplicateRule::Replace)).unwrap();
    keyframe(&replacing, 0, 4);
    assert_eq!(numbers(&mut player), [301]);
    drop(replacing);
    drop(standby);
    keyframe(&publish(&hub, 4), 0, 5);
    assert_eq!(numbers(&mut player), [401]);
}

#[test]
fn a_renderer_is_fed_in_order_and_lives_as_long_as_it_has_players() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let format = || Some(Arc::new(Numbered::default()) as Arc<dyn Format>);
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
