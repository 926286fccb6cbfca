//! Video begins after audio, or is promised and does not come.

use super::*;

fn listen(publication: &Publication) {
    publication.push_flv(Kind::Audio, 0, aac(0)).unwrap();
    audio(publication, 20);
}

fn latest() -> Subscriber {
    listener(MediaSettings {
        join: Join::NextKeyframe,
        ..settings()
    })
}

#[test]
fn who_listens_misses_nothing_while_video_begins() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    listen(&publication);
    let mut player = play(&hub);
    audio(&publication, 40);
    video_header(&publication);
    inter(&publication, 60, 1);
    audio(&publication, 60);
    inter(&publication, 80, 2);
    audio(&publication, 80);
    keyframe(&publication, 100, 3);
    audio(&publication, 100);
    inter(&publication, 120, 4);
    let expected = [
        "Audio header@20",
        "audio@40",
        "Video header@0",
        "audio@60",
        "audio@80",
        "key3@100",
        "audio@100",
        "inter4@120",
    ];
    assert_eq!(taken(&mut player), expected);
}

#[test]
fn video_that_begins_with_its_keyframe_is_there_at_once() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    listen(&publication);
    let mut player = play(&hub);
    taken(&mut player);
    video_header(&publication);
    keyframe(&publication, 40, 1);
    audio(&publication, 40);
    inter(&publication, 60, 2);
    let expected = ["Video header@0", "key1@40", "audio@40", "inter2@60"];
    assert_eq!(taken(&mut player), expected);
}

#[test]
fn video_that_is_only_promised_keeps_nobody_waiting() {
    let header = |publication: &Publication| video_header(publication);
    let promise = |publication: &Publication| {
        publication.push_flv(Kind::Data, 0, metadata()).unwrap();
    };
    let [by_header, by_metadata]: [&dyn Fn(&Publication); 2] = [&header, &promise];
    for promise in [by_header, by_metadata] {
        let hub = Hub::new();
        let mut waiting = play(&hub);
        let publication = publish(&hub, 1);
        promise(&publication);
        listen(&publication);
        let mut late = [play(&hub), hub.play(&key("cam"), latest())];
        audio(&publication, 40);
        assert_eq!(taken(&mut waiting)[3..], ["audio@20", "audio@40"]);
        for late in &mut late {
            let told = taken(late);
            assert_eq!(told[1..], ["Audio header@20", "audio@40"], "{told:?}");
            late.resync();
        }
        audio(&publication, 60);
        for late in &mut late {
            assert_eq!(taken(late), ["audio@60"]);
        }
        // It is switched on.
        keyframe(&publication, 80, 1);
        inter(&publication, 100, 2);
        for player in late.iter_mut() {
            assert_eq!(taken(player), ["key1@80", "inter2@100"]);
        }
    }
}

#[test]
fn video_is_wanted_again_and_the_sound_goes_on() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let mut player = play(&hub);
    keyframe(&publication, 0, 1);
    taken(&mut player);
    inter(&publication, 20, 2);
    audio(&publication, 20);
    player.resync_video();
    inter(&publication, 40, 3);
    audio(&publication, 40);
    keyframe(&publication, 60, 4);
    inter(&publication, 80, 5);
    let expected = ["audio@20", "audio@40", "key4@60", "inter5@80"];
    assert_eq!(taken(&mut player), expected);
}

#[test]
fn a_standby_in_the_middle_of_its_video_is_waited_for() {
    let hub = Hub::new();
    let first = publish(&hub, 1);
    keyframe(&first, 0, 1);
    let mut player = play(&hub);
    taken(&mut player);
    let second = hub.publish(claim(2, DuplicateRule::Standby)).unwrap();
    video_header(&second);
    listen(&second);
    keyframe(&second, 1_000, 2);
    drop(first);
    // Whichever of the two comes first.
    audio(&second, 1_020);
    inter(&second, 1_040, 3);
    audio(&second, 1_060);
    keyframe(&second, 1_080, 4);
    audio(&second, 1_100);
    let told = taken(&mut player);
    let kinds = told.iter().filter_map(|item| item.split('@').next());
    let kinds: Vec<_> = kinds.collect();
    let expected = ["Video header", "Audio header", "key4", "audio"];
    assert_eq!(kinds, expected, "{told:?}");
}
