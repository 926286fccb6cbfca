//! Puts a changed configuration into force while streams run.
//!
//! Everything that can fail is done first, beside what serves, and what costs
//! least to undo comes first: certificates are read, addresses bound, plugins
//! loaded and configured; then plugins start, and new addresses listen. A failure
//! there, or a signal in between, leaves nothing behind and says why: a candidate
//! holds its plugin's reloads up until it is committed, and gets its `on-stop` when
//! it is dropped instead. Then the steps that can't fail follow.
//!
//! A configuration that was refused is kept as the one that is wanted: its files
//! are watched, and a change of one tries it again. What changed together with it
//! waits as well: a new plugin may fit its new settings alone. What a version
//! orders before it serves is carried out once it does, or never.

use std::mem::take;

use anyhow::Context;
use futures_util::future::join_all;
use livehost_net::{BindError, Binding, Bound, Listener};
use livehost_plugin::{Candidate, PluginError, Reload, StopReason};
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::build::{self, AcceptorSetup};
use super::server::{RunningServer, Unit};
use super::{files, refusal};
use crate::config::{ApplicationChange, Config, ConfigError, Diff};

/// What was prepared for a new configuration. Dropped instead of applied, it
/// ends what it has begun.
struct Prepared {
    added: Vec<(String, Unit)>,
    changed: Vec<(String, Candidate)>,
    /// What each acceptor of the new configuration leads to.
    setups: Vec<AcceptorSetup>,
    /// In the order of the new configuration's `opened`.
    listeners: Vec<Listener>,
    services: TaskTracker,
}

impl Drop for Prepared {
    fn drop(&mut self) {
        for (name, unit) in self.added.drain(..) {
            info!(app = name, "application not added after all");
            self.services
                .spawn(async move { unit.plugin.shutdown(StopReason::Removed).await });
        }
    }
}

impl RunningServer {
    /// Reads the configuration again and goes from what serves to what it says.
    ///
    /// # Errors
    /// What is wrong with it, in brief: it has been logged in full.
    pub(super) async fn reload_config(&mut self) -> Result<(), String> {
        let new = match self.read_config() {
            Ok(new) => new,
            Err(error) => {
                error!(file = %self.file.display(), error = error.brief(),
                    "configuration refused; the old one stays in force");
                for line in error.lines() {
                    error!("{line}");
                }
                return Err(error.brief().to_string());
            }
        };
        let diff = Diff::between(&self.config, &new);
        if diff.is_empty() {
            info!("configuration unchanged");
            self.wanted = None;
            self.watch();
            return Ok(());
        }
        // Before its files are read: what becomes of them later is a change.
        self.wanted = Some(new.clone());
        self.watch();
        match self.prepare(&new, &diff).await {
            Ok(prepared) => {
                self.apply(new, &diff, prepared);
                Ok(())
            }
            Err(error) => {
                error!(file = %self.file.display(), error = format!("{error:#}"),
                    "configuration refused; the old one stays in force");
                for line in refusal::lines(&error) {
                    error!("{line}");
                }
                Err(format!("{error:#}"))
            }
        }
    }

    fn read_config(&mut self) -> Result<Config, ConfigError> {
        Config::load(&self.file).or_else(|_| {
            // A file that it names may be on its way. It may have come before it
            // was watched, too.
            self.wanted = Config::load_without_files(&self.file).ok();
            self.watch();
            Config::load(&self.file)
        })
    }

    /// Everything that can fail.
    async fn prepare(&self, new: &Config, diff: &Diff) -> anyhow::Result<Prepared> {
        let setups = new.acceptors.iter().map(build::setup);
        let mut prepared = Prepared {
            added: Vec::new(),
            changed: Vec::new(),
            setups: setups.collect::<anyhow::Result<_>>()?,
            listeners: Vec::new(),
            services: self.services.clone(),
        };
        let bound = self.bind(new, diff)?;
        let said = |error: PluginError| match new.applications.get(&error.app) {
            Some(application) => refusal::in_brief(&self.file, application, error),
            None => error.into(),
        };
        let mut unstarted = Vec::new();
        for (name, change) in &diff.applications {
            let Some(application) = new.applications.get(name) else {
                continue;
            };
            match change {
                ApplicationChange::Added => {
                    let load = build::load(&self.runtime, &self.shared, name, application);
                    let loaded = load.await.map_err(said)?;
                    unstarted.push((name, application, loaded));
                }
                ApplicationChange::Changed { plugin: true, .. } => {
                    let unit = self.units.get(name).context("no such application")?;
                    let spec = build::plugin_spec(name, application);
                    let candidate = unit.plugin.prepare(spec).await;
                    let candidate = candidate.map_err(said)?;
                    prepared.changed.push((name.clone(), candidate));
                }
                ApplicationChange::Changed { .. } | ApplicationChange::Removed => {}
            }
        }
        // All of them are good so far: from here on plugins act.
        for (name, application, unstarted) in unstarted {
            let start = unstarted.start(application, new, &self.decisions);
            let unit = start.await.map_err(said)?;
            prepared.added.push((name.clone(), unit));
        }
        // Side by side: what an old version hands over must not grow old.
        let starts = (prepared.changed.iter_mut()).map(|(_, candidate)| candidate.start());
        for started in join_all(starts).await {
            started.map_err(said)?;
        }
        // Late, since the kernel takes clients in from here on.
        let listeners = bound.into_iter().map(Bound::listen);
        prepared.listeners = listeners.collect::<Result<_, _>>()?;
        if diff.log_level {
            self.log.follow(&new.log)?;
        }
        Ok(prepared)
    }

