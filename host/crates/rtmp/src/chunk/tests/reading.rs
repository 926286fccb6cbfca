//! What the reader makes of bytes that real peers send.

use super::*;

#[test]
fn every_format_in_a_row() {
    let bytes = [
        // Format 0: timestamp 1000, 2 bytes of audio on stream 1.
        &[0x04, 0, 0x03, 0xE8, 0, 0, 2, 8, 1, 0, 0, 0, 0xAF, 1][..],
        // Format 1: 23 later, 3 bytes of video.
        &[0x44, 0, 0, 23, 0, 0, 3, 9, 0x17, 1, 2],
        // Format 2: 10 later, again 3 bytes of video.
        &[0x84, 0, 0, 10, 0x27, 1, 2],
        // Format 3: 10 later again.
        &[0xC4, 0x27, 3, 4],
    ]
    .concat();
    assert_eq!(
        read_bytes(&bytes).unwrap(),
        [
            message(4, 1000, 8, 1, &[0xAF, 1]),
            message(4, 1023, 9, 1, &[0x17, 1, 2]),
            message(4, 1033, 9, 1, &[0x27, 1, 2]),
            message(4, 1043, 9, 1, &[0x27, 3, 4]),
        ]
    );
}

/// RTMP 1.0 section 5.3.2.2: a 307-byte message in three chunks.
#[test]
fn a_message_in_three_chunks() {
    let payload: Vec<u8> = (0..307_u32).map(|index| index.to_le_bytes()[0]).collect();
    let bytes = [
        &header0(4, 1000, 307, 9, 12346)[..],
        &payload[..128],
        &[0xC4],
        &payload[128..256],
        &[0xC4],
        &payload[256..],
    ]
    .concat();
    assert_eq!(
        read_bytes(&bytes).unwrap(),
        [message(4, 1000, 9, 12346, &payload)]
    );
}

#[test]
fn basic_headers_of_one_two_and_three_bytes() {
    let with_basic = |basic: &[u8]| {
        let bytes = [basic, &header0(0, 0, 1, 8, 1)[1..], &[7]].concat();
        read_bytes(&bytes).unwrap()[0].chunk_stream_id
    };
    assert_eq!(with_basic(&[2]), 2);
    assert_eq!(with_basic(&[63]), 63);
    assert_eq!(with_basic(&[0, 0]), 64);
    assert_eq!(with_basic(&[0, 255]), 319);
    assert_eq!(with_basic(&[1, 0, 0]), 64);
    assert_eq!(with_basic(&[1, 0, 1]), 320);
    assert_eq!(with_basic(&[1, 255, 255]), 65_599);
}

#[test]
fn interleaved_messages_each_go_on() {
    let video = [9_u8; 200];
    let audio = [8_u8; 150];
    let bytes = [
        &header0(6, 40, 200, 9, 1)[..],
        &video[..128],
        &header0(4, 23, 150, 8, 1)[..],
        &audio[..128],
        &[0xC6],
        &video[128..],
        &[0xC4],
        &audio[128..],
    ]
    .concat();
    assert_eq!(
        read_bytes(&bytes).unwrap(),
        [message(6, 40, 9, 1, &video), message(4, 23, 8, 1, &audio)]
    );
}

#[test]
fn extended_timestamps_repeated_on_format_3_or_not() {
    const TIME: u32 = 0x0123_4567;
    let payload = [5_u8; 300];
    let first = [&header0(4, TIME, 300, 9, 1)[..], &payload[..128]].concat();
    let next = header0(4, TIME + 40, 1, 9, 1);
    // As FFmpeg and FMLE do.
    let repeated = [
        &first[..],
        &[0xC4, 1, 0x23, 0x45, 0x67],
        &payload[128..256],
        &[0xC4, 1, 0x23, 0x45, 0x67],
        &payload[256..],
        &next,
        &[1],
    ]
    .concat();
    // As rtmpdump does.
    let left_out = [
        &first[..],
        &[0xC4],
        &payload[128..256],
        &[0xC4],
        &payload[256..],
        &next,
        &[1],
    ]
    .concat();
    for bytes in [repeated, left_out] {
        assert_eq!(
            read_bytes(&bytes).unwrap(),
            [
                message(4, TIME, 9, 1, &payload),
                message(4, TIME + 40, 9, 1, &[1])
            ]
        );
    }
}

