//! A plugin that is looked at and does not serve.

use super::http::server::{HttpServer, Reply};
use super::http::{allow, patient};
use super::*;

async fn check(mode: &str, note: &str, allowed: &[&str], online: bool) -> Result<Check, Fault> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("probe.wasm");
    std::fs::write(&file, probe(0)).unwrap();
    let spec = PluginSpec {
        app: "live".into(),
        file,
        config: format!(r#"{{"mode": "{mode}", "note": "{note}"}}"#),
        limits: patient(),
        http: allow(allowed),
    };
    let checked = Plugin::check(runtime(), spec, online).await;
    checked.map_err(|error| error.fault)
}

#[tokio::test]
async fn a_plugin_that_would_not_start_fails_its_check() {
    let refused = check("refuse-start", "", &[], false).await;
    assert!(
        matches!(refused, Err(Fault::StartRefused(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn made_up_questions_are_marked() {
    for (mode, open) in [
        ("accept", true),
        ("refuse-trial", false),
        ("publish-no-trial", false),
    ] {
        let check = check(mode, "", &[], false).await.unwrap();
        assert_eq!(check.open_publish, open, "{mode}");
    }
}

#[tokio::test]
async fn requests_go_out_only_when_that_is_asked_for() {
    let server = HttpServer::start(|_| Reply::ok("hello"));
    let (url, origin) = (server.url("/ok/start"), server.url(""));
    let allowed = server.url("/ok/*");

    let offline = check("ask-on-start", &url, &[&allowed], false)
        .await
        .unwrap();
    let why = offline.undecided.expect("it could not start");
    assert!(why.contains("trial"), "{why}");
    assert_eq!(offline.held_back, [origin.clone()].into());
    assert_eq!(offline.not_allowed, [].into());
    assert_eq!(server.seen().len(), 0);

    let online = check("ask-on-start", &url, &[&allowed], true)
        .await
        .unwrap();
    assert_eq!((online.undecided, online.held_back), (None, [].into()));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn urls_that_http_allow_does_not_permit_are_named() {
    let url = "http://127.0.0.1:9/hooks/publish";
    let told = async |allowed: &[&str]| check("accept", url, allowed, false).await.unwrap();
    assert_eq!(
        told(&["http://127.0.0.1:9/hooks/*"]).await.not_allowed,
        [].into()
    );
    let none = told(&[]).await.not_allowed;
    assert_eq!(none, ["http://127.0.0.1:9".to_owned()].into());
    let other = told(&["http://127.0.0.1:9/else"]).await.not_allowed;
    assert_eq!(
        other,
        ["http://127.0.0.1:9 with this path".to_owned()].into()
    );
    // It would not start in a server either.
    let denied = check("ask-on-start", url, &[], false).await;
    assert!(matches!(denied, Err(Fault::StartRefused(_))), "{denied:?}");
}
