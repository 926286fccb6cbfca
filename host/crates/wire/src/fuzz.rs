//! Bodies of the fuzz targets: decode, and what decodes must survive being
//! encoded and decoded again. They live here so that a refactor that breaks
//! them does not compile.

pub mod expanding;

use std::fmt::Debug;

use bytes::BytesMut;

use crate::codec::{AudioSpecificConfig, AvcConfig, HevcConfig};
use crate::{Budget, amf0, amf3, flv};

/// AMF0 values, with AMF3 ones inside.
pub fn amf0(data: &[u8]) {
    let Ok(values) = amf0::decode_all(data) else {
        return;
    };
    let encoded = amf0::encode_all(&values);
    same("AMF0", &Ok(values), &amf0::decode_all(&encoded));
}

/// AMF3 values, which must convert to AMF0 as well.
pub fn amf3(data: &[u8]) {
    let Ok(values) = amf3::decode_all(data) else {
        return;
    };
    let encoded = amf3::encode_all(&values);
    let converted: Vec<_> = values.iter().cloned().map(amf0::Value::from).collect();
    amf0::encode_all(&converted);
    same("AMF3", &Ok(values), &amf3::decode_all(&encoded));
}

/// What a message of AMF0 costs until it is passed on: decoded, converted where
/// it is AMF3, and encoded if its budget has room for that.
pub fn cost_of_amf0(data: &[u8]) {
    let mut budget = Budget::of_message(data.len());
    let Ok(values) = amf0::decode_all_within(data, &mut budget) else {
        return;
    };
    let plain = |value| match value {
        amf0::Value::AvmPlus(value) => amf0::Value::from(*value),
        value => value,
    };
    let values: Vec<_> = values.into_iter().map(plain).collect();
    if budget.allocation(amf0::encoded_len(&values), 0).is_ok() {
        drop(amf0::encode_all(&values));
    }
}

/// What a message of AMF3 costs: decoded and converted.
pub fn cost_of_amf3(data: &[u8]) {
    if let Ok(values) = amf3::decode_all(data) {
        drop(
            values
                .into_iter()
                .map(amf0::Value::from)
                .collect::<Vec<_>>(),
        );
    }
}

/// Audio, video and file tags, and the records inside sequence headers.
pub fn flv_tag(data: &[u8]) {
    let mut out = BytesMut::new();
    if let Ok(tag) = flv::parse_video(data) {
        tag.tracks().for_each(|track| records(track.data));
        let encoded = tag.encode(&mut out);
        assert_eq!(encoded, Ok(()), "a parsed video tag cannot be written");
        let again = flv::parse_video(&out);
        same(
            "video tag",
            &Ok(describe_video(&tag)),
            &again.map(|tag| describe_video(&tag)),
        );
    }
    out.clear();
    if let Ok(tag) = flv::parse_audio(data) {
        tag.tracks().for_each(|track| records(track.data));
        let encoded = tag.encode(&mut out);
        assert_eq!(encoded, Ok(()), "a parsed audio tag cannot be written");
        let again = flv::parse_audio(&out);
        same(
            "audio tag",
            &Ok(describe_audio(&tag)),
            &again.map(|tag| describe_audio(&tag)),
        );
    }
    let mut input = data;
    if flv::FileHeader::decode(&mut input).is_err() {
        input = data;
    }
    while let Ok(tag) = flv::Tag::decode(&mut input) {
        out.clear();
        tag.header.encode(&mut out);
        let again = flv::TagHeader::decode(&mut &out[..]);
        assert_eq!(Ok(tag.header), again, "tag header");
    }
}

fn records(data: &[u8]) {
    if let Ok(config) = AvcConfig::parse(data) {
        let _ = config.dimensions();
    }
    let _ = HevcConfig::parse(data);
    let _ = AudioSpecificConfig::parse(data);
}

/// Everything but the raw layout, whose bytes may differ: a composition time
/// of zero can be written or left away.
fn describe_video<'a>(tag: &flv::VideoTag<'a>) -> impl Debug + PartialEq + use<'a> {
    (
        (tag.frame_type, tag.packet, tag.nanosecond_offset),
        (tag.codec, tag.composition_time_ms, tag.body, tag.enhanced),
        (tag.is_keyframe(), tag.is_sequence_header()),
        (tag.multitrack(), tag.tracks().collect::<Vec<_>>()),
    )
}

fn describe_audio<'a>(tag: &flv::AudioTag<'a>) -> impl Debug + PartialEq + use<'a> {
    (
        (tag.packet, tag.nanosecond_offset),
        (tag.codec, tag.format, tag.body),
        (tag.multitrack(), tag.tracks().collect::<Vec<_>>()),
    )
}

/// Equal, where NaN equals NaN: its printed form decides then.
fn same<T: Debug + PartialEq, E: Debug>(what: &str, first: &Result<T, E>, second: &Result<T, E>) {
    let equal = match (first, second) {
        (Ok(first), Ok(second)) => first == second,
        _ => false,
    };
    assert!(
        equal || format!("{first:?}") == format!("{second:?}"),
        "{what} changed in a round trip:\n{first:?}\n{second:?}"
    );
}
