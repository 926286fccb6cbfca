//! What all shapes have in common: failures, cached answers, signatures.

use super::*;

#[test]
fn a_request_says_what_it_is() {
    let more = json!({"headers": {"Authorization": "Bearer s3cr3t"}, "timeout": "700 ms"});
    let (plugin, script) = shaped("srs", &["on_publish"], more);
    script.answer(200, &[], "0");
    publish(&plugin, &script::stream("cam", &[])).expect("0");
    let requests = script.requests();
    let request = &requests[0];
    assert_eq!(
        (request.method.as_str(), request.url.as_str()),
        ("POST", URL)
    );
    assert_eq!((request.timeout_ms, request.follow_redirects), (700, 0));
    for header in [
        ("Authorization", "Bearer s3cr3t"),
        ("content-type", "application/json"),
        ("user-agent", "livehost"),
    ] {
        let header = (header.0.to_owned(), header.1.to_owned());
        assert!(request.headers.contains(&header), "{header:?}");
    }
}

#[test]
fn requests_are_signed() {
    // HMAC-SHA256 of the body; the figure is from Python's hmac.
    let more = json!({"signature": {"secret": "s3cr3t", "header": "X-Hub-Signature-256"}});
    let (plugin, script) = shaped("nginx-rtmp", &["on_play"], more);
    let mut req = script::stream("cam", &[]);
    req.client.conn = 1;
    script.answer(200, &[], "");
    play(&plugin, &req).expect("200");
    let requests = script.requests();
    let signature = requests[0]
        .headers
        .iter()
        .find(|(name, _)| name == "X-Hub-Signature-256");
    let (_, signature) = signature.expect("a signature");
    assert_eq!(
        signature,
        SIGNATURE,
        "of {}",
        String::from_utf8_lossy(&requests[0].body)
    );
}

const SIGNATURE: &str = "sha256=5c7e16593836411dae18d61a85a286d5aef6f534c070ae3b17dbd621e62536da";

#[test]
fn failures_deny_unless_said_otherwise_for_each_hook() {
    let req = script::stream("cam", &[]);
    for (on_failure, can_publish, can_play) in [
        (json!("deny"), false, false),
        (json!("allow"), true, true),
        (json!({"play": "allow"}), false, true),
        (json!({"publish": "allow", "play": "deny"}), true, false),
    ] {
        let more = json!({"on_failure": on_failure});
        let (plugin, script) = shaped("nginx-rtmp", &["on_publish", "on_play"], more);
        for fail in [
            |script: &Script| script.fail(HttpError::Timeout),
            |script: &Script| script.fail(HttpError::Connect("refused".into())),
        ] {
            fail(&script);
            assert_eq!(publish(&plugin, &req).is_ok(), can_publish, "{on_failure}");
            fail(&script);
            assert_eq!(play(&plugin, &req).is_ok(), can_play, "{on_failure}");
        }
        // What a client may bring about by what it says lets nobody in.
        for fail in [
            |script: &Script| script.fail(HttpError::Denied),
            |script: &Script| script.fail(HttpError::TooLarge),
            |script: &Script| script.fail(HttpError::Protocol("broken off".into())),
            |script: &Script| script.answer(500, &[], ""),
            |script: &Script| script.answer(503, &[], ""),
        ] {
            fail(&script);
            assert!(publish(&plugin, &req).is_err(), "{on_failure}");
            fail(&script);
            assert!(play(&plugin, &req).is_err(), "{on_failure}");
        }
        let log = script.log();
        for named in [
            "no answer in time",
            "does not allow it",
            "refused",
            "status 500",
            URL,
        ] {
            assert!(log.contains(named), "{named}: {log}");
        }
        // A decision is a decision.
        script.answer(403, &[], "");
        assert!(publish(&plugin, &req).is_err());
    }
    let (plugin, script) = shaped("nginx-rtmp", &["on_publish"], json!({}));
    script.fail(HttpError::Timeout);
    let PublishDecision::Reject(rejection) = plugin.on_publish(&req) else {
        panic!("allowed");
    };
    assert_eq!(rejection.retry_after_ms, Some(5000));
    assert!(rejection.description.contains("try again"));
}

