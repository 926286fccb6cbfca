//! The values that the interface lists, against those that the host has.

use std::collections::BTreeSet;

use livehost_rtmp::session::server::StreamStop as Stop;
use livehost_wire::flv::{AudioCodec, FourCc, VideoCodec};

const TYPES: &str = include_str!("../../../../../wit/0.1/types.wit");
const SDK: &str = include_str!("../../../../../sdk/src/values.rs");

/// The words of a list like `a, b or c`.
fn words(list: &str) -> BTreeSet<&str> {
    let words = list.split([',', ' ']).filter(|word| !word.is_empty());
    words.filter(|word| *word != "or").collect()
}

/// The comment behind a field of `stream-info`.
fn listed(field: &str) -> BTreeSet<&'static str> {
    let line = TYPES.lines().find(|line| line.trim().starts_with(field));
    words(line.unwrap().split_once("// ").unwrap().1)
}

/// The constants of a module of the SDK.
fn constants(module: &str) -> BTreeSet<&'static str> {
    let text = SDK.split_once(&format!("pub mod {module} {{")).unwrap().1;
    let text = text.split_once("\n}").unwrap().0;
    let constants = text.lines().filter_map(|line| line.split_once(" = \""));
    constants
        .filter_map(|(_, value)| value.strip_suffix("\";"))
        .collect()
}

#[test]
fn codecs_are_those_that_the_interface_and_the_sdk_list() {
    let legacy = (0..16).map(VideoCodec::from_id);
    let enhanced = ["avc1", "hvc1", "vvc1", "av01", "vp08", "vp09"].map(four_cc);
    let enhanced = enhanced.map(VideoCodec::from_four_cc);
    let video: BTreeSet<_> = legacy.chain(enhanced).map(VideoCodec::name).collect();
    assert_eq!(listed("video:"), video);
    let legacy = (0..16).map(AudioCodec::from_id);
    let enhanced = [".mp3", "mp4a", "Opus", "fLaC", "ac-3", "ec-3"].map(four_cc);
    let enhanced = enhanced.map(AudioCodec::from_four_cc);
    let audio: BTreeSet<_> = legacy.chain(enhanced).map(AudioCodec::name).collect();
    assert_eq!(listed("audio:"), audio);
    assert_eq!(constants("codec"), &video | &audio);
}

fn four_cc(text: &str) -> FourCc {
    FourCc(text.as_bytes().try_into().unwrap())
}

#[test]
fn reasons_are_those_that_the_interface_and_the_sdk_list() {
    let comment = TYPES.split_once("/// How a publish, a playback").unwrap().1;
    let comment = comment.split_once("record session-end").unwrap().0;
    let lists = comment.lines().filter_map(|line| line.split_once(" - "));
    let listed: BTreeSet<_> = lists
        .flat_map(|(list, _)| words(list.trim_start_matches([' ', '/'])))
        .collect();
    assert_eq!(constants("reason"), listed);
    let stops = [
        Stop::Unpublish,
        Stop::CloseStream,
        Stop::DeleteStream,
        Stop::PlayAnother,
    ];
    for reason in stops.map(Stop::as_str) {
        assert!(listed.contains(reason), "{reason}");
    }
}
