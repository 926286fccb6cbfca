//! RTMPT and RTMPE request by request: what clients do wrong, and leave undone.

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::support::{
    App, Config, Host,
    amf::{self, Amf},
    chunks::{self, COMMAND},
    log::{Entry, START},
    rtmp::{self, Client},
    together,
};

const SOON: Duration = Duration::from_secs(10);
const RTMPT: &str = "[Tcp, Http, Rtmp]";

/// One connection of an HTTP client.
struct Http(BufReader<TcpStream>);

impl Http {
    fn open(host: &Host) -> Self {
        let socket = TcpStream::connect(host.addr).expect("it listens");
        socket.set_read_timeout(Some(SOON)).expect("a timeout");
        Self(BufReader::new(socket))
    }

    /// Whether it was closed without a word.
    fn refused(mut self) -> bool {
        !matches!(self.0.read(&mut [0]), Ok(1..))
    }

    /// The status and the body of the answer.
    fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let socket = self.0.get_mut();
        socket
            .write_all(&[head.as_bytes(), body].concat())
            .expect("it reads");
        let mut line = || {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("an answer");
            line.trim_end().to_owned()
        };
        let status = line().split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut length = 0;
        loop {
            let line = line();
            if line.is_empty() {
                break;
            }
            // As librtmp looks for it.
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("the whole body");
        (status.expect("a status"), body)
    }

    fn post(&mut self, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        self.ask("POST", path, body)
    }

    /// Asks for something that has no body either way.
    fn try_post(&mut self, path: &str) -> std::io::Result<()> {
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        self.0.get_mut().write_all(head.as_bytes())?;
        let mut answer = [0; 1024];
        match self.0.read(&mut answer)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    fn open_tunnel(&mut self) -> String {
        let (status, name) = self.post("/open/1", b"\0");
        assert_eq!(status, 200);
        let name = String::from_utf8(name).expect("text");
        name.strip_suffix('\n').expect("a line").to_owned()
    }
}

fn field(entry: &Entry, name: &str) -> String {
    entry.field(name).unwrap_or_default()
}

#[test]
fn a_tunnel_carries_the_handshake_over_any_connection() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")).chain(RTMPT, ""));
    let mut http = Http::open(&host);
    assert_eq!(http.post("/fcs/ident2", b"\0").0, 404);
    let name = http.open_tunnel();
    let (mut answer, mut number) = (Vec::new(), 0);
    let (status, body) = http.post(&format!("/send/{name}/{number}"), &rtmp::hello());
    assert_eq!(status, 200);
    answer.extend_from_slice(&body[1..]);
    // On another connection; the session may need a moment.
    let mut other = Http::open(&host);
    while answer.len() < 1 + 2 * 1536 {
        number += 1;
        let (status, body) = other.post(&format!("/idle/{name}/{number}"), b"\0");
        assert_eq!(status, 200);
        answer.extend_from_slice(&body[1..]);
    }
    assert_eq!(answer.len(), 1 + 2 * 1536);
    assert_eq!(answer[0], 3);

    let (status, _) = http.post(&format!("/close/{name}/{}", number + 1), b"\0");
    assert_eq!(status, 200);
    let ended = host.log.wait(START, "session ended", &[], SOON);
    assert_eq!(field(&ended, "reason"), "eof");
    host.stop();
}

#[test]
fn requests_that_make_no_sense_are_refused_and_harm_nobody() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")).chain(RTMPT, ""));
    let mut http = Http::open(&host);
    let name = http.open_tunnel();
    assert_eq!(http.ask("GET", "/", b"").0, 405);
    assert_eq!(http.post("/", b"").0, 404);
    assert_eq!(http.post("/idle/0123456789abcdef/1", b"").0, 404);
    assert_eq!(http.post(&format!("/idle/{name}"), b"").0, 404);
    assert_eq!(http.post(&format!("/idle/{name}/one"), b"").0, 400);
    assert_eq!(http.post(&format!("/idle/{name}/7"), b"").0, 200);
    for repeated in [7, 6] {
        let sent = http.post(&format!("/send/{name}/{repeated}"), &rtmp::hello());
        assert_eq!(sent.0, 400, "its bytes would come twice");
    }
    assert_eq!(http.post(&format!("/send/{name}/8"), b"\x16").0, 200);
    let ended = host.log.wait(START, "session ended", &[], SOON);
    let detail = field(&ended, "detail");
    assert!(detail.contains("looks like TLS"), "{detail}");

    let mark = host.log.mark();
    let mut plain = TcpStream::connect(host.addr).expect("it listens");
    plain.write_all(&rtmp::hello()).expect("it reads");
    let refused = host.log.wait_until(mark, SOON, |entry| {
        entry.message().starts_with("HTTP connection refused")
    });
    refused.expect("an operator is told");
    Http::open(&host).open_tunnel();
    host.stop();
}

#[test]
fn a_tunnel_expires_when_its_client_asks_no_more() {
    let _guard = together();
    let config = Config::live(App::open("reject")).limits("tunnel: \"1 s\"");
    let host = Host::start(&config.chain(RTMPT, ""));
    let mut http = Http::open(&host);
    let name = http.open_tunnel();
    let asks_no_more = "a tunnelled client asks no more";
    host.log.wait(START, asks_no_more, &[], SOON);
    host.log.wait(START, "session ended", &[], SOON);
    // Gone soon after its session.
    let gone = (0..1000).any(|number| http.post(&format!("/idle/{name}/{number}"), b"").0 == 404);
    assert!(gone, "the tunnel is still there");
    host.stop();
}

