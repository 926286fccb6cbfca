//! A server that the user names: `--peer NAME=COMMAND`.

use std::{fmt, net::SocketAddr, path::Path, process::Command, str::FromStr};

use anyhow::{Context as _, Result};

/// Another RTMP server and how it is started. `{port}` in the command stands
/// for the port on 127.0.0.1 where it has to listen, `{folder}` for a temporary
/// folder, in which it runs; it has to serve the application `live` to
/// everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    name: String,
    command: String,
}

impl FromStr for Given {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, command) = text
            .split_once('=')
            .filter(|(name, command)| !name.is_empty() && command.contains("{port}"))
            .with_context(|| {
                format!("expected NAME=COMMAND with {{port}} in the command, got {text:?}")
            })?;
        Ok(Self {
            name: name.to_owned(),
            command: command.to_owned(),
        })
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Given {
    /// The shell's, so that a configuration can be written first; the server
    /// takes the shell's place, so that the signal to end reaches it.
    pub(super) fn command(&self, folder: &Path, addr: SocketAddr) -> Command {
        let line = self
            .command
            .replace("{port}", &addr.port().to_string())
            .replace("{folder}", &folder.to_string_lossy());
        let mut command = Command::new("sh");
        command.arg("-c").arg(line).current_dir(folder);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_a_name_and_a_command_with_a_port() {
        let given: Given = "srs=srs -c {folder}/a.conf --port {port}"
            .parse()
            .expect("one");
        assert_eq!(given.to_string(), "srs");
        let addr = "127.0.0.1:1940".parse().expect("an address");
        let command = given.command(Path::new("/tmp/x"), addr);
        let line = command.get_args().last().expect("the line");
        assert_eq!(line, "srs -c /tmp/x/a.conf --port 1940");
        assert!("srs -c".parse::<Given>().is_err());
        assert!("srs=srs".parse::<Given>().is_err());
    }
}
