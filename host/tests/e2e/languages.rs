//! One policy in five languages (`plugins/lang`): the same questions must get
//! the same answers, from one that serves real clients and in the cases that
//! they share (`plugins/lang/cases.ron`).

use std::time::Duration;

use crate::support::{
    App, Config, Host,
    amf::Amf,
    guests, host,
    http_server::{HttpServer, Reply},
    log::START,
    rtmp::{Client, Failure},
    together,
};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn rust() {
    conforms("rust");
}

#[test]
fn c() {
    conforms("c");
}

#[test]
fn zig() {
    conforms("zig");
}

#[test]
fn python() {
    conforms("python");
}

#[test]
fn javascript() {
    conforms("js");
}

mod cases {
    use crate::{
        author,
        support::{guests, together},
    };

    fn pass(language: &str) {
        let plugin = format!("lang/{language}");
        let file = format!("{plugin}.wasm");
        if guests::built(&file) {
            let _guard = together();
            let state = guests::compiled(&file);
            let state = state.to_str().expect("a path in UTF-8");
            author::passes(&plugin, "lang", &["--state", state]);
        }
    }

    #[test]
    fn pass_in_rust() {
        pass("rust");
    }

    #[test]
    fn pass_in_c() {
        pass("c");
    }

    #[test]
    fn pass_in_zig() {
        pass("zig");
    }

    #[test]
    fn pass_in_python() {
        pass("python");
    }

    #[test]
    fn pass_in_javascript() {
        pass("js");
    }
}

