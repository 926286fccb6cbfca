//! Who may relay where, and how much; the configuration while streams run.

use super::{QUICK, SOON, first_frame, forward_to, open, refused, relaying};
use crate::support::{App, Config, Host, Witness, guests, log::START, rtmp::Client, together};

#[test]
fn a_plugin_relays_only_where_the_configuration_allows() {
    let _guard = together();
    let other = Host::start(&open());
    let addr = other.addr;
    let rules = format!(
        r#"(rules: [
            (match: (action: "publish", name: "good"), then: Allow(forward: ["rtmp://{addr}/live/{{name}}"])),
            (match: (action: "publish", name: "bad"), then: Allow(forward: ["rtmp://{addr}/vod/s3cret-key"])),
            (match: (action: "play", name: "pulled"), then: Allow(pull_from: "rtmp://{addr}/live/good")),
            (match: (action: "play", name: "denied"), then: Allow(pull_from: "rtmp://{addr}/vod/s3cret-key")),
        ], default: "allow")"#
    );
    let fields = format!("relay: ({QUICK}, allow: [\"rtmp://{addr}/live/*\"])");
    let app = App::new(guests::guest("rules.wasm"), rules).relays(&fields);
    let host = Host::start(&Config::live(app));

    let bad = Client::publish(host.addr, "live", "bad").expect("the publish goes on");
    let denied = host
        .log
        .wait(START, "the plugin may not push there", &[], SOON);
    let error = denied.field("error").expect("why");
    assert!(error.contains(&format!("rtmp://{addr}/vod/*")), "{error}");
    bad.leave();
    let told = refused(&host, "denied");
    assert_eq!(told.0, "NetStream.Play.Failed", "{told:?}");

    let witness = Witness::across((host.addr, "live"), (addr, "live"), "good");
    let mut player = Client::play(host.addr, "live", "pulled").expect("may play");
    first_frame(&mut player);
    witness.finish();
    assert!(
        !host.process.stderr.text().contains("s3cret"),
        "a key is in the log"
    );
    for host in [host, other] {
        host.stop();
    }
}

#[test]
fn an_application_has_no_more_relays_than_it_may() {
    let _guard = together();
    let other = Host::start(&open());
    let fields = format!(
        "relay: ({QUICK}, max: 1), forward: [\
         (to: \"rtmp://{0}/live/{{name}}\"), (to: \"rtmp://{0}/live/{{name}}-2\")]",
        other.addr
    );
    let host = Host::start(&Config::live(App::open("reject").relays(&fields)));
    let witness = Witness::across((host.addr, "live"), (other.addr, "live"), "cam");
    let refused = host.log.wait(START, "relay not started", &[], SOON);
    let error = refused.field("error").expect("why");
    assert!(error.contains("relay.max"), "{error}");
    witness.finish();
    assert_eq!(host.log.find(START, "relay up", &[]).len(), 1);
    for host in [host, other] {
        host.stop();
    }
}

#[test]
fn pulls_and_forwards_change_with_the_configuration_while_a_stream_runs() {
    let _guard = together();
    let other = Host::start(&open());
    let before = Config::live(App::open("reject"));
    let host = Host::start(&before);
    let witness = Witness::start(host.addr, "live", "cam");
    let fields = format!(
        "{}, pull: [(name: \"back\", from: {:?})]",
        forward_to(other.addr),
        other.url("live/cam")
    );
    let save = |config: &Config| {
        let mark = host.log.mark();
        guests::replace(&host.file("config.ron"), config.text().as_bytes());
        host.log.wait(mark, "configuration in force", &[], SOON);
    };
    save(&Config::live(relaying(&fields)));
    // Away and back, each begun by the configuration.
    let mut player = Client::play(host.addr, "live", "back").expect("may play");
    first_frame(&mut player);
    let mark = host.log.mark();
    save(&before);
    for direction in ["push", "pull"] {
        let ended = [("direction", direction), ("reason", "stopped")];
        host.log.wait(mark, "relay ended", &ended, SOON);
    }
    player
        .status(SOON, "NetStream.Play.UnpublishNotify")
        .expect("the pull has ended");
    save(&Config::live(relaying(&fields)));
    first_frame(&mut player);

    // With the application its relays end.
    let mark = host.log.mark();
    save(&Config::live(App::open("reject")).renamed("other"));
    for direction in ["push", "pull"] {
        let ended = [("direction", direction), ("reason", "stopped")];
        host.log.wait(mark, "relay ended", &ended, SOON);
    }
    witness.finish();
    for host in [host, other] {
        host.stop();
    }
}
