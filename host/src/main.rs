//! `host`: the command line of livehost.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use clap::Parser;
use livehost::cli::{Cli, Command};
use livehost::{author, supervisor};
use livehost_plugin::CompilerTask;
use livehost_telemetry::terminal;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::CompileComponent { parent, memory } = cli.command {
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
            Command::Run { config } => supervisor::run(&config).await,
            Command::Check { config, online } => supervisor::check(&config, online).await,
            Command::Dev { config } => author::dev(&config).await,
            Command::Plugin(command) => author::run(command).await,
            Command::CompileComponent { .. } => Ok(()),
        }
    });
    // A plugin that is being compiled must not hold the exit up.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::complain(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
