//! Looks at a plugin without letting it serve.
//!
//! Flows in: a file and a configuration. Flows out: whether it would start, and
//! whether it lets anybody publish. Its state is empty, no stream is live, no
//! timer fires, and its requests by HTTP go out only when that is asked for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use livehost_net::outbound::{AllowList, Target};
use livehost_policy::{
    Asks, Client, ConnectDecision, ConnectRequest, OnConnect, OnPlay, OnPublish, PlayDecision,
    PolicyError, PublishDecision, PublishGrant, StreamRequest,
};
use parking_lot::Mutex;

use super::application::AppContext;
use super::bindings::exports::livehost::app::lifecycle::StartReason;
use super::compile::{self, ContentHash};
use super::doubles::{
    Doubles, HttpDouble, HttpFailure, HttpRequest, HttpResponse, Level, LogDouble,
};
use super::engine::Runtime;
use super::error::{Fault, PluginError};
use super::generation::{Generation, NoLease, THROW_AWAY, run};
use super::hooks;
use super::instance::{CallBudget, one_line};
use super::kv::Kv;
use super::{PluginSpec, Services, StopReason, reload};

/// What marks, in `extra`, a question that no client asks.
const TRIAL: (&str, &str) = ("trial", "true");
/// A server that starts waits no longer for what it can do without.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// Where nobody waits: enough to compile a plugin that no cache has.
pub(super) const LONG_PATIENCE: Duration = Duration::from_secs(60);
/// The address of a publisher that nobody knows, reserved for documentation (RFC 5737).
pub(super) const STRANGER: &str = "192.0.2.1";
/// A name that nobody would configure.
pub(super) const NOBODYS_STREAM: &str = "open-publish-check";
/// Servers that are named in one check.
const MAX_ORIGINS: usize = 64;

/// What a check found out about a plugin that would serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The first 12 hexadecimal digits of its content's SHA-256.
    pub hash: String,
    /// It accepts a publisher that shows no credential at all. When asking it
    /// failed (a trap, a deadline) this is false.
    pub open_publish: bool,
    /// The optional interfaces that it exports.
    pub optional: Vec<&'static str>,
    /// Why it did not start, when that may be for want of HTTP.
    pub undecided: Option<String>,
    /// Where it would have sent requests.
    pub held_back: BTreeSet<String>,
    /// Servers that its configuration names, or that it asked, and where
    /// `http.allow` permits no request, or not these.
    pub not_allowed: BTreeSet<String>,
}

/// Loads, configures and starts; asks about one publisher. Requests by HTTP go
/// out when `online`.
pub(super) async fn check(
    runtime: &Arc<Runtime>,
    spec: PluginSpec,
    online: bool,
) -> Result<Check, PluginError> {
    let http = Arc::new(HeldBack::new(&spec));
    let doubles = Doubles {
        http: (!online).then(|| Arc::clone(&http) as Arc<dyn HttpDouble>),
        ..Doubles::default()
    };
    // A guest that is only looked at must not change what serves.
    let state = Kv::in_memory(spec.limits.kv_bytes);
    let app = AppContext::with_doubles(&spec, Services::detached(), state, doubles);
    let spec = Arc::new(spec);
    let mut check = Check {
        hash: String::new(),
        open_publish: false,
        optional: Vec::new(),
        undecided: None,
        held_back: BTreeSet::new(),
        not_allowed: BTreeSet::new(),
    };
    let tried = try_out(runtime, &app, &spec, &mut check).await;
    let origins = std::mem::take(&mut *http.origins.lock());
    if let Err(fault) = tried {
        if origins.held_back.is_empty() || matches!(fault, Fault::NotAvailable(_)) {
            return Err(spec.fault(fault));
        }
        check.undecided = Some(fault.to_string());
    }
    check.held_back = origins.held_back;
    check.not_allowed = origins.not_allowed;
    Ok(check)
}

