//! A publisher changes the codec configuration in the middle of its stream.

use super::*;

/// An AVC header that differs by `marker`.
fn avc_header(publication: &Publication, timestamp: u32, marker: u8) {
    let body = avc(1, 0, marker, 10);
    publication.push_flv(Kind::Video, timestamp, body).unwrap();
}

fn aac_header(publication: &Publication, timestamp: u32, marker: u8) {
    let body = Bytes::copy_from_slice(&[0xaf, 0, 0x12, marker]);
    publication.push_flv(Kind::Audio, timestamp, body).unwrap();
}

/// As `taken`, with the markers of headers.
fn told(player: &mut Subscription) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(item) = player.next() {
        let Item::Frame(frame) = item else { continue };
        let (at, body) = (frame.timestamp(), frame.payload());
        told.push(match (frame.kind(), frame.role()) {
            (Kind::Video, Role::Configuration) => format!("avc{}@{at}", body[5]),
            (Kind::Audio, Role::Configuration) => format!("aac{}@{at}", body[3]),
            (Kind::Audio, _) => format!("audio@{at}"),
            (_, Role::Keyframe) => format!("key{}@{at}", body[5]),
            _ => format!("inter{}@{at}", body[5]),
        });
    }
    told
}

fn running(hub: &Arc<Hub>) -> Publication {
    let publication = publish(hub, 1);
    avc_header(&publication, 0, 1);
    aac_header(&publication, 0, 1);
    keyframe(&publication, 0, 1);
    inter(&publication, 33, 2);
    publication
}

#[test]
fn what_is_kept_goes_with_the_headers_it_was_coded_under() {
    let hub = Hub::new();
    let publication = running(&hub);
    avc_header(&publication, 66, 2);
    audio(&publication, 70);
    let mut player = play(&hub);
    keyframe(&publication, 99, 3);
    let expected = [
        "avc1@0",
        "aac1@0",
        "key1@0",
        "inter2@33",
        "avc2@66",
        "audio@70",
        "key3@99",
    ];
    assert_eq!(told(&mut player), expected);
    // From its keyframe on the new one is all.
    assert_eq!(told(&mut play(&hub)), ["avc2@99", "aac1@99", "key3@99"]);
}

#[test]
fn audio_changes_in_its_place_too() {
    let hub = Hub::new();
    let publication = running(&hub);
    audio(&publication, 40);
    aac_header(&publication, 60, 2);
    audio(&publication, 60);
    let expected = [
        "avc1@0",
        "aac1@0",
        "key1@0",
        "inter2@33",
        "audio@40",
        "aac2@60",
        "audio@60",
    ];
    assert_eq!(told(&mut play(&hub)), expected);
}

#[test]
fn who_waits_for_the_next_keyframe_gets_the_newest_headers() {
    let hub = Hub::new();
    let publication = running(&hub);
    avc_header(&publication, 66, 2);
    let latest = MediaSettings {
        join: Join::NextKeyframe,
        ..settings()
    };
    let mut player = hub.play(&key("cam"), listener(latest));
    keyframe(&publication, 99, 3);
    assert_eq!(told(&mut player), ["avc2@33", "aac1@33", "key3@99"]);
}

#[test]
fn a_header_that_is_said_again_stays_in_front() {
    let hub = Hub::new();
    let publication = running(&hub);
    for at in [40, 60, 80] {
        avc_header(&publication, at, 1);
        aac_header(&publication, at, 1);
    }
    let expected = ["avc1@0", "aac1@0", "key1@0", "inter2@33"];
    assert_eq!(told(&mut play(&hub)), expected);
}

#[test]
fn the_first_header_of_a_track_is_in_front_of_all_frames() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    avc_header(&publication, 0, 1);
    keyframe(&publication, 0, 1);
    aac_header(&publication, 20, 1);
    audio(&publication, 20);
    let expected = ["avc1@0", "aac1@0", "key1@0", "audio@20"];
    assert_eq!(told(&mut play(&hub)), expected);
}

#[test]
fn a_change_while_the_camera_is_off_stays_behind_the_last_picture() {
    let hub = Hub::new();
    let publication = running(&hub);
    for second in 1..=6 {
        audio(&publication, second * 1_000);
    }
    avc_header(&publication, 6_500, 2);
    aac_header(&publication, 6_500, 2);
    audio(&publication, 9_000);
    let mut player = play(&hub);
    audio(&publication, 9_500);
    keyframe(&publication, 9_600, 3);
    let told = told(&mut player);
    let order: Vec<_> = told
        .iter()
        .map(|item| item.split('@').next().unwrap())
        .collect();
    let expected = [
        "avc1", "aac1", "key1", "inter2", "avc2", "aac2", "audio", "key3",
    ];
    assert_eq!(order, expected, "{told:?}");
    let times = told.iter().map(|item| item.split('@').nth(1).unwrap());
    let times: Vec<u32> = times.map(|at| at.parse().unwrap()).collect();
    assert!(times.is_sorted() && times[0] >= 8_000, "{told:?}");
}

#[test]
fn sound_that_changes_long_after_the_last_picture_takes_it_along() {
    let hub = Hub::new();
    let publication = running(&hub);
    for second in 1..=300 {
        audio(&publication, second * 1_000);
    }
    aac_header(&publication, 300_500, 2);
    // Before the header is long past, and when it is.
    for now in [300_600, 303_000] {
        audio(&publication, now);
        let expected = [
            format!("avc1@{}", now - 533),
            format!("aac1@{}", now - 533),
            format!("key1@{}", now - 533),
            format!("inter2@{}", now - 500),
            format!("aac2@{}", now - 500),
        ];
        assert_eq!(told(&mut play(&hub)), expected);
    }
}

#[test]
fn changes_count_among_what_is_kept() {
    let hub = Hub::new();
    let publication = running(&hub);
    for turn in 0..(LARGE / 256) {
        avc_header(&publication, 40, u8::try_from(turn % 2).unwrap());
    }
    // Nothing is kept of what is too much, and the newest headers count.
    assert_eq!(told(&mut play(&hub)), ["avc1@33", "aac1@33"]);
}
