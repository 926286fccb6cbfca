//! Keys and passwords of URLs: used, and never shown.

use super::{QUICK, SOON, relaying};
use crate::support::{App, Config, Host, Witness, guests, log::START, nginx::free, together};

#[test]
fn no_secret_of_a_url_is_in_the_log() {
    let _guard = together();
    // Repeats the stream's name to whoever may not have it.
    let keys = r#"{"publish": {"keys": ["another"]}}"#;
    let denying = Host::start(&Config::live(App::keys(keys)));
    let fields = format!(
        "relay: ({QUICK}), forward: [\
         (name: \"cam\", to: \"rtmp://{}/live/k3y-of-mine?key=t0ken\"), \
         (name: \"cam\", to: \"rtmp://{}/live?key=s1gn/k3y-of-mine\")], \
         pull: [(name: \"x\", from: \"rtmp://{}/live/k3y-of-mine?auth=t0ken\")]",
        denying.addr,
        denying.addr,
        free()
    );
    let config = Config::live(App::open("reject").relays(&fields)).level("debug");
    let host = Host::start(&config);
    let witness = Witness::start(host.addr, "live", "cam");
    let failed = host
        .log
        .wait(START, "relay failed", &[("direction", "push")], SOON);
    let reason = failed.field("reason").expect("a reason");
    assert!(
        reason.contains("***"),
        "what the server repeats is hidden: {reason}"
    );
    host.log
        .wait(START, "relay failed", &[("direction", "pull")], SOON);
    witness.finish();
    // A mistake in the file, beside the secrets.
    let mark = host.log.mark();
    let broken = config
        .text()
        .replace("media:", "madia:")
        .replace("k3y-of", "k3y of");
    guests::replace(&host.file("config.ron"), broken.as_bytes());
    let refused = "configuration refused; the old one stays in force";
    host.log.wait(mark, refused, &[], SOON);
    let stdout = host.process.stdout.clone();
    let log = host.log.clone();
    host.stop();
    for output in [log.0.text(), stdout.text()] {
        for secret in ["k3y", "t0ken", "s1gn"] {
            assert!(!output.contains(secret), "{secret} is in {output}");
        }
    }
}

/// A password that appears nowhere else, so that the log can be searched.
const PASSWORD: &str = "pw-ann-5d1e";

#[test]
fn a_push_logs_in_with_the_password_of_its_url() {
    let _guard = together();
    for challenge in ["adobe", "llnw"] {
        let users = format!(
            r#"{{ "publish": "users", "users": {{ "ann": "{PASSWORD}" }}, "challenge": "{challenge}" }}"#
        );
        let target = Host::start(&Config::live(App::keys(&users)));
        let addr = target.addr;
        let fields = format!(
            "forward: [\
             (name: \"cam\", to: \"rtmp://ann:{PASSWORD}@{addr}/live/cam\"), \
             (name: \"cam\", to: \"rtmp://ann:{PASSWORD}x@{addr}/live/other\")]"
        );
        let host = Host::start(&Config::live(relaying(&fields)).level("debug"));
        let witness = Witness::start(host.addr, "live", "cam");
        target
            .log
            .wait(START, "publishing", &[("stream", "cam")], SOON);
        target
            .log
            .wait(START, "authenticated", &[("user", "ann")], SOON);
        let failed = host.log.wait(START, "relay failed", &[], SOON);
        let reason = failed.field("reason").expect("a reason");
        assert!(reason.contains("authfailed"), "{challenge}: {reason}");
        witness.finish();
        let log = host.log.clone();
        host.stop();
        for secret in ["5d1e", "response="] {
            assert!(!log.0.text().contains(secret), "{challenge}: {secret}");
        }
        target.stop();
    }
}
