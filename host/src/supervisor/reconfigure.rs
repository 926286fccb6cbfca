//! Puts a changed configuration into force while streams run.
//!
//! Everything that can fail is done first, beside what serves: reading,
//! loading and checking plugins, binding addresses. A failure there changes
//! nothing and says why. Then the steps that can't fail follow.

use anyhow::Context;
use tracing::{error, info, warn};

use super::server::{Server, Unit};
use super::{build, files, refusal};
use crate::config::{Change, Config, Diff};
use crate::net::{Acceptor, Door};
use crate::plugin::{Plugin, StopReason};

/// What was prepared for a new configuration.
struct Prepared {
    units: Vec<(String, Unit)>,
    /// What each acceptor of the new configuration leads to.
    doors: Vec<Door>,
    /// In the order of the new configuration's `opened`.
    acceptors: Vec<Acceptor>,
}

impl Server {
    /// Reads the configuration again and goes from what serves to what it says.
    pub(super) async fn reload_config(&mut self) {
        let new = match Config::load(&self.file) {
            Ok(new) => new,
            Err(error) => {
                error!(file = %self.file.display(), error = error.brief(),
                    "configuration refused; the old one stays in force");
                return;
            }
        };
        let diff = Diff::between(&self.config, &new);
        if diff.is_empty() {
            info!("configuration unchanged");
            return;
        }
        match self.prepare(&new, &diff).await {
            Ok(prepared) => self.apply(new, &diff, prepared).await,
            Err(error) => error!(file = %self.file.display(), error = format!("{error:#}"),
                "configuration refused; the old one stays in force"),
        }
    }

    /// Everything that can fail.
    async fn prepare(&self, new: &Config, diff: &Diff) -> anyhow::Result<Prepared> {
        let doors = new.acceptors.iter().map(build::door);
        let doors = doors.collect::<anyhow::Result<Vec<_>>>()?;
        let mut acceptors = Vec::new();
        for at in &diff.opened {
            let acceptor = new.acceptors.get(*at).zip(doors.get(*at));
            let (acceptor, door) = acceptor.context("no such acceptor")?;
            acceptors.push(Acceptor::bind(build::binding(acceptor), door.clone())?);
        }
        let mut units = Vec::new();
        for (name, change) in &diff.applications {
            let Some(application) = new.applications.get(name) else {
                continue;
            };
            match change {
                Change::Added => {
                    let unit =
                        build::unit(&self.runtime, &self.shared, name, application, new).await;
                    let unit =
                        unit.map_err(|error| refusal::in_brief(&self.file, application, error))?;
                    units.push((name.clone(), unit));
                }
                Change::Changed { plugin: true, .. } => {
                    let spec = build::plugin_spec(name, application);
                    let checked = Plugin::check(&self.runtime, spec).await;
                    checked.map_err(|error| refusal::in_brief(&self.file, application, error))?;
                }
                Change::Changed { .. } | Change::Removed => {}
            }
        }
        if diff.log_level {
            self.log.set(&new.log)?;
        }
        Ok(Prepared {
            units,
            doors,
            acceptors,
        })
    }

    async fn apply(&mut self, new: Config, diff: &Diff, prepared: Prepared) {
        if diff.log_format {
            warn!("the log's format changes with the next start");
        }
        if diff.state {
            warn!("the state folder changes with the next start");
        }
        self.stats_interval.send_replace(new.log.stats);
        if diff.dual_stack {
            warn!("dual_stack changes with the next start");
        }
        self.shared.limits.store(build::session_limits(&new).into());
        self.admission.set_limits(build::admission_limits(&new));
        if diff.limits {
            files::raise_limit(new.limits.connections);
        }
        for (name, unit) in prepared.units {
            info!(app = name, "application added");
            if let Some(application) = new.applications.get(&name) {
                let plan = application.relays.clone();
                self.shared.relays.open(&unit.application, plan);
            }
            self.units.insert(name, unit);
        }
        for (name, change) in &diff.applications {
            match change {
                Change::Added => {}
                Change::Removed => self.remove(name),
                Change::Changed { plugin, .. } => self.change(name, *plugin, &new).await,
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
                if let Some(relays) = self.shared.relays.of(name) {
                    relays.follow(application.relays.clone());
                }
            }
        }
        self.publish_applications(&new);
        self.apply_acceptors(diff, prepared.doors, prepared.acceptors);
        self.config = new;
        self.watch();
        info!("configuration in force");
    }

    /// Its streams go on; nobody else may connect.
    fn remove(&mut self, name: &str) {
        let Some(unit) = self.units.remove(name) else {
            return;
        };
        info!(app = name, "application removed");
        let relays = self.shared.relays.remove(name);
        self.services.spawn(async move {
            // The plugin still hears of their ends.
            if let Some(relays) = relays {
                relays.close().await;
            }
            unit.plugin.shutdown(StopReason::Removed).await;
        });
    }

    async fn change(&mut self, name: &str, plugin: bool, new: &Config) {
        let (Some(unit), Some(application)) = (self.units.get(name), new.applications.get(name))
        else {
            return;
        };
        if plugin {
            // It was checked; what fails now (on-start) is logged there, and
            // the old generation serves on.
            let spec = build::plugin_spec(name, application);
            if unit.plugin.respec(spec).await.is_err() {
                return;
            }
        }
        info!(app = name, "application changed");
    }

    fn apply_acceptors(&mut self, diff: &Diff, doors: Vec<Door>, opened: Vec<Acceptor>) {
        let mut old: Vec<_> = std::mem::take(&mut self.acceptors)
            .into_iter()
            .map(Some)
            .collect();
        let mut opened = diff
            .opened
            .iter()
            .zip(opened)
            .collect::<Vec<_>>()
            .into_iter();
        for (at, door) in doors.into_iter().enumerate() {
            let kept = diff
                .kept
                .iter()
                .find(|(_, now)| *now == at)
                .and_then(|(before, _)| old.get_mut(*before)?.take());
            let listening = match kept {
                Some(listening) => {
                    listening.door.store(door.into());
                    Some(listening)
                }
                None => opened.next().map(|(_, bound)| self.listen(bound)),
            };
            self.acceptors.extend(listening);
        }
        for (closed, acceptor) in old.iter().zip(&self.config.acceptors) {
            if let Some(closed) = closed {
                info!(addr = %acceptor.listen, "listening no more");
                closed.stop.cancel();
            }
        }
    }
}
