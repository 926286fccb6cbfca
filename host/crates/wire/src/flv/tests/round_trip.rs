//! What is written parses to what it was.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;

fn written(write: impl FnOnce(&mut BytesMut) -> Result<(), FlvError>) -> BytesMut {
    let mut out = BytesMut::new();
    write(&mut out).unwrap();
    out
}

#[test]
fn the_writers_choose_the_header_that_clients_know() {
    let video = |codec, packet, time| {
        let tag = VideoTag::new(FrameType::Keyframe, codec, packet, time, b"z");
        written(|out| tag.encode(out))
    };
    let frame = VideoPacket::CodedFrame;
    assert_eq!(
        video(VideoCodec::Avc, VideoPacket::SequenceHeader, 0)[..],
        b"\x17\x00\x00\x00\x00z"[..]
    );
    assert_eq!(
        video(VideoCodec::Avc, frame, -1)[..],
        b"\x17\x01\xff\xff\xffz"[..]
    );
    assert_eq!(video(VideoCodec::H263, frame, 0)[..], b"\x12z"[..]);
    assert_eq!(video(VideoCodec::Hevc, frame, 0)[..], b"\x93hvc1z"[..]);
    assert_eq!(
        video(VideoCodec::Hevc, frame, 40)[..],
        b"\x91hvc1\x00\x00\x28z"[..]
    );
    assert_eq!(video(VideoCodec::Av1, frame, 0)[..], b"\x91av01z"[..]);
    assert_eq!(
        video(VideoCodec::Avc, VideoPacket::Metadata, 0)[..],
        b"\x94avc1z"[..]
    );
    assert_eq!(
        video(VideoCodec::Avc, VideoPacket::Command(1), 0)[..],
        b"\x57\x01z"[..]
    );

    let audio = |codec, packet| {
        let tag = AudioTag::new(codec, packet, b"z");
        written(|out| tag.encode(out))
    };
    let header = AudioPacket::SequenceHeader;
    assert_eq!(audio(AudioCodec::Aac, header)[..], b"\xaf\x00z"[..]);
    assert_eq!(
        audio(AudioCodec::Mp3, AudioPacket::CodedFrame)[..],
        b"\x2fz"[..]
    );
    assert_eq!(audio(AudioCodec::Opus, header)[..], b"\x90Opusz"[..]);
}

fn video_codec() -> impl Strategy<Value = VideoCodec> {
    prop_oneof![
        (0..16_u8).prop_map(VideoCodec::from_id),
        prop::sample::select(vec![
            *b"avc1", *b"hvc1", *b"vvc1", *b"av01", *b"vp08", *b"vp09"
        ])
        .prop_map(|four_cc| VideoCodec::from_four_cc(FourCc(four_cc))),
        any::<[u8; 4]>().prop_map(|four_cc| VideoCodec::from_four_cc(FourCc(four_cc))),
    ]
}

fn audio_codec() -> impl Strategy<Value = AudioCodec> {
    prop_oneof![
        (0..16_u8)
            .prop_filter("announces an enhanced header", |id| *id != 9)
            .prop_map(AudioCodec::from_id),
        prop::sample::select(vec![
            *b"mp4a", *b"Opus", *b"fLaC", *b"ac-3", *b"ec-3", *b".mp3"
        ])
        .prop_map(|four_cc| AudioCodec::from_four_cc(FourCc(four_cc))),
    ]
}

fn multitrack() -> impl Strategy<Value = MultitrackType> {
    prop::sample::select(vec![
        MultitrackType::OneTrack,
        MultitrackType::ManyTracks,
        MultitrackType::ManyTracksManyCodecs,
    ])
}

