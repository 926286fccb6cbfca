//! The policy as a session sees it, on tokens that another implementation
//! signed (testdata/, by pyca/cryptography) and on ones signed here.

use std::rc::Rc;

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, Mac};
use livehost_sdk::http_client::HttpError;
use plugin_common::script::{self, Script};
use serde_json::{Value, json};
use sha2::Sha256;

use super::*;

mod fetched;
mod keys;

const NOW: u64 = 1_767_355_200;
const SECRET: &str = "0123456789abcdef0123456789abcdef";

const RSA: &str = include_str!("../testdata/rsa.pem");
const RS256: &str = include_str!("../testdata/rs256.jwt");
const RS256_NO_KID: &str = include_str!("../testdata/rs256-no-kid.jwt");
const ES256: &str = include_str!("../testdata/es256.jwt");
const JWKS: &str = include_str!("../testdata/jwks.json");

fn plugin(config: Value) -> (Jwt, Rc<Script>) {
    let script = Script::at(NOW);
    let host: Host = Rc::<Script>::clone(&script);
    let plugin = Jwt::new(&config.to_string(), host).expect("a valid configuration");
    (plugin, script)
}

fn refused(config: &Value) -> String {
    match Jwt::new(&config.to_string(), Script::at(NOW)) {
        Ok(_) => panic!("accepted: {config}"),
        Err(error) => error,
    }
}

/// HS256 with one secret, and `more` settings.
fn shared(more: Value) -> (Jwt, Rc<Script>) {
    let mut config = json!({"keys": [{"secret": SECRET}]});
    let more = more.as_object().expect("an object").clone();
    config.as_object_mut().expect("an object").extend(more);
    plugin(config)
}

fn signed_as(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let part = |json: &Value| Base64UrlUnpadded::encode_string(json.to_string().as_bytes());
    let signed = format!("{}.{}", part(header), part(claims));
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(secret).expect("any length");
    mac.update(signed.as_bytes());
    let signature = Base64UrlUnpadded::encode_string(&mac.finalize().into_bytes());
    format!("{signed}.{signature}")
}

fn signed(claims: &Value) -> String {
    signed_as(&json!({"alg": "HS256"}), claims, SECRET.as_bytes())
}

/// Claims that are good for everything, with `more`.
fn good(more: Value) -> Value {
    let mut claims = json!({"exp": NOW + 60, "stream": "*", "action": "*"});
    let more = more.as_object().expect("an object").clone();
    claims.as_object_mut().expect("an object").extend(more);
    claims
        .as_object_mut()
        .expect("an object")
        .retain(|_, value| !value.is_null());
    claims
}

fn publish(plugin: &Jwt, req: &StreamRequest) -> Result<(), String> {
    match plugin.on_publish(req) {
        PublishDecision::Accept(_) => Ok(()),
        PublishDecision::Reject(rejection) => {
            assert_eq!(rejection.code, "NetStream.Publish.Denied");
            Err(rejection.description)
        }
    }
}

fn play(plugin: &Jwt, req: &StreamRequest) -> Result<PlayGrant, String> {
    match plugin.on_play(req) {
        PlayDecision::Accept(grant) => Ok(grant),
        PlayDecision::Reject(rejection) => Err(rejection.description),
    }
}

/// Publishes `cam1` with a token.
fn with(plugin: &Jwt, token: &str) -> Result<(), String> {
    publish(plugin, &script::stream("cam1", &[("token", token)]))
}

