//! Tables for a terminal, and how amounts are shown in them.
//!
//! Every cell passes [`visible`]: names and addresses are what strangers chose.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use livehost_telemetry::log::visible;

/// The most that is shown of a cell, bytes.
const MAX_CELL: usize = 200;
/// Between two columns.
const GAP: &str = "  ";

/// On which side a column's texts begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    /// Numbers.
    Right,
}

/// Rows under a head.
#[derive(Debug)]
pub(super) struct Table {
    aligns: Vec<Align>,
    /// The head is the first.
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these columns.
    pub(super) fn new(columns: &[(&str, Align)]) -> Self {
        Self {
            aligns: columns.iter().map(|(_, align)| *align).collect(),
            rows: vec![columns.iter().map(|(head, _)| (*head).to_owned()).collect()],
        }
    }

    /// One row more.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let cells = cells.iter().map(|cell| visible(cell, MAX_CELL));
        self.rows.push(cells.collect());
    }

    /// The lines, the head first; none ends with spaces.
    pub(super) fn lines(&self) -> Vec<String> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.aligns.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).zip(&self.aligns);
            let cells = cells.map(|((cell, &width), align)| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
            let line = cells.collect::<Vec<_>>().join(GAP);
            line.trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }
}

/// How long ago a moment was, Unix time in milliseconds: `2 h 5 min`.
pub(super) fn age(unix_ms: u64) -> String {
    let then = UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms));
    let age = then.and_then(|then| SystemTime::now().duration_since(then).ok());
    span(age.unwrap_or_default())
}

/// A time in its two largest units.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}
