//! Enhanced RTMP in the hub: codecs, tracks, headers and keyframes of each.

use super::*;

fn push(publication: &Publication, kind: Kind, timestamp: u32, body: &[u8]) -> Role {
    let body = Bytes::copy_from_slice(body);
    match publication.push_flv(kind, timestamp, body).unwrap() {
        Pushed::Forwarded(role) => role,
        Pushed::Waiting => panic!("not active"),
    }
}

fn video(publication: &Publication, timestamp: u32, body: &[u8]) -> Role {
    push(publication, Kind::Video, timestamp, body)
}

fn audio(publication: &Publication, timestamp: u32, body: &[u8]) -> Role {
    push(publication, Kind::Audio, timestamp, body)
}

/// The bodies that wait for a player, in order.
fn bodies(subscription: &mut Subscription) -> Vec<Bytes> {
    let mut bodies = Vec::new();
    while let Some(item) = subscription.next() {
        if let Item::Frame(frame) = item {
            bodies.push(frame.payload());
        }
    }
    bodies
}

/// A video message of one track: frame type, packet type.
fn one_track(frame_type: u8, packet: u8, id: u8, body: &[u8]) -> Vec<u8> {
    [
        &[0x80 | frame_type << 4 | 6, packet][..],
        b"av01",
        &[id],
        body,
    ]
    .concat()
}

#[test]
fn every_codec_is_told_and_has_its_header_and_keyframe() {
    for (four_cc, name) in [
        (b"avc1", "avc"),
        (b"hvc1", "hevc"),
        (b"vvc1", "vvc"),
        (b"av01", "av1"),
        (b"vp08", "vp8"),
        (b"vp09", "vp9"),
    ] {
        let hub = Hub::new();
        let publication = publish(&hub, 1);
        let header = [&[0x90], &four_cc[..], b"config"].concat();
        let key = [&[0x91], &four_cc[..], b"\0\0\0key"].concat();
        let inter = [&[0xa1], &four_cc[..], b"\0\0\0inter"].concat();
        assert_eq!(
            video(&publication, 0, &header),
            Role::Configuration,
            "{name}"
        );
        assert_eq!(video(&publication, 0, &key), Role::Keyframe, "{name}");
        assert_eq!(video(&publication, 40, &inter), Role::Delta, "{name}");
        assert_eq!(publication.info().video.as_deref(), Some(name));
        assert_eq!(bodies(&mut play(&hub)), [header, key, inter], "{name}");
    }
    for (four_cc, name) in [
        (b"mp4a", "aac"),
        (b"Opus", "opus"),
        (b"fLaC", "flac"),
        (b"ac-3", "ac3"),
        (b"ec-3", "eac3"),
        (b".mp3", "mp3"),
    ] {
        let hub = Hub::new();
        let publication = publish(&hub, 1);
        let header = [&[0x90], &four_cc[..], b"config"].concat();
        let frame = [&[0x91], &four_cc[..], b"frame"].concat();
        assert_eq!(
            audio(&publication, 0, &header),
            Role::Configuration,
            "{name}"
        );
        assert_eq!(audio(&publication, 0, &frame), Role::Delta, "{name}");
        assert_eq!(publication.info().audio.as_deref(), Some(name));
        assert_eq!(bodies(&mut play(&hub)), [header], "{name}");
    }
}

#[test]
fn a_command_is_no_video() {
    // Enhanced commands name no codec, legacy ones have an idle id.
    for command in [&b"\xd1\x00"[..], b"\xd0\x01", b"\x57\x00", b"\x52\x01"] {
        let hub = Hub::new();
        let publication = publish(&hub, 1);
        audio(&publication, 0, b"\xaf\x00\x12\x10");
        video(&publication, 0, command);
        assert_eq!(publication.info().video, None, "{command:x?}");
        let mut player = play(&hub);
        audio(&publication, 20, b"\xaf\x01zz");
        video(&publication, 20, command);
        let frames = bodies(&mut player);
        // Audio alone waits for no keyframe.
        assert_eq!(frames, [&b"\xaf\x00\x12\x10"[..], b"\xaf\x01zz"]);
    }
}

#[test]
fn a_codec_once_known_is_not_undone_by_a_command() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    video(&publication, 0, b"\x91hvc1\0\0\0k");
    video(&publication, 40, b"\xd1\x00");
    assert_eq!(publication.info().video.as_deref(), Some("hevc"));
}