fn conforms(language: &str) {
    let file = format!("lang/{language}.wasm");
    if !guests::built(&file) {
        return;
    }
    let _guard = together();
    // The machine may be busy: the answers are tested here, not their time.
    let app = |config: &str| {
        App::new(guests::guest(&file), config)
            .limits(r#"cpu: "3 s", decision: "20 s", start_cpu: "10 s", start: "1 min""#)
    };
    let back_end = HttpServer::start(|seen| {
        Reply::status(if seen.text().contains("banned") {
            403
        } else {
            204
        })
    });
    let allow = format!("allow: [{:?}]", back_end.url("/*"));
    let hook = |url: &str| format!(r#"(keys: {{"*": ["k"]}}, hook: {url:?})"#);
    let config = Config::live(app(r#"(
            keys: {"cam1": ["k1"], "cam*": ["k-cam", "k-cam2"], "camera*": ["k-camera"], "é": ["ü\"\\"]},
            rename: "live-{name}-$1",
            on_duplicate: "replace",
            apps: ["live"],
        )"#))
    .and("old", app(r#"(keys: {}, moved: {"old": "rtmp://new.example/live"})"#))
    .and("unknown", app(r#"(keys: {}, apps: ["live"])"#))
    .and("asking", app(&hook(&back_end.url("/hook"))).http(&allow))
    .and("denied", app(&hook(&back_end.url("/hook"))));
    let folder = host::folder();
    let state = folder.path().join("state");
    guests::compiled_for(&state, &file);
    let config = config.state(&state);
    let host = Host::start_in(folder, &config);

    connects(&host);
    keys(&host);
    names(&host);
    counts(&host);
    asks(&host, &back_end);
    refuses(&host, &config, &app);
    host.stop();
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Failure>) -> (String, String) {
    let failure = result.expect_err("a refusal");
    (failure.code().to_owned(), failure.description().to_owned())
}

fn connects(host: &Host) {
    let (code, _) = refusal(Client::connect(host.addr, "old"));
    assert_eq!(code, "NetConnection.Connect.Rejected");
    host.log.wait(START, "redirected", &[], SOON);
    let (code, why) = refusal(Client::connect(host.addr, "unknown"));
    assert_eq!(code, "NetConnection.Connect.Rejected");
    assert!(why.contains("there is no application \"unknown\""), "{why}");
}

fn keys(host: &Host) {
    let publish = |name: &str| Client::publish(host.addr, "live", name);
    for name in ["cam1", "cam1?key=", "cam1?other=k1"] {
        let (code, why) = refusal(publish(name));
        assert_eq!(code, "NetStream.Publish.Denied", "{name}");
        assert!(
            why.contains("a publish key is required: NAME?key=KEY"),
            "{name}: {why}"
        );
    }
    let wrong = [
        "cam1?key=k2",
        "cam1?key=k",
        "cam1?key=k11",
        // Another stream's, a shorter prefix's, and that of no pattern.
        "cam1?key=k-cam",
        "camera7?key=k-cam",
        "studio?key=k1",
    ];
    for name in wrong {
        let (code, why) = refusal(publish(name));
        assert_eq!(code, "NetStream.Publish.Denied", "{name}");
        assert!(why.contains("the publish key is wrong"), "{name}: {why}");
    }
    for name in [
        "cam1?key=k1",
        "cam?key=k-cam",
        "cam3?key=k-cam2",
        "camera7?key=k-camera",
        "é?key=ü\"\\",
    ] {
        publish(name).unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
    }
}

fn names(host: &Host) {
    let publish = || Client::publish(host.addr, "live", "cam4?key=k-cam").expect("the right key");
    let mut first = publish();
    host.log
        .wait(START, "publishing", &[("renamed", "live-cam4-$1")], SOON);
    // A player asks by the same name and gets the renamed stream.
    let mut player = Client::play(host.addr, "live", "cam4").expect("a connection");
    player
        .status(SOON, "NetStream.Play.Start")
        .expect("the stream plays");
    let _second = publish();
    assert!(first.closed(SOON), "replaced by the second");
}

fn counts(host: &Host) {
    let count = |method: &str, argument: &[Amf]| {
        let mut client = Client::connect(host.addr, "live").expect("everybody may connect");
        client
            .command(0, method, 7.0, Amf::Null, argument)
            .expect("sent");
        client.until(SOON, |command| {
            command.name == "_result" && command.arguments.first() == Some(&Amf::Number(7.0))
        })
    };
    for (name, expected) in [("cam4", 2.0), ("cam1", 1.0), ("é", 1.0), ("never", 0.0)] {
        let answer = count("count", &[name.into()]).expect("a result");
        assert_eq!(
            answer.arguments.last(),
            Some(&Amf::Number(expected)),
            "{name}"
        );
    }
    for arguments in [&[][..], &[Amf::Number(1.0)]] {
        let (_, why) = refusal(count("count", arguments));
        assert!(
            why.contains("count: expected the name of a stream"),
            "{why}"
        );
    }
    refusal(count("other", &["cam4".into()]));
}

fn asks(host: &Host, back_end: &HttpServer) {
    let publish = |app: &str, name: &str| Client::publish(host.addr, app, name);
    let publisher = publish("asking", "a\"b?key=k").expect("2xx accepts");
    let seen = back_end.seen();
    let request = seen.first().expect("the back end was asked");
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/hook")
    );
    assert_eq!(request.header("content-type"), Some("application/json"));
    let body: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
    let expected = serde_json::json!({
        "hook": "publish",
        "app": "asking",
        "name": "a\"b",
        "stream": "a\"b",
        "remote": publisher.local(),
    });
    assert_eq!(body, expected);

    let (code, why) = refusal(publish("asking", "banned?key=k"));
    assert_eq!(code, "NetStream.Publish.Denied");
    assert!(why.contains("refused by the back end: status 403"), "{why}");
    // By default a second publisher is refused, after it was asked about.
    let (code, _) = refusal(publish("asking", "a\"b?key=k"));
    assert_eq!(code, "NetStream.Publish.BadName");
    let asked = back_end.seen().len();
    refusal(publish("asking", "a?key=wrong"));
    assert_eq!(
        back_end.seen().len(),
        asked,
        "a wrong key is not asked about"
    );

    let (code, why) = refusal(publish("denied", "a?key=k"));
    assert_eq!(code, "NetStream.Publish.Denied");
    assert!(why.contains("the back end does not answer"), "{why}");
    let told = host.log.wait_until(START, SOON, |entry| {
        entry.message().starts_with("the back end failed")
    });
    let told = told.expect("an operator is told");
    assert_eq!(told.field("app").as_deref(), Some("denied"));
    assert_eq!(back_end.seen().len(), asked);
}

/// Configurations that are refused: each as an application more, which leaves
/// the server as it is.
fn refuses(host: &Host, config: &Config, app: &dyn Fn(&str) -> App) {
    let wrong = [
        "()",
        "(keys: {}, kyes: {})",
        r#"(keys: {"a": "k"})"#,
        r#"(keys: {}, rename: "a")"#,
        r#"(keys: {}, on_duplicate: "both")"#,
        "(keys: {}, apps: [1])",
        r#"(keys: {}, moved: {"a": 1})"#,
        "(keys: {}, hook: 1)",
    ];
    let save = |settings: &str| {
        let mark = host.log.mark();
        let text = config.clone().and("more", app(settings)).text();
        guests::replace(&host.file("config.ron"), text.as_bytes());
        let verdict = host.log.wait_until(mark, SOON, |entry| {
            // Lines of the file follow a refusal.
            entry.message() == "configuration in force"
                || entry.message().starts_with("configuration refused")
        });
        verdict.expect("a verdict on the saved configuration")
    };
    for settings in wrong {
        let error = save(settings).field("error").unwrap_or_default();
        assert!(
            error.contains("\"more\"") && error.contains("refused its configuration"),
            "{settings}: {error}"
        );
    }
    let all = r#"(keys: {}, apps: None, moved: {}, rename: "{name}", on_duplicate: "standby", hook: None)"#;
    assert_eq!(save(all).message(), "configuration in force");
}
