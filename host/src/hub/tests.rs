//! The hub from outside: publications push, subscriptions take.

use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use livehost_wire::amf0;

use super::*;
use crate::policy::StreamRegistry;

const LARGE: usize = 1 << 20;

fn settings() -> Settings {
    Settings {
        keyframe_cache: LARGE,
        join: Join::Keyframe,
        queue_bytes: LARGE,
        queue_time: Duration::from_secs(10),
        slow_close: Duration::from_secs(20),
        chunk_size: 60_000,
        gather: Duration::ZERO,
    }
}

fn listener(settings: Settings) -> Listener {
    Listener {
        settings,
        wake: Wake::default(),
        outlet: None,
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

fn play(hub: &Arc<Hub>) -> Subscription {
    hub.play(&key("cam"), listener(settings()))
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
    publication.push(Kind::Video, 0, avc(1, 0, 0, 10)).unwrap();
}

fn keyframe(publication: &Publication, timestamp: u32, marker: u8) {
    publication
        .push(Kind::Video, timestamp, avc(1, 1, marker, 100))
        .unwrap();
}

fn inter(publication: &Publication, timestamp: u32, marker: u8) {
    publication
        .push(Kind::Video, timestamp, avc(2, 1, marker, 100))
        .unwrap();
}

/// What waits, as a person would tell it: role letter, timestamp, marker.
fn taken(subscription: &mut Subscription) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(item) = subscription.next() {
        told.push(match item {
            Item::Published => "published".to_owned(),
            Item::Unpublished => "unpublished".to_owned(),
            Item::Frame(frame) => match (frame.kind(), frame.role()) {
                (Kind::Data, Role::Metadata) => format!("meta@{}", frame.timestamp()),
                (Kind::Data, _) => format!("data@{}", frame.timestamp()),
                (kind, Role::Header) => format!("{kind:?} header@{}", frame.timestamp()),
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

#[test]
fn a_late_player_starts_at_the_cached_keyframe_after_metadata_and_headers() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    publication.push(Kind::Data, 0, metadata()).unwrap();
    video_header(&publication);
    publication.push(Kind::Audio, 0, aac(0)).unwrap();
    keyframe(&publication, 0, 1);
    inter(&publication, 33, 2);
    keyframe(&publication, 66, 3);
    publication.push(Kind::Audio, 70, aac(1)).unwrap();
    inter(&publication, 99, 4);
    let mut player = play(&hub);
    inter(&publication, 132, 5);
    let expected = [
        "meta@66",
        "Video header@66",
        "Audio header@66",
        "key3@66",
        "audio@70",
        "inter4@99",
        "inter5@132",
    ];
    assert_eq!(taken(&mut player), expected);
}

#[test]
fn a_player_without_the_cache_waits_for_the_next_keyframe() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    video_header(&publication);
    keyframe(&publication, 0, 1);
    let latest = Settings {
        join: Join::NextKeyframe,
        ..settings()
    };
    let mut player = hub.play(&key("cam"), listener(latest));
    inter(&publication, 33, 2);
    publication.push(Kind::Audio, 40, aac(1)).unwrap();
    keyframe(&publication, 66, 3);
    inter(&publication, 99, 4);
    assert_eq!(
        taken(&mut player),
        ["Video header@0", "key3@66", "inter4@99"]
    );
    assert_eq!(player.dropped(), 0, "waiting is not dropping");
}

#[test]
fn a_group_of_pictures_beyond_the_cache_is_not_kept_in_part() {
    let hub = Hub::new();
    let small = Claim {
        settings: Settings {
            keyframe_cache: 250,
            ..settings()
        },
        ..claim(1, DuplicateRule::Reject)
    };
    let publication = hub.publish(small).unwrap();
    keyframe(&publication, 0, 1);
    inter(&publication, 33, 2);
    inter(&publication, 66, 3);
    let mut player = play(&hub);
    inter(&publication, 99, 4);
    keyframe(&publication, 132, 5);
    assert_eq!(taken(&mut player), ["key5@132"]);
}

#[test]
fn audio_alone_needs_no_keyframe() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    publication.push(Kind::Audio, 0, aac(0)).unwrap();
    publication.push(Kind::Audio, 20, aac(1)).unwrap();
    let mut player = play(&hub);
    publication.push(Kind::Audio, 40, aac(1)).unwrap();
    assert_eq!(taken(&mut player), ["Audio header@20", "audio@40"]);
}

#[test]
fn a_waiting_player_gets_the_stream_and_waits_again_after_it() {
    let hub = Hub::new();
    let mut player = play(&hub);
    assert!(!player.is_live());
    assert!(taken(&mut player).is_empty());
    let publication = publish(&hub, 1);
    keyframe(&publication, 5, 1);
    assert!(player.is_live());
    publication.finish(false, || {});
    assert_eq!(taken(&mut player), ["published", "key1@5", "unpublished"]);
    let publication = publish(&hub, 2);
    keyframe(&publication, 0, 2);
    assert_eq!(taken(&mut player), ["published", "key2@0"]);
}

#[test]
fn a_taken_name_is_refused_and_its_publisher_untouched() {
    let hub = Hub::new();
    let first = publish(&hub, 1);
    let mut player = play(&hub);
    keyframe(&first, 0, 1);
    let refused = hub.publish(claim(2, DuplicateRule::Reject)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "live/cam is already being published by 192.0.2.1:1000 (connection 1)"
    );
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
    second.push(Kind::Data, 0, metadata()).unwrap();
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
    let full = hub.publish(claim(9, DuplicateRule::Standby)).unwrap_err();
    assert!(full.to_string().contains("4 publishers standing by"));
    drop(waiting);
    hub.publish(claim(9, DuplicateRule::Standby)).unwrap();
}

#[tokio::test]
async fn a_held_name_keeps_its_players_for_the_returning_publisher() {
    let hub = Hub::new();
    let hold = |conn, hold| Claim {
        hold,
        ..claim(conn, DuplicateRule::Reject)
    };
    let wake = Wake::default();
    let mut player = hub.play(
        &key("cam"),
        Listener {
            wake: wake.clone(),
            ..listener(settings())
        },
    );
    let lost = hub.publish(hold(1, Duration::from_secs(600))).unwrap();
    keyframe(&lost, 0, 1);
    drop(lost);
    assert_eq!(taken(&mut player), ["published", "key1@0"]);
    let back = hub.publish(hold(2, Duration::from_millis(20))).unwrap();
    keyframe(&back, 90_000, 2);
    let told = taken(&mut player);
    assert!(told.len() == 1 && told[0].starts_with("key2@"), "{told:?}");
    assert!(told[0] != "key2@90000", "time continues: {told:?}");
    drop(back);
    assert!(player.is_live(), "held");
    let mut told = Vec::new();
    while told.is_empty() {
        wake.notified().await;
        told = taken(&mut player);
    }
    assert_eq!(told, ["unpublished"]);
}

#[test]
fn a_publisher_that_says_it_is_done_is_not_held_for() {
    let hub = Hub::new();
    let mut player = play(&hub);
    let publication = hub
        .publish(Claim {
            hold: Duration::from_secs(5),
            ..claim(1, DuplicateRule::Reject)
        })
        .unwrap();
    publication.finish(false, || {});
    assert_eq!(taken(&mut player), ["published", "unpublished"]);
}

#[test]
fn a_player_behind_in_bytes_goes_on_at_the_next_keyframe() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let tight = Settings {
        // Four small messages are a little more, with what each costs beside.
        queue_bytes: 330 + 4 * 256,
        ..settings()
    };
    let mut player = hub.play(&key("cam"), listener(tight));
    video_header(&publication);
    keyframe(&publication, 0, 1);
    inter(&publication, 33, 2);
    inter(&publication, 66, 3);
    inter(&publication, 99, 4);
    keyframe(&publication, 132, 5);
    inter(&publication, 165, 6);
    assert_eq!(
        taken(&mut player),
        ["Video header@0", "key5@132", "inter6@165"]
    );
    assert_eq!(player.dropped(), 4);
    assert!(player.end().is_none());
}

#[test]
fn a_player_behind_in_time_goes_on_at_the_next_keyframe() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let mut player = play(&hub);
    keyframe(&publication, 0, 1);
    for at in [2_500, 5_000, 7_500, 10_001] {
        inter(&publication, at, 2);
    }
    keyframe(&publication, 10_033, 4);
    assert_eq!(taken(&mut player), ["key4@10033"]);
    assert_eq!(player.dropped(), 5);
}

#[test]
fn a_player_that_never_catches_up_is_ended() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let impatient = Settings {
        queue_bytes: 150,
        slow_close: Duration::ZERO,
        ..settings()
    };
    let mut player = hub.play(&key("cam"), listener(impatient));
    keyframe(&publication, 0, 1);
    inter(&publication, 33, 2);
    inter(&publication, 66, 3);
    assert_eq!(player.end(), Some(PlayerEnd::TooSlow(Duration::ZERO)));
    assert!(taken(&mut player).is_empty());
}

