//! The relays of one application: which there are, and why.
//!
//! A push exists for each publication and target that the configuration, a grant or
//! an order names, from the publish to its end; a name that is held keeps it. Who
//! publishes next goes on with those pushes that are its own, too.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use livehost_app::application::Application;
use livehost_app::lineage::Lineage;
use livehost_app::relays::{Direction, RelayInfo};
use livehost_hub::StreamKey;
use livehost_net::outbound::Reachable;
use livehost_policy::{ConnId, ControlError, StreamId, StreamRef};
use livehost_telemetry::limited;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, warn};

use super::Common;
use super::backoff::{self, Backoff};
use super::error::RelayError;
use super::peer::PeerTerms;
use super::plan::{Plan, RelaySettings};
use super::pulls::PullHandle;
use super::push::{Over, push};
use super::report::Report;
use super::url::RelayUrl;

/// For the relays of an application to end, beyond which they are cut off.
const END: Duration = Duration::from_secs(5);

/// The relays of one application.
#[derive(Debug)]
pub struct AppRelays {
    pub(super) common: Arc<Common>,
    pub(super) application: Arc<Application>,
    pub(super) plan: ArcSwap<Plan>,
    pub(super) state: Mutex<AppState>,
    pub(super) tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
pub(super) struct AppState {
    pub(super) pushes: HashMap<(StreamKey, RelayUrl), Arc<Handle>>,
    pub(super) pulls: HashMap<StreamKey, Arc<PullHandle>>,
}

impl AppState {
    fn len(&self) -> usize {
        self.pushes.len().saturating_add(self.pulls.len())
    }
}

/// Why no relay can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoRelay {
    #[error("the application already has {0} relays (relay.max)")]
    TooMany(usize),
    #[error("the application has ended")]
    Ended,
}

/// Who wants a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The configuration: it may go anywhere.
    Config,
    /// The plugin, for this publication: it goes where the configuration allows.
    Publication(StreamId),
    /// The plugin, for a player: it comes from where the configuration allows.
    Player,
}

/// A relay that runs.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) conn: ConnId,
    pub(super) wanted: Mutex<WantedBy>,
    pub(super) stop: CancellationToken,
    /// Something has changed: try again now.
    again: Notify,
    /// Ends the attempt that runs.
    cut: Mutex<Option<oneshot::Sender<String>>>,
}

impl Handle {
    /// Resolves, once in this attempt, when someone orders its end.
    pub(super) fn attempt(&self) -> oneshot::Receiver<String> {
        let (sender, cut) = oneshot::channel();
        *self.cut.lock() = Some(sender);
        cut
    }

    fn is_attempting(&self) -> bool {
        self.cut.lock().as_ref().is_some_and(|cut| !cut.is_closed())
    }

    /// Ends the attempt. False when there is none.
    pub(super) fn cut(&self, reason: &str) -> bool {
        let cut = self.cut.lock().take();
        cut.is_some_and(|cut| cut.send(reason.to_owned()).is_ok())
    }
}

#[derive(Debug, Default)]
pub(super) struct WantedBy {
    pub(super) config: bool,
    /// The publication that the plugin wants pushed.
    publication: Option<StreamId>,
    lineage: Lineage,
}

impl WantedBy {
    /// Whether anybody wants a push.
    fn is_any(&self) -> bool {
        self.config || self.publication.is_some()
    }

    fn add(&mut self, by: By) {
        match by {
            By::Config => self.config = true,
            By::Publication(id) => self.publication = Some(id),
            By::Player => {}
        }
    }
}

impl AppRelays {
    pub(super) fn new(common: Arc<Common>, application: Arc<Application>) -> Arc<Self> {
        let stop = common.stop.child_token();
        Arc::new(Self {
            common,
            application,
            plan: ArcSwap::default(),
            state: Mutex::default(),
            tasks: TaskTracker::new(),
            stop,
        })
    }

    /// Does what `plan` says from now on, for streams that run, too.
    pub fn follow(self: &Arc<Self>, plan: Plan) {
        self.plan.store(Arc::new(plan));
        let plan = self.plan.load();
        let mut state = self.state.lock();
        state.pushes.retain(|(key, url), handle| {
            let mut wanted = handle.wanted.lock();
            wanted.config = plan
                .forwards
                .iter()
                .any(|forward| forward.target(key).as_ref() == Some(url));
            let stays = wanted.is_any();
            if !stays {
                handle.stop.cancel();
            }
            stays
        });
        self.follow_pulls(&mut state, &plan);
        for key in self.common.hub.live(self.application.name()) {
            self.push_configured(&mut state, &key);
        }
    }

