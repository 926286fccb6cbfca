//! The API, version 1: everything below `/api/v1`.
//!
//! One file for each kind of thing. Lists come in pages: `after` of the next is the
//! `next` of the one before, a name or a number, so that what comes and goes in
//! between moves nothing. Every order leaves a line in the log (`audit.rs`).

pub mod applications;
mod audit;
pub mod clients;
mod decisions;
pub mod page;
pub mod relays;
pub mod server;
pub mod streams;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::header;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::site::Site;

/// Where the document is.
const DOCUMENT: &str = "/api/v1/openapi.json";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "livehost",
        description = "What a livehost server does, and orders to it.",
    ),
    modifiers(&WithToken),
    tags(
        (name = "server", description = "The process and its configuration"),
        (name = "applications", description = "Applications and their plugins"),
        (name = "streams", description = "What is published"),
        (name = "clients", description = "Who is connected"),
        (name = "decisions", description = "What plugins decided"),
        (name = "relays", description = "Streams to and from other servers"),
    )
)]
struct Document;

struct WithToken;

impl Modify for WithToken {
    fn modify(&self, document: &mut OpenApi) {
        let bearer = Http::new(HttpAuthScheme::Bearer);
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

/// The routes, and the document that describes them.
pub(crate) fn parts() -> (Router<Arc<Site>>, OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(server::server))
        .routes(routes!(server::configuration))
        .routes(routes!(server::reload))
        .routes(routes!(server::drain))
        .routes(routes!(server::log_level, server::set_log_level))
        .routes(routes!(applications::list))
        .routes(routes!(applications::one))
        .routes(routes!(applications::reload))
        .routes(routes!(applications::roll_back))
        .routes(routes!(streams::list))
        .routes(routes!(streams::one))
        .routes(routes!(streams::stop))
        .routes(routes!(streams::forward, streams::stop_forward))
        .routes(routes!(clients::list))
        .routes(routes!(clients::one))
        .routes(routes!(clients::kick))
        .routes(routes!(decisions::list))
        .routes(routes!(decisions::feed))
        .routes(routes!(relays::list))
        .routes(routes!(relays::reconnect))
        .split_for_parts()
}

/// The document's own route: written once, since strangers may ask for it.
pub(crate) fn document(document: &OpenApi) -> Router<Arc<Site>> {
    let text = Bytes::from(document.to_json().unwrap_or_default());
    let kind = [(header::CONTENT_TYPE, "application/json")];
    Router::new().route(DOCUMENT, get(async move || (kind, text)))
}

/// The document, as JSON: for the file in the documentation.
#[must_use]
pub fn openapi() -> String {
    parts().1.to_pretty_json().unwrap_or_default()
}