#[test]
fn what_waits_for_a_player_when_it_is_ended_counts_as_dropped() {
    let hub = Hub::new();
    let patient = Settings {
        queue_bytes: 2 * 400,
        slow_close: Duration::from_secs(20),
        ..settings()
    };
    let queue = queue::PlayerQueue::new(listener(patient), 0, hub.counters.clone());
    let start = Instant::now();
    let deliver = |frame_type, second| {
        let body = avc(frame_type, 1, 0, 100);
        let frame = Frame::new(Kind::Video, 0, body, 60_000).unwrap();
        let mut batch = batch::Batch::default();
        batch.push(Arc::new(frame), true);
        queue.deliver(&batch.delivery(start + Duration::from_secs(second)));
    };
    for (frame_type, second) in [(1, 0), (2, 0), (2, 1), (1, 20), (2, 20)] {
        deliver(frame_type, second);
    }
    assert_eq!(
        queue.dropped(),
        3,
        "two that waited, one for want of a base"
    );
    assert!(queue.end().is_none());
    deliver(2, 22);
    let end = Some(PlayerEnd::TooSlow(Duration::from_secs(20)));
    assert_eq!((queue.end(), queue.dropped()), (end, 6));
    assert!(
        hub.census()
            .iter()
            .any(|count| count == ("frames_dropped", 6))
    );
    assert!(queue.pop().is_none());
}

