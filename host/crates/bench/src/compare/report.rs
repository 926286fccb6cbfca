//! The report as a page of tables: medians, ranges, ratios.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use super::{Entry, Report, Results};
use crate::peer::Kind;

/// The report as Markdown.
pub(super) fn markdown(report: &Report) -> String {
    let mut out = format!(
        "# livehost and others\n\n{}; {}; medians of {} rounds, lowest and highest in parentheses.\n\
         Ratios are medians of the ratios within each round.\n\n![chart](report.svg)\n",
        report.machine, report.cores, report.rounds
    );
    for row in &report.rows {
        table(row, &mut out);
    }
    out
}

fn table(row: &Results, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "\n## {} ({})\n\n| server | {} |",
        row.title,
        row.id,
        spoken(row.headline)
    );
    let reference = row.reference(&Kind::Livehost(0)).map(|entry| &entry.server);
    match reference {
        Some(Kind::Floor(_)) => out.push_str(" to the floor that gathers alike |"),
        Some(kind) => {
            let _ = write!(out, " to {kind} |");
        }
        None => out.push_str(" ratio |"),
    }
    for column in row.columns {
        let _ = write!(out, " {} |", spoken(column));
    }
    let _ = writeln!(out, "\n|{}", "---|".repeat(3 + row.columns.len()));
    for entry in &row.entries {
        let _ = write!(out, "| {} |", entry.server);
        if let Some(failure) = entry.failure.as_ref().filter(|_| entry.all_failed()) {
            let line = failure.lines().next().unwrap_or_default();
            let _ = writeln!(out, " not measured: {} |", line.replace('|', "/"));
            continue;
        }
        let _ = write!(out, " {} |", spread(&entry.values(row.headline)));
        let ratio = row.ratios(entry, row.headline);
        let _ = write!(
            out,
            " {} |",
            median(&ratio).map_or("-".to_owned(), |r| format!("{r:.2}"))
        );
        for column in row.columns {
            let _ = write!(out, " {}", spread(&entry.values(column)));
            // What a latency means, it means beside the floor's.
            if column.starts_with("latency")
                && let Some(ratio) = median(&row.ratios(entry, column))
            {
                let _ = write!(out, " = {ratio:.2}x");
            }
            out.push_str(" |");
        }
        out.push('\n');
    }
}

impl Results {
    /// Whom a server is compared to: the floor that gathers alike, where there
    /// is one, or livehost.
    fn reference(&self, server: &Kind) -> Option<&Entry> {
        let find = |kind: Kind| self.entries.iter().find(|entry| entry.server == kind);
        find(Kind::Floor(server.gathers()))
            .or_else(|| find(Kind::Floor(0)))
            .or_else(|| find(Kind::Livehost(0)))
    }

    /// A figure of an entry to that of its reference, by round.
    pub(super) fn ratios(&self, entry: &Entry, name: &str) -> Vec<f64> {
        let Some(base) = self.reference(&entry.server) else {
            return Vec::new();
        };
        entry
            .rounds
            .iter()
            .zip(&base.rounds)
            .filter_map(|(own, base)| {
                let own = own.as_ref()?.get(name)?;
                let base = base.as_ref()?.get(name)?;
                (base != 0.0).then_some(own / base)
            })
            .collect()
    }
}

impl Entry {
    /// What was measured of one figure, by round.
    pub(super) fn values(&self, name: &str) -> Vec<f64> {
        let rounds = self.rounds.iter().flatten();
        rounds.filter_map(|metrics| metrics.get(name)).collect()
    }

    fn all_failed(&self) -> bool {
        self.rounds.iter().all(Option::is_none)
    }
}

/// The middle value; of an even number, the mean of the two in the middle.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// Median and range.
fn spread(values: &[f64]) -> String {
    let Some(median) = median(values) else {
        return "-".to_owned();
    };
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match number(low) == number(high) {
        true => number(median),
        false => format!("{} ({}-{})", number(median), number(low), number(high)),
    }
}

/// Three digits that count.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if size == 0.0 || size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A metric's name for readers.
pub(super) fn spoken(name: &str) -> String {
    let name = name
        .replace("cpu_s_per_gb", "CPU s/GB")
        .replace("cpu_s_per_1000_idle_s", "CPU s per 1,000 and s")
        .replace("cpu_s_per_1000", "CPU s per 1,000")
        .replace("cpu_ms_per_stream_s", "CPU ms per stream and s")
        .replace("cpu_percent", "CPU %")
        .replace("cpu_wait_percent", "waited for CPU %")
        .replace("percent", "%")
        .replace("mbit_s", "Mbit/s")
        .replace("mib", "MiB")
        .replace("kib", "KiB")
        .replace("rss", "RSS");
    name.replace('_', " ")
}

/// The machine in a line.
pub(super) fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut models: BTreeMap<&str, usize> = BTreeMap::new();
    for line in cpus.lines().filter(|line| line.starts_with("model name")) {
        let model = line.split_once(": ").map_or(line, |(_, model)| model);
        *models.entry(model).or_default() += 1;
    }
    let cpus: Vec<_> = models
        .iter()
        .map(|(model, count)| format!("{count} x {model}"))
        .collect();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{}; Linux {}", cpus.join(", "), kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(spread(&[1.0, 3.0, 2.0]), "2.00 (1.00-3.00)");
        assert_eq!(spread(&[0.0, 0.0]), "0");
    }
}
