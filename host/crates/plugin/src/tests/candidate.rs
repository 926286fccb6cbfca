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
    let (log, _guard) = super::logs::Captured::start();
    let fixture = Fixture::probe("accept").await;
    let before = fixture.plugin.describe();
    let ordered = fixture.media.told();
    let other = spec(&fixture, &mode("reject"));

    // It was configured only: there is nothing to end.
    drop(fixture.plugin.prepare(other.clone()).await.unwrap());

    let mut candidate = fixture.plugin.prepare(other).await.unwrap();
    candidate.start().await.unwrap();
    log.one("start StartReason::Reload", &[]);
    assert!(fixture.connect(&[]).await.is_ok(), "the old one serves");
    drop(candidate);
    assert_eq!(fixture.plugin.describe(), before);
    assert_eq!(fixture.plugin.reload().await, Ok(Reload::Unchanged));
    fixture.plugin.shutdown(StopReason::Shutdown).await;
    log.one("stop StopReason::Reload", &[]);
    // What it ordered at its start and its stop is ordered by nobody.
    let told = fixture.media.told();
    let since: Vec<_> = told.iter().skip(ordered.len()).collect();
    assert!(
        since.len() == 1 && since[0].starts_with("stop StopReason::Shutdown"),
        "{since:?}"
    );
}

#[tokio::test]
async fn what_a_version_orders_at_its_start_is_carried_out_once_it_serves() {
    let fixture = Fixture::probe("accept").await;
    let ordered = fixture.media.told().len();
    let other = spec(&fixture, &mode("reject"));
    let mut candidate = fixture.plugin.prepare(other).await.unwrap();
    candidate.start().await.unwrap();
    assert_eq!(fixture.media.told().len(), ordered);
    candidate.commit();
    fixture.media.wait_for("start StartReason::Reload", 1).await;
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
    let (log, _guard) = super::logs::Captured::start();
    let fixture = Fixture::probe("accept").await;
    let other = spec(&fixture, &mode("reject"));
    let mut candidate = fixture.plugin.prepare(other).await.unwrap();
    candidate.start().await.unwrap();
    let stopping = fixture.plugin.shutdown(StopReason::Shutdown);
    tokio::join!(stopping, async { drop(candidate) });
    log.one("stop StopReason::Reload", &[]);
    log.one("stop StopReason::Shutdown", &[]);
}
