//! A server says that a stream is to be had elsewhere.

use std::net::SocketAddr;

use super::{QUICK, SOON, first_frame, forward_to, open, relaying};
use crate::support::{
    App, Config, Host, Witness, guests,
    log::{Entry, START},
    nginx::free,
    rtmp::Client,
    together,
};

/// Sends everybody on.
fn sending_to(url: &str) -> Config {
    let rules = format!(
        r#"(rules: [(match: (action: "connect"), then: Redirect("{url}"))], default: "deny")"#
    );
    Config::live(App::new(guests::guest("rules.wasm"), rules))
}

/// A server whose `connect` sends everybody to `addr`.
fn first(addr: SocketAddr) -> Host {
    Host::start(&sending_to(&format!("rtmp://{addr}/live")))
}

/// A relay's failure, and its reason.
fn failed(host: &Host, direction: &str) -> (Entry, String) {
    let fields = [("direction", direction)];
    let failed = host.log.wait(START, "relay failed", &fields, SOON);
    let reason = failed.field("reason").expect("a reason");
    (failed, reason)
}

#[test]
fn push_and_pull_go_where_they_are_sent() {
    let _guard = together();
    let other = Host::start(&open());
    let second = first(other.addr);
    let first = first(second.addr);
    let pull = format!(
        "{}, pull: [(name: \"back\", from: {:?}, on_demand: true)]",
        forward_to(first.addr),
        first.url("live/cam")
    );
    let host = Host::start(&Config::live(relaying(&pull)));
    let witness = Witness::across((host.addr, "live"), (other.addr, "live"), "cam");
    let mut player = Client::play(host.addr, "live", "back").expect("may play");
    first_frame(&mut player);
    for direction in ["push", "pull"] {
        for to in [&second, &other] {
            let to = format!("rtmp://{}/live", to.addr);
            let fields = [("direction", direction), ("to", &*to)];
            host.log.wait(START, "relay redirected", &fields, SOON);
        }
        let remote = other.addr.to_string();
        let fields = [("direction", direction), ("remote", &*remote)];
        host.log.wait(START, "relay up", &fields, SOON);
    }
    witness.finish();
    for host in [host, first, second, other] {
        host.stop();
    }
}

#[test]
fn what_one_server_may_know_is_sent_to_no_other() {
    let _guard = together();
    // Nobody comes with a query, and the only user is not asked for.
    let rules = r#"(rules: [
        (match: (action: "connect", query: {"sign": "*"}), then: Deny("a query")),
        (match: (action: "publish", query: {"auth": "*"}), then: Deny("a query")),
    ], default: "allow")"#;
    let app = App::new(guests::guest("rules.wasm"), rules);
    let other = Host::start(&Config::live(app));
    let users = r#"{ "publish": "users", "users": { "ann": "pw-ann-5d1e" } }"#;
    let asks = Host::start(&Config::live(App::keys(users)));
    let (plain, login) = (first(other.addr), first(asks.addr));
    let fields = format!(
        "forward: [\
         (name: \"cam\", to: \"rtmp://{}/live?sign=s1gn/cam?auth=t0ken\"), \
         (name: \"two\", to: \"rtmp://ann:pw-ann-5d1e@{}/live/two\")]",
        plain.addr, login.addr
    );
    let host = Host::start(&Config::live(relaying(&fields)).level("debug"));
    let witness = Witness::across((host.addr, "live"), (other.addr, "live"), "cam");
    let two = Client::publish(host.addr, "live", "two").expect("may publish");
    let (_, reason) = failed(&host, "push");
    assert!(reason.contains("code=403 need auth"), "{reason}");
    let login_seen = asks.log.find(START, "authenticated", &[]);
    assert!(login_seen.is_empty(), "{login_seen:?}");
    witness.finish();
    two.leave();
    let log = host.log.clone();
    for host in [host, plain, login, other, asks] {
        host.stop();
    }
    for secret in ["5d1e", "t0ken", "s1gn"] {
        assert!(!log.0.text().contains(secret), "{secret}");
    }
}

#[test]
fn a_plugins_relay_is_sent_only_where_it_may_go() {
    let _guard = together();
    let other = Host::start(&open());
    let first = first(other.addr);
    let rules = format!(
        r#"(rules: [(match: (action: "publish"), then: Allow(
            forward: ["rtmp://{0}/live/cam"]))], default: "allow")"#,
        first.addr
    );
    let entries = [
        format!("\"rtmp://{}/live/*\"", first.addr),
        format!("\"rtmp://{}/live/*\"", other.addr),
    ];
    let relaying = |entries: &[String]| {
        let allow = entries.join(", ");
        let app = App::new(guests::guest("rules.wasm"), rules.clone());
        Config::live(app.relays(&format!("relay: ({QUICK}, allow: [{allow}])")))
    };
    let host = Host::start(&relaying(&entries[..1]));
    let publisher = Client::publish(host.addr, "live", "cam").expect("the publish goes on");
    let (_, reason) = failed(&host, "push");
    let to = format!("rtmp://{}/live", other.addr);
    assert!(reason.contains(&format!("it leads to {to})")), "{reason}");
    assert!(reason.contains(&format!("\"{to}/*\"")), "{reason}");
    assert!(host.log.find(START, "relay redirected", &[]).is_empty());
    publisher.leave();
    host.stop();
    let host = Host::start(&relaying(&entries));
    let witness = Witness::across((host.addr, "live"), (other.addr, "live"), "cam");
    witness.finish();
    for host in [host, first, other] {
        host.stop();
    }
}

#[test]
fn a_loop_of_redirects_is_told() {
    let _guard = together();
    let addr = free();
    let back = sending_to(&format!("rtmp://{addr}/live")).listen(&addr.to_string());
    let back = Host::start(&back);
    let there = first(addr);
    let host = Host::start(&Config::live(relaying(&format!(
        "pull: [(name: \"x\", from: {:?}, on_demand: true)], {}",
        back.url("live/x"),
        forward_to(there.addr)
    ))));
    let publisher = Client::publish(host.addr, "live", "cam").expect("may publish");
    // The log says why and where; where is none of the player's business.
    let (code, text) = super::refused(&host, "x");
    assert_eq!(code, "NetStream.Play.Failed", "{text}");
    assert!(text.ends_with("its server can't be reached"), "{text}");
    assert!(!text.contains(&addr.ip().to_string()), "{text}");
    for direction in ["push", "pull"] {
        let (_, reason) = failed(&host, direction);
        let expected = format!("a loop of redirects (it leads to rtmp://{addr}/live)");
        assert!(reason.ends_with(&expected), "{reason}");
    }
    publisher.leave();
    for host in [host, there, back] {
        host.stop();
    }
}