/// Every pair of ways to decide, for every shape, with answers kept and
/// without: what one hook allows, another does not.
#[test]
fn publish_and_play_are_judged_each_by_its_own_rule() {
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Way {
        NoHook,
        Allows,
        Denies,
        FailsOpen,
        FailsShut,
    }
    const WAYS: [Way; 5] = [
        Way::NoHook,
        Way::Allows,
        Way::Denies,
        Way::FailsOpen,
        Way::FailsShut,
    ];
    let answer = |script: &Script, way: Way| match way {
        Way::NoHook => {}
        Way::Allows => script.answer(200, &[], "0"),
        Way::Denies => script.answer(403, &[], ""),
        Way::FailsOpen | Way::FailsShut => script.fail(HttpError::Timeout),
    };
    let word = |way| {
        if way == Way::FailsOpen {
            "allow"
        } else {
            "deny"
        }
    };
    let lets_in = |way| matches!(way, Way::NoHook | Way::Allows | Way::FailsOpen);
    for shape in ["nginx-rtmp", "srs", "mediamtx"] {
        for publishing in WAYS {
            for playing in WAYS {
                // MediaMTX has one hook for both.
                let one = shape == "mediamtx";
                let hooks: &[&str] = match (one, publishing, playing) {
                    (true, Way::NoHook, _) | (true, _, Way::NoHook) => continue,
                    (true, ..) => &["auth"],
                    (_, Way::NoHook, Way::NoHook) => continue,
                    (_, Way::NoHook, _) => &["on_play"],
                    (_, _, Way::NoHook) => &["on_publish"],
                    _ => &["on_publish", "on_play"],
                };
                let on_failure = json!({"publish": word(publishing), "play": word(playing)});
                for cached in [false, true] {
                    let mut more = json!({"on_failure": on_failure});
                    if cached {
                        more["cache"] = json!({"ttl": "30 s", "deny_ttl": "30 s"});
                    }
                    let (plugin, script) = shaped(shape, hooks, more);
                    let req = script::stream("cam", &[("key", "k")]);
                    let case = format!("{shape}: {publishing:?}, {playing:?}, kept: {cached}");
                    // The second time what is kept answers.
                    for again in [false, true] {
                        let asked =
                            |way| !(again && cached && matches!(way, Way::Allows | Way::Denies));
                        if asked(publishing) {
                            answer(&script, publishing);
                        }
                        let published = publish(&plugin, &req).is_ok();
                        assert_eq!(published, lets_in(publishing), "publish: {case}");
                        if asked(playing) {
                            answer(&script, playing);
                        }
                        let played = play(&plugin, &req).is_ok();
                        assert_eq!(played, lets_in(playing), "play: {case}");
                    }
                }
            }
        }
    }
}

#[test]
fn answers_are_kept_for_their_time() {
    let cache = json!({"cache": {"ttl": "30 s", "deny_ttl": "5 s", "hooks": "play"}});
    let (plugin, script) = shaped("nginx-rtmp", &["on_publish", "on_play"], cache);
    let mut req = script::stream("cam", &[("key", "k-83a7")]);
    script.answer(302, &[("Location", "studio")], "");
    for conn in 1..=5 {
        req.client.conn = conn;
        req.client.remote = format!("203.0.113.7:{conn}");
        let grant = play(&plugin, &req).expect("302");
        assert_eq!(grant.name.as_deref(), Some("studio"));
    }
    assert_eq!(script.requests().len(), 1);
    assert!(!script.state().contains("k-83a7"), "{}", script.state());
    // Another question is asked: another name, address, key.
    let mut others = [req.clone(), req.clone(), req.clone()];
    others[0].name = "mic".into();
    others[1].client.remote = "203.0.113.8:1".into();
    others[2].query.clear();
    for other in &others {
        script.answer(403, &[], "");
        play(&plugin, other).expect_err("403");
        play(&plugin, other).expect_err("kept");
    }
    assert_eq!(script.requests().len(), 3);
    script.pass(Duration::from_secs(5));
    script.answer(200, &[], "");
    play(&plugin, &others[0]).expect("asked again");
    script.pass(Duration::from_secs(25));
    script.fail(HttpError::Timeout);
    play(&plugin, &req).expect_err("expired");
    script.answer(200, &[], "");
    play(&plugin, &req).expect("failures are not kept");
    assert_eq!(script.requests().len(), 3);
    for _ in 0..2 {
        script.answer(200, &[], "");
        publish(&plugin, &req).expect("200");
    }
    assert_eq!(script.requests().len(), 2, "publishing is not cached here");
}

#[test]
fn refusals_are_kept_only_when_asked_for() {
    let (plugin, script) = shaped("srs", &["on_play"], json!({"cache": {"ttl": "30 s"}}));
    let req = script::stream("cam", &[]);
    script.answer(200, &[], "1");
    play(&plugin, &req).expect_err("1");
    script.answer(200, &[], "0");
    play(&plugin, &req).expect("asked again");
    play(&plugin, &req).expect("kept");
    assert_eq!(script.requests().len(), 2);
}

