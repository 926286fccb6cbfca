//! The command line.
//!
//! Flows in: the program's arguments. Flows out: a [`HostCli`], or help, version
//! and usage errors, which clap prints; and what shells and `man` want to know of it.

mod install;
mod operator;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use livehost_author::TemplateLanguage;

pub use install::{completions, man};
pub use operator::{OperatorCommand, ServerChoice, Sort, TokenScope};

/// What `host` was asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(
    name = "host",
    version,
    about = "livehost: a live-media server whose decisions are made by WASM components",
    after_help = EXAMPLES,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct HostCli {
    /// The command; each has its own `--help`.
    #[command(subcommand)]
    pub command: HostCommand,
}

/// The commands of `host`.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum HostCommand {
    /// Serve until SIGINT or SIGTERM
    ///
    /// Binds every acceptor of the configuration, loads every application's
    /// plugin, and prints what listens where. Plugins and the configuration
    /// are reloaded when their files change, or on SIGHUP. On SIGINT (Ctrl-C)
    /// or SIGTERM clients are told, given `limits.drain` to leave, and the
    /// exit status is 0; a second one ends at once. A configuration, plugin or
    /// address that cannot be used at the start: status 1 and the reason.
    Run {
        /// The configuration file; relative paths in it start at its folder
        #[arg(value_name = "CONFIG")]
        config: PathBuf,
    },
    /// Validate a configuration and its plugins without serving
    ///
    /// Reads the configuration, loads every plugin, lets it judge its own part
    /// of the configuration and start, with an empty store, and asks it about a
    /// publisher without a key. Binds no address. Exit status 0 if `run` could
    /// start; otherwise 1, and every problem with its place.
    Check {
        /// The configuration file; relative paths in it start at its folder
        #[arg(value_name = "CONFIG")]
        config: PathBuf,
        /// Send the HTTP requests of plugins that are tried; without it each
        /// gets an error that says "trial"
        #[arg(long)]
        online: bool,
    },
    /// Serve, and build plugins whenever their sources change
    ///
    /// Like `run`, for applications whose plugin lies in the folder of its
    /// sources as `plugin build` puts it there: FOLDER/NAME.wasm with NAME the
    /// folder's name. These are built at the start and whenever a file in the
    /// folder is saved; the server takes up what was built, while streams go
    /// on. A build that fails is shown, and changes nothing.
    Dev {
        /// The configuration file; relative paths in it start at its folder
        #[arg(value_name = "CONFIG")]
        config: PathBuf,
    },
    /// What operators ask a server that runs.
    #[command(flatten)]
    Operator(OperatorCommand),
    /// Tools for authors of plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Print what a shell completes commands with
    ///
    /// For bash: host completions bash > ~/.local/share/bash-completion/completions/host
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    ///
    /// `host man | man -l -` shows it. Every command has a page of its own.
    Man {
        /// Write all pages into this folder instead, like /usr/local/share/man/man1
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// What the others start to compile a component: standard input to
    /// standard output
    #[command(hide = true)]
    CompileComponent {
        /// Dies with this process
        #[arg(long, value_name = "PID")]
        parent: i32,
        /// Takes no more memory
        #[arg(long, value_name = "BYTES")]
        memory: u64,
    },
}

