//! `registry`: snapshots of this application's live streams and connections.
//!
//! The registry looks nothing up that is longer than a name can be, and an
//! answer has at most 4 MiB of texts.

use crate::plugin::bindings::livehost::app::registry::Host;
use crate::plugin::bindings::livehost::app::types::{Client, StreamInfo};
use crate::plugin::instance::State;

/// More of them than this are never copied into a guest at once.
const MAX_FOUND: usize = 10_000;

impl Host for State {
    fn get(&mut self, name: String) -> Option<StreamInfo> {
        let found = self.app.services.registry.get(&self.app.name, &name);
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
}

fn bounded(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(MAX_FOUND).min(MAX_FOUND)
}
