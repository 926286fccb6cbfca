//! The policy as a session sees it: requests in, decisions out.

use std::rc::Rc;

use livehost_sdk::{ConnectGrant, DuplicateRule, PlayGrant, PublishGrant};
use plugin_common::script::{self, Script};

use super::*;

/// Friday 2 January 2026, 12:00 UTC.
const NOW: u64 = 1_767_355_200;

fn policy(rules: &str) -> Policy {
    Policy::new(&format!("{{\"rules\": {rules}}}"), Script::at(NOW)).expect("valid rules")
}

fn publish(policy: &Policy, req: &StreamRequest) -> Result<PublishGrant, String> {
    match policy.on_publish(req) {
        PublishDecision::Accept(grant) => Ok(grant),
        PublishDecision::Reject(rejection) => {
            assert_eq!(rejection.code, "NetStream.Publish.Denied");
            Err(rejection.description)
        }
    }
}

fn play(policy: &Policy, req: &StreamRequest) -> Result<PlayGrant, String> {
    match policy.on_play(req) {
        PlayDecision::Accept(grant) => Ok(grant),
        PlayDecision::Reject(rejection) => Err(rejection.description),
    }
}

fn connect(policy: &Policy, query: &[(&str, &str)]) -> Result<ConnectGrant, String> {
    match policy.on_connect(&script::connect(query)) {
        ConnectDecision::Accept(grant) => Ok(grant),
        ConnectDecision::Reject(rejection) => Err(rejection.description),
        ConnectDecision::Redirect(url) => Err(url),
    }
}

#[test]
fn the_first_rule_that_matches_wins() {
    let policy = policy(
        r#"[
            {"match": {"name": "cam-secret"}, "then": {"deny": "not this one"}},
            {"match": {"name": "cam*"}, "then": "allow"},
            {"match": {"name": "cam2"}, "then": {"deny": "never reached"}}
        ]"#,
    );
    let with = |name| publish(&policy, &script::stream(name, &[])).map(|_| ());
    assert_eq!(with("cam-secret"), Err("not this one".into()));
    assert_eq!(with("cam2"), Ok(()));
    assert_eq!(with("mic"), Err("no rule allows this".into()));
}

