//! The policy as a session sees it: requests in, decisions out.

use livehost_sdk::{Pairs, Scalar};

use super::*;

fn policy(json: &str) -> StaticKeys {
    StaticKeys::configure(json).expect("a valid configuration")
}

fn refused(json: &str) -> String {
    match StaticKeys::configure(json) {
        Ok(_) => panic!("accepted: {json}"),
        Err(error) => error,
    }
}

fn pairs(query: &[(&str, &str)]) -> Pairs {
    query
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn client(attrs: Pairs) -> Client {
    Client {
        conn: 1,
        remote: "203.0.113.7:51234".into(),
        protocol: "rtmp".into(),
        tls_name: None,
        attrs,
    }
}

fn request(name: &str, query: &[(&str, &str)], attrs: Pairs) -> StreamRequest {
    StreamRequest {
        client: client(attrs),
        app: "live".into(),
        instance: None,
        name: name.into(),
        raw_name: name.into(),
        query: pairs(query),
        mode: "live".into(),
        start_seconds: None,
        extra: Vec::new(),
    }
}

/// What `on_connect` keeps of a connection.
fn granted(policy: &StaticKeys, req: &ConnectRequest) -> Pairs {
    match policy.on_connect(req) {
        ConnectDecision::Accept(grant) => grant.attrs,
        other => panic!("{other:?}"),
    }
}

/// What it keeps of a connection's query.
fn connected(policy: &StaticKeys, query: &[(&str, &str)]) -> Pairs {
    let mut request = connect(&[], &[]);
    request.query = pairs(query);
    granted(policy, &request)
}

/// `Ok`, or the refusal's text.
fn publish(policy: &StaticKeys, req: &StreamRequest) -> Result<PublishGrant, String> {
    match policy.on_publish(req) {
        PublishDecision::Accept(grant) => Ok(grant),
        PublishDecision::Reject(rejection) => {
            assert_eq!(rejection.code, "NetStream.Publish.Denied");
            Err(rejection.description)
        }
    }
}

fn play(policy: &StaticKeys, req: &StreamRequest) -> Result<(), String> {
    match policy.on_play(req) {
        PlayDecision::Accept(_) => Ok(()),
        PlayDecision::Reject(rejection) => Err(rejection.description),
    }
}

const KEYS: &str =
    r#"{"publish": {"keys": ["k1", "k2"], "streams": {"cam1": ["c1"], "room/cam": ["r1"]}}}"#;

#[test]
fn a_key_opens_the_streams_it_is_for() {
    let policy = policy(KEYS);
    let with = |name, key| publish(&policy, &request(name, &[("key", key)], Vec::new()));
    assert!(with("any", "k1").is_ok());
    assert!(with("any", "k2").is_ok());
    assert!(with("cam1", "c1").is_ok());
    assert_eq!(
        with("cam1", "k1"),
        Err("publish key for \"cam1\" is wrong".into()),
        "a stream with keys of its own is not opened by the others"
    );
    assert_eq!(
        with("any", "c1"),
        Err("publish key for \"any\" is wrong".into())
    );
    for wrong in ["", "k", "k11", "K1"] {
        assert!(with("any", wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn without_a_key_the_refusal_says_how_to_give_one() {
    assert_eq!(
        publish(&policy(KEYS), &request("any", &[], Vec::new())),
        Err("a publish key is required: use NAME?key=KEY".into())
    );
}

#[test]
fn the_key_may_come_with_the_connection() {
    let policy = policy(KEYS);
    let attrs = connected(&policy, &[("key", "k1")]);
    assert!(attrs.iter().all(|(_, value)| !value.contains("k1")));
    assert!(publish(&policy, &request("any", &[], attrs.clone())).is_ok());
    assert!(publish(&policy, &request("cam1", &[], attrs.clone())).is_err());
    // The stream's own key counts first.
    let both = request("cam1", &[("key", "c1")], attrs.clone());
    assert!(publish(&policy, &both).is_ok());
    let wrong = request("any", &[("key", "x")], attrs);
    assert!(publish(&policy, &wrong).is_err());
}

#[test]
fn a_stream_of_an_application_instance_has_the_instance_in_its_name() {
    let policy = policy(KEYS);
    let mut req = request("cam", &[("key", "r1")], Vec::new());
    assert!(publish(&policy, &req).is_err());
    req.instance = Some("room".into());
    assert!(publish(&policy, &req).is_ok());
}

#[test]
fn open_is_open_and_playing_is_open_unless_said_otherwise() {
    let open = policy(r#"{"publish": "open"}"#);
    let anybody = request("any", &[], Vec::new());
    assert!(publish(&open, &anybody).is_ok());
    assert_eq!(play(&open, &anybody), Ok(()));
    assert_eq!(play(&policy(KEYS), &anybody), Ok(()));
}

const USERS: &str = r#"{"publish": "users", "users": {"ann": "s3cret"}}"#;

fn connect(props: &[(&str, &str)], extra: &[(&str, &str)]) -> ConnectRequest {
    ConnectRequest {
        client: client(Vec::new()),
        local: "0.0.0.0:1935".into(),
        app: "live".into(),
        instance: None,
        query: Vec::new(),
        tc_url: String::new(),
        flash_ver: String::new(),
        props: props
            .iter()
            .map(|(name, text)| ((*name).into(), Scalar::Text((*text).into())))
            .collect(),
        extra: pairs(extra),
    }
}

#[test]
fn encoders_log_in_where_users_publish_and_players_where_users_play() {
    let encoder = connect(&[("type", "nonprivate")], &[]);
    let player = connect(&[], &[]);
    let of_publish = policy(USERS);
    assert_eq!(of_publish.on_authenticate(&encoder), Some(Challenge::Adobe));
    assert_eq!(of_publish.on_authenticate(&player), None);
    let of_play = policy(
        r#"{"publish": "open", "play": "users", "users": {"ann": "x"}, "challenge": "llnw"}"#,
    );
    assert_eq!(of_play.on_authenticate(&encoder), None);
    assert_eq!(of_play.on_authenticate(&player), Some(Challenge::Llnw));
    assert_eq!(policy(KEYS).on_authenticate(&encoder), None);
    assert!(of_publish.needs_auth() && of_play.needs_auth());
    assert!(!policy(KEYS).needs_auth());
}

#[test]
fn passwords_are_those_of_the_configuration() {
    let policy = policy(USERS);
    let of = |user| policy.on_credential(&connect(&[], &[]), user);
    assert_eq!(of("ann"), Some(Credential::Password("s3cret".into())));
    assert_eq!(of("bob"), None);
}

#[test]
fn who_logged_in_may_publish_and_nobody_else() {
    let policy = policy(USERS);
    let attrs = |extra| granted(&policy, &connect(&[], extra));
    let ann = request("any", &[], attrs(&[("auth-user", "ann")]));
    assert!(publish(&policy, &ann).is_ok());
    let nobody = request("any", &[("user", "ann")], attrs(&[]));
    assert_eq!(
        publish(&policy, &nobody),
        Err("a user is required: use rtmp://USER:PASSWORD@HOST/APP/NAME".into())
    );
}

/// One setting of `publish` or `play`, and whether a client with these two
/// proofs passes it.
type Kind = (&'static str, fn(bool, bool) -> bool);

/// Everything that the two can be set to; `KEYS` stands for `keys` or `tokens`.
const KINDS: [Kind; 4] = [
    (r#""open""#, |_, _| true),
    (r#""users""#, |user, _| user),
    (r#"{"KEYS": ["k"]}"#, |_, key| key),
    (r#"{"streams": {"cam": ["k"]}}"#, |_, key| key),
];

/// Every way to set the two, for every client: neither a login nor the key or
/// token of the one opens the other. Both are shown with the connection, and
/// with the stream's name.
#[test]
fn publish_and_play_are_judged_each_by_its_own_rule() {
    for (publishing, may_publish) in KINDS {
        for (playing, may_play) in KINDS {
            let users = match (publishing, playing) {
                (r#""users""#, _) | (_, r#""users""#) => r#"{"ann": "pw"}"#,
                _ => "{}",
            };
            let publishing = publishing.replace("KEYS", "keys");
            let playing = playing.replace("KEYS", "tokens");
            let json =
                format!(r#"{{"publish": {publishing}, "play": {playing}, "users": {users}}}"#);
            let policy = policy(&json);
            for shows in 0..8 {
                let [user, key, token] = [1, 2, 4].map(|bit| shows & bit != 0);
                let mut query = Vec::new();
                query.extend(key.then_some(("key", "k")));
                query.extend(token.then_some(("token", "k")));
                let mut connect = connect(&[], &[]);
                if user {
                    connect.extra = pairs(&[("auth-user", "ann"), ("auth-method", "adobe")]);
                }
                let by_name = granted(&policy, &connect);
                connect.query = pairs(&query);
                let by_connection = granted(&policy, &connect);
                for req in [
                    request("cam", &query, by_name),
                    request("cam", &[], by_connection),
                ] {
                    let case = format!("{json} user={user} key={key} token={token}");
                    let published = publish(&policy, &req).is_ok();
                    assert_eq!(published, may_publish(user, key), "publish: {case}");
                    assert_eq!(
                        play(&policy, &req).is_ok(),
                        may_play(user, token),
                        "play: {case}"
                    );
                }
            }
        }
    }
}

#[test]
fn tokens_guard_playing() {
    let policy =
        policy(r#"{"publish": "open", "play": {"tokens": ["t1"], "streams": {"vip": ["v1"]}}}"#);
    let with = |name, query| play(&policy, &request(name, query, Vec::new()));
    assert_eq!(with("any", &[("token", "t1")]), Ok(()));
    assert_eq!(with("vip", &[("token", "v1")]), Ok(()));
    assert_eq!(
        with("vip", &[("token", "t1")]),
        Err("play token for \"vip\" is wrong".into())
    );
    assert_eq!(
        with("any", &[("key", "t1")]),
        Err("a play token is required: use NAME?token=TOKEN".into())
    );
    let attrs = connected(&policy, &[("token", "t1")]);
    assert_eq!(play(&policy, &request("any", &[], attrs)), Ok(()));
}

#[test]
fn the_duplicate_rule_comes_from_the_configuration() {
    let rule = |json| {
        let grant = publish(&policy(json), &request("any", &[], Vec::new()));
        grant.expect("open").on_duplicate
    };
    assert_eq!(rule(r#"{"publish": "open"}"#), DuplicateRule::Reject);
    assert_eq!(
        rule(r#"{"publish": "open", "on_duplicate": "standby"}"#),
        DuplicateRule::Standby
    );
    assert_eq!(
        rule(r#"{"publish": "open", "on_duplicate": "replace"}"#),
        DuplicateRule::Replace
    );
}

#[test]
fn mistakes_are_refused_and_named() {
    for (json, place, named) in [
        ("{}", "", "missing field `publish`"),
        (
            r#"{"publish": "opne"}"#,
            "publish: ",
            "expected \"open\", \"users\", or an object",
        ),
        (
            r#"{"publish": "open", "plays": "open"}"#,
            "plays: ",
            "unknown field `plays`",
        ),
        (
            r#"{"publish": {"key": ["a"]}}"#,
            "publish.key: ",
            "unknown field `key`",
        ),
        (r#"{"publish": {}}"#, "publish: ", "no key is listed"),
        (
            r#"{"publish": {"keys": [""]}}"#,
            "publish: ",
            "a key is empty",
        ),
        (
            r#"{"publish": "open", "on_duplicate": "kick"}"#,
            "on_duplicate: ",
            "`replace`",
        ),
        (r#"{"publish": "users"}"#, "users: ", "lists none"),
        (
            r#"{"publish": "open", "users": {"ann": "x"}}"#,
            "users: ",
            "neither publish nor play",
        ),
        (
            r#"{"publish": "users", "users": {"ann": ""}}"#,
            "users.ann: ",
            "password is empty",
        ),
        (
            r#"{"publish": "users", "users": {"": "x"}}"#,
            "users: ",
            "a name is empty",
        ),
    ] {
        let error = refused(json);
        assert!(error.contains(named), "{json}: {error}");
        assert!(
            error.starts_with(&format!("config: {place}")),
            "{json}: {error}"
        );
    }
}
