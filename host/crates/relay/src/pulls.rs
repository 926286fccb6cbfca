//! The pulls of an application: at start, and on demand.
//!
//! A pull at start is repeated for ever. One on demand begins with a player
//! whose stream is absent and ends some time after the last one has left; when
//! it can't even begin, those who wait are told why.

use std::sync::{Arc, Weak};
use std::time::Duration;

use livehost_app::lineage::Lineage;
use livehost_app::relays::{NoPull, PendingPull};
use livehost_hub::{StreamKey, Wake};
use livehost_net::driver::Driver;
use livehost_policy::StreamId;
use livehost_telemetry::limited;
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::Instrument;

use super::app::{AppRelays, AppState, By, Handle, wait};
use super::backoff::Backoff;
use super::error::RelayError;
use super::peer::woken;
use super::plan::Plan;
use super::pull::{Pulling, Source};
use super::report::Report;
use super::url::RelayUrl;

/// How often players are counted.
const COUNT: Duration = Duration::from_millis(250);

/// A pull that runs.
#[derive(Debug)]
pub(super) struct PullHandle {
    handle: Handle,
    url: RelayUrl,
    on_demand: bool,
    /// Players that wait for it.
    waiting: Mutex<Vec<Weak<PendingPull>>>,
    /// What it last published: the name may be held for its return.
    published: Mutex<Option<StreamId>>,
}

impl PullHandle {
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(super) fn url(&self) -> &RelayUrl {
        &self.url
    }

    fn pending(&self, wake: &Wake) -> Arc<PendingPull> {
        let pending = PendingPull::new(wake.clone());
        let mut waiting = self.waiting.lock();
        waiting.retain(|other| other.strong_count() > 0);
        waiting.push(Arc::downgrade(&pending));
        pending
    }

    fn tell(&self, error: &RelayError) {
        let failure = error.pull_failure();
        for player in std::mem::take(&mut *self.waiting.lock()) {
            if let Some(player) = player.upgrade() {
                player.fail(failure.clone());
            }
        }
    }
}

impl AppRelays {
    /// A player waits for `key`: pulls it if it is absent and the grant
    /// (`granted`) or the configuration says from where. The player must be
    /// subscribed already.
    ///
    /// # Errors
    /// [`NoPull`] when it should be pulled and can't be.
    pub fn demand(
        self: &Arc<Self>,
        key: &StreamKey,
        granted: Option<&str>,
        lineage: &Lineage,
        wake: &Wake,
    ) -> Result<Option<Arc<PendingPull>>, NoPull> {
        let mut state = self.state.lock();
        let running = state.pulls.get(key);
        if let Some(pull) = running.filter(|pull| !pull.handle.stop.is_cancelled()) {
            return Ok(pull.on_demand.then(|| pull.pending(wake)));
        }
        if self.common.hub.is_live(key) {
            return Ok(None);
        }
        let (url, by) = match granted {
            Some(text) => (self.granted_origin(key, text)?, By::Player),
            None => match self.configured_origin(key) {
                Some(url) => (url, By::Config),
                None => return Ok(None),
            },
        };
        let pull = self.pull(&mut state, key, url, by, true, lineage)?;
        Ok(Some(pull.pending(wake)))
    }

    fn granted_origin(&self, key: &StreamKey, text: &str) -> Result<RelayUrl, NoPull> {
        let app = &**self.application.name();
        let url = RelayUrl::parse(text).map_err(|error| {
            limited!(ERROR, self.application.gate().admits_failure(), app, stream = key.path(), %error,
                "the plugin's URL to pull from can't be used");
            NoPull::Url
        })?;
        self.allowed(&url).map_err(|error| {
            limited!(ERROR, self.application.gate().admits_failure(), app, stream = key.path(), origin = %url, %error,
                "the plugin may not pull from there");
            NoPull::Url
        })?;
        Ok(url)
    }

    fn configured_origin(&self, key: &StreamKey) -> Option<RelayUrl> {
        let plan = self.plan.load();
        let mut pulls = plan.pulls.iter();
        let meant = pulls.find(|pull| pull.key(&key.app) == *key)?;
        Some(meant.from.clone())
    }

    /// Starts what the configuration pulls at start, and ends what it doesn't
    /// pull any more.
    pub(super) fn follow_pulls(self: &Arc<Self>, state: &mut AppState, plan: &Plan) {
        state.pulls.retain(|key, pull| {
            let by_config = pull.handle.wanted.lock().config;
            let stays = !by_config
                || plan.pulls.iter().any(|wanted| {
                    (wanted.key(&key.app), &wanted.from, wanted.on_demand)
                        == (key.clone(), &pull.url, pull.on_demand)
                });
            if !stays {
                pull.handle.stop.cancel();
            }
            stays
        });
        for wanted in plan.pulls.iter().filter(|pull| !pull.on_demand) {
            let key = wanted.key(self.application.name());
            let running = state.pulls.get(&key);
            if running.is_some_and(|pull| !pull.handle.stop.is_cancelled()) {
                continue;
            }
            // What is wrong is logged.
            let lineage = Lineage::default();
            let _ = self.pull(
                state,
                &key,
                wanted.from.clone(),
                By::Config,
                false,
                &lineage,
            );
        }
    }

