//! Rows of loads on several servers, turn by turn, in rounds.
//!
//! Other work on the machine changes all figures of a round alike, so what is
//! compared is the ratio of servers within a round. Flows out: `report.md`,
//! `report.svg` and, with every single value, `report.json`.

mod chart;
mod report;
mod rows;

use std::fs;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::{
    cli::Compare,
    peer::{Kind, Peer},
    process::{Cores, prioritise},
    scenario::{Metrics, Scenario, Subject, metric},
};
use rows::{Row, rows};

/// What came of one server in one row.
#[derive(Debug, Clone, Serialize)]
struct Entry {
    server: Kind,
    /// By round; `None` where it failed.
    rounds: Vec<Option<Metrics>>,
    /// Why, of the last failure.
    failure: Option<String>,
}

/// A row's results.
#[derive(Debug, Clone, Serialize)]
struct Results {
    id: &'static str,
    title: String,
    headline: &'static str,
    columns: &'static [&'static str],
    entries: Vec<Entry>,
}

/// All results, and where they come from.
#[derive(Debug, Clone, Serialize)]
struct Report {
    machine: String,
    cores: &'static str,
    rounds: u32,
    rows: Vec<Results>,
}

/// Measures and writes the report.
///
/// # Errors
/// If nothing can be measured: neither a missing server nor one that fails is
/// an error, the report says so; with `--quick` a livehost that fails is.
pub(crate) fn run(arguments: &Compare) -> Result<()> {
    let rows = chosen(arguments)?;
    if arguments.list {
        for row in &rows {
            println!("{:<12} {}", row.id, row.title);
        }
        return Ok(());
    }
    let cores = Cores::split(arguments.share_cores)?;
    prioritise(arguments.nice)?;
    let rounds = if arguments.quick { 1 } else { arguments.rounds };
    let mut report = Report {
        machine: report::machine(),
        cores: match arguments.share_cores {
            true => "server and load share all cores",
            false => "one core for the server, another for the load",
        },
        rounds,
        rows: rows.iter().map(Results::empty).collect(),
    };
    for round in 1..=rounds {
        for (row, results) in rows.iter().zip(&mut report.rows) {
            for entry in &mut results.entries {
                eprintln!("round {round} of {rounds}: {}: {}", row.id, entry.server);
                match measure(&entry.server, &row.scenario, arguments, &cores) {
                    Ok(metrics) => {
                        if let Some(value) = metrics.get(row.headline) {
                            eprintln!("    {} {value:.3}", row.headline);
                        }
                        entry.rounds.push(Some(metrics));
                    }
                    Err(error) => {
                        eprintln!("    {error:#}");
                        entry.rounds.push(None);
                        entry.failure = Some(format!("{error:#}"));
                    }
                }
            }
        }
        // What is there is kept, whatever comes.
        write(&report, arguments)?;
    }
    report.livehost_served(arguments.quick)
}

fn chosen(arguments: &Compare) -> Result<Vec<Row>> {
    let mut rows = rows(
        arguments.quick,
        arguments.seconds,
        &arguments.programs.given,
    );
    for id in &arguments.only {
        anyhow::ensure!(
            rows.iter().any(|row| row.id == id),
            "expected a row of --list, got {id:?}"
        );
    }
    if !arguments.only.is_empty() {
        rows.retain(|row| arguments.only.iter().any(|id| row.id == id));
    }
    Ok(rows)
}

fn measure(
    kind: &Kind,
    scenario: &Scenario,
    arguments: &Compare,
    cores: &Cores,
) -> Result<Metrics> {
    let peer = Peer::start(kind, &arguments.programs, cores, arguments.segment)?;
    let subject = Subject {
        target: peer.target.clone(),
        pid: Some(peer.pid()),
    };
    // The reason first: a log may be long, and say nothing of it.
    let outcome = scenario.run(&subject);
    outcome.map_err(|error| anyhow::anyhow!("{error:#}\n{}", peer.log()))
}

fn write(report: &Report, arguments: &Compare) -> Result<()> {
    let folder = &arguments.out;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let files = [
        ("report.json", serde_json::to_string_pretty(report)?),
        ("report.md", report::markdown(report)),
        ("report.svg", chart::svg(report)),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    eprintln!("wrote {}", folder.join("report.md").display());
    Ok(())
}

impl Results {
    fn empty(row: &Row) -> Self {
        Self {
            id: row.id,
            title: row.title.clone(),
            headline: row.headline,
            columns: row.columns,
            entries: row
                .kinds
                .iter()
                .map(|kind| Entry {
                    server: kind.clone(),
                    rounds: Vec::new(),
                    failure: None,
                })
                .collect(),
        }
    }
}

impl Report {
    /// A short run is a test: livehost must have served all of it, with every
    /// message as it was sent and no client turned away.
    fn livehost_served(&self, quick: bool) -> Result<()> {
        let livehost = |entry: &&Entry| matches!(entry.server, Kind::Livehost(_));
        for row in self.rows.iter().filter(|_| quick) {
            for entry in row.entries.iter().filter(livehost) {
                if let Some(failure) = &entry.failure {
                    anyhow::bail!("{}: {failure}", row.id);
                }
                for metrics in entry.rounds.iter().flatten() {
                    row.was_served(metrics).context(row.id)?;
                }
            }
        }
        Ok(())
    }
}

impl Results {
    fn was_served(&self, metrics: &Metrics) -> Result<()> {
        anyhow::ensure!(
            metrics.get(self.headline).is_some(),
            "expected {}, got nothing to measure it by",
            self.headline
        );
        // Unpaced, players may fall behind; that is what it is for.
        let gaps = Some(metric::GAPS).filter(|_| self.id != "unpaced");
        for name in [metric::WRONG, metric::LOST].into_iter().chain(gaps) {
            let count = metrics.get(name).unwrap_or_default();
            anyhow::ensure!(
                count == 0.0,
                "expected no {}, got {count}",
                name.replace('_', " ")
            );
        }
        Ok(())
    }
}
