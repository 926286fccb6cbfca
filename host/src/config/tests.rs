//! The loader against files: what a user sees for each mistake, and what a
//! correct file means.
//!
//! `testdata/config/bad/*.ron` each have their exact message beside them;
//! `UPDATE_EXPECT=1` writes the messages anew, for review.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use livehost_net::outbound;
use livehost_policy::{Fallback, OnError};
use livehost_server_rtmp::RtmpChain;

use super::*;

fn host() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn testdata(kind: &str) -> PathBuf {
    host().join("testdata/config").join(kind)
}

/// Reads bytes the way [`Config::load`] does, without wanting plugins.
fn read(name: &str, bytes: &[u8]) -> Result<Config, ConfigError> {
    let path = Path::new(name);
    match std::str::from_utf8(bytes) {
        Ok(text) => Config::parse(path, text),
        Err(_) => {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join(name);
            fs::write(&file, bytes).unwrap();
            Config::load(&file)
        }
    }
}

fn good(name: &str) -> Config {
    let file = testdata("good").join(name);
    let text = fs::read_to_string(&file).unwrap();
    Config::parse(&file, &text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_bad_file_is_explained() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut names: Vec<String> = fs::read_dir(testdata("bad"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".ron"))
        .collect();
    names.sort();
    assert!(names.len() > 20, "the bad files are missing: {names:?}");
    for name in names {
        let file = testdata("bad").join(&name);
        let error = read(&name, &fs::read(&file).unwrap()).expect_err(&name);
        // A file that had to be on disk has that path in its message.
        let shown = error.to_string();
        let shown = shown.split_once(&name).map_or("", |(_, rest)| rest);
        let shown = format!("{name}{shown}\n");
        let expected = file.with_extension("txt");
        if update {
            fs::write(&expected, shown).unwrap();
        } else {
            let expected = fs::read_to_string(&expected).unwrap_or_default();
            assert_eq!(shown, expected, "{name}");
        }
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = good("minimal.ron");
    assert_eq!(config.log, LogSettings::default());
    assert_eq!(config.decisions, DecisionSettings::default());
    assert_eq!(config.limits, ServerLimits::default());
    assert_eq!(config.base, testdata("good"));
    assert_eq!(config.state, testdata("good/state"));
    let live = &config.applications["live"];
    assert_eq!(live.plugin, testdata("good").join("a.wasm"));
    assert_eq!(live.config, "{}");
    assert_eq!(live.on_error, Fallback::Reject.into());
    assert_eq!(live.limits, PluginLimits::default());
    assert_eq!(live.http, outbound::HttpSettings::default());
    assert_eq!(live.media, MediaConfig::default());
    let address: SocketAddr = "127.0.0.1:1935".parse().unwrap();
    assert_eq!(
        config.acceptors,
        [AcceptorConfig {
            listen: address,
            dual_stack: false,
            chain: Chain::default(),
            tls: vec![],
            serve: vec![],
            proxy_protocol: vec![],
            applications: vec![],
        }]
    );
    assert!(config.acceptors[0].serves("live"));
}

#[test]
fn every_field_is_read() {
    let config = good("full.ron");
    assert_eq!(
        config.log,
        LogSettings {
            level: "warn,livehost_hub=debug".to_owned(),
            format: LogFormat::Json,
            to: LogTarget::Syslog,
            file: "logs/live.log".to_owned(),
            file_size: 1 << 30,
            files: 0,
            stats: Duration::from_secs(10),
        }
    );
    assert_eq!(
        config.decisions,
        DecisionSettings {
            file: "log/decisions.jsonl".to_owned(),
            file_size: 64 << 10,
            files: 0,
            ring: 10_000,
            sample: 1_000_000,
            hooks: vec!["on-connect", "on-publish"],
            addresses: false,
            attributes: vec!["user".to_owned()],
        }
    );
    assert_eq!(config.state, Path::new("/var/lib/livehost"));
    let live = &config.applications["live"];
    assert_eq!(live.plugin, Path::new("/opt/a.wasm"));
    assert_eq!(live.aliases, ["stream", "tv"]);
    assert_eq!(config.default_application.as_deref(), Some("live"));
    assert_eq!(
        live.config,
        r#"{"levels":{"a":1.5},"on":true,"open":null,"publish":{"Keys":["kéy"]}}"#
    );
    assert_eq!(live.on_error, Fallback::Allow.into());
    assert_eq!(
        live.limits,
        PluginLimits {
            max_instances: 1024,
            cpu: Duration::from_millis(1),
            wall: Duration::from_secs(60),
            start_cpu: Duration::from_secs(60),
            start: Duration::from_secs(300),
            drain: Duration::ZERO,
            memory_bytes: 4 << 30,
            recycle_after_calls: 1,
            transfer_bytes: 64 << 10,
            handoff_bytes: 0,
            kv_bytes: 0,
            timers: 0,
            event_queue: 1,
            log_lines_per_second: 0,
            failures: 1,
            failure_window: Duration::from_secs(3600),
            roll_back_within: Duration::ZERO,
        }
    );
    let allow = ["http://127.0.0.1:8080/hooks/*", "https://*.example.com/*"];
    let allow = allow.map(|entry| outbound::UrlPattern::parse(entry).unwrap());
    assert_eq!(
        live.http,
        outbound::HttpSettings {
            allow: allow.into_iter().collect(),
            private: true,
            requests: 1024,
            response_bytes: 16 << 20,
            connect: Duration::from_secs(30),
        }
    );
    assert_eq!(
        live.media,
        MediaConfig {
            keyframe_cache: 0,
            join: Join::NextKeyframe,
            queue_bytes: 64 << 10,
            queue_time: Duration::from_millis(100),
            slow_close: Duration::from_secs(3600),
            gather: Duration::from_secs(1),
            publisher_timeout: Duration::from_secs(1),
            wait_for_publisher: Duration::ZERO,
        }
    );
    let other = &config.applications["ünïcode"];
    assert_eq!(other.plugin, testdata("good").join("../b.wasm"));
    assert_eq!(config.acceptors.len(), 5);
    assert_eq!(
        config.acceptors[4],
        AcceptorConfig {
            listen: "[::]:443".parse().unwrap(),
            dual_stack: true,
            chain: Chain::Rtmp(RtmpChain::Rtmpts),
            tls: vec![CertificateFiles {
                certificate: "/etc/tls/a.pem".into(),
                key: "/etc/tls/a.key".into(),
            }],
            serve: vec![],
            proxy_protocol: vec![
                "10.0.0.0/8".parse().unwrap(),
                "2001:db8::7/128".parse().unwrap(),
                "192.0.2.0/24".parse().unwrap(),
                "::/0".parse().unwrap(),
            ],
            applications: vec![],
        }
    );
    assert!(config.acceptors[0].serves("live") && !config.acceptors[0].serves("ünïcode"));
    assert_eq!(
        config.limits,
        ServerLimits {
            connections: 1,
            connections_per_address: 1,
            ungranted_per_address: 2,
            handshake: Duration::from_millis(500),
            idle: Duration::from_secs(24 * 3600),
            streams_per_connection: 1,
            message: 16 << 20,
            call: 64 << 10,
            chunk: 128,
            tunnel: Duration::from_secs(1),
            drain: Duration::ZERO,
        }
    );
}

#[test]
fn names_attributes_byte_order_mark_and_carriage_returns_are_fine() {
    let config = good("windows.ron");
    assert_eq!(config.applications["live"].limits, PluginLimits::default());
    assert_eq!(config.acceptors[0].listen, "[::1]:0".parse().unwrap());
}

#[test]
fn shipped_file_is_valid_and_open_on_loopback_only() {
    let file = host().join("../config.ron");
    let text = fs::read_to_string(&file).unwrap();
    let config = Config::parse(&file, &text).unwrap_or_else(|error| panic!("{error}"));
    assert!(config.applications.contains_key("live"));
    for acceptor in &config.acceptors {
        assert!(acceptor.listen.ip().is_loopback(), "{acceptor:?}");
    }
}

#[test]
fn shipped_file_states_defaults_as_they_are() {
    // What it writes out to teach must not differ from leaving it out.
    let file = host().join("../config.ron");
    let config = Config::parse(&file, &fs::read_to_string(&file).unwrap()).unwrap();
    let live = &config.applications["live"];
    assert_eq!(config.log, LogSettings::default());
    assert_eq!(config.limits, ServerLimits::default());
    assert_eq!(live.limits, PluginLimits::default());
    assert_eq!(live.media, MediaConfig::default());
    assert_eq!(live.on_error, OnError::default());
}

#[test]
fn each_question_has_its_own_answer_when_the_plugin_fails() {
    let read = |on_error: &str| {
        let text = format!(
            r#"(applications: {{"live": (plugin: "a.wasm", on_error: {on_error})}},
                acceptors: [(listen: "127.0.0.1:1935")])"#
        );
        let config = Config::parse(Path::new("config.ron"), &text);
        config.map(|config| config.applications["live"].on_error)
    };
    let (connect, publish, play) = (Fallback::Allow, Fallback::Reject, Fallback::Allow);
    let each = OnError {
        connect,
        publish,
        play,
        shared_object: Fallback::Reject,
    };
    let same = "OnError(connect: Allow, publish: Reject, play: Allow)";
    assert_eq!(read("(play: Allow, connect: Allow)").unwrap(), each);
    assert_eq!(read(same).unwrap(), each);
    assert_eq!(read("()").unwrap(), OnError::default());
    assert_eq!(read("Allow").unwrap(), Fallback::Allow.into());
    for (wrong, expected) in [
        (
            "(call: Allow)",
            "expected one of the fields connect, publish, play, shared_object; found `call`",
        ),
        (
            "(play: Maybe)",
            "on_error.play: expected Reject or Allow; found Maybe",
        ),
        (
            "[Allow]",
            "on_error: expected Reject or Allow, or (connect: Reject",
        ),
        ("Other(play: Allow)", "found Other(...)"),
    ] {
        let error = read(wrong).unwrap_err().to_string();
        assert!(error.contains(expected), "{wrong}: {error}");
    }
}

#[test]
fn loading_wants_the_file_and_its_plugins() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.ron");
    let missing = Config::load(&file).unwrap_err().to_string();
    assert!(
        missing.starts_with("cannot read the configuration ") && missing.contains("config.ron"),
        "{missing}"
    );

    let text = fs::read_to_string(testdata("good").join("minimal.ron")).unwrap();
    fs::write(&file, text).unwrap();
    let without = Config::load(&file).unwrap_err().to_string();
    assert!(
        without.contains("config.ron:2:37: applications.\"live\".plugin: expected a plugin's file"),
        "{without}"
    );

    fs::write(folder.path().join("a.wasm"), "").unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(config.base, folder.path());
    assert_eq!(
        config.applications["live"].plugin,
        folder.path().join("a.wasm")
    );
}