/// The commands of `host plugin`.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum PluginCommand {
    /// Make the folder of a new plugin
    ///
    /// Sources of a small policy, cases for `plugin test`, and all of the
    /// interface that its build needs.
    New {
        /// Lower-case letters, digits and hyphens; the folder's name
        name: String,
        /// The language
        #[arg(long, value_enum)]
        lang: TemplateLanguage,
        /// Where the folder is made
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
    },
    /// Build the plugin in a folder
    ///
    /// Runs the tools of its language (cargo, npm, componentize-py or make),
    /// puts the component at DIR/NAME.wasm, with NAME the folder's name, and
    /// checks that this host could run it.
    Build {
        /// The folder with Cargo.toml, package.json, requirements.txt or
        /// Makefile
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Show a component's interface and what it asks for
    ///
    /// Version and world of the interface, size, SHA-256, imports and exports,
    /// the capabilities that it can ask for, and whether this host could run
    /// it. Nothing of the component runs.
    Inspect {
        /// The component
        #[arg(value_name = "FILE.wasm")]
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Compile plugins ahead of a server
    ///
    /// A server compiles a component when it first sees its content, which
    /// takes an interpreter (Python, JavaScript) 330 MiB and many seconds. This
    /// does it ahead, into the folder `state` of the server's configuration, as
    /// the server's own user and on its machine. A server takes nothing else
    /// for compiled: no setting names such a file.
    Compile {
        /// The components; none: those of the configuration
        #[arg(value_name = "FILE.wasm")]
        files: Vec<PathBuf>,
        /// Where it is kept
        #[command(flatten)]
        folder: StateFolder,
    },
    /// Run a plugin's cases
    ///
    /// Loads the component as a server does, plays every case against an
    /// outside that the case describes (state, HTTP, clock, streams), and
    /// shows what is not as expected. docs/plugins.md describes the format.
    /// Exit status 0 if all cases pass.
    Test {
        /// The component
        #[arg(value_name = "FILE.wasm")]
        file: PathBuf,
        /// What it should do
        #[arg(value_name = "CASES.ron")]
        cases: PathBuf,
        /// Run the cases a second time on N shared instances, each call on
        /// another one, and fail if a decision changes
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
        instances: u8,
        /// In that second run, play the cases in random order and choose
        /// instances at random; SEED repeats an earlier run
        #[arg(long, value_name = "SEED", num_args = 0..=1)]
        #[allow(clippy::option_option)]
        shuffle: Option<Option<u64>>,
        /// Where compiled code is kept
        #[command(flatten)]
        folder: StateFolder,
    },
}

/// Whose compiled code is used and added to. Neither: that of config.ron in
/// this folder, if there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct StateFolder {
    /// Keep compiled code where the server with this configuration does;
    /// default: config.ron, if it is here
    #[arg(long, value_name = "CONFIG", conflicts_with = "state")]
    pub config: Option<PathBuf>,
    /// Keep compiled code in this folder, a server's `state`
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Example:
  host check config.ron    # is it valid, do its plugins load?
  host run config.ron      # serve
  host status              # what does it do?
  host plugin new studio --lang rust
  host dev config.ron      # serve, and build plugins when they change

RUST_LOG, if set, overrides the configuration's log filter, for example
  RUST_LOG=info,livehost_hub=debug host run config.ron";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definition_is_consistent() {
        <HostCli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn every_command_of_operators_is_described() {
        let page = include_str!("../../docs/cli.md");
        let commands = OperatorCommand::augment_subcommands(clap::Command::new("host"));
        let names = commands.get_subcommands().map(clap::Command::get_name);
        for name in names.chain(["completions", "man"]) {
            assert!(
                page.contains(&format!("| `host {name}")),
                "{name}: docs/cli.md"
            );
        }
    }

    #[test]
    fn a_server_is_chosen_in_one_way() {
        let chosen =
            |more: &[&str]| HostCli::try_parse_from([&["host", "status"][..], more].concat());
        for arguments in [
            &[][..],
            &["--server", "12"],
            &["--url", "http://h", "--token-file", "t"],
        ] {
            assert!(chosen(arguments).is_ok(), "{arguments:?}");
        }
        for arguments in [
            &["--url", "http://h"][..],
            &["--token-file", "t"],
            &["--server", "1", "--url", "http://h", "--token-file", "t"],
        ] {
            assert_eq!(
                chosen(arguments).unwrap_err().exit_code(),
                2,
                "{arguments:?}"
            );
        }
    }

    #[test]
    fn commands_take_the_configuration() {
        let cli = HostCli::try_parse_from(["host", "run", "a/config.ron"]).unwrap();
        assert_eq!(
            cli.command,
            HostCommand::Run {
                config: "a/config.ron".into()
            }
        );
        let cli = HostCli::try_parse_from(["host", "check", "b.ron"]).unwrap();
        assert_eq!(
            cli.command,
            HostCommand::Check {
                config: "b.ron".into(),
                online: false,
            }
        );
        let cli = HostCli::try_parse_from(["host", "check", "--online", "b.ron"]).unwrap();
        assert!(matches!(
            cli.command,
            HostCommand::Check { online: true, .. }
        ));
    }

    #[test]
    fn missing_and_unknown_parts_are_usage_errors() {
        for arguments in [&["host", "run"][..], &["host", "serve", "x"], &["host"]] {
            let error = HostCli::try_parse_from(arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{arguments:?}: {error}");
        }
    }
}
