//! `host plugin test`: runs a plugin's cases.
//!
//! Flows in: a component and its cases. Flows out: what failed, on standard
//! output. Each case has a fresh application. With several instances the
//! cases run a second time, in which every call goes to another instance than
//! the one before: a decision that changes was made from an instance's memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use fastrand::Rng;
use livehost_net::outbound;
use livehost_plugin::{
    Clock, Compiler, Fault, PluginError, PluginLimits, PluginSpec, Program, Runtime, Storage, Trial,
};
use livehost_policy::{Answer, Client, ConnectDecision, Event, Pairs, PolicyError, Question};
use livehost_telemetry::say;

use super::cases::pattern::{Difference, Fact, TextWant};
use super::cases::{Action, Case, Cases, Outside, Step};
use super::follow;
use super::stage::Stage;

/// More timers than this don't fire in one wait: some set each other.
const MAX_FIRED: usize = 1000;

/// How the cases run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Run again with so many instances, if more than one.
    pub instances: usize,
    /// Run again in an order that this number determines.
    pub shuffle: Option<u64>,
    /// Where compiled code is kept.
    pub storage: Storage,
}

/// What one case came to.
#[derive(Debug, Default)]
struct CaseOutcome {
    failures: Vec<Failure>,
    /// The decision of each step.
    decisions: Vec<Option<Fact>>,
}

/// Something that is not as expected.
#[derive(Debug)]
struct Failure {
    line: usize,
    /// Where in the case: a step, or its end.
    at: String,
    /// Part of the outcome: `decision`, `kv`, ...
    part: &'static str,
    difference: Difference,
}

/// Which instance a call goes to.
enum Choice {
    /// Always the same.
    First,
    /// Another one each time.
    Next(usize),
    /// A seed determines it, so that a run can be repeated.
    Random(Rng),
}

impl Choice {
    fn next(&mut self) -> usize {
        match self {
            Self::First => 0,
            Self::Next(turn) => {
                *turn = turn.wrapping_add(1);
                *turn
            }
            Self::Random(random) => random.usize(..),
        }
    }
}

/// Runs the cases of `file` against `plugin`.
///
/// # Errors
/// When a file can't be read, the plugin can't be loaded, or a case fails.
pub async fn test(plugin: &Path, file: &Path, options: Options) -> anyhow::Result<()> {
    let cases = Cases::load(file)?;
    let runtime = Runtime::new(&options.storage, Compiler::Child)?;
    let program = Program::load(&runtime, plugin).await;
    // Kept, so that it is compiled once for all cases.
    let _program = program.map_err(|fault| anyhow::anyhow!("{} {fault}", plugin.display()))?;
    let run = Run {
        runtime,
        plugin,
        limits: patient(),
    };
    say!("{}: {}", plugin.display(), file.display());
    let mut failed = 0_usize;
    let mut decisions = Vec::new();
    for case in &cases.cases {
        let outcome = run.alone(case).await?;
        print(&cases, case, &outcome.failures);
        failed = failed.saturating_add(usize::from(!outcome.failures.is_empty()));
        decisions.push(outcome.decisions);
    }
    let count = cases.cases.len();
    say!(
        "{count} cases: {} ok, {failed} failed",
        count.saturating_sub(failed)
    );
    let mut changed = 0;
    if options.instances > 1 || options.shuffle.is_some() {
        changed = run.together(&cases, &decisions, &options).await?;
    }
    anyhow::ensure!(failed == 0, "{failed} of {count} cases failed");
    anyhow::ensure!(
        changed == 0,
        "{changed} decisions depend on what an instance remembers: keep state in kv"
    );
    Ok(())
}

/// A server's limits, but for a machine that is busy with builds.
fn patient() -> PluginLimits {
    let server = PluginLimits::default();
    PluginLimits {
        wall: server.wall.saturating_mul(10),
        start: server.start.saturating_mul(10),
        ..server
    }
}

struct Run<'a> {
    runtime: Arc<Runtime>,
    plugin: &'a Path,
    limits: PluginLimits,
}

