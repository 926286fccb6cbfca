#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| livehost_rtmp::fuzz::session(data));
