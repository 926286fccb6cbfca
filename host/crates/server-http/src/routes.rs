//! Which paths lead where.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};

use crate::access;
use crate::connection::Peer;
use crate::problem::Problem;
use crate::site::Site;
use crate::{api, guard, health, metrics};

/// The most that a request's body may have, bytes.
const MAX_BODY: usize = 64 * 1024;
/// A handler may take so long: a plugin is compiled in less.
const HANDLER: Duration = Duration::from_secs(60);

/// What an acceptor serves; health is everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `/api`
    Api,
    /// `/metrics`
    Metrics,
}

impl Service {
    /// Where it is.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Api => "/api/v1",
            Self::Metrics => "/metrics",
        }
    }
}

/// The paths of these services.
pub(crate) fn router(site: &Arc<Site>, services: &[Service]) -> Router {
    let mut router = Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready));
    let mut guarded = Router::new();
    if services.contains(&Service::Metrics) {
        guarded = guarded.route("/metrics", get(metrics::scrape));
    }
    if services.contains(&Service::Api) {
        let (routes, document) = api::parts();
        let identified = from_fn_with_state(site.clone(), identified);
        guarded = guarded
            .merge(routes.layer(identified))
            // Whoever may see the API may see what it is like.
            .merge(api::document(&document));
    }
    router = router.merge(guarded.layer(from_fn_with_state(site.clone(), guarded_by_name)));
    router
        .fallback(async || Problem::not_found("there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            let detail = "expected another method: see the header Allow";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(in_time))
        .with_state(site.clone())
}

async fn guarded_by_name(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let is_tcp = matches!(request.extensions().get(), Some(Peer::Tcp { .. }));
    if is_tcp {
        let checked = guard::check(&site.access.load(), request.uri(), request.headers());
        if let Err(problem) = checked {
            return problem.into_response();
        }
    }
    next.run(request).await
}

async fn identified(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    let Some(peer) = request.extensions().get::<Peer>() else {
        return Problem::new(StatusCode::UNAUTHORIZED, "nobody asks").into_response();
    };
    match access::identify(&site.access.load(), peer, request.headers()) {
        Ok(operator) => {
            if let Peer::Tcp { permit, .. } = peer {
                permit.grant();
            }
            request.extensions_mut().insert(operator);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Ends what takes too long, and says that nothing may be kept.
async fn in_time(request: Request, next: Next) -> Response {
    let mut response = match tokio::time::timeout(HANDLER, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!(
                "it took longer than {} s; it may still be done",
                HANDLER.as_secs()
            );
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
        }
    };
    let headers = response.headers_mut();
    let none = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(none);
    let sniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, sniff);
    response
}
