//! Streams that go to other servers and come from them.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::StatusCode;
use livehost_app::relays::{Direction, RelayInfo};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::audit::audit;
use super::page::Page;
use crate::access::{Reads, SteersMedia};
use crate::problem::{Problem, Problems};
use crate::site::Site;

/// A relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RelayReport {
    /// The number of its connection.
    pub id: String,
    /// The stream here: `app/name`, or `app/instance/name`.
    pub stream: String,
    /// `push` or `pull`.
    pub direction: String,
    /// The other server and its application, without whatever may be a key.
    pub server: String,
    /// It tries or has a connection; otherwise it waits.
    pub attempting: bool,
}

impl From<RelayInfo> for RelayReport {
    fn from(info: RelayInfo) -> Self {
        let direction = match info.direction {
            Direction::Push => "push",
            Direction::Pull => "pull",
        };
        Self {
            id: info.conn.to_string(),
            stream: info.stream.to_string(),
            direction: direction.to_owned(),
            server: info.server,
            attempting: info.is_attempting,
        }
    }
}

/// The relays
///
/// All of them, by stream; an application has at most `relay.max`.
#[utoipa::path(
    get,
    path = "/api/v1/relays",
    operation_id = "list_relays",
    tag = "relays",
    responses((status = OK, body = Page<RelayReport>), Problems),
    security(("token" = ["Read"]))
)]
pub(super) async fn list(_: Reads, State(site): State<Arc<Site>>) -> Json<Page<RelayReport>> {
    let relays = site.broker.relays().list().into_iter();
    let mut items: Vec<_> = relays.map(RelayReport::from).collect();
    items.sort_by(|a, b| (&a.stream, &a.server).cmp(&(&b.stream, &b.server)));
    Json(Page { items, next: None })
}

/// Have a relay connect anew
///
/// Its connection ends, and it makes another one as after any loss.
#[utoipa::path(
    post,
    path = "/api/v1/relays/{id}/reconnect",
    operation_id = "reconnect_relay",
    tag = "relays",
    params(("id" = String, Path, description = "The number of its connection")),
    responses((status = NO_CONTENT, description = "It does"), Problems),
    security(("token" = ["Media"]))
)]
pub(super) async fn reconnect(
    SteersMedia(operator): SteersMedia,
    State(site): State<Arc<Site>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id?;
    let relays = site.broker.relays();
    let found = relays
        .list()
        .into_iter()
        .find(|relay| relay.conn.to_string() == id);
    let is_cut = found.is_some_and(|relay| {
        let app = &relay.stream.app;
        relays.disconnect(app, relay.conn, "an operator wants it to connect anew")
    });
    let done = match is_cut {
        true => Ok(()),
        false => Err(Problem::not_found(format!(
            "no relay {id:?} has a connection"
        ))),
    };
    audit(&operator, "reconnect a relay", &id, done)?;
    Ok(StatusCode::NO_CONTENT)
}
