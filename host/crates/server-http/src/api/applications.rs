//! Applications and their plugins.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};

use super::audit::audit;
use super::page::Page;
use crate::access::{Administers, Reads};
use crate::operations::{ApplicationReport, ReloadReport};
use crate::problem::{Problem, Problems};
use crate::site::Site;

/// The applications
///
/// All of them, by name.
#[utoipa::path(
    get,
    path = "/api/v1/applications",
    operation_id = "list_applications",
    tag = "applications",
    responses((status = OK, body = Page<ApplicationReport>), Problems),
    security(("token" = ["Read"]))
)]
pub(super) async fn list(_: Reads, State(site): State<Arc<Site>>) -> Json<Page<ApplicationReport>> {
    Json(Page {
        items: site.operations.applications(),
        next: None,
    })
}

/// An application
#[utoipa::path(
    get,
    path = "/api/v1/applications/{name}",
    operation_id = "get_application",
    tag = "applications",
    params(("name" = String, Path, description = "Its name in the configuration")),
    responses((status = OK, body = ApplicationReport), Problems),
    security(("token" = ["Read"]))
)]
pub(super) async fn one(
    _: Reads,
    State(site): State<Arc<Site>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<ApplicationReport>, Problem> {
    let Path(name) = name?;
    let mut applications = site.operations.applications().into_iter();
    let found = applications.find(|application| application.name == name);
    found
        .map(Json)
        .ok_or_else(|| Problem::not_found(format!("there is no application {name:?}")))
}

/// Read a plugin's file again
///
/// The same content changes nothing. 409 with what is wrong; the old version serves
/// on then.
#[utoipa::path(
    post,
    path = "/api/v1/applications/{name}/plugin/reload",
    operation_id = "reload_plugin",
    tag = "applications",
    params(("name" = String, Path, description = "Its name in the configuration")),
    responses((status = OK, body = ReloadReport), Problems),
    security(("token" = ["Admin"]))
)]
pub(super) async fn reload(
    Administers(operator): Administers,
    State(site): State<Arc<Site>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<ReloadReport>, Problem> {
    let Path(name) = name?;
    let done = site.operations.reload_plugin(&name).await;
    audit(
        &operator,
        "reload a plugin",
        &name,
        done.map_err(Problem::from),
    )
    .map(Json)
}

/// Go back to a plugin's version before
///
/// The one that is left is not loaded again until its file or its settings change. 409
/// without a version before.
#[utoipa::path(
    post,
    path = "/api/v1/applications/{name}/plugin/roll-back",
    operation_id = "roll_plugin_back",
    tag = "applications",
    params(("name" = String, Path, description = "Its name in the configuration")),
    responses((status = OK, body = ReloadReport), Problems),
    security(("token" = ["Admin"]))
)]
pub(super) async fn roll_back(
    Administers(operator): Administers,
    State(site): State<Arc<Site>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<ReloadReport>, Problem> {
    let Path(name) = name?;
    let done = site.operations.roll_plugin_back(&name).await;
    audit(
        &operator,
        "roll a plugin back",
        &name,
        done.map_err(Problem::from),
    )
    .map(Json)
}