#[test]
fn what_a_player_leaves_out_after_it_caught_up_was_not_dropped() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let tight = Settings {
        queue_bytes: 2 * 400,
        ..settings()
    };
    let mut player = hub.play(&key("cam"), listener(tight));
    keyframe(&publication, 0, 1);
    inter(&publication, 33, 2);
    inter(&publication, 66, 3);
    inter(&publication, 99, 4);
    assert_eq!(
        player.dropped(),
        4,
        "two that waited, two for want of a base"
    );
    keyframe(&publication, 132, 5);
    assert_eq!(taken(&mut player), ["key5@132"]);
    // It asks for a fresh start; nothing of this is the fault of its network.
    player.resync();
    inter(&publication, 165, 6);
    keyframe(&publication, 198, 7);
    assert_eq!(taken(&mut player), ["key7@198"]);
    assert_eq!(player.leave().dropped, 4);
}

#[test]
fn publishers_that_come_and_go_add_nothing_to_what_waits() {
    let hub = Hub::new();
    let tight = Settings {
        queue_bytes: 10_000,
        ..settings()
    };
    let mut player = hub.play(&key("cam"), listener(tight));
    for conn in 0..100 {
        drop(publish(&hub, conn));
    }
    assert_eq!(taken(&mut player), ["published", "unpublished"]);
    let publication = publish(&hub, 1);
    assert_eq!(taken(&mut player), ["published"]);
    drop(publication);
    for conn in 0..100 {
        drop(publish(&hub, conn));
    }
    assert_eq!(taken(&mut player), ["unpublished"]);
    // With frames between, the limits do it.
    for conn in 0..100 {
        let publication = publish(&hub, conn);
        video_header(&publication);
        for at in 0..40 {
            keyframe(&publication, at * 200, 1);
        }
    }
    let waiting = taken(&mut player).len();
    let most = tight.queue_bytes / 256;
    assert!(waiting < 2 * most, "{waiting} items wait");
}

#[test]
fn the_cached_burst_does_not_count_as_being_behind() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    keyframe(&publication, 0, 1);
    for at in 1..20 {
        inter(&publication, at * 1_000, 2);
    }
    let tight = Settings {
        queue_bytes: 220,
        queue_time: Duration::from_secs(1),
        ..settings()
    };
    let mut player = hub.play(&key("cam"), listener(tight));
    inter(&publication, 20_000, 3);
    assert_eq!(taken(&mut player).len(), 21);
    assert_eq!(player.dropped(), 0);
}

#[test]
fn metadata_that_waits_does_not_make_media_late() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let mut player = play(&hub);
    // As pulled from a server that stamps metadata 0 and media by the stream.
    publication.push(Kind::Data, 0, metadata()).unwrap();
    keyframe(&publication, 3_600_000, 1);
    inter(&publication, 3_600_033, 2);
    assert_eq!(
        taken(&mut player),
        ["meta@0", "key1@3600000", "inter2@3600033"]
    );
    assert_eq!(player.dropped(), 0);
}

#[test]
fn empty_and_garbled_messages_are_refused_and_harm_nothing() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let mut player = play(&hub);
    let empty = publication.push(Kind::Video, 0, Bytes::new()).unwrap_err();
    assert_eq!(empty, NotAFrame::Empty);
    assert!(
        publication
            .push(Kind::Video, 0, Bytes::from_static(&[0x17]))
            .is_err()
    );
    keyframe(&publication, 0, 1);
    assert_eq!(taken(&mut player), ["key1@0"]);
}

#[test]
fn stopping_and_sending_data_reach_the_stream() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let mut player = play(&hub);
    publication.push(Kind::Audio, 40, aac(1)).unwrap();
    assert!(hub.send_data("live", "cam", "onCue", &[5]));
    assert!(!hub.send_data("live", "nobody", "onCue", &[5]));
    assert_eq!(taken(&mut player), ["audio@40", "data@40"]);
    assert!(hub.stop("live", "cam", "enough"));
    assert!(!hub.stop("other", "cam", "enough"));
    let why = publication.revoked().unwrap();
    assert_eq!(why.to_string(), "enough");
}

#[test]
fn nothing_is_left_when_everybody_has_gone() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let player = play(&hub);
    drop(publication);
    assert_eq!(hub.streams.lock().len(), 1);
    drop(player);
    assert!(hub.streams.lock().is_empty());
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
