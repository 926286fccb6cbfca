//! Which codec headers a player gets that joins later.

use std::thread;

use super::*;

const AVC: &[u8] = b"\x17\0\0\0\0\x01\x64\0\x1f\xff\xe1\0";
const AAC: &[u8] = b"\xaf\0\x12\x10";

fn push(publication: &Publication, kind: Kind, body: &[u8]) {
    let body = Bytes::copy_from_slice(body);
    publication.push_flv(kind, 0, body).unwrap();
}

fn bodies(subscription: &mut Subscription) -> Vec<Bytes> {
    let mut bodies = Vec::new();
    while let Some(item) = subscription.next() {
        if let Item::Frame(frame) = item {
            bodies.push(frame.payload());
        }
    }
    bodies
}

/// Sends `messages`; what a player gets that was there, and one that comes then.
fn played(messages: &[(Kind, &[u8])]) -> (Vec<Bytes>, Vec<Bytes>) {
    let hub = Hub::new();
    let mut present = play(&hub);
    let publication = publish(&hub, 1);
    for (kind, body) in messages {
        push(&publication, *kind, body);
    }
    (bodies(&mut present), bodies(&mut play(&hub)))
}

/// What is sent, and what of it is kept for late players.
fn keeps(kind: Kind, messages: &[&[u8]], kept: &[&[u8]]) {
    let sent: Vec<_> = messages.iter().map(|body| (kind, *body)).collect();
    let (present, late) = played(&sent);
    assert_eq!(present, messages, "who is there gets all as it came");
    assert_eq!(late, kept, "of {messages:x?}");
}

#[test]
fn a_header_is_gone_when_its_track_has_another_codec() {
    let mp3: &[u8] = b"\x2f\xff\xfb\x90";
    let g711: &[u8] = b"\x82\0";
    let aac: &[u8] = b"\xaf\x01zz";
    let opus_head: &[u8] = b"\x90OpusOpusHead\x01\x02\0\0\0\0\xbb\x80\0\0\0";
    keeps(Kind::Audio, &[AAC, aac, mp3], &[]);
    keeps(Kind::Audio, &[AAC, aac, g711], &[]);
    keeps(Kind::Audio, &[AAC, aac, b"\x91.mp3f"], &[]);
    keeps(Kind::Audio, &[opus_head, b"\x91Opusf", mp3], &[]);
    keeps(Kind::Audio, &[AAC, aac, opus_head], &[opus_head]);
    keeps(Kind::Audio, &[AAC, aac, mp3, AAC, aac], &[AAC]);
    // The same codec, called otherwise.
    keeps(Kind::Audio, &[AAC, b"\x91mp4af"], &[AAC]);
    let h263: &[u8] = b"\x12key";
    keeps(Kind::Video, &[AVC, b"\x17\x01\0\0\0k", h263], &[h263]);
    // Without a keyframe: nothing that is kept can be decoded.
    keeps(Kind::Video, &[AVC, b"\x17\x01\0\0\0k", b"\x22inter"], &[]);
    // A command has an idle id.
    let key: &[u8] = b"\x17\x01\0\0\0k";
    keeps(Kind::Video, &[AVC, key, b"\x52\0"], &[AVC, key, b"\x52\0"]);
}

#[test]
fn audio_of_the_former_codec_is_not_sent_without_its_header() {
    let key: &[u8] = b"\x17\x01\0\0\0k";
    let (old, new): (&[u8], &[u8]) = (b"\xaf\x01old", b"\x2fnew");
    let (present, late) = played(&[
        (Kind::Video, AVC),
        (Kind::Audio, AAC),
        (Kind::Video, key),
        (Kind::Audio, old),
        (Kind::Audio, new),
    ]);
    assert_eq!(present, [AVC, AAC, key, old, new]);
    assert_eq!(late, [AVC, key, new]);
}

#[test]
fn of_a_codec_that_changes_with_every_message_nothing_is_kept_to_be_looked_at() {
    let key: &[u8] = b"\x17\x01\0\0\0k";
    let video = [(Kind::Video, AVC), (Kind::Video, key)];
    let change = [(Kind::Audio, AAC), (Kind::Audio, b"\x2fnew")];
    let (_, late) = played(&[video, change].concat());
    assert_eq!(late, [AVC, key, b"\x2fnew"]);
    let (_, late) = played(&[video, change, change].concat());
    assert_eq!(late, [AVC]);
    // Until the next keyframe, which may be followed by a change of its own.
    let (_, late) = played(&[video, change, change, video, change].concat());
    assert_eq!(late, [AVC, key, b"\x2fnew"]);
}

#[test]
fn what_belongs_to_a_header_goes_with_its_codec() {
    let hevc: &[u8] = b"\x90hvc1\x01rrrrrrrrrrrrrrrrrrrrrr";
    let colours: &[u8] = b"\x94hvc1\x02\0\x09colorInfo\x05";
    let av1: &[u8] = b"\x90av01\x81\0\0\0";
    keeps(Kind::Video, &[hevc, colours], &[hevc, colours]);
    keeps(Kind::Video, &[hevc, colours, av1], &[av1]);
    // A codec that has supplements and no header.
    let channels: &[u8] = b"\x94ec-3\x01\x02\0\0\0\x03";
    let frame: &[u8] = b"\x91ec-3f";
    keeps(Kind::Audio, &[channels, frame], &[channels]);
    keeps(Kind::Audio, &[channels, frame, b"\x2fmp3"], &[]);
}