    /// The publication `id` begins: it is pushed to where the configuration and its
    /// grant (`forward_to`) say. Pushes are a publication's: those of the one before
    /// it end, unless this one wants them, too; what the plugin has ordered for it
    /// by now goes on. One that was replaced meanwhile changes nothing.
    pub(super) fn published(
        self: &Arc<Self>,
        key: &StreamKey,
        id: StreamId,
        forward_to: &[String],
        lineage: &Lineage,
    ) {
        // Under the lock: who publishes next, or another plan, comes after this.
        let mut state = self.state.lock();
        if !(self.common.hub).is_active(&key.app, &StreamRef::Id(id)) {
            return;
        }
        let plan = self.plan.load();
        let configured = plan
            .forwards
            .iter()
            .filter_map(|forward| forward.target(key));
        let configured: Vec<_> = configured.collect();
        // What is wrong is logged; the publish goes on.
        let granted = forward_to
            .iter()
            .filter_map(|url| self.granted(key, url).ok());
        let granted: Vec<_> = granted.collect();
        state.pushes.retain(|(pushed, url), handle| {
            if pushed != key {
                return true;
            }
            let mut wanted = handle.wanted.lock();
            wanted.config = configured.contains(url);
            if granted.contains(url) {
                wanted.publication = Some(id);
            }
            wanted.publication.take_if(|of| *of != id);
            let stays = wanted.is_any();
            if !stays {
                handle.stop.cancel();
            }
            stays
        });
        for (by, urls) in [(By::Config, configured), (By::Publication(id), granted)] {
            for url in urls {
                let _ = self.push(&mut state, key, url, by, Some(lineage));
            }
        }
    }

    /// Whether [`AppRelays::start_forward`] would start one, as things are now.
    ///
    /// # Errors
    /// Those of it.
    pub fn may_start_forward(&self, stream: &StreamRef, url: &str) -> Result<(), ControlError> {
        let (key, _) = self.live(stream)?;
        let id = (key.clone(), self.granted(&key, url)?);
        let state = self.state.lock();
        if !state.pushes.contains_key(&id)
            && let Err(error) = self.has_room(&state)
        {
            drop(state);
            self.report(&key, &id.1).not_started(&error);
            return Err(ControlError::Busy);
        }
        Ok(())
    }

    fn report(&self, key: &StreamKey, url: &RelayUrl) -> Report {
        let conn = self.common.conns.next();
        Report::new(self.application.gate().clone(), key, "push", url, conn)
    }

    /// Pushes a live stream of the application to `url`.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] when nobody publishes it, `Denied` for a URL
    /// that the configuration doesn't allow, `Busy` with too many relays.
    pub fn start_forward(
        self: &Arc<Self>,
        stream: &StreamRef,
        url: &str,
    ) -> Result<(), ControlError> {
        // Under the lock: whoever publishes next ends what it finds here.
        let mut state = self.state.lock();
        let (key, id) = self.live(stream)?;
        let url = self.granted(&key, url)?;
        self.push(&mut state, &key, url, By::Publication(id), None)
    }

    fn live(&self, stream: &StreamRef) -> Result<(StreamKey, StreamId), ControlError> {
        let app = self.application.name();
        let live = self.common.hub.live_publication(app, stream);
        live.ok_or(ControlError::NotFound)
    }

    /// Whether a push of the stream to `url` is there.
    pub fn forwards(&self, stream: &StreamRef, url: &str) -> bool {
        let (Some(key), Ok(url)) = (self.pushed_key(stream), RelayUrl::parse(url)) else {
            return false;
        };
        self.state.lock().pushes.contains_key(&(key, url))
    }

    /// The stream of a push, which may be over for those who play it.
    fn pushed_key(&self, stream: &StreamRef) -> Option<StreamKey> {
        let app = self.application.name();
        match stream {
            StreamRef::Path(path) => Some(StreamKey::called(app, path)),
            StreamRef::Id(_) => Some(self.live(stream).ok()?.0),
        }
    }

    /// Ends the push of a stream to `url`.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] when there is none.
    pub fn stop_forward(&self, stream: &StreamRef, url: &str) -> Result<(), ControlError> {
        let url = RelayUrl::parse(url).map_err(|_| ControlError::NotFound)?;
        let meant_key = self.pushed_key(stream).ok_or(ControlError::NotFound)?;
        let mut state = self.state.lock();
        let mut found = false;
        state.pushes.retain(|(key, to), handle| {
            let meant = *to == url && *key == meant_key;
            if meant {
                found = true;
                handle.stop.cancel();
            }
            !meant
        });
        if found {
            Ok(())
        } else {
            Err(ControlError::NotFound)
        }
    }

