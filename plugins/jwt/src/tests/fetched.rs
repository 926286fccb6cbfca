//! The key set that is fetched: when, how often, and what when it fails.

use super::*;

const URL: &str = "https://id.example/jwks.json";

fn fetching() -> (Jwt, Rc<Script>) {
    plugin(json!({"jwks": {"url": URL}}))
}

/// Another instance of the same application.
fn another(script: &Rc<Script>) -> Jwt {
    let config = json!({"jwks": {"url": URL}}).to_string();
    let host: Host = Rc::<Script>::clone(script);
    Jwt::new(&config, host).expect("a valid configuration")
}

/// The set with the RSA key, without the other.
fn rsa_only() -> String {
    let mut set: Value = serde_json::from_str(JWKS).unwrap();
    set["keys"].as_array_mut().unwrap().truncate(1);
    set.to_string()
}

#[test]
fn one_fetch_serves_all_instances_for_its_time() {
    let (plugin, script) = fetching();
    script.answer(200, &[], JWKS);
    plugin.on_start(StartReason::Boot, None).unwrap();
    assert_eq!(
        script.timers(),
        [("jwks".to_owned(), Duration::from_secs(3600))]
    );
    let requests = script.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(
        (requests[0].method.as_str(), requests[0].url.as_str()),
        ("GET", URL)
    );
    assert_eq!(requests[0].timeout_ms, 2000);
    assert_eq!(with(&plugin, RS256), Ok(()));
    let other = another(&script);
    assert_eq!(with(&other, ES256), Ok(()));
    script.pass(Duration::from_secs(3599));
    assert_eq!(with(&plugin, RS256), Ok(()));
    // A new version finds it, too.
    another(&script)
        .on_start(StartReason::Reload, None)
        .unwrap();
    assert_eq!(script.requests().len(), 0);
    script.pass(Duration::from_secs(1));
    script.answer(200, &[], JWKS);
    assert_eq!(with(&plugin, RS256), Ok(()));
    assert_eq!(with(&other, RS256), Ok(()));
    assert_eq!(script.requests().len(), 1);
}

#[test]
fn the_timer_renews_it() {
    let (plugin, script) = fetching();
    script.answer(200, &[], &rsa_only());
    plugin.on_start(StartReason::Boot, None).unwrap();
    let other = another(&script);
    assert_eq!(with(&other, RS256), Ok(()));
    script.pass(Duration::from_secs(3600));
    script.answer(200, &[], JWKS);
    plugin.on_timer("jwks");
    assert_eq!(script.requests().len(), 2);
    assert_eq!(with(&other, ES256), Ok(()));
    assert_eq!(script.requests().len(), 0);
    plugin.on_timer("something else");
    assert_eq!(script.requests().len(), 0);
}

#[test]
fn an_unknown_key_fetches_but_not_more_often_than_allowed() {
    let (plugin, script) = fetching();
    script.answer(200, &[], &rsa_only());
    assert_eq!(with(&plugin, RS256), Ok(()));
    let unknown = "the token is signed with no key known here";
    for _ in 0..5 {
        assert_eq!(with(&plugin, ES256), Err(unknown.into()));
    }
    assert_eq!(
        script.requests().len(),
        1,
        "within 30 s of the last attempt"
    );
    script.pass(Duration::from_secs(30));
    script.answer(200, &[], JWKS);
    assert_eq!(with(&plugin, ES256), Ok(()));
    assert_eq!(script.requests().len(), 1);
    // A wrong signature of a known key is no reason.
    script.pass(Duration::from_secs(60));
    let wrong = format!("{}.AAAA", RS256.rsplit_once('.').unwrap().0);
    assert_eq!(
        with(&plugin, &wrong),
        Err("the token's signature is wrong".into())
    );
    assert_eq!(script.requests().len(), 0);
}

#[test]
fn a_set_that_cannot_be_renewed_serves_until_it_is_stale() {
    let (plugin, script) = fetching();
    script.answer(200, &[], JWKS);
    assert_eq!(with(&plugin, RS256), Ok(()));
    script.pass(Duration::from_secs(23 * 3600));
    script.fail(HttpError::Timeout);
    assert_eq!(with(&plugin, RS256), Ok(()));
    let log = script.log();
    assert!(
        log.contains("could not be fetched") && log.contains("Timeout"),
        "{log}"
    );
    script.pass(Duration::from_secs(3600));
    for answer in ["{}", "no JSON", r#"{"keys": [{"kty": "oct", "k": "AA"}]}"#] {
        script.answer(200, &[], answer);
        let error = with(&plugin, RS256).unwrap_err();
        assert!(error.contains("could be fetched"), "{answer}: {error}");
        script.pass(Duration::from_secs(30));
    }
    script.answer(500, &[], JWKS);
    assert!(with(&plugin, RS256).is_err());
    script.pass(Duration::from_secs(30));
    script.answer(200, &[], JWKS);
    assert_eq!(with(&plugin, RS256), Ok(()));
}

#[test]
fn a_start_without_the_key_server_is_a_warning_only() {
    let (plugin, script) = fetching();
    script.fail(HttpError::Denied);
    plugin.on_start(StartReason::Boot, None).unwrap();
    assert!(script.log().contains("Warn"), "{}", script.log());
}

#[test]
fn keys_of_the_configuration_need_no_fetch() {
    let config = json!({"keys": [{"pem": RSA}], "jwks": {"url": URL}});
    let (plugin, script) = plugin(config);
    assert_eq!(with(&plugin, RS256), Ok(()));
    assert_eq!(script.requests().len(), 0);
    script.answer(200, &[], JWKS);
    assert_eq!(with(&plugin, ES256), Ok(()));
}

#[test]
fn shared_secrets_in_a_fetched_set_are_no_keys() {
    let (plugin, script) = fetching();
    let k = Base64UrlUnpadded::encode_string(SECRET.as_bytes());
    let mut set: Value = serde_json::from_str(JWKS).unwrap();
    set["keys"]
        .as_array_mut()
        .unwrap()
        .push(json!({"kty": "oct", "k": k}));
    script.answer(200, &[], &set.to_string());
    assert!(with(&plugin, &signed(&good(json!({})))).is_err());
    assert_eq!(with(&plugin, RS256), Ok(()));
}
