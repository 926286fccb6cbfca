//! A soak: hours of clients that come, go and misbehave, while the plugin is
//! replaced again and again.
//!
//! Flows in: how long. A server of its own is started (`server.rs`); a crowd
//! (`crowd.rs`) of publishers and players comes and goes, a tenth of it
//! misbehaving (`rogue.rs` for those that hardly speak RTMP), and the server's
//! memory, threads and files are sampled (`watch.rs`). Flows out: a report with
//! the figures and what must hold (`verdict.rs`).

mod crowd;
mod rogue;
mod server;
mod verdict;
mod watch;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};

use crate::{
    clock::{MILLI, SECOND, now_ns},
    peer::Programs,
};
use crowd::Crowd;
use server::Server;
use verdict::Verdict;
use watch::{Sample, Samples};

/// Between two looks at the server.
const SAMPLE: u64 = SECOND;
/// Between two looks at the crowd's own timers.
const TICK: u64 = 50 * MILLI;
/// Between two lines about how it goes.
const PROGRESS: u64 = 30 * SECOND;
/// How long the server may take to be rid of everybody who left.
const EMPTY_LIMIT: u64 = 30 * SECOND;
/// Longest warm-up; short runs warm up for a quarter of their time.
const WARM_UP: u64 = 120 * SECOND;

/// Clients that come, go and misbehave, for a long time.
#[derive(Debug, clap::Args)]
pub(crate) struct Soak {
    /// How long.
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
    /// Arrivals a second; each stays for some seconds, and a tenth misbehaves.
    #[arg(long, default_value_t = 5)]
    arrivals: u64,
    /// Seconds between two new versions of the plugin.
    #[arg(long, default_value_t = 60)]
    reload: u64,
    /// Where report.md, samples.csv and the server's log go.
    #[arg(long, value_name = "FOLDER", default_value = "target/soak")]
    out: PathBuf,
    #[command(flatten)]
    programs: Programs,
}

impl Soak {
    /// # Errors
    /// If the server doesn't run, or something doesn't hold that must.
    pub(crate) fn run(&self) -> Result<()> {
        ensure!(
            (0.2..=10_000.0).contains(&self.minutes) && self.arrivals > 0 && self.reload > 0,
            "expected 0.2 to 10,000 minutes, arrivals and reloads"
        );
        fs::create_dir_all(&self.out)
            .with_context(|| format!("cannot make {}", self.out.display()))?;
        let mut server = Server::start(&self.programs, &self.out)?;
        let mut samples = Samples::default();
        let idle = Sample::take(server.pid(), 0, 0)?;
        let mut crowd = Crowd::new(server.target())?;

        let length = Duration::from_secs_f64(self.minutes * 60.0).as_nanos();
        let length = u64::try_from(length)?;
        let start = now_ns();
        let end = start + length;
        samples.warm_until = (length / 4).min(WARM_UP);
        crowd.settle()?;
        let mut next = Timers {
            arrival: now_ns(),
            sample: now_ns(),
            reload: now_ns() + self.reload * SECOND / 2,
            progress: now_ns() + PROGRESS,
        };
        while now_ns() < end {
            let now = now_ns();
            while next.arrival <= now {
                crowd.arrive()?;
                next.arrival += SECOND / self.arrivals;
            }
            if next.sample <= now {
                let open = crowd.open_count();
                samples.push(Sample::take(server.pid(), now - start, open)?);
                next.sample = now + SAMPLE;
            }
            if next.reload <= now {
                server.replace_plugin()?;
                next.reload += self.reload * SECOND;
            }
            if let (Some(sample), true) = (samples.last(), next.progress <= now) {
                eprintln!("{sample}, of {} min", self.minutes);
                next.progress += PROGRESS;
            }
            crowd.run(next.arrival.min(now + TICK))?;
        }
        let last = samples.last().context("expected samples")?;

        crowd.leave()?;
        let deadline = now_ns() + EMPTY_LIMIT;
        let left = loop {
            crowd.run(now_ns() + 4 * TICK)?;
            let sample = Sample::take(server.pid(), now_ns() - start, 0)?;
            if sample.sockets <= idle.sockets || now_ns() > deadline {
                break sample;
            }
        };
        let log = server.stop()?;
        let verdict = Verdict {
            minutes: self.minutes,
            idle,
            last,
            left,
            samples: &samples,
            counts: &crowd.counts,
            tally: crowd.tally()?,
            log: &log,
        };
        verdict.write(&self.out)
    }
}

/// When something is due next.
struct Timers {
    arrival: u64,
    sample: u64,
    reload: u64,
    progress: u64,
}
