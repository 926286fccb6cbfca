//! Every codec that livehost passes on: its configuration record, its times,
//! and its body made of samples.

// clippy.toml allows these in test functions; helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use livehost_media::time::{MILLISECOND, from_ms};
use livehost_media::{Codec, Kind, NotAPacket, Packet, Role, Sample, Track};
use livehost_wire::flv::{AudioCodec, FourCc, VideoCodec};

const AT: i64 = from_ms(4_000_000_000);
const RECORD: &[u8] = b"a record of some length, long enough for every codec";
const UNIT: &[u8] = b"an access unit";

fn packet(kind: Kind, parts: &[&[u8]]) -> Packet {
    Packet::from_flv(kind, AT, parts.concat().into()).unwrap()
}

/// Its one sample: track, codec, composition offset, data.
fn sample(packet: &Packet) -> (u8, Codec, i64, Bytes) {
    let samples = packet.samples();
    let [sample] = &samples[..] else {
        panic!("one sample, not {samples:?}");
    };
    assert_eq!(sample.dts, packet.dts());
    assert_eq!(sample.pts(), AT + sample.composition_offset);
    let Sample { track, codec, .. } = *sample;
    (track, codec, sample.composition_offset, sample.data.clone())
}

fn track(id: u8, codec: Codec) -> Track {
    Track {
        id,
        codec,
        configuration: Bytes::from_static(RECORD),
    }
}

#[test]
fn video_has_its_record_and_its_composition_offset() {
    let offset = [0xff, 0xff, 0xd8]; // -40
    for (codec, headers) in [
        // Legacy, configuration, keyframe, other; then whether there is a
        // composition time.
        (VideoCodec::Avc, Some((b"\x17", b"\x27"))),
        (VideoCodec::Hevc, Some((b"\x1c", b"\x2c"))),
        (VideoCodec::Avc, None),
        (VideoCodec::Hevc, None),
        (VideoCodec::Vvc, None),
        (VideoCodec::Av1, None),
        (VideoCodec::Vp8, None),
        (VideoCodec::Vp9, None),
    ] {
        let FourCc(four_cc) = codec.four_cc().unwrap();
        let reorders = matches!(codec, VideoCodec::Avc | VideoCodec::Hevc | VideoCodec::Vvc);
        let time: &[u8] = if reorders { &offset } else { &[] };
        let (record, key, delta) = match headers {
            Some((key, delta)) => (
                packet(Kind::Video, &[key, b"\0\0\0\0", RECORD]),
                packet(Kind::Video, &[key, b"\x01", &offset, UNIT]),
                packet(Kind::Video, &[delta, b"\x01", &offset, UNIT]),
            ),
            None => (
                packet(Kind::Video, &[b"\x90", &four_cc, RECORD]),
                packet(Kind::Video, &[b"\x91", &four_cc, time, UNIT]),
                packet(Kind::Video, &[b"\xa1", &four_cc, time, UNIT]),
            ),
        };
        let roles = [&record, &key, &delta].map(Packet::role);
        let expected = [Role::Configuration, Role::Keyframe, Role::Delta];
        assert_eq!(roles, expected, "{codec:?}");
        assert_eq!(record.tracks(), [track(0, Codec::Video(codec))]);
        assert!(record.samples().is_empty() && key.tracks().is_empty());
        let expected = if reorders { -40 * MILLISECOND } else { 0 };
        for coded in [key, delta] {
            let found = sample(&coded);
            let unit = Bytes::from_static(UNIT);
            assert_eq!(found, (0, Codec::Video(codec), expected, unit));
            assert_eq!(coded.codec(), Some(codec.name()));
        }
    }
}

#[test]
fn audio_has_its_record() {
    for (codec, legacy) in [
        (AudioCodec::Aac, Some((&b"\xaf\x00"[..], &b"\xaf\x01"[..]))),
        (AudioCodec::Mp3, Some((b"", b"\x2f"))),
        (AudioCodec::Aac, None),
        (AudioCodec::Mp3, None),
        (AudioCodec::Opus, None),
        (AudioCodec::Flac, None),
        (AudioCodec::Ac3, None),
        (AudioCodec::Eac3, None),
    ] {
        let four_cc = codec.four_cc().unwrap().0;
        let (record, coded) = match legacy {
            // MP3 says all in each of its frames.
            Some((b"", coded)) => (None, packet(Kind::Audio, &[coded, UNIT])),
            Some((record, coded)) => (
                Some(packet(Kind::Audio, &[record, RECORD])),
                packet(Kind::Audio, &[coded, UNIT]),
            ),
            None => (
                Some(packet(Kind::Audio, &[b"\x90", &four_cc, RECORD])),
                packet(Kind::Audio, &[b"\x91", &four_cc, UNIT]),
            ),
        };
        if let Some(record) = record {
            assert_eq!(record.role(), Role::Configuration, "{codec:?}");
            assert_eq!(record.tracks(), [track(0, Codec::Audio(codec))]);
        }
        assert_eq!(coded.role(), Role::Delta, "{codec:?}");
        let unit = Bytes::from_static(UNIT);
        assert_eq!(sample(&coded), (0, Codec::Audio(codec), 0, unit));
    }
}

