//! `host status`.

use livehost_server_http::api::clients::ClientReport;
use livehost_server_http::api::page::Page;
use livehost_server_http::api::streams::StreamReport;
use livehost_server_http::operations::{ApplicationReport, ServerReport, ServerState};
use livehost_telemetry::log::visible;
use livehost_telemetry::terminal;
use serde_json::{Value, json};

use super::client::ApiClient;
use super::table::{Align, Table, age};
use super::{MAX_LINE, print_json, streams};

/// Digits of a hash that tell versions apart.
const HASH: usize = 12;

/// Prints what the server does.
pub(super) async fn show(api: &ApiClient, json: bool) -> anyhow::Result<()> {
    if json {
        let server: Value = api.get("server").await?;
        let applications: Page<Value> = api.get("applications").await?;
        let streams: Vec<Value> = api.list("streams", None).await?;
        return print_json(&json!({
            "server": server,
            "applications": applications.items,
            "streams": streams,
        }));
    }
    let server: ServerReport = api.get("server").await?;
    let applications: Page<ApplicationReport> = api.get("applications").await?;
    let mut published: Vec<StreamReport> = api.list("streams", None).await?;
    let clients: Vec<ClientReport> = api.list("clients", None).await?;
    streams::sort(&mut published, crate::cli::Sort::Name);
    let lines = lines(&server, &applications.items, &published, clients.len());
    terminal::print(format_args!("{}", lines.join("\n")))
}

/// What is printed.
pub(super) fn lines(
    server: &ServerReport,
    applications: &[ApplicationReport],
    published: &[StreamReport],
    clients: usize,
) -> Vec<String> {
    let mut lines = vec![
        head(server),
        format!("  configuration  {}", visible(&server.config, MAX_LINE)),
    ];
    for acceptor in &server.acceptors {
        let at = format!(
            "{}://{}  {}",
            acceptor.scheme, acceptor.listen, acceptor.chain
        );
        lines.push(format!("  listening      {}", visible(&at, MAX_LINE)));
    }
    let (players, kbps) = streams::sums(published);
    let streams = published.len();
    lines.push(format!(
        "  now            streams: {streams}, players: {players}, clients: {clients}, in: {kbps} kbit/s"
    ));
    lines.push(String::new());
    lines.extend(plugins(applications).lines());
    if !published.is_empty() {
        lines.push(String::new());
        lines.extend(streams::table(published).lines());
    }
    lines
}

/// Who answers, in one line.
pub(super) fn head(server: &ServerReport) -> String {
    let state = match server.state {
        ServerState::Serving => "serving",
        ServerState::Draining => "draining: it ends when its clients have left",
    };
    let version = visible(&server.version, MAX_LINE);
    let (pid, up) = (server.pid, age(server.started_unix_ms));
    format!("livehost {version}  process {pid}  up {up}  {state}")
}

fn plugins(applications: &[ApplicationReport]) -> Table {
    let mut table = Table::new(&[
        ("APPLICATION", Align::Left),
        ("PLUGIN", Align::Left),
        ("GENERATION", Align::Right),
        ("HASH", Align::Left),
        ("ALSO CALLED", Align::Left),
    ]);
    for application in applications {
        let plugin = &application.plugin;
        table.row([
            application.name.clone(),
            plugin.file.clone(),
            plugin.generation.to_string(),
            plugin.hash.chars().take(HASH).collect(),
            application.aliases.join(", "),
        ]);
    }
    table
}
