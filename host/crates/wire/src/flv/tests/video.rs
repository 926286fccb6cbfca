//! Video messages, as FFmpeg and OBS send them and as the specifications
//! describe those nobody sends yet.

use super::*;

fn parse(payload: &[u8]) -> VideoTag<'_> {
    parse_video(payload).unwrap()
}

/// Whether it is a keyframe, a sequence header, a coded frame.
fn answers(payload: &[u8]) -> (bool, bool, bool) {
    let tag = parse(payload);
    (
        tag.is_keyframe(),
        tag.is_sequence_header(),
        tag.is_coded_frame(),
    )
}

const KEYFRAME: (bool, bool, bool) = (true, false, true);
const INTER: (bool, bool, bool) = (false, false, true);
const HEADER: (bool, bool, bool) = (false, true, false);
const NEITHER: (bool, bool, bool) = (false, false, false);

#[test]
fn legacy_avc_is_told_apart() {
    let header = parse(b"\x17\x00\x00\x00\x00\x01\x64\x00\x1f");
    assert_eq!(header.codec, VideoCodec::Avc);
    assert_eq!(header.codec.name(), "avc");
    assert_eq!(header.body, b"\x01\x64\x00\x1f");
    assert!(!header.enhanced);
    assert_eq!(answers(b"\x17\x00\x00\x00\x00\x01"), HEADER);
    assert_eq!(answers(b"\x17\x01\x00\x00\x50\x00"), KEYFRAME);
    assert_eq!(answers(b"\x47\x01\x00\x00\x50\x00"), KEYFRAME);
    assert_eq!(answers(b"\x27\x01\x00\x00\x00\x00"), INTER);
    assert_eq!(answers(b"\x17\x02\x00\x00\x00"), NEITHER);
    assert_eq!(answers(b"\x17\x09\x00\x00\x00"), NEITHER);
}

#[test]
fn composition_times_are_signed_milliseconds() {
    assert_eq!(parse(b"\x27\x01\x00\x00\xa0").composition_time_ms, 160);
    assert_eq!(parse(b"\x27\x01\xff\xff\xd8").composition_time_ms, -40);
    assert_eq!(
        parse(b"\x27\x01\x80\x00\x00").composition_time_ms,
        -8_388_608
    );
    // It means nothing in front of a sequence header.
    assert_eq!(parse(b"\x17\x00\x00\x00\x50").composition_time_ms, 0);
}

#[test]
fn the_end_of_a_sequence_may_lack_its_composition_time() {
    let tag = parse(b"\x17\x02");
    assert_eq!((tag.packet, tag.body), (VideoPacket::SequenceEnd, &b""[..]));
    assert!(parse_video(b"\x17\x01").is_err());
    assert!(parse_video(b"\x17\x00\x00").is_err());
}

#[test]
fn legacy_codecs_without_sequence_headers_have_only_frames() {
    for (payload, name) in [
        (&b"\x12\x00\x00\x84"[..], "h263"),
        (b"\x13\x00", "screen"),
        (b"\x14\x00", "vp6"),
        (b"\x15\x00", "vp6a"),
        (b"\x16\x00", "screen2"),
        (b"\x18\x00", "unknown"),
        (b"\x1f", "unknown"),
    ] {
        assert_eq!(parse(payload).codec.name(), name);
        assert_eq!(answers(payload), KEYFRAME, "{name}");
        assert_eq!(parse(payload).body, &payload[1..]);
    }
    assert_eq!(answers(b"\x22\x00"), INTER);
    assert_eq!(answers(b"\x32\x00"), INTER);
    assert_eq!(parse(b"\x19").codec, VideoCodec::Unknown(9));
}

#[test]
fn codec_id_12_is_hevc_with_the_layout_of_avc() {
    assert_eq!(parse(b"\x1c\x00\x00\x00\x00\x01").codec.name(), "hevc");
    assert_eq!(answers(b"\x1c\x00\x00\x00\x00\x01"), HEADER);
    assert_eq!(answers(b"\x1c\x01\x00\x00\x00\x00"), KEYFRAME);
}

