//! Writes large inputs for a fuzz target, to begin from: `make fuzz LARGE=1`.

use std::{env, error::Error, fs, path::Path};

use livehost_rtmp::chunk::encode_absolute;
use livehost_rtmp::fuzz::expanding;
use livehost_rtmp::message::{Message, type_id};

/// Bytes of each, about.
const LENGTH: usize = 50_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(target), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("expected a fuzz target and a folder".into());
    };
    let inputs = match target.as_str() {
        "amf0" => expanding::amf0(LENGTH),
        "amf3" => expanding::amf3(LENGTH),
        "message" => typed()
            .map(|message| [&[message.type_id], &message.payload[..]].concat())
            .collect(),
        "chunk" => typed()
            .map(|message| [&[200], &encode_absolute(&message, 128)[..]].concat())
            .collect(),
        // Bytes that are looked at one by one: any are as good.
        _ => vec![vec![0; LENGTH], (0..=255).cycle().take(LENGTH).collect()],
    };
    fs::create_dir_all(&folder)?;
    for (index, input) in inputs.iter().enumerate() {
        fs::write(Path::new(&folder).join(format!("{index:03}")), input)?;
    }
    println!("{} inputs in {folder}", inputs.len());
    Ok(())
}

/// Each payload as each message that it could be.
fn typed() -> impl Iterator<Item = Message> {
    let types = [
        type_id::COMMAND_AMF0,
        type_id::COMMAND_AMF3,
        type_id::SHARED_OBJECT_AMF0,
        type_id::SHARED_OBJECT_AMF3,
    ];
    let payloads = expanding::messages(LENGTH).into_iter().enumerate();
    payloads.map(move |(index, payload)| Message {
        chunk_stream_id: 3,
        timestamp: 0,
        type_id: types.get(index % types.len()).copied().unwrap_or_default(),
        message_stream_id: 0,
        payload: payload.into(),
    })
}
