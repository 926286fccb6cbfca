//! `host`: the command line of livehost.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use clap::Parser;
use livehost::cli::{self, HostCli, HostCommand};
use livehost::{author, operator, supervisor};
use livehost_plugin::CompilerTask;
use livehost_telemetry::terminal;

fn main() -> ExitCode {
    let cli = HostCli::parse();
    if let HostCommand::CompileComponent { parent, memory } = cli.command {
        // One thread, and none of a server's memory.
        return livehost_plugin::compile(CompilerTask { parent, memory });
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal::complain(format_args!(
                "error: the async runtime could not start: {error}"
            ));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match cli.command {
            HostCommand::Run { config } => supervisor::run(&config).await,
            HostCommand::Check { config, online } => supervisor::check(&config, online).await,
            HostCommand::Dev { config } => author::dev(&config).await,
            HostCommand::Operator(command) => operator::run(command).await,
            HostCommand::Plugin(command) => author::run(command).await,
            HostCommand::Completions { shell } => cli::completions(shell),
            HostCommand::Man { dir } => cli::man(dir.as_deref()),
            HostCommand::CompileComponent { .. } => Ok(()),
        }
    });
    // A plugin that is being compiled must not hold the exit up.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::complain(format_args!("error: {error:#}"));
            operator::exit_code(&error)
        }
    }
}
