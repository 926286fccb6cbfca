//! An application as sessions see it: its name, its decisions, its media
//! settings. The supervisor builds them from the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::hub;
use crate::policy::Gate;

/// A named unit of the configuration that clients connect to.
#[derive(Debug)]
pub struct Application {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Its plugin's decisions.
    pub gate: Gate,
    /// How its streams are cached and queued.
    pub media: hub::Settings,
    /// A publisher that is silent for so long is lost.
    pub publisher_timeout: Duration,
    /// How long a player waits for a publisher.
    pub wait_for_publisher: Duration,
}

/// The applications that serve now; replaced as a whole when they change.
#[derive(Debug, Default)]
pub struct Applications {
    current: ArcSwap<BTreeMap<Arc<str>, Arc<Application>>>,
}

impl Applications {
    /// The application of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Application>> {
        self.current.load().get(name).cloned()
    }

    /// Puts another set in place. Sessions keep the application they are in.
    pub fn replace(&self, applications: impl IntoIterator<Item = Arc<Application>>) {
        let by_name = applications
            .into_iter()
            .map(|application| (application.name.clone(), application))
            .collect();
        self.current.store(Arc::new(by_name));
    }
}