    /// Its relays now.
    pub fn list(&self) -> Vec<RelayInfo> {
        let state = self.state.lock();
        let info = |stream: &StreamKey, direction, url: &RelayUrl, handle: &Handle| RelayInfo {
            conn: handle.conn,
            stream: stream.clone(),
            direction,
            server: url.to_string(),
            is_attempting: handle.is_attempting(),
        };
        let pushes = state.pushes.iter();
        let pushes = pushes.map(|((key, url), push)| info(key, Direction::Push, url, push));
        let pulls = state.pulls.iter();
        let pulls = pulls.map(|(key, pull)| info(key, Direction::Pull, pull.url(), pull.handle()));
        pushes.chain(pulls).collect()
    }

    /// Whether it has a relay of this number.
    pub fn has(&self, conn: ConnId) -> bool {
        let state = self.state.lock();
        let pushes = state.pushes.values().map(|push| &**push);
        let pulls = state.pulls.values().map(|pull| pull.handle());
        let mut all = pushes.chain(pulls);
        all.any(|handle| handle.conn == conn && handle.is_attempting())
    }

    /// Ends the connection of a relay, which makes another one as after any
    /// loss. False when there is none.
    pub fn disconnect(&self, conn: ConnId, reason: &str) -> bool {
        let state = self.state.lock();
        let pushes = state.pushes.values().map(|push| &**push);
        let pulls = state.pulls.values().map(|pull| pull.handle());
        let mut all = pushes.chain(pulls);
        all.any(|handle| handle.conn == conn && handle.cut(reason))
    }