#[test]
fn without_a_rule_the_default_decides_but_never_about_connecting() {
    let deny = Policy::new(r#"{"rules": []}"#, Script::at(NOW)).unwrap();
    let allow = Policy::new(r#"{"rules": [], "default": "allow"}"#, Script::at(NOW)).unwrap();
    let req = script::stream("cam", &[]);
    assert!(publish(&deny, &req).is_err() && play(&deny, &req).is_err());
    assert!(publish(&allow, &req).is_ok() && play(&allow, &req).is_ok());
    assert!(connect(&deny, &[]).is_ok());
}

/// Every pair of ways to let in, for every client: what opens the one does not
/// open the other.
#[test]
fn publish_and_play_are_judged_each_by_its_own_rule() {
    // A rule's condition beside the action, and who meets it: who shows a key,
    // who has a role. Both keys and both roles differ between the two.
    type Kind = (&'static str, fn(bool, bool) -> bool);
    let kinds: [Kind; 4] = [
        ("", |_, _| true),
        (r#", "query": {"key": "ACTION"}"#, |key, _| key),
        (r#", "attrs": {"role": "ACTION"}"#, |_, role| role),
        (r#", "ip": "10.0.0.0/8""#, |_, _| false),
    ];
    for (publishing, may_publish) in kinds {
        for (playing, may_play) in kinds {
            let rule = |action: &str, condition: &str| {
                let condition = condition.replace("ACTION", action);
                format!(r#"{{"match": {{"action": "{action}"{condition}}}, "then": "allow"}}"#)
            };
            let rules = format!(
                "[{}, {}]",
                rule("publish", publishing),
                rule("play", playing)
            );
            let policy = policy(&rules);
            for key in ["", "publish", "play"] {
                for role in ["", "publish", "play"] {
                    let mut req = script::stream("cam", &[("key", key)]);
                    req.client.attrs = script::pairs(&[("role", role)]);
                    let case = format!("{rules} key={key} role={role}");
                    let shows = |action| (key == action, role == action);
                    let (of_key, of_role) = shows("publish");
                    let published = publish(&policy, &req).is_ok();
                    assert_eq!(published, may_publish(of_key, of_role), "{case}");
                    let (of_key, of_role) = shows("play");
                    let played = play(&policy, &req).is_ok();
                    assert_eq!(played, may_play(of_key, of_role), "{case}");
                }
            }
        }
    }
}

/// Each condition alone, against a publish of `live/room1`, `cam?key=k1` from
/// 203.0.113.7 over TLS by a client with the attribute role = staff.
#[test]
fn conditions() {
    let mut req = script::stream("cam", &[("key", "k1"), ("empty", "")]);
    req.instance = Some("room1".into());
    req.client.protocol = "rtmps".into();
    req.client.attrs = script::pairs(&[("role", "staff")]);
    for (condition, expected) in [
        ("{}", true),
        (r#"{"action": "publish"}"#, true),
        (r#"{"action": "play"}"#, false),
        (r#"{"action": ["play", "publish"]}"#, true),
        (r#"{"action": "connect"}"#, false),
        (r#"{"app": "live"}"#, true),
        (r#"{"app": ["vod", "l*"]}"#, true),
        (r#"{"app": "vod"}"#, false),
        (r#"{"instance": "room?"}"#, true),
        (r#"{"instance": "hall*"}"#, false),
        (r#"{"instance": ""}"#, false),
        (r#"{"name": "cam"}"#, true),
        (r#"{"name": "CAM"}"#, false),
        (r#"{"name": ["mic*", "c*"]}"#, true),
        (r#"{"ip": "203.0.113.7"}"#, true),
        (r#"{"ip": ["10.0.0.0/8", "203.0.113.0/24"]}"#, true),
        (r#"{"ip": "203.0.113.8/31"}"#, false),
        (r#"{"ip": "2001:db8::/32"}"#, false),
        (r#"{"ip": []}"#, false),
        (r#"{"time": {"days": "fri", "hours": "08:00-18:00"}}"#, true),
        (r#"{"time": {"days": "sat-sun"}}"#, false),
        (r#"{"query": {"key": "k1"}}"#, true),
        (r#"{"query": {"key": "k*"}}"#, true),
        (r#"{"query": {"key": "k"}}"#, false),
        (r#"{"query": {"empty": "*"}}"#, true),
        (r#"{"query": {"absent": "*"}}"#, false),
        (r#"{"query": {"key": "k1", "absent": "*"}}"#, false),
        (r#"{"attrs": {"role": "staff"}}"#, true),
        (r#"{"attrs": {"role": "guest"}}"#, false),
        (r#"{"tls": true}"#, true),
        (r#"{"tls": false}"#, false),
        (r#"{"name": "cam", "tls": false}"#, false),
    ] {
        let policy = policy(&format!(r#"[{{"match": {condition}, "then": "allow"}}]"#));
        assert_eq!(publish(&policy, &req).is_ok(), expected, "{condition}");
    }
}

#[test]
fn everything_a_publisher_can_be_given() {
    let policy = policy(
        r#"[{"match": {"name": "*-*"}, "then": {"allow": {
            "name": "{2}.{1}.{ip}",
            "on_duplicate": "replace",
            "record": {"path": "{app}/{name}/{date}_{time}", "container": "mp4", "split": "10 min"},
            "forward": ["rtmp://a/live/{name}", "rtmp://b/{query.to}"],
            "hold": "5 s", "max_kbps": 6000, "idle_timeout": "10 s"
        }}}]"#,
    );
    let req = script::stream("cam-7/..", &[("to", "x&y/z")]);
    let grant = publish(&policy, &req).expect("allowed");
    assert_eq!(grant.name.as_deref(), Some("7/...cam.203.0.113.7"));
    assert_eq!(grant.on_duplicate, DuplicateRule::Replace);
    let recording = grant.record_to.expect("recorded");
    assert_eq!(
        recording.path, "live/cam-7_../2026-01-02_12-00-00",
        "no client chooses a folder"
    );
    assert_eq!(recording.container, "mp4");
    assert_eq!(recording.split_seconds, Some(600));
    assert_eq!(
        grant.forward_to,
        ["rtmp://a/live/cam-7%2F..", "rtmp://b/x%26y%2Fz"]
    );
    assert_eq!(grant.hold_ms, Some(5000));
    assert_eq!(grant.max_kbps, Some(6000));
    assert_eq!(grant.idle_timeout_ms, Some(10_000));
}

#[test]
fn everything_a_player_can_be_given() {
    let policy = policy(
        r#"[{"match": {"action": "play"}, "then": {"Allow": {
            "name": "{name}_{instance}low{{1}}", "wait": "30 s", "max_duration": "1 h",
            "pull_from": "rtmp://origin/{app}/{name}"
        }}}]"#,
    );
    let grant = play(&policy, &script::stream("cam", &[])).expect("allowed");
    assert_eq!(grant.name.as_deref(), Some("cam_low{1}"));
    assert_eq!(grant.wait_ms, Some(30_000));
    assert_eq!(grant.max_seconds, Some(3600));
    assert_eq!(grant.pull_from.as_deref(), Some("rtmp://origin/live/cam"));
}

#[test]
fn connections_are_marked_refused_and_redirected() {
    let policy = policy(
        r#"[
            {"match": {"action": "connect", "query": {"key": "staff-1"}},
             "then": {"allow": {"attrs": {"role": "staff", "from": "{ip}"}}}},
            {"match": {"action": "connect", "query": {"old": "*"}},
             "then": {"redirect": "rtmp://new.example/{app}?was={query.old}"}},
            {"match": {"action": "connect", "ip": "203.0.113.0/24"}, "then": "deny"},
            {"match": {"attrs": {"role": "staff"}}, "then": "allow"}
        ]"#,
    );
    let grant = connect(&policy, &[("key", "staff-1")]).expect("staff");
    assert_eq!(
        grant.attrs,
        script::pairs(&[("from", "203.0.113.7"), ("role", "staff")])
    );
    let mut req = script::stream("cam", &[]);
    assert!(publish(&policy, &req).is_err());
    req.client.attrs = grant.attrs;
    assert!(publish(&policy, &req).is_ok());
    assert_eq!(
        connect(&policy, &[("old", "a b")]),
        Err("rtmp://new.example/live?was=a%20b".into())
    );
    assert_eq!(connect(&policy, &[]), Err("not allowed".into()));
}

#[test]
fn the_log_says_which_rule_it_was_and_no_key() {
    let host = Script::at(NOW);
    let outside: Host = Rc::<Script>::clone(&host);
    let rules = r#"{"rules": [
        {"match": {"name": "x"}, "then": "allow"},
        {"match": {"query": {"key": "k-83a7"}}, "then": {"deny": "closed"}, "note": "night shift"}
    ]}"#;
    let policy = Policy::new(rules, outside).unwrap();
    publish(&policy, &script::stream("cam", &[("key", "k-83a7")])).unwrap_err();
    publish(&policy, &script::stream("cam", &[("key", "other")])).unwrap_err();
    let log = host.log();
    assert!(log.contains("rules[1] night shift"), "{log}");
    assert!(log.contains("\"deny\"") && log.contains("\"cam\""), "{log}");
    assert!(log.contains("\"default\""), "{log}");
    assert!(!log.contains("k-83a7") && !log.contains("other"), "{log}");
}

#[test]
fn mistakes_are_refused_and_named() {
    for (rules, named) in [
        ("1", "config: rules: invalid type"),
        (
            r#"[{"then": "alow"}]"#,
            "rules[0].then: invalid value: string \"alow\", expected then: \"allow\"",
        ),
        (
            r#"[{"then": "deny"}, {"match": {}}]"#,
            "rules[1]: missing field `then`",
        ),
        (r#"[{"then": {}}]"#, "expected then:"),
        (
            r#"[{"then": {"deny": "a", "allow": {}}}]"#,
            "more than one thing",
        ),
        (
            r#"[{"match": {"nam": "a"}, "then": "deny"}]"#,
            "rules[0].match.nam: unknown field `nam`",
        ),
        (
            r#"[{"match": {"action": "watch"}, "then": "deny"}]"#,
            "rules[0].match.action: expected connect, publish or play, found \"watch\"",
        ),
        (
            r#"[{"match": {"ip": "10.0.0.0/33"}, "then": "deny"}]"#,
            "rules[0].match.ip: expected an address",
        ),
        (
            r#"[{"match": {"time": {"hours": "8"}}, "then": "deny"}]"#,
            "rules[0].match.time.hours: expected",
        ),
        (
            r#"[{"match": {"action": "connect", "name": "a"}, "then": "deny"}]"#,
            "rules[0].match.name: a connection",
        ),
        (
            r#"[{"then": {"allow": {"hold": 5}}}]"#,
            "a duration such as",
        ),
        (
            r#"[{"then": {"allow": {"on_duplicate": "kick"}}}]"#,
            "`replace`",
        ),
        (
            r#"[{"match": {"action": "play"}, "then": {"allow": {"record": {"path": "a"}}}}]"#,
            "rules[0].then.allow.record: is for publish, but this rule is about play",
        ),
        (
            r#"[{"then": {"allow": {"attrs": {"a": "b"}}}}]"#,
            "attrs: is for connect",
        ),
        (
            r#"[{"match": {"name": ["a*", "b"]}, "then": {"allow": {"name": "{1}"}}}]"#,
            "rules[0].then.allow.name: {1} is not there: match.name has 0 wildcards",
        ),
        (
            r#"[{"then": {"allow": {"name": "{nam}"}}}]"#,
            "unknown placeholder {nam}",
        ),
        (
            r#"[{"then": {"allow": {"name": "{name"}}}]"#,
            "a brace without its partner",
        ),
        (
            r#"[{"then": {"allow": {"name": "a}b"}}}]"#,
            "a brace without its partner",
        ),
        (
            r#"[{"then": {"allow": {"record": {"path": "a", "split": "10 ms"}}}}]"#,
            "record.split: expected at least",
        ),
        (
            r#"[{"then": {"redirect": "rtmp://a"}}]"#,
            "only connections can be redirected",
        ),
    ] {
        let config = format!("{{\"rules\": {rules}}}");
        let Err(error) = Policy::new(&config, Script::at(NOW)) else {
            panic!("accepted: {rules}");
        };
        assert!(error.contains(named), "{rules}: {error}");
    }
}

#[test]
fn what_no_host_can_do_yet_is_refused_with_its_place() {
    let config = r#"{"rules": [{"then": "deny"}, {"then": {"allow": {"record": {"path": "a"}}}}]}"#;
    let refused = <Policy as App>::configure(config).err().expect("refused");
    assert!(
        refused.starts_with("config: rules[1].then.allow.record: "),
        "{refused}"
    );
    let config = r#"{"rules": [{"then": {"allow": {"hold": "5 s"}}}]}"#;
    assert!(<Policy as App>::configure(config).is_ok());
}
