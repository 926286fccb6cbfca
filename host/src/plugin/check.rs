//! Looks at a plugin without letting it serve.
//!
//! Flows in: a file and a configuration. Flows out: whether it would load, and
//! whether it lets anybody publish.

use std::sync::Arc;

use super::application::Application;
use super::bounds::usable;
use super::engine::Runtime;
use super::error::PluginError;
use super::generation::{Generation, NoLease, run};
use super::hooks;
use super::instance::{Budget, Instance};
use super::kv::Kv;
use super::{PluginSpec, Services, convert, reload};
use crate::policy::{
    Client, ConnectDecision, ConnectRequest, PolicyError, PublishDecision, StreamRequest,
};

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
}

/// Loads and configures; asks about one publisher.
pub(super) async fn check(runtime: &Arc<Runtime>, spec: PluginSpec) -> Result<Check, PluginError> {
    // A guest that is only looked at must not change what serves.
    let state = Kv::in_memory(spec.limits.kv_bytes);
    let app = Application::new(&spec, Services::detached(), state);
    let spec = Arc::new(spec);
    let generation = reload::prepare(runtime, &app, &spec, 0)
        .await
        .map_err(|fault| spec.fault(fault))?;
    let hash = generation.compiled.hash.short();
    let open_publish = accepts_anybody(&app.name, &generation, &hash)
        .await
        .unwrap_or(false);
    Ok(Check {
        open_publish,
        optional: generation.compiled.optional.names(),
        hash,
    })
}

/// Asks about a client without any credential: an address reserved for
/// documentation (RFC 5737), a name nobody would configure.
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
        extra: Vec::new(),
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
        extra: Vec::new(),
    };
    let decision = ask(generation, "on-publish", hooks::on_publish(publish));
    let decision = usable("on-publish", convert::publish_decision(decision.await?))?;
    Ok(matches!(decision, PublishDecision::Accept(_)))
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