impl Run<'_> {
    /// One case on a fresh instance.
    async fn alone(&self, case: &Case) -> anyhow::Result<CaseOutcome> {
        let clock = Clock::standing(case.now);
        let stage = Stage::new(&clock);
        stage.set(&case.streams, &case.clients);
        stage.script(&case.on_start);
        match self.load(case, &stage, 1).await {
            Ok(mut trial) => Ok(play(case, &mut trial, &stage, &clock, &mut Choice::First).await),
            Err(error) => refusal(case, error),
        }
    }

    async fn load(
        &self,
        case: &Case,
        stage: &Arc<Stage>,
        instances: usize,
    ) -> Result<Trial, PluginError> {
        let (services, doubles) = stage.parts();
        let spec = PluginSpec {
            app: case.app.clone(),
            file: self.plugin.to_owned(),
            config: case.config.clone(),
            limits: self.limits.clone(),
            // Scripted answers come from nowhere.
            http: outbound::HttpSettings::default(),
        };
        Trial::load(&self.runtime, spec, services, doubles, &case.kv, instances).await
    }

    /// All cases again, those with the same configuration on the same
    /// instances; how many decisions are others than before.
    async fn together(
        &self,
        cases: &Cases,
        decisions: &[Vec<Option<Fact>>],
        options: &Options,
    ) -> anyhow::Result<usize> {
        let mut order: Vec<_> = cases.cases.iter().zip(decisions).collect();
        order.retain(|(case, _)| case.refused.is_none());
        let mut turn = match options.shuffle {
            Some(seed) => {
                let mut random = Rng::with_seed(seed);
                random.shuffle(&mut order);
                say!(
                    "again, with {} instances, shuffled by {seed}",
                    options.instances
                );
                Choice::Random(random)
            }
            None => {
                say!("again, with {} instances in turn", options.instances);
                Choice::Next(0)
            }
        };
        let mut shared: BTreeMap<(&str, &str), (Trial, Arc<Stage>, Clock)> = BTreeMap::new();
        let mut changed = 0_usize;
        for (case, before) in order {
            let key = (case.app.as_str(), case.config.as_str());
            let (trial, stage, clock) = match shared.entry(key) {
                std::collections::btree_map::Entry::Occupied(entry) => {
                    let (trial, stage, clock) = entry.into_mut();
                    stage.set(&case.streams, &case.clients);
                    stage.script(&case.on_start);
                    clock.set(case.now);
                    trial.reset(&case.kv).await?;
                    (trial, stage, clock)
                }
                std::collections::btree_map::Entry::Vacant(entry) => {
                    let clock = Clock::standing(case.now);
                    let stage = Stage::new(&clock);
                    stage.set(&case.streams, &case.clients);
                    stage.script(&case.on_start);
                    let trial = self.load(case, &stage, options.instances).await?;
                    let (trial, stage, clock) = entry.insert((trial, stage, clock));
                    (trial, stage, clock)
                }
            };
            let outcome = play(case, trial, stage, clock, &mut turn).await;
            for ((step, before), after) in case.steps.iter().zip(before).zip(&outcome.decisions) {
                if before != after {
                    changed = changed.saturating_add(1);
                    print_change(cases, case, step, before.as_ref(), after.as_ref());
                }
            }
        }
        say!("{changed} decisions changed");
        Ok(changed)
    }
}

/// A plugin that can't be loaded: as expected, a failed case, or no plugin.
fn refusal(case: &Case, error: PluginError) -> anyhow::Result<CaseOutcome> {
    let (Fault::ConfigRefused(text) | Fault::StartRefused(text)) = &error.fault else {
        return Err(error).context("no case can run");
    };
    let failures = match &case.refused {
        Some(wanted) if wanted.matches(Some(text.as_bytes())) => Vec::new(),
        wanted => vec![Failure {
            line: case.line,
            at: "its configuration".to_owned(),
            part: "refusal",
            difference: Difference {
                field: String::new(),
                expected: wanted
                    .as_ref()
                    .map_or("none".to_owned(), TextWant::to_string),
                got: format!("{text:?}"),
            },
        }],
    };
    Ok(CaseOutcome {
        failures,
        decisions: Vec::new(),
    })
}

/// Plays the steps of `case`; instances are those of `turn`.
async fn play(
    case: &Case,
    trial: &mut Trial,
    stage: &Stage,
    clock: &Clock,
    turn: &mut Choice,
) -> CaseOutcome {
    let mut play = CaseRun {
        trial,
        stage,
        clock,
        turn,
        attrs: None,
        outcome: CaseOutcome::default(),
    };
    if case.refused.is_some() {
        let failure = ("none".to_owned(), "it took the configuration".to_owned());
        play.fail(case.line, "its configuration", "refusal", failure);
        return play.outcome;
    }
    play.outside(&case.on_start, case.line, "its start");
    for (index, step) in case.steps.iter().enumerate() {
        let at = format!("step {}, {}", index.saturating_add(1), step.title);
        let decision = play.step(step, &at).await;
        play.outcome.decisions.push(decision);
    }
    play.end(case);
    play.outcome
}

struct CaseRun<'a> {
    trial: &'a mut Trial,
    stage: &'a Stage,
    clock: &'a Clock,
    turn: &'a mut Choice,
    /// What the last accepted connection was granted.
    attrs: Option<Pairs>,
    outcome: CaseOutcome,
}

