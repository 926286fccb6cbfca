//! Who holds a name, and what its players see when that changes.

use livehost_policy::names::MAX_PATH;

use super::*;

#[test]
fn a_taken_name_is_refused_and_its_publisher_untouched() {
    let hub = Hub::new();
    let first = publish(&hub, 1);
    let mut player = play(&hub);
    keyframe(&first, 0, 1);
    let refused = hub.publish(claim(2, DuplicateRule::Reject));
    let refused = refused.unwrap_err().refuse();
    // Where the publisher is, is for the log.
    assert_eq!(
        refused.to_string(),
        "the stream is busy: it is already being published"
    );
    let owner = refused.owner();
    assert_eq!((&*owner.remote, owner.conn), ("192.0.2.1:1000", 1));
    inter(&first, 33, 2);
    assert_eq!(taken(&mut player), ["key1@0", "inter2@33"]);
    assert!(first.revoked().is_none());
    drop(first);
    publish(&hub, 2);
}

#[test]
fn the_same_name_in_another_instance_is_another_stream() {
    let hub = Hub::new();
    let _first = publish(&hub, 1);
    let mut other = claim(2, DuplicateRule::Reject);
    other.key.instance = Some("room".into());
    let second = hub.publish(other).unwrap();
    assert_eq!(second.key().path(), "room/cam");
    assert_eq!(hub.get("live", "room/cam").unwrap().publisher.conn, 2);
    assert_eq!(hub.get("live", "cam").unwrap().publisher.conn, 1);
    assert!(hub.get("other", "cam").is_none());
    assert_eq!(hub.count("live", ""), 2);
    assert_eq!(hub.find("live", "r", 10).len(), 1);
}

#[test]
fn a_name_that_nobody_can_have_costs_nothing_to_look_up() {
    let hub = Hub::new();
    let mut longest = claim(1, DuplicateRule::Reject);
    longest.key.instance = Some("i".repeat(MAX_PATH - 4).into());
    let called = longest.key.path();
    let _publication = hub.publish(longest).unwrap();
    assert_eq!(called.len(), MAX_PATH);
    assert!(hub.get("live", &called).is_some());
    assert!(hub.live_publication("live", &path(&called)).is_some());
    assert_eq!(hub.find("live", &called, 10).len(), 1);
    let endless = "/".repeat(4 << 20);
    assert!(hub.get("live", &endless).is_none());
    assert_eq!(hub.resolve("live", &endless).as_deref(), Ok(&*endless));
    assert!(!hub.stop("live", &path(&endless), "asked to"));
    assert!(!hub.send_data("live", &path(&endless), "onText", &[]));
    assert!(hub.find("live", &endless, 10).is_empty());
    assert_eq!(hub.count("live", &endless), 0);
}

#[test]
fn replacing_keeps_players_and_continues_their_time() {
    let hub = Hub::new();
    let first = publish(&hub, 1);
    let mut player = play(&hub);
    keyframe(&first, 1_000, 1);
    taken(&mut player);
    let second = hub.publish(claim(2, DuplicateRule::Replace)).unwrap();
    assert_eq!(first.revoked(), Some(Revocation::Replaced));
    inter(&first, 1_033, 9);
    drop(first);
    video_header(&second);
    inter(&second, 0, 2);
    keyframe(&second, 33, 3);
    let told = taken(&mut player);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("Video header@1"), "{told:?}");
    assert!(told[1].starts_with("key3@1"), "{told:?}");
    assert!(second.is_active());
}

#[test]
fn a_standby_takes_over_with_the_headers_it_had_sent() {
    let hub = Hub::new();
    let first = publish(&hub, 1);
    let mut player = play(&hub);
    keyframe(&first, 0, 1);
    let second = hub.publish(claim(2, DuplicateRule::Standby)).unwrap();
    assert!(!second.is_active());
    second.push_flv(Kind::Data, 0, metadata()).unwrap();
    video_header(&second);
    keyframe(&second, 500, 7);
    drop(first);
    assert!(second.is_active());
    inter(&second, 533, 8);
    keyframe(&second, 566, 9);
    let told = taken(&mut player);
    let kinds: Vec<_> = told
        .iter()
        .filter_map(|item| item.split('@').next())
        .collect();
    assert_eq!(kinds, ["key1", "meta", "Video header", "key9"], "{told:?}");
}

#[test]
fn standbys_are_few_and_leave_without_a_trace() {
    let hub = Hub::new();
    let _first = publish(&hub, 1);
    let waiting: Vec<_> = (2..6)
        .map(|conn| hub.publish(claim(conn, DuplicateRule::Standby)).unwrap())
        .collect();
    let full = hub.publish(claim(9, DuplicateRule::Standby));
    let full = full.unwrap_err().refuse().to_string();
    assert!(full.contains("4 publishers already stand by"), "{full}");
    drop(waiting);
    hub.publish(claim(9, DuplicateRule::Standby)).unwrap();
}

