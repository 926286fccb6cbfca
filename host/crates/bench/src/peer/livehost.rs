//! livehost, open for everybody.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::{Programs, existing};

/// What differs from the defaults of `media`.
pub(super) struct Media {
    pub(super) gather_ms: u32,
    pub(super) joins_at_next_keyframe: bool,
}

pub(super) fn command(
    programs: &Programs,
    folder: &Path,
    addr: SocketAddr,
    media: Media,
) -> Result<Command> {
    let host = existing(&programs.livehost, "livehost (make host)")?;
    let plugin = existing(&programs.plugin, "the plugin (make plugins)")?;
    let Media {
        gather_ms,
        joins_at_next_keyframe,
    } = media;
    let join = if joins_at_next_keyframe {
        "NextKeyframe"
    } else {
        "Keyframe"
    };
    let config = format!(
        r#"(
    log: (level: "warn"),
    applications: {{"live": (
        plugin: {plugin:?},
        config: {{"publish": "open", "play": "open"}},
        media: (gather: "{gather_ms} ms", join: {join}),
    )}},
    acceptors: [(listen: "{addr}")],
    limits: (connections: 40000, ungranted_per_address: 0, idle: "10 min"),
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