#[test]
fn a_message_of_many_tracks_is_the_header_of_each() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    // Track 1 first, then 0: sequence start, many tracks of one codec.
    let both = b"\x96\x10av01\x01\x00\x00\x04hdr1\x00\x00\x00\x04hdr0";
    assert_eq!(video(&publication, 0, both), Role::Configuration);
    let keys = b"\x96\x11av01\x01\x00\x00\x02k1\x00\x00\x00\x02k0";
    assert_eq!(video(&publication, 0, keys), Role::Keyframe);
    assert_eq!(bodies(&mut play(&hub)), [&both[..], keys]);
    // A new header of track 1 leaves that of track 0 where it is, and what was
    // coded before behind the former.
    let newer = one_track(1, 0, 1, b"new1");
    assert_eq!(video(&publication, 40, &newer), Role::Configuration);
    assert_eq!(bodies(&mut play(&hub)), [&both[..], keys, &newer]);
    video(&publication, 80, keys);
    assert_eq!(bodies(&mut play(&hub)), [&both[..], &newer, keys]);
    // With one of track 0 as well nothing of the first message is needed.
    let newest = one_track(1, 0, 0, b"new0");
    video(&publication, 80, &newest);
    let changed = [&both[..], &newer, keys, &newest];
    assert_eq!(bodies(&mut play(&hub)), changed);
    video(&publication, 120, keys);
    assert_eq!(bodies(&mut play(&hub)), [&newer[..], &newest, keys]);
    // And one for both replaces the two.
    video(&publication, 160, both);
    video(&publication, 160, keys);
    assert_eq!(bodies(&mut play(&hub)), [&both[..], keys]);
}

#[test]
fn many_codecs_in_one_message_are_tracks_too() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let headers = b"\x96\x20vp09\x01\x00\x00\x01ahvc1\x00\x00\x00\x01b";
    assert_eq!(video(&publication, 0, headers), Role::Configuration);
    // The default track's codec is the stream's, wherever it is.
    assert_eq!(publication.info().video.as_deref(), Some("hevc"));
    let audio_headers = b"\x95\x20Opus\x02\x00\x00\x01afLaC\x01\x00\x00\x01b";
    assert_eq!(audio(&publication, 0, audio_headers), Role::Configuration);
    assert_eq!(publication.info().audio.as_deref(), Some("flac"));
    assert_eq!(bodies(&mut play(&hub)), [&headers[..], audio_headers]);
}

#[test]
fn the_default_tracks_codec_is_told_whenever_it_comes_and_changes() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    video(&publication, 0, &one_track(1, 0, 1, b"h"));
    assert_eq!(publication.info().video.as_deref(), Some("av1"));
    video(&publication, 0, b"\x90hvc1h");
    assert_eq!(publication.info().video.as_deref(), Some("hevc"));
    video(&publication, 40, &one_track(2, 1, 1, b"f"));
    assert_eq!(publication.info().video.as_deref(), Some("hevc"));
    video(&publication, 80, b"\x90vp09h");
    assert_eq!(publication.info().video.as_deref(), Some("vp9"));
}

#[test]
fn without_track_0_there_are_keyframes_all_the_same() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    video(&publication, 0, &one_track(1, 0, 2, b"h"));
    video(&publication, 0, &one_track(1, 0, 3, b"h"));
    let key = one_track(1, 1, 2, b"k");
    let other = one_track(1, 1, 3, b"k");
    assert_eq!(video(&publication, 0, &key), Role::Keyframe);
    assert_eq!(video(&publication, 0, &other), Role::Delta);
    assert_eq!(bodies(&mut play(&hub)).len(), 4);
    assert_eq!(video(&publication, 40, &one_track(2, 1, 2, b"i")), {
        Role::Delta
    });
    assert_eq!(video(&publication, 2_000, &key), Role::Keyframe);
    assert_eq!(video(&publication, 2_000, &other), Role::Delta);
    // Two headers, and the two keyframes of the newest group.
    assert_eq!(bodies(&mut play(&hub)).len(), 4);
}

#[test]
fn another_publisher_may_have_other_tracks() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let key = one_track(1, 1, 7, b"k");
    video(&publication, 0, b"\x91hvc1\0\0\0k");
    assert_eq!(video(&publication, 0, &key), Role::Delta);
    let next = hub.publish(claim(2, DuplicateRule::Replace));
    assert_eq!(video(&next.unwrap(), 0, &key), Role::Keyframe);
}

