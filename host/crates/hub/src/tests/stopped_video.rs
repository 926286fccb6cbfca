//! A camera is switched off, and on again, while audio goes on.

use super::*;

/// Audio each 500 ms, for more than it takes until video counts as stopped.
const ALONE: [u32; 13] = [
    1_000, 1_500, 2_000, 2_500, 3_000, 3_500, 4_000, 4_500, 5_000, 5_500, 6_000, 6_500, 7_000,
];

fn latest() -> Subscriber {
    listener(MediaSettings {
        join: Join::NextKeyframe,
        ..settings()
    })
}

fn with_camera(hub: &Arc<Hub>) -> Publication {
    let publication = publish(hub, 1);
    video_header(&publication);
    publication.push_flv(Kind::Audio, 0, aac(0)).unwrap();
    keyframe(&publication, 0, 1);
    inter(&publication, 33, 2);
    publication
}

fn alone(publication: &Publication) {
    for at in ALONE {
        audio(publication, at);
    }
}

#[test]
fn whoever_waits_for_a_keyframe_hears_the_audio() {
    let hub = Hub::new();
    let publication = with_camera(&hub);
    let mut joined = hub.play(&key("cam"), latest());
    let mut resumed = play(&hub);
    taken(&mut resumed);
    resumed.resync();
    alone(&publication);
    let headers = ["Video header@33", "Audio header@33"];
    let audio = ["audio@6000", "audio@6500", "audio@7000"];
    assert_eq!(taken(&mut joined), [&headers[..], &audio].concat());
    assert_eq!(taken(&mut resumed), audio);
}

#[test]
fn who_has_a_base_for_the_video_keeps_it() {
    let hub = Hub::new();
    let publication = with_camera(&hub);
    let mut player = play(&hub);
    taken(&mut player);
    alone(&publication);
    // It was only slow.
    inter(&publication, 7_033, 3);
    let told = taken(&mut player);
    assert_eq!(told.len(), ALONE.len() + 1);
    assert_eq!(told.last().unwrap(), "inter3@7033");
}

#[test]
fn video_that_is_back_is_seen_from_its_keyframe_on_and_audio_heard_meanwhile() {
    let hub = Hub::new();
    let publication = with_camera(&hub);
    let mut player = hub.play(&key("cam"), latest());
    alone(&publication);
    taken(&mut player);
    inter(&publication, 7_033, 3);
    audio(&publication, 7_050);
    keyframe(&publication, 7_066, 4);
    inter(&publication, 7_100, 5);
    audio(&publication, 7_110);
    assert_eq!(
        taken(&mut player),
        ["audio@7050", "key4@7066", "inter5@7100", "audio@7110"]
    );
}

#[test]
fn who_joins_while_video_has_stopped_starts_in_the_present() {
    let hub = Hub::new();
    let publication = with_camera(&hub);
    alone(&publication);
    let mut player = play(&hub);
    audio(&publication, 7_500);
    let headers = ["Video header@6467", "Audio header@6467"];
    let picture = ["key1@6467", "inter2@6500"];
    assert_eq!(
        taken(&mut player),
        [&headers[..], &picture, &["audio@7500"]].concat()
    );
    // The picture is a base for what follows.
    inter(&publication, 8_000, 3);
    audio(&publication, 8_010);
    let rest = ["inter3@8000", "audio@8010"];
    assert_eq!(taken(&mut player), rest);
    let headers = ["Video header@7467", "Audio header@7467"];
    let picture = ["key1@7467", "inter2@7500"];
    assert_eq!(taken(&mut play(&hub)), [headers, picture, rest].concat());
}

#[test]
fn a_long_group_of_pictures_is_over_soon_for_who_joins_after_it() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    keyframe(&publication, 0, 0);
    for second in 1..=10 {
        inter(&publication, u32::from(second) * 1_000, second);
        audio(&publication, u32::from(second) * 1_000 + 1);
    }
    for second in 11..=16 {
        audio(&publication, second * 1_000);
    }
    let told = taken(&mut play(&hub));
    assert_eq!(told.len(), 11, "{told:?}");
    assert_eq!(told[0], "key0@15000");
    assert_eq!(told[1], "inter1@15050");
    assert_eq!(told[10], "inter10@15500");
}

#[test]
fn a_camera_may_go_off_again_and_again() {
    let hub = Hub::new();
    let publication = with_camera(&hub);
    alone(&publication);
    assert_eq!(taken(&mut play(&hub))[2..], ["key1@6467", "inter2@6500"]);
    inter(&publication, 7_500, 3);
    for second in 8..=13 {
        audio(&publication, second * 1_000);
    }
    let expected = ["key1@12000", "inter2@12016", "inter3@12500"];
    assert_eq!(taken(&mut play(&hub))[2..], expected);
    keyframe(&publication, 13_500, 4);
    let expected = ["Video header@13500", "Audio header@13500", "key4@13500"];
    assert_eq!(taken(&mut play(&hub)), expected);
}

