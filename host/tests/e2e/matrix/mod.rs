//! The client matrix: who can do what over which transport, found out by
//! trying. `make client-matrix` writes `docs/client-matrix.md`; every test run
//! tries the rows of what each client knows, and compares. Who joins late and
//! what becomes of it in other containers is in `late`.

mod axes;
mod cell;
mod film;
mod late;
mod reasons;
mod table;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use axes::{CLIENTS, Codecs, Direction, Transport};
use cell::{Failed, Stage};
use table::Cell;

use crate::support::{Tool, together, workspace};

/// Cells that are tried at once: most of their time is the film's.
const AT_ONCE: usize = 6;

fn file() -> PathBuf {
    workspace().join("docs/client-matrix.md")
}

#[test]
#[ignore = "it takes some minutes and writes the page: make client-matrix"]
fn all_of_the_table() {
    let _guard = together();
    let tools = axes::present();
    assert_eq!(tools.len(), CLIENTS.len(), "every client is needed");
    let versions: Vec<_> = tools
        .iter()
        .map(|tool| (*tool, axes::version(*tool)))
        .collect();
    let (cells, unexplained) = try_all(&tools, &Codecs::ALL);
    assert!(
        unexplained.is_empty(),
        "{} cells without a known reason:\n{}",
        unexplained.len(),
        unexplained.join("\n")
    );
    fs::write(file(), table::page(&versions, &cells)).expect("the page can be written");
}

#[test]
fn the_table_holds_for_what_every_client_knows() {
    let _guard = together();
    let tools = axes::present();
    if !tools.contains(&Tool::Ffmpeg9) {
        return;
    }
    // Those of OBS are slow; it has its own tests.
    let tools: Vec<_> = tools.into_iter().filter(|t| *t != Tool::Obs).collect();
    let page = fs::read_to_string(file()).expect("docs/client-matrix.md");
    let (cells, unexplained) = try_all(&tools, &[Codecs::common()]);
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
    for tool in tools {
        for direction in Direction::BOTH {
            let told = table::row(&page, tool, direction, Codecs::common());
            for (transport, told) in Transport::ALL.into_iter().zip(told) {
                let cell = cells.iter().find(|cell| {
                    (cell.tool, cell.direction, cell.transport) == (tool, direction, transport)
                });
                let reason = cell.expect("every cell was tried").reason;
                assert_eq!(
                    reason.is_none(),
                    told == table::YES,
                    "{tool} {} over {transport}: the page says {told:?}, now it is {reason:?}; \
                     make client-matrix writes it anew",
                    direction.verb()
                );
            }
        }
    }
}

#[test]
fn every_cell_of_the_table_is_a_yes_or_a_reason() {
    let page = fs::read_to_string(file()).expect("docs/client-matrix.md");
    let (_, reasons) = page.split_once("\n## Reasons\n").expect("reasons");
    for tool in CLIENTS {
        for direction in Direction::BOTH {
            for codecs in Codecs::ALL {
                let row = table::row(&page, tool, direction, codecs);
                assert_eq!(row.len(), Transport::ALL.len(), "{tool}: {row:?}");
                for word in row {
                    let explained = reasons.contains(&format!("\n{word}. "));
                    assert!(word == table::YES || explained, "{tool}: {word:?}");
                }
            }
        }
    }
}

/// Tries all cells of these clients and codecs; those that failed for no known
/// reason come apart, with what was said.
fn try_all(tools: &[Tool], pairs: &[Codecs]) -> (Vec<Cell>, Vec<String>) {
    let mut jobs = Vec::new();
    for codecs in pairs {
        for direction in Direction::BOTH {
            for tool in tools {
                let of_transport = |transport| (*tool, direction, transport, *codecs);
                jobs.extend(Transport::ALL.map(of_transport));
            }
        }
        // Made once, before clients wait for it.
        film::messages(*codecs);
    }
    let stage = Stage::start();
    let next = AtomicUsize::new(0);
    let done = Mutex::new((Vec::new(), Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (tool, direction, transport, codecs) = *job;
                    let (reason, unexplained) = attempt(&stage, *job);
                    eprintln!(
                        "{tool} {} {} over {transport}: {}",
                        direction.verb(),
                        codecs.name,
                        reason.unwrap_or(table::YES)
                    );
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.1.extend(unexplained);
                    done.0.push(Cell {
                        tool,
                        direction,
                        transport,
                        codecs,
                        reason,
                    });
                }
            });
        }
    });
    let server = &stage.host.process;
    assert!(!server.has_ended(), "the server is gone: {}", server.tail());
    stage.host.stop();
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

type Job = (Tool, Direction, Transport, Codecs);

/// The reason if it is not a yes, and what was said if the reason is unknown.
fn attempt(
    stage: &Stage,
    (tool, direction, transport, codecs): Job,
) -> (Option<&'static str>, Option<String>) {
    if let Some(reason) = reasons::never(tool, direction, codecs) {
        return (Some(reason), None);
    }
    let tried = catch_unwind(AssertUnwindSafe(|| match direction {
        Direction::Publish => cell::publishes(stage, tool, transport, codecs),
        Direction::Play => cell::plays(stage, tool, transport, codecs),
    }));
    let failed = match tried {
        Ok(Ok(())) => return (None, None),
        Ok(Err(failed)) => failed,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Failed {
                why: text.unwrap_or_default(),
                said: String::new(),
            }
        }
    };
    if let Some(reason) = reasons::explain(tool, direction, transport, codecs, &failed) {
        return (Some(reason), None);
    }
    let unexplained = format!(
        "{tool} {} {} over {transport}: {}\n{}",
        direction.verb(),
        codecs.name,
        failed.why,
        tail(&failed.said)
    );
    (Some("unexplained"), Some(unexplained))
}

/// The last lines.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let from = lines.len().saturating_sub(12);
    let lines = lines.iter().skip(from);
    lines.map(|line| format!("    {line}\n")).collect()
}
