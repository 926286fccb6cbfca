//! `registry`: snapshots of this application's live streams and connections.
//!
//! The registry looks nothing up that is longer than a name can be, and an
//! answer has at most 4 MiB of texts. A name that several streams have is none of
//! them, and a line in the log.

use livehost_policy::names;

use crate::bindings::livehost::app::registry::{Awaited, Host};
use crate::bindings::livehost::app::types::{Client, StreamInfo};
use crate::instance::HostState;

/// More of them than this are never copied into a guest at once.
const MAX_FOUND: usize = 10_000;

impl HostState {
    /// The path of the stream that the guest calls `path`, if it is one's.
    pub(super) fn resolve(&self, path: &str) -> Option<String> {
        let registry = &self.app.services.registry;
        let resolved = registry.resolve(&self.app.name, path);
        resolved
            .inspect_err(|ambiguous| self.warn(&ambiguous.to_string()))
            .ok()
    }
}

impl Host for HostState {
    fn get(&mut self, name: String) -> Option<StreamInfo> {
        let path = self.resolve(&name)?;
        let found = self.app.services.registry.get(&self.app.name, &path);
        found.map(Into::into)
    }

    fn find(&mut self, prefix: String, limit: u32) -> Vec<StreamInfo> {
        let registry = &self.app.services.registry;
        let found = registry.find(&self.app.name, &prefix, bounded(limit));
        found.into_iter().map(Into::into).collect()
    }

    fn count(&mut self, prefix: String) -> u32 {
        let count = self.app.services.registry.count(&self.app.name, &prefix);
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn clients(&mut self, limit: u32) -> Vec<Client> {
        let registry = &self.app.services.registry;
        let found = registry.clients(&self.app.name, bounded(limit));
        found.into_iter().map(Into::into).collect()
    }

    fn awaited_streams(&mut self, prefix: String, limit: u32) -> Vec<Awaited> {
        let registry = &self.app.services.registry;
        let found = registry.awaited(&self.app.name, &prefix, bounded(limit));
        found.into_iter().map(Into::into).collect()
    }
}

impl From<livehost_policy::Awaited> for Awaited {
    fn from(awaited: livehost_policy::Awaited) -> Self {
        Self {
            path: names::path(awaited.instance.as_deref(), &awaited.name),
            instance: awaited.instance,
            name: awaited.name,
            players: awaited.players,
            held: awaited.held,
        }
    }
}

pub(super) fn bounded(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(MAX_FOUND).min(MAX_FOUND)
}
