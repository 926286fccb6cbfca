//! Who is connected.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use http::StatusCode;
use livehost_app::directory::Accepted;
use livehost_policy::ConnId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::audit::audit;
use super::page::{Page, limit};
use crate::access::{Reads, SteersMedia};
use crate::problem::{Problem, Problems};
use crate::site::Site;

/// What a client is told when nobody says why.
const KICKED: &str = "an operator ended the connection";
/// Characters of a reason.
const MAX_REASON: usize = 256;

/// A client that an application has accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClientReport {
    /// Its connection's number: as long as the process runs, no other's.
    pub id: String,
    /// The application.
    pub app: String,
    /// Its address and port.
    pub remote: String,
    /// `rtmp`, `rtmps`, ...
    pub protocol: String,
    /// The name that it asked for in TLS.
    #[schema(required = true)]
    pub tls_name: Option<String>,
    /// When the application accepted it, Unix time in milliseconds.
    pub since_unix_ms: u64,
}

impl From<Accepted> for ClientReport {
    fn from(accepted: Accepted) -> Self {
        let since = accepted.since.duration_since(UNIX_EPOCH);
        let since = since.unwrap_or_default().as_millis();
        let client = &accepted.client;
        Self {
            id: client.conn.to_string(),
            app: accepted.app.to_string(),
            remote: client.remote.clone(),
            protocol: client.protocol.clone(),
            tls_name: client.tls_name.clone(),
            since_unix_ms: u64::try_from(since).unwrap_or(u64::MAX),
        }
    }
}

/// Which clients.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ClientQuery {
    /// Of this application alone.
    app: Option<String>,
    /// Behind this number: `next` of the page before.
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,19}$")]
    after: Option<ConnId>,
    /// Entries of a page, 100 unless told.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reason {
    /// What the client is told; up to 256 characters.
    #[schema(max_length = 256)]
    pub reason: Option<String>,
}

impl Reason {
    pub(super) fn text(self, default: &str) -> Result<String, Problem> {
        let reason = self.reason.filter(|reason| !reason.is_empty());
        let reason = reason.unwrap_or_else(|| default.to_owned());
        if reason.chars().count() > MAX_REASON {
            let detail = format!("reason: expected up to {MAX_REASON} characters");
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
        Ok(reason)
    }
}

/// The clients
///
/// In the order in which they came.
#[utoipa::path(
    get,
    path = "/api/v1/clients",
    operation_id = "list_clients",
    tag = "clients",
    params(ClientQuery),
    responses((status = OK, body = Page<ClientReport>), Problems),
    security(("token" = ["Read"]))
)]
pub(super) async fn list(
    _: Reads,
    State(site): State<Arc<Site>>,
    query: Result<Query<ClientQuery>, QueryRejection>,
) -> Result<Json<Page<ClientReport>>, Problem> {
    let Query(query) = query?;
    let limit = limit(query.limit)?;
    let after = query.after.unwrap_or_default();
    let found = site.directory.page(query.app.as_deref(), after, limit);
    let name = |accepted: &Accepted| accepted.client.conn.to_string();
    let more = found.len() >= limit;
    Ok(Json(Page::new(found, more, name, ClientReport::from)))
}

/// A client
#[utoipa::path(
    get,
    path = "/api/v1/clients/{id}",
    operation_id = "get_client",
    tag = "clients",
    params(("id" = String, Path, description = "Its connection's number")),
    responses((status = OK, body = ClientReport), Problems),
    security(("token" = ["Read"]))
)]
pub(super) async fn one(
    _: Reads,
    State(site): State<Arc<Site>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<ClientReport>, Problem> {
    let Path(id) = id?;
    let found = id.parse().ok().and_then(|conn| site.directory.get(conn));
    found
        .map(|accepted| Json(accepted.into()))
        .ok_or_else(|| no_client(&id))
}

/// End a client's connection
#[utoipa::path(
    post,
    path = "/api/v1/clients/{id}/kick",
    operation_id = "kick_client",
    tag = "clients",
    params(("id" = String, Path, description = "Its connection's number")),
    request_body = Reason,
    responses((status = NO_CONTENT, description = "It is told, and ends"), Problems),
    security(("token" = ["Media"]))
)]
pub(super) async fn kick(
    SteersMedia(operator): SteersMedia,
    State(site): State<Arc<Site>>,
    id: Result<Path<String>, PathRejection>,
    reason: Result<Json<Reason>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id?;
    let Json(reason) = reason?;
    let reason = reason.text(KICKED)?;
    let kicked = (id.parse().ok()).is_some_and(|conn| site.directory.kick(conn, &reason));
    let done = if kicked { Ok(()) } else { Err(no_client(&id)) };
    audit(&operator, "kick", &id, done)?;
    Ok(StatusCode::NO_CONTENT)
}

fn no_client(id: &str) -> Problem {
    Problem::not_found(format!("there is no client {id:?}"))
}