#[test]
fn endless_file_is_refused() {
    let error = Config::load(Path::new("/dev/zero"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("longer than 1 MiB"), "{error}");
}

#[test]
fn debug_output_hides_the_plugins_configuration() {
    let shown = format!("{:?}", good("full.ron"));
    assert!(!shown.contains("kéy"), "{shown}");
}

#[test]
fn brief_errors_show_no_keys() {
    for config in [
        "{\"keys\": [\"SECRET1\" \"SECRET2\"]}",
        "{\"keys\": [\"SECRET1\", inf]}",
        "{\"keys\": [\"SECRET1\", \"SECRET2]}",
    ] {
        let text = format!(
            "(applications: {{\"live\": (plugin: \"a\", config: {config})}}, \
             acceptors: [(listen: \"127.0.0.1:1\")])"
        );
        let error = Config::parse(Path::new("c.ron"), &text).expect_err(config);
        let brief = error.brief();
        assert!(brief.starts_with("c.ron:1:"), "{brief}");
        assert!(
            !brief.contains("SECRET") && !brief.contains('\n'),
            "{brief}"
        );
    }
}

/// A stream is called by its path, as clients and plugins call it.
#[test]
fn the_name_of_a_relayed_stream_is_its_path() {
    let parse = |relays: &str| {
        let text = format!(
            "(applications: {{\"live\": (plugin: \"a\", {relays})}}, \
             acceptors: [(listen: \"127.0.0.1:1\")])"
        );
        Config::parse(Path::new("c.ron"), &text)
    };
    let pulls = |names: &[&str]| {
        let pull = |name: &&str| format!("(name: \"{name}\", from: \"rtmp://a/b/c\")");
        let pulls: Vec<_> = names.iter().map(pull).collect();
        parse(&format!("pull: [{}]", pulls.join(", ")))
    };
    let config = pulls(&["cam", "/room//cam/"]).unwrap();
    let paths = config.applications["live"].relays.pulls.iter();
    let paths: Vec<_> = paths.map(|pull| &*pull.path).collect();
    assert_eq!(paths, ["cam", "room/cam"]);
    let twice = pulls(&["room/cam", "room//cam"]).unwrap_err().to_string();
    assert!(twice.contains("each stream once"), "{twice}");
    for none in ["", "/", "a/../b", "cam?key=1"] {
        let refused = pulls(&[none]).unwrap_err().to_string();
        assert!(
            refused.contains("the name of a stream in quotes"),
            "{refused}"
        );
    }
}

/// The log of a file that is refused, for all that may hold a key.
#[test]
fn the_log_has_no_url_name_or_text_that_is_wrong() {
    for part in [
        r#"forward: [(to: "rtmp://a.example/live/s3cret")]"#,
        r#"forward: "rtmp://a.example/live/s3cret""#,
        r#"forward: ["rtmp://a.example/live/s3cret"]"#,
        r#"pull: [(name: "n", from: "rtmp://ann:s3cret@/x?key=s3cret")]"#,
        r#"pull: [(name: "cam?key=s3cret", from: "rtmp://a/b/c")]"#,
        r#"relay: (allow: ["rtmp://u:s3cret@@x/#"])"#,
        r#"relay: (allow: "rtmp://u:s3cret@x/*")"#,
        r#"relay: "s3cret""#,
        r#"http: (allow: "https://u:s3cret@x/*")"#,
        r#"http: (allow: ["https://u:s3cret@@x/*"])"#,
        r##"config: {"keys": [r#"top"s3cret"x"#, inf]}"##,
        "config: {\"keys\": [\"first\ns3cret\", inf, \"other\n\"]}",
        r#"config: {"keys": [b"s3cret"]}"#,
        r#"config: {"keys": "s3cret, x: "s3cret"}"#,
        r#"config: {"keys": [s3cret", "s3cret]}"#,
        r#"limits: (cpu: "s3cret s3cret s3cret s3cret s3cret s3cret s3cret s3cret")"#,
        r#"key: "s3cret""#,
    ] {
        let text = format!(
            "(applications: {{\"live\": (plugin: \"a\", {part})}}, \
             acceptors: [(listen: \"127.0.0.1:1\")])"
        );
        let error = Config::parse(Path::new("c.ron"), &text).expect_err(part);
        let lines = error.lines().join("\n");
        assert!(lines.contains("c.ron:"), "{lines}");
        assert!(!lines.contains("s3cret"), "{lines}");
        assert!(!error.brief().contains("s3cret"), "{}", error.brief());
    }
}

#[test]
fn problems_carry_their_place_as_data() {
    let text =
        "(\n    applications: {\"live\": (plugin: \"a\")},\n    acceptors: [(listen: \"x\")],\n)";
    let Err(ConfigError::Invalid(report)) = Config::parse(Path::new("c.ron"), text) else {
        panic!("expected a report");
    };
    let [problem] = report.problems() else {
        panic!("expected one problem: {report}");
    };
    assert_eq!(&text[problem.span.clone()], "\"x\"");
    assert_eq!(problem.field, "acceptors[0].listen");
}

/// The tables in `docs/config.md`, between their markers: each begins with the first
/// parts of the fields' paths that it lists.
#[test]
fn documentation_lists_every_field() {
    const BEGIN: &str = "<!-- fields: ";
    const END: &str = "<!-- end of fields -->";
    let file = host().join("../docs/config.md");
    let documented = fs::read_to_string(&file).unwrap();
    let mut rest = documented.as_str();
    let mut made = String::new();
    let mut left = fields();
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (sections, after) = after.split_once(" -->\n").expect("an end of the marker");
        let (_, after) = after.split_once(END).expect("an end of the table");
        made += &format!(
            "{before}{BEGIN}{sections} -->\n| field | default | allowed | meaning |\n|---|---|---|---|\n"
        );
        let of_section = |field: &mut livehost_ron::FieldDoc| {
            let first = field.path.split(['.', '[']).next().unwrap_or_default();
            sections.split(' ').any(|section| section == first)
        };
        for field in left.extract_if(.., of_section) {
            assert!(!field.text.is_empty(), "{} has no text", field.path);
            made += &format!(
                "| `{}` | `{}` | {} | {} |\n",
                field.path, field.default, field.allowed, field.text
            );
        }
        made += END;
        rest = after;
    }
    made += rest;
    assert!(left.is_empty(), "no table of docs/config.md lists {left:?}");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&file, made).unwrap();
    } else {
        let differs = made.lines().zip(documented.lines());
        let differs = differs
            .into_iter()
            .find(|(made, documented)| made != documented);
        assert!(
            made == documented,
            "`make docs` makes the tables of docs/config.md anew, which differ: {differs:#?}"
        );
    }
}

