//! What the server says it supports.

use super::SOON;
use crate::support::{App, Config, Host, amf::Amf, rtmp::Client, together};

#[test]
fn connect_is_answered_with_what_the_server_supports() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    let list = ["av01", "hvc1", "Opus"].map(Amf::from);
    let flags = Amf::Object(vec![("vp09".into(), 3.0.into())]);
    for announced in [
        ("fourCcList", Amf::Array(list.into())),
        ("videoFourCcInfoMap", flags.clone()),
        ("audioFourCcInfoMap", flags),
        ("capsEx", Amf::Number(0.0)),
    ] {
        let what = announced.0;
        let answer = answer(&host, &[announced]);
        let Amf::Object(properties) = &answer else {
            panic!("{what}: {answer:?}");
        };
        let value = |name: &str| {
            let found = properties.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone())
        };
        // Reconnect, multitrack, ModEx, nanoseconds.
        assert_eq!(value("capsEx"), Some(Amf::Number(15.0)), "{what}");
        let video = value("videoFourCcInfoMap").expect("video codecs");
        let audio = value("audioFourCcInfoMap").expect("audio codecs");
        for (map, four_cc) in [
            (&video, "*"),
            (&video, "vvc1"),
            (&audio, "*"),
            (&audio, ".mp3"),
        ] {
            let Amf::Object(codecs) = map else {
                panic!("{what}: {map:?}");
            };
            let can_forward = (four_cc.to_owned(), Amf::Number(4.0));
            assert!(codecs.contains(&can_forward), "{what}: {four_cc}");
        }
        let Some(Amf::Array(list)) = value("fourCcList") else {
            panic!("{what}: {properties:?}");
        };
        assert!(list.contains(&"hvc1".into()) && list.contains(&"*".into()));
    }
    // Others get the answer they always got.
    let legacy = answer(&host, &[]);
    let Amf::Object(properties) = &legacy else {
        panic!("{legacy:?}");
    };
    let names: Vec<_> = properties.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["fmsVer", "capabilities", "mode"]);
    host.stop();
}

/// The properties in the `_result` of a connect.
fn answer(host: &Host, announced: &[(&str, Amf)]) -> Amf {
    let mut client = Client::open(host.addr).expect("a handshake");
    client
        .connect_command_with(host.addr, "live", announced)
        .expect("is sent");
    let result = client
        .until(SOON, |command| command.name == "_result")
        .expect("is accepted");
    let object = result.arguments.get(1).cloned();
    object.expect("a result has properties")
}
