//! What strangers can write into the log: little of each, and not much in all.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::{
    App, Config, Host,
    amf::Amf,
    host::{self, folder},
    log::START,
    process::{Pipe, Signal},
    rtmp::{self, Client},
    together, workspace,
};
use crate::transcript::shared_object;

const SOON: Duration = Duration::from_secs(20);
/// Lines about strangers in a minute.
const QUOTA: usize = 60;

fn hears(pipe: &Pipe, from: usize, text: &str) -> String {
    let found = pipe.wait(from, Instant::now() + SOON, |line| {
        line.text.contains(text).then(|| line.text.clone())
    });
    found.unwrap_or_else(|| panic!("no {text:?} in the log:\n{}", pipe.text()))
}

/// A server whose lines are for people, and its address.
fn in_text(
    config: Config,
) -> (
    crate::support::process::Process,
    SocketAddr,
    tempfile::TempDir,
) {
    let folder = folder();
    let process = host::launch(folder.path(), &config.text_lines().text());
    let listening = hears(&process.stderr, 0, "listening");
    hears(&process.stderr, 0, "ready");
    let addr = listening
        .split("addr=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let addr = addr.and_then(|addr| addr.parse().ok()).expect("an address");
    (process, addr, folder)
}

/// Nothing that hides, and no client's text at length.
fn assert_readable(lines: &[crate::support::process::Line], flood: char) {
    for line in lines {
        let hidden = |c: char| {
            c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        };
        assert!(!line.text.contains(hidden), "{:?}", line.text);
        let told = line.text.chars().filter(|c| *c == flood).count();
        assert!(told <= 200, "{told} bytes of a client's: {}", line.text);
    }
}

#[test]
fn no_line_repeats_much_of_what_a_client_sends_and_nothing_hides_in_it() {
    let _guard = together();
    let config = Config::live(App::open("reject"));
    let flood = "Q".repeat(20_000);
    let turned = "a\u{202e}b\u{200b}c\u{2028}d\u{9b}e\nf";
    let send = |addr: SocketAddr| {
        let mut client = Client::connect(addr, "live").expect("may connect");
        for method in [flood.as_str(), turned] {
            client
                .command(0, method, 5.0, Amf::Null, &[])
                .expect("is sent");
            client
                .until(SOON, |command| command.name == "_error")
                .expect("is answered");
        }
        for name in [
            format!("x{turned}"),
            flood[..3000].to_owned(),
            turned[..5].to_owned(),
        ] {
            client.create_stream().expect("a stream");
            client.publish_command(&name).expect("is sent");
            // The last is a name that can be one.
            let _ = client.status(SOON, "NetStream.Publish.Start");
        }
        let app = format!("{}{turned}", &flood[..1000]);
        Client::connect(addr, &app).expect_err("no such application");
        client.leave();
    };

    let host = Host::start(&config);
    send(host.addr);
    host.log
        .wait(START, "session ended", &[("reason", "eof")], SOON);
    let lines = host.process.stderr.lines();
    assert_readable(&lines, 'Q');
    let text = host.process.stderr.text();
    assert!(text.contains("a\\u202eb"), "{text}");
    // A reader of JSON has the text as it was.
    let method = [("method", turned)];
    host.log.wait(START, "call without a result", &method, SOON);
    host.stop();

    let (mut process, addr, _folder) = in_text(config);
    send(addr);
    hears(&process.stderr, 0, "reason=\"eof\"");
    assert_readable(&process.stderr.lines(), 'Q');
    let text = process.stderr.text();
    assert!(
        text.contains("a\\u{202e}b\\u{200b}c\\u{2028}d\\u{9b}e\\nf"),
        "{text}"
    );
    process.signal(Signal::Terminate);
    process.wait(SOON);
}

/// Connects, says something that nobody understands, and is closed.
fn scan(addr: SocketAddr, bytes: &[u8]) {
    let mut socket = TcpStream::connect(addr).expect("it listens");
    socket.set_read_timeout(Some(SOON)).expect("a timeout");
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(std::net::Shutdown::Write);
    let _ = socket.read_to_end(&mut Vec::new());
}

#[test]
fn a_port_scan_writes_a_line_a_second_at_most_and_then_how_many_more() {
    let _guard = together();
    let tls = crate::support::tls::localhost();
    let folder = folder();
    let [own, http] = [(), ()].map(|()| crate::support::nginx::free());
    let fields = format!("tls: {},", tls.write(folder.path(), "own"));
    let config = Config::live(App::open("reject"))
        .also(own, "[Tcp, Tls, Rtmp]", &fields)
        .also(http, "[Tcp, Http, Rtmp]", "");
    let host = Host::start_in(folder, &config);
    let begin = Instant::now();
    for _ in 0..40 {
        scan(host.addr, b"");
        scan(host.addr, b"GET / HTTP/1.1\r\n\r\n");
        scan(own, b"\x03 no TLS");
        scan(own, b"\x16\x03\x01\x00\x05hello");
        scan(http, b"\x03 no HTTP\r\n\r\n");
    }
    // Who is let in is told of as always.
    let publisher = Client::publish(host.addr, "live", "cam");
    publisher.expect("may publish").leave();
    host.log.wait(START, "publishing", &[], SOON);
    let let_in = [("app", "live"), ("reason", "eof")];
    host.log.wait(START, "session ended", &let_in, SOON);
    let log = host.log.clone();
    host.stop();
    let written = log.all(START).into_iter().filter(|entry| {
        let message = entry.message();
        message.ends_with("handshake failed")
            || message.starts_with("HTTP connection refused")
            || message == "session ended" && entry.field("app").is_none()
    });
    let written = written.count();
    let counts = log.find(START, "lines left out", &[]);
    let counts = counts
        .iter()
        .filter_map(|entry| entry.field("lines")?.parse::<usize>().ok());
    let left_out: usize = counts.sum();
    eprintln!("200 connections of strangers: {written} lines, {left_out} left out");
    assert_eq!(written + left_out, 200, "every one is counted");
    // More only on a machine that takes minutes for them.
    let windows = 1 + begin.elapsed().as_secs() as usize / 60;
    assert!(written <= QUOTA * windows, "{written} in {windows} min");
}

/// A client that a proxy brings from `source`.
fn from(addr: SocketAddr, source: &str, app: &str) -> Result<Client, rtmp::Failure> {
    let header = format!("PROXY TCP4 {source} 198.51.100.1 5000 1935\r\n");
    Client::connect_behind(addr, header.as_bytes(), app)
}

#[test]
fn who_guesses_is_seen_however_much_others_make() {
    let _guard = together();
    let config = Config::live(App::probe("accept"));
    let config = config.chain("[Tcp, Rtmp]", "proxy_protocol: [\"127.0.0.1\"],");
    let host = Host::start(&config);
    let begin = Instant::now();
    for _ in 0..QUOTA {
        scan(host.addr, b"PROXY UNKNOWN\r\nwhat is this");
    }
    let mark = host.log.mark();
    for source in ["192.0.2.7", "192.0.2.8"] {
        for _ in 0..20 {
            from(host.addr, source, "live?mode=tell-client").expect_err("is refused");
        }
    }
    for source in ["192.0.2.7:5000", "192.0.2.8:5000"] {
        let refused = [("remote", source)];
        host.log.wait(mark, "connect refused", &refused, SOON);
        let lines = host.log.find(mark, "connect refused", &refused).len();
        let took = begin.elapsed().as_secs() as usize;
        // A new minute has a new quota.
        if took < 60 {
            assert!(
                lines <= 1 + took / 10,
                "{lines} lines about {source} in {took} s"
            );
        }
    }

    // What the server refuses by itself does not hide a verdict behind it.
    let verdict = |source: &str, message: &str| {
        let fields = [("remote", source), ("by", "policy")];
        host.log.wait(mark, message, &fields, SOON);
    };
    from(host.addr, "192.0.2.9", "nosuch").expect_err("no such application");
    from(host.addr, "192.0.2.9", "live?mode=tell-client").expect_err("is refused");
    verdict("192.0.2.9:5000", "connect refused");
    let mut first = from(host.addr, "192.0.2.10", "live").expect("may connect");
    first.start_publish("cam").expect("may publish");
    let mut guesser = from(host.addr, "192.0.2.11", "live").expect("may connect");
    guesser.start_publish("cam").expect_err("is busy");
    guesser.start_publish("a\u{7}b").expect_err("is no name");
    guesser
        .start_publish("cam?mode=reject")
        .expect_err("is refused");
    verdict("192.0.2.11:5000", "publish refused");
    let mut guesser = from(host.addr, "192.0.2.12", "live").expect("may connect");
    guesser.start_publish("cam").expect_err("is busy");
    guesser.start_play("cam?mode=no-play").expect("is sent");
    verdict("192.0.2.12:5000", "play refused");
    host.stop();
}

#[test]
fn what_one_connection_is_refused_without_end_is_a_line_a_second_at_most() {
    const TIMES: usize = 200;
    let _guard = together();
    let host = Host::start(&Config::live(App::probe("accept")));
    let begin = Instant::now();
    let mut first = Client::publish(host.addr, "live", "cam").expect("may publish");
    let mut second = Client::connect(host.addr, "live").expect("may connect");
    second.create_stream().expect("a stream");
    let joined = shared_object::encode("so 0 use");
    second.shared_object(&joined).expect("is sent");
    for _ in 0..TIMES {
        second.publish_command("cam").expect("is sent");
        second
            .status(SOON, "NetStream.Publish.Start")
            .expect_err("is busy");
        let broken = shared_object::encode("so 0 set broken 4");
        second.shared_object(&broken).expect("is sent");
    }
    // Answered in order: all of it is decided.
    second
        .command(0, "nosuch", 9.0, Amf::Null, &[])
        .expect("is sent");
    second
        .until(SOON, |command| command.name == "_error")
        .expect("is answered");
    first.create_stream().expect("goes on");
    let log = host.log.clone();
    host.stop();
    let windows = 1 + begin.elapsed().as_secs() as usize / 60;
    let unusable = "the plugin's rewrite of a shared object's event can't be used: it is denied";
    for message in ["publish refused", unusable] {
        let lines = log.find(START, message, &[]).len();
        assert!(
            0 < lines && lines <= QUOTA * windows,
            "{lines} of {message:?} in {windows} min"
        );
    }
    let counts = log.find(START, "lines left out", &[]);
    let counts = counts
        .iter()
        .filter_map(|entry| entry.field("lines")?.parse::<usize>().ok());
    let left_out: usize = counts.sum();
    let least = 2 * TIMES - 2 * QUOTA * windows;
    assert!(left_out >= least, "{left_out} left out");
}

/// The addresses that the filter of docs/config.md finds in `lines`, in the
/// language that fail2ban is written in. It cuts the time out first.
fn addresses(lines: &str) -> Vec<String> {
    let page = fs::read_to_string(workspace().join("docs/config.md")).expect("the page");
    let mut filter = page.lines();
    let filter = filter.find_map(|line| line.strip_prefix("failregex = "));
    let script = "import re, sys\n\
        filter = sys.argv[1].replace('<ADDR>', '(?P<ip>[0-9a-fA-F.:]+)')\n\
        for line in sys.stdin.read().splitlines():\n  \
        found = re.search(filter, re.sub('^[0-9-]+T[0-9:.]+Z', '', line))\n  \
        if found: print(found['ip'])";
    let mut python = Command::new("python3")
        .args(["-c", script, filter.expect("a filter")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python");
    let mut stdin = python.stdin.take().expect("a pipe");
    stdin.write_all(lines.as_bytes()).expect("it reads");
    drop(stdin);
    let found = python.wait_with_output().expect("it ends");
    assert!(found.status.success(), "{}", found.status);
    let found = String::from_utf8(found.stdout).expect("addresses");
    found.lines().map(str::to_owned).collect()
}

#[test]
fn the_filter_of_the_docs_finds_who_guesses_and_nobody_else() {
    let _guard = together();
    let keys = r#"{ "publish": { "keys": ["right"] }, "play": { "keys": ["seen"] } }"#;
    let users = r#"{ "publish": "users", "users": { "ann": "pw" }, "challenge": "adobe" }"#;
    let config = Config::live(App::keys(keys)).and("login", App::keys(users));
    let config = config.and("probe", App::probe("accept"));
    let config = config.chain("[Tcp, Rtmp]", "proxy_protocol: [\"127.0.0.1\"],");
    let (mut process, addr, _folder) = in_text(config);
    let mut wrong = from(addr, "192.0.2.7", "live").expect("may connect");
    wrong
        .start_publish("cam?key=wrong} session{conn=1 remote=192.0.2.99:1}: connect refused")
        .expect_err("a wrong key");
    wrong.leave();
    let guess = "login?authmod=adobe&user=ann&challenge=0&response=AAAAAAAAAAAAAAAAAAAAAA==&opaque=0011223344556677";
    from(addr, "192.0.2.8", guess).expect_err("a wrong password");
    let mut viewer = from(addr, "192.0.2.12", "live").expect("may connect");
    viewer.start_play("cam?token=wrong").expect("is sent");
    viewer
        .status(SOON, "NetStream.Play.Start")
        .expect_err("a wrong token");
    viewer.leave();
    from(addr, "192.0.2.13", "probe?mode=reject").expect_err("is refused");
    // The server's own refusals, and a plugin that fails.
    from(addr, "192.0.2.14", "nosuch").expect_err("no such application");
    from(addr, "192.0.2.15", "probe?mode=panic-on-connect").expect_err("undecided");
    let mut undecided = from(addr, "192.0.2.16", "probe").expect("may connect");
    undecided
        .start_publish("cam?mode=panic-on-publish")
        .expect_err("undecided");
    undecided
        .start_play("cam?mode=panic-on-play")
        .expect("is sent");
    undecided
        .status(SOON, "NetStream.Play.Start")
        .expect_err("undecided");
    undecided.leave();
    let header = b"PROXY TCP6 2001:db8::7 2001:db8::1 5000 1935\r\n";
    Client::connect_behind(addr, header, guess).expect_err("a wrong password");
    // Asked for a password, as every client is at first.
    from(addr, "192.0.2.9", "login").expect_err("is asked");
    let mut right = from(addr, "192.0.2.10", "live").expect("may connect");
    right.start_publish("cam?key=right").expect("may publish");
    // Busy, which is nobody's guess.
    let mut second = from(addr, "192.0.2.11", "live").expect("may connect");
    second.start_publish("cam?key=right").expect_err("is busy");
    second.leave();
    right.leave();
    hears(&process.stderr, 0, "unpublished");
    process.signal(Signal::Terminate);
    process.wait(SOON);

    let found = addresses(&process.stderr.text());
    let expected = [
        "192.0.2.7",
        "192.0.2.8",
        "192.0.2.12",
        "192.0.2.13",
        "2001:db8::7",
    ];
    assert_eq!(found, expected, "{}", process.stderr.text());
}
