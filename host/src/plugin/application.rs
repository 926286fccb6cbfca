//! What belongs to an application and outlives its plugin's generations and
//! instances: state, timers, log, and the way to the media plane.

use std::sync::Arc;

use super::imports::kv::Kv;
use super::imports::log::Log;
use super::imports::timers::Timers;
use super::{Limits, PluginSpec, Services};

/// One application, as its plugin's imports see it.
pub(super) struct Application {
    pub(super) name: String,
    pub(super) services: Services,
    pub(super) log: Log,
    pub(super) kv: Kv,
    pub(super) timers: Timers,
}

impl Application {
    pub(super) fn new(spec: &PluginSpec, services: Services) -> Arc<Self> {
        let limits = &spec.limits;
        Arc::new(Self {
            name: spec.app.clone(),
            services,
            log: Log::new(spec.app.clone(), limits.log_lines_per_second),
            kv: Kv::new(limits.kv_bytes),
            timers: Timers::new(limits.timers),
        })
    }

    /// Other limits from now on. What is there already stays, even above them.
    pub(super) fn set_limits(&self, limits: &Limits) {
        self.log.set_limit(limits.log_lines_per_second);
        self.kv.set_quota(limits.kv_bytes);
        self.timers.set_limit(limits.timers);
    }
}
