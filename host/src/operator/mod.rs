//! The commands of operators: what a server that runs does, and orders to it.
//!
//! Flows in: a command. Flows out: tables, JSON, or what went wrong. Between them is
//! the server's API, at the control socket or over TCP (`client.rs`); which server is
//! meant says `find.rs`. Whatever a server says may hold what strangers wrote, so all
//! of it is made visible before a terminal gets it (`table.rs`, `refused`).

mod client;
mod clients;
mod find;
mod orders;
mod screen;
mod status;
mod streams;
mod table;
#[cfg(test)]
mod tests;
mod token;
mod top;

use std::process::ExitCode;

use livehost_telemetry::log::{visible, visible_json};
use livehost_telemetry::terminal;
use serde::Serialize;

use crate::cli::OperatorCommand;

/// The exit status when there is no server to ask.
const NO_SERVER: u8 = 3;
/// The most that is shown of a line that a server wrote, bytes.
const MAX_LINE: usize = 8 * 1024;

/// There is no server to ask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
struct NoServer(String);

/// Runs one of the commands.
///
/// # Errors
/// What the command found wrong, or why the server refused; [`exit_code`] has the exit
/// status.
pub async fn run(command: OperatorCommand) -> anyhow::Result<()> {
    use OperatorCommand as C;

    match command {
        C::Status { server, json } => status::show(&find::server(&server).await?, json).await,
        C::Top {
            server,
            sort,
            interval,
            count,
        } => top::run(&find::server(&server).await?, sort, interval, count).await,
        C::Streams { server, app, json } => {
            streams::list(&find::server(&server).await?, app.as_deref(), json).await
        }
        C::Clients { server, app, json } => {
            clients::list(&find::server(&server).await?, app.as_deref(), json).await
        }
        C::Kick {
            client,
            reason,
            server,
        } => clients::kick(&find::server(&server).await?, &client, reason).await,
        C::Stop {
            stream,
            reason,
            server,
        } => streams::stop(&find::server(&server).await?, &stream, reason).await,
        C::Reload { plugin, server } => {
            let api = find::server(&server).await?;
            match plugin {
                Some(app) => orders::reload_plugin(&api, &app).await,
                None => orders::reload_configuration(&api).await,
            }
        }
        C::RollBack { app, server } => orders::roll_back(&find::server(&server).await?, &app).await,
        C::Drain { server } => orders::drain(&find::server(&server).await?).await,
        C::LogLevel { filter, server } => {
            orders::log_level(&find::server(&server).await?, filter).await
        }
        C::Token { name, scopes, json } => token::make(&name, &scopes, json),
    }
}

/// The exit status for what a command found wrong.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<NoServer>() {
        Some(_) => NO_SERVER.into(),
        None => ExitCode::FAILURE,
    }
}

/// Prints JSON, in which nothing hides.
fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(value)?;
    terminal::print(format_args!("{}", visible_json(&json)))
}

/// A text of the server's for an error: its lines stay lines.
fn refused(text: &str) -> String {
    let lines = text.lines().map(|line| visible(line, MAX_LINE));
    lines.collect::<Vec<_>>().join("\n")
}