#[test]
fn nanoseconds_of_enhanced_rtmp_are_kept() {
    // ModEx with 999,999 ns, then coded frames 40 ms later, or audio.
    let video = packet(
        Kind::Video,
        &[b"\x97\x02\x0f\x42\x3f\x01hvc1\0\0\x28", UNIT],
    );
    assert_eq!(sample(&video).2, 40 * MILLISECOND + 999_999);
    let audio = packet(Kind::Audio, &[b"\x97\x02\x00\x00\x10\x01Opus", UNIT]);
    assert_eq!(sample(&audio).2, 16);
}

#[test]
fn several_tracks_are_several_samples_of_one_packet() {
    // Two codecs, of which one has composition times.
    let body = b"\x96\x21vp09\x01\x00\x00\x01ahvc1\x00\x00\x00\x05\0\0\x21bc";
    let packet = packet(Kind::Video, &[body]);
    let found: Vec<_> = packet
        .samples()
        .into_iter()
        .map(|sample| (sample.track, sample.codec.name(), sample.composition_offset))
        .collect();
    assert_eq!(found, [(1, "vp9", 0), (0, "hevc", 33 * MILLISECOND)]);
    assert_eq!((packet.codec(), packet.only_codec()), (Some("hevc"), None));
    assert_eq!(packet.coded_track(), Some(0));
    assert_eq!(packet.flv_body(), &body[..], "byte for byte");
}

#[test]
fn what_is_said_about_media_is_no_sample() {
    for (kind, body, role) in [
        (Kind::Video, &b"\xd1\x00"[..], Role::Data),
        (Kind::Video, b"\x57\x00", Role::Data),
        (Kind::Video, b"\x17\x02\0\0\0", Role::EndOfSequence),
        (Kind::Video, b"\x92hvc1", Role::EndOfSequence),
        (Kind::Video, b"\x9fhvc1zz", Role::Data),
        (Kind::Video, b"\x94hvc1zz", Role::Configuration),
        (Kind::Video, b"\x95av01zz", Role::Configuration),
        (Kind::Audio, b"\x92Opus", Role::EndOfSequence),
        (
            Kind::Audio,
            b"\x94Opus\x01\x02\0\0\0\x03",
            Role::Configuration,
        ),
        (Kind::Audio, b"\xaf\x07", Role::Data),
        (Kind::Data, b"\x02\0\x0aonMetaData\x05", Role::Metadata),
        (Kind::Data, b"\x02\0\x04onFI\x05", Role::Data),
    ] {
        let packet = packet(kind, &[body]);
        assert_eq!(packet.role(), role, "{body:x?}");
        assert!(packet.samples().is_empty() && packet.tracks().is_empty());
        assert_eq!(packet.flv_body(), body);
        assert_eq!(packet.coded_track(), None);
    }
    let empty = Packet::from_flv(Kind::Data, 0, Bytes::new());
    assert_eq!(empty.unwrap_err(), NotAPacket::Empty);
}

#[test]
fn metadata_is_of_no_moment() {
    let body = Bytes::from_static(b"\x02\0\x0aonMetaData\x05");
    let mut metadata = Packet::from_flv(Kind::Data, from_ms(90_000), body).unwrap();
    // It came at that time, and is not to stay there.
    assert!(!metadata.is_at(from_ms(90_000)));
    metadata.set_dts(from_ms(90_000));
    assert_eq!(metadata.dts(), 0);
    let mut data = packet(Kind::Data, &[b"\x02\0\x04onFI\x05"]);
    data.set_dts(from_ms(90_000));
    assert_eq!(data.dts(), from_ms(90_000));
}

fn made_of(role: Role, track: u8, codec: Codec, offset: i64, data: &'static [u8]) -> Packet {
    let sample = Sample {
        track,
        codec,
        dts: 0,
        composition_offset: offset,
        data: Bytes::from_static(data),
    };
    Packet::from_samples(role, AT, vec![sample]).unwrap()
}

/// A packet of samples, and the one that its body is read as.
fn round_trip(made: &Packet) {
    let read = Packet::from_flv(made.kind(), AT, made.flv_body()).unwrap();
    assert_eq!(read.role(), made.role(), "{made:?}");
    assert_eq!(read.scope(), made.scope());
    assert_eq!(read.samples(), made.samples());
    assert_eq!(read.tracks(), made.tracks());
    assert_eq!(read.track_codecs(), made.track_codecs());
    assert_eq!(read.codec(), made.codec());
    assert_eq!(read.only_codec(), made.only_codec());
    assert!(read.len() >= made.len());
}