/// Every way to set the two, for every token, shown with the stream's name and
/// with the connection: what permits the one does not permit the other.
#[test]
fn publish_and_play_are_judged_each_by_its_own_rule() {
    let tokens = [
        (None, false, false),
        (Some("publish"), true, false),
        (Some("play"), false, true),
        (Some("publish play"), true, true),
        (Some("other"), false, false),
    ];
    for publishing in ["open", "token"] {
        for playing in ["open", "token"] {
            let (plugin, _) = shared(json!({"publish": publishing, "play": playing}));
            for (action, may_publish, may_play) in tokens {
                let token = action.map(|action| signed(&good(json!({"action": action}))));
                let shown: Vec<_> = token
                    .iter()
                    .map(|token| ("token", token.as_str()))
                    .collect();
                let mut by_connection = script::stream("cam1", &[]);
                by_connection.client.attrs = match plugin.on_connect(&script::connect(&shown)) {
                    ConnectDecision::Accept(grant) => grant.attrs,
                    other => panic!("{other:?}"),
                };
                for req in [script::stream("cam1", &shown), by_connection] {
                    let case = format!("publish {publishing}, play {playing}, {action:?}");
                    // A token that is shown must be good, also where none is needed.
                    let without = |setting| action.is_none() && setting == "open";
                    let published = publish(&plugin, &req).is_ok();
                    assert_eq!(published, may_publish || without(publishing), "{case}");
                    let played = play(&plugin, &req).is_ok();
                    assert_eq!(played, may_play || without(playing), "{case}");
                }
            }
        }
    }
}

#[test]
fn times_issuer_and_audience() {
    let settings = json!({"issuer": ["me", "you"], "audience": "live"});
    let (plugin, _) = shared(settings);
    let base = json!({"iss": "me", "aud": ["vod", "live"]});
    for (more, expected) in [
        (json!({}), Ok(())),
        (json!({"exp": NOW - 29}), Ok(())),
        (json!({"exp": NOW - 30}), Err("expired")),
        (json!({"exp": (NOW + 60) as f64 + 0.5}), Ok(())),
        (json!({"exp": -5}), Err("expired")),
        (json!({"exp": 1e300}), Ok(())),
        (json!({"exp": "tomorrow"}), Err("exp is no number")),
        (json!({"exp": null}), Err("never expires")),
        (json!({"nbf": NOW + 30}), Ok(())),
        (json!({"nbf": NOW + 31}), Err("not valid yet")),
        (json!({"iss": "you"}), Ok(())),
        (json!({"iss": "they"}), Err("issuer")),
        (json!({"iss": null}), Err("issuer")),
        (json!({"aud": "live"}), Ok(())),
        (json!({"aud": "vod"}), Err("audience")),
        (json!({"aud": null}), Err("audience")),
    ] {
        let mut claims = base.clone();
        claims
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let got = with(&plugin, &signed(&good(claims)));
        match expected {
            Ok(()) => assert_eq!(got, Ok(()), "{more}"),
            Err(named) => {
                let error = got.expect_err(named);
                assert!(error.contains(named), "{more}: {error}");
            }
        }
    }
}

#[test]
fn stream_and_action_claims() {
    let (plugin, _) = shared(json!({}));
    let mut in_room = script::stream("cam1", &[]);
    in_room.instance = Some("room1".into());
    let plain = script::stream("cam1", &[]);
    for (claims, request, can_publish, can_play) in [
        (json!({}), &plain, true, true),
        (json!({"stream": "cam1"}), &plain, true, true),
        (json!({"stream": ["mic", "cam?"]}), &plain, true, true),
        (json!({"stream": "cam"}), &plain, false, false),
        (json!({"stream": []}), &plain, false, false),
        (json!({"stream": null}), &plain, false, false),
        (json!({"stream": 1}), &plain, false, false),
        (json!({"stream": "cam1"}), &in_room, false, false),
        (json!({"stream": "room1/*"}), &in_room, true, true),
        (json!({"action": "publish"}), &plain, true, false),
        (json!({"action": ["play"]}), &plain, false, true),
        (json!({"action": "play publish"}), &plain, true, true),
        (json!({"action": ""}), &plain, false, false),
        (json!({"action": null}), &plain, false, false),
    ] {
        let token = signed(&good(claims.clone()));
        let mut request = request.clone();
        request.query = script::pairs(&[("jwt", &token)]);
        assert_eq!(publish(&plugin, &request).is_ok(), can_publish, "{claims}");
        assert_eq!(play(&plugin, &request).is_ok(), can_play, "{claims}");
    }
}

