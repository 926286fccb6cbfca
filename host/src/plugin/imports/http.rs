//! `http-client`: requests of guests to the outside.
//!
//! The configuration has no list of allowed hosts yet, so nothing is allowed,
//! and every refusal says so in the log.

use crate::plugin::bindings::livehost::app::http_client::{Host, HttpError, Request, Response};
use crate::plugin::imports::log::Level;
use crate::plugin::instance::State;

impl Host for State {
    async fn send(&mut self, req: Request) -> Result<Response, HttpError> {
        // The host only: a query may hold credentials.
        let host = req
            .url
            .split_once("://")
            .map_or("", |(_, rest)| rest)
            .split(['/', '?', '#'])
            .next()
            .and_then(|authority| authority.rsplit('@').next())
            .unwrap_or_default();
        self.log(
            Level::Warn,
            "outbound HTTP is denied: no host is allowed, outbound HTTP is not configured",
            &[("host".to_owned(), host.to_owned())],
        );
        Err(HttpError::Denied)
    }
}
