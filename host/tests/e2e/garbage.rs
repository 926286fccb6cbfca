//! Clients that send what no client should: their session ends with a logged
//! reason, memory stays bounded, nobody else notices.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    App, Config, Host, Witness, alone,
    amf::Amf,
    chunks::{self, COMMAND, SET_CHUNK_SIZE, USER_CONTROL},
    log::START,
    rtmp::{self, Client, Failure},
};

const SOON: Duration = Duration::from_secs(15);
/// What a handful of bad clients may cost while they are connected.
const MEMORY: u64 = 128 << 20;

/// The running stream beside which everything bad happens, and the memory
/// before.
struct Scene {
    host: Host,
    witness: Witness,
    memory: u64,
}

impl Scene {
    fn begin() -> Self {
        let config = Config::live(App::open("reject")).limits("handshake: \"2 s\", idle: \"5 s\"");
        let host = Host::start(&config);
        let witness = Witness::start(host.addr, "live", "watched");
        let memory = host.memory();
        Self {
            host,
            witness,
            memory,
        }
    }

    /// Fails if memory grew out of bounds at any time while `what` went on.
    fn check_memory(&self, what: &str) {
        let kept = self.host.memory().saturating_sub(self.memory);
        let grown = self.host.peak_memory().saturating_sub(self.memory);
        eprintln!(
            "{what}: resident memory grew by {} KiB; its peak since the start was {} KiB above",
            kept / 1024,
            grown / 1024
        );
        assert!(grown < MEMORY, "{what}: memory grew by {grown} bytes");
    }

    /// The session of `client` has ended; returns the logged reason.
    fn ended(&self, client: &str, what: &str) -> String {
        let fields = [("remote", client)];
        let entry = self.host.log.wait(START, "session ended", &fields, SOON);
        let reason = entry.field("reason").expect("an end has a reason");
        let detail = entry.field("detail").unwrap_or_default();
        eprintln!("{what}: session ended, {reason}: {detail}");
        assert!(!reason.is_empty());
        reason
    }

    fn finish(self) {
        let report = self.witness.finish();
        eprintln!("the running stream beside garbage: {report}");
        report.assert_on_time();
        self.host.stop();
    }
}

/// The same bytes every time (xorshift).
fn noise(mut seed: u64, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len);
    while out.len() < len {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        out.extend(seed.to_le_bytes());
    }
    out.truncate(len);
    out
}