/// Waits until the server closes the connection.
fn is_closed(socket: &mut impl Read) {
    match socket.read_to_end(&mut Vec::new()) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
}

#[test]
fn a_connection_without_a_tunnel_has_a_deadline_whatever_it_asks() {
    let _guard = together();
    let config = Config::live(App::open("reject")).limits("handshake: \"1 s\"");
    let host = Host::start(&config.chain(RTMPT, ""));
    let closed = |socket: &TcpStream| {
        let local = socket.local_addr().expect("connected").to_string();
        let why = [
            ("remote", local.as_str()),
            ("reason", "no tunnel within 1 s"),
        ];
        host.log.wait(START, "HTTP connection closed", &why, SOON);
    };
    for sent in [
        &b""[..],
        b"POST /open/1 HT",
        b"POST /open/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    ] {
        let mut socket = TcpStream::connect(host.addr).expect("it listens");
        socket.set_read_timeout(Some(SOON)).expect("a timeout");
        socket.write_all(sent).expect("it reads");
        is_closed(&mut socket);
        closed(&socket);
    }
    // One that asks again and again, for nothing.
    let mut http = Http::open(&host);
    let socket = http.0.get_ref().try_clone().expect("a second handle");
    let begin = Instant::now();
    while http.try_post("/fcs/ident2").is_ok() {
        assert!(begin.elapsed() < SOON, "it is served for ever");
    }
    closed(&socket);
    host.stop();
}

#[test]
fn a_connection_of_a_tunnel_ends_after_it() {
    let _guard = together();
    let limits = "handshake: \"1 s\", tunnel: \"2 s\"";
    let config = Config::live(App::open("reject")).limits(limits);
    let host = Host::start(
        &config
            .chain(RTMPT, "")
            .level("info,livehost_server_rtmp=debug"),
    );
    let mut http = Http::open(&host);
    let name = http.open_tunnel();
    // Its session has waited for a connect in vain, not its connection.
    host.log
        .wait(START, "session ended", &[("reason", "timeout")], SOON);
    let (status, _) = http.post(&format!("/idle/{name}/1"), b"");
    assert!(status == 200 || status == 404, "{status}");
    is_closed(&mut http.0);
    let over = "HTTP connection closed: no more requests of a tunnel";
    host.log.wait(START, over, &[], SOON);
    assert!(
        host.log
            .find(START, "HTTP connection closed", &[])
            .is_empty()
    );
    host.stop();
}

#[test]
fn tunnels_count_as_connections() {
    let _guard = together();
    let config = Config::live(App::open("reject")).limits("connections: 3");
    let host = Host::start(&config.chain(RTMPT, ""));
    let mut http = Http::open(&host);
    let first = http.open_tunnel();
    http.open_tunnel();
    assert_eq!(http.post("/open/1", b"\0").0, 503);
    assert_eq!(http.post(&format!("/close/{first}/1"), b"\0").0, 200);
    host.log.wait(START, "session ended", &[], SOON);
    let again = (0..1000).any(|_| http.post("/open/1", b"\0").0 == 200);
    assert!(again, "no room was made");
    host.stop();
}

#[test]
fn connections_that_carry_a_player_s_tunnel_are_no_strangers() {
    let _guard = together();
    let config = Config::live(App::open("reject")).limits("ungranted_per_address: 3");
    let host = Host::start(&config.chain("[Tcp, Http, Rtmp]", ""));
    let (mut first, mut second) = (Http::open(&host), Http::open(&host));
    let name = first.open_tunnel();
    // Two connections and the tunnel.
    assert!(Http::open(&host).refused());
    let command =
        |stream, values: &[Amf]| chunks::encode(3, COMMAND, 0, stream, &amf::encode(values), 128);
    let object = Amf::Object(vec![("app".to_owned(), "live".into())]);
    let says = [
        rtmp::hello(),
        vec![0; 1536],
        command(0, &["connect".into(), 1.0.into(), object]),
        command(0, &["createStream".into(), 2.0.into(), Amf::Null]),
        command(1, &["play".into(), 0.0.into(), Amf::Null, "cam".into()]),
    ];
    let sent = first.post(&format!("/send/{name}/1"), &says.concat());
    assert_eq!(sent.0, 200);
    let waits = "playing: waiting for a publisher";
    host.log.wait(START, waits, &[], SOON);
    for (number, http) in [(2, &mut first), (3, &mut second)] {
        let path = format!("/idle/{name}/{number}");
        assert_eq!(http.post(&path, b"\0").0, 200);
    }
    let mut more: Vec<_> = (0..3).map(|_| Http::open(&host)).collect();
    for http in &mut more {
        assert_eq!(http.post("/fcs/ident2", b"\0").0, 404, "there is room");
    }
    assert!(Http::open(&host).refused());
    host.stop();
}

#[test]
fn rtmpe_is_spoken_where_the_chain_has_it_and_nowhere_else() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")).chain("[Tcp, Rtmpe]", ""));
    Client::connect(host.addr, "live").expect_err("it is not encrypted");
    let failed = host.log.wait(START, "RTMPE handshake failed", &[], SOON);
    let reason = field(&failed, "reason");
    assert!(
        reason.contains("expected version 6 of RTMPE, found 0x03"),
        "{reason}"
    );
    host.stop();

    let host = Host::start(&Config::live(App::open("reject")));
    let mut socket = TcpStream::connect(host.addr).expect("it listens");
    socket.write_all(b"\x06").expect("it reads");
    let ended = host.log.wait(START, "session ended", &[], SOON);
    let detail = field(&ended, "detail");
    assert!(
        detail.contains("RTMPE not enabled on this chain"),
        "{detail}"
    );
    host.stop();
}
