//! Groups of pictures that go on and on: an encoder that refreshes the picture
//! bit by bit sends one keyframe, its first.

use super::*;

fn latest() -> Subscriber {
    listener(MediaSettings {
        join: Join::NextKeyframe,
        ..settings()
    })
}

/// Two small messages, with what each costs beside.
const TWO: usize = 2 * 400;

fn publish_keeping(hub: &Arc<Hub>, keyframe_cache: usize) -> Publication {
    let claim = Claim {
        settings: MediaSettings {
            keyframe_cache,
            ..settings()
        },
        ..claim(1, DuplicateRule::Reject)
    };
    hub.publish(claim).unwrap()
}

/// Video alone, two frames a second, for `seconds` after a keyframe at `start`.
fn group(publication: &Publication, start: u32, seconds: u32) {
    keyframe(publication, start, 1);
    for half in 1..2 * seconds {
        inter(publication, start + half * 500, 2);
    }
}

/// Frames without sound, two a second, until they have lasted for `until`.
fn inters(publication: &Publication, until: u32) {
    for at in (500..=until).step_by(500) {
        inter(publication, at, 2);
    }
}

#[test]
fn while_it_is_larger_than_the_cache_players_hear_and_wait_for_the_picture() {
    let hub = Hub::new();
    let publication = publish_keeping(&hub, TWO);
    video_header(&publication);
    publication.push_flv(Kind::Audio, 0, aac(0)).unwrap();
    let mut waiting = hub.play(&key("cam"), latest());
    keyframe(&publication, 0, 1);
    assert_eq!(taken(&mut waiting).len(), 3);
    waiting.resync();
    audio(&publication, 20);
    assert!(taken(&mut waiting).is_empty(), "all of it is still kept");
    // 25 Mbit/s and a keyframe each 5 s: the first group is one like any other.
    for second in 1..=4 {
        inter(&publication, second * 1_000, 2);
    }
    let headers = ["Video header@4000", "Audio header@4000"];
    let mut late = [play(&hub), hub.play(&key("cam"), latest())];
    audio(&publication, 4_010);
    inter(&publication, 4_033, 3);
    audio(&publication, 4_040);
    let sound = ["audio@4010", "audio@4040"];
    for late in &mut late {
        assert_eq!(taken(late), [headers, sound].concat());
    }
    assert_eq!(taken(&mut waiting), sound);
    keyframe(&publication, 5_000, 5);
    inter(&publication, 5_033, 6);
    let picture = ["key5@5000", "inter6@5033"];
    for player in late.iter_mut().chain([&mut waiting]) {
        assert_eq!(taken(player), picture);
    }
}

#[test]
fn a_first_group_that_is_short_makes_the_next_one_not_endless() {
    let hub = Hub::new();
    let publication = publish_keeping(&hub, TWO);
    keyframe(&publication, 0, 1);
    keyframe(&publication, 100, 2);
    let mut player = play(&hub);
    taken(&mut player);
    player.resync();
    for half in 1..=4 {
        inter(&publication, 100 + half * 500, 3);
        audio(&publication, 110 + half * 500);
    }
    let sound = ["audio@610", "audio@1110", "audio@1610", "audio@2110"];
    assert_eq!(taken(&mut player), sound);
}

#[test]
fn larger_than_the_cache_it_is_endless_after_20_s() {
    let hub = Hub::new();
    let publication = publish_keeping(&hub, TWO);
    video_header(&publication);
    publication.push_flv(Kind::Audio, 0, aac(0)).unwrap();
    keyframe(&publication, 0, 1);
    inters(&publication, 20_000);
    let mut players = [play(&hub), hub.play(&key("cam"), latest())];
    audio(&publication, 20_010);
    inter(&publication, 20_033, 3);
    audio(&publication, 20_040);
    let headers = ["Video header@20000", "Audio header@20000"];
    let media = ["audio@20010", "inter3@20033", "audio@20040"];
    for player in &mut players {
        assert_eq!(taken(player), [&headers[..], &media].concat());
    }
    // A keyframe is the better base as soon as there is one again.
    keyframe(&publication, 20_066, 5);
    assert_eq!(taken(&mut play(&hub))[2..], ["key5@20066"]);
}

