#![no_main]

use livehost_counting::{Counting, peak_of};
use livehost_rtmp::fuzz;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (peak, ()) = peak_of(|| fuzz::message(data));
    // A message may cost 8 times its bytes and 1 MiB, 16 MiB at most.
    let limit = (data.len() * 8 + (1 << 20)).min(16 << 20) + data.len();
    assert!(peak <= limit, "{peak} of {limit} bytes for {}", data.len());
});
