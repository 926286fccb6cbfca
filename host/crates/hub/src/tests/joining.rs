//! What a player gets first.

use super::*;

#[test]
fn no_more_play_than_may_whoever_waits_counts() {
    let hub = Hub::new();
    let join = || hub.play_within(&key("cam"), listener(settings()), 2);
    let first = join().unwrap();
    let _second = join().unwrap();
    let full = Full { players: 2, max: 2 };
    assert_eq!(join().unwrap_err(), full);
    let _publication = publish(&hub, 1);
    assert_eq!(join().unwrap_err(), full);
    first.leave();
    let _third = join().unwrap();
    assert_eq!(join().unwrap_err(), full);
    // Others are bound by their own grants.
    let _unbound = play(&hub);
    assert_eq!(hub.census().get("plays_full"), 3);
}

#[test]
fn nothing_is_left_of_a_player_that_may_not_play() {
    let hub = Hub::new();
    let refused = hub.play_within(&key("cam"), listener(settings()), 0);
    assert_eq!(refused.unwrap_err(), Full { players: 0, max: 0 });
    assert_eq!(hub.census().get("streams"), 0);
}

#[test]
fn of_many_that_come_at_once_no_more_play_than_may() {
    let hub = Hub::new();
    let come = || {
        let join = |_| hub.play_within(&key("cam"), listener(settings()), 10);
        (0..50).filter_map(|at| join(at).ok()).collect::<Vec<_>>()
    };
    let joined: Vec<_> = std::thread::scope(|threads| {
        let threads: Vec<_> = (0..4).map(|_| threads.spawn(come)).collect();
        threads
            .into_iter()
            .flat_map(|of| of.join().unwrap())
            .collect()
    });
    assert_eq!(joined.len(), 10);
}

#[test]
fn a_late_player_starts_at_the_cached_keyframe_after_metadata_and_headers() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    publication.push_flv(Kind::Data, 0, metadata()).unwrap();
    video_header(&publication);
    publication.push_flv(Kind::Audio, 0, aac(0)).unwrap();
    keyframe(&publication, 0, 1);
    inter(&publication, 33, 2);
    keyframe(&publication, 66, 3);
    audio(&publication, 70);
    inter(&publication, 99, 4);
    let mut player = play(&hub);
    inter(&publication, 132, 5);
    let expected = [
        "meta@0",
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
fn metadata_is_of_no_moment() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    keyframe(&publication, 5_000, 1);
    let mut present = play(&hub);
    publication.push_flv(Kind::Data, 5_000, metadata()).unwrap();
    let cue = amf0::encode_all(&["onCuePoint".into(), amf0::Value::Null]);
    publication.push_flv(Kind::Data, 5_020, cue).unwrap();
    inter(&publication, 5_040, 2);
    assert!(hub.send_data("live", &path("cam"), "onMetaData", &[5]));
    let told = ["key1@5000", "meta@0", "data@5020", "inter2@5040", "meta@0"];
    assert_eq!(taken(&mut present), told);
    let told = ["meta@0", "key1@5000", "data@5020", "inter2@5040"];
    assert_eq!(taken(&mut play(&hub)), told);
}

#[test]
fn a_player_without_the_cache_waits_for_the_next_keyframe() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    video_header(&publication);
    keyframe(&publication, 0, 1);
    let latest = MediaSettings {
        join: Join::NextKeyframe,
        ..settings()
    };
    let mut player = hub.play(&key("cam"), listener(latest));
    inter(&publication, 33, 2);
    audio(&publication, 40);
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
        settings: MediaSettings {
            // Two small messages, with what each costs beside.
            keyframe_cache: 2 * 400,
            ..settings()
        },
        ..claim(1, DuplicateRule::Reject)
    };
    let publication = hub.publish(small).unwrap();
    keyframe(&publication, 0, 1);
    inter(&publication, 33, 2);
    inter(&publication, 66, 3);
    let mut player = play(&hub);
    keyframe(&publication, 132, 5);
    assert_eq!(taken(&mut player), ["key5@132"]);
}

#[test]
fn audio_alone_needs_no_keyframe() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    publication.push_flv(Kind::Audio, 0, aac(0)).unwrap();
    audio(&publication, 20);
    let mut player = play(&hub);
    audio(&publication, 40);
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
    publication.finish(false, |_| {});
    assert_eq!(taken(&mut player), ["published", "key1@5", "unpublished"]);
    let publication = publish(&hub, 2);
    keyframe(&publication, 0, 2);
    assert_eq!(taken(&mut player), ["published", "key2@0"]);
}

#[test]
fn a_long_frame_is_in_memory_once_and_found_whole() {
    let short_pieces = Pieces::of(1_000);
    let settings = MediaSettings {
        // The message, what is between its pieces, and what any costs beside.
        keyframe_cache: 10_000 + 100 + 256,
        ..settings()
    };
    let marked: Vec<u8> = (0..10_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    let long = [b"\x17\x01\0\0\0", &marked[5..]].concat();
    let play = |hub: &Arc<Hub>| {
        let format: Arc<dyn Format> = short_pieces.clone();
        let listener = Subscriber {
            format: Some(format),
            ..listener(settings)
        };
        hub.play(&key("cam"), listener)
    };
    // With a player that is there already, and without.
    for is_played in [true, false] {
        let hub = Hub::new();
        let claim = claim(1, DuplicateRule::Reject);
        let publication = hub.publish(Claim { settings, ..claim }).unwrap();
        let _present = is_played.then(|| play(&hub));
        let body = long.clone().into();
        (publication.push_flv(Kind::Video, 0x0100_0000, body)).unwrap();
        let mut player = play(&hub);
        let Some(Item::Frame(frame)) = player.next() else {
            panic!("it is not kept");
        };
        let bytes = frame.rendering(short_pieces.variant()).unwrap();
        assert_eq!(bytes.len(), long.len() + 8 + 9);
        assert_eq!(frame.packet().memory(), bytes.len(), "of both");
        assert_eq!(frame.packet().len(), long.len());
        assert_eq!(frame.payload(), long);
    }
}

#[test]
fn small_frames_count_with_what_they_cost() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    keyframe(&publication, 0, 1);
    for at in 1..=(LARGE / 256) {
        audio(&publication, u32::try_from(at).unwrap() / 1_000);
    }
    assert!(taken(&mut play(&hub)).is_empty());
}
