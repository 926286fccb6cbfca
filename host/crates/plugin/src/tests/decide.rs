//! Decisions of guests that behave.

use livehost_policy::{ConnectGrant, DuplicateRule};

use super::*;

#[tokio::test]
async fn accepts_with_attributes() {
    let fixture = Fixture::probe("accept").await;
    assert_eq!(
        fixture.connect(&[]).await,
        Ok(ConnectDecision::Accept(ConnectGrant {
            attrs: pairs(&[("version", "000000")]),
            ..ConnectGrant::default()
        }))
    );
}

#[tokio::test]
async fn rejects_with_code_and_text() {
    let fixture = Fixture::probe("reject").await;
    let Ok(ConnectDecision::Reject(rejection)) = fixture.connect(&[]).await else {
        panic!("accepted");
    };
    assert_eq!(rejection.code, "Probe.Rejected");
    assert_eq!(rejection.description, "asked to reject");
}

#[tokio::test]
async fn clients_log_in_only_where_the_configuration_has_anybody_do_so() {
    let fixture = Fixture::probe("nobody-logs-in").await;
    let plugin = &fixture.plugin;
    let client = connect(&[]);
    assert_eq!(
        ask(&**plugin, OnAuthenticate::new(client.clone())).await,
        Ok(Ok(None))
    );
    fixture.reconfigure(mode("log-in")).await.unwrap();
    let challenge = ask(&**plugin, OnAuthenticate::new(client.clone())).await;
    assert_eq!(challenge, Ok(Ok(Some(Challenge::Adobe))));
    // One that can't say does not serve.
    let broken = fixture.reconfigure(mode("panic-on-need")).await;
    assert!(broken.is_err());
    assert_eq!(
        ask(&**plugin, OnAuthenticate::new(client.clone())).await,
        challenge
    );
}

#[tokio::test]
async fn redirects() {
    let fixture = Fixture::probe("redirect").await;
    assert_eq!(
        fixture.connect(&[]).await,
        Ok(ConnectDecision::Redirect(
            "rtmp://elsewhere.example/live".into()
        ))
    );
}

#[tokio::test]
async fn renames_and_refuses_streams() {
    let fixture = Fixture::probe("rename").await;
    let plugin = &fixture.plugin;
    let Ok(PublishDecision::Accept(grant)) =
        ask(&**plugin, OnPublish::new(stream("cam1", &[]))).await
    else {
        panic!("rejected");
    };
    assert_eq!(grant.name.as_deref(), Some("renamed-cam1"));
    assert_eq!(grant.on_duplicate, DuplicateRule::Reject);
    let asked = stream("cam1", &[("mode", "no-play")]);
    let Ok(PlayDecision::Reject(rejection)) = ask(&**plugin, OnPlay::new(asked)).await else {
        panic!("accepted");
    };
    assert_eq!(rejection.description, "asked not to play");
}

#[tokio::test]
async fn what_a_client_is_told_is_bounded() {
    let fixture = Fixture::probe("verbose").await;
    let Ok(ConnectDecision::Reject(rejection)) = fixture.connect(&[]).await else {
        panic!("accepted");
    };
    assert_eq!(rejection.description.len(), 512);
}

#[tokio::test]
async fn calls_are_answered_or_unknown() {
    let fixture = Fixture::probe("accept").await;
    assert_eq!(fixture.call("log", "hello").await, Ok("logged".into()));
    assert_eq!(
        fixture.call("no-such", "").await,
        Err(NoResult::Said(CallError::Unknown("no-such".into())))
    );
    let Err(NoResult::Said(CallError::Refused(error))) = fixture.call("disconnect", "8 why").await
    else {
        panic!("answered");
    };
    assert!(error.contains("not-found"), "{error}");
}

#[tokio::test]
async fn the_shipped_plugins_load_and_decide() {
    let folder = tempfile::tempdir().unwrap();
    for (name, config, open) in [
        ("allow-all", r#"{"on_duplicate": "replace"}"#, true),
        ("static-keys", r#"{"publish": "open"}"#, true),
        ("static-keys", r#"{"publish": {"keys": ["k1"]}}"#, false),
    ] {
        let file = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&file, guest(name)).unwrap();
        let spec = PluginSpec {
            app: "live".into(),
            file,
            config: config.into(),
            limits: PluginLimits::default(),
            http: outbound::HttpSettings::default(),
        };
        let check = Plugin::check(runtime(), spec.clone(), false).await.unwrap();
        assert_eq!(check.open_publish, open, "{name} {config}");
        let media = Arc::new(Recorder::default());
        let plugin = Plugin::load(runtime(), spec, media.services())
            .await
            .unwrap();
        let without = ask(&*plugin, OnPublish::new(stream("cam1", &[])))
            .await
            .unwrap();
        let with = stream("cam1", &[("key", "k1")]);
        let with = ask(&*plugin, OnPublish::new(with)).await.unwrap();
        assert_eq!(matches!(without, PublishDecision::Accept(_)), open);
        assert!(matches!(with, PublishDecision::Accept(_)));
    }
}

#[tokio::test]
async fn a_guest_of_a_later_patch_version_is_taken() {
    let bytes = patched(probe(0), "@0.1.0", "@0.1.7");
    let fixture = Fixture::try_load(&bytes, &mode("accept"), PluginLimits::default())
        .await
        .expect("0.1.7 fits 0.1.0");
    assert!(fixture.connect(&[]).await.is_ok());
    assert!(fixture.plugin.describe().optional.contains(&"events"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_share_a_few_instances() {
    let limits = PluginLimits {
        max_instances: 3,
        ..PluginLimits::default()
    };
    let fixture = Arc::new(Fixture::probe_within("accept", limits).await);
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let fixture = Arc::clone(&fixture);
            tokio::spawn(async move {
                for _ in 0..20 {
                    fixture.connect(&[]).await.expect("an answer");
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test]
async fn instances_are_renewed_after_many_calls() {
    let limits = PluginLimits {
        recycle_after_calls: 3,
        max_instances: 1,
        ..PluginLimits::default()
    };
    let fixture = Fixture::probe_within("accept", limits).await;
    for _ in 0..20 {
        fixture.connect(&[]).await.expect("an answer");
    }
}
