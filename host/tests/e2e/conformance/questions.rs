//! What a client says reaches the plugin as the interface describes it.

use std::time::Duration;

use crate::support::{
    App, Config, Host,
    amf::Amf,
    rtmp::{Client, Failure},
    together,
};

const SOON: Duration = Duration::from_secs(20);

/// What the probe was asked, as it tells the client.
fn connect(host: &Host, app: &str, more: &[(&str, Amf)]) -> (String, String) {
    let mut client = Client::open(host.addr).expect("it listens");
    let sent = client.connect_command_with(host.addr, app, more);
    sent.expect("sent");
    let local = client.local();
    let refused = client.until(SOON, |command| command.name == "_result");
    let refused = refused.expect_err("the probe refuses with its answer");
    (refused.description().to_owned(), local)
}

#[test]
fn a_question_says_what_the_client_said() {
    let _guard = together();
    let host = Host::start(&Config::live(App::probe("accept")));
    let addr = host.addr;
    let tell = |of: &str| connect(&host, &format!("live/room1?mode=tell&of={of}"), &[]);

    assert_eq!(tell("app").0, "live Some(\"room1\")");
    let (told, _) = connect(&host, "live?mode=tell&of=app", &[]);
    assert_eq!(told, "live None");
    // The acceptor's address, and the client's own.
    assert_eq!(tell("local").0, addr.to_string());
    let (told, local) = tell("client");
    assert_eq!(told, format!("rtmp {local}"));
    let (told, _) = tell("query&a=1&a=2%20b");
    assert_eq!(
        told,
        "[(\"mode\", \"tell\"), (\"of\", \"query\"), (\"a\", \"1\"), (\"a\", \"2 b\")]"
    );
    assert_eq!(
        tell("tc-url").0,
        format!("rtmp://{addr}/live/room1?mode=tell&of=tc-url")
    );
    assert_eq!(tell("flash-ver").0, "FMLE/3.0 (compatible; livehost test)");
    // An object within the object, as flat names.
    let inner = Amf::Object(vec![("b".to_owned(), Amf::Boolean(true))]);
    let more = [("capsEx", Amf::Number(15.0)), ("a", inner)];
    let (told, _) = connect(&host, "live?mode=tell&of=props", &more);
    for part in [
        "(\"capsEx\", Scalar::Number(15.0))",
        "(\"a.b\", Scalar::Boolean(true))",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }

    // A stream's name without and with its query, how and from where, and what
    // the connection was granted.
    let attrs = "[(\"version\", \"000000\")]";
    let publish = |mode: &str| -> Failure {
        let mut client = Client::connect(addr, "live/room1").expect("may connect");
        client.create_stream().expect("created");
        let arguments = ["cam?mode=tell".into(), mode.into()];
        let stream = client.stream;
        let sent = client.command(stream, "publish", 5.0, Amf::Null, &arguments);
        sent.expect("sent");
        let refused = client.status(SOON, "NetStream.Publish.Start");
        refused.expect_err("the probe refuses with its answer")
    };
    for mode in ["live", "record", "append"] {
        assert_eq!(
            publish(mode).description(),
            format!("cam as cam?mode=tell by {mode} at None in Some(\"room1\") of live, {attrs}")
        );
    }
    for (start, mode, at) in [
        (-2000.0, "any", "None"),
        (-1000.0, "live", "None"),
        (7.0, "vod", "Some(7.0)"),
    ] {
        let mut client = Client::connect(addr, "live").expect("may connect");
        client.create_stream().expect("created");
        let arguments = ["cam?mode=tell".into(), Amf::Number(start)];
        let stream = client.stream;
        let sent = client.command(stream, "play", 0.0, Amf::Null, &arguments);
        sent.expect("sent");
        let refused = client.status(SOON, "NetStream.Play.Start");
        let refused = refused.expect_err("the probe refuses with its answer");
        assert_eq!(
            refused.description(),
            format!("cam as cam?mode=tell by {mode} at {at} in None of live, {attrs}")
        );
    }
    host.stop();
}
