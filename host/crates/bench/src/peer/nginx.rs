//! nginx with the RTMP module: one worker, no access log.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::{Programs, existing};
use crate::process::raise_file_limit;

pub(super) fn command(
    programs: &Programs,
    folder: &Path,
    addr: SocketAddr,
    chunk: u32,
) -> Result<Command> {
    let nginx = existing(&programs.nginx, "nginx (Debian: apt install nginx-core)")?;
    let module = existing(
        &programs.nginx_module,
        "nginx's RTMP module (Debian: apt install libnginx-mod-rtmp)",
    )?;
    let config = format!(
        "load_module {module};\n\
         daemon off;\n\
         worker_processes 1;\n\
         worker_rlimit_nofile {files};\n\
         error_log stderr error;\n\
         pid {folder}/pid;\n\
         events {{ worker_connections 32768; }}\n\
         rtmp {{\n\
         \taccess_log off;\n\
         \tserver {{\n\
         \t\tlisten {addr};\n\
         \t\tchunk_size {chunk};\n\
         \t\tapplication live {{ live on; }}\n\
         \t}}\n\
         }}\n",
        module = module.display(),
        files = raise_file_limit().min(1 << 16),
        folder = folder.display(),
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config).context("cannot write its configuration")?;
    let mut command = Command::new(nginx);
    command
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(file)
        .args(["-e", "stderr"]);
    Ok(command)
}
