//! The process and its configuration.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::audit::audit;
use crate::access::{Administers, Reads};
use crate::operations::{OrderRefused, ServerReport};
use crate::problem::{Problem, Problems};
use crate::site::Site;

impl From<OrderRefused> for Problem {
    fn from(refused: OrderRefused) -> Self {
        match refused {
            OrderRefused::NoApplication(_) => Self::not_found(refused.to_string()),
            OrderRefused::Wrong(_) => Self::conflict(refused.to_string()),
            OrderRefused::Ending => Self::new(StatusCode::SERVICE_UNAVAILABLE, refused.to_string()),
        }
    }
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogLevel {
    /// A filter: `info`, or per module `info,livehost_hub=debug`.
    pub level: String,
}

/// The server
#[utoipa::path(
    get,
    path = "/api/v1/server",
    tag = "server",
    responses((status = OK, body = ServerReport), Problems),
    security(("token" = ["Read"]))
)]
pub(super) async fn server(_: Reads, State(site): State<Arc<Site>>) -> Json<ServerReport> {
    Json(site.operations.server())
}

/// The configuration in force
///
/// As JSON, with `***` for whatever may be a secret.
#[utoipa::path(
    get,
    path = "/api/v1/config",
    tag = "server",
    responses((status = OK, body = serde_json::Value), Problems),
    security(("token" = ["Read"]))
)]
pub(super) async fn configuration(
    _: Reads,
    State(site): State<Arc<Site>>,
) -> Json<serde_json::Value> {
    Json(site.operations.configuration())
}

/// Read the configuration again
///
/// 409 with what is wrong; the old one stays in force then.
#[utoipa::path(
    post,
    path = "/api/v1/config/reload",
    operation_id = "reload_config",
    tag = "server",
    responses((status = NO_CONTENT, description = "It is in force"), Problems),
    security(("token" = ["Admin"]))
)]
pub(super) async fn reload(
    Administers(operator): Administers,
    State(site): State<Arc<Site>>,
) -> Result<StatusCode, Problem> {
    let done = site.operations.reload_configuration().await;
    audit(
        &operator,
        "reload the configuration",
        "",
        done.map_err(Problem::from),
    )?;
    Ok(StatusCode::NO_CONTENT)
}

/// End the server in order
///
/// As SIGTERM does: it takes nobody in, tells its clients, and gives them the time of
/// `limits.drain`.
#[utoipa::path(
    post,
    path = "/api/v1/drain",
    tag = "server",
    responses((status = ACCEPTED, description = "It ends"), Problems),
    security(("token" = ["Admin"]))
)]
pub(super) async fn drain(
    Administers(operator): Administers,
    State(site): State<Arc<Site>>,
) -> Result<StatusCode, Problem> {
    audit(&operator, "drain", "", Ok(()))?;
    site.operations.drain();
    Ok(StatusCode::ACCEPTED)
}

/// What is logged
#[utoipa::path(
    get,
    path = "/api/v1/log-level",
    tag = "server",
    responses((status = OK, body = LogLevel), Problems),
    security(("token" = ["Read"]))
)]
pub(super) async fn log_level(_: Reads, State(site): State<Arc<Site>>) -> Json<LogLevel> {
    let level = site.operations.log_level();
    Json(LogLevel { level })
}

/// Change what is logged
///
/// Until the server ends, or the configuration's `log.level` changes.
#[utoipa::path(
    put,
    path = "/api/v1/log-level",
    tag = "server",
    request_body = LogLevel,
    responses((status = OK, body = LogLevel), Problems),
    security(("token" = ["Admin"]))
)]
pub(super) async fn set_log_level(
    Administers(operator): Administers,
    State(site): State<Arc<Site>>,
    asked: Result<Json<LogLevel>, JsonRejection>,
) -> Result<Json<LogLevel>, Problem> {
    let Json(asked) = asked?;
    let done = site.operations.set_log_level(&asked.level);
    let done = done.map_err(|refused| Problem::bad_request(refused.to_string()));
    audit(&operator, "change the log's level", &asked.level, done)?;
    Ok(Json(asked))
}