#[test]
fn video_that_comes_back_behind_the_audio_does_not_go_back() {
    let hub = Hub::new();
    let publication = with_camera(&hub);
    alone(&publication);
    inter(&publication, 66, 3);
    let expected = ["key1@0", "inter2@33", "inter3@66"];
    assert_eq!(taken(&mut play(&hub))[2..], expected);
}

#[test]
fn a_gap_in_everything_is_no_camera_that_is_off() {
    let hub = Hub::new();
    let publication = with_camera(&hub);
    let mut player = hub.play(&key("cam"), latest());
    taken(&mut player);
    // The longest steps that the timeline takes for a pause.
    for at in [2_900, 5_800, 8_700] {
        audio(&publication, at);
    }
    assert!(taken(&mut player).is_empty());
    inter(&publication, 8_700, 3);
    assert_eq!(taken(&mut play(&hub))[2], "key1@0");
}

#[test]
fn the_end_of_a_sequence_is_no_picture() {
    let hub = Hub::new();
    let publication = with_camera(&hub);
    alone(&publication);
    publication
        .push_flv(Kind::Video, 7_010, avc(1, 2, 0, 0))
        .unwrap();
    let mut player = hub.play(&key("cam"), latest());
    audio(&publication, 7_050);
    assert_eq!(taken(&mut player)[2..], ["audio@7050"]);
}

#[test]
fn a_group_of_pictures_that_is_not_kept_is_not_there_when_video_has_stopped() {
    let hub = Hub::new();
    let none = Claim {
        settings: MediaSettings {
            keyframe_cache: 0,
            ..settings()
        },
        ..claim(1, DuplicateRule::Reject)
    };
    let publication = hub.publish(none).unwrap();
    keyframe(&publication, 0, 1);
    alone(&publication);
    let mut player = play(&hub);
    audio(&publication, 7_500);
    inter(&publication, 7_533, 2);
    keyframe(&publication, 7_566, 3);
    assert_eq!(taken(&mut player), ["audio@7500", "key3@7566"]);
}

#[test]
fn a_camera_that_was_never_on_keeps_nobody_waiting() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let mut player = play(&hub);
    video_header(&publication);
    publication.push_flv(Kind::Audio, 0, aac(0)).unwrap();
    alone(&publication);
    let told = taken(&mut player);
    let audio = told.iter().filter(|item| item.starts_with("audio@"));
    assert_eq!(audio.count(), ALONE.len(), "{told:?}");
}

#[test]
fn audio_tracks_that_are_apart_are_no_time_that_passes() {
    let hub = Hub::new();
    let publication = with_camera(&hub);
    let mut player = hub.play(&key("cam"), latest());
    taken(&mut player);
    let second_track = Bytes::from_static(b"\x95\x01mp4a\x01frame");
    for turn in 1..20 {
        audio(&publication, 40 + turn * 20);
        let apart = 540 + turn * 20;
        let second_track = second_track.clone();
        publication
            .push_flv(Kind::Audio, apart, second_track)
            .unwrap();
    }
    assert!(taken(&mut player).is_empty(), "no second has passed");
}

#[test]
fn video_sent_late_has_not_stopped() {
    let hub = Hub::new();
    let publication = with_camera(&hub);
    // Each audio frame is far ahead of the video beside it.
    for turn in 1..20 {
        audio(&publication, 9_000 + turn * 40);
        inter(&publication, turn * 40, 2);
    }
    let told = taken(&mut play(&hub));
    assert!(told.contains(&"key1@0".to_owned()), "{told:?}");
}

#[test]
fn a_standby_without_a_camera_is_heard_with_its_headers() {
    let hub = Hub::new();
    let first = with_camera(&hub);
    let mut player = play(&hub);
    taken(&mut player);
    let second = hub.publish(claim(2, DuplicateRule::Standby)).unwrap();
    video_header(&second);
    second.push_flv(Kind::Audio, 0, aac(0)).unwrap();
    drop(first);
    alone(&second);
    let told = taken(&mut player);
    let kinds = told.iter().filter_map(|item| item.split('@').next());
    let kinds: Vec<_> = kinds.collect();
    assert_eq!(kinds[..3], ["Video header", "Audio header", "audio"]);
    assert_eq!(kinds.len(), 2 + ALONE.len(), "{told:?}");
}
