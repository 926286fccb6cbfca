//! An operator: requests to the server's API, over TCP and at its control socket.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

use serde_json::Value;

use super::{Config, Host, log::START};

/// For an answer, however busy the machine is.
const LIMIT: Duration = Duration::from_secs(30);

/// The tokens of [`with_api`], with their scopes.
pub(crate) const EVERYTHING: &str = "token-for-everything";
pub(crate) const READ: &str = "token-for-reading";
pub(crate) const NOTHING: &str = "token-for-nothing";

/// `config` with the API and metrics at an address of their own, and tokens.
pub(crate) fn with_api(config: Config) -> Config {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = config.also(any, "[Tcp, Http]", "serve: [Api, Metrics]");
    config.sections(&format!(
        "api: (tokens: {{
            \"all\": (sha256: \"{}\", scopes: [Read, Media, Admin]),
            \"reader\": (sha256: \"{}\", scopes: [Read]),
            \"nobody\": (sha256: \"{}\"),
        }}),",
        sha256(EVERYTHING),
        sha256(READ),
        sha256(NOTHING),
    ))
}

fn sha256(text: &str) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case, one a line.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn read(mut from: impl Read) -> Self {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).expect("an answer");
        let text = String::from_utf8(bytes).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("no status: {head}")),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }
}

/// Where the API listens.
pub(crate) fn address(host: &Host) -> SocketAddr {
    let listening = host
        .log
        .wait(START, "listening", &[("chain", "[Tcp, Http]")], LIMIT);
    let addr = listening.field("addr").expect("listening says where");
    addr.parse().expect("an address and a port")
}

/// Where the control socket is.
pub(crate) fn socket(host: &Host) -> PathBuf {
    let there = host.log.wait(START, "control socket", &[], LIMIT);
    there.field("path").expect("it says where").into()
}

/// A request with these lines of its head beside `Host`.
pub(crate) fn request(
    addr: SocketAddr,
    method: &str,
    path: &str,
    head: &[&str],
    body: Option<&str>,
) -> Answer {
    let mut stream = TcpStream::connect(addr).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    let text = text(&addr.to_string(), method, path, head, body);
    stream.write_all(text.as_bytes()).expect("it reads");
    Answer::read(stream)
}

/// A request at the control socket.
pub(crate) fn at_socket(host: &Host, method: &str, path: &str, body: Option<&str>) -> Answer {
    let mut stream = UnixStream::connect(socket(host)).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    let text = text("livehost", method, path, &[], body);
    stream.write_all(text.as_bytes()).expect("it reads");
    Answer::read(stream)
}

fn text(host: &str, method: &str, path: &str, head: &[&str], body: Option<&str>) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !head.iter().any(|line| line.starts_with("host:")) {
        text += &format!("host: {host}\r\n");
    }
    for line in head {
        text += &format!("{line}\r\n");
    }
    if let Some(body) = body {
        let length = body.len();
        text += &format!("content-type: application/json\r\ncontent-length: {length}\r\n");
    }
    text + "\r\n" + body.unwrap_or_default()
}

/// A request of one who may do everything.
pub(crate) fn ask(host: &Host, method: &str, path: &str, body: Option<&str>) -> Answer {
    asked_with(host, EVERYTHING, method, path, body)
}

/// A request with this token.
pub(crate) fn asked_with(
    host: &Host,
    token: &str,
    method: &str,
    path: &str,
    body: Option<&str>,
) -> Answer {
    let token = format!("authorization: Bearer {token}");
    request(address(host), method, path, &[&token], body)
}

/// What is at `path`.
pub(crate) fn get(host: &Host, path: &str) -> Value {
    let answer = ask(host, "GET", path, None);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}