    fn pull(
        self: &Arc<Self>,
        state: &mut AppState,
        key: &StreamKey,
        url: RelayUrl,
        by: By,
        on_demand: bool,
        lineage: &Lineage,
    ) -> Result<Arc<PullHandle>, NoPull> {
        let conn = self.common.conns.next();
        let report = Report::new(self.application.gate().clone(), key, "pull", &url, conn);
        let lineage = match self.common.identity.extend(lineage, key) {
            Ok(lineage) => lineage,
            Err(error) => {
                report.not_started(&error);
                return Err(error.into());
            }
        };
        if let Err(error) = self.has_room(state) {
            report.not_started(&error);
            return Err(NoPull::Room);
        }
        let pull = Arc::new(PullHandle {
            handle: self.handle(conn, by, lineage),
            url,
            on_demand,
            waiting: Mutex::default(),
            published: Mutex::default(),
        });
        state.pulls.insert(key.clone(), pull.clone());
        let (this, key, running) = (self.clone(), key.clone(), pull.clone());
        let span = report.span();
        self.tasks
            .spawn(async move { this.keep_pulling(&key, &running, report).await }.instrument(span));
        Ok(pull)
    }

    /// One pull with its attempts, until nobody wants it any more.
    async fn keep_pulling(
        self: Arc<Self>,
        key: &StreamKey,
        pull: &Arc<PullHandle>,
        mut report: Report,
    ) {
        let settings = self.plan.load().settings.clone();
        let mut backoff = Backoff::new(settings.retry, settings.retry_limit);
        loop {
            report.connecting();
            let reason = match self.pull_once(key, pull, &mut report).await {
                Ok(reason) => reason,
                // One that was lost is tried for as long as somebody waits for it.
                Err(error) if pull.on_demand && !report.was_up() => {
                    self.forget(key, pull);
                    pull.tell(&error);
                    report.failed(&error, None);
                    report.ended("it could not begin");
                    return;
                }
                Err(error) => {
                    wait(&error, &mut report, &mut backoff, &pull.handle).await;
                    if pull.handle.stop.is_cancelled() {
                        "stopped"
                    } else if pull.on_demand && self.is_unneeded(key, pull, || {}) {
                        "nobody plays it"
                    } else {
                        continue;
                    }
                }
            };
            self.forget(key, pull);
            report.ended(reason);
            return;
        }
    }

    /// One attempt. Ends well, with a reason, when the stream is not wanted
    /// any more.
    async fn pull_once(
        self: &Arc<Self>,
        key: &StreamKey,
        pull: &Arc<PullHandle>,
        report: &mut Report,
    ) -> Result<&'static str, RelayError> {
        let stop = &pull.handle.stop;
        let terms = self.terms(&pull.handle);
        let plan = self.plan.load_full();
        let started = |publication| {
            *pull.published.lock() = Some(publication);
            self.published(key, publication, &[], &Lineage::default());
        };
        let source = Source {
            hub: &self.common.hub,
            application: &self.application,
            key,
            url: &pull.url,
            terms: &terms,
            conn: pull.handle.conn,
            hold: plan.settings.hold,
            started: &started,
        };
        let mut cut = pull.handle.attempt();
        let mut pulling = tokio::select! {
            pulling = Pulling::open(source, report) => pulling?,
            Ok(reason) = &mut cut => return Err(RelayError::Disconnected(reason)),
            () = stop.cancelled() => return Ok("stopped"),
        };
        let (out, wake) = (pulling.peer.out.clone(), pulling.wake.clone());
        let mut driver = Driver::new(&*out, terms.stall);
        let mut look = interval_at(Instant::now() + COUNT, COUNT);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unneeded_since = None;
        loop {
            let error = tokio::select! {
                error = driver.run(&mut pulling, woken(&wake)) => error,
                Ok(reason) = &mut cut => RelayError::Disconnected(reason),
                () = stop.cancelled() => {
                    pulling.unpublish("stopped", false);
                    pulling.close().await;
                    return Ok("stopped");
                }
                _ = look.tick(), if pull.on_demand => {
                    if self.is_needed(&self.state.lock(), key) {
                        unneeded_since = None;
                        continue;
                    }
                    let since = *unneeded_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= plan.settings.linger
                        && self.is_unneeded(key, pull, || pulling.unpublish("unwatched", false))
                    {
                        pulling.close().await;
                        return Ok("nobody plays it");
                    }
                    continue;
                }
            };
            pulling.unpublish(error.word(), error.is_loss());
            return Err(error);
        }
    }

    /// Somebody plays the stream; pushes of it don't count.
    fn is_needed(&self, state: &AppState, key: &StreamKey) -> bool {
        let pushes = state.pushes.keys().filter(|(pushed, _)| pushed == key);
        self.common.hub.players(key) > pushes.count()
    }

    /// Forgets a pull that nobody needs; `then` is called before anybody could
    /// start another one.
    fn is_unneeded(&self, key: &StreamKey, pull: &Arc<PullHandle>, then: impl FnOnce()) -> bool {
        let mut state = self.state.lock();
        if self.is_needed(&state, key) {
            return false;
        }
        then();
        self.forget_in(&mut state, key, pull);
        true
    }

    fn forget(&self, key: &StreamKey, pull: &Arc<PullHandle>) {
        self.forget_in(&mut self.state.lock(), key, pull);
    }

    /// The name is held no longer, so that it can be pulled anew.
    fn forget_in(&self, state: &mut AppState, key: &StreamKey, pull: &Arc<PullHandle>) {
        if let Some(publication) = pull.published.lock().take() {
            self.common.hub.end_hold(key, publication);
        }
        forget(state, key, pull);
    }
}

/// One that was stopped may have a successor, which stays.
fn forget(state: &mut AppState, key: &StreamKey, pull: &Arc<PullHandle>) {
    if state
        .pulls
        .get(key)
        .is_some_and(|there| Arc::ptr_eq(there, pull))
    {
        state.pulls.remove(key);
    }
}