impl CaseRun<'_> {
    fn fail(
        &mut self,
        line: usize,
        at: &str,
        part: &'static str,
        (expected, got): (String, String),
    ) {
        let field = String::new();
        let difference = Difference {
            field,
            expected,
            got,
        };
        self.differ(line, at, part, vec![difference]);
    }

    fn differ(&mut self, line: usize, at: &str, part: &'static str, differences: Vec<Difference>) {
        let failures = differences.into_iter().map(|difference| Failure {
            line,
            at: at.to_owned(),
            part,
            difference,
        });
        self.outcome.failures.extend(failures);
    }

    async fn step(&mut self, step: &Step, at: &str) -> Option<Fact> {
        self.stage.script(&step.outside);
        let result = match &step.action {
            Action::Ask {
                question,
                own_client,
            } => self.ask(question.clone(), *own_client).await.map(Some),
            Action::Tell { event, own_client } => {
                let event = Event::clone(event);
                self.tell(event, *own_client, step.line, at).await
            }
            Action::Wait(time) => self.wait(*time).await,
            Action::Timer(key) => self.until(key, step.line, at).await,
            Action::Reload => match self.trial.reload().await {
                Ok(()) => Ok(None),
                Err(error) => Err(PolicyError::Unavailable(error.fault.to_string())),
            },
        };
        let decision = match result {
            Ok(answer) => answer.as_ref().map(Fact::of_answer),
            Err(error) => {
                let expected = step.expect.as_ref();
                let expected = expected.map_or("an answer".to_owned(), |want| want.to_string());
                self.fail(step.line, at, "decision", (expected, error.to_string()));
                None
            }
        };
        if let (Some(wanted), Some(decision)) = (&step.expect, &decision) {
            self.differ(step.line, at, "decision", wanted.differences(decision));
        }
        self.outside(&step.outside, step.line, at);
        decision
    }

    /// Asks, and lets happen what follows in a server.
    async fn ask(
        &mut self,
        mut question: Question,
        own_client: bool,
    ) -> Result<Answer, PolicyError> {
        self.as_client(asks(&mut question), own_client);
        let turn = self.turn.next();
        let answer = self.trial.ask(turn, question.clone()).await?;
        if let Answer::Connect(ConnectDecision::Accept(grant)) = &answer {
            self.attrs = Some(grant.attrs.clone());
        }
        let now = self.clock.standing_at().unwrap_or_default();
        for event in follow::answered(self.stage, &question, &answer, now) {
            self.event(event).await?;
        }
        Ok(answer)
    }

    /// Tells of an event, and of what comes before it in a server.
    async fn tell(
        &mut self,
        mut event: Event,
        own_client: bool,
        line: usize,
        at: &str,
    ) -> Result<Option<Answer>, PolicyError> {
        self.as_client(is_about(&mut event), own_client);
        match follow::known(self.stage, event) {
            Ok(event) => {
                for earlier in follow::before(self.stage, &event) {
                    self.event(earlier).await?;
                }
                self.event(event.clone()).await?;
                follow::heard(self.stage, &event);
            }
            Err(told) => {
                let pair = ("an event that the plugin has not had".to_owned(), told);
                self.fail(line, at, "event", pair);
            }
        }
        Ok(None)
    }

    async fn event(&mut self, event: Event) -> Result<(), PolicyError> {
        let turn = self.turn.next();
        self.trial.tell(turn, event).await
    }

    /// The client of a session keeps what its connection was granted.
    fn as_client(&self, client: Option<&mut Client>, own_client: bool) {
        if let (false, Some(client), Some(attrs)) = (own_client, client, &self.attrs) {
            client.attrs.clone_from(attrs);
        }
    }

    /// Time passes from one due timer to the next.
    async fn wait(&mut self, time: std::time::Duration) -> Result<Option<Answer>, PolicyError> {
        // Answers that take their time move the clock, too.
        let now = || self.clock.standing_at().unwrap_or_default();
        let end = now().saturating_add(time);
        for _ in 0..MAX_FIRED {
            let left = end.saturating_sub(now());
            let next = self.trial.until_timer().filter(|next| *next <= left);
            self.clock.advance(next.unwrap_or(left));
            match self.trial.due_timer() {
                Some(key) => {
                    let turn = self.turn.next();
                    self.trial.fire(turn, key).await?;
                }
                None if now() >= end => return Ok(None),
                None => {}
            }
        }
        Err(too_many())
    }

    /// Time passes until the timer with this key has fired, and those that are
    /// due before it.
    async fn until(
        &mut self,
        wanted: &str,
        line: usize,
        at: &str,
    ) -> Result<Option<Answer>, PolicyError> {
        for _ in 0..MAX_FIRED {
            let set = self.trial.timers();
            if !set.iter().any(|key| key == wanted) {
                let pair = (format!("a timer {wanted:?}"), format!("{set:?}"));
                self.fail(line, at, "timers", pair);
                return Ok(None);
            }
            self.clock
                .advance(self.trial.until_timer().unwrap_or_default());
            let Some(key) = self.trial.due_timer() else {
                continue;
            };
            let is_wanted = key == wanted;
            let turn = self.turn.next();
            self.trial.fire(turn, key).await?;
            if is_wanted {
                return Ok(None);
            }
        }
        Err(too_many())
    }

    /// What was done to the outside.
    fn outside(&mut self, wanted: &Outside, line: usize, at: &str) {
        let (seen, missing) = self.stage.take();
        for wanted in missing {
            let got = seen.unexpected.first();
            let got = got.map_or("no such request".to_owned(), Fact::to_string);
            self.fail(line, at, "http", (wanted.to_string(), got));
        }
        if wanted.http.is_empty() {
            for request in &seen.unexpected {
                let pair = ("no request".to_owned(), request.to_string());
                self.fail(line, at, "http", pair);
            }
        }
        if let Some(wanted) = &wanted.control {
            let wanted: Vec<_> = wanted.iter().map(|order| &order.pattern).collect();
            let same = wanted.len() == seen.commands.len()
                && wanted.iter().zip(&seen.commands).all(|(w, c)| w.matches(c));
            if !same {
                let pair = (listed(&wanted), listed(&seen.commands));
                self.fail(line, at, "control", pair);
            }
        }
        for wanted in &wanted.log {
            if !seen.lines.iter().any(|line| wanted.matches(line)) {
                let pair = (wanted.to_string(), listed(&seen.lines));
                self.fail(line, at, "log", pair);
            }
        }
    }

    fn end(&mut self, case: &Case) {
        if let Some(wanted) = &case.kv_after {
            let got: Vec<_> = self.trial.kv().into_iter().collect();
            let differences = wanted.differences(&got);
            self.differ(case.line, "in the end", "kv", differences);
        }
        if let Some(wanted) = &case.timers_after {
            let got = self.trial.timers();
            if *wanted != got {
                let pair = (format!("{wanted:?}"), format!("{got:?}"));
                self.fail(case.line, "in the end", "timers", pair);
            }
        }
    }
}