#[test]
fn a_supplement_of_another_codec_than_its_track_has_is_no_change_of_codec() {
    // FFmpeg sends the colours of track 1 so.
    let vp9: &[u8] = b"\x96\0vp09\x01rrrrrrrr";
    let colours: &[u8] = b"\x94vp09\x02\0\x09colorInfo\x05";
    let key: &[u8] = b"\x17\x01\0\0\0k";
    let all = [AVC, vp9, colours, key];
    keeps(Kind::Video, &all, &all);
}

#[test]
fn a_header_of_several_tracks_stays_while_one_has_its_codec() {
    let both: &[u8] = b"\x95\x10mp4a\x01\0\0\x02\x12\x10\0\0\0\x02\x12\x10";
    let mp3 = |track: u8| [&b"\x95\x01.mp3"[..], &[track], b"f"].concat();
    let aac = |track: u8| [&b"\x95\x01mp4a"[..], &[track], b"f"].concat();
    keeps(Kind::Audio, &[both, &mp3(0), &aac(1)], &[both]);
    keeps(Kind::Audio, &[both, &mp3(2), &aac(1)], &[both]);
    keeps(Kind::Audio, &[both, &mp3(0), &mp3(1)], &[]);
    // Each track with a codec of its own.
    let mixed: &[u8] = b"\x95\x21.mp3\x01\0\0\x01fmp4a\0\0\0\x01f";
    keeps(Kind::Audio, &[both, mixed], &[both]);
    keeps(Kind::Audio, &[both, mixed, &mp3(0)], &[]);
}

#[test]
fn a_header_that_configures_nothing_replaces_none_that_does() {
    let empty: &[u8] = b"\xaf\0";
    keeps(Kind::Audio, &[AAC, empty], &[AAC]);
    keeps(Kind::Audio, &[AAC, b"\xaf\0\x12"], &[AAC]);
    keeps(Kind::Audio, &[AAC, b"\x90mp4a"], &[AAC]);
    keeps(Kind::Audio, &[empty, AAC], &[AAC]);
    // Better than nothing, and still a header of that codec.
    keeps(Kind::Audio, &[empty], &[empty]);
    keeps(Kind::Audio, &[AAC, empty, b"\x2fmp3"], &[]);
    for length in 5..AVC.len() {
        keeps(Kind::Video, &[AVC, &AVC[..length]], &[AVC]);
    }
    let hevc: &[u8] = b"\x90hvc1\x01rrrrrrrrrrrrrrrrrrrrrr";
    keeps(Kind::Video, &[hevc, &hevc[..20]], &[hevc]);
    // AC-3 has no record: its headers are empty.
    keeps(Kind::Audio, &[b"\x90ac-3", b"\x90ac-3"], &[b"\x90ac-3"]);
    // What an unknown codec needs is not known.
    keeps(Kind::Video, &[b"\x90zzzzh", b"\x90zzzz"], &[b"\x90zzzz"]);
}

#[test]
fn a_header_counts_for_the_tracks_that_it_configures() {
    let tracks = |first: &[u8], second: &[u8]| {
        let head = &b"\x95\x10mp4a"[..];
        let length = |of: &[u8]| u8::try_from(of.len()).unwrap();
        let (one, two) = ([1, 0, 0, length(first)], [2, 0, 0, length(second)]);
        [head, &one, first, &two, second].concat()
    };
    let both = tracks(b"\x12\x10", b"\x12\x10");
    let half = tracks(b"\x11\x90", b"");
    let none = tracks(b"", b"");
    keeps(Kind::Audio, &[&both, &none], &[&both]);
    keeps(Kind::Audio, &[&both, &half], &[&both, &half]);
    keeps(Kind::Audio, &[&both, &half, &both], &[&both]);
}

#[test]
fn a_player_that_falls_behind_keeps_the_header_that_says_something() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let tight = MediaSettings {
        queue_bytes: 4_000,
        ..settings()
    };
    let mut player = hub.play(&key("cam"), listener(tight));
    push(&publication, Kind::Video, AVC);
    for _ in 0..2 * headers::MAX_HEADERS {
        push(&publication, Kind::Video, b"\x17\0\0\0\0");
    }
    keyframe(&publication, 0, 1);
    for at in 1..20 {
        publication
            .push_flv(Kind::Video, at * 40, avc(2, 1, 2, 500))
            .unwrap();
    }
    keyframe(&publication, 800, 3);
    assert_eq!(bodies(&mut player)[0], AVC);
}

#[test]
fn a_standby_takes_over_without_the_headers_of_its_former_codec() {
    let hub = Hub::new();
    let first = publish(&hub, 1);
    let mut player = play(&hub);
    let second = hub.publish(claim(2, DuplicateRule::Standby)).unwrap();
    push(&second, Kind::Audio, AAC);
    push(&second, Kind::Data, &metadata());
    push(&second, Kind::Audio, b"\x2fmp3");
    let cleared = [amf0::Value::from("@clearDataFrame"), "onMetaData".into()];
    push(&second, Kind::Data, &amf0::encode_all(&cleared));
    drop(first);
    push(&second, Kind::Audio, b"\x2fmore");
    assert_eq!(bodies(&mut player), [&b"\x2fmore"[..]]);
}

#[test]
fn a_header_sent_at_the_moment_of_a_takeover_is_not_lost() {
    for _ in 0..500 {
        let hub = Hub::new();
        let first = publish(&hub, 1);
        let mut player = play(&hub);
        let second = hub.publish(claim(2, DuplicateRule::Standby)).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| push(&second, Kind::Video, AVC));
            scope.spawn(|| drop(first));
        });
        keyframe(&second, 0, 1);
        let told = bodies(&mut player);
        assert_eq!(
            told.iter().position(|body| body == AVC),
            Some(0),
            "{told:x?}"
        );
        assert!(bodies(&mut play(&hub)).iter().any(|body| body == AVC));
    }
}