#[test]
fn commands_are_no_frames() {
    assert_eq!(parse(b"\x57\x00").packet, VideoPacket::Command(0));
    assert_eq!(parse(b"\x52\x01").packet, VideoPacket::Command(1));
    assert_eq!(parse(b"\xd1\x01").packet, VideoPacket::Command(1));
    assert_eq!(answers(b"\x57\x00"), NEITHER);
    assert!(parse_video(b"\x57").is_err());
}

#[test]
fn enhanced_packets_are_told_apart() {
    // What FFmpeg 9 writes.
    let header = parse(b"\x90hvc1\x01\x01\x60");
    assert_eq!(header.codec.name(), "hevc");
    assert_eq!(header.body, b"\x01\x01\x60");
    assert!(header.enhanced);
    assert_eq!(answers(b"\x90hvc1\x01"), HEADER);
    assert_eq!(answers(b"\x90av01\x81"), HEADER);
    assert_eq!(answers(b"\x95av01\x80"), HEADER);
    assert_eq!(answers(b"\x91hvc1\x00\x00\x50\x00"), KEYFRAME);
    assert_eq!(answers(b"\x91av01\x12\x00"), KEYFRAME);
    assert_eq!(answers(b"\xa1vp09\x86"), INTER);
    assert_eq!(answers(b"\xa3hvc1\x00"), INTER);
    assert_eq!(answers(b"\x92avc1"), NEITHER);
    // Its frame type is "command", which means nothing here.
    let metadata = parse(b"\xd4hvc1\x02\x00\x09colorInfo");
    assert_eq!(metadata.packet, VideoPacket::Metadata);
    assert_eq!(metadata.body, b"\x02\x00\x09colorInfo");
    assert_eq!(answers(b"\x94hvc1\x02"), NEITHER);
    assert_eq!(answers(b"\x98avc1\x02"), NEITHER);
}

#[test]
fn only_coded_frames_of_three_codecs_have_a_composition_time() {
    for four_cc in [b"avc1", b"hvc1", b"vvc1"] {
        let timed = [b"\xa1", &four_cc[..], b"\xff\xff\xd8zz"].concat();
        let tag = parse(&timed);
        assert_eq!((tag.composition_time_ms, tag.body), (-40, &b"zz"[..]));
        let untimed = [b"\xa3", &four_cc[..], b"\xff\xff\xd8zz"].concat();
        assert_eq!(parse(&untimed).composition_time_ms, 0);
        assert_eq!(parse(&untimed).body, b"\xff\xff\xd8zz");
    }
    for four_cc in [b"av01", b"vp08", b"vp09", b"abcd"] {
        let frame = [b"\xa1", &four_cc[..], b"\xff\xff\xd8zz"].concat();
        assert_eq!(parse(&frame).body, b"\xff\xff\xd8zz");
    }
}

#[test]
fn unknown_four_ccs_are_passed_on() {
    let tag = parse(b"\x91ab\x00\xffzz");
    assert_eq!(tag.codec, VideoCodec::UnknownFourCc(FourCc(*b"ab\x00\xff")));
    assert_eq!(tag.codec.name(), "unknown");
    assert_eq!(
        format!("{:?}", tag.codec),
        r"UnknownFourCc(FourCc(ab\x00\xff))"
    );
    assert!(tag.is_keyframe());
}

#[test]
fn mod_ex_packets_are_skipped_and_nanoseconds_kept() {
    // 999,999 ns, then an unknown ModEx type of 2 bytes, then the frame.
    let tag = parse(b"\x97\x02\x0f\x42\x3f\x07\x01zz\x11av01b");
    assert_eq!(tag.nanosecond_offset, Some(999_999));
    assert_eq!(tag.packet, VideoPacket::CodedFrame);
    assert_eq!((tag.codec, tag.body), (VideoCodec::Av1, &b"b"[..]));
    // A size byte of 255 says that 16 bits follow: here 299 + 1 bytes.
    let long = [b"\x97\xff\x01\x2b", &[7; 300][..], b"\x11av01b"].concat();
    assert_eq!(parse(&long).nanosecond_offset, None);
    assert_eq!(parse(&long).body, b"b");
    // Nanoseconds too short to be any.
    let tag = parse(b"\x97\x01zz\x01av01b");
    assert_eq!((tag.nanosecond_offset, tag.body), (None, &b"b"[..]));
    assert!(parse_video(b"\x97\x02\x0f\x42").is_err());
    assert!(parse_video(b"\x97\x00z\x07").is_err());
}

