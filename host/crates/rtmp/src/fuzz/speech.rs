//! What a hostile peer says, step by step: commands, media, control, tricks.

use bytes::{BufMut as _, Bytes, BytesMut};
use livehost_wire::amf0::{self, Value};

use super::{program::FuzzProgram, speaker::Speaker};
use crate::message::type_id;

/// Message streams: those that servers give, and the last ones.
const STREAMS: [u32; 8] = [1, 0, 2, 3, 4, 5, u32::MAX - 1, u32::MAX];

/// Commands of clients, then of servers.
const COMMANDS: [&str; 32] = [
    "connect",
    "createStream",
    "publish",
    "play",
    "deleteStream",
    "closeStream",
    "releaseStream",
    "FCPublish",
    "FCUnpublish",
    "FCSubscribe",
    "FCUnsubscribe",
    "pause",
    "pauseRaw",
    "seek",
    "receiveAudio",
    "receiveVideo",
    "getStreamLength",
    "_checkbw",
    "checkBandwidth",
    "play2",
    "close",
    "call",
    "_result",
    "_error",
    "onStatus",
    "onBWDone",
    "onFCPublish",
    "onFCUnpublish",
    "onMetaData",
    "@setDataFrame",
    "@clearDataFrame",
    "",
];

/// `onStatus` codes a client acts upon.
const CODES: [&str; 8] = [
    "NetStream.Publish.Start",
    "NetStream.Play.Start",
    "NetStream.Publish.BadName",
    "NetStream.Play.StreamNotFound",
    "NetConnection.Connect.Success",
    "NetConnection.Connect.Rejected",
    "NetConnection.Connect.ReconnectRequest",
    "NetStream.Unpublish.Success",
];

/// Message types of parts of aggregates: media, and what must not be there.
const PARTS: [u8; 6] = [
    type_id::AUDIO,
    type_id::VIDEO,
    type_id::DATA_AMF0,
    type_id::DATA_AMF3,
    type_id::AGGREGATE,
    type_id::COMMAND_AMF0,
];

/// Begins where real clients are after their first commands.
pub(super) fn preamble(speaker: &mut Speaker, steps: u8) {
    let object = amf0::Properties::from([("app", Value::from("live"))]);
    let commands = [
        ("connect", 0, vec![Value::from(1.0), Value::from(object)]),
        ("createStream", 0, vec![Value::from(2.0), Value::Null]),
        (
            "publish",
            1,
            vec![Value::from(3.0), Value::Null, Value::from("key")],
        ),
    ];
    for (name, stream, arguments) in commands.into_iter().take(steps.into()) {
        let mut values = vec![Value::from(name)];
        values.extend(arguments);
        speaker.say_plainly(&crate::message::Message {
            chunk_stream_id: 3,
            timestamp: 0,
            type_id: type_id::COMMAND_AMF0,
            message_stream_id: stream,
            payload: amf0::encode_all(&values),
        });
    }
}

/// One step; none at the program's end.
pub(super) fn speak(speaker: &mut Speaker, program: &mut FuzzProgram<'_>) -> Option<()> {
    match program.byte()? % 18 {
        kind @ (0 | 1) => {
            let values = command(program)?;
            say_amf(speaker, program, kind == 1, type_id::COMMAND_AMF0, &values)
        }
        kind @ (2 | 3) => {
            let types = [type_id::AUDIO, type_id::VIDEO];
            let type_id = types.get(usize::from(kind) - 2).copied()?;
            let stream = program.pick(&STREAMS)?;
            let body = body(program)?;
            speaker.say(program, type_id, stream, body)
        }
        kind @ (4 | 5) => {
            let values = program.values()?;
            say_amf(speaker, program, kind == 5, type_id::DATA_AMF0, &values)
        }
        6 => {
            let stream = program.pick(&STREAMS)?;
            let body = aggregate(program)?;
            speaker.say(program, type_id::AGGREGATE, stream, body)
        }
        7 => {
            let size = program.number()?;
            let obeyed = program.byte()? & 7 != 0;
            speaker.set_chunk_size(size, obeyed);
            Some(())
        }
        8 => speaker.abort(program),
        9 => speaker.go_on(program),
        kind @ (10 | 11) => {
            let types = [type_id::ACKNOWLEDGEMENT, type_id::WINDOW_ACK_SIZE];
            let type_id = types.get(usize::from(kind) - 10).copied()?;
            let body = Bytes::copy_from_slice(&program.number()?.to_be_bytes());
            speaker.say(program, type_id, 0, body)
        }
        12 => {
            let mut body = BytesMut::new();
            body.put_u32(program.number()?);
            body.put_u8(program.byte()?);
            speaker.say(program, type_id::SET_PEER_BANDWIDTH, 0, body.freeze())
        }
        13 => {
            let mut body = BytesMut::new();
            body.put_u16(program.byte()?.into());
            body.put_u32(program.number()?);
            body.extend_from_slice(program.bytes()?);
            speaker.say(program, type_id::USER_CONTROL, 0, body.freeze())
        }
        14 => {
            let amf3 = program.byte()? & 1 == 1;
            let types = [type_id::SHARED_OBJECT_AMF0, type_id::SHARED_OBJECT_AMF3];
            let body = shared_object(program)?;
            let type_id = types.get(usize::from(amf3)).copied()?;
            speaker.say(program, type_id, 0, body)
        }
        15 => {
            let type_id = program.byte()?;
            let stream = program.pick(&STREAMS)?;
            let body = Bytes::copy_from_slice(program.bytes()?);
            speaker.say(program, type_id, stream, body)
        }
        16 => {
            speaker.out.extend_from_slice(program.bytes()?);
            Some(())
        }
        _ => {
            let values = answer(program)?;
            say_amf(speaker, program, false, type_id::COMMAND_AMF0, &values)
        }
    }
}

