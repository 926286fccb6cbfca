//! What decoders may cost in memory, counted by the allocator.

// clippy.toml allows these in test functions; helpers are tests as well.
#![allow(clippy::expect_used, clippy::panic)]

use livehost_counting::{Counting, peak_of};
use livehost_wire::fuzz::{self, expanding};
use livehost_wire::{amf3, flv};
use proptest::prelude::*;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LENGTHS: [usize; 3] = [100, 20_000, 300_000];

/// What is promised: 8 times the bytes and 1 MiB, or 16 MiB.
fn check(cost: fn(&[u8]), data: &[u8]) {
    let (peak, ()) = peak_of(|| cost(data));
    let limit = (data.len() * 8 + (1 << 20)).min(16 << 20);
    let start: Vec<_> = data.iter().take(16).collect();
    assert!(
        peak <= limit,
        "{peak} of {limit} bytes for {}: {start:02x?}",
        data.len()
    );
}

fn check_amf3(data: &[u8]) {
    check(fuzz::cost_of_amf3, data);
    check(fuzz::cost_of_amf0, &[&[0x11], data].concat());
}

#[test]
fn amf0_made_to_expand_stays_in_its_budget() {
    for data in LENGTHS.into_iter().flat_map(expanding::amf0) {
        check(fuzz::cost_of_amf0, &data);
    }
    // Beyond what any message may cost.
    check(fuzz::cost_of_amf0, &vec![0x05; 3_000_000]);
}

#[test]
fn amf3_made_to_expand_stays_in_its_budget() {
    for data in LENGTHS.into_iter().flat_map(expanding::amf3) {
        check_amf3(&data);
    }
    // Beyond what any message may cost.
    check_amf3(&expanding::references3(1 << 20, 1 << 20));
}

#[test]
fn what_is_made_to_expand_would() {
    // Else the tests above would hold with any limit.
    let refused = expanding::amf3(20_000);
    let refused = refused
        .iter()
        .filter(|data| amf3::decode_all(data).is_err());
    assert!(refused.count() > 10);
}

/// FLV and the records in it borrow from the input.
fn cost_of_flv(data: &[u8]) -> usize {
    let (peak, ()) = peak_of(|| {
        let mut input = data;
        let _ = flv::parse_audio(data);
        let _ = flv::parse_video(data);
        let _ = flv::FileHeader::decode(&mut input);
        while flv::Tag::decode(&mut input).is_ok() {}
        let _ = livehost_wire::codec::AvcConfig::parse(data).map(|config| config.dimensions());
        let _ = livehost_wire::codec::HevcConfig::parse(data);
        let _ = livehost_wire::codec::AudioSpecificConfig::parse(data);
    });
    peak
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_amf_stays_in_its_budget(
        data in proptest::collection::vec(prop_oneof![0..0x13_u8, any::<u8>()], 0..4000),
        times in 1..40_usize,
    ) {
        let data = data.repeat(times);
        check(fuzz::cost_of_amf0, &data);
        check_amf3(&data);
    }

    #[test]
    fn arbitrary_flv_is_not_copied(
        data in proptest::collection::vec(prop_oneof![0..0x20_u8, any::<u8>()], 0..4000),
    ) {
        let peak = cost_of_flv(&data);
        prop_assert!(peak <= data.len() * 8 + 4096, "{peak} bytes for {}", data.len());
    }
}
