//! The file around the tags.

use bytes::BytesMut;

use super::*;

/// What FFmpeg 5.1 writes: the header, an AAC sequence header and the end of
/// an AVC sequence at 2^24 ms, which needs the extended timestamp.
const FILE: &[u8] = b"FLV\x01\x05\0\0\0\x09\0\0\0\0\
    \x08\0\0\x04\0\0\0\0\0\0\0\xaf\x00\x12\x10\0\0\0\x0f\
    \x09\0\0\x05\0\0\0\x01\0\0\0\x17\x02\0\0\0\0\0\0\x10";

#[test]
fn a_file_is_read_tag_by_tag_and_written_again() {
    let mut input = FILE;
    let header = FileHeader::decode(&mut input).unwrap();
    assert!(header.has_audio && header.has_video);
    let audio = Tag::decode(&mut input).unwrap();
    assert_eq!(audio.header.tag_type, TagType::Audio);
    assert_eq!(audio.data, b"\xaf\x00\x12\x10");
    let video = Tag::decode(&mut input).unwrap();
    assert_eq!(video.header.tag_type, TagType::Video);
    assert_eq!(video.header.timestamp_ms, 1 << 24);
    assert_eq!(input, b"");

    let mut out = BytesMut::new();
    header.encode(&mut out);
    for tag in [audio, video] {
        let TagHeader {
            tag_type,
            timestamp_ms,
            ..
        } = tag.header;
        Tag::encode(tag_type, timestamp_ms, tag.data, &mut out).unwrap();
    }
    assert_eq!(out, FILE);
}

#[test]
fn an_incomplete_tag_is_left_for_later() {
    for length in 13..FILE.len() {
        let mut input = &FILE[13..length];
        let tags = std::iter::from_fn(|| Tag::decode(&mut input).ok()).count();
        let complete = usize::from(length >= 32) + usize::from(length >= FILE.len());
        assert_eq!(tags, complete, "{length}");
        let consumed = if tags == 1 { 19 } else { 0 };
        assert_eq!(input.len(), length - 13 - consumed);
    }
}

#[test]
fn what_is_no_flv_file_is_refused() {
    let error = FileHeader::decode(&mut &b"RIFF\0\0\0\0\0\0\0\0\0"[..]).unwrap_err();
    assert_eq!(error, FlvError::NotFlv { found: *b"RIFF" });
    let error = FileHeader::decode(&mut &b"FLV\x01\x05\0\0\0\x08\0\0\0\0"[..]).unwrap_err();
    assert_eq!(error, FlvError::BadHeaderLength { found: 8 });
    // A longer header is skipped, as the specification asks.
    let mut input = &b"FLV\x01\x04\0\0\0\x0azz\0\0\0z"[..];
    let header = FileHeader::decode(&mut input).unwrap();
    assert!(header.has_audio && !header.has_video);
    assert_eq!(input, b"z");
    for length in 0..13 {
        assert!(FileHeader::decode(&mut &FILE[..length]).is_err());
    }
}

#[test]
fn tag_headers_keep_every_field() {
    for tag_type in [
        TagType::Audio,
        TagType::Video,
        TagType::Script,
        TagType::ScriptAmf3,
        TagType::Unknown(31),
    ] {
        let header = TagHeader {
            tag_type,
            filtered: true,
            data_length: 0xff_fffe,
            timestamp_ms: 0xfedc_ba98,
            stream_id: 0x01_0203,
        };
        let mut out = BytesMut::new();
        header.encode(&mut out);
        assert_eq!(TagHeader::decode(&mut &out[..]), Ok(header));
    }
    let mut out = BytesMut::new();
    let header = TagHeader {
        tag_type: TagType::Script,
        filtered: false,
        data_length: 1,
        timestamp_ms: 0x0102_0304,
        stream_id: 0,
    };
    header.encode(&mut out);
    assert_eq!(out, b"\x12\0\0\x01\x02\x03\x04\x01\0\0\0"[..]);
    assert_eq!(header.previous_tag_size(), 12);
}

#[test]
fn data_of_16_mib_does_not_fit() {
    let mut out = BytesMut::new();
    let data = vec![0; 1 << 24];
    let error = Tag::encode(TagType::Video, 0, &data, &mut out);
    assert_eq!(error, Err(FlvError::TooLong { found: 1 << 24 }));
    assert!(out.is_empty());
    assert!(Tag::encode(TagType::Video, 0, &data[1..], &mut out).is_ok());
}