async fn try_out(
    runtime: &Arc<Runtime>,
    app: &Arc<AppContext>,
    spec: &Arc<PluginSpec>,
    check: &mut Check,
) -> Result<(), Fault> {
    check.hash = ContentHash::of(&compile::read(&spec.file).await?).short();
    let generation = reload::prepare(runtime, app, spec, THROW_AWAY).await?;
    check.optional = generation.compiled.optional.names();
    generation.start(StartReason::Boot, None).await?;
    let open = accepts_anybody(&app.name, &generation, &check.hash).await;
    let granted = open.unwrap_or(None);
    check.open_publish = granted.is_some();
    generation.close();
    generation.retire(StopReason::Shutdown).await;
    match granted {
        Some(grant) if grant.record_to.is_some() => Err(Fault::NotAvailable("record-to")),
        _ => Ok(()),
    }
}

/// Answers no request, and remembers where it would have gone.
struct HeldBack {
    allow: AllowList,
    origins: Mutex<Origins>,
}

#[derive(Default)]
struct Origins {
    held_back: BTreeSet<String>,
    not_allowed: BTreeSet<String>,
}

impl HeldBack {
    fn new(spec: &PluginSpec) -> Self {
        let held_back = Self {
            allow: spec.http.allow.clone(),
            origins: Mutex::default(),
        };
        if let Ok(config) = serde_json::from_str(&spec.config) {
            held_back.look_at(&config);
        }
        held_back
    }

