//! What somebody may cost who was not let in yet.

use std::time::Duration;

use crate::support::{
    App, Config, Host, alone,
    amf::Amf,
    chunks::{self, COMMAND, SET_CHUNK_SIZE, USER_CONTROL},
    flv::VIDEO,
    log::START,
    rtmp::Client,
    together,
};

const SOON: Duration = Duration::from_secs(10);
const KIB: usize = 1 << 10;

fn set_chunk_size(size: u32) -> Vec<u8> {
    chunks::encode(2, SET_CHUNK_SIZE, 0, 0, &size.to_be_bytes(), 4096)
}

/// Each sends two megabytes, as far as they are taken, and none gets further
/// than its handshake.
#[test]
fn strangers_hold_little_memory() {
    let _guard = alone();
    const STRANGERS: usize = 100;
    let host = Host::start(&Config::live(App::open("reject")));
    Client::connect(host.addr, "live")
        .expect("may connect")
        .leave();
    let before = host.memory();
    let body = vec![0x55; 2 << 20];
    // A message that is too long, one that is not and never ends, messages that
    // all begin, and questions whose answers nobody reads.
    let endless = [chunks::header(5, COMMAND, 0, 0, 7 << 20), body.clone()].concat();
    let unfinished = [
        chunks::header(5, COMMAND, 0, 0, 64 << 10),
        vec![5; 60 * KIB],
    ]
    .concat();
    let begun = |chunk_stream| chunks::header(chunk_stream, VIDEO, 0, 1, 60 << 10);
    let begun: Vec<u8> = (3..63)
        .flat_map(|chunk_stream| [set_chunk_size(1), begun(chunk_stream), vec![7]].concat())
        .collect();
    let ping = chunks::encode(2, USER_CONTROL, 0, 0, &[0, 6, 0, 0, 0, 1], 4096);
    let pings = ping.repeat(body.len() / ping.len());
    let mut strangers = Vec::new();
    for says in [endless, unfinished, begun, pings] {
        for _ in 0..STRANGERS / 4 {
            let mut client = Client::open(host.addr).expect("shakes hands");
            if client.raw(&set_chunk_size(0xff_ffff)).is_ok() {
                strangers.push(client.flood(&says, says.len(), Duration::from_millis(50)));
            }
        }
    }
    let grown = host.peak_memory().saturating_sub(before);
    eprintln!(
        "{} strangers: {} KiB each",
        strangers.len(),
        grown / 1024 / 100
    );
    assert!(
        grown < 100 * (256 << 10),
        "{grown} bytes for {STRANGERS} strangers"
    );
    Client::connect(host.addr, "live").expect("others may connect");
    drop(strangers);
    host.stop();
}

#[test]
fn a_message_before_connect_has_64_kib_at_most() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    let mut client = Client::open(host.addr).expect("shakes hands");
    client
        .raw(&chunks::header(5, COMMAND, 0, 0, (64 << 10) + 1))
        .expect("sent");
    let who = client.local();
    assert!(client.closed(SOON), "it ends");
    let fields = [("remote", who.as_str()), ("reason", "protocol-error")];
    let ended = host.log.wait(START, "session ended", &fields, SOON);
    let detail = ended.field("detail").expect("why");
    let why = "expected messages of at most 65536 bytes, found one of 65537 bytes";
    assert!(detail.contains(why), "{detail}");
    // Long, but not too long.
    let mut client = Client::open(host.addr).expect("shakes hands");
    let long = Amf::from("x".repeat(60_000).as_str());
    client
        .connect_command_with(host.addr, "live", &[("pageUrl", long)])
        .expect("sent");
    client
        .until(SOON, |command| command.name == "_result")
        .expect("it is let in");
    host.stop();
}
