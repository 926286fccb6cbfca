//! A version that is on its way, and may not come to serve.

use super::*;

fn spec(fixture: &Fixture, config: &str) -> PluginSpec {
    PluginSpec {
        config: config.into(),
        ..fixture.spec()
    }
}

#[tokio::test]
async fn a_candidate_that_is_given_up_leaves_everything_as_it_was() {
    let fixture = Fixture::probe("accept").await;
    let before = fixture.plugin.describe();
    let other = spec(&fixture, &mode("reject"));

    // It was configured only: there is nothing to end.
    drop(fixture.plugin.prepare(other.clone()).await.unwrap());

    let mut candidate = fixture.plugin.prepare(other).await.unwrap();
    candidate.start().await.unwrap();
    fixture.media.wait_for("start StartReason::Reload", 1).await;
    assert!(fixture.connect(&[]).await.is_ok(), "the old one serves");
    drop(candidate);
    fixture.media.wait_for("stop StopReason::Reload", 1).await;
    assert_eq!(fixture.plugin.describe(), before);
    assert_eq!(fixture.plugin.reload().await, Ok(Reload::Unchanged));
}

#[tokio::test]
async fn of_a_candidate_that_refuses_to_start_nothing_stays() {
    let fixture = Fixture::probe("accept").await;
    let refusing = spec(&fixture, &mode("refuse-start"));
    let mut candidate = fixture.plugin.prepare(refusing.clone()).await.unwrap();
    let error = candidate.start().await.unwrap_err();
    assert!(matches!(error.fault, Fault::StartRefused(_)), "{error}");
    drop(candidate);
    // It is tried again, whatever became of it.
    let again = fixture.plugin.respec(refusing).await.unwrap_err();
    assert_eq!(again, error);
    assert_eq!(fixture.plugin.reload().await, Ok(Reload::Unchanged));
    assert!(fixture.connect(&[]).await.is_ok());
}

#[tokio::test]
async fn a_shutdown_ends_a_candidate_first() {
    let fixture = Fixture::probe("accept").await;
    let other = spec(&fixture, &mode("reject"));
    let mut candidate = fixture.plugin.prepare(other).await.unwrap();
    candidate.start().await.unwrap();
    let stopping = fixture.plugin.shutdown(StopReason::Shutdown);
    tokio::join!(stopping, async { drop(candidate) });
    fixture.media.wait_for("stop StopReason::Reload", 1).await;
    fixture.media.wait_for("stop StopReason::Shutdown", 1).await;
}
