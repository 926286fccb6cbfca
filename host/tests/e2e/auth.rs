//! The shipped static-keys: who may publish and play.

use std::time::Duration;

use crate::support::{
    App, Config, Encoder, Host, Tool, amf::Amf, clients, fixture, log::START, rtmp::Client,
    together,
};

const SOON: Duration = Duration::from_secs(10);

/// Keys that appear nowhere else, so that the log can be searched for them.
const CONFIG: &str = r#"{
    "publish": { "keys": ["k-anywhere-51c1"], "streams": { "cam": ["k-cam-83a7"] } },
    "play": { "tokens": ["t-viewer-77f0"] },
}"#;

fn start() -> Host {
    Host::start(&Config::live(App::keys(CONFIG)))
}

#[test]
fn encoders_show_why_they_were_refused() {
    let _guard = together();
    if !clients::all(&[Tool::Ffmpeg9]) {
        return;
    }
    let film = fixture::film(6, 0);
    let host = start();
    for tool in clients::present(&[Tool::Ffmpeg5, Tool::Ffmpeg9, Tool::Gstreamer]) {
        for path in ["live/cam?key=k-wrong-0000", "live/cam"] {
            let mark = host.log.mark();
            let exit = Encoder(tool).publish(&film, &host.url(path)).wait(SOON);
            assert!(!exit.status.success(), "{tool} published to {path}");
            let refused = host.log.wait(mark, "publish refused", &[], SOON);
            let reason = refused.field("reason").expect("a refusal has a reason");
            eprintln!(
                "{tool} to {path} was told: {}",
                exit.stderr.replace('\n', " / ")
            );
            // GStreamer shows it with the quotes escaped.
            assert!(
                exit.stderr.replace('\\', "").contains(&reason),
                "{tool} shows {reason:?}:\n{}",
                exit.stderr
            );
        }
    }
    assert_no_secret(&host);
    host.stop();
}

#[test]
fn right_key_publishes_from_every_encoder() {
    let _guard = together();
    if !clients::all(&[Tool::Ffmpeg9]) {
        return;
    }
    let film = fixture::film(6, 0);
    let host = start();
    let tools = clients::present(&[Tool::Ffmpeg5, Tool::Ffmpeg9, Tool::Gstreamer]);
    // Behind the stream's name; and behind the application's, for encoders
    // that have one field for it.
    for (i, path) in [
        "live/NAME?key=k-anywhere-51c1",
        "live?key=k-anywhere-51c1/NAME",
    ]
    .into_iter()
    .enumerate()
    {
        for tool in &tools {
            // GStreamer cannot be given a query in the application's part.
            if *tool == Tool::Gstreamer && i == 1 {
                continue;
            }
            let mark = host.log.mark();
            let name = format!("cam{}{i}", *tool as u32);
            let url = host.url(&path.replace("NAME", &name));
            let _running = Encoder(*tool).publish(&film, &url);
            host.log
                .wait(mark, "publishing", &[("stream", &name)], SOON);
        }
    }
    assert_no_secret(&host);
    host.stop();
}

#[test]
fn keys_and_tokens_open_what_they_are_for() {
    let _guard = together();
    let host = start();
    let publish = |name: &str| Client::publish(host.addr, "live", name);
    publish("cam?key=k-cam-83a7").expect("the stream's own key");
    publish("other?key=k-cam-83a7").expect_err("another stream's key");
    publish("other?key=k-anywhere-51c1").expect("the application's key");
    publish("other?key=t-viewer-77f0").expect_err("a viewer's token");
    let play = |name: &str| {
        let mut client = Client::play(host.addr, "live", name).expect("may connect");
        client.status(SOON, "NetStream.Play.Start")
    };
    play("cam?token=t-viewer-77f0").expect("the token");
    for name in ["cam", "cam?token=t-wrong-0000", "cam?token="] {
        let refused = play(name).expect_err("no token, no stream");
        assert!(!refused.description().is_empty(), "{refused:?}");
        eprintln!(
            "play {name}: {} {:?}",
            refused.code(),
            refused.description()
        );
    }
    host.log.wait(START, "play refused", &[], SOON);
    assert_no_secret(&host);
    host.stop();
}

#[test]
fn encoders_show_why_they_may_not_even_connect() {
    let _guard = together();
    if !clients::all(&[Tool::Ffmpeg9]) {
        return;
    }
    let film = fixture::film(6, 0);
    let host = Host::start(&Config::live(App::probe("reject")));
    for tool in clients::present(&[Tool::Ffmpeg5, Tool::Ffmpeg9, Tool::Gstreamer]) {
        let exit = Encoder(tool)
            .publish(&film, &host.url("live/cam"))
            .wait(SOON);
        assert!(!exit.status.success(), "{tool} was let in");
        // GStreamer shows the status code only.
        let shown = match tool {
            Tool::Gstreamer => "Probe.Rejected",
            _ => "asked to reject",
        };
        assert!(exit.stderr.contains(shown), "{tool}:\n{}", exit.stderr);
    }
    host.log.wait(
        START,
        "connect refused",
        &[("reason", "asked to reject")],
        SOON,
    );
    host.stop();
}

/// No key or token, right or wrong, ever reaches the log.
fn assert_no_secret(host: &Host) {
    let log = host.process.stderr.text();
    for secret in ["51c1", "83a7", "77f0", "k-wrong", "t-wrong"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

/// As NetConnection.connect(URL, user, ...) sends it, and librtmp with `conn=`.
#[test]
fn what_stands_behind_connects_object_reaches_the_plugin() {
    let _guard = together();
    let host = Host::start(&Config::live(App::probe("tell-extra")));
    let mut client = Client::open(host.addr).expect("a connection");
    let object = Amf::Object(vec![("app".to_owned(), "live".into())]);
    let nested = Amf::Object(vec![("room".to_owned(), Amf::Number(7.0))]);
    let arguments = ["ann".into(), Amf::Null, Amf::Boolean(true), nested];
    client
        .command(0, "connect", 1.0, object, &arguments)
        .expect("sent");
    let refused = client
        .until(SOON, |command| command.name == "_result")
        .expect_err("the probe tells by refusing");
    let told = r#"[("arg.0", "ann"), ("arg.2", "true"), ("arg.3.room", "7")]"#;
    assert!(refused.description().contains(told), "{refused:?}");
    host.stop();
}