    /// Notes the URLs of a configuration that the plugin could not ask.
    fn look_at(&self, value: &serde_json::Value) {
        use serde_json::Value;
        match value {
            Value::String(text) => {
                self.allows(text);
            }
            Value::Array(values) => values.iter().for_each(|value| self.look_at(value)),
            Value::Object(map) => map.values().for_each(|value| self.look_at(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The server of `url` when it may be asked; notes one that may not.
    fn allows(&self, url: &str) -> Option<String> {
        let target = Target::parse(url).ok()?;
        let origin = target.origin().to_string();
        if self.allow.allows(&target) {
            return Some(origin);
        }
        let told = match self.allow.knows_origin(&target) {
            true => format!("{origin} with this path"),
            false => origin,
        };
        note(&mut self.origins.lock().not_allowed, told);
        None
    }
}

fn note(origins: &mut BTreeSet<String>, origin: String) {
    if origins.len() < MAX_ORIGINS {
        origins.insert(origin);
    }
}

impl HttpDouble for HeldBack {
    fn answer(&self, request: HttpRequest) -> Result<HttpResponse, HttpFailure> {
        let origin = self.allows(&request.url).ok_or(HttpFailure::Denied)?;
        note(&mut self.origins.lock().held_back, origin);
        Err(HttpFailure::Connect(
            "this is a trial, in which no request goes out; `host check --online` sends them"
                .into(),
        ))
    }
}

/// A client that is made up: it shows no credential at all.
struct Visitor<'a> {
    address: &'a str,
    stream: &'a str,
}

impl Visitor<'_> {
    fn client(&self) -> Client {
        Client {
            conn: 0,
            remote: format!("{}:49152", self.address),
            protocol: "rtmp".into(),
            tls_name: None,
            attrs: Vec::new(),
        }
    }

    /// The client as `on-connect` lets it in, or why it does not.
    async fn connects(
        &self,
        app: &str,
        generation: &Generation,
    ) -> Result<Result<Client, String>, PolicyError> {
        let mut client = self.client();
        let request = ConnectRequest {
            client: client.clone(),
            local: "0.0.0.0:1935".into(),
            app: app.to_owned(),
            instance: None,
            query: Vec::new(),
            tc_url: format!("rtmp://{}/{app}", self.address),
            flash_ver: String::new(),
            props: Vec::new(),
            extra: trial(),
        };
        Ok(match ask(generation, OnConnect::new(request)).await? {
            ConnectDecision::Accept(grant) => {
                client.attrs = grant.attrs;
                Ok(client)
            }
            ConnectDecision::Reject(rejection) => Err(rejection.description),
            ConnectDecision::Redirect(url) => Err(format!("go to {url}")),
        })
    }

    fn request(&self, app: &str, client: &Client) -> StreamRequest {
        StreamRequest {
            client: client.clone(),
            app: app.to_owned(),
            instance: None,
            raw_name: self.stream.to_owned(),
            name: self.stream.to_owned(),
            query: Vec::new(),
            mode: "live".into(),
            start_seconds: None,
            extra: trial(),
        }
    }

    async fn publishes(
        &self,
        app: &str,
        generation: &Generation,
        client: &Client,
    ) -> Result<Result<PublishGrant, String>, PolicyError> {
        let question = OnPublish::new(self.request(app, client));
        Ok(match ask(generation, question).await? {
            PublishDecision::Accept(grant) => Ok(grant),
            PublishDecision::Reject(rejection) => Err(rejection.description),
        })
    }

    async fn meets(&self, app: &str, generation: &Generation) -> Result<Welcome, PolicyError> {
        let client = match self.connects(app, generation).await? {
            Ok(client) => client,
            Err(text) => {
                return Ok(Welcome {
                    publish: Some(one_line(&text)),
                    play: Some(one_line(&text)),
                });
            }
        };
        let publishes = self.publishes(app, generation, &client).await?;
        let plays = self.plays(app, generation, &client).await?;
        Ok(Welcome {
            publish: publishes.err().map(|text| one_line(&text)),
            play: plays.err().map(|text| one_line(&text)),
        })
    }

    async fn plays(
        &self,
        app: &str,
        generation: &Generation,
        client: &Client,
    ) -> Result<Result<(), String>, PolicyError> {
        let question = OnPlay::new(StreamRequest {
            mode: "any".into(),
            ..self.request(app, client)
        });
        Ok(match ask(generation, question).await? {
            PlayDecision::Accept(_) => Ok(()),
            PlayDecision::Reject(rejection) => Err(rejection.description),
        })
    }
}

/// Asks about a publisher that nobody knows.
async fn accepts_anybody(
    app: &str,
    generation: &Generation,
    hash: &str,
) -> Result<Option<PublishGrant>, PolicyError> {
    let visitor = Visitor {
        address: STRANGER,
        stream: &format!("{NOBODYS_STREAM}-{hash}"),
    };
    let Ok(client) = visitor.connects(app, generation).await? else {
        return Ok(None);
    };
    Ok(visitor.publishes(app, generation, &client).await?.ok())
}

/// Why a policy refuses clients that show no credential; none: it does not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Welcome {
    /// What it says to publishers.
    pub publish: Option<String>,
    /// What it says to players.
    pub play: Option<String>,
}

/// Finds out what a client at `address` meets that publishes and plays `stream`;
/// nothing if the plugin can't say, or not without HTTP, or not in time.
pub(super) async fn welcome(
    runtime: &Arc<Runtime>,
    spec: PluginSpec,
    address: &str,
    stream: &str,
    patience: Duration,
) -> Option<Welcome> {
    let doubles = Doubles {
        http: Some(Arc::new(HeldBack::new(&spec))),
        log: Some(Arc::new(Unheard)),
        ..Doubles::default()
    };
    let state = Kv::in_memory(spec.limits.kv_bytes);
    let app = AppContext::with_doubles(&spec, Services::detached(), state, doubles);
    let visitor = Visitor { address, stream };
    let asked = async {
        let generation = reload::prepare(runtime, &app, &Arc::new(spec), THROW_AWAY)
            .await
            .ok()?;
        generation.start(StartReason::Boot, None).await.ok()?;
        let welcome = visitor.meets(&app.name, &generation).await.ok();
        generation.close();
        generation.retire(StopReason::Shutdown).await;
        welcome
    };
    tokio::time::timeout(patience, asked).await.ok()?
}
/// A trial's lines are nobody's.
struct Unheard;

impl LogDouble for Unheard {
    fn line(&self, _: Level, _: &str, _: &[(String, String)]) {}
}

fn trial() -> Vec<(String, String)> {
    let (key, value) = TRIAL;
    vec![(key.to_owned(), value.to_owned())]
}

async fn ask<Q: Asks>(generation: &Generation, question: Q) -> Result<Q::Answer, PolicyError> {
    let limits = &generation.spec.limits;
    let mut budget = CallBudget::new(limits.cpu, limits.wall);
    match generation.lease(Q::HOOK, &mut budget).await {
        Ok(lease) => {
            let call = hooks::question(question.into());
            run(lease, Q::HOOK, budget, call).await?.and_then(Q::read)
        }
        Err(NoLease::Failed { error, .. }) => Err(error),
        Err(NoLease::Closed) => Err(PolicyError::Unavailable("it is closed".into())),
    }
}
