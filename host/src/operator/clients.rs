//! `host clients` and `host kick`.

use livehost_server_http::api::clients::{ClientReport, Reason};
use livehost_server_http::api::page::Page;
use livehost_telemetry::{say, terminal};
use serde_json::Value;

use super::client::{ApiClient, encoded};
use super::table::{Align, Table, age};
use super::{print_json, refused};

/// Prints who is connected.
pub(super) async fn list(api: &ApiClient, app: Option<&str>, json: bool) -> anyhow::Result<()> {
    if json {
        let items: Vec<Value> = api.list("clients", app).await?;
        return print_json(&Page { items, next: None });
    }
    let clients: Vec<ClientReport> = api.list("clients", app).await?;
    terminal::print(format_args!("{}", table(clients).lines().join("\n")))
}

/// Ends the connection of this number.
pub(super) async fn kick(
    api: &ApiClient,
    client: &str,
    reason: Option<String>,
) -> anyhow::Result<()> {
    let path = format!("clients/{}/kick", encoded(client));
    api.order(&path, Some(&Reason { reason })).await?;
    say!("client {}: it is told, and ends", refused(client));
    Ok(())
}

fn table(clients: Vec<ClientReport>) -> Table {
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("APPLICATION", Align::Left),
        ("ADDRESS", Align::Left),
        ("PROTOCOL", Align::Left),
        ("SINCE", Align::Left),
        ("ASKED FOR", Align::Left),
    ]);
    for client in clients {
        table.row([
            client.id,
            client.app,
            client.remote,
            client.protocol,
            age(client.since_unix_ms),
            client.tls_name.unwrap_or_default(),
        ]);
    }
    table
}
