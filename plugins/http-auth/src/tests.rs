//! The policy as a session sees it, against scripted answers of a back end.

use std::rc::Rc;

use livehost_sdk::http_client::HttpError;
use livehost_sdk::{DuplicateRule, Scalar};
use plugin_common::script::{self, Script};
use serde_json::{Value, json};

use super::*;

mod common;
mod shapes;

const URL: &str = "http://127.0.0.1:8080/hook";

fn plugin(config: Value) -> (HttpAuth, Rc<Script>) {
    let script = Script::at(1_767_355_200);
    let host: Host = Rc::<Script>::clone(&script);
    let plugin = HttpAuth::new(&config.to_string(), host).expect("a valid configuration");
    (plugin, script)
}

/// A shape with hooks, all at one URL, and `more` settings.
fn shaped(shape: &str, hooks: &[&str], more: Value) -> (HttpAuth, Rc<Script>) {
    let hooks: serde_json::Map<String, Value> = hooks
        .iter()
        .map(|hook| ((*hook).to_owned(), json!(URL)))
        .collect();
    let mut config = json!({"shape": shape, "hooks": hooks});
    let more = more.as_object().expect("an object").clone();
    config.as_object_mut().expect("an object").extend(more);
    plugin(config)
}

/// A connect as an encoder makes it.
fn connect_request() -> ConnectRequest {
    let mut req = script::connect(&[("key", "a b")]);
    req.tc_url = "rtmp://media.example/live?key=a%20b".into();
    req.props = vec![
        ("swfUrl".into(), Scalar::Text("http://a/p.swf".into())),
        ("pageUrl".into(), Scalar::Text("http://a/?x=1".into())),
        ("fpad".into(), Scalar::Boolean(false)),
    ];
    req
}

/// A request of a connection that was let in.
fn request(plugin: &HttpAuth, name: &str, query: &[(&str, &str)]) -> StreamRequest {
    let mut req = script::stream(name, query);
    req.client.attrs = match plugin.on_connect(&connect_request()) {
        ConnectDecision::Accept(grant) => grant.attrs,
        other => panic!("{other:?}"),
    };
    req
}

fn publish(plugin: &HttpAuth, req: &StreamRequest) -> Result<PublishGrant, String> {
    match plugin.on_publish(req) {
        PublishDecision::Accept(grant) => Ok(grant),
        PublishDecision::Reject(rejection) => {
            assert_eq!(rejection.code, "NetStream.Publish.Denied");
            Err(rejection.description)
        }
    }
}

fn play(plugin: &HttpAuth, req: &StreamRequest) -> Result<PlayGrant, String> {
    match plugin.on_play(req) {
        PlayDecision::Accept(grant) => Ok(grant),
        PlayDecision::Reject(rejection) => Err(rejection.description),
    }
}

/// The one request that was sent: its body.
fn body(script: &Script) -> String {
    let requests = script.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    String::from_utf8(requests[0].body.clone()).expect("text")
}

fn json_body(script: &Script) -> Value {
    serde_json::from_str(&body(script)).expect("JSON")
}
