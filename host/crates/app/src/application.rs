//! An application as sessions see it: its name, its decisions, its settings.
//!
//! The supervisor builds them from the configuration. When that changes, what
//! an application holds is replaced inside it, so that clients which are
//! connected get the new settings with their next publish or play.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use livehost_policy::Gate;

use crate::shared_objects::Objects;

/// A named unit of the configuration that clients connect to.
#[derive(Debug)]
pub struct Application {
    name: Arc<str>,
    gate: Gate,
    settings: ArcSwap<ApplicationSettings>,
    objects: Arc<Objects>,
}

/// How an application's streams are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApplicationSettings {
    /// How its streams are cached and queued.
    pub media: livehost_hub::MediaSettings,
    /// RTMP chunk size that its streams are sent in, bytes.
    pub chunk_size: u32,
    /// Bytes of one message of a server that a stream is pulled from.
    pub message: usize,
    /// A publisher that is silent for so long is lost.
    pub publisher_timeout: Duration,
    /// How long a player waits for a publisher.
    pub wait_for_publisher: Duration,
}

impl Application {
    /// An application that clients may connect to once it is among the
    /// [`Applications`].
    pub fn new(
        name: &str,
        gate: Gate,
        settings: ApplicationSettings,
        objects: Arc<Objects>,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            gate,
            settings: ArcSwap::from_pointee(settings),
            objects,
        })
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its plugin's decisions.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Its clients' shared objects.
    pub fn objects(&self) -> &Arc<Objects> {
        &self.objects
    }

    /// The settings for what starts now.
    pub fn settings(&self) -> ApplicationSettings {
        **self.settings.load()
    }

    /// Replaces the settings; what runs keeps those it started with.
    pub fn set_settings(&self, settings: ApplicationSettings) {
        self.settings.store(Arc::new(settings));
    }
}

/// The applications that serve now; replaced as a whole when they change.
#[derive(Debug, Default)]
pub struct Applications {
    current: ArcSwap<Index>,
}

#[derive(Debug, Default)]
struct Index {
    /// By name and by alias.
    named: BTreeMap<Arc<str>, Arc<Application>>,
    default: Option<Arc<Application>>,
}

impl Applications {
    /// The application of this name or alias.
    pub fn find(&self, name: &str) -> Option<Arc<Application>> {
        self.current.load().named.get(name).cloned()
    }

    /// The application of clients that name none.
    pub fn default_one(&self) -> Option<Arc<Application>> {
        self.current.load().default.clone()
    }

    /// Puts another set in place: each application with its aliases, and the
    /// name of the default one. Sessions keep the application they are in.
    pub fn replace<'a>(
        &self,
        applications: impl IntoIterator<Item = (Arc<Application>, &'a [String])>,
        default: Option<&str>,
    ) {
        let mut named = BTreeMap::new();
        for (application, aliases) in applications {
            for alias in aliases {
                named.insert(alias.as_str().into(), application.clone());
            }
            named.insert(application.name.clone(), application);
        }
        let default = default.and_then(|name| named.get(name).cloned());
        self.current.store(Arc::new(Index { named, default }));
    }
}
