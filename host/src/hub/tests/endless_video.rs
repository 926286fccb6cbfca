//! Groups of pictures that go on and on: an encoder that refreshes the picture
//! bit by bit sends one keyframe, its first.

use super::*;

fn latest() -> Listener {
    listener(Settings {
        join: Join::NextKeyframe,
        ..settings()
    })
}

/// Two small messages, with what each costs beside.
const TWO: usize = 2 * 400;

fn publish_keeping(hub: &Arc<Hub>, keyframe_cache: usize) -> Publication {
    let claim = Claim {
        settings: Settings {
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

#[test]
fn once_it_has_outgrown_the_cache_players_begin_in_the_present() {
    let hub = Hub::new();
    let publication = publish_keeping(&hub, TWO);
    video_header(&publication);
    publication.push(Kind::Audio, 0, aac(0)).unwrap();
    let mut waiting = hub.play(&key("cam"), latest());
    keyframe(&publication, 0, 1);
    assert_eq!(taken(&mut waiting).len(), 3);
    waiting.resync();
    inter(&publication, 33, 2);
    assert!(taken(&mut waiting).is_empty(), "the next may be a keyframe");
    inter(&publication, 66, 3);
    let headers = ["Video header@66", "Audio header@66"];
    let mut late = [play(&hub), hub.play(&key("cam"), latest())];
    audio(&publication, 80);
    inter(&publication, 99, 4);
    for late in &mut late {
        assert_eq!(
            taken(late),
            [&headers[..], &["audio@80", "inter4@99"]].concat()
        );
    }
    assert_eq!(taken(&mut waiting), ["inter3@66", "audio@80", "inter4@99"]);
    // A keyframe is the better base as soon as there is one again.
    keyframe(&publication, 132, 5);
    assert_eq!(taken(&mut play(&hub))[2..], ["key5@132"]);
}

#[test]
fn who_falls_behind_or_pauses_goes_on_in_the_present() {
    let hub = Hub::new();
    let publication = publish_keeping(&hub, TWO);
    let tight = Settings {
        queue_bytes: 3 * 400,
        ..settings()
    };
    let mut player = hub.play(&key("cam"), listener(tight));
    keyframe(&publication, 0, 1);
    for at in 1..=9_u8 {
        inter(&publication, u32::from(at) * 33, at);
    }
    assert_eq!(taken(&mut player), ["inter9@297"]);
    assert_eq!(player.dropped(), 9);
    player.resync();
    inter(&publication, 330, 10);
    assert_eq!(taken(&mut player), ["inter10@330"]);
}

#[test]
fn without_any_keyframe_players_begin_in_the_present_too() {
    let hub = Hub::new();
    let publication = publish_keeping(&hub, TWO);
    let mut player = play(&hub);
    inter(&publication, 0, 1);
    inter(&publication, 33, 2);
    inter(&publication, 66, 3);
    inter(&publication, 99, 4);
    assert_eq!(taken(&mut player), ["inter3@66", "inter4@99"]);
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