#[tokio::test]
async fn a_held_name_keeps_its_players_for_the_returning_publisher() {
    let hub = Hub::new();
    let hold = |conn, hold| Claim {
        hold,
        // Each time another connection of the same address.
        client: claim(1, DuplicateRule::Reject).client,
        ..claim(conn, DuplicateRule::Reject)
    };
    let wake = Wake::default();
    let mut player = hub.play(
        &key("cam"),
        Subscriber {
            wake: wake.clone(),
            ..listener(settings())
        },
    );
    let lost = hub.publish(hold(1, Duration::from_secs(600))).unwrap();
    keyframe(&lost, 0, 1);
    lose(lost);
    assert_eq!(taken(&mut player), ["published", "key1@0"]);
    let back = hub.publish(hold(2, Duration::from_millis(20))).unwrap();
    keyframe(&back, 90_000, 2);
    let told = taken(&mut player);
    assert!(told.len() == 1 && told[0].starts_with("key2@"), "{told:?}");
    assert!(told[0] != "key2@90000", "time continues: {told:?}");
    lose(back);
    assert!(player.is_live(), "held");
    let mut told = Vec::new();
    while told.is_empty() {
        wake.notified().await;
        told = taken(&mut player);
    }
    assert_eq!(told, ["unpublished"]);
}

#[tokio::test]
async fn a_held_name_is_for_the_one_that_was_lost() {
    let holds = |conn: u64, rule, remote: &str, user: &str| {
        let mut claim = claim(conn, rule);
        claim.hold = Duration::from_secs(600);
        claim.client.remote = remote.to_owned();
        if !user.is_empty() {
            claim.client.attrs = vec![("user".to_owned(), user.to_owned())];
        }
        claim
    };
    let (first, other) = ("192.0.2.1:1000", "192.0.2.9:1000");
    for (rule, remote, user, comes_in) in [
        (DuplicateRule::Reject, "192.0.2.1:2000", "", true),
        (DuplicateRule::Reject, other, "ann", true),
        (DuplicateRule::Reject, other, "bob", false),
        (DuplicateRule::Reject, other, "", false),
        (DuplicateRule::Replace, other, "bob", true),
        (DuplicateRule::Standby, other, "bob", true),
    ] {
        let hub = Hub::new();
        lose(
            hub.publish(holds(1, DuplicateRule::Reject, first, "ann"))
                .unwrap(),
        );
        assert!(hub.is_live(&key("cam")));
        assert!(
            hub.awaited("live", "cam", 1)
                .iter()
                .all(|stream| stream.held)
        );
        let came = hub.publish(holds(2, rule, remote, user));
        let case = format!("{rule:?} {remote} {user}");
        match came {
            Ok(publication) => assert!(comes_in && publication.is_active(), "{case}"),
            Err(contested) => {
                let refused = contested.settle().await.unwrap_err();
                assert!(!comes_in, "{case}");
                assert_eq!((refused.owner().conn, &*refused.owner().remote), (1, first));
                assert!(refused.to_string().contains("held for the return"));
            }
        }
    }

    let nobody = Client::default();
    assert!(!nobody.is_same_as(&nobody), "nothing is no identity");
    let six = |remote: &str| Client {
        remote: remote.to_owned(),
        ..Client::default()
    };
    assert!(six("[2001:db8::1]:1").is_same_as(&six("[2001:db8::2]:2")));
    assert!(!six("[2001:db8::1]:1").is_same_as(&six("[2001:db8:0:1::1]:1")));
}

#[test]
fn a_publisher_that_is_not_lost_is_not_held_for() {
    let hub = Hub::new();
    let mut player = play(&hub);
    let publish = || {
        let claim = Claim {
            hold: Duration::from_secs(5),
            ..claim(1, DuplicateRule::Reject)
        };
        hub.publish(claim).unwrap()
    };
    // One that says it is done, and one that has not begun.
    publish().finish(false, |_| {});
    assert_eq!(taken(&mut player), ["published", "unpublished"]);
    drop(publish());
    assert_eq!(taken(&mut player), ["published", "unpublished"]);
}

#[test]
fn simultaneous_claims_have_one_winner() {
    let hub = Hub::new();
    let barrier = std::sync::Barrier::new(8);
    let wins: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=8)
            .map(|conn| {
                let (hub, barrier) = (&hub, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    hub.publish(claim(conn, DuplicateRule::Reject)).ok()
                })
            })
            .collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(wins.len(), 1);
}

