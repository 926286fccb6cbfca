//! What reading a body may cost in memory, counted by the allocator.

// clippy.toml allows these in test functions; helpers are tests as well.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use livehost_counting::{Counting, peak_of};
use livehost_media::{Kind, MAX_SAMPLES, Packet, metadata};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a list of as many as are read may take.
const LIST: usize = MAX_SAMPLES * 256;

/// Tracks without a byte, as many as there is room for.
fn of_tracks(start: &[u8], track: &[u8]) -> Bytes {
    [start, &track.repeat(400_000 / track.len())]
        .concat()
        .into()
}

#[test]
fn a_body_is_classified_without_a_copy() {
    let body = of_tracks(b"\x96\x11av01", b"\x01\0\0\0");
    let (peak, packet) = peak_of(|| Packet::from_flv(Kind::Video, 0, body));
    assert_eq!(peak, 0);
    assert!(packet.is_ok());
}

#[test]
fn tracks_without_number_are_not_read_without_end() {
    for (kind, body) in [
        (Kind::Video, of_tracks(b"\x96\x11av01", b"\x01\0\0\0")),
        (Kind::Video, of_tracks(b"\x96\x10av01", b"\x01\0\0\0")),
        (Kind::Video, of_tracks(b"\x96\x20", b"av01\x01\0\0\0")),
        (Kind::Audio, of_tracks(b"\x95\x11Opus", b"\x01\0\0\0")),
        (Kind::Audio, of_tracks(b"\x95\x20", b"Opus\x01\0\0\0")),
    ] {
        let packet = Packet::from_flv(kind, 0, body).unwrap();
        let peaks = [
            peak_of(|| packet.samples()).0,
            peak_of(|| packet.tracks()).0,
            peak_of(|| packet.track_codecs()).0,
            peak_of(|| packet.configured()).0,
            peak_of(|| packet.flv_body()).0,
        ];
        assert!(peaks.iter().all(|peak| *peak <= LIST), "{peaks:?}");
        assert_eq!(packet.track_codecs().len(), MAX_SAMPLES);
    }
}

#[test]
fn metadata_is_merged_within_bounds() {
    let of = |property: &[u8]| {
        let object = [
            b"\x02\0\x0aonMetaData\x03",
            &property.repeat(64 * 1024 / 2 / property.len() - 4)[..],
            b"\0\0\x09",
        ];
        Bytes::from(object.concat())
    };
    for property in [
        &b"\0\x01a\x05"[..],
        b"\0\x05width\0\0\0\0\0\0\0\0\0",
        b"\0\x01a\x11\x09\x01\x01",
    ] {
        let payload = of(property);
        let (peak, merged) = peak_of(|| metadata::merged(&payload, &payload));
        assert!(peak < 4 << 20, "{peak} bytes");
        assert!(merged.len() <= 64 * 1024, "{} bytes", merged.len());
    }
}
