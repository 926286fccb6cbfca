//! The table as Markdown.

use std::fmt::Write as _;

use super::axes::{Codecs, Direction, Transport};
use crate::support::Tool;

/// What the table says of one client, direction, transport and pair of codecs.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) tool: Tool,
    pub(super) direction: Direction,
    pub(super) transport: Transport,
    pub(super) codecs: Codecs,
    /// None for a yes.
    pub(super) reason: Option<&'static str>,
}

pub(super) const YES: &str = "yes";

/// What stands before the tables.
const INTRODUCTION: &str = "\
# Clients by version, transport, codec and direction

Made by `make client-matrix`, which runs every cell: each client of this page,
as a process, against the real server on loopback, with a scripted client at the
other end. By hand nothing is changed here.

**yes** means that all of a film of two seconds came through. Where the client
passes packets on, every packet is compared by its hash (GStreamer as a
publisher: by that of its coded data, since its multiplexer makes timestamps of
its own). VLC and mpv play: the hash of every picture that they decode is that of
the film's. VLC publishes: the same of what a player of it decodes. VLC may keep
the last picture, either way. mpv and OBS publish what they encode
themselves: every picture of it decodes. Through RTMPT, RTMPTS and RTMPTE a
publisher that ends may keep its last packets: it closes the tunnel without
another request.

Both FFmpegs, with each pair of codecs that they know, also join a stream that
runs, at every test, and write it into MP4, Matroska, MPEG-TS and HLS: with the
tracks that are published and no others.

A **number** is a reason below the tables: what the client can't do, with its own
words where it was tried. Certificates are checked by OBS and FFmpeg 9;
GStreamer is told not to, the others don't.

Left out: H.266, for which no client here has an encoder, and nginx, which relays
(see [relays.md](relays.md)). What the server does with each codec, whoever sends
it, is in [enhanced-rtmp.md](enhanced-rtmp.md).
";

/// All of the page.
pub(super) fn page(versions: &[(Tool, String)], cells: &[Cell]) -> String {
    let mut reasons: Vec<&str> = Vec::new();
    let mut page = INTRODUCTION.to_owned();
    for (tool, version) in versions {
        let _ = write!(page, "\n## {tool}\n\nVersion {version}.\n\n|");
        for transport in Transport::ALL {
            let _ = write!(page, " | {transport}");
        }
        page.push_str(" |\n|---");
        page.push_str(&"|---".repeat(Transport::ALL.len()));
        page.push_str("|\n");
        for direction in Direction::BOTH {
            for codecs in Codecs::ALL {
                let of_row = |cell: &&Cell| {
                    (cell.tool, cell.direction, cell.codecs) == (*tool, direction, codecs)
                };
                let row: Vec<&Cell> = cells.iter().filter(of_row).collect();
                let _ = write!(page, "| {}", label(direction, codecs));
                for transport in Transport::ALL {
                    let cell = row.iter().find(|cell| cell.transport == transport);
                    let cell = cell.unwrap_or_else(|| panic!("{tool} over {transport}: no cell"));
                    match cell.reason {
                        None => page.push_str(" | yes"),
                        Some(reason) => {
                            let known = reasons.iter().position(|known| *known == reason);
                            let number = known.unwrap_or_else(|| {
                                reasons.push(reason);
                                reasons.len() - 1
                            });
                            let _ = write!(page, " | {}", number + 1);
                        }
                    }
                }
                page.push_str(" |\n");
            }
        }
    }
    page.push_str("\n## Reasons\n\n");
    for (number, reason) in reasons.iter().enumerate() {
        let _ = writeln!(page, "{}. {reason}", number + 1);
    }
    page
}

/// The first column.
fn label(direction: Direction, codecs: Codecs) -> String {
    format!("{} {}", direction.verb(), codecs.name)
}

/// What a page says of one client, direction and pair of codecs: a word for
/// each transport.
pub(super) fn row(page: &str, tool: Tool, direction: Direction, codecs: Codecs) -> Vec<String> {
    let (_, section) = page
        .split_once(&format!("\n## {tool}\n"))
        .unwrap_or_else(|| panic!("the page has no {tool}"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let label = format!("| {} |", label(direction, codecs));
    let row = section.lines().find_map(|line| line.strip_prefix(&label));
    let row = row.unwrap_or_else(|| panic!("the page has no row {label} of {tool}"));
    let words = row.trim_end_matches('|').split('|');
    words.map(|word| word.trim().to_owned()).collect()
}
