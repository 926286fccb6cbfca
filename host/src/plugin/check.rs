//! Looks at a plugin without letting it serve.
//!
//! Flows in: a file and a configuration. Flows out: whether it would start, and
//! whether it lets anybody publish. Its state is empty, no stream is live, no
//! timer fires, and its requests by HTTP go out only when that is asked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

use super::application::Application;
use super::bindings::exports::livehost::app::lifecycle::StartReason;
use super::bounds::usable;
use super::compile::{self, ContentHash};
use super::doubles::{Doubles, HttpDouble, HttpFailure, HttpRequest, HttpResponse};
use super::engine::Runtime;
use super::error::{Fault, PluginError};
use super::generation::{Generation, NoLease, run};
use super::hooks;
use super::instance::{Budget, Instance};
use super::kv::Kv;
use super::{PluginSpec, Services, StopReason, convert, reload};
use crate::outbound::{AllowList, Target};
use crate::policy::{
    Client, ConnectDecision, ConnectRequest, PolicyError, PublishDecision, StreamRequest,
};

/// What marks, in `extra`, a question that no client asks.
const TRIAL: (&str, &str) = ("trial", "true");
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
    let app = Application::with_doubles(&spec, Services::detached(), state, doubles);
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
    let seen = std::mem::take(&mut *http.seen.lock());
    if let Err(fault) = tried {
        if seen.held_back.is_empty() {
            return Err(spec.fault(fault));
        }
        check.undecided = Some(fault.to_string());
    }
    check.held_back = seen.held_back;
    check.not_allowed = seen.not_allowed;
    Ok(check)
}

async fn try_out(
    runtime: &Arc<Runtime>,
    app: &Arc<Application>,
    spec: &Arc<PluginSpec>,
    check: &mut Check,
) -> Result<(), Fault> {
    check.hash = ContentHash::of(&compile::read(&spec.file).await?).short();
    let generation = reload::prepare(runtime, app, spec, 0).await?;
    check.optional = generation.compiled.optional.names();
    generation.start(StartReason::Boot, None).await?;
    let open = accepts_anybody(&app.name, &generation, &check.hash).await;
    check.open_publish = open.unwrap_or(false);
    generation.close();
    generation.retire(StopReason::Shutdown).await;
    Ok(())
}

/// Answers no request, and remembers where it would have gone.
struct HeldBack {
    allow: AllowList,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    held_back: BTreeSet<String>,
    not_allowed: BTreeSet<String>,
}

impl HeldBack {
    fn new(spec: &PluginSpec) -> Self {
        let held_back = Self {
            allow: spec.http.allow.clone(),
            seen: Mutex::default(),
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
        note(&mut self.seen.lock().not_allowed, told);
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
        note(&mut self.seen.lock().held_back, origin);
        Err(HttpFailure::Connect(
            "this is a trial, in which no request goes out; `host check --online` sends them"
                .into(),
        ))
    }
}

/// Asks about a client without any credential: an address reserved for
/// documentation (RFC 5737), a name nobody would configure, and the mark of a trial.
async fn accepts_anybody(
    app: &str,
    generation: &Generation,
    hash: &str,
) -> Result<bool, PolicyError> {
    let mut client = Client {
        conn: 0,
        remote: "192.0.2.1:49152".into(),
        protocol: "rtmp".into(),
        tls_name: None,
        attrs: Vec::new(),
    };
    let connect = ConnectRequest {
        client: client.clone(),
        local: "0.0.0.0:1935".into(),
        app: app.to_owned(),
        instance: None,
        query: Vec::new(),
        tc_url: format!("rtmp://192.0.2.1/{app}"),
        flash_ver: String::new(),
        props: Vec::new(),
        extra: trial(),
    };
    let decision = ask(generation, "on-connect", hooks::on_connect(connect));
    match usable("on-connect", convert::connect_decision(decision.await?))? {
        ConnectDecision::Accept(grant) => client.attrs = grant.attrs,
        ConnectDecision::Reject(_) | ConnectDecision::Redirect(_) => return Ok(false),
    }
    let name = format!("open-publish-check-{hash}");
    let publish = StreamRequest {
        client,
        app: app.to_owned(),
        instance: None,
        raw_name: name.clone(),
        name,
        query: Vec::new(),
        mode: "live".into(),
        start_seconds: None,
        extra: trial(),
    };
    let decision = ask(generation, "on-publish", hooks::on_publish(publish));
    let decision = usable("on-publish", convert::publish_decision(decision.await?))?;
    Ok(matches!(decision, PublishDecision::Accept(_)))
}

fn trial() -> Vec<(String, String)> {
    let (key, value) = TRIAL;
    vec![(key.to_owned(), value.to_owned())]
}

async fn ask<R: Send>(
    generation: &Generation,
    hook: &'static str,
    call: impl for<'a> FnOnce(&'a mut Instance) -> super::instance::Call<'a, R> + Send,
) -> Result<R, PolicyError> {
    let limits = &generation.spec.limits;
    let mut budget = Budget::new(limits.cpu, limits.wall);
    match generation.lease(hook, &mut budget).await {
        Ok(lease) => run(lease, hook, budget, call).await,
        Err(NoLease::Failed { error, .. }) => Err(error),
        Err(NoLease::Closed) => Err(PolicyError::Unavailable("it is closed".into())),
    }
}
