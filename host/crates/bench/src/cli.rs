//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::{
    peer::Programs,
    scenario::{Churn, Fanout, Idle, Join},
    soak::Soak,
};

/// Load and comparison for RTMP servers.
///
/// Each load has publishers, players or both, checks what players receive, and
/// says what the server paid for it. Without --server it starts livehost on a
/// free port of the loopback interface.
#[derive(Debug, Parser)]
#[command(name = "livehost-bench", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Streams to players.
    Fanout {
        #[command(flatten)]
        load: Fanout,
        #[command(flatten)]
        on: On,
    },
    /// Players that join a running stream, until their first keyframe.
    Join {
        #[command(flatten)]
        load: Join,
        #[command(flatten)]
        on: On,
    },
    /// Clients that connect, are let in, and leave.
    Churn {
        #[command(flatten)]
        load: Churn,
        #[command(flatten)]
        on: On,
    },
    /// Clients that are connected and do nothing.
    Idle {
        #[command(flatten)]
        load: Idle,
        #[command(flatten)]
        on: On,
    },
    /// livehost, nginx and the floor, turn by turn, into a report.
    Compare(Compare),
    /// Clients of livehost that come, go and misbehave, for a long time.
    Soak(Soak),
    /// The floor: writes what it gets to everybody, without a protocol.
    Floor {
        /// Where it listens.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// How long messages are gathered into one write, in milliseconds.
        #[arg(long, default_value_t = 0)]
        coalesce_ms: u64,
    },
}

/// Which server a load is for.
#[derive(Debug, Args)]
pub(crate) struct On {
    /// A running server, `rtmp://address:port/application`; everybody must be
    /// allowed to publish and play there.
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Its process on this machine, to measure its CPU and memory.
    #[arg(long, requires = "server")]
    pub(crate) pid: Option<u32>,
    /// The server to start instead.
    #[arg(
        long,
        value_enum,
        default_value = "livehost",
        conflicts_with = "server"
    )]
    pub(crate) start: Start,
    /// Milliseconds of frames that livehost or the floor gathers.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub(crate) gather: u32,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Let server and load share all cores instead of one each.
    #[arg(long)]
    pub(crate) share_cores: bool,
    /// Largest TCP segment, in bytes; 0 for the interface's own. On the loopback
    /// interface that is 64 KiB, with which a server that leaves Nagle's
    /// algorithm on gathers messages for free, as it would on no network.
    #[arg(long, value_name = "BYTES", default_value_t = 1448)]
    pub(crate) segment: u32,
    /// Run server and load with this priority, -20 (first) to 19; below 0 only
    /// root may. For a machine that does other things.
    #[arg(long, allow_negative_numbers = true, default_value_t = 0)]
    pub(crate) nice: i32,
    #[command(flatten)]
    pub(crate) programs: Programs,
}

/// A server that can be started.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Start {
    Livehost,
    Nginx,
    /// nginx with chunks of 60,000 bytes, as livehost's.
    NginxTuned,
    Floor,
}

/// What is compared.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// How often each is measured; the report has medians and ranges.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: u32,
    /// One short round of small loads: shows that all works, no more.
    #[arg(long)]
    pub(crate) quick: bool,
    /// The measured time of paced loads, instead of 20 s.
    #[arg(long)]
    pub(crate) seconds: Option<u64>,
    /// Only these rows of the table, such as fanout-2M or churn (see --list).
    #[arg(long, value_name = "ROW", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Name the rows and stop.
    #[arg(long)]
    pub(crate) list: bool,
    /// Let server and load share all cores instead of one each.
    #[arg(long)]
    pub(crate) share_cores: bool,
    /// Where report.md, report.svg and report.json go.
    #[arg(long, value_name = "FOLDER", default_value = "target/bench")]
    pub(crate) out: PathBuf,
    /// Largest TCP segment, in bytes; 0 for the interface's own. On the loopback
    /// interface that is 64 KiB, with which a server that leaves Nagle's
    /// algorithm on gathers messages for free, as it would on no network.
    #[arg(long, value_name = "BYTES", default_value_t = 1448)]
    pub(crate) segment: u32,
    /// Run server and load with this priority, -20 (first) to 19; below 0 only
    /// root may. For a machine that does other things.
    #[arg(long, allow_negative_numbers = true, default_value_t = 0)]
    pub(crate) nice: i32,
    #[command(flatten)]
    pub(crate) programs: Programs,
}
