//! For load balancers and orchestrators; no token is asked for.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;

use crate::site::Site;

/// The process answers.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// Clients are taken in; 503 while the server ends.
pub(crate) async fn ready(State(site): State<Arc<Site>>) -> (StatusCode, &'static str) {
    match site.shutdown.is_cancelled() {
        false => (StatusCode::OK, "ok\n"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}