#[test]
fn nothing_is_left_when_everybody_has_gone() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let player = play(&hub);
    drop(publication);
    assert_eq!(hub.streams.lock().all().count(), 1);
    drop(player);
    assert!(hub.streams.lock().is_empty());
}

#[test]
fn stopping_and_sending_data_reach_the_stream() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let mut player = play(&hub);
    audio(&publication, 40);
    assert!(hub.send_data("live", &path("cam"), "onCue", &[5]));
    assert!(!hub.send_data("live", &path("nobody"), "onCue", &[5]));
    assert_eq!(taken(&mut player), ["audio@40", "data@40"]);
    assert!(hub.stop("live", &path("cam"), "enough"));
    assert!(!hub.stop("other", &path("cam"), "enough"));
    let why = publication.revoked().unwrap();
    assert_eq!(why.to_string(), "enough");
}

#[test]
fn an_order_by_number_is_for_that_publish_alone() {
    let hub = Hub::new();
    let first = publish(&hub, 1);
    let second = hub.publish(claim(2, DuplicateRule::Standby)).unwrap();
    let by_id = |publication: &Publication| StreamRef::Id(publication.id());
    assert!(!hub.stop("other", &by_id(&first), "enough"));
    let live = |target: &StreamRef| hub.live_publication("live", target);
    assert_eq!(live(&by_id(&first)), Some((key("cam"), first.id())));
    assert_eq!(live(&path("cam")), Some((key("cam"), first.id())));
    assert_eq!(live(&by_id(&second)), None, "it stands by");
    assert!(hub.is_published("live", &by_id(&second)));
    assert!(!hub.is_active("live", &by_id(&second)) && hub.is_active("live", &by_id(&first)));
    assert!(hub.stop("live", &by_id(&second), "not needed"));
    assert!(first.revoked().is_none() && second.revoked().is_some());
    let gone = by_id(&first);
    drop((first, second));
    let _third = publish(&hub, 3);
    assert!(!hub.stop("live", &gone, "enough"));
    assert!(!hub.send_data("live", &gone, "onCue", &[5]));
    assert_eq!(hub.publishers.lock().len(), 1);
}

#[tokio::test]
async fn a_name_alone_is_the_only_stream_that_has_it() {
    let hub = Hub::new();
    let in_room = |conn: u64, room: &str| {
        let mut claim = claim(conn, DuplicateRule::Reject);
        claim.key.instance = Some(room.into());
        hub.publish(claim).unwrap()
    };
    let _waits = play(&hub);
    let first = in_room(1, "a");
    // Somebody waits for the one without an instance, and it is not there.
    assert_eq!(hub.resolve("live", "cam").as_deref(), Ok("a/cam"));
    assert_eq!(hub.resolve("other", "cam").as_deref(), Ok("cam"));
    let second = in_room(2, "b");
    let ambiguous = hub.resolve("live", "cam").unwrap_err().to_string();
    assert!(ambiguous.ends_with("several: a/cam, b/cam"), "{ambiguous}");
    assert_eq!(hub.resolve("live", "b/cam").as_deref(), Ok("b/cam"));
    let bare = publish(&hub, 3);
    assert_eq!(hub.resolve("live", "cam").as_deref(), Ok("cam"));
    // What is held is published by nobody.
    drop((first, second, bare));
    for (conn, room) in [(4, Some("a")), (5, None)] {
        let mut held = claim(conn, DuplicateRule::Reject);
        held.key.instance = room.map(Into::into);
        held.hold = Duration::from_secs(600);
        lose(hub.publish(held).unwrap());
    }
    let other = in_room(6, "b");
    assert_eq!(hub.resolve("live", "cam").as_deref(), Ok("b/cam"));
    drop(other);
    assert_eq!(hub.resolve("live", "cam").as_deref(), Ok("cam"));
    let in_instances = |name: &str| {
        let name = ("live".into(), name.into());
        hub.streams.lock().in_instances(&name).count()
    };
    assert_eq!(in_instances("cam"), 1, "the held one");
}

