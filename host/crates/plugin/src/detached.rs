//! A media plane without streams, for plugins that are checked or measured.

use std::sync::Arc;

use livehost_policy::{
    Ambiguous, Awaited, Client, ControlError, MediaControl, Order, StreamInfo, StreamRegistry,
};

use super::Services;

impl Services {
    /// Nothing is live, and every command is for something unknown.
    #[must_use]
    pub fn detached() -> Self {
        let nothing = Arc::new(Nothing);
        Self {
            registry: Arc::clone(&nothing) as Arc<dyn StreamRegistry>,
            control: nothing,
        }
    }
}

/// A media plane without streams.
struct Nothing;

impl StreamRegistry for Nothing {
    fn resolve(&self, _: &str, path: &str) -> Result<String, Ambiguous> {
        Ok(path.to_owned())
    }

    fn get(&self, _: &str, _: &str) -> Option<StreamInfo> {
        None
    }

    fn find(&self, _: &str, _: &str, _: usize) -> Vec<StreamInfo> {
        Vec::new()
    }

    fn count(&self, _: &str, _: &str) -> usize {
        0
    }

    fn awaited(&self, _: &str, _: &str, _: usize) -> Vec<Awaited> {
        Vec::new()
    }

    fn clients(&self, _: &str, _: usize) -> Vec<Client> {
        Vec::new()
    }
}

impl MediaControl for Nothing {
    fn may_record(&self) -> bool {
        false
    }

    fn may_forward(&self, _: &str, _: &str) -> bool {
        false
    }

    fn check(&self, _: &str, _: &Order) -> Result<(), ControlError> {
        Err(ControlError::NotFound)
    }

    fn carry_out(&self, _: &str, _: Order) {}
}
