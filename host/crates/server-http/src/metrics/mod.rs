//! Metrics for Prometheus: what is there now, gathered at each scrape.
//!
//! Nothing is kept between two scrapes, so a gauge goes with what it is about.
//! Labels are the configuration's and the program's own words. Names of streams are
//! clients' words: they are labels only for as many as the configuration allows, and
//! what is beyond is summed up as `other`.

mod families;
mod text;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};

use crate::problem::Problem;
use crate::site::Site;

/// `Content-Type` of OpenMetrics 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// `Content-Type` of Prometheus' own format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics, in the format that the client takes.
pub(crate) async fn scrape(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    let accepts = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let is_open = accepts.is_some_and(|accept| accept.contains("application/openmetrics-text"));
    let families = families::all(&site);
    let written = match is_open {
        true => text::open_metrics(families).map(|text| (OPEN_METRICS, text)),
        false => text::prometheus(families).map(|text| (PROMETHEUS, text)),
    };
    match written {
        Ok((kind, text)) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(_) => {
            let detail = "the metrics could not be written";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
        }
    }
}