#[test]
fn what_has_no_hook_is_allowed_and_not_told() {
    let (plugin, script) = shaped("srs", &["on_publish"], json!({"on_duplicate": "replace"}));
    let req = request(&plugin, "cam", &[]);
    play(&plugin, &req).expect("no hook");
    plugin.on_play_ended(&req, &script::end("closed"));
    plugin.on_disconnected(&req.client, &script::end("closed"));
    assert_eq!(script.requests().len(), 0);
    script.answer(200, &[], "0");
    let grant = publish(&plugin, &req).expect("0");
    assert_eq!(grant.on_duplicate, DuplicateRule::Replace);
    assert_eq!(
        script.kept(),
        0,
        "nothing is kept for a notification nobody wants"
    );
}

#[test]
fn a_renamed_stream_ends_under_its_own_words() {
    let (plugin, script) = shaped("nginx-rtmp", &["on_publish", "on_publish_done"], json!({}));
    let req = request(&plugin, "cam", &[("key", "k1")]);
    script.answer(302, &[("Location", "studio")], "");
    publish(&plugin, &req).expect("302");
    script.requests();
    let mut info = script::info("studio");
    info.publisher = req.client.clone();
    script.fail(HttpError::Timeout);
    plugin.on_unpublished(&info, &script::end("lost"));
    assert!(body(&script).ends_with("&name=cam&key=k1"));
    assert!(script.log().contains("PublishDone"), "{}", script.log());
}

#[test]
fn secrets_stay_out_of_the_log() {
    let config = json!({
        "shape": "srs", "signature": {"secret": "s3cr3t-1"}, "headers": {"X-Key": "s3cr3t-2"},
        "hooks": {"on_publish": "http://u:s3cr3t-3@127.0.0.1/a", "on_play": "http://127.0.0.1/b?k=s3cr3t-4"},
    });
    let (plugin, script) = plugin(config);
    let req = script::stream("cam", &[("key", "s3cr3t-5")]);
    publish(&plugin, &req).expect_err("no answer");
    play(&plugin, &req).expect_err("no answer");
    let log = script.log();
    assert!(log.contains("http://127.0.0.1/b"), "{log}");
    assert!(!log.contains("s3cr3t"), "{log}");
}

#[test]
fn mistakes_are_refused_and_named() {
    let hooks = json!({"on_publish": URL});
    for (config, named) in [
        (json!({}), "missing field `shape`"),
        (
            json!({"shape": "wowza", "hooks": hooks}),
            "expected one of `nginx-rtmp`, `srs`, `mediamtx`",
        ),
        (
            json!({"shape": "srs", "hooks": {}}),
            "hooks: none is given, expected some of on_connect, on_close",
        ),
        (
            json!({"shape": "srs", "hooks": {"on_publish_done": URL}}),
            "unknown hook `on_publish_done`",
        ),
        (
            json!({"shape": "srs", "hooks": {"on_publish": "127.0.0.1"}}),
            "hooks.on_publish: expected a http://",
        ),
        (
            json!({"shape": "srs", "hooks": hooks, "method": "GET"}),
            "method: GET is for the shape nginx-rtmp",
        ),
        (
            json!({"shape": "srs", "hooks": hooks, "method": "PUT"}),
            "`POST`",
        ),
        (
            json!({"shape": "srs", "hooks": hooks, "timeout": "0 s"}),
            "timeout: expected more than 0",
        ),
        (
            json!({"shape": "srs", "hooks": hooks, "timeout": 2}),
            "a duration such as",
        ),
        (
            json!({"shape": "srs", "hooks": hooks, "on_failure": "retry"}),
            "expected \"deny\", \"allow\"",
        ),
        (
            json!({"shape": "srs", "hooks": hooks, "cache": {}}),
            "missing field `ttl`",
        ),
        (
            json!({"shape": "srs", "hooks": hooks, "cache": {"ttl": "1 s", "hooks": ["stop"]}}),
            "found \"stop\"",
        ),
        (
            json!({"shape": "srs", "hooks": hooks, "signature": {"secret": ""}}),
            "signature.secret: is empty",
        ),
        (
            json!({"shape": "srs", "hooks": hooks, "signature": {"secret": 7777}}),
            "expected a text",
        ),
        (
            json!({"shape": "srs", "hooks": hooks, "headers": {"a": 7777}}),
            "expected a text",
        ),
        (
            json!({"shape": "srs", "hooks": hooks, "url": URL}),
            "unknown field `url`",
        ),
    ] {
        let Err(error) = HttpAuth::new(&config.to_string(), Script::at(0)) else {
            panic!("accepted: {config}");
        };
        assert!(error.contains(named), "{config}: {error}");
        assert!(!error.contains("7777"), "{error}");
    }
}
