//! Compiled guests in the real runtime, on a media plane that records.
//!
//! The guests come from `make plugins`; `LIVEHOST_GUESTS` names another folder.

mod broken;
mod candidate;
mod check;
mod compat;
mod contain;
mod decide;
mod escape;
mod failures;
mod http;
mod known_values;
mod limits;
mod logs;
mod reload;
mod state;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use livehost_policy::{
    Ambiguous, Awaited, CallError, CallRequest, Challenge, Client, ConnectDecision, ConnectRequest,
    ControlError, OnAuthenticate, OnCall, OnConnect, OnPlay, OnPublish, Order, PlayDecision,
    PolicyError, PublishDecision, SessionEnd, StreamInfo, StreamRequest, ask, names,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::*;

/// For what must happen, however busy the machine is.
const SOON: Duration = Duration::from_secs(20);

/// One runtime for all tests, as in a server; names are what [`Names`] says.
fn runtime() -> &'static Arc<Runtime> {
    static RUNTIME: OnceLock<Arc<Runtime>> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let network = outbound::Network::with_resolver(Arc::new(Names));
        let network = network.expect("TLS is set up");
        Runtime::with_network(&Storage::Memory, Compiler::Here, network)
            .expect("the runtime starts")
    })
}

/// A resolver: `ADDRESS.and.ADDRESS.test`, with dashes for the dots and colons
/// of an address, has these addresses.
#[derive(Debug)]
struct Names;

#[async_trait]
impl outbound::Resolve for Names {
    async fn resolve(&self, _: &str, name: &str) -> std::io::Result<Vec<std::net::IpAddr>> {
        let addresses = name.strip_suffix(".test").unwrap_or_default();
        let parse = |text: &str| {
            let address = text.replace('-', ".").parse();
            address.or_else(|_| text.replace('-', ":").parse())
        };
        let addresses: Result<Vec<_>, _> = addresses.split(".and.").map(parse).collect();
        addresses.map_err(std::io::Error::other)
    }
}

/// Keeps what `plugin` runs compiled: most tests use the same version.
fn keep(plugin: &Plugin) {
    static KEPT: Mutex<Vec<Arc<compile::Compiled>>> = Mutex::new(Vec::new());
    let compiled = Arc::clone(&plugin.core.serving.load().compiled);
    let mut kept = KEPT.lock();
    if !kept.iter().any(|other| other.hash == compiled.hash) {
        kept.push(compiled);
    }
}

/// A compiled guest's bytes: `allow-all`, `static-keys`, `test/probe`.
fn guest(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("LIVEHOST_GUESTS").map_or_else(
        || {
            PathBuf::from(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../../target/plugins"
            ))
        },
        PathBuf::from,
    );
    let file = folder.join(format!("{name}.wasm"));
    std::fs::read(&file).unwrap_or_else(|error| {
        panic!(
            "{}: {error}: build the guests with `make plugins`, or run `make test`",
            file.display()
        )
    })
}

/// `bytes` with every `from` replaced by `to`, which has the same length.
fn patched(mut bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "a patch keeps every offset");
    let mut found = 0;
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            found += 1;
        }
    }
    assert!(found > 0, "{from:?} is not in the guest");
    bytes
}

/// The probe guest as its version `number`.
fn probe(number: u32) -> Vec<u8> {
    const MARKER: &str = "LIVEHOST-PROBE-VERSION=";
    patched(
        guest("test/probe"),
        &format!("{MARKER}000000"),
        &format!("{MARKER}{number:06}"),
    )
}

