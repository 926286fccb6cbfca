//! Messages of few bytes that stand for many: they cost what their bytes are
//! worth, and a plugin gets no more than it can hold.

use std::time::Duration;

use crate::{
    support::{
        App, Config, Host,
        amf::{self, Amf},
        chunks::{self, COMMAND, COMMAND_AMF3, SHARED_OBJECT},
        log::START,
        rtmp::Client,
        together,
    },
    transcript::shared_object,
};

const SOON: Duration = Duration::from_secs(15);
/// What such a message may add to the server's memory while it is handled.
const MEMORY: u64 = 16 << 20;

/// A 29-bit number of AMF3, in four bytes.
fn u29(number: usize) -> [u8; 4] {
    let seven = |shift: usize| (number >> shift & 0x7f | 0x80) as u8;
    [seven(22), seven(15), seven(8), (number & 0xff) as u8]
}

/// A text of AMF3.
fn text3(text: &str) -> Vec<u8> {
    [&u29(text.len() << 1 | 1)[..], text.as_bytes()].concat()
}

/// Runs `act`, and fails if the server's memory grew by more than it may.
fn cheap(host: &Host, what: &str, act: impl FnOnce()) {
    host.forget_peak();
    let before = host.peak_memory();
    act();
    let grown = host.peak_memory().saturating_sub(before);
    eprintln!("{what}: memory grew by {} KiB", grown / 1024);
    assert!(grown < MEMORY, "{what}: memory grew by {grown} bytes");
}

/// 139 kB: 12 values, each a list of references to one text.
fn object_message() -> Vec<u8> {
    let text = text3(&"a".repeat(5_800));
    let count = 2_890;
    let mut event = b"\0\x01x\x11\x09".to_vec();
    event.extend(u29(count << 1 | 1));
    event.extend([&[0x01, 0x06], &text[..]].concat());
    event.extend(b"\x06\0".repeat(count - 1));
    let length = u32::try_from(event.len()).expect("short").to_be_bytes();
    let event = [&[3], &length[..], &event].concat();
    let head = b"\0\x02so\0\0\0\0\0\0\0\0\0\0\0\0";
    [&head[..], &event.repeat(12)].concat()
}

#[test]
fn a_shared_object_message_costs_what_its_bytes_are_worth() {
    let _guard = together();
    let closed = App::open("reject");
    let open = App::open("reject").shared_objects("access: Allow");
    let host = Host::start(&Config::live(closed).and("free", open));
    let message = object_message();
    // Denied by the setting: answered without a look at the values.
    cheap(&host, "denied", || {
        let mut client = Client::connect(host.addr, "live").expect("may connect");
        client.shared_object(&message).expect("sent");
        let deadline = std::time::Instant::now() + SOON;
        let answer = loop {
            let answer = client.next(deadline).expect("an answer");
            if answer.kind == SHARED_OBJECT {
                break answer;
            }
        };
        let (_, events) = shared_object::decode(&answer.payload);
        assert_eq!(events.len(), 1, "{events:?}");
        assert!(
            events[0].contains("SharedObject.NoWriteAccess"),
            "{events:?}"
        );
    });
    // Allowed: it is more than a message may stand for.
    cheap(&host, "allowed", || {
        let mut client = Client::connect(host.addr, "free").expect("may connect");
        client.shared_object(&message).expect("sent");
        let who = client.local();
        assert!(client.closed(SOON), "what can't be read ends the session");
        let fields = [("remote", &*who)];
        let entry = host.log.wait(START, "session ended", &fields, SOON);
        let detail = entry.field("detail").unwrap_or_default();
        assert!(
            detail.contains("bytes of memory in all"),
            "the reason is no reason: {detail}"
        );
    });
    host.stop();
}

/// A connect of 61 kB: objects in each other under one name of 50 kB, which is
/// said once; the inmost has 64 properties.
fn connect_message() -> Vec<u8> {
    const OBJECT: [u8; 3] = [0x0a, 0x0b, 0x01];
    let long = text3(&"K".repeat(50_000));
    // "app", "live" and "p" are the strings before it.
    let again = [3 << 1];
    let mut inner = OBJECT.to_vec();
    for n in 0..64 {
        inner.extend([&text3(&format!("k{n}"))[..], &[0x01]].concat());
    }
    inner.push(0x01);
    let mut object = OBJECT.to_vec();
    object.extend([&text3("app")[..], &[0x06], &text3("live")].concat());
    object.extend(text3("p"));
    let levels = 14;
    for level in 0..levels {
        object.extend(OBJECT);
        object.extend(if level == 0 { &long[..] } else { &again });
    }
    object.extend(inner);
    // The ends of the levels, and of the object.
    object.extend(vec![0x01; levels + 1]);
    let name = amf::encode(&["connect".into(), Amf::Number(1.0)]);
    [&[0], &name[..], &[0x11], &object].concat()
}

#[test]
fn a_connect_costs_a_plugin_no_more_than_it_holds() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    let connected = |mut client: Client| {
        let result = client.until(SOON, |command| command.name == "_result");
        result.expect("the plugin accepts everybody");
    };
    connected({
        let mut client = Client::open(host.addr).expect("shakes hands");
        client.connect_command(host.addr, "live").expect("sent");
        client
    });
    cheap(&host, "connects", || {
        for _ in 0..7 {
            let mut client = Client::open(host.addr).expect("shakes hands");
            let message = chunks::encode(3, COMMAND_AMF3, 0, 0, &connect_message(), 4096);
            client.raw(&message).expect("sent");
            connected(client);
        }
    });
    let failed = host.log.find(START, "no decision from the plugin", &[]);
    assert!(
        failed.is_empty(),
        "the plugin failed {} times",
        failed.len()
    );
    host.stop();
}

#[test]
fn a_call_without_a_sensible_name_is_refused_in_few_words() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    let mut client = Client::connect(host.addr, "live").expect("may connect");
    let name = "m".repeat(60_000);
    let values = amf::encode(&[name.as_str().into(), Amf::Number(7.0), Amf::Null]);
    let call = chunks::encode(3, COMMAND, 0, 0, &values, 4096);
    client.raw(&call).expect("sent");
    let refused = client.until(SOON, |command| command.name == "_result");
    let refused = refused.expect_err("no such method");
    assert_eq!(refused.code(), "NetConnection.Call.Failed");
    let text = refused.description();
    assert!(text.contains("60000 bytes") && text.len() < 200, "{text}");
    host.stop();
}