#[test]
fn samples_make_a_body_that_is_read_as_them() {
    for id in [0, 7] {
        for codec in VideoCodec::ENHANCED.map(Codec::Video) {
            for role in [Role::Configuration, Role::Keyframe, Role::Delta] {
                round_trip(&made_of(role, id, codec, 0, RECORD));
            }
            round_trip(&made_of(Role::EndOfSequence, id, codec, 0, b""));
            if matches!(codec.name(), "avc" | "hevc" | "vvc") {
                round_trip(&made_of(Role::Delta, id, codec, 80 * MILLISECOND, UNIT));
                round_trip(&made_of(Role::Delta, id, codec, -80 * MILLISECOND, UNIT));
            }
        }
        for codec in AudioCodec::ENHANCED.map(Codec::Audio) {
            round_trip(&made_of(Role::Delta, id, codec, 0, UNIT));
            if id == 7 || codec.name() != "mp3" {
                round_trip(&made_of(Role::Configuration, id, codec, 0, RECORD));
            }
        }
    }
}

#[test]
fn legacy_players_get_what_they_read() {
    let avc = Codec::Video(VideoCodec::Avc);
    let key = made_of(Role::Keyframe, 0, avc, 80 * MILLISECOND + 1, b"u");
    assert_eq!(key.flv_body(), &b"\x17\x01\0\0\x50u"[..]);
    let aac = Codec::Audio(AudioCodec::Aac);
    let record = made_of(Role::Configuration, 0, aac, 0, b"\x12\x10");
    assert_eq!(record.flv_body(), &b"\xaf\x00\x12\x10"[..]);
    let mp3 = made_of(Role::Delta, 0, Codec::Audio(AudioCodec::Mp3), 0, b"f");
    assert_eq!(mp3.flv_body(), &b"\x2ff"[..]);
}

#[test]
fn several_samples_make_one_body() {
    let samples = |codecs: &[Codec]| {
        let samples = codecs.iter().zip(3..).map(|(codec, track)| Sample {
            track,
            codec: *codec,
            dts: 0,
            composition_offset: 0,
            data: Bytes::from_static(UNIT),
        });
        samples.collect::<Vec<_>>()
    };
    let videos = VideoCodec::ENHANCED.map(Codec::Video);
    let audios = AudioCodec::ENHANCED.map(Codec::Audio);
    for codecs in [&videos[..], &[videos[1]; 3], &audios, &[audios[0]; 3]] {
        for role in [Role::Delta, Role::Configuration] {
            round_trip(&Packet::from_samples(role, AT, samples(codecs)).unwrap());
        }
    }
    let both = Packet::from_samples(Role::Delta, AT, samples(&[videos[0], audios[0]]));
    assert_eq!(both.unwrap_err(), NotAPacket::TwoKinds);
    let none = Packet::from_samples(Role::Delta, AT, Vec::new());
    assert_eq!(none.unwrap_err(), NotAPacket::Empty);
    let many = samples(&[videos[0]]).into_iter().cycle().take(400);
    let many = Packet::from_samples(Role::Delta, AT, many.collect());
    let is_refused = |error| matches!(error, NotAPacket::TooLong { samples: 400, .. });
    assert!(is_refused(many.unwrap_err()));
}

#[test]
fn what_flv_cannot_say_is_no_packet() {
    let (avc, h263) = (VideoCodec::Avc, VideoCodec::H263);
    for (role, track, codec) in [
        (Role::Data, 0, Codec::Video(avc)),
        (Role::Metadata, 0, Codec::Video(avc)),
        (Role::Keyframe, 0, Codec::Audio(AudioCodec::Aac)),
        (Role::Configuration, 0, Codec::Audio(AudioCodec::Mp3)),
        (Role::Configuration, 0, Codec::Video(h263)),
        (Role::Delta, 1, Codec::Video(h263)),
        (Role::Delta, 0, Codec::Audio(AudioCodec::Unknown(9))),
        (
            Role::Delta,
            0,
            Codec::Video(VideoCodec::UnknownFourCc(FourCc(*b"abcd"))),
        ),
    ] {
        let sample = Sample {
            track,
            codec,
            dts: 0,
            composition_offset: 0,
            data: Bytes::from_static(UNIT),
        };
        let refused = Packet::from_samples(role, AT, vec![sample]).unwrap_err();
        assert_eq!(refused, NotAPacket::NotSayable { role, codec });
    }
    let huge = Sample {
        track: 0,
        codec: Codec::Video(avc),
        dts: 0,
        composition_offset: 0,
        data: vec![0; 0xff_ffff].into(),
    };
    let refused = Packet::from_samples(Role::Delta, AT, vec![huge]).unwrap_err();
    let text = "expected samples of at most 16777215 bytes and 256 tracks in all, found 1 of \
                16777215 bytes";
    assert_eq!(refused.to_string(), text);
}
