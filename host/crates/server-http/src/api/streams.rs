//! What is published.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use http::StatusCode;
use livehost_policy::{ControlError, MediaControl as _, Order, StreamInfo, StreamRef, names};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::audit::audit;
use super::clients::Reason;
use super::page::{Page, limit};
use crate::access::{Reads, SteersMedia};
use crate::problem::{Problem, Problems};
use crate::site::Site;

/// What a publisher is told when nobody says why.
const STOPPED: &str = "an operator stopped the stream";

/// A stream that somebody publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StreamReport {
    /// The publish: as long as the process runs, no other's.
    pub id: String,
    /// `app/name`, or `app/instance/name`.
    pub stream: String,
    /// The application.
    pub app: String,
    /// The application instance, if there is one.
    #[schema(required = true)]
    pub instance: Option<String>,
    /// The granted name.
    pub name: String,
    /// Who publishes.
    pub publisher: PublisherReport,
    /// The video codec, once its header has come.
    #[schema(required = true)]
    pub video: Option<String>,
    /// The audio codec, once its header has come.
    #[schema(required = true)]
    pub audio: Option<String>,
    /// When the publish began, Unix time in milliseconds.
    pub since_unix_ms: u64,
    /// Bytes of media received.
    pub bytes_in: u64,
    /// Kilobits (1,000 bits) a second of the last two seconds.
    pub kbps: u32,
    /// Milliseconds since the last media.
    pub idle_ms: u64,
    /// Players now.
    pub players: u32,
}

/// Who publishes a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublisherReport {
    /// The connection's number; a relay's is no client's.
    pub id: String,
    /// Its address and port.
    pub remote: String,
    /// `rtmp`, `rtmps`, ...
    pub protocol: String,
}

impl From<StreamInfo> for StreamReport {
    fn from(info: StreamInfo) -> Self {
        Self {
            id: info.id.to_string(),
            stream: called(&info),
            publisher: PublisherReport {
                id: info.publisher.conn.to_string(),
                remote: info.publisher.remote,
                protocol: info.publisher.protocol,
            },
            app: info.app,
            instance: info.instance,
            name: info.name,
            video: info.video,
            audio: info.audio,
            since_unix_ms: info.started_unix_ms,
            bytes_in: info.bytes_in,
            kbps: info.kbps,
            idle_ms: info.idle_ms,
            players: info.players,
        }
    }
}

/// What the stream is called: `app/path`.
pub(crate) fn called(info: &StreamInfo) -> String {
    let path = names::path(info.instance.as_deref(), &info.name);
    format!("{}/{path}", info.app)
}

/// Which streams.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamQuery {
    /// Of this application alone.
    app: Option<String>,
    /// Behind this stream, `app/name`: `next` of the page before.
    after: Option<String>,
    /// Entries of a page, 100 unless told.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// A server to push to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForwardOrder {
    /// `rtmp://...` or `rtmps://...`; the application's `relay.allow` must have it. It
    /// may hold a key, and no answer or log line repeats it.
    pub url: String,
}

/// The streams
///
/// By name, of all applications.
#[utoipa::path(
    get,
    path = "/api/v1/streams",
    operation_id = "list_streams",
    tag = "streams",
    params(StreamQuery),
    responses((status = OK, body = Page<StreamReport>), Problems),
    security(("token" = ["Read"]))
)]
pub(super) async fn list(
    _: Reads,
    State(site): State<Arc<Site>>,
    query: Result<Query<StreamQuery>, QueryRejection>,
) -> Result<Json<Page<StreamReport>>, Problem> {
    let Query(query) = query?;
    let limit = limit(query.limit)?;
    let after = query.after.unwrap_or_default();
    let hub = site.broker.hub();
    let (found, more) = hub.page(query.app.as_deref(), &after, limit);
    Ok(Json(Page::new(found, more, called, StreamReport::from)))
}

