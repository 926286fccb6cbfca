//! Bytes the writer must produce.

use super::*;

#[test]
fn headers_are_as_short_as_they_can_be() {
    let mut writer = Writer::new();
    let mut write = |timestamp, type_id, stream, payload: &[u8]| {
        written(
            &mut writer,
            &message(4, timestamp, type_id, stream, payload),
        )
    };
    // Opens the chunk stream: format 0.
    assert_eq!(
        write(1000, 8, 1, &[7]),
        [4, 0, 0x03, 0xE8, 0, 0, 1, 8, 1, 0, 0, 0, 7]
    );
    // Another length or type: format 1.
    assert_eq!(
        write(1020, 8, 1, &[7, 7]),
        [0x44, 0, 0, 20, 0, 0, 2, 8, 7, 7]
    );
    // The same again but for the delta: format 2.
    assert_eq!(write(1030, 8, 1, &[1, 2]), [0x84, 0, 0, 10, 1, 2]);
    // All the same: format 3.
    assert_eq!(write(1040, 8, 1, &[3, 4]), [0xC4, 3, 4]);
    assert_eq!(
        write(1050, 9, 1, &[3, 4]),
        [0x44, 0, 0, 10, 0, 0, 2, 9, 3, 4]
    );
    // Back in time, or another message stream: format 0.
    assert_eq!(write(1049, 9, 1, &[3, 4])[..4], [0x04, 0, 0x04, 0x19]);
    assert_eq!(write(1049, 9, 2, &[3, 4])[..4], [0x04, 0, 0x04, 0x19]);
}

#[test]
fn format_3_never_follows_a_format_0_that_had_a_timestamp() {
    // Receivers differ: the specification adds the timestamp of format 0,
    // nginx-rtmp adds nothing.
    let mut writer = Writer::new();
    let mut first_byte = |timestamp| written(&mut writer, &message(4, timestamp, 8, 1, &[7]))[0];
    assert_eq!(first_byte(20), 0x04);
    assert_eq!(first_byte(40), 0x84);
    assert_eq!(first_byte(60), 0xC4);
    // After timestamp 0 all agree.
    let mut writer = Writer::new();
    let mut first_byte = |timestamp| written(&mut writer, &message(4, timestamp, 8, 1, &[7]))[0];
    assert_eq!(first_byte(0), 0x04);
    assert_eq!(first_byte(0), 0xC4);
}

#[test]
fn basic_header_forms() {
    for (id, basic) in [
        (2, &[2][..]),
        (63, &[63]),
        (64, &[0, 0]),
        (319, &[0, 255]),
        (320, &[1, 0, 1]),
        (65_599, &[1, 255, 255]),
        // Can't be said: the nearest that can.
        (0, &[2]),
        (70_000, &[1, 255, 255]),
    ] {
        let bytes = encode_absolute(&message(id, 0, 8, 1, &[7]), 128);
        assert_eq!(bytes[..basic.len()], *basic);
        assert_eq!(bytes.len(), basic.len() + 12);
    }
}

#[test]
fn extended_timestamps_are_repeated_on_format_3() {
    let golden = |timestamp: u32, extended: &[u8]| {
        let payload = [9; 300];
        let field = &timestamp.min(EXTENDED).to_be_bytes()[1..];
        let golden = [
            &[6],
            field,
            &[0, 1, 0x2C, 9, 1, 0, 0, 0],
            extended,
            &payload[..128],
            &[0xC6],
            extended,
            &payload[..128],
            &[0xC6],
            extended,
            &payload[..44],
        ]
        .concat();
        let message = message(6, timestamp, 9, 1, &payload);
        assert_eq!(encode_absolute(&message, 128), golden);
        assert_eq!(written(&mut Writer::new(), &message), golden);
    };
    golden(0x00FF_FFFE, &[]);
    golden(0x00FF_FFFF, &[0, 0xFF, 0xFF, 0xFF]);
    golden(0xFFFF_FFFF, &[0xFF, 0xFF, 0xFF, 0xFF]);
}

#[test]
fn deltas_stay_small_past_the_24_bit_edge() {
    let mut writer = Writer::new();
    let mut write = |timestamp| written(&mut writer, &message(4, timestamp, 8, 1, &[7]));
    write(0x00FF_FFF0);
    // 20 later the clock has 25 bits, the delta has not.
    assert_eq!(write(0x0100_0004), [0x84, 0, 0, 20, 7]);
    // A delta that needs 24 bits and more makes a format 0.
    assert_eq!(write(0x0300_0000)[..4], [0x04, 0xFF, 0xFF, 0xFF]);
}

#[test]
fn a_forgotten_chunk_stream_opens_again() {
    let mut writer = Writer::new();
    let audio = message(4, 5, 8, 1, &[7]);
    written(&mut writer, &audio);
    assert_eq!(written(&mut writer, &audio)[0], 0x84);
    writer.forget(4);
    assert_eq!(written(&mut writer, &audio)[0], 0x04);
}

#[test]
fn chunk_size_counts_payload_only_and_is_kept_legal() {
    let mut writer = Writer::new();
    assert_eq!(writer.chunk_size(), 128);
    let long = message(4, 5, 8, 1, &[7; 4096]);
    assert_eq!(written(&mut writer, &long).len(), 12 + 4096 + 31);
    writer.set_chunk_size(4096);
    assert_eq!(written(&mut Writer::new(), &long).len(), 12 + 4096 + 31);
    assert_eq!(written(&mut writer, &long).len(), 4 + 4096);
    writer.set_chunk_size(0);
    assert_eq!(writer.chunk_size(), 1);
    assert_eq!(
        encode_absolute(&message(4, 0, 8, 1, &[7; 3]), 0).len(),
        12 + 5
    );
}

#[test]
fn a_payload_that_no_header_can_say_is_cut() {
    let long = message(4, 0, 9, 1, &vec![0; 0x0100_0000]);
    let bytes = encode_absolute(&long, 0x7FFF_FFFF);
    assert_eq!(bytes[4..7], [0xFF, 0xFF, 0xFF]);
    assert_eq!(bytes.len(), 12 + 0x00FF_FFFF);
}
