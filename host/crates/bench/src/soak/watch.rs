//! What the server's process holds, from `/proc`.

use std::{fmt, fs};

use anyhow::{Context as _, Result};

use crate::{clock::SECOND, process::resident};

/// One look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Since the start, in nanoseconds.
    pub(super) at_ns: u64,
    /// Resident memory in bytes.
    pub(super) rss: u64,
    pub(super) threads: usize,
    /// Open files, sockets among them.
    pub(super) fds: usize,
    pub(super) sockets: usize,
    /// Connections that the crowd holds.
    pub(super) clients: usize,
}

impl Sample {
    /// # Errors
    /// If the process is gone.
    pub(super) fn take(pid: u32, at_ns: u64, clients: usize) -> Result<Self> {
        let folder = format!("/proc/{pid}/fd");
        let entries = fs::read_dir(&folder).with_context(|| format!("the server: {folder}"))?;
        let (mut fds, mut sockets) = (0, 0);
        for entry in entries.flatten() {
            fds += 1;
            // One may be closed meanwhile.
            let what = fs::read_link(entry.path()).unwrap_or_default();
            sockets += usize::from(what.to_string_lossy().starts_with("socket:"));
        }
        let tasks = fs::read_dir(format!("/proc/{pid}/task"))?;
        Ok(Self {
            at_ns,
            rss: resident(pid)?,
            threads: tasks.flatten().count(),
            fds,
            sockets,
            clients,
        })
    }

    /// Files beyond the crowd's connections. Those that the server has not yet
    /// accepted, or not yet let go, make it a little less or more.
    fn other_fds(&self) -> f64 {
        self.fds as f64 - self.clients as f64
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} clients, {:.1} MiB, {} threads, {} files after {:.1} min",
            self.clients,
            self.rss as f64 / f64::from(1 << 20),
            self.threads,
            self.fds,
            self.at_ns as f64 / (60.0 * SECOND as f64),
        )
    }
}

/// All looks, one a second.
#[derive(Debug, Default)]
pub(super) struct Samples {
    all: Vec<Sample>,
    /// What comes before is warm-up, in nanoseconds since the start.
    pub(super) warm_until: u64,
}

/// A figure in the first and in the last third after the warm-up: medians.
#[derive(Debug, Clone, Copy)]
pub(super) struct Course {
    pub(super) first: f64,
    pub(super) last: f64,
    /// The most, after the warm-up.
    pub(super) most: f64,
}

impl Samples {
    pub(super) fn push(&mut self, sample: Sample) {
        self.all.push(sample);
    }

    pub(super) fn last(&self) -> Option<Sample> {
        self.all.last().copied()
    }

    pub(super) fn rss(&self) -> Course {
        self.course(|sample| sample.rss as f64)
    }

    pub(super) fn threads(&self) -> Course {
        self.course(|sample| sample.threads as f64)
    }

    pub(super) fn other_fds(&self) -> Course {
        self.course(Sample::other_fds)
    }

    pub(super) fn clients(&self) -> Course {
        self.course(|sample| sample.clients as f64)
    }

    fn course(&self, of: impl Fn(&Sample) -> f64) -> Course {
        let warm: Vec<f64> = self
            .all
            .iter()
            .filter(|sample| sample.at_ns >= self.warm_until)
            .map(of)
            .collect();
        let third = warm.len() / 3;
        Course {
            first: median(warm.iter().take(third)),
            last: median(warm.iter().rev().take(third)),
            most: warm.iter().copied().fold(0.0, f64::max),
        }
    }

    /// For a spreadsheet.
    pub(super) fn csv(&self) -> String {
        let mut text = "seconds,rss_bytes,threads,fds,sockets,clients\n".to_owned();
        for sample in &self.all {
            text.push_str(&format!(
                "{},{},{},{},{},{}\n",
                sample.at_ns / SECOND,
                sample.rss,
                sample.threads,
                sample.fds,
                sample.sockets,
                sample.clients
            ));
        }
        text
    }
}

fn median<'a>(values: impl Iterator<Item = &'a f64>) -> f64 {
    let mut values: Vec<f64> = values.copied().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