    /// Takes the addresses that are new; those of acceptors that end may overlap.
    fn bind(&self, new: &Config, diff: &Diff) -> Result<Vec<Bound>, BindError> {
        let closed = diff.closed.iter().filter_map(|at| self.acceptors.get(*at));
        let closed: Vec<Listener> = closed.map(|acceptor| acceptor.listener.clone()).collect();
        let opened = diff.opened.iter().filter_map(|at| new.acceptors.get(*at));
        opened
            .map(|acceptor| Bound::new(acceptor.binding(), &closed))
            .collect()
    }

    fn apply(&mut self, new: Config, diff: &Diff, mut prepared: Prepared) {
        if diff.log_fixed {
            warn!("the log's form, and where it goes, change with the next start");
        }
        if diff.state {
            warn!("the state folder changes with the next start");
        }
        if diff.socket {
            warn!("the control socket changes with the next start");
        }
        build::set_site(&self.site, &new);
        self.stats_interval.send_replace(new.log.stats);
        if diff.decisions {
            self.decisions.set(new.decisions.clone(), &new.base);
        }
        self.shared.limits.store(build::session_limits(&new).into());
        self.admission.set_limits(build::admission_limits(&new));
        if diff.limits {
            files::raise_limit(new.limits.connections);
        }
        for (name, unit) in take(&mut prepared.added) {
            info!(app = name, "application added");
            if let Some(application) = new.applications.get(&name) {
                let plan = application.relays.clone();
                self.relays.open(&unit.application, plan);
            }
            self.units.insert(name, unit);
        }
        for (name, candidate) in take(&mut prepared.changed) {
            if candidate.commit() == Reload::KnownBad {
                error!(
                    app = name,
                    "this version of the plugin failed with these settings and was rolled back; \
                     the one before decides until one of them changes"
                );
            }
        }
        for (name, change) in &diff.applications {
            match change {
                ApplicationChange::Added => {}
                ApplicationChange::Removed => self.remove(name),
                ApplicationChange::Changed { .. } => info!(app = name, "application changed"),
            }
        }
        // Also of unchanged applications: the chunk size is a server's limit.
        for (name, application) in &new.applications {
            if let Some(unit) = self.units.get(name) {
                unit.application
                    .set_settings(build::settings(application, &new));
                unit.application.gate().set_on_error(application.on_error);
                let objects = unit.application.objects();
                objects.set_settings(application.shared_objects);
                if let Some(relays) = self.relays.of(name) {
                    relays.follow(application.relays.clone());
                }
            }
        }
        self.publish_applications(&new);
        let (setups, listeners) = (take(&mut prepared.setups), take(&mut prepared.listeners));
        self.apply_acceptors(diff, setups, listeners);
        self.config = new;
        self.wanted = None;
        self.watch();
        self.show();
        self.warn_of_open_publish();
        info!("configuration in force");
    }

    /// Its streams go on; nobody else may connect.
    fn remove(&mut self, name: &str) {
        let Some(unit) = self.units.remove(name) else {
            return;
        };
        info!(app = name, "application removed");
        let relays = self.relays.remove(name);
        self.services.spawn(async move {
            // The plugin still hears of their ends.
            if let Some(relays) = relays {
                relays.close().await;
            }
            unit.plugin.shutdown(StopReason::Removed).await;
        });
    }

    fn apply_acceptors(&mut self, diff: &Diff, setups: Vec<AcceptorSetup>, opened: Vec<Listener>) {
        let mut old: Vec<_> = std::mem::take(&mut self.acceptors)
            .into_iter()
            .map(Some)
            .collect();
        let taken: Vec<Binding> = opened.iter().map(Listener::binding).collect();
        let mut opened = opened.into_iter();
        for (at, setup) in setups.into_iter().enumerate() {
            let kept = diff
                .kept
                .iter()
                .find(|(_, now)| *now == at)
                .and_then(|(before, _)| old.get_mut(*before)?.take());
            let listening = match kept {
                Some(mut listening) => {
                    listening.lead_to(setup, &self.shared, &self.site);
                    Some(listening)
                }
                None => opened.next().map(|listener| self.listen(listener, setup)),
            };
            self.acceptors.extend(listening);
        }
        for closed in old.into_iter().flatten() {
            let binding = closed.listener.binding();
            info!(addr = %binding.address, "listening no more");
            match taken.iter().any(|taken| taken.overlaps(binding)) {
                true => closed.stop.replaced.cancel(),
                false => closed.stop.now.cancel(),
            }
        }
    }
}