#[test]
fn who_falls_behind_or_pauses_goes_on_in_the_present() {
    let hub = Hub::new();
    let publication = publish_keeping(&hub, TWO);
    let tight = MediaSettings {
        queue_bytes: 3 * 400,
        ..settings()
    };
    let mut player = hub.play(&key("cam"), listener(tight));
    keyframe(&publication, 0, 1);
    inters(&publication, 20_000);
    assert!(taken(&mut player).is_empty());
    assert_eq!(player.dropped(), 41);
    inter(&publication, 20_033, 9);
    assert_eq!(taken(&mut player), ["inter9@20033"]);
    player.resync();
    inter(&publication, 20_066, 10);
    assert_eq!(taken(&mut player), ["inter10@20066"]);
}

#[test]
fn without_any_keyframe_players_begin_in_the_present_too() {
    let hub = Hub::new();
    let publication = publish_keeping(&hub, TWO);
    let mut player = play(&hub);
    inter(&publication, 0, 1);
    inters(&publication, 20_000);
    inter(&publication, 20_033, 3);
    inter(&publication, 20_066, 4);
    assert_eq!(taken(&mut player), ["inter3@20033", "inter4@20066"]);
    assert_eq!(taken(&mut play(&hub)), Vec::<String>::new());
}

#[test]
fn long_groups_are_waited_for_even_if_they_are_not_kept() {
    let hub = Hub::new();
    let publication = publish_keeping(&hub, TWO);
    group(&publication, 0, 20);
    group(&publication, 20_000, 20);
    let mut player = play(&hub);
    keyframe(&publication, 40_000, 1);
    assert_eq!(taken(&mut player), ["key1@40000"]);
    player.resync();
    for second in 41..60 {
        inter(&publication, second * 1_000, 2);
    }
    assert!(taken(&mut player).is_empty());
    keyframe(&publication, 60_000, 3);
    assert_eq!(taken(&mut player), ["key3@60000"]);
    // Twice as long is another thing.
    player.resync();
    for second in 61..100 {
        inter(&publication, second * 1_000, 4);
    }
    assert!(taken(&mut player).is_empty());
    inter(&publication, 100_000, 5);
    assert_eq!(taken(&mut player), ["inter5@100000"]);
}

#[test]
fn without_a_cache_a_keyframe_is_waited_for_for_30_s() {
    let hub = Hub::new();
    let publication = publish_keeping(&hub, 0);
    let mut players = [play(&hub), hub.play(&key("cam"), latest())];
    keyframe(&publication, 0, 1);
    for player in &mut players {
        assert_eq!(taken(player), ["key1@0"]);
        player.resync();
    }
    for second in 1..=30 {
        inter(&publication, second * 1_000, 2);
        audio(&publication, second * 1_000);
    }
    for player in &mut players {
        assert!(taken(player).is_empty());
    }
    inter(&publication, 30_500, 3);
    audio(&publication, 30_500);
    for player in &mut players {
        assert_eq!(taken(player), ["inter3@30500", "audio@30500"]);
    }
}

#[test]
fn groups_of_a_minute_are_waited_for_once_they_are_known() {
    let hub = Hub::new();
    let publication = publish_keeping(&hub, 0);
    group(&publication, 0, 60);
    keyframe(&publication, 60_000, 1);
    let mut player = play(&hub);
    for second in 61..120 {
        inter(&publication, second * 1_000, 2);
    }
    assert!(taken(&mut player).is_empty());
    keyframe(&publication, 120_000, 3);
    assert_eq!(taken(&mut player), ["key3@120000"]);
}

#[test]
fn what_is_kept_from_the_keyframe_on_is_the_better_base() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let mut waiting = hub.play(&key("cam"), latest());
    group(&publication, 0, 40);
    taken(&mut waiting);
    waiting.resync();
    inter(&publication, 40_000, 3);
    assert_eq!(taken(&mut waiting), ["inter3@40000"]);
    let told = taken(&mut play(&hub));
    assert_eq!((told.len(), told[0].as_str()), (81, "key1@0"));
}

#[test]
fn a_pause_makes_no_group_endless() {
    let hub = Hub::new();
    let publication = publish_keeping(&hub, 0);
    keyframe(&publication, 0, 1);
    let mut player = play(&hub);
    // The camera is off for a minute, with the audio and without.
    for second in 1..60 {
        audio(&publication, second * 1_000);
    }
    taken(&mut player);
    inter(&publication, 60_000, 2);
    inter(&publication, 120_000, 3);
    assert!(taken(&mut player).is_empty());
}