/// The first example of `docs/config.md` is a whole file.
#[test]
fn documented_smallest_file_is_valid() {
    let documentation = fs::read_to_string(host().join("../docs/config.md")).unwrap();
    let (_, rest) = documentation.split_once("```ron\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let config = Config::parse(Path::new("/srv/config.ron"), example)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        config.applications["live"].plugin,
        Path::new("/srv/target/plugins/static-keys.wasm")
    );
}

mod arbitrary {
    use proptest::prelude::*;

    use super::super::Config;

    proptest! {
        /// Whatever is in a file: a configuration or a message, no panic.
        #[test]
        fn text_is_read_or_explained(text in "\\PC{0,60}") {
            let _ = Config::parse("f".as_ref(), &text).map_err(|error| error.to_string());
        }

        #[test]
        fn ron_like_text_is_read_or_explained(
            tokens in prop::collection::vec(
                prop::sample::select(vec![
                    "(", ")", "[", "]", "{", "}", ":", ",", "\"", "'", "applications", "acceptors",
                    "listen", "plugin", "config", "limits", "log", "\"live\"", "\"1 s\"", "1", "-2.5",
                    "Tcp", "Rtmp", "None", "Some", "r#\"", "b\"", "/*", "*/", "//", "\n", " ", "é", "\\",
                    "#![enable(", "..", "inf", "()",
                ]),
                0..40,
            ),
        ) {
            let text = tokens.concat();
            let _ = Config::parse("f".as_ref(), &text).map_err(|error| error.to_string());
        }

        /// A valid file with one part replaced: valid, or explained at a
        /// place that is on the file's lines.
        #[test]
        fn damaged_file_is_read_or_explained(at in 0..2000_usize, len in 0..30_usize, with in "\\PC{0,6}") {
            let text = include_str!("../../testdata/config/good/full.ron");
            let from = text.floor_char_boundary(at);
            let to = text.ceil_char_boundary((at + len).min(text.len())).max(from);
            let damaged = format!("{}{with}{}", &text[..from], &text[to..]);
            if let Err(error) = Config::parse("f".as_ref(), &damaged) {
                let shown = error.to_string();
                let line: usize = shown.split(':').nth(1).unwrap().parse().unwrap();
                prop_assert!(line <= damaged.matches('\n').count() + 1, "{}", shown);
            }
        }
    }
}
