//! What `run` and `check` tell whoever starts a server: lines to paste that fit
//! the policy, and what the policy asks for that no server can do yet.

use std::time::{Duration, Instant};

use crate::support::{App, Config, Host, guests, host, log::START, rtmp::Client, together};

const SOON: Duration = Duration::from_secs(30);

/// The banner's words about publishing and playing.
fn banner(config: &Config) -> (Host, String) {
    let host = Host::start(config);
    let lines = host.process.stdout.clone();
    let deadline = Instant::now() + SOON;
    let shown = lines.wait(0, deadline, |line| {
        line.text.contains("ffplay").then_some(())
    });
    shown.expect("the banner ends with a line to play");
    // It is written in one piece; what follows the line is there, too.
    let text = lines.text();
    let words = text.split_once("publish ").expect("a line to publish").1;
    (host, words.to_owned())
}

#[test]
fn the_lines_to_paste_say_what_the_policy_wants_beside_them() {
    let _guard = together();
    let refused = "the policy refuses it as it is: ";
    let (host, words) = banner(&Config::live(App::keys(r#"{"publish": "open"}"#)));
    assert!(!words.contains(refused), "{words}");
    host.stop();

    let keys = r#"{"publish": {"keys": ["k"]}, "play": "open"}"#;
    let (host, words) = banner(&Config::live(App::keys(keys)));
    let (publish, play) = words.split_once("ffplay").expect("two lines");
    assert!(
        publish.contains(refused) && publish.contains("?key=KEY"),
        "{words}"
    );
    assert!(!play.contains(refused), "{words}");
    // It left nothing behind, and says what clients are told.
    assert!(host.log.find(START, "connected", &[]).is_empty());
    let told = Client::publish(host.addr, "live", "test").expect_err("a key is required");
    assert!(publish.contains(told.description()), "{words}");
    host.stop();

    // The name that is shown is the name that is asked about.
    let rules = r#"(rules: [(match: (name: "test", ip: "127.0.0.1"), then: Allow)])"#;
    let app = App::new(guests::guest("rules.wasm"), rules);
    let (host, words) = banner(&Config::live(app));
    assert!(!words.contains(refused), "{words}");
    Client::publish(host.addr, "live", "test").expect("as the banner says");
    host.stop();
}

#[test]
fn a_configuration_that_needs_recording_is_refused() {
    let _guard = together();
    let folder = host::folder();
    let rules = r#"(rules: [(match: (action: "publish"), then: Allow(record: (path: "{name}")))])"#;
    let text = Config::live(App::new(guests::guest("rules.wasm"), rules)).text();
    for mut process in [
        host::check(folder.path(), &text),
        host::launch(folder.path(), &text),
    ] {
        let exit = process.wait(SOON);
        assert_eq!(exit.status.code(), Some(1), "{}", exit.stderr);
        assert!(exit.stderr.contains("record: "), "{}", exit.stderr);
    }
    // A policy whose settings do not show it.
    let text = Config::live(App::probe("record")).text();
    let exit = host::check(folder.path(), &text).wait(SOON);
    assert_eq!(exit.status.code(), Some(1), "{}", exit.stderr);
    assert!(
        exit.stderr
            .contains("grants record-to, which this host can't do yet"),
        "{}",
        exit.stderr
    );
}
