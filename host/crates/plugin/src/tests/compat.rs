//! Components that were compiled when a track was released still run.

use livehost_policy::{DuplicateRule, SessionEnd};

use super::*;

#[tokio::test]
async fn a_plugin_of_track_0_1_decides_and_gets_events() {
    let bytes = guest("test/compat-0.1");
    let fixture = Fixture::try_load(&bytes, "{}", PluginLimits::default())
        .await
        .expect("it loads");
    let described = fixture.plugin.describe();
    assert_eq!(described.optional, ["events", "calls"]);
    assert!(!fixture.plugin.decides_shared_objects());

    for count in ["1", "2"] {
        let decision = fixture.connect(&[]).await.unwrap();
        let ConnectDecision::Accept(grant) = decision else {
            panic!("{decision:?}");
        };
        let expected = [
            ("app", "live"),
            ("local", "0.0.0.0:1935"),
            ("count", count),
            ("http", "HttpError::Denied"),
        ];
        assert_eq!(grant.attrs, pairs(&expected));
        assert_eq!(grant.max_seconds, Some(60));
    }
    fixture.media.wait_for("timer compat", 1).await;

    let publish = ask(&*fixture.plugin, OnPublish::new(stream("cam", &[])))
        .await
        .unwrap();
    let PublishDecision::Accept(grant) = publish else {
        panic!("{publish:?}");
    };
    assert_eq!(grant.name.as_deref(), Some("compat-cam"));
    assert_eq!(grant.on_duplicate, DuplicateRule::Replace);
    assert_eq!((grant.max_kbps, grant.hold_ms), (Some(1000), Some(500)));

    let play = ask(&*fixture.plugin, OnPlay::new(stream("cam1", &[])))
        .await
        .unwrap();
    assert!(matches!(play, PlayDecision::Accept(grant) if grant.wait_ms == Some(1000)));
    let play = ask(&*fixture.plugin, OnPlay::new(stream("nothing", &[])))
        .await
        .unwrap();
    let PlayDecision::Reject(rejection) = play else {
        panic!("{play:?}");
    };
    assert_eq!(rejection.description, "2 streams");

    assert_eq!(fixture.call("echo", "bytes").await, Ok("bytes".into()));
    let unknown = fixture.call("other", "").await;
    assert!(
        matches!(unknown, Err(NoResult::Said(CallError::Unknown(_)))),
        "{unknown:?}"
    );

    let end = SessionEnd {
        reason: "eof".into(),
        ..SessionEnd::default()
    };
    let plugin = &fixture.plugin;
    plugin.notify(Event::Published(info(1, "a")));
    plugin.notify(Event::Ready(info(1, "a")));
    plugin.notify(Event::PlayEnded(stream("a", &[]), end.clone()));
    plugin.notify(Event::Unpublished(info(1, "a"), end.clone()));
    plugin.notify(Event::Disconnected(client(), end));
    let events = fixture.media.wait_for("event", 5).await;
    assert_eq!(
        events,
        [
            "event published a 0",
            "event ready a",
            "event play-ended a eof",
            "event unpublished a eof",
            "event disconnected 7 eof",
        ]
    );

    // And it is followed by another generation like any other.
    fixture.reconfigure("{\"other\": 1}".into()).await.unwrap();
    fixture.media.wait_for("start with a handoff", 1).await;
    fixture.media.wait_for("stop", 1).await;
}