/// Reads until the server closes; false if it doesn't within `SOON`.
fn closed(socket: &mut TcpStream) -> bool {
    socket.set_read_timeout(Some(SOON)).expect("a timeout");
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

fn local(socket: &TcpStream) -> String {
    socket.local_addr().expect("connected").to_string()
}

#[test]
fn random_bytes() {
    let _guard = alone();
    let scene = Scene::begin();
    // Not RTMP from the first byte on.
    for seed in 1..=20 {
        let mut socket = TcpStream::connect(scene.host.addr).expect("connects");
        let mut bytes = noise(seed, 100_000);
        bytes[0] |= 0x80;
        // Fails when the server has closed already.
        let _ = socket.write_all(&bytes);
        assert!(closed(&mut socket), "the server ends it");
        let reason = scene.ended(&local(&socket), "random bytes");
        assert_eq!(reason, "protocol-error");
    }
    // A handshake, then noise.
    for seed in 21..=40 {
        let mut client = Client::open(scene.host.addr).expect("shakes hands");
        let _ = client.raw(&noise(seed, 200_000));
        let who = client.local();
        assert!(client.closed(SOON), "the server ends it");
        scene.ended(&who, "random bytes behind a handshake");
    }
    scene.check_memory("random bytes");
    scene.finish();
}

#[test]
fn half_and_slow_handshakes() {
    let _guard = alone();
    let scene = Scene::begin();
    let begin = Instant::now();
    // Nothing at all; C0 alone; half of C1; all but C2: then silence.
    let mut silent: Vec<_> = [0, 1, 700, 1537]
        .into_iter()
        .map(|count| {
            let mut socket = TcpStream::connect(scene.host.addr).expect("connects");
            socket.write_all(&rtmp::hello()[..count]).expect("sent");
            (count, socket)
        })
        .collect();
    // A byte every 50 ms, which would take over a minute.
    let slow = TcpStream::connect(scene.host.addr).expect("connects");
    let who_is_slow = local(&slow);
    let trickle = thread::spawn(move || {
        let mut slow = slow;
        for byte in rtmp::hello() {
            if slow.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("a handshake of a minute was endured");
    });
    // Half a handshake, then the end.
    let mut half = TcpStream::connect(scene.host.addr).expect("connects");
    half.write_all(&rtmp::hello()[..800]).expect("sent");
    half.shutdown(Shutdown::Write).expect("FIN");
    assert_eq!(scene.ended(&local(&half), "half a handshake"), "eof");

    for (count, socket) in &mut silent {
        assert!(closed(socket), "the server ends it");
        let what = format!("{count} bytes of handshake, then silence");
        assert_eq!(scene.ended(&local(socket), &what), "timeout");
    }
    assert_eq!(scene.ended(&who_is_slow, "slow handshake"), "timeout");
    eprintln!("all ended after {:?}, the limit is 2 s", begin.elapsed());
    trickle.join().expect("the slow client was cut off");
    scene.check_memory("half handshakes");
    scene.finish();
}

#[test]
fn absurd_sizes() {
    let _guard = alone();
    let scene = Scene::begin();
    for size in [0, 0x8000_0080, u32::MAX] {
        let mut client = Client::open(scene.host.addr).expect("shakes hands");
        let bytes = chunks::encode(2, SET_CHUNK_SIZE, 0, 0, &size.to_be_bytes(), 4096);
        client.raw(&bytes).expect("sent");
        let who = client.local();
        assert!(client.closed(SOON), "a chunk size of {size:#x} ends it");
        let what = format!("chunk size {size:#x}");
        assert_eq!(scene.ended(&who, &what), "protocol-error");
    }
    // A message of 16 MiB, the most a header can announce.
    let mut client = Client::connect(scene.host.addr, "live").expect("may connect");
    let header = chunks::header(6, 9, 0, 1, 0xff_ffff);
    client.raw(&header).expect("sent");
    let who = client.local();
    assert!(client.closed(SOON), "a message of 16 MiB ends it");
    assert_eq!(scene.ended(&who, "a message of 16 MiB"), "protocol-error");

    // Many messages below the limit, all of them begun, none finished.
    let mut client = Client::connect(scene.host.addr, "live").expect("may connect");
    let who = client.local();
    let outcome = begin_messages(&mut client);
    eprintln!("unfinished messages: {outcome:?}");
    assert!(client.closed(SOON), "unfinished messages end it");
    assert_eq!(scene.ended(&who, "unfinished messages"), "protocol-error");
    scene.check_memory("absurd sizes");
    scene.finish();
}

/// Sends 100 KiB of a message of 400 KiB on each of 60 chunk streams.
fn begin_messages(client: &mut Client) -> Result<(), Failure> {
    let size = (100_u32 << 10).to_be_bytes();
    client.raw(&chunks::encode(2, SET_CHUNK_SIZE, 0, 0, &size, 4096))?;
    let body = noise(7, 100 << 10);
    for chunk_stream in 3..63 {
        client.raw(&chunks::header(chunk_stream, COMMAND, 0, 0, 400 << 10))?;
        client.raw(&body)?;
    }
    Ok(())
}

#[test]
fn deep_amf_nesting() {
    let _guard = alone();
    let scene = Scene::begin();
    // Objects in objects: marker, key "a", and so on, as many as are read.
    let mut nested = vec![2, 0, 7];
    nested.extend(b"connect");
    nested.extend([0, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
    nested.extend([3, 0, 1, b'a'].repeat(16_000));
    // Strict arrays in strict arrays of four thousand million each.
    let mut arrays = nested[..19].to_vec();
    arrays.extend([0x0a, 0xff, 0xff, 0xff, 0xff].repeat(13_000));
    for (what, payload) in [("nested objects", nested), ("nested arrays", arrays)] {
        let mut client = Client::open(scene.host.addr).expect("shakes hands");
        let bytes = chunks::encode(3, COMMAND, 0, 0, &payload, 4096);
        let _ = client.raw(&bytes);
        let who = client.local();
        assert!(client.closed(SOON), "{what} end it");
        scene.ended(&who, what);
    }
    scene.check_memory("deep AMF nesting");
    scene.finish();
}

#[test]
fn thousands_of_streams() {
    let _guard = alone();
    let scene = Scene::begin();
    let mut client = Client::connect(scene.host.addr, "live").expect("may connect");
    let who = client.local();
    let (mut created, mut refused) = (0, 0);
    for transaction in 0..5000_u32 {
        let sent = client.command(
            0,
            "createStream",
            f64::from(transaction) + 10.0,
            Amf::Null,
            &[],
        );
        if sent.is_err() {
            break;
        }
        match client.until(SOON, |command| command.name == "_result") {
            Ok(_) => created += 1,
            Err(Failure::Refused { .. }) => refused += 1,
            Err(_) => break,
        }
    }
    eprintln!("5000 createStream: {created} created, {refused} refused");
    assert!(created <= 32, "streams_per_connection is 32, not {created}");
    assert!(created >= 1);
    // Whether it was cut off or is left idle: it ends.
    drop(client);
    scene.ended(&who, "thousands of streams");
    scene.check_memory("thousands of streams");
    scene.finish();
}

#[test]
fn client_that_asks_and_never_reads() {
    let _guard = alone();
    let scene = Scene::begin();
    let client = Client::connect(scene.host.addr, "live").expect("may connect");
    let who = client.local();
    // Every ping wants an answer that this client never takes.
    let ping = chunks::encode(2, USER_CONTROL, 0, 0, &[0, 6, 0, 0, 0, 1], 4096);
    let pings = ping.repeat(10_000);
    let (sent, client) = client.flood(&pings, 512 << 20, Duration::from_secs(3));
    eprintln!("{} KiB of pings were taken, no answer read", sent / 1024);
    scene.check_memory("a client that never reads");
    drop(client);
    scene.ended(&who, "a client that never reads");
    scene.finish();
}
