//! What belongs to an application and outlives its plugin's generations and
//! instances: state, timers, log, and the way to the media plane.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::{Fault, PluginError};
use super::imports::kv::Kv;
use super::imports::log::Log;
use super::imports::timers::Timers;
use super::{Limits, PluginSpec, Services};

/// One application, as its plugin's imports see it.
pub(super) struct Application {
    pub(super) name: String,
    pub(super) file: PathBuf,
    pub(super) limits: Limits,
    pub(super) services: Services,
    pub(super) log: Arc<Log>,
    pub(super) kv: Kv,
    pub(super) timers: Timers,
}

impl Application {
    pub(super) fn new(spec: &PluginSpec, services: Services) -> Arc<Self> {
        let plugin = spec
            .file
            .file_stem()
            .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Arc::new(Self {
            name: spec.app.clone(),
            file: spec.file.clone(),
            limits: spec.limits.clone(),
            services,
            log: Arc::new(Log::new(
                spec.app.clone(),
                plugin,
                spec.limits.log_lines_per_second,
            )),
            kv: Kv::new(spec.limits.kv_bytes),
            timers: Timers::new(spec.limits.timers),
        })
    }

    /// `fault` with the names an operator needs.
    pub(super) fn fault(&self, fault: Fault) -> PluginError {
        PluginError {
            app: self.name.clone(),
            file: self.file.clone(),
            fault,
        }
    }
}
