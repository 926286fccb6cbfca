//! Audio messages, as FFmpeg and OBS send them and as the specifications
//! describe those nobody sends yet.

use super::*;

fn parse(payload: &[u8]) -> AudioTag<'_> {
    parse_audio(payload).unwrap()
}

#[test]
fn legacy_aac_has_a_sequence_header() {
    let header = parse(b"\xaf\x00\x12\x10");
    assert_eq!(header.codec.name(), "aac");
    assert_eq!(header.body, b"\x12\x10");
    assert_eq!(header.format, Some(SoundFormat::FIXED));
    assert!(header.is_sequence_header() && !header.is_coded_frame());
    let frame = parse(b"\xaf\x01\xde");
    assert!(frame.is_coded_frame() && !frame.is_sequence_header());
    assert_eq!(parse(b"\xaf\x02").packet, AudioPacket::Unknown(2));
    // FFmpeg sends an empty frame when it flushes.
    assert_eq!(parse(b"\xaf\x01").body, b"");
    assert!(parse_audio(b"\xaf").is_err());
}

#[test]
fn other_legacy_codecs_have_only_frames() {
    for (payload, name) in [
        (b"\x0e\x00", "pcm"),
        (b"\x1e\x00", "adpcm"),
        (b"\x2e\x00", "mp3"),
        (b"\x3e\x00", "pcm"),
        (b"\x4e\x00", "nellymoser"),
        (b"\x5e\x00", "nellymoser"),
        (b"\x6e\x00", "nellymoser"),
        (b"\x7e\x00", "pcma"),
        (b"\x8e\x00", "pcmu"),
        (b"\xbe\x00", "speex"),
        (b"\xce\x00", "unknown"),
        (b"\xde\x00", "unknown"),
        (b"\xee\x00", "mp3"),
        (b"\xfe\x00", "device"),
    ] {
        let tag = parse(payload);
        assert_eq!(tag.codec.name(), name);
        assert!(tag.is_coded_frame() && !tag.is_sequence_header(), "{name}");
        assert_eq!(tag.body, b"\x00");
    }
}

#[test]
fn sound_properties_are_read() {
    let rates = [b"\x22", b"\x26", b"\x2a", b"\x2e"]
        .map(|payload| parse(payload).format.unwrap().rate_hz());
    assert_eq!(rates, [5_512, 11_025, 22_050, 44_100]);
    let format = parse(b"\x20").format.unwrap();
    assert_eq!((format.wide, format.stereo), (false, false));
    let format = parse(b"\x21").format.unwrap();
    assert_eq!((format.wide, format.stereo), (false, true));
}

#[test]
fn enhanced_packets_are_told_apart() {
    // What FFmpeg 9 writes.
    let header = parse(b"\x90OpusOpusHead\x01\x01");
    assert_eq!((header.codec.name(), header.format), ("opus", None));
    assert!(header.is_sequence_header() && header.enhanced());
    assert_eq!(header.body, b"OpusHead\x01\x01");
    let channels = parse(b"\x94Opus\x01\x01\x00\x00\x00\x04");
    assert_eq!(channels.packet, AudioPacket::MultichannelConfig);
    assert_eq!(channels.body, b"\x01\x01\x00\x00\x00\x04");
    assert!(!channels.is_coded_frame() && !channels.is_sequence_header());
    assert!(parse(b"\x91Opus\xf8").is_coded_frame());
    assert_eq!(parse(b"\x92Opus").packet, AudioPacket::SequenceEnd);
    assert_eq!(parse(b"\x93Opus").packet, AudioPacket::Unknown(3));
    for (four_cc, name) in [
        (b"ac-3", "ac3"),
        (b"ec-3", "eac3"),
        (b"fLaC", "flac"),
        (b".mp3", "mp3"),
        (b"mp4a", "aac"),
        (b"abcd", "unknown"),
    ] {
        assert_eq!(parse(&[b"\x90", &four_cc[..]].concat()).codec.name(), name);
    }
}

#[test]
fn mod_ex_packets_are_skipped_and_nanoseconds_kept() {
    let tag = parse(b"\x97\x02\x00\x00\x10\x01Opusz");
    assert_eq!(tag.nanosecond_offset, Some(16));
    assert!(tag.is_coded_frame());
    assert_eq!(tag.body, b"z");
}

#[test]
fn tracks_are_taken_apart() {
    // The second audio track of FFmpeg 9.
    let tag = parse(b"\x95\x00mp4a\x01\x12\x10");
    assert!(tag.is_sequence_header());
    assert_eq!(tag.multitrack(), Some(MultitrackType::OneTrack));
    let track = |id, codec, data| AudioTrack { id, codec, data };
    assert_eq!(
        tag.tracks().collect::<Vec<_>>(),
        [track(1, AudioCodec::Aac, b"\x12\x10")]
    );
    let tag = parse(b"\x95\x11Opus\x00\x00\x00\x01a\x02\x00\x00\x00");
    assert_eq!(
        tag.tracks().collect::<Vec<_>>(),
        [
            track(0, AudioCodec::Opus, b"a"),
            track(2, AudioCodec::Opus, b"")
        ]
    );
    let tag = parse(b"\x95\x21Opus\x00\x00\x00\x01afLaC\x01\x00\x00\x01b");
    assert_eq!(
        tag.tracks().collect::<Vec<_>>(),
        [
            track(0, AudioCodec::Opus, b"a"),
            track(1, AudioCodec::Flac, b"b")
        ]
    );
    assert_eq!(
        parse_audio(b"\x95\x05Opus\x00"),
        Err(FlvError::NestedMultitrack { offset: 1 })
    );
    assert_eq!(
        parse_audio(b"\x95\xf1Opus\x00"),
        Err(FlvError::UnknownMultitrackType {
            offset: 1,
            found: 15
        })
    );
}

#[test]
fn an_empty_payload_is_its_own_error() {
    assert_eq!(parse_audio(b""), Err(FlvError::Empty));
}