#[test]
fn one_track_has_an_id_and_the_rest_of_the_message() {
    // The second video track of FFmpeg 9; the first is a legacy message.
    let tag = parse(b"\x96\x01avc1\x01\x00\x00\x50zz");
    assert_eq!(tag.multitrack(), Some(MultitrackType::OneTrack));
    assert!(tag.is_keyframe());
    let track = VideoTrack {
        id: 1,
        codec: VideoCodec::Avc,
        composition_time_ms: 80,
        data: b"zz",
    };
    assert_eq!(tag.tracks().collect::<Vec<_>>(), [track]);
    assert_eq!((tag.composition_time_ms, tag.body), (80, &b"zz"[..]));
    assert!(parse(b"\x96\x00avc1\x01\x01").is_sequence_header());
}

#[test]
fn many_tracks_share_a_codec_or_have_their_own() {
    let tag = parse(b"\xa6\x11hvc1\x00\x00\x00\x05\x00\x00\x28aa\x01\x00\x00\x03\x00\x00\x00");
    let tracks: Vec<_> = tag.tracks().collect();
    assert_eq!(tracks.len(), 2);
    assert!(tracks.iter().all(|track| track.codec == VideoCodec::Hevc));
    assert_eq!(
        (tracks[0].composition_time_ms, tracks[0].data),
        (40, &b"aa"[..])
    );
    assert_eq!((tracks[1].id, tracks[1].data), (1, &b""[..]));

    let tag = parse(b"\x96\x21av01\x05\x00\x00\x01aavc1\x06\x00\x00\x04\x00\x00\x28b");
    let tracks: Vec<_> = tag
        .tracks()
        .map(|t| (t.id, t.codec.name(), t.data))
        .collect();
    assert_eq!(tracks, [(5, "av1", &b"a"[..]), (6, "avc", b"b")]);
    assert_eq!(tag.codec, VideoCodec::Av1);
}

#[test]
fn one_track_is_there_without_a_multitrack_header() {
    let tag = parse(b"\x27\x01\x00\x00\x28zz");
    let track = VideoTrack {
        id: 0,
        codec: VideoCodec::Avc,
        composition_time_ms: 40,
        data: b"zz",
    };
    assert_eq!(tag.tracks().collect::<Vec<_>>(), [track]);
    assert_eq!(tag.multitrack(), None);
}

#[test]
fn broken_multitrack_messages_are_refused() {
    let nested = parse_video(b"\x96\x06avc1\x00");
    assert_eq!(nested, Err(FlvError::NestedMultitrack { offset: 1 }));
    let unknown = parse_video(b"\x96\x31avc1\x00");
    assert_eq!(
        unknown,
        Err(FlvError::UnknownMultitrackType {
            offset: 1,
            found: 3
        })
    );
    // No track, a track longer than the message, a second one cut short, a
    // frame too short for its composition time.
    assert!(parse_video(b"\x96\x11avc1").is_err());
    assert!(parse_video(b"\x96\x13avc1\x00\x00\x00\x02a").is_err());
    assert!(parse_video(b"\x96\x13avc1\x00\x00\x00\x01a\x01").is_err());
    assert_eq!(
        parse_video(b"\x96\x11avc1\x00\x00\x00\x02ab"),
        Err(FlvError::Truncated {
            offset: 10,
            needed: 3,
            available: 2
        })
    );
}

#[test]
fn an_empty_payload_is_its_own_error() {
    assert_eq!(parse_video(b""), Err(FlvError::Empty));
    assert_eq!(
        parse_video(b"\x90hv").unwrap_err().to_string(),
        "expected 4 byte(s) of an FLV tag at offset 1, found 2"
    );
}
