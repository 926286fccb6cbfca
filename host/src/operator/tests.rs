//! Finding servers, asking them, and what is shown; the server is a line of text here.

use std::fs;
use std::path::{Path, PathBuf};

use livehost_server_http::api::streams::{PublisherReport, StreamReport};
use livehost_server_http::operations::{
    AcceptorReport, ApplicationReport, PluginReport, ServerReport, ServerState,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::client::{ApiClient, EMPTY};
use super::table::{Align, Table, span};
use super::{NoServer, find, status, streams, token};
use crate::cli::{ServerChoice, Sort};
use crate::control_socket::Sockets;

/// What no terminal may get: a sequence that sets its title, and one that hides text.
const EVIL: &str = "cam\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\n";

/// A server that has these answers for paths; its requests come back at its end.
fn serve(path: &Path, answers: &'static [(&'static str, u16, &'static str)]) -> JoinHandle<()> {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 8192];
            // A connection that only looks whether somebody listens sends nothing.
            let read = stream.read(&mut bytes).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
            let Some(line) = text
                .lines()
                .next()
                .and_then(|line| line.strip_suffix(" HTTP/1.1"))
            else {
                continue;
            };
            let known = answers.iter().find(|(path, ..)| *path == line);
            let (status, body) =
                known.map_or((500, "unknown"), |(_, status, body)| (*status, body));
            let length = body.len();
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
}

const SERVER: (&str, u16, &str) = (
    "GET /api/v1/server",
    200,
    r#"{"version": "0.1.0", "pid": 77, "started_unix_ms": 0, "config": "/etc/media.ron",
        "state": "serving", "acceptors": []}"#,
);

fn sockets(folder: &Path) -> Sockets {
    Sockets::look_in(vec![folder.to_owned()])
}

/// What a server leaves that crashed.
fn stale(path: &PathBuf) {
    drop(std::os::unix::net::UnixListener::bind(path).unwrap());
    assert!(path.exists());
}

#[tokio::test]
async fn the_only_server_is_found_beside_what_crashed_ones_left() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("77.sock");
    stale(&folder.path().join("1.sock"));
    stale(&folder.path().join("99.sock"));
    let _server = serve(&live, &[SERVER]);
    assert_eq!(find::only(&sockets(folder.path())).await.unwrap(), live);
}

#[tokio::test]
async fn no_server_has_an_error_of_its_own_that_says_where_was_looked() {
    let folder = tempfile::tempdir().unwrap();
    stale(&folder.path().join("1.sock"));
    let error = find::only(&sockets(folder.path())).await.unwrap_err();
    let text = error.downcast_ref::<NoServer>().unwrap().to_string();
    assert!(
        text.contains(&folder.path().display().to_string()),
        "{text}"
    );
    assert!(text.contains("--server"), "{text}");
}

#[tokio::test]
async fn several_servers_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("77.sock"), folder.path().join("78.sock"));
    let _first = serve(&first, &[SERVER]);
    let _second = serve(&second, &[]);
    let error = find::only(&sockets(folder.path())).await.unwrap_err();
    assert!(error.downcast_ref::<NoServer>().is_none());
    let text = error.to_string();
    for expected in ["2 servers", "--server", "77", "/etc/media.ron", "78.sock"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[tokio::test]
async fn a_socket_that_nobody_listens_at_is_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1.sock");
    stale(&path);
    let choice = ServerChoice {
        server: Some(path.display().to_string()),
        ..ServerChoice::default()
    };
    let api = find::server(&choice).await.unwrap();
    let error = api.get::<Value>("server").await.unwrap_err();
    assert!(error.downcast_ref::<NoServer>().is_some(), "{error:#}");
}

#[tokio::test]
async fn a_list_is_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("77.sock");
    let _server = serve(
        &path,
        &[
            (
                "GET /api/v1/streams?limit=1000&app=a%20b",
                200,
                r#"{"items": [1, 2], "next": "a b/c&d"}"#,
            ),
            (
                "GET /api/v1/streams?limit=1000&app=a%20b&after=a%20b%2Fc%26d",
                200,
                r#"{"items": [3], "next": null}"#,
            ),
        ],
    );
    let api = ApiClient::at_socket(&path);
    let entries: Vec<u8> = api.list("streams", Some("a b")).await.unwrap();
    assert_eq!(entries, [1, 2, 3]);
}

#[tokio::test]
async fn a_refusal_says_what_the_server_says_and_hides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("77.sock");
    let _server = serve(
        &path,
        &[
            (
                "POST /api/v1/config/reload",
                409,
                r#"{"title": "Conflict", "status": 409, "detail": "one\n  two\u001b[2J"}"#,
            ),
            ("GET /api/v1/server", 200, r#"{"another": "program"}"#),
            ("GET /api/v1/log-level", 502, "<html>"),
        ],
    );
    let api = ApiClient::at_socket(&path);
    let refused = api.order("config/reload", EMPTY).await.unwrap_err();
    assert_eq!(refused.to_string(), "one\n  two\\u{1b}[2J");
    let strange = api.get::<ServerReport>("server").await.unwrap_err();
    assert!(
        strange.to_string().contains("another version"),
        "{strange:#}"
    );
    let other = api.get::<Value>("log-level").await.unwrap_err();
    assert!(other.to_string().contains("502"), "{other:#}");
}

