//! `host streams` and `host stop`.

use anyhow::Context as _;
use livehost_server_http::api::clients::Reason;
use livehost_server_http::api::page::Page;
use livehost_server_http::api::streams::StreamReport;
use livehost_telemetry::{say, terminal};
use serde_json::Value;

use super::client::{ApiClient, encoded};
use super::table::{Align, Table, age};
use super::{print_json, refused};
use crate::cli::Sort;

/// Prints what is published.
pub(super) async fn list(api: &ApiClient, app: Option<&str>, json: bool) -> anyhow::Result<()> {
    if json {
        let items: Vec<Value> = api.list("streams", app).await?;
        return print_json(&Page { items, next: None });
    }
    let streams: Vec<StreamReport> = api.list("streams", app).await?;
    terminal::print(format_args!("{}", table(&streams).lines().join("\n")))
}

/// Ends the publish that is called so, or has this number.
pub(super) async fn stop(
    api: &ApiClient,
    stream: &str,
    reason: Option<String>,
) -> anyhow::Result<()> {
    // Every name has the application in front.
    let id = match stream.split_once('/') {
        None => stream.to_owned(),
        Some((app, _)) => {
            let streams: Vec<StreamReport> = api.list("streams", Some(app)).await?;
            let found = streams.into_iter().find(|known| known.stream == stream);
            let found = found.with_context(|| {
                format!(
                    "nobody publishes {}; `host streams` lists what is published",
                    refused(stream)
                )
            })?;
            found.id
        }
    };
    let path = format!("streams/{}/stop", encoded(&id));
    api.order(&path, Some(&Reason { reason })).await?;
    say!("{}: its publisher is told", refused(stream));
    Ok(())
}

/// What is published, in this order.
pub(super) fn table(streams: &[StreamReport]) -> Table {
    let mut table = Table::new(&[
        ("STREAM", Align::Left),
        ("VIDEO", Align::Left),
        ("AUDIO", Align::Left),
        ("KBIT/S", Align::Right),
        ("PLAYERS", Align::Right),
        ("PUBLISHER", Align::Left),
        ("SINCE", Align::Left),
        ("ID", Align::Left),
    ]);
    for stream in streams {
        let codec = |codec: &Option<String>| codec.clone().unwrap_or_else(|| "-".to_owned());
        table.row([
            stream.stream.clone(),
            codec(&stream.video),
            codec(&stream.audio),
            stream.kbps.to_string(),
            stream.players.to_string(),
            format!("{} {}", stream.publisher.protocol, stream.publisher.remote),
            age(stream.since_unix_ms),
            stream.id.clone(),
        ]);
    }
    table
}

/// Sorts by this; names decide between equals.
pub(super) fn sort(streams: &mut [StreamReport], by: Sort) {
    streams.sort_by(|a, b| {
        let first = match by {
            Sort::Kbps => b.kbps.cmp(&a.kbps),
            Sort::Players => b.players.cmp(&a.players),
            Sort::Name => std::cmp::Ordering::Equal,
        };
        first.then_with(|| a.stream.cmp(&b.stream))
    });
}

/// Players and kbit/s of all.
pub(super) fn sums(streams: &[StreamReport]) -> (u64, u64) {
    let players = streams.iter().map(|stream| u64::from(stream.players)).sum();
    let kbps = streams.iter().map(|stream| u64::from(stream.kbps)).sum();
    (players, kbps)
}
