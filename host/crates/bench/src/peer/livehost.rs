//! livehost, open for everybody.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::{Programs, existing};

pub(super) fn command(
    programs: &Programs,
    folder: &Path,
    addr: SocketAddr,
    gather_ms: u32,
) -> Result<Command> {
    let host = existing(&programs.livehost, "livehost (make host)")?;
    let plugin = existing(&programs.plugin, "the plugin (make plugins)")?;
    let config = format!(
        r#"(
    log: (level: "warn"),
    applications: {{"live": (
        plugin: {plugin:?},
        config: {{"publish": "open", "play": "open"}},
        media: (gather: "{gather_ms} ms"),
    )}},
    acceptors: [(listen: "{addr}")],
    limits: (connections: 40000, idle: "10 min"),
)
"#,
        plugin = plugin.to_string_lossy(),
    );
    let file = folder.join("config.ron");
    fs::write(&file, config).context("cannot write its configuration")?;
    let mut command = Command::new(host);
    command.arg("run").arg(file).env_remove("RUST_LOG");
    Ok(command)
}