    /// Ends all of them and waits for their ends, which takes a few seconds
    /// at most.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(END, self.tasks.wait()).await.is_err() {
            warn!(
                app = &**self.application.name(),
                relays = self.tasks.len(),
                "relays did not end in time"
            );
        }
    }

    fn push_configured(self: &Arc<Self>, state: &mut AppState, key: &StreamKey) {
        for forward in &self.plan.load().forwards {
            if let Some(url) = forward.target(key) {
                // What is wrong is logged.
                let _ = self.push(state, key, url, By::Config, None);
            }
        }
    }

    /// The URL that a plugin wants `key` to be pushed to, if it may.
    fn granted(&self, key: &StreamKey, url: &str) -> Result<RelayUrl, ControlError> {
        let app = &**self.application.name();
        let url = RelayUrl::parse(url).map_err(|error| {
            limited!(ERROR, self.application.gate().admits_failure(), app, stream = key.path(), %error,
                "the plugin's URL to push to can't be used");
            ControlError::Denied
        })?;
        self.allowed(&url)
            .inspect_err(|error| {
                limited!(ERROR, self.application.gate().admits_failure(), app, stream = key.path(), target = %url, %error,
                "the plugin may not push there");
            })
            .map_err(|_| ControlError::Denied)?;
        Ok(url)
    }

    /// Whether a plugin may push to `url`.
    pub fn may_forward(&self, url: &str) -> bool {
        RelayUrl::parse(url).is_ok_and(|url| self.allowed(&url).is_ok())
    }

    pub(super) fn allowed(&self, url: &RelayUrl) -> Result<(), super::NotAllowed> {
        self.plan.load().settings.allow.check(url)
    }

    /// Starts a push, or says to one that runs that it is wanted. Without a
    /// `lineage` it is not known where the stream has come from: a loop that
    /// begins so is bounded by the duplicate rule alone.
    fn push(
        self: &Arc<Self>,
        state: &mut AppState,
        key: &StreamKey,
        url: RelayUrl,
        by: By,
        lineage: Option<&Lineage>,
    ) -> Result<(), ControlError> {
        let before = lineage.cloned().unwrap_or_default();
        let known = lineage.is_some();
        let lineage = self.common.identity.extend(&before, key);
        let id = (key.clone(), url);
        let running = state.pushes.get(&id);
        if let (Some(handle), Ok(lineage)) = (
            running.filter(|handle| !handle.stop.is_cancelled()),
            &lineage,
        ) {
            let mut wanted = handle.wanted.lock();
            wanted.add(by);
            if known {
                wanted.lineage = lineage.clone();
            }
            handle.again.notify_one();
            return Ok(());
        }
        let conn = self.common.conns.next();
        let report = Report::new(self.application.gate().clone(), key, "push", &id.1, conn);
        let lineage = match lineage {
            Ok(lineage) => lineage,
            Err(error) => {
                report.not_started(&error);
                return Err(ControlError::Denied);
            }
        };
        if let Err(error) = self.has_room(state) {
            report.not_started(&error);
            return Err(ControlError::Busy);
        }
        let handle = Arc::new(self.handle(conn, by, lineage));
        state.pushes.insert(id.clone(), handle.clone());
        let (key, url) = id;
        let (this, span) = (self.clone(), report.span());
        self.tasks.spawn(
            async move { this.keep_pushing(key, url, &handle, report).await }.instrument(span),
        );
        Ok(())
    }

    /// One push with its attempts, until the stream's end.
    async fn keep_pushing(
        self: Arc<Self>,
        key: StreamKey,
        url: RelayUrl,
        handle: &Arc<Handle>,
        mut report: Report,
    ) {
        let settings = self.plan.load().settings.clone();
        let mut backoff = Backoff::new(settings.retry, settings.retry_limit);
        loop {
            let media = self.application.settings().media;
            let terms = self.terms(handle);
            let hub = &self.common.hub;
            let mut cut = handle.attempt();
            let outcome = tokio::select! {
                outcome = push(hub, &key, &url, &terms, media, &handle.stop, &mut report) => outcome,
                Ok(reason) = &mut cut => Err(RelayError::Disconnected(reason)),
            };
            drop(cut);
            match outcome {
                Ok(over) if self.retire(&key, &url, handle) => {
                    let reason = match over {
                        Over::Unpublished => "unpublished",
                        Over::Stopped => "stopped",
                    };
                    report.ended(reason);
                    return;
                }
                // It was published again meanwhile.
                Ok(_) => {}
                Err(error) => wait(&error, &mut report, &mut backoff, handle).await,
            }
        }
    }

    /// Whether another relay may start.
    pub(super) fn has_room(&self, state: &AppState) -> Result<(), NoRelay> {
        let max = self.plan.load().settings.max;
        if self.stop.is_cancelled() {
            Err(NoRelay::Ended)
        } else if state.len() >= max {
            Err(NoRelay::TooMany(max))
        } else {
            Ok(())
        }
    }

    pub(super) fn handle(&self, conn: ConnId, by: By, lineage: Lineage) -> Handle {
        let mut wanted = WantedBy {
            lineage,
            ..WantedBy::default()
        };
        wanted.add(by);
        Handle {
            conn,
            wanted: Mutex::new(wanted),
            stop: self.stop.child_token(),
            again: Notify::new(),
            cut: Mutex::default(),
        }
    }

    pub(super) fn terms(&self, handle: &Handle) -> PeerTerms {
        let application = self.application.settings();
        let plan = self.plan.load();
        let settings = &plan.settings;
        let wanted = handle.wanted.lock();
        PeerTerms {
            connector: self.common.network.connector(
                self.application.name(),
                reachable(settings, wanted.config),
                settings.connect,
            ),
            tls: self.common.network.tls().clone(),
            answer: settings.answer,
            stall: settings.stall,
            chunk_size: application.chunk_size,
            message: application.message,
            lineage: wanted.lineage.clone(),
            allow: (!wanted.config).then(|| settings.allow.clone()),
            private: settings.private,
        }
    }

    /// Forgets a push whose stream is not published, or that was stopped.
    /// False when it is to go on: who publishes now found it still there.
    fn retire(&self, key: &StreamKey, url: &RelayUrl, handle: &Arc<Handle>) -> bool {
        let mut state = self.state.lock();
        if !handle.stop.is_cancelled() && self.common.hub.is_live(key) {
            return false;
        }
        let id = (key.clone(), url.clone());
        // One that was stopped may have a successor.
        if state
            .pushes
            .get(&id)
            .is_some_and(|there| Arc::ptr_eq(there, handle))
        {
            state.pushes.remove(&id);
        }
        true
    }
}

/// Names that an operator wrote may lead anywhere.
fn reachable(settings: &RelaySettings, config: bool) -> Reachable {
    match (config, settings.private) {
        (true, _) => Reachable::Anywhere,
        (false, true) => Reachable::Private,
        (false, false) => Reachable::Global,
    }
}

/// Says what went wrong and waits for the time of the next attempt.
pub(super) async fn wait(
    error: &RelayError,
    report: &mut Report,
    backoff: &mut Backoff,
    handle: &Handle,
) {
    backoff.held(report.up_for().unwrap_or_default());
    let pause = backoff.pause(backoff::random());
    report.failed(error, Some(pause));
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = handle.again.notified() => {}
        () = handle.stop.cancelled() => {}
    }
}
