//! The floor: this program again (`floor.rs`).

use std::{env, net::SocketAddr, process::Command};

use anyhow::{Context as _, Result};

pub(super) fn command(addr: SocketAddr, coalesce_ms: u32) -> Result<Command> {
    let mut command = Command::new(env::current_exe().context("where is this program?")?);
    command
        .arg("floor")
        .args(["--listen", &addr.to_string()])
        .args(["--coalesce-ms", &coalesce_ms.to_string()]);
    Ok(command)
}
