use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use livehost_settings::KIB;
use tracing::{error, info, info_span};

use super::*;

const SOON: Duration = Duration::from_secs(60);

/// Somebody who listens at a socket, in a folder of its own.
struct Listener {
    socket: UnixDatagram,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Listener {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        Self {
            socket,
            path,
            _folder: folder,
        }
    }

    fn next(&self) -> String {
        let mut bytes = [0; 64 << 10];
        let count = self.socket.recv(&mut bytes).expect("a datagram");
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }
}

fn log_something() {
    let session = info_span!("session", conn = 7_u64, user = tracing::field::Empty);
    let stream = info_span!(parent: &session, "stream", r#type = "live");
    session.record("user", "an\nn");
    stream.in_scope(|| warn!(bytes = 3_u64, reason = "two\nlines", "told"));
}

#[test]
fn the_journal_has_the_line_and_each_field_by_itself() {
    let listener = Listener::new();
    let (dispatch, _control) = to_journal(&LogSettings::default(), &listener.path).unwrap();
    dispatcher::with_default(&dispatch, log_something);
    let entry = listener.next();
    let lines: Vec<_> = entry
        .lines()
        .filter(|line| !line.starts_with("CODE_LINE="))
        .collect();
    assert_eq!(
        lines,
        [
            "MESSAGE=session{conn=7 user=\"an\\nn\"}:stream{type=\"live\"}: told bytes=3 \
             reason=\"two\\nlines\"",
            "PRIORITY=4",
            "SYSLOG_IDENTIFIER=livehost",
            "LIVEHOST_MODULE=livehost_telemetry::log::tests",
            &format!("CODE_FILE={}", file!()),
            "LIVEHOST_CONN=7",
            "LIVEHOST_USER=an\\nn",
            "LIVEHOST_TYPE=live",
            "LIVEHOST_MESSAGE=told",
            "LIVEHOST_BYTES=3",
            "LIVEHOST_REASON=two\\nlines",
        ]
    );
    assert!(entry.ends_with('\n'), "{entry:?}");
}

#[test]
fn syslog_has_priority_and_name_before_the_line() {
    let head = format!("livehost[{}]: ", std::process::id());
    for format in [LogFormat::Text, LogFormat::Json] {
        let listener = Listener::new();
        let log = LogSettings {
            format,
            ..LogSettings::default()
        };
        let (dispatch, _control) = to_syslog(&log, &listener.path).unwrap();
        dispatcher::with_default(&dispatch, || {
            log_something();
            error!("failed");
        });
        let first = listener.next();
        let line = first.strip_prefix(&format!("<28>{head}")).expect(&first);
        match format {
            LogFormat::Text => assert_eq!(
                line,
                "WARN session{conn=7 user=\"an\\nn\"}:stream{type=\"live\"}: told bytes=3 \
                 reason=\"two\\nlines\""
            ),
            LogFormat::Json => {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(
                    (&line["message"], &line["level"]),
                    (&"told".into(), &"WARN".into())
                );
                assert_eq!(line["spans"][0]["user"], "an\nn");
            }
        }
        let second = listener.next();
        assert!(second.starts_with(&format!("<27>{head}")), "{second}");
    }
}

#[test]
fn the_level_changes_while_it_runs() {
    let listener = Listener::new();
    let log = LogSettings::default();
    let (dispatch, control) = to_syslog(&log, &listener.path).unwrap();
    let next = || listener.next().split(' ').next_back().unwrap().to_owned();
    dispatcher::with_default(&dispatch, || {
        info!("one");
        control.set_level("error").unwrap();
        info!("left-out");
        error!("two");
        // What serves goes on when another is no filter.
        let wrong = control.set_level("livehost_hubs=debug").unwrap_err();
        assert!(wrong.help.is_some(), "{wrong}");
        assert_eq!(control.clone().level(), "error");
        info!("left-out");
        let log = LogSettings {
            level: "warn,livehost_telemetry=debug".to_owned(),
            ..log.clone()
        };
        control.follow(&log).unwrap();
        assert_eq!(control.level(), log.level);
        info!("three");
    });
    assert_eq!([next(), next(), next()], ["one", "two", "three"]);
}

#[test]
fn a_file_that_is_rotated_under_load_has_every_line_whole_and_in_order() {
    const THREADS: u64 = 4;
    const LINES: u64 = 3000;
    let folder = tempfile::tempdir().unwrap();
    let log = LogSettings {
        to: LogTarget::File,
        format: LogFormat::Json,
        file_size: 64 * KIB,
        files: 1000,
        ..LogSettings::default()
    };
    let (dispatch, control) = prepare(&log, folder.path()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let dispatch = &dispatch;
            scope.spawn(move || {
                dispatcher::with_default(dispatch, || {
                    (0..LINES).for_each(|number| info!(thread, number, "line"));
                });
            });
        }
    });
    control.flush();
    let full = |number: usize| folder.path().join(format!("livehost.log.{number}"));
    let count = (1..).take_while(|number| full(*number).exists()).count();
    assert!(count > 5, "{count} files were full");
    let mut next = [0; THREADS as usize];
    for number in (0..=count).rev() {
        let path = match number {
            0 => folder.path().join("livehost.log"),
            number => full(number),
        };
        let text = fs::read_to_string(path).unwrap();
        assert!(text.len() <= log.file_size && text.ends_with('\n'));
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let thread = line["thread"].as_u64().unwrap() as usize;
            assert_eq!(line["number"], next[thread]);
            next[thread] += 1;
        }
    }
    assert_eq!(next, [LINES; THREADS as usize]);
}

#[test]
fn a_start_says_why_lines_can_not_go_where_they_shall() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = folder.path().join("nobody");
    let log = LogSettings::default();
    let file = |file: &str| {
        let log = LogSettings {
            to: LogTarget::File,
            file: file.to_owned(),
            ..LogSettings::default()
        };
        prepare(&log, folder.path())
    };
    fs::create_dir(folder.path().join("taken")).unwrap();
    for (prepared, expected) in [
        (
            to_journal(&log, &nobody),
            "expected systemd's journal at the socket",
        ),
        (to_syslog(&log, &nobody), "expected syslog at the socket"),
        (file("logs/livehost.log"), "expected a folder at"),
        (file("taken"), "expected a file; found what is none"),
    ] {
        let error = format!("{:#}", prepared.expect_err(expected));
        assert!(error.contains(expected), "{error}");
        assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
    }
}
