//! What must hold after a soak, and the report that says whether it did.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result, bail};

use super::{
    crowd::Counts,
    server::Log,
    watch::{Course, Sample, Samples},
};
use crate::{client::Tally, clock::SECOND};

const MIB: f64 = 1024.0 * 1024.0;

/// How much more there may be in the last third than in the first: a share and
/// an amount. Connections come and go at random; memory of an allocator is not
/// given back at once.
const RSS_SHARE: f64 = 0.10;
const RSS_AMOUNT: f64 = 8.0 * MIB;
const THREADS: f64 = 2.0;
const FDS: f64 = 8.0;

/// Everything that was observed.
pub(super) struct Verdict<'a> {
    pub(super) minutes: f64,
    /// The server before anybody came, at the end of the load, and after
    /// everybody left.
    pub(super) idle: Sample,
    pub(super) last: Sample,
    pub(super) left: Sample,
    pub(super) samples: &'a Samples,
    pub(super) counts: &'a Counts,
    pub(super) tally: &'a Tally,
    pub(super) log: &'a Log,
}

/// Something that must hold: what, how it was, whether it did.
struct Check {
    what: String,
    was: String,
    holds: bool,
}

impl Verdict<'_> {
    /// Writes the report.
    ///
    /// # Errors
    /// If something doesn't hold.
    pub(super) fn write(&self, out: &Path) -> Result<()> {
        let checks = self.checks();
        let report = self.report(&checks);
        let file = out.join("report.md");
        fs::write(&file, &report).with_context(|| format!("cannot write {}", file.display()))?;
        fs::write(out.join("samples.csv"), self.samples.csv())?;
        print!("{report}");
        let failed: Vec<&str> = checks
            .iter()
            .filter(|check| !check.holds)
            .map(|check| check.what.as_str())
            .collect();
        if failed.is_empty() {
            return Ok(());
        }
        bail!("does not hold: {} ({})", failed.join("; "), file.display())
    }

    fn checks(&self) -> Vec<Check> {
        let (counts, tally, log) = (self.counts, self.tally, self.log);
        let none = |what: &str, count: u64| Check {
            what: what.to_owned(),
            was: count.to_string(),
            holds: count == 0,
        };
        let rss = self.samples.rss();
        let rss_limit = rss.first * (1.0 + RSS_SHARE) + RSS_AMOUNT;
        let threads = self.samples.threads();
        let fds = self.samples.other_fds();
        let mut checks = vec![
            Check {
                what: "healthy players received messages".into(),
                was: format!("{} messages, {} hashed", tally.messages, tally.checked),
                holds: tally.messages > 0 && tally.checked > 0,
            },
            none("messages missing at healthy players", tally.gaps),
            none("messages out of order there", tally.disorder),
            none("messages that are not as they were sent", tally.corrupt),
            none("healthy connections closed", counts.healthy_lost),
            none("healthy connections not let in", counts.never_started),
            none(
                "publishers let in with a wrong key",
                counts.wrong_key_let_in,
            ),
            none("misbehaving connections not closed", counts.forgotten),
            Check {
                what: "each way to misbehave has met the server's answer".into(),
                was: format!("{} ways", counts.misbehaving.len()),
                holds: counts
                    .misbehaving
                    .iter()
                    .all(|(what, (_, closed))| match *what {
                        // It leaves by itself.
                        "aborted publisher" => true,
                        // It would read for minutes before it came to the end.
                        "slow reader" => self.log.ended("too-slow") > 0,
                        _ => *closed > 0,
                    }),
            },
            Check {
                what: "every version of the plugin served".into(),
                was: format!("{} of {}", log.served, log.versions),
                holds: log.served == log.versions,
            },
            none(
                "errors in the log",
                u64::try_from(log.bad.len()).unwrap_or(u64::MAX),
            ),
            flat("RSS", rss, rss_limit, |value| {
                format!("{:.1} MiB", value / MIB)
            }),
            flat("threads", threads, threads.first + THREADS, |value| {
                value.to_string()
            }),
            flat("files beyond connections", fds, fds.first + FDS, |value| {
                value.to_string()
            }),
            Check {
                what: "no connection is left when all have gone".into(),
                was: format!(
                    "{} sockets, {} before the first came",
                    self.left.sockets, self.idle.sockets
                ),
                holds: self.left.sockets <= self.idle.sockets,
            },
            Check {
                what: "files are as before".into(),
                was: format!("{}, {} before", self.left.fds, self.idle.fds),
                holds: self.left.fds as f64 <= self.idle.fds as f64 + FDS,
            },
        ];
        checks.push(Check {
            what: "the server ends with 0 on SIGTERM".into(),
            was: log.status.map_or_else(String::new, |s| s.to_string()),
            holds: log.status.is_some_and(|status| status.success()),
        });
        checks
    }

    fn report(&self, checks: &[Check]) -> String {
        let mut text = String::new();
        let counts = self.counts;
        // Writing to a String does not fail.
        let _ = writeln!(text, "# Soak of {} minutes\n", self.minutes);
        let _ = writeln!(text, "| must hold | was | |\n|---|---|---|");
        for check in checks {
            let mark = if check.holds { "yes" } else { "**NO**" };
            let _ = writeln!(text, "| {} | {} | {mark} |", check.what, check.was);
        }
        let _ = writeln!(
            text,
            "\n| who | came | closed or refused by the server |\n|---|---|---|"
        );
        let _ = writeln!(text, "| publishers | {} | {} |", counts.publishers, 0);
        let _ = writeln!(text, "| players | {} | {} |", counts.players, 0);
        for (what, (came, closed)) in &counts.misbehaving {
            let _ = writeln!(text, "| misbehaving: {what} | {came} | {closed} |");
        }
        let clients = self.samples.clients();
        let _ = writeln!(
            text,
            "\nConnections at once: {} (median of the last third), at most {}. After warm-up \
             ({} s) the figures are medians of the first and the last third.",
            clients.last,
            clients.most,
            self.samples.warm_until / SECOND
        );
        let _ = writeln!(
            text,
            "\n| server | RSS | threads | files | of those sockets |\n|---|---|---|---|---|"
        );
        let moments = [
            ("before the first came", self.idle),
            ("at the end of the load", self.last),
            ("when all had gone", self.left),
        ];
        for (when, sample) in moments {
            let _ = writeln!(
                text,
                "| {when} | {:.1} MiB | {} | {} | {} |",
                sample.rss as f64 / MIB,
                sample.threads,
                sample.fds,
                sample.sockets
            );
        }
        let latency = &self.tally.latency;
        let _ = writeln!(
            text,
            "\nLatency from publish to receive at healthy players: p50 {:.1} ms, p99 {:.1} ms, \
             at most {:.1} ms (with what else ran on the machine).",
            latency.value_at_quantile(0.5) as f64 / 1000.0,
            latency.value_at_quantile(0.99) as f64 / 1000.0,
            latency.max() as f64 / 1000.0
        );
        let _ = writeln!(
            text,
            "\nLog: {} lines, {} warnings.",
            self.log.lines, self.log.warnings
        );
        let _ = writeln!(text, "\n| sessions ended | count |\n|---|---|");
        for (reason, count) in &self.log.closed {
            let _ = writeln!(text, "| {reason} | {count} |");
        }
        for line in counts.reasons.iter().chain(&self.log.bad) {
            let _ = writeln!(text, "\n    {line}");
        }
        text
    }
}

fn flat(what: &str, course: Course, limit: f64, show: impl Fn(f64) -> String) -> Check {
    Check {
        what: format!("{what}: flat, at most {} in the last third", show(limit)),
        was: format!(
            "{} in the first, {} in the last, at most {}",
            show(course.first),
            show(course.last),
            show(course.most)
        ),
        holds: course.last <= limit,
    }
}
