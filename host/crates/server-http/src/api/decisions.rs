//! What plugins decided: the ring of the decision log, and its live feed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::{HeaderMap, StatusCode};
use livehost_decisions::{DecisionFilter, DecisionRecord, FeedItem};
use serde::Deserialize;
use utoipa::IntoParams;

use super::page::{Page, limit};
use crate::access::Reads;
use crate::connection::Lasting;
use crate::problem::{Problem, Problems};
use crate::site::Site;

/// How often a feed without decisions says that it is there.
const ALIVE: Duration = Duration::from_secs(15);

/// Which decisions.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DecisionQuery {
    /// Of this application alone.
    app: Option<String>,
    /// Of this function alone: `on-publish`.
    hook: Option<String>,
    /// About this stream alone, as it was asked for.
    stream: Option<String>,
    /// About the client with this number alone.
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,19}$")]
    client: Option<u64>,
    /// Older than this one: `next` of the page before. Not for a feed.
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,19}$")]
    after: Option<u64>,
    /// Entries of a page, 100 unless told. Not for a feed.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

impl DecisionQuery {
    fn filter(self) -> DecisionFilter {
        DecisionFilter {
            app: self.app,
            hook: self.hook,
            conn: self.client,
            stream: self.stream,
            ..DecisionFilter::default()
        }
    }
}

/// What plugins decided
///
/// The newest first, as many as `decisions.ring` keeps; see docs/decisions.md for the
/// fields.
#[utoipa::path(
    get,
    path = "/api/v1/decisions",
    operation_id = "list_decisions",
    tag = "decisions",
    params(DecisionQuery),
    responses((status = OK, body = Page<serde_json::Value>), Problems),
    security(("token" = ["Read"]))
)]
pub(super) async fn list(
    _: Reads,
    State(site): State<Arc<Site>>,
    query: Result<Query<DecisionQuery>, QueryRejection>,
) -> Result<Json<Page<serde_json::Value>>, Problem> {
    let Query(query) = query?;
    let (limit, before) = (limit(query.limit)?, query.after);
    let found = site.decisions.recent(&query.filter(), before, limit);
    let more = found.len() >= limit;
    let name = |record: &Arc<DecisionRecord>| record.id.to_string();
    let json = |record: Arc<DecisionRecord>| serde_json::to_value(&*record).unwrap_or_default();
    Ok(Json(Page::new(found, more, name, json)))
}

/// What plugins decide, as they do
///
/// Server-sent events: `decision` with a record and its id, `lost` with a number when
/// decisions came faster than they were taken. `Last-Event-ID` goes on behind that
/// decision, as far as `decisions.ring` has kept what followed.
#[utoipa::path(
    get,
    path = "/api/v1/decisions/feed",
    operation_id = "follow_decisions",
    tag = "decisions",
    params(DecisionQuery),
    responses(
        (status = OK, description = "A feed", body = String, content_type = "text/event-stream"),
        Problems,
    ),
    security(("token" = ["Read"]))
)]
pub(super) async fn feed(
    _: Reads,
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    query: Result<Query<DecisionQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    if query.after.is_some() || query.limit.is_some() {
        let detail = "expected no `after` and no `limit`: a feed goes on behind `Last-Event-ID`";
        return Err(Problem::bad_request(detail));
    }
    let Ok(place) = site.feeds.clone().try_acquire_owned() else {
        let detail = "too many feeds are open: end one";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    };
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let last = last.and_then(|id| id.parse().ok());
    let feed = site.decisions.subscribe(query.filter(), last);
    let shutdown = site.shutdown.clone();
    let events = stream::unfold(
        (feed, shutdown, place),
        async |(mut feed, shutdown, place)| {
            let item = shutdown.run_until_cancelled(feed.next()).await??;
            let event = match item {
                FeedItem::Decision(record) => {
                    let event = Event::default().event("decision").id(record.id.to_string());
                    event.data(record.to_line())
                }
                FeedItem::Lost(count) => Event::default().event("lost").data(count.to_string()),
            };
            Some((Ok::<_, Infallible>(event), (feed, shutdown, place)))
        },
    );
    let alive = KeepAlive::new().interval(ALIVE);
    let mut response = Sse::new(events).keep_alive(alive).into_response();
    response.extensions_mut().insert(Lasting);
    Ok(response)
}