fn mode(mode: &str) -> String {
    format!(r#"{{"mode": "{mode}"}}"#)
}

/// A plugin that serves, its file, and what it told the media plane.
struct Fixture {
    folder: tempfile::TempDir,
    media: Arc<Recorder>,
    plugin: Arc<Plugin>,
}

impl Fixture {
    /// The probe guest in `mode`.
    async fn probe(mode: &str) -> Self {
        Self::probe_within(mode, PluginLimits::default()).await
    }

    async fn probe_within(mode: &str, limits: PluginLimits) -> Self {
        Self::try_load(&probe(0), &self::mode(mode), limits)
            .await
            .expect("the probe loads")
    }

    /// The probe guest that may send requests.
    async fn with_http(http: outbound::HttpSettings, limits: PluginLimits) -> Self {
        Self::load(&probe(0), &mode("accept"), limits, http)
            .await
            .expect("the probe loads")
    }

    async fn try_load(
        bytes: &[u8],
        config: &str,
        limits: PluginLimits,
    ) -> Result<Self, PluginError> {
        Self::load(bytes, config, limits, outbound::HttpSettings::default()).await
    }

    async fn load(
        bytes: &[u8],
        config: &str,
        limits: PluginLimits,
        http: outbound::HttpSettings,
    ) -> Result<Self, PluginError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("probe.wasm");
        std::fs::write(&file, bytes).unwrap();
        let media = Arc::new(Recorder::default());
        let spec = PluginSpec {
            app: "live".into(),
            file,
            config: config.into(),
            limits,
            http,
        };
        let plugin = Plugin::load(runtime(), spec, media.services()).await?;
        keep(&plugin);
        Ok(Self {
            folder,
            media,
            plugin,
        })
    }

    /// Replaces the file as deployers do.
    fn replace(&self, bytes: &[u8]) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, bytes).unwrap();
        std::fs::rename(new, self.plugin.file()).unwrap();
    }

    /// What it was loaded with.
    fn spec(&self) -> PluginSpec {
        (*self.plugin.core.wanted.load_full()).clone()
    }

    /// Another configuration, everything else as it is.
    async fn reconfigure(&self, config: String) -> Result<Reload, PluginError> {
        let spec = self.spec();
        self.plugin.respec(PluginSpec { config, ..spec }).await
    }

    async fn connect(&self, query: &[(&str, &str)]) -> Result<ConnectDecision, PolicyError> {
        ask(&*self.plugin, OnConnect::new(connect(query))).await
    }

    /// Asks for a client of each address so often, in `mode`.
    async fn connect_from_all(&self, mode: &str, times: usize) -> Vec<PolicyError> {
        let mut errors = Vec::new();
        for n in 0..times {
            let mut request = connect(&[("mode", mode)]);
            request.client.remote = format!("198.51.100.{}:50000", n % 200);
            errors.extend(ask(&*self.plugin, OnConnect::new(request)).await.err());
        }
        errors
    }

    /// The version that answers a connect.
    async fn version(&self) -> String {
        match self.connect(&[("mode", "tell-version")]).await {
            Ok(ConnectDecision::Reject(rejection)) => rejection.description,
            other => panic!("{other:?}"),
        }
    }

    /// One of the probe's commands, in words.
    async fn call(&self, method: &str, args: &str) -> Result<String, NoResult> {
        let question = OnCall::new(CallRequest {
            client: client(),
            method: method.into(),
            amf0: Bytes::copy_from_slice(args.as_bytes()),
        });
        let answer = ask(&*self.plugin, question).await??;
        Ok(String::from_utf8(answer.to_vec()).unwrap())
    }
}

