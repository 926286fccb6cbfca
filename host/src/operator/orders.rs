//! `host reload`, `host drain` and `host log-level`.

use http::Method;
use livehost_server_http::api::server::LogLevel;
use livehost_server_http::operations::ReloadReport;
use livehost_telemetry::{say, terminal};

use super::client::{ApiClient, EMPTY, encoded};
use super::refused;

/// Has the configuration read again.
pub(super) async fn reload_configuration(api: &ApiClient) -> anyhow::Result<()> {
    api.order("config/reload", EMPTY).await?;
    say!("the configuration is in force");
    Ok(())
}

/// Has the file of the application's plugin read again.
pub(super) async fn reload_plugin(api: &ApiClient, app: &str) -> anyhow::Result<()> {
    of_plugin(api, app, "reload").await
}

/// Puts the version before of the application's plugin in its place.
pub(super) async fn roll_back(api: &ApiClient, app: &str) -> anyhow::Result<()> {
    of_plugin(api, app, "roll-back").await
}

async fn of_plugin(api: &ApiClient, app: &str, order: &str) -> anyhow::Result<()> {
    let path = format!("applications/{}/plugin/{order}", encoded(app));
    let report: ReloadReport = api.told(Method::POST, &path, EMPTY).await?;
    let (app, outcome) = (refused(app), refused(&report.outcome));
    say!(
        "application {app}: {outcome}, generation {} serves",
        report.generation
    );
    Ok(())
}

/// Ends the server in order.
pub(super) async fn drain(api: &ApiClient) -> anyhow::Result<()> {
    api.order("drain", EMPTY).await?;
    say!(
        "the server takes nobody in any more, and ends when its clients have left or `limits.drain` is over"
    );
    Ok(())
}

/// Shows what is logged; by `filter` from now on, if there is one.
pub(super) async fn log_level(api: &ApiClient, filter: Option<String>) -> anyhow::Result<()> {
    let now: LogLevel = match filter {
        None => api.get("log-level").await?,
        Some(level) => {
            let asked = LogLevel { level };
            api.told(Method::PUT, "log-level", Some(&asked)).await?
        }
    };
    terminal::print(format_args!("{}", refused(&now.level)))
}
