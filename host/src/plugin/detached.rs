//! A media plane without streams, for plugins that are checked or measured.

use std::sync::Arc;

use super::Services;
use crate::policy::{
    Client, ConnId, ControlError, MediaControl, Recording, StreamInfo, StreamRegistry,
};

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
    fn get(&self, _: &str, _: &str) -> Option<StreamInfo> {
        None
    }

    fn find(&self, _: &str, _: &str, _: usize) -> Vec<StreamInfo> {
        Vec::new()
    }

    fn count(&self, _: &str, _: &str) -> usize {
        0
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

    fn disconnect(&self, _: &str, _: ConnId, _: &str) -> Result<(), ControlError> {
        Err(ControlError::NotFound)
    }

    fn stop_stream(&self, _: &str, _: &str, _: &str) -> Result<(), ControlError> {
        Err(ControlError::NotFound)
    }

    fn start_record(&self, _: &str, _: &str, _: Recording) -> Result<(), ControlError> {
        Err(ControlError::NotFound)
    }

    fn stop_record(&self, _: &str, _: &str) -> Result<(), ControlError> {
        Err(ControlError::NotFound)
    }

    fn start_forward(&self, _: &str, _: &str, _: &str) -> Result<(), ControlError> {
        Err(ControlError::NotFound)
    }

    fn stop_forward(&self, _: &str, _: &str, _: &str) -> Result<(), ControlError> {
        Err(ControlError::NotFound)
    }

    fn send_data(&self, _: &str, _: &str, _: &str, _: &[u8]) -> Result<(), ControlError> {
        Err(ControlError::NotFound)
    }
}