#[test]
fn claims_have_the_names_that_the_configuration_says() {
    let names = json!({"stream_claim": "/live~1host/streams/0", "action_claim": null,
                       "require_exp": false, "params": "t"});
    let (plugin, _) = shared(names);
    let token = signed(&json!({"live/host": {"streams": ["cam1"]}}));
    let request = |name| script::stream(name, &[("t", token.as_str())]);
    assert_eq!(publish(&plugin, &request("cam1")), Ok(()));
    assert!(play(&plugin, &request("cam1")).is_ok());
    let error = publish(&plugin, &request("cam2")).unwrap_err();
    assert_eq!(error, "the token is not for stream \"cam2\"");
    let error = with(&plugin, &token).unwrap_err();
    assert_eq!(error, "a token is required: use NAME?t=TOKEN");
}

#[test]
fn a_connection_may_show_the_token_for_all_its_streams() {
    let (plugin, script) = shared(json!({}));
    let connect = |token: &str| match plugin.on_connect(&script::connect(&[("token", token)])) {
        ConnectDecision::Accept(grant) => Ok(grant.attrs),
        ConnectDecision::Reject(rejection) => Err(rejection.description),
        ConnectDecision::Redirect(url) => panic!("{url}"),
    };
    let token = signed(&good(json!({"stream": "cam*", "action": "publish"})));
    let attrs = connect(&token).expect("a good token");
    assert!(!format!("{attrs:?}").contains(&token));
    let mut request = script::stream("cam1", &[]);
    request.client.attrs = attrs;
    assert_eq!(publish(&plugin, &request), Ok(()));
    assert!(play(&plugin, &request).is_err());
    request.name = "mic".into();
    assert!(publish(&plugin, &request).is_err());
    // The stream's own token counts first.
    request.query = script::pairs(&[("token", &signed(&good(json!({"stream": "mic"}))))]);
    assert_eq!(publish(&plugin, &request), Ok(()));
    request.query = script::pairs(&[("token", "bad")]);
    assert!(publish(&plugin, &request).is_err());
    // It expires for a connection, too.
    request = StreamRequest {
        name: "cam1".into(),
        query: Vec::new(),
        ..request
    };
    script.pass(Duration::from_secs(90));
    let error = publish(&plugin, &request).unwrap_err();
    assert_eq!(error, "the token has expired");
    assert!(connect("bad").is_err());
}

#[test]
fn who_needs_no_token() {
    let nothing = script::stream("cam1", &[]);
    let (plugin, _) = shared(json!({"play": "open"}));
    assert!(play(&plugin, &nothing).is_ok());
    let error = publish(&plugin, &nothing).unwrap_err();
    assert_eq!(error, "a token is required: use NAME?token=TOKEN");
    // Open or not, a token that is shown must be good.
    assert!(play(&plugin, &script::stream("cam1", &[("token", "bad")])).is_err());
    let accepts = |plugin: &Jwt| {
        let decision = plugin.on_connect(&script::connect(&[]));
        matches!(decision, ConnectDecision::Accept(_))
    };
    assert!(accepts(&plugin));
    assert!(!accepts(&shared(json!({"connect": "token"})).0));
}

#[test]
fn playing_may_end_with_the_token() {
    let (plugin, _) = shared(json!({"play_until_expiry": true}));
    let seconds = |exp: u64| {
        let token = signed(&good(json!({"exp": exp})));
        let request = script::stream("cam1", &[("token", token.as_str())]);
        play(&plugin, &request).expect("a good token").max_seconds
    };
    assert_eq!(seconds(NOW + 60), Some(60));
    assert_eq!(seconds(NOW - 10), Some(1), "within the leeway");
    let (plugin, _) = shared(json!({}));
    let token = signed(&good(json!({})));
    let grant = play(
        &plugin,
        &script::stream("cam1", &[("token", token.as_str())]),
    );
    assert_eq!(grant.expect("a good token").max_seconds, None);
}

#[test]
fn nothing_secret_is_logged_or_shown() {
    let (plugin, script) = shared(json!({}));
    let token = signed(&good(json!({"sub": "ann"})));
    with(&plugin, &token).unwrap();
    let wrong = signed_as(
        &json!({"alg": "HS256"}),
        &good(json!({})),
        b"another secret",
    );
    let error = with(&plugin, &wrong).unwrap_err();
    let log = script.log();
    assert!(log.contains("ann"), "{log}");
    for secret in [token.as_str(), wrong.as_str(), SECRET] {
        assert!(!log.contains(secret) && !error.contains(secret));
    }
}