fn too_many() -> PolicyError {
    PolicyError::Unavailable(format!("more than {MAX_FIRED} timers fired"))
}

/// Who asks with what its connection was granted: nobody who asks for a connection.
fn asks(question: &mut Question) -> Option<&mut Client> {
    Some(match question {
        Question::Connect(_) | Question::Authenticate(_) | Question::Credential(_) => return None,
        Question::Publish(request) | Question::Play(request) => &mut Arc::make_mut(request).client,
        Question::Call(request) => &mut Arc::make_mut(request).client,
        Question::SharedObject(request) => &mut Arc::make_mut(request).client,
    })
}

fn is_about(event: &mut Event) -> Option<&mut Client> {
    Some(match event {
        Event::Published(info)
        | Event::Ready(info)
        | Event::Unpublished(info, _)
        | Event::Recorded(info, ..) => &mut info.publisher,
        Event::PlayEnded(request, _) => &mut request.client,
        Event::Disconnected(who, _) => who,
        Event::RelayUp(_) | Event::RelayFailed(..) | Event::RelayEnded(..) => return None,
    })
}

fn listed(items: &[impl ToString]) -> String {
    let items: Vec<_> = items.iter().map(ToString::to_string).collect();
    format!("[{}]", items.join(", "))
}

fn print(cases: &Cases, case: &Case, failures: &[Failure]) {
    if failures.is_empty() {
        say!("  ok      {}", case.name);
        return;
    }
    say!("  FAILED  {}", case.name);
    for failure in failures {
        let Failure {
            line,
            at,
            part,
            difference,
        } = failure;
        say!("    {}:{line}: {at}", cases.file.display());
        match difference.field.as_str() {
            "" => say!("      {part}"),
            field => say!("      {part}: {field}"),
        }
        say!("      - expected {}", difference.expected);
        say!("      + got      {}", difference.got);
    }
}

fn print_change(
    cases: &Cases,
    case: &Case,
    step: &Step,
    before: Option<&Fact>,
    after: Option<&Fact>,
) {
    let shown = |fact: Option<&Fact>| fact.map_or("no answer".to_owned(), Fact::to_string);
    say!("  CHANGED {}", case.name);
    say!("    {}:{}: {}", cases.file.display(), step.line, step.title);
    say!("      - fresh    {}", shown(before));
    say!("      + now      {}", shown(after));
}