proptest! {
    #[test]
    fn video_frames(
        codec in video_codec(),
        key in any::<bool>(),
        time in -0x80_0000..0x80_0000_i32,
        nanoseconds in prop::option::of(0..1_000_000_u32),
        enhanced in any::<bool>(),
        body in any::<Vec<u8>>(),
    ) {
        let frame_type = if key { FrameType::Keyframe } else { FrameType::Inter };
        let mut tag = VideoTag::new(frame_type, codec, VideoPacket::CodedFrame, time, &body);
        tag.enhanced |= enhanced;
        tag.nanosecond_offset = nanoseconds;
        let out = written(|out| tag.encode(out));
        let again = parse_video(&out).unwrap();
        prop_assert_eq!(again.is_keyframe(), key);
        prop_assert_eq!(again.codec, codec);
        prop_assert_eq!(again.body, &body[..]);
        let timed = matches!(codec, VideoCodec::Avc | VideoCodec::Hevc | VideoCodec::Vvc);
        prop_assert_eq!(again.composition_time_ms, if timed { time } else { 0 });
        if again.enhanced {
            prop_assert_eq!(again.nanosecond_offset, nanoseconds);
        } else {
            prop_assert_eq!(codec.four_cc().is_some() && enhanced, false);
        }
    }

    #[test]
    fn video_tracks(
        kind in multitrack(),
        tracks in prop::collection::vec(
            (any::<u8>(), -0x80_0000..0x80_0000_i32, any::<Vec<u8>>(), any::<bool>()),
            1..5,
        ),
    ) {
        let mixed = kind == MultitrackType::ManyTracksManyCodecs;
        let tracks: Vec<_> = tracks
            .iter()
            .map(|(id, time, data, av1)| {
                let av1 = *av1 && mixed;
                VideoTrack {
                    id: *id,
                    codec: if av1 { VideoCodec::Av1 } else { VideoCodec::Hevc },
                    composition_time_ms: if av1 { 0 } else { *time },
                    data,
                }
            })
            .collect();
        let first = tracks[0];
        let tag = VideoTag::new(
            FrameType::Inter,
            first.codec,
            VideoPacket::CodedFrame,
            first.composition_time_ms,
            first.data,
        );
        let out = written(|out| tag.encode_multitrack(kind, &tracks, out));
        let again = parse_video(&out).unwrap();
        let count = if kind == MultitrackType::OneTrack { 1 } else { tracks.len() };
        prop_assert_eq!(again.tracks().collect::<Vec<_>>(), &tracks[..count]);
        prop_assert_eq!(again.multitrack(), Some(kind));
        prop_assert_eq!(again.body, first.data);
        prop_assert_eq!(written(|out| again.encode(out)), out);
    }

    #[test]
    fn audio_frames_and_tracks(
        codec in audio_codec(),
        kind in multitrack(),
        ids in prop::collection::vec(any::<u8>(), 1..5),
        body in any::<Vec<u8>>(),
    ) {
        let tag = AudioTag::new(codec, AudioPacket::CodedFrame, &body);
        let out = written(|out| tag.encode(out));
        prop_assert_eq!(parse_audio(&out), Ok(tag));

        let four_cc = codec.four_cc().unwrap_or(FourCc([0; 4]));
        let codec = AudioCodec::from_four_cc(four_cc);
        let tracks: Vec<_> = ids.iter().map(|&id| AudioTrack { id, codec, data: &body }).collect();
        let out = written(|out| tag.encode_multitrack(kind, &tracks, out));
        let again = parse_audio(&out).unwrap();
        let count = if kind == MultitrackType::OneTrack { 1 } else { tracks.len() };
        prop_assert_eq!(again.tracks().collect::<Vec<_>>(), &tracks[..count]);
        prop_assert_eq!(written(|out| again.encode(out)), out);
    }

    #[test]
    fn arbitrary_bytes_parse_or_fail_but_never_panic(
        first in prop_oneof![0x80..=0xff_u8, 0x90..=0x9f_u8, any::<u8>()],
        rest in prop::collection::vec(prop_oneof![0..8_u8, any::<u8>()], 0..80),
    ) {
        let bytes = [&[first][..], &rest].concat();
        crate::fuzz::flv_tag(&bytes);
    }
}
