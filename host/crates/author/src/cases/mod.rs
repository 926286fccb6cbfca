//! `cases.ron`: what a plugin should do, as its author writes it down.
//!
//! Flows in: the path of a file. Flows out: [`Cases`], or every problem with
//! its place, in the way of `config.ron`. The format is described in
//! `docs/plugins.md`.

mod event;
pub(crate) mod facts;
pub(crate) mod pattern;
mod read;
mod shapes;
mod shared_object;
mod step;

use std::path::PathBuf;
use std::time::Duration;

use livehost_plugin::{HttpFailure, HttpResponse, KvContents};
use livehost_policy::{Client, ControlError, Event, Question, StreamInfo};
use livehost_ron::ProblemReport;

use pattern::{PairsWant, TextPattern, TextWant};

/// The cases of one file.
#[derive(Debug)]
pub(crate) struct Cases {
    pub(crate) file: PathBuf,
    pub(crate) cases: Vec<Case>,
}

/// One case: a fresh application, and what is done to it.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) line: usize,
    /// The application's name.
    pub(crate) app: String,
    /// JSON text.
    pub(crate) config: String,
    /// What the clock shows, since 1970, UTC.
    pub(crate) now: Duration,
    pub(crate) kv: KvContents,
    pub(crate) streams: Vec<StreamInfo>,
    pub(crate) clients: Vec<Client>,
    /// The plugin should refuse its configuration, with this text.
    pub(crate) refused: Option<TextWant>,
    /// What `on-start` does.
    pub(crate) on_start: Outside,
    pub(crate) steps: Vec<Step>,
    /// What the state should be in the end.
    pub(crate) kv_after: Option<PairsWant>,
    /// The keys of the timers that should be set in the end.
    pub(crate) timers_after: Option<Vec<String>>,
}

/// One thing that happens to the application.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) line: usize,
    /// As a reader knows it: `Publish "cam1"`.
    pub(crate) title: String,
    pub(crate) action: Action,
    pub(crate) expect: Option<TextPattern>,
    pub(crate) outside: Outside,
}

/// What should be done to the outside, and how that answers.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    /// The requests it should make, each with its answer.
    pub(crate) http: Vec<Exchange>,
    /// The commands it should give: exactly these, in this order.
    pub(crate) control: Option<Vec<CaseCommand>>,
    /// Lines it should write; others may be there.
    pub(crate) log: Vec<TextPattern>,
}

/// A command, and what becomes of it.
#[derive(Debug, Clone)]
pub(crate) struct CaseCommand {
    pub(crate) pattern: TextPattern,
    pub(crate) result: Result<(), ControlError>,
}

#[derive(Debug)]
pub(crate) enum Action {
    /// A question, of the client that the case's last `Connect` was about unless the
    /// step names one.
    Ask {
        question: Question,
        own_client: bool,
    },
    /// Something has happened, to that client.
    Tell { event: Box<Event>, own_client: bool },
    /// Time passes; timers that become due fire.
    Wait(Duration),
    /// Time passes until the timer with this key has fired.
    Timer(String),
    /// A new version replaces this one.
    Reload,
}

/// An HTTP request, and the answer to it.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) request: TextPattern,
    pub(crate) answer: Result<HttpResponse, HttpFailure>,
    /// How much time passes before the answer is there.
    pub(crate) after: Duration,
}

/// Why there are no cases.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CasesError {
    #[error("cannot read the cases {}: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{0}")]
    Invalid(ProblemReport),
}
