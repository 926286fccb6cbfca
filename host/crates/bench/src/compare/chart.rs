//! The report as a chart: a bar for each server and row, in scalable vectors.

use std::fmt::Write as _;

use super::{
    Report, Results,
    report::{median, number, spoken},
};
use crate::peer::Kind;

const WIDTH: u32 = 860;
const LABEL: u32 = 170;
const BAR: u32 = 18;
const GAP: u32 = 6;
const HEAD: u32 = 40;
/// The longest bar: what is left beside labels and figures.
const LONGEST: f64 = 580.0;

/// The chart; a row's longest bar has the full length.
pub(super) fn svg(report: &Report) -> String {
    let mut body = String::new();
    let mut y = 10;
    for row in &report.rows {
        y = group(row, y, &mut body);
    }
    let height = y + 10;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

/// One row's bars from `y` on; where the next begin.
fn group(row: &Results, mut y: u32, out: &mut String) -> u32 {
    let values: Vec<_> = row
        .entries
        .iter()
        .map(|entry| (&entry.server, median(&entry.values(row.headline))))
        .collect();
    let most = values
        .iter()
        .filter_map(|(_, value)| *value)
        .fold(0.0, f64::max);
    y += HEAD;
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<text x=\"10\" y=\"{}\" font-weight=\"bold\">{}: {}</text>",
        y - 12,
        row.title,
        spoken(row.headline)
    );
    for (server, value) in values {
        let text = y + BAR - 5;
        let _ = writeln!(out, "<text x=\"10\" y=\"{text}\">{server}</text>");
        let length = value.map_or(0.0, |value| LONGEST * value / most.max(f64::MIN_POSITIVE));
        let _ = writeln!(
            out,
            "<rect x=\"{LABEL}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{}\"/>",
            colour(server)
        );
        let figure = value.map_or("not measured".to_owned(), number);
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{text}\">{figure}</text>",
            f64::from(LABEL) + length + 6.0
        );
        y += BAR + GAP;
    }
    y
}

fn colour(server: &Kind) -> &'static str {
    match server {
        Kind::Livehost(_) | Kind::LivehostOnAllCores | Kind::LivehostNextKeyframe => "#2563eb",
        Kind::Nginx(_) => "#16a34a",
        Kind::Floor(_) => "#9ca3af",
        Kind::Given(_) => "#d97706",
    }
}