#[test]
fn metadata_that_the_host_sends_is_for_those_who_come_too() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    publication.push_flv(Kind::Data, 0, metadata()).unwrap();
    keyframe(&publication, 0, 1);
    let mut present = play(&hub);
    taken(&mut present);
    let title = |text: &str| {
        let title = amf0::Properties::from([("title", amf0::Value::from(text))]);
        amf0::encode_all(&[amf0::Value::Object(title)])
    };
    let shows = |player: &mut Subscription, text: &str| {
        let mut payloads = Vec::new();
        while let Some(item) = player.next() {
            if let Item::Frame(frame) = item
                && frame.role() == Role::Metadata
            {
                payloads.push(frame.payload());
            }
        }
        let shown = |payload: &Bytes| payload.windows(text.len()).any(|at| at == text.as_bytes());
        payloads.len() == 1 && payloads.iter().all(shown)
    };
    assert!(hub.send_data("live", &path("cam"), "onMetaData", &title("news")));
    assert!(shows(&mut present, "news"));
    assert!(shows(&mut play(&hub), "news"));
    // As a publisher says it.
    let named = [amf0::encode_all(&["onMetaData".into()]), title("sports")].concat();
    assert!(hub.send_data("live", &path("cam"), "@setDataFrame", &named));
    assert!(shows(&mut present, "sports"));
    assert!(shows(&mut play(&hub), "sports"));
    let named = amf0::encode_all(&["onMetaData".into()]);
    assert!(hub.send_data("live", &path("cam"), "@clearDataFrame", &named));
    assert!(taken(&mut present).is_empty());
    assert_eq!(taken(&mut play(&hub)), ["key1@0"]);
}

#[test]
fn those_who_wait_are_counted_apart() {
    let hub = Hub::new();
    assert!(hub.awaited("live", "", 10).is_empty());
    let _players = [play(&hub), play(&hub)];
    let waiting = |held| Awaited {
        instance: None,
        name: "cam".into(),
        players: 2,
        held,
    };
    assert_eq!(hub.awaited("live", "c", 10), [waiting(false)]);
    assert!(hub.awaited("live", "x", 10).is_empty() && hub.awaited("other", "", 10).is_empty());
    let publication = publish(&hub, 1);
    assert!(hub.awaited("live", "", 10).is_empty());
    let mut left = None;
    publication.finish(false, |awaited| left = awaited);
    assert_eq!(left, Some(waiting(false)));
    assert!(hub.get("live", "cam").is_none());
}

#[test]
fn empty_and_garbled_messages_are_refused_and_harm_nothing() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let mut player = play(&hub);
    let empty = publication
        .push_flv(Kind::Video, 0, Bytes::new())
        .unwrap_err();
    assert_eq!(empty, NotAPacket::Empty);
    assert!(
        publication
            .push_flv(Kind::Video, 0, Bytes::from_static(&[0x17]))
            .is_err()
    );
    keyframe(&publication, 0, 1);
    assert_eq!(taken(&mut player), ["key1@0"]);
    // They have come all the same.
    let before = publication.bytes_in();
    publication.ignore(7);
    assert_eq!(publication.bytes_in(), before + 7);
}

#[test]
fn a_stream_that_is_busy_holds_up_no_other() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let stream = hub.streams.lock().get(&key("cam")).unwrap().clone();
    let (done, others) = std::sync::mpsc::channel();
    // What is told of the end is told under the stream's lock.
    publication.finish(false, |_| {
        let before = Arc::strong_count(&stream);
        for player in [true, false] {
            let hub = hub.clone();
            std::thread::spawn(move || {
                if player {
                    drop(play(&hub));
                } else {
                    drop(publish(&hub, 2));
                }
            });
        }
        while Arc::strong_count(&stream) == before {
            std::thread::yield_now();
        }
        let hub = hub.clone();
        std::thread::spawn(move || {
            let other = key("other");
            let player = hub.play(&other, listener(settings()));
            let claim = Claim {
                key: other.clone(),
                ..claim(3, DuplicateRule::Reject)
            };
            drop(hub.publish(claim).unwrap());
            drop(player);
            done.send(hub.streams.lock().get(&other).is_some()).unwrap();
        });
        let is_left = others.recv_timeout(Duration::from_secs(60));
        assert_eq!(is_left, Ok(false), "nobody waits for the busy one");
    });
}

#[test]
fn who_comes_while_another_leaves_is_at_the_same_stream() {
    let hub = Hub::new();
    for round in 0..500 {
        let leaving = play(&hub);
        let start = std::sync::Barrier::new(3);
        let (publication, mut player) = std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                drop(leaving);
            });
            let publication = scope.spawn(|| {
                start.wait();
                publish(&hub, 1)
            });
            start.wait();
            let player = play(&hub);
            (publication.join().unwrap(), player)
        });
        keyframe(&publication, 0, 1);
        assert_eq!(taken(&mut player).last().unwrap(), "key1@0", "{round}");
        drop((publication, player));
        assert!(hub.streams.lock().is_empty(), "{round}");
    }
}

#[test]
fn a_name_that_was_refused_is_not_left_behind() {
    let hub = Hub::new();
    for _ in 0..500 {
        let first = publish(&hub, 1);
        let start = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                drop(first);
            });
            start.wait();
            drop(hub.publish(claim(2, DuplicateRule::Reject)));
        });
        assert!(hub.streams.lock().is_empty());
    }
}
