//! What reading a body may cost in memory, counted by the allocator.

// clippy.toml allows these in test functions; helpers are tests as well.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use livehost_counting::{Counting, peak_of};
use livehost_media::{Kind, MAX_SAMPLES, Packet};

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
