//! The commands for operators.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What operators see of a server that runs, and their orders to it.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum OperatorCommand {
    /// Show what a server does
    ///
    /// Version, addresses, applications with their plugins, and what is published.
    /// Without --server or --url it asks this machine's only server. Exit status 0;
    /// 3 if no server is found, 1 if the server refuses.
    Status {
        /// Which server
        #[command(flatten)]
        server: ServerChoice,
        /// Print JSON: the API's answers as `server`, `applications`, `streams`
        #[arg(long)]
        json: bool,
    },
    /// Watch a server's streams
    ///
    /// The table of `streams`, again and again. At a terminal: q or Ctrl-C ends it,
    /// k, p and n sort by kbit/s, players and name. Elsewhere it prints table after
    /// table.
    Top {
        /// Which server
        #[command(flatten)]
        server: ServerChoice,
        /// What comes first
        #[arg(long, value_enum, default_value_t = Sort::Kbps)]
        sort: Sort,
        /// Time from one table to the next
        #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
        interval: u64,
        /// End after so many tables
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
    },
    /// List what is published
    Streams {
        /// Which server
        #[command(flatten)]
        server: ServerChoice,
        /// Of this application alone
        #[arg(long, value_name = "APP")]
        app: Option<String>,
        /// Print JSON: the API's list, all pages in one
        #[arg(long)]
        json: bool,
    },
    /// List who is connected
    Clients {
        /// Which server
        #[command(flatten)]
        server: ServerChoice,
        /// Of this application alone
        #[arg(long, value_name = "APP")]
        app: Option<String>,
        /// Print JSON: the API's list, all pages in one
        #[arg(long)]
        json: bool,
    },
    /// End a client's connection
    Kick {
        /// Its number, as `clients` shows it
        #[arg(value_name = "ID")]
        client: String,
        /// What the client is told
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Which server
        #[command(flatten)]
        server: ServerChoice,
    },
    /// End a publish
    ///
    /// Its publisher may publish again, unless the plugin refuses it.
    Stop {
        /// Its name, app/name, or its number, as `streams` shows them
        #[arg(value_name = "STREAM")]
        stream: String,
        /// What the publisher is told
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Which server
        #[command(flatten)]
        server: ServerChoice,
    },
    /// Read the configuration again, or one plugin
    ///
    /// Servers do so by themselves when a file is saved. Here what is wrong is the
    /// command's error, and the exit status 1; what served before serves on then.
    Reload {
        /// Read the file of this application's plugin instead
        #[arg(long, value_name = "APP")]
        plugin: Option<String>,
        /// Which server
        #[command(flatten)]
        server: ServerChoice,
    },
    /// Go back to a plugin's version before
    ///
    /// The one that is left is not loaded again until its file or its settings change.
    RollBack {
        /// The application
        #[arg(value_name = "APP")]
        app: String,
        /// Which server
        #[command(flatten)]
        server: ServerChoice,
    },
    /// End a server in order, as SIGTERM does
    ///
    /// It takes nobody in, tells its clients, and gives them the time of
    /// `limits.drain` to leave. This command does not wait for that.
    Drain {
        /// Which server
        #[command(flatten)]
        server: ServerChoice,
    },
    /// Show or change what is logged
    ///
    /// A change holds until the server ends or the configuration's `log.level`
    /// changes.
    LogLevel {
        /// `info`, or by module: `info,livehost_hub=debug`
        #[arg(value_name = "FILTER")]
        filter: Option<String>,
        /// Which server
        #[command(flatten)]
        server: ServerChoice,
    },
    /// Make a token for the API over TCP
    ///
    /// Prints the token to standard output, this once, and what the configuration
    /// has of it, its hash, to standard error. No server is asked.
    Token {
        /// What the log calls who uses it
        name: String,
        /// What it may be used for
        #[arg(long = "scope", value_enum, ignore_case = true, default_values_t = [TokenScope::Read])]
        scopes: Vec<TokenScope>,
        /// Print JSON: `token`, `name`, `sha256`, `scopes`
        #[arg(long)]
        json: bool,
    },
}

/// Which server is asked; none named: this machine's only one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Which server")]
pub struct ServerChoice {
    /// The server with this process number or control socket; none: this
    /// machine's only one
    #[arg(long, value_name = "PID|PATH")]
    pub server: Option<String>,
    /// The server whose API is at this URL, like http://127.0.0.1:1985
    #[arg(
        long,
        value_name = "URL",
        conflicts_with = "server",
        requires = "token_file"
    )]
    pub url: Option<String>,
    /// A file with the token for it, as `host token` prints it
    #[arg(long, value_name = "FILE", requires = "url")]
    pub token_file: Option<PathBuf>,
}

/// What a table of streams begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// The stream with the most media
    #[default]
    Kbps,
    /// The stream with the most players
    Players,
    /// The first name
    Name,
}

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum TokenScope {
    /// See everything
    Read,
    /// Act on streams and clients
    Media,
    /// Act on the server
    Admin,
}