#[test]
fn supplements_are_kept_beside_the_headers_they_belong_to() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let colour = b"\x94hvc1\x02\x00\x09colorInfo\x05";
    let header = b"\x90hvc1h";
    let other_header = one_track(1, 0, 1, b"h");
    let other_colour = one_track(1, 4, 1, b"\x02\x00\x09colorInfo\x05");
    for body in [&colour[..], header, &other_header, &other_colour] {
        assert_eq!(video(&publication, 0, body), Role::Configuration);
    }
    let opus = b"\x90Opush";
    let order = b"\x94Opus\x01\x02\x00\x00\x00\x03";
    for body in [&opus[..], order] {
        assert_eq!(audio(&publication, 0, body), Role::Configuration);
    }
    let expected = [
        &colour[..],
        header,
        &other_header,
        &other_colour,
        opus,
        order,
    ];
    assert_eq!(bodies(&mut play(&hub)), expected);
    // The newest colour information replaces the former, in its place.
    let dark = b"\x94hvc1\x02\x00\x09colorInfo\x06";
    video(&publication, 40, dark);
    assert_eq!(bodies(&mut play(&hub))[0], dark[..]);
    assert_eq!(bodies(&mut play(&hub)).len(), 6);
}

#[test]
fn modifiers_do_not_hide_what_a_message_is() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    // ModEx with 999,999 ns, in front of each.
    let modex =
        |first: u8, packet: u8, rest: &[u8]| [&[first, 2, 0x0f, 0x42, 0x3f, packet], rest].concat();
    let header = modex(0x97, 0x00, b"hvc1h");
    let key = modex(0x97, 0x01, b"hvc1\0\0\0k");
    let tracks = modex(0xa7, 0x06, b"\x01hvc1\x01\0\0\0i");
    assert_eq!(video(&publication, 0, &header), Role::Configuration);
    assert_eq!(video(&publication, 0, &key), Role::Keyframe);
    assert_eq!(video(&publication, 0, &tracks), Role::Delta);
    assert_eq!(bodies(&mut play(&hub)), [header, key, tracks]);
}

#[test]
fn every_tracks_header_is_there_for_late_players_up_to_a_limit() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    for id in 0..=u8::MAX {
        video(&publication, 0, &one_track(1, 0, id, &[id]));
    }
    let kept = bodies(&mut play(&hub));
    assert_eq!(kept.len(), headers::MAX_HEADERS);
    assert_eq!(kept[20], one_track(1, 0, 20, &[20]), "in order");
    // Those that are kept can still be replaced.
    video(&publication, 0, &one_track(1, 0, 20, b"new"));
    let kept = bodies(&mut play(&hub));
    assert_eq!(kept.len(), headers::MAX_HEADERS);
    assert_eq!(kept[20], one_track(1, 0, 20, b"new"));
}

#[test]
fn headers_have_a_limit_in_bytes() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let large = vec![0; headers::MAX_HEADER_BYTES * 2 / 3];
    video(&publication, 0, &one_track(1, 0, 0, &large));
    video(&publication, 0, &one_track(1, 0, 1, &large));
    let small = one_track(1, 0, 2, b"small");
    video(&publication, 0, &small);
    let kept = bodies(&mut play(&hub));
    assert_eq!(kept.len(), 2, "what does not fit is not kept");
    assert_eq!(kept[1], small);
    // A header is not kept in place of one that replaces it.
    let newer = vec![1; headers::MAX_HEADER_BYTES + 1];
    video(&publication, 0, &one_track(1, 0, 0, &newer));
    assert_eq!(bodies(&mut play(&hub)), [small]);
}

#[test]
fn a_player_that_falls_behind_keeps_the_newest_header_of_every_track() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let tight = MediaSettings {
        queue_bytes: 4_000,
        ..settings()
    };
    let mut player = hub.play(&key("cam"), listener(tight));
    let both = b"\x96\x10av01\x01\x00\x00\x04hdr1\x00\x00\x00\x04hdr0";
    video(&publication, 0, both);
    let newer = one_track(1, 0, 1, b"new1");
    video(&publication, 0, &newer);
    video(&publication, 0, &newer);
    video(&publication, 0, &one_track(1, 1, 0, b"first"));
    for at in 1..20 {
        video(&publication, at * 40, &one_track(2, 1, 0, &[0; 500]));
    }
    let key = one_track(1, 1, 0, b"k");
    video(&publication, 800, &key);
    assert_eq!(bodies(&mut player), [&both[..], &newer, &key]);
}

#[test]
fn headers_of_ever_new_tracks_do_not_fill_a_stuck_players_queue() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let mut player = play(&hub);
    let large = vec![0; headers::MAX_HEADER_BYTES / 3];
    for id in 0..100 {
        video(&publication, 0, &one_track(1, 0, id, &large));
    }
    let newest = one_track(1, 0, 100, b"newest");
    video(&publication, 0, &newest);
    let waiting = bodies(&mut player);
    let bytes: usize = waiting.iter().map(Bytes::len).sum();
    // What may wait, and what is kept of it when that is too much.
    let most = settings().queue_bytes + headers::MAX_HEADER_BYTES;
    assert!(bytes <= most, "{bytes} bytes wait");
    assert_eq!(waiting.last().unwrap(), &newest);
}