/// Any command with any arguments.
fn command(program: &mut FuzzProgram<'_>) -> Option<Vec<Value>> {
    let mut values = vec![Value::from(program.pick(&COMMANDS)?)];
    // Transaction and object, which careless clients leave out.
    let shape = program.byte()?;
    if shape & 1 == 0 {
        values.push(Value::from(f64::from(shape >> 2)));
    }
    if shape & 2 == 0 {
        values.push(match shape & 0x80 {
            0 => Value::Null,
            _ => Value::Object(program.properties()?),
        });
    }
    values.extend(program.values()?);
    Some(values)
}

/// What servers answer: results, errors and statuses with codes.
fn answer(program: &mut FuzzProgram<'_>) -> Option<Vec<Value>> {
    let shape = program.byte()?;
    let name = match shape & 3 {
        0 | 1 => "_result",
        2 => "_error",
        _ => "onStatus",
    };
    let transaction = Value::from(f64::from(program.byte()?));
    let mut values = vec![Value::from(name), transaction, Value::Null];
    if shape & 4 == 0 {
        let level = if shape & 8 == 0 { "status" } else { "error" };
        let info = amf0::Properties::from([
            ("level", Value::from(level)),
            ("code", Value::from(program.pick(&CODES)?)),
        ]);
        values.push(info.into());
    } else {
        values.push(Value::from(f64::from(program.byte()?)));
    }
    Some(values)
}

/// Values as AMF0, or behind the marker of their AMF3 message type; one byte
/// may be wrong.
fn say_amf(
    speaker: &mut Speaker,
    program: &mut FuzzProgram<'_>,
    amf3: bool,
    type_id: u8,
    values: &[Value],
) -> Option<()> {
    let stream = program.pick(&STREAMS)?;
    let mut body = BytesMut::new();
    if amf3 {
        body.put_u8(0);
    }
    body.extend_from_slice(&amf0::encode_all(values));
    if program.byte()? == 0xFF {
        let at = usize::try_from(program.number()?).ok()?;
        let wrong = program.byte()?;
        if let Some(byte) = body.get_mut(at) {
            *byte ^= wrong;
        }
    }
    // The AMF3 types (17, 15) are three below the AMF0 ones (20, 18).
    let type_id = type_id.checked_sub(if amf3 { 3 } else { 0 })?;
    speaker.say(program, type_id, stream, body.freeze())
}

/// A body that begins as the program says and goes on with zeros.
pub(super) fn body(program: &mut FuzzProgram<'_>) -> Option<Bytes> {
    let mut body = program.bytes()?.to_vec();
    let length = program.length()?;
    body.resize(body.len().max(length), 0);
    Some(body.into())
}

/// FLV tags one after the other, section 7.1.6; the last may be cut.
fn aggregate(program: &mut FuzzProgram<'_>) -> Option<Bytes> {
    let mut out = BytesMut::new();
    for _ in 0..program.byte()? % 6 {
        let type_id = program.pick(&PARTS)?;
        let [highest, rest @ ..] = program.number()?.to_be_bytes();
        let body = body(program)?;
        let length = u64::try_from(body.len()).ok()?;
        out.put_u8(type_id);
        out.put_uint(length, 3);
        out.put_slice(&rest);
        out.put_u8(highest);
        out.put_slice(&[0; 3]);
        out.extend_from_slice(&body);
        out.put_uint(length + 11, 4);
    }
    if program.byte()? == 0xFF {
        let cut = usize::from(program.byte()?);
        out.truncate(out.len().saturating_sub(cut));
    }
    Some(out.freeze())
}

/// Name, version, flags, then events: type, length, data (section 7.1.3).
fn shared_object(program: &mut FuzzProgram<'_>) -> Option<Bytes> {
    let mut out = BytesMut::new();
    let name = program.text()?;
    out.put_u16(u16::try_from(name.len()).ok()?);
    out.extend_from_slice(name.as_bytes());
    out.put_u32(program.number()?);
    // Persistence, then four bytes that nobody uses.
    out.put_u32(program.byte()?.into());
    out.put_u32(0);
    for _ in 0..program.byte()? % 5 {
        let event = program.byte()?;
        let mut data = BytesMut::new();
        let key = program.text()?;
        data.put_u16(u16::try_from(key.len()).ok()?);
        data.extend_from_slice(key.as_bytes());
        data.extend_from_slice(&amf0::encode_all(&program.values()?));
        let wrong = program.byte()?;
        let length = u32::try_from(data.len()).ok()?;
        out.put_u8(event);
        out.put_u32(match wrong {
            0xFF => program.number()?,
            _ => length,
        });
        out.extend_from_slice(&data);
    }
    Some(out.freeze())
}
