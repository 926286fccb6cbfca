//! What shells complete, and manual pages: both made from the command line's own
//! definition.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use livehost_telemetry::{say, terminal};

use super::HostCli;

/// What the program is called, and what it is called where another is called so.
const NAME: &str = "host";
const SECOND_NAME: &str = "livehost";

/// Prints what `shell` completes commands with, of the name that this was called by.
///
/// # Errors
/// When standard output takes no more.
pub fn completions(shell: Shell) -> anyhow::Result<()> {
    let program = env::args_os().next().map(PathBuf::from);
    let is_second = program.is_some_and(|path| path.file_name() == Some(OsStr::new(SECOND_NAME)));
    let name = if is_second { SECOND_NAME } else { NAME };
    terminal::print(format_args!("{}", completions_for(shell, name)))
}

/// Prints the manual page, or writes the page of each command into `folder`.
///
/// # Errors
/// When the folder can't be written to.
pub fn man(folder: Option<&Path>) -> anyhow::Result<()> {
    let Some(folder) = folder else {
        let page = page().context("the manual page")?;
        return terminal::print(format_args!("{}", page.trim_end()));
    };
    let written = fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(HostCli::command(), folder));
    written.with_context(|| format!("cannot write manual pages to {}", folder.display()))?;
    say!("manual pages: {}", folder.display());
    Ok(())
}

fn completions_for(shell: Shell, name: &str) -> String {
    let mut text = Vec::new();
    let mut command: Command = HostCli::command();
    clap_complete::generate(shell, &mut command, name, &mut text);
    String::from_utf8_lossy(&text).trim_end().to_owned()
}

fn page() -> io::Result<String> {
    let mut page = Vec::new();
    Man::new(HostCli::command()).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_completes_commands_and_their_options() {
        for shell in Shell::value_variants() {
            let text = completions_for(*shell, SECOND_NAME);
            for word in [SECOND_NAME, "status", "log-level", "token-file"] {
                assert!(text.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn every_command_has_a_page_but_hidden_ones() {
        assert!(page().unwrap().contains("status"));
        let folder = tempfile::tempdir().unwrap();
        man(Some(folder.path())).unwrap();
        for (name, expected) in [
            ("host.1", true),
            ("host-status.1", true),
            ("host-log-level.1", true),
            ("host-plugin-test.1", true),
            ("host-compile-component.1", false),
        ] {
            assert_eq!(folder.path().join(name).exists(), expected, "{name}");
        }
    }
}