/// Why a call has no result.
#[derive(Debug, PartialEq, thiserror::Error)]
enum NoResult {
    #[error(transparent)]
    Said(#[from] CallError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

fn client() -> Client {
    Client {
        conn: 7,
        remote: "203.0.113.7:51234".into(),
        protocol: "rtmp".into(),
        tls_name: None,
        attrs: Vec::new(),
    }
}

fn pairs(query: &[(&str, &str)]) -> Vec<(String, String)> {
    query
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn connect(query: &[(&str, &str)]) -> ConnectRequest {
    ConnectRequest {
        client: client(),
        local: "0.0.0.0:1935".into(),
        app: "live".into(),
        instance: None,
        query: pairs(query),
        tc_url: "rtmp://127.0.0.1/live".into(),
        flash_ver: "FMLE/3.0 (compatible; FMSc/1.0)".into(),
        props: vec![("capsEx".into(), livehost_policy::Scalar::Number(15.0))],
        extra: Vec::new(),
    }
}

fn stream(name: &str, query: &[(&str, &str)]) -> StreamRequest {
    StreamRequest {
        client: client(),
        app: "live".into(),
        instance: None,
        name: name.into(),
        raw_name: name.into(),
        query: pairs(query),
        mode: "live".into(),
        start_seconds: None,
        extra: Vec::new(),
    }
}

fn info(id: u64, name: &str) -> StreamInfo {
    StreamInfo {
        id,
        app: "live".into(),
        instance: None,
        name: name.into(),
        publisher: client(),
        video: Some("avc1".into()),
        audio: None,
        started_unix_ms: 1,
        bytes_in: 2,
        idle_ms: 0,
        kbps: 0,
        players: 3,
        extra: Vec::new(),
    }
}

/// A media plane with two streams that writes down what it is told.
#[derive(Default)]
struct Recorder {
    told: Mutex<Vec<String>>,
    more: Notify,
}

impl Recorder {
    fn services(self: &Arc<Self>) -> Services {
        Services {
            registry: Arc::clone(self) as Arc<dyn StreamRegistry>,
            control: Arc::clone(self) as Arc<dyn MediaControl>,
        }
    }

    fn tell(&self, line: String) {
        self.told.lock().push(line);
        self.more.notify_one();
    }

    /// What was told so far.
    fn told(&self) -> Vec<String> {
        self.told.lock().clone()
    }

    /// Waits until `count` lines that start with `prefix` were told.
    async fn wait_for(&self, prefix: &str, count: usize) -> Vec<String> {
        let waiting = async {
            loop {
                let mut lines = self.told();
                lines.retain(|line| line.starts_with(prefix));
                if lines.len() >= count {
                    return lines;
                }
                self.more.notified().await;
            }
        };
        tokio::time::timeout(SOON, waiting)
            .await
            .unwrap_or_else(|_| panic!("{count} lines {prefix:?} expected: {:?}", self.told()))
    }
}

/// The text of an AMF0 string; of what is none, the bytes: a guest of long ago
/// sends such.
fn text(amf0: &[u8]) -> String {
    let text = match amf0 {
        [2, _, _, text @ ..] => text,
        other => other,
    };
    String::from_utf8_lossy(text).into_owned()
}

impl StreamRegistry for Recorder {
    fn resolve(&self, _: &str, path: &str) -> Result<String, Ambiguous> {
        names::meant(
            path,
            ["cam1", "cam2"]
                .map(String::from)
                .into_iter()
                .filter(|live| live == path),
        )
    }

    fn get(&self, app: &str, name: &str) -> Option<StreamInfo> {
        let mut found = self.find(app, name, 1);
        found.retain(|info| info.name == name);
        found.pop()
    }

    fn find(&self, app: &str, prefix: &str, limit: usize) -> Vec<StreamInfo> {
        assert_eq!(app, "live", "a plugin asks for its own application only");
        let streams = [info(1, "cam1"), info(2, "cam2")];
        let mut found = streams.to_vec();
        found.retain(|info| info.name.starts_with(prefix));
        found.truncate(limit);
        found
    }

    fn count(&self, app: &str, prefix: &str) -> usize {
        self.find(app, prefix, usize::MAX).len()
    }

    fn awaited(&self, _: &str, _: &str, _: usize) -> Vec<Awaited> {
        Vec::new()
    }

    fn clients(&self, app: &str, limit: usize) -> Vec<Client> {
        assert_eq!(app, "live", "a plugin asks for its own application only");
        std::iter::once(client()).take(limit).collect()
    }
}

impl MediaControl for Recorder {
    fn may_record(&self) -> bool {
        false
    }

    fn may_forward(&self, _: &str, url: &str) -> bool {
        !url.contains("192.0.2.1/")
    }

    fn check(&self, app: &str, order: &Order) -> Result<(), ControlError> {
        match order {
            Order::SendData { handler, amf0, .. } => {
                if handler == "ordered" {
                    self.tell(format!("asks for {}", text(amf0)));
                }
                Ok(())
            }
            Order::Disconnect { conn: 7, .. } => Ok(()),
            Order::Disconnect { .. } => Err(ControlError::NotFound),
            Order::StopStream { .. } => Err(ControlError::Busy),
            Order::StartForward { url, .. } => {
                self.tell(format!("forward {url}"));
                match self.may_forward(app, url) {
                    true => Ok(()),
                    false => Err(ControlError::Denied),
                }
            }
            _ => Err(ControlError::Denied),
        }
    }

    fn carry_out(&self, app: &str, order: Order) {
        match order {
            Order::Disconnect { conn, reason } => {
                self.tell(format!("disconnect {app} {conn} {reason}"));
            }
            Order::SendData { amf0, .. } => {
                self.tell(text(&amf0));
            }
            _ => {}
        }
    }
}