/// The payload begins as the timestamp would, and ends within what is compared.
#[test]
fn a_payload_that_begins_like_the_extended_timestamp() {
    const TIME: u32 = 0x0123_4567;
    for same in 0..4 {
        for tail in 1..6 {
            let mut payload = vec![5_u8; 128];
            payload.extend_from_slice(&[1, 0x23, 0x45, 0x67][..same]);
            payload.resize(128 + same, 0);
            payload.extend_from_slice(&vec![0xEE; tail]);
            let mut bytes = header0(4, TIME, u32::try_from(payload.len()).unwrap(), 9, 1);
            bytes.extend_from_slice(&payload[..128]);
            bytes.push(0xC4);
            bytes.extend_from_slice(&payload[128..]);
            // Three more messages, of one byte each.
            bytes.extend_from_slice(&[0x84, 0, 0, 1]);
            bytes.extend_from_slice(&payload);
            bytes.insert(bytes.len() - payload.len() + 128, 0xC4);
            assert_eq!(
                read_bytes(&bytes).unwrap(),
                [
                    message(4, TIME, 9, 1, &payload),
                    message(4, TIME + 1, 9, 1, &payload)
                ],
                "{same} {tail}"
            );
        }
    }
}

/// Messages of one byte without repeated timestamps: what was compared is then
/// several chunks, all of which must be found.
#[test]
fn bytes_compared_in_vain_can_hold_whole_chunks() {
    const TIME: u32 = 0xC4C4_C4C4;
    let bytes = [
        &header0(4, TIME, 1, 9, 1)[..],
        &[0xAA],
        // Chunks "C4 C4" up to the byte that shows it isn't the timestamp.
        &[0xC4, 0xC4, 0xC4, 0xC4, 0xC4, 0xAA],
    ]
    .concat();
    let payloads: Vec<Bytes> = read_bytes(&bytes)
        .unwrap()
        .into_iter()
        .map(|message| message.payload)
        .collect();
    // "C4" + the four bytes of the timestamp + "AA".
    assert_eq!(payloads, [&[0xAA][..], &[0xAA]]);
    let bytes = [
        &header0(4, TIME, 1, 9, 1)[..],
        &[0xAA],
        &[0xC4, 0xC4, 0xC4, 0xC4, 0xBB],
    ]
    .concat();
    let payloads: Vec<Bytes> = read_bytes(&bytes)
        .unwrap()
        .into_iter()
        .map(|message| message.payload)
        .collect();
    // "C4 C4", "C4 C4", and "BB" begins the next header.
    assert_eq!(payloads, [&[0xAA][..], &[0xC4], &[0xC4]]);
}

#[test]
fn extended_deltas_are_deltas_unless_close_to_the_clock() {
    let delta1 = |value: u32| {
        let mut bytes = vec![0x44, 0xFF, 0xFF, 0xFF, 0, 0, 1, 9];
        bytes.extend_from_slice(&value.to_be_bytes());
        bytes.push(1);
        bytes
    };
    let from = |timestamp: u32, value: u32| {
        let bytes = [&header0(4, timestamp, 1, 9, 1)[..], &[1], &delta1(value)].concat();
        read_bytes(&bytes).unwrap()[1].timestamp
    };
    // A delta of 24 bits and more.
    assert_eq!(from(1000, 0x0100_0000), 0x0100_03E8);
    // The clock itself, from encoders that say it absolutely.
    assert_eq!(from(0x0100_0000, 0x0100_0028), 0x0100_0028);
    assert_eq!(from(0x0100_0000, 0x00FF_FFFF), 0x00FF_FFFF);
    // A delta wraps.
    assert_eq!(from(0xFFFF_FFF0, 0x0100_0000), 0x00FF_FFF0);
}

#[test]
fn format_3_starts_a_message_with_the_last_delta() {
    // Right after format 0: the delta is its timestamp (section 5.3.1.2.4).
    let after_0 = |timestamp: u32| {
        let bytes = [&header0(4, timestamp, 1, 9, 1)[..], &[1, 0xC4, 2, 0xC4, 3]].concat();
        timestamps(&read_bytes(&bytes).unwrap())
    };
    assert_eq!(after_0(0), [0, 0, 0]);
    assert_eq!(after_0(20), [20, 40, 60]);
    // Unless it is hours.
    let long = 0x0200_0000;
    assert_eq!(after_0(long), [long, long, long]);
    // After format 2 and across a message of several chunks.
    let bytes = [
        &header0(4, 5, 130, 9, 1)[..],
        &[0; 128],
        &[0xC4, 0, 0],
        &[0x84, 0, 0, 7],
        &[0; 128],
        &[0xC4, 0, 0],
        &[0xC4],
        &[0; 128],
        &[0xC4, 0, 0],
    ]
    .concat();
    assert_eq!(timestamps(&read_bytes(&bytes).unwrap()), [5, 12, 19]);
}

