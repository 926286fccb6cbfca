//! The shipped rules and jwt: what they decide is what clients get.

use std::time::Duration;

use crate::support::{
    App, Config, Host, guests,
    log::START,
    rtmp::{Client, Failure},
    together,
};

const SOON: Duration = Duration::from_secs(10);

/// Made by another implementation; see plugins/jwt/README.md. For cam* of
/// ann, until 2100.
const RS256: &str = include_str!("../../../plugins/jwt/testdata/rs256.jwt");
const ES256: &str = include_str!("../../../plugins/jwt/testdata/es256.jwt");
const RSA: &str = include_str!("../../../plugins/jwt/testdata/rsa.pem");
const EC: &str = include_str!("../../../plugins/jwt/testdata/ec.pem");

fn start(plugin: &str, config: &str) -> Host {
    Host::start(&Config::live(app(plugin, config)))
}

fn app(plugin: &str, config: &str) -> App {
    App::new(guests::guest(plugin), config)
}

fn play(host: &Host, name: &str) -> Result<(), Failure> {
    let mut client = Client::play(host.addr, "live", name)?;
    client.status(SOON, "NetStream.Play.Start")
}

#[test]
fn rules_written_as_ron_decide() {
    let _guard = together();
    // As an operator writes them: fields without quotes, variants in capitals.
    let host = start(
        "rules.wasm",
        r#"(
            rules: [
                (match: (ip: "10.0.0.0/8"), then: Deny("not from there")),
                (match: (action: "publish", name: "cam-*", query: {"key": "k-83a7"}), then: Allow(
                    name: "studio-{1}",
                    on_duplicate: "reject",
                    hold: "1 s",
                )),
                (match: (action: "play", name: "studio-*", ip: ["127.0.0.0/8"]), then: Allow),
                (match: (action: "connect", query: {"old": "*"}), then: Redirect("rtmp://new.example/{app}")),
                (then: Deny("not on the list")),
            ],
        )"#,
    );
    let publish = |name: &str| Client::publish(host.addr, "live", name);
    let encoder = publish("cam-7?key=k-83a7").expect("the second rule");
    host.log
        .wait(START, "publishing", &[("renamed", "studio-7")], SOON);
    for name in ["cam-7", "cam-7?key=wrong", "mic?key=k-83a7"] {
        let refused = publish(name).expect_err("the last rule");
        assert_eq!(refused.code(), "NetStream.Publish.Denied");
        assert!(
            refused.description().contains("not on the list"),
            "{refused:?}"
        );
    }
    let taken = publish("cam-7?key=k-83a7").expect_err("the name is taken");
    assert_eq!(taken.code(), "NetStream.Publish.BadName");
    play(&host, "studio-7").expect("the third rule");
    play(&host, "cam-7").expect_err("the last rule");
    Client::connect(host.addr, "live?old=1").expect_err("sent elsewhere");
    encoder.leave();
    let log = host.process.stderr.text();
    assert!(!log.contains("k-83a7"), "a key is in the log:\n{log}");
    host.stop();
}

#[test]
fn tokens_open_what_they_claim() {
    let _guard = together();
    let keys = format!(
        r#"(keys: [(pem: {RSA:?}), (pem: {EC:?}, kid: "e1")], issuer: "https://id.example")"#
    );
    // A tenth of the usual CPU budget: no check of a signature comes near it.
    let limited = app("jwt.wasm", &keys).limits(r#"cpu: "5 ms""#);
    let host = Host::start(&Config::live(limited));
    let publish = |name: String| Client::publish(host.addr, "live", &name);
    publish(format!("cam1?token={RS256}")).expect("RS256");
    publish(format!("cam2?jwt={ES256}")).expect("ES256");
    play(&host, &format!("cam3?token={ES256}")).expect("a token for playing, too");
    let wrong = publish(format!("mic?token={RS256}")).expect_err("the token is for cam*");
    assert!(wrong.description().contains("not for stream"), "{wrong:?}");
    let none = publish("cam4".into()).expect_err("no token");
    assert!(none.description().contains("NAME?token=TOKEN"), "{none:?}");
    let (signed, _) = RS256.rsplit_once('.').expect("three parts");
    let forged = format!("{signed}.{}", "A".repeat(342));
    let forged = publish(format!("cam5?token={forged}")).expect_err("forged");
    assert!(
        forged.description().contains("signature is wrong"),
        "{forged:?}"
    );
    // One token for all streams of a connection.
    let mut client = Client::connect(host.addr, &format!("live?token={RS256}")).expect("good");
    client.start_publish("cam6").expect("of the connection");
    client.start_publish("mic").expect_err("not for mic");
    let bad = Client::connect(host.addr, "live?token=a.b.c").expect_err("malformed");
    assert!(bad.description().contains("malformed"), "{bad:?}");
    let log = host.process.stderr.text();
    for token in [RS256, ES256] {
        assert!(!log.contains(token), "a token is in the log:\n{log}");
    }
    host.stop();
}