/// A stream
#[utoipa::path(
    get,
    path = "/api/v1/streams/{id}",
    operation_id = "get_stream",
    tag = "streams",
    params(("id" = String, Path, description = "The publish")),
    responses((status = OK, body = StreamReport), Problems),
    security(("token" = ["Read"]))
)]
pub(super) async fn one(
    _: Reads,
    State(site): State<Arc<Site>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<StreamReport>, Problem> {
    let Path(id) = id?;
    published(&site, &id).map(|info| Json(info.into()))
}

fn published(site: &Site, id: &str) -> Result<StreamInfo, Problem> {
    let found = id
        .parse()
        .ok()
        .and_then(|id| site.broker.hub().published(id));
    found.ok_or_else(|| Problem::not_found(format!("there is no stream {id:?}")))
}

/// End a publish
///
/// The publisher is told; it may publish again, unless the plugin refuses it.
#[utoipa::path(
    post,
    path = "/api/v1/streams/{id}/stop",
    operation_id = "stop_stream",
    tag = "streams",
    params(("id" = String, Path, description = "The publish")),
    request_body = Reason,
    responses((status = NO_CONTENT, description = "Its publisher is told"), Problems),
    security(("token" = ["Media"]))
)]
pub(super) async fn stop(
    SteersMedia(operator): SteersMedia,
    State(site): State<Arc<Site>>,
    id: Result<Path<String>, PathRejection>,
    reason: Result<Json<Reason>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id?;
    let Json(reason) = reason?;
    let reason = reason.text(STOPPED)?;
    let order = |stream| Order::StopStream { stream, reason };
    audit(&operator, "stop a stream", &id, give(&site, &id, order))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Push a stream to another server
///
/// Until the publish ends.
#[utoipa::path(
    post,
    path = "/api/v1/streams/{id}/forwards",
    operation_id = "start_forward",
    tag = "streams",
    params(("id" = String, Path, description = "The publish")),
    request_body = ForwardOrder,
    responses((status = ACCEPTED, description = "It begins"), Problems),
    security(("token" = ["Media"]))
)]
pub(super) async fn forward(
    SteersMedia(operator): SteersMedia,
    State(site): State<Arc<Site>>,
    id: Result<Path<String>, PathRejection>,
    asked: Result<Json<ForwardOrder>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let (Path(id), Json(ForwardOrder { url })) = (id?, asked?);
    let order = |stream| Order::StartForward { stream, url };
    audit(&operator, "start a forward", &id, give(&site, &id, order))?;
    Ok(StatusCode::ACCEPTED)
}

/// End the push of a stream
#[utoipa::path(
    delete,
    path = "/api/v1/streams/{id}/forwards",
    operation_id = "stop_forward",
    tag = "streams",
    params(("id" = String, Path, description = "The publish")),
    request_body = ForwardOrder,
    responses((status = NO_CONTENT, description = "It ends"), Problems),
    security(("token" = ["Media"]))
)]
pub(super) async fn stop_forward(
    SteersMedia(operator): SteersMedia,
    State(site): State<Arc<Site>>,
    id: Result<Path<String>, PathRejection>,
    asked: Result<Json<ForwardOrder>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let (Path(id), Json(ForwardOrder { url })) = (id?, asked?);
    let order = |stream| Order::StopForward { stream, url };
    audit(&operator, "stop a forward", &id, give(&site, &id, order))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives an order about the publish `id`, if it makes sense now.
fn give(site: &Site, id: &str, order: impl FnOnce(StreamRef) -> Order) -> Result<(), Problem> {
    let info = published(site, id)?;
    let order = order(StreamRef::Id(info.id));
    let checked = site.control.check(&info.app, &order);
    checked.map_err(|error| match error {
        ControlError::NotFound => Problem::not_found("there is no such stream or forward"),
        ControlError::Busy => Problem::conflict(error.to_string()),
        _ => Problem::conflict(
            "expected what the application's `relay.allow` has, and a URL that can be pushed to",
        ),
    })?;
    site.control.carry_out(&info.app, order);
    Ok(())
}
