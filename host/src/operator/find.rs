//! Which server is asked.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use livehost_server_http::operations::ServerReport;
use tokio::net::UnixStream;

use super::NoServer;
use super::client::ApiClient;
use super::table::{Align, Table, age};
use crate::cli::ServerChoice;
use crate::control_socket::Sockets;

/// For a server to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(3);

/// The server that is meant.
///
/// # Errors
/// [`NoServer`] when there is none; otherwise when there are several, or the choice
/// makes no sense.
pub(super) async fn server(choice: &ServerChoice) -> anyhow::Result<ApiClient> {
    if let (Some(url), Some(file)) = (&choice.url, &choice.token_file) {
        return ApiClient::at_url(url, token(file)?);
    }
    let Some(named) = choice.server.as_deref() else {
        let path = only(&Sockets::look()).await?;
        return Ok(ApiClient::at_socket(&path));
    };
    match named.parse::<u32>() {
        Err(_) => Ok(ApiClient::at_socket(Path::new(named))),
        Ok(pid) => {
            let sockets = Sockets::look();
            let path = sockets.of_process(pid).ok_or_else(|| {
                let places = places(&sockets);
                NoServer(format!(
                    "the process {pid} has no control socket in {places}; one elsewhere is \
                     chosen with --server PATH"
                ))
            })?;
            Ok(ApiClient::at_socket(path))
        }
    }
}

/// The token in `file`: its first line.
fn token(file: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(file);
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    let token = text.lines().next().unwrap_or_default().trim();
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    // Not what was found: it may be a secret.
    ensure!(
        is_token,
        "{}: expected a token, as `host token` prints it",
        file.display()
    );
    Ok(token.to_owned())
}

/// The one socket that a server listens at.
pub(super) async fn only(sockets: &Sockets) -> anyhow::Result<PathBuf> {
    let mut live = Vec::new();
    let mut closed = Vec::new();
    for path in &sockets.paths {
        match UnixStream::connect(path).await {
            Ok(_) => live.push(path),
            // What a server that crashed has left.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => closed.push((path, error)),
        }
    }
    match live.as_slice() {
        [path] => Ok((*path).clone()),
        [] => {
            let unreadable = sockets.unreadable.iter().map(|(path, error)| (path, error));
            let closed = closed.iter().map(|(path, error)| (*path, error));
            let mut text = format!("no server is found in {}", places(sockets));
            for (path, error) in unreadable.chain(closed) {
                text.push_str(&format!("\n  {}: {error}", path.display()));
                if error.kind() == io::ErrorKind::PermissionDenied {
                    text.push_str("; only who runs that server may ask it, or root");
                }
            }
            text.push_str(
                "\n  a control socket elsewhere is chosen with --server PATH, an API over TCP with --url",
            );
            Err(NoServer(text).into())
        }
        several => {
            let table = introduced(several).await;
            anyhow::bail!(
                "{} servers run here; choose one with --server PID or PATH\n\n{}",
                several.len(),
                table.lines().join("\n")
            )
        }
    }
}

fn places(sockets: &Sockets) -> String {
    let folders = sockets.folders.iter();
    let folders: Vec<String> = folders.map(|path| path.display().to_string()).collect();
    folders.join(" or ")
}

/// The servers at these sockets.
async fn introduced(paths: &[&PathBuf]) -> Table {
    let mut table = Table::new(&[
        ("PID", Align::Right),
        ("VERSION", Align::Left),
        ("UP", Align::Left),
        ("CONFIGURATION", Align::Left),
        ("SOCKET", Align::Left),
    ]);
    for path in paths {
        let client = ApiClient::at_socket(path).patient_for(INTRODUCTION);
        let report = client.get::<ServerReport>("server").await;
        let socket = path.display().to_string();
        table.row(match report {
            Ok(report) => [
                report.pid.to_string(),
                report.version,
                age(report.started_unix_ms),
                report.config,
                socket,
            ],
            Err(_) => ["?", "", "", "it does not answer", &socket].map(str::to_owned),
        });
    }
    table
}