#[test]
fn a_url_has_a_scheme_and_a_host_and_no_more() {
    for url in [
        "http://127.0.0.1:1985",
        "https://media.example.com/",
        "http://[::1]:80",
    ] {
        ApiClient::at_url(url, "t".into()).unwrap();
    }
    for url in [
        "127.0.0.1:1985",
        "ftp://localhost",
        "http://localhost/api/v1",
        "http://localhost?token=1",
        "http://user@localhost",
        "/run/a.sock",
    ] {
        let error = ApiClient::at_url(url, "t".into()).unwrap_err();
        assert!(
            error.to_string().starts_with("--url: expected http"),
            "{error:#}"
        );
    }
}

#[tokio::test]
async fn a_token_comes_from_a_file_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let choice = ServerChoice {
        url: Some("http://127.0.0.1:9".into()),
        token_file: Some(file.clone()),
        ..ServerChoice::default()
    };
    find::server(&choice).await.unwrap_err();
    fs::write(&file, "se cret\n").unwrap();
    let error = find::server(&choice).await.unwrap_err();
    assert!(!format!("{error:#}").contains("cret"), "{error:#}");
    fs::write(&file, "secret\n").unwrap();
    let api = find::server(&choice).await.unwrap();
    assert!(!format!("{api:?}").contains("secret"), "{api:?}");
}

fn stream(name: &str, kbps: u32, players: u32) -> StreamReport {
    StreamReport {
        id: "12".into(),
        stream: name.into(),
        app: "live".into(),
        instance: None,
        name: name.into(),
        publisher: PublisherReport {
            id: "3".into(),
            remote: "192.0.2.1:5000".into(),
            protocol: "rtmp".into(),
        },
        video: Some("avc1".into()),
        audio: None,
        since_unix_ms: 0,
        bytes_in: 1,
        kbps,
        idle_ms: 0,
        players,
    }
}

#[test]
fn nothing_hides_in_a_table_and_columns_stand_below_each_other() {
    let streams = [stream(EVIL, 2400, 7), stream("live/b", 9, 1200)];
    let lines = streams::table(&streams).lines();
    assert_eq!(lines.len(), 3);
    for line in &lines {
        assert!(
            !line.contains(|c: char| c.is_control() || c == '\u{202e}'),
            "{line:?}"
        );
    }
    assert!(lines[1].contains("cam\\u{1b}]0;owned\\u{7}"), "{lines:?}");
    let ends = |line: &str, text: &str| {
        let at = line.find(text).unwrap();
        line[..at + text.len()].chars().count()
    };
    assert_eq!(ends(&lines[0], "KBIT/S"), ends(&lines[1], "2400"));
    assert_eq!(ends(&lines[0], "PLAYERS"), ends(&lines[2], "1200"));
}

#[test]
fn a_long_cell_is_cut() {
    let mut table = Table::new(&[("A", Align::Left), ("B", Align::Right)]);
    table.row(["x".repeat(5000), "1".into()]);
    assert!(table.lines()[1].len() < 300);
}

#[test]
fn streams_are_sorted_and_names_decide_between_equals() {
    let mut streams = [stream("c", 1, 5), stream("b", 9, 5), stream("a", 1, 9)];
    for (by, expected) in [
        (Sort::Kbps, ["b", "a", "c"]),
        (Sort::Players, ["a", "b", "c"]),
        (Sort::Name, ["a", "b", "c"]),
    ] {
        streams::sort(&mut streams, by);
        assert_eq!(
            streams.each_ref().map(|stream| stream.name.as_str()),
            expected,
            "{by:?}"
        );
    }
    assert_eq!(streams::sums(&streams), (19, 11));
}

#[test]
fn status_has_the_server_its_plugins_and_its_streams() {
    let server = ServerReport {
        version: "0.1.0".into(),
        pid: 77,
        started_unix_ms: 0,
        config: "/etc/media.ron".into(),
        state: ServerState::Draining,
        acceptors: vec![AcceptorReport {
            listen: "0.0.0.0:1935".into(),
            chain: "[Tcp, Rtmp]".into(),
            scheme: "rtmp".into(),
        }],
    };
    let application = ApplicationReport {
        name: "live".into(),
        aliases: vec!["app".into()],
        plugin: PluginReport {
            file: "/srv/rules.wasm".into(),
            hash: "0123456789abcdef".into(),
            generation: 4,
            interfaces: Vec::new(),
            counters: Default::default(),
        },
    };
    let lines = status::lines(&server, &[application], &[stream("live/cam", 900, 2)], 3);
    let text = lines.join("\n");
    for expected in [
        "livehost 0.1.0  process 77",
        "draining",
        "/etc/media.ron",
        "rtmp://0.0.0.0:1935  [Tcp, Rtmp]",
        "streams: 1, players: 2, clients: 3, in: 900 kbit/s",
        "/srv/rules.wasm",
        "0123456789ab ",
        "live/cam",
        "192.0.2.1:5000",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn times_have_two_units() {
    for (seconds, expected) in [
        (0, "0 s"),
        (59, "59 s"),
        (61, "1 min 1 s"),
        (3600, "1 h 0 min"),
        (90_000, "1 d 1 h"),
    ] {
        assert_eq!(span(std::time::Duration::from_secs(seconds)), expected);
    }
}

#[test]
fn a_tokens_line_is_what_the_configuration_reads() {
    let line = token::line(
        "a \"b\"",
        &"0f".repeat(32),
        &["Read".into(), "Admin".into()],
    );
    let hash = "0f".repeat(32);
    assert_eq!(
        line,
        format!("api: (tokens: {{\"a \\\"b\\\"\": (sha256: \"{hash}\", scopes: [Read, Admin])}}),")
    );
}
