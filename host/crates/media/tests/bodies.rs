//! Bodies of every sort: none makes a panic, all stay what they are.

// clippy.toml allows these in test functions; helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::{BufMut, Bytes, BytesMut};
use livehost_media::time::from_ms;
use livehost_media::{BodyLayout, Kind, MAX_SAMPLES, Packet};
use proptest::prelude::*;

const KINDS: [Kind; 3] = [Kind::Audio, Kind::Video, Kind::Data];

/// Arbitrary bytes, and such as begin like the bodies of some kind.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let starts = prop::sample::select(vec![
        &b""[..],
        b"\x17\x01",
        b"\x1c\x01",
        b"\xaf\x01",
        b"\x91hvc1",
        b"\x91Opus",
        b"\x93av01",
        b"\x97\x02\x0f\x42\x3f\x01hvc1",
        b"\x96\x11av01",
        b"\x96\x21",
        b"\x95\x11Opus",
        b"\x95\x20",
        b"\x02\0\x0aonMetaData",
        b"\x02\0\x0f@clearDataFrame",
    ]);
    let rest = prop::collection::vec(any::<u8>(), 0..200);
    (starts, rest).prop_map(|(start, rest)| [start, &rest[..]].concat())
}

/// Chunks of `piece` bytes: what a rendering does.
fn render(body: &[u8], layout: BodyLayout) -> Bytes {
    let mut out = BytesMut::new();
    out.put_bytes(b'h', layout.head as usize);
    for (index, piece) in body.chunks(layout.piece as usize).enumerate() {
        out.put_bytes(b'g', if index > 0 { layout.gap as usize } else { 0 });
        out.put_slice(piece);
    }
    out.put_slice(b"tail");
    out.freeze()
}

/// All that can be asked of a packet.
fn look_at(packet: &Packet, body: &Bytes) {
    let within = body.as_ptr_range();
    let is_inside = |part: &Bytes| {
        let part = part.as_ptr_range();
        part.is_empty() || within.start <= part.start && part.end <= within.end
    };
    let (samples, tracks) = (packet.samples(), packet.tracks());
    assert!(samples.iter().all(|sample| is_inside(&sample.data)));
    assert!(tracks.iter().all(|track| is_inside(&track.configuration)));
    assert!(samples.len() <= MAX_SAMPLES && tracks.len() <= MAX_SAMPLES);
    let codecs = packet.track_codecs();
    let ids = packet.scope().tracks;
    assert!(codecs.iter().all(|of| ids.contains(of.id)));
    assert!(packet.configured().is_subset_of(ids));
    let named = samples.iter().map(|sample| sample.codec.name());
    assert!(
        packet
            .only_codec()
            .is_none_or(|only| named.clone().all(|of| of == only))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_body_makes_a_panic_and_samples_lie_inside(body in body(), at: u32) {
        let body = Bytes::from(body);
        livehost_media::metadata::cleared(&body);
        for kind in KINDS {
            if let Ok(packet) = Packet::from_flv(kind, from_ms(at), body.clone()) {
                prop_assert_eq!((packet.kind(), packet.len()), (kind, body.len()));
                prop_assert_eq!(packet.flv_body(), body.clone());
                look_at(&packet, &body);
            }
        }
    }

    #[test]
    fn a_body_inside_of_other_bytes_is_the_same(
        body in body(),
        head in 0..20_u32,
        piece in 1..300_u32,
        gap in 0..6_u32,
    ) {
        let body = Bytes::from(body);
        let layout = BodyLayout { head, piece, gap };
        for kind in KINDS {
            let Ok(packet) = Packet::from_flv(kind, 0, body.clone()) else {
                continue;
            };
            let mut embedded = packet.clone();
            let rendering = render(&body, layout);
            prop_assert_eq!(embedded.embed(rendering.clone(), layout), Ok(()));
            prop_assert_eq!(embedded.embedded_in(), Some(&rendering));
            prop_assert_eq!(embedded.memory(), rendering.len());
            prop_assert_eq!(embedded.flv_body(), body.clone());
            prop_assert!(embedded.has_body_of(&packet));
            prop_assert_eq!(embedded.samples(), packet.samples());
            prop_assert_eq!(embedded.tracks(), packet.tracks());
            prop_assert!(embedded.embed(rendering, layout).is_err(), "once");
        }
    }

    #[test]
    fn merged_metadata_never_makes_a_panic(kept in body(), newer in body()) {
        livehost_media::metadata::merged(&kept.into(), &newer.into());
    }
}
