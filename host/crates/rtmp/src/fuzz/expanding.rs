//! Messages that stand for far more than they are long: see
//! [`livehost_wire::fuzz::expanding`].

use livehost_wire::amf0::{self, Properties, Value};

pub use livehost_wire::fuzz::expanding::{amf0, amf3, references3};

/// "x", and the values of a command.
pub fn named(name: &str, values: &[u8]) -> Vec<u8> {
    [&amf0::encode_all(&[name.into()])[..], values].concat()
}

/// An object whose properties of these names are texts of `length` bytes.
pub fn object(names: &[&str], length: usize) -> Vec<u8> {
    let text = "t".repeat(length);
    let properties = names.iter().map(|name| (*name, Value::from(text.as_str())));
    amf0::encode_all(&[Value::Object(properties.collect::<Properties>())]).to_vec()
}

/// A shared object message with one event, so often.
pub fn shared_object(kind: u8, data: &[u8], times: usize) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes();
    let event = [&[kind], &length[..], data].concat();
    let head = b"\0\x02so\0\0\0\0\0\0\0\0\0\0\0\0";
    [&head[..], &event.repeat(times)].concat()
}

/// Payloads of messages of about `length` bytes each, some of them more.
pub fn messages(length: usize) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for value in amf0(length) {
        all.push(named("x", &value));
    }
    for value in amf3(length) {
        all.push([&[3, 6, 3, b'x'], &value[..]].concat());
        all.push(named("x", &[&[0x11], &value[..]].concat()));
    }
    let array = [&[0x11], &references3(length / 4, length / 8)[..]].concat();
    let small = [&[0x11], &references3(length / 100, 20)[..]].concat();
    let set = |value: &[u8]| [b"\0\x01x", value].concat();
    all.push(named("x", &small.repeat(50)));
    all.push(shared_object(3, &set(&array), 12));
    all.push(shared_object(3, &set(&small), 100));
    all.push(shared_object(4, &set(&small).repeat(100), 1));
    all.push(shared_object(4, &b"\0\0\x05".repeat(length / 3), 1));
    all.push(shared_object(6, &vec![0x05; length], 1));
    all.push(shared_object(6, &small.repeat(100), 1));
    all.push(shared_object(
        9,
        &[&[0xff; 2], &vec![0xff; 0xffff][..]].concat(),
        20,
    ));
    all.push(shared_object(1, b"", 1024));
    // Parts of an aggregate without a payload.
    all.push(b"\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\x0b".repeat(4096));
    all.push([b"\x02\0\x0f@clearDataFrame", &array[..]].concat());
    all
}