/// librtmp answers pings with a format 1 header on a chunk stream it never
/// used before.
#[test]
fn format_1_may_open_a_chunk_stream() {
    let bytes = [
        0x42, 0, 0, 9, 0, 0, 6, 4, // format 1, timestamp 9, 6 bytes, type 4
        0, 7, 0, 0, 0, 1,
    ];
    assert_eq!(
        read_bytes(&bytes).unwrap(),
        [message(2, 9, 4, 0, &[0, 7, 0, 0, 0, 1])]
    );
}

#[test]
fn formats_2_and_3_may_not() {
    for (bytes, chunk_stream_id, format, offset) in [
        (&[0xA1, 0, 0, 1][..], 33, 2, 4),
        (&[0xC5], 5, 3, 1),
        (&[0xC0, 6], 70, 3, 2),
    ] {
        assert_eq!(
            read_bytes(bytes),
            Err(ChunkError {
                offset,
                kind: ChunkErrorKind::NoPreviousHeader {
                    chunk_stream_id,
                    format
                }
            })
        );
    }
}

#[test]
fn empty_messages_are_complete_with_their_header() {
    let bytes = [
        &header0(4, 1, 0, 8, 1)[..],
        &[0xC4],
        &header0(4, 0x0100_0000, 0, 8, 1),
        &header0(6, 5, 1, 9, 1),
        &[7],
    ]
    .concat();
    assert_eq!(
        read_bytes(&bytes).unwrap(),
        [
            message(4, 1, 8, 1, &[]),
            message(4, 2, 8, 1, &[]),
            message(4, 0x0100_0000, 8, 1, &[]),
            message(6, 5, 9, 1, &[7]),
        ]
    );
}

#[test]
fn a_new_header_drops_the_unfinished_message() {
    let bytes = [
        &header0(4, 1, 200, 9, 1)[..],
        &[0; 128],
        &header0(4, 2, 1, 9, 1),
        &[7],
    ]
    .concat();
    let mut reader = reader();
    assert_eq!(
        read_all(&mut reader, &bytes).unwrap(),
        [message(4, 2, 9, 1, &[7])]
    );
    assert_eq!(reader.held_bytes(), 0);
}

#[test]
fn set_chunk_size_applies_from_the_next_chunk_on() {
    let payload = [9_u8; 500];
    let bytes = [
        // A message that has begun.
        &header0(6, 0, 500, 9, 1)[..],
        &payload[..128],
        &header0(2, 0, 4, 1, 0),
        &[0, 0, 1, 0],
        &[0xC6],
        &payload[..256],
        &[0xC6],
        &payload[..116],
    ]
    .concat();
    let messages = read_bytes(&bytes).unwrap();
    assert_eq!(messages[0], message(2, 0, 1, 0, &[0, 0, 1, 0]));
    assert_eq!(messages[1], message(6, 0, 9, 1, &payload));
    // One byte is legal.
    let bytes = [
        &header0(2, 0, 4, 1, 0)[..],
        &[0, 0, 0, 1],
        &header0(4, 0, 2, 8, 1),
        &[1, 0xC4, 2],
    ]
    .concat();
    assert_eq!(read_bytes(&bytes).unwrap()[1].payload, &[1, 2][..]);
}

#[test]
fn abort_drops_the_unfinished_message() {
    let bytes = [
        &header0(6, 10, 200, 9, 1)[..],
        &[0; 128],
        &header0(2, 0, 4, 2, 0),
        &[0, 0, 0, 6],
        // Format 3 now starts the next message.
        &[0xC6],
        &[1; 128],
        &[0xC6],
        &[1; 72],
    ]
    .concat();
    let messages = read_bytes(&bytes).unwrap();
    assert_eq!(messages[0].type_id, 2);
    assert_eq!(messages[1], message(6, 20, 9, 1, &[1; 200]));
    // Of a chunk stream that nobody used: nothing happens.
    let bytes = [&header0(2, 0, 4, 2, 0)[..], &[0, 0, 0, 9]].concat();
    assert_eq!(read_bytes(&bytes).unwrap().len(), 1);
}

#[test]
fn bytes_received_counts_what_was_consumed() {
    let bytes = [&header0(4, 1, 1, 8, 1)[..], &[7], &[0xC4, 7]].concat();
    let mut reader = reader();
    let mut input = &bytes[..];
    assert!(reader.read(&mut input).unwrap().is_some());
    assert_eq!((reader.bytes_received(), input.len()), (13, 2));
    assert!(reader.read(&mut input).unwrap().is_some());
    assert_eq!(reader.read(&mut input), Ok(None));
    assert_eq!(reader.bytes_received(), 15);
}
