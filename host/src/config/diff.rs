//! What differs between two configurations: what a reload has to do.
//!
//! Flows in: the configuration that serves, and the one that shall. Flows out:
//! the steps from one to the other, in plain data; nothing is done here.

use std::collections::BTreeMap;

use super::{AcceptorConfig, ApplicationConfig, Config};

/// The steps from one configuration to another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    /// Applications that differ, by name.
    pub applications: BTreeMap<String, ApplicationChange>,
    /// Acceptors of the new configuration that do not listen yet, by position.
    pub opened: Vec<usize>,
    /// Acceptors that go on, as positions in the old and the new.
    pub kept: Vec<(usize, usize)>,
    /// Acceptors of the old configuration that shall listen no more, by position.
    pub closed: Vec<usize>,
    /// The log's filter differs.
    pub log_level: bool,
    /// The interval of the log's counters differs.
    pub log_stats: bool,
    /// The log's form or where it goes differs, which only a restart can change.
    pub log_fixed: bool,
    /// What is recorded of decisions differs.
    pub decisions: bool,
    /// The state folder differs, which only a restart can change.
    pub state: bool,
    /// Limits of the server or of connections differ.
    pub limits: bool,
    /// Who may ask the API, or what the metrics have, differs.
    pub api: bool,
    /// The control socket's place differs, which only a restart can change.
    pub socket: bool,
    /// What an acceptor serves differs.
    pub doors: bool,
    /// Clients that name no application get another one.
    pub default_application: bool,
}

/// What happened to an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplicationChange {
    /// It is new.
    Added,
    /// It is gone: its streams go on, nobody else may connect.
    Removed,
    /// It stays; its plugin or its settings differ.
    Changed {
        /// File, configuration, limits or HTTP settings of the plugin.
        plugin: bool,
        /// Anything else.
        settings: bool,
    },
}

impl Diff {
    /// The steps from `old` to `new`.
    pub fn between(old: &Config, new: &Config) -> Self {
        let mut diff = Self {
            log_level: old.log.level != new.log.level,
            log_stats: old.log.stats != new.log.stats,
            log_fixed: !new.log.goes_on_as(&old.log),
            decisions: old.decisions != new.decisions,
            state: old.state != new.state,
            limits: old.limits != new.limits,
            api: (&old.api.access, &old.metrics) != (&new.api.access, &new.metrics),
            socket: old.api.socket != new.api.socket,
            default_application: old.default_application != new.default_application,
            ..Self::default()
        };
        for (name, application) in &new.applications {
            let change = match old.applications.get(name) {
                None => Some(ApplicationChange::Added),
                Some(before) => changed(before, application),
            };
            if let Some(change) = change {
                diff.applications.insert(name.clone(), change);
            }
        }
        for name in old.applications.keys() {
            if !new.applications.contains_key(name) {
                diff.applications
                    .insert(name.clone(), ApplicationChange::Removed);
            }
        }
        diff.pair_acceptors(&old.acceptors, &new.acceptors);
        diff
    }

    /// Acceptors are the same when what they listen on is; of those with the
    /// same address (port 0 may repeat), the first is the first.
    fn pair_acceptors(&mut self, old: &[AcceptorConfig], new: &[AcceptorConfig]) {
        let mut left: Vec<usize> = (0..old.len()).collect();
        for (at, acceptor) in new.iter().enumerate() {
            let same = left.iter().position(|before| {
                old.get(*before)
                    .is_some_and(|before| before.binding() == acceptor.binding())
            });
            match same.map(|same| left.remove(same)) {
                Some(before) => {
                    self.doors |= old.get(before) != Some(acceptor);
                    self.kept.push((before, at));
                }
                None => self.opened.push(at),
            }
        }
        self.closed = left;
    }

    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.applications.is_empty()
            && self.opened.is_empty()
            && self.closed.is_empty()
            && !self.log_level
            && !self.log_stats
            && !self.log_fixed
            && !self.decisions
            && !self.state
            && !self.limits
            && !self.api
            && !self.socket
            && !self.doors
            && !self.default_application
    }
}

fn changed(old: &ApplicationConfig, new: &ApplicationConfig) -> Option<ApplicationChange> {
    let plugin = (&old.plugin, &old.config, &old.limits, &old.http)
        != (&new.plugin, &new.config, &new.limits, &new.http);
    let settings = (
        old.on_error,
        &old.media,
        old.shared_objects,
        &old.aliases,
        &old.relays,
    ) != (
        new.on_error,
        &new.media,
        new.shared_objects,
        &new.aliases,
        &new.relays,
    );
    (plugin || settings).then_some(ApplicationChange::Changed { plugin, settings })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(applications: &str, acceptors: &str) -> Config {
        let text = format!("(applications: {{{applications}}}, acceptors: [{acceptors}])");
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        Config::parse(&base, &text).unwrap()
    }

    const LIVE: &str = r#""live": (plugin: "Cargo.toml")"#;
    const DOOR: &str = r#"(listen: "127.0.0.1:1935")"#;

    #[test]
    fn the_same_twice_is_nothing_to_do() {
        let one = config(LIVE, DOOR);
        let diff = Diff::between(&one, &one);
        assert!(diff.is_empty(), "{diff:?}");
        assert_eq!(diff.kept, [(0, 0)]);
    }

    #[test]
    fn applications_come_go_and_change() {
        let vod = r#", "vod": (plugin: "Cargo.toml")"#;
        let old = config(&format!("{LIVE}{vod}"), DOOR);
        let new = config(
            r#""live": (plugin: "Cargo.toml", config: {"a": 1}, on_error: Allow),
               "room": (plugin: "Cargo.toml")"#,
            DOOR,
        );
        let diff = Diff::between(&old, &new);
        let told: Vec<_> = diff
            .applications
            .iter()
            .map(|(n, c)| (n.as_str(), *c))
            .collect();
        let changed = ApplicationChange::Changed {
            plugin: true,
            settings: true,
        };
        assert_eq!(
            told,
            [
                ("live", changed),
                ("room", ApplicationChange::Added),
                ("vod", ApplicationChange::Removed)
            ]
        );
    }

    #[test]
    fn acceptors_are_paired_by_address() {
        let old = config(
            LIVE,
            r#"(listen: "127.0.0.1:1"), (listen: "127.0.0.1:2"), (listen: "127.0.0.1:0")"#,
        );
        let new = config(
            LIVE,
            r#"(listen: "127.0.0.1:0"), (listen: "127.0.0.1:3"), (listen: "127.0.0.1:2", applications: ["live"])"#,
        );
        let diff = Diff::between(&old, &new);
        assert_eq!(diff.kept, [(2, 0), (1, 2)]);
        assert_eq!(diff.opened, [1]);
        assert_eq!(diff.closed, [0]);
        assert!(diff.doors);
    }

    #[test]
    fn an_address_that_takes_another_family_too_is_another() {
        let old = config(LIVE, r#"(listen: "[::]:1")"#);
        let new = config(LIVE, r#"(listen: "[::]:1", dual_stack: true)"#);
        let diff = Diff::between(&old, &new);
        assert_eq!((diff.opened, diff.closed), (vec![0], vec![0]));
    }
}
