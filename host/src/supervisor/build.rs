//! Configuration to parts: plugins, applications, limits.

use std::sync::Arc;
use std::time::Instant;

use tracing::info;

use crate::application::Application;
use crate::config::{self, Config};
use crate::control::Desk;
use crate::hub;
use crate::plugin::{Limits, Plugin, PluginSpec, Runtime, Services};
use crate::policy::Gate;
use crate::session::{self, Shared};

/// What the plugin runtime needs to know of an application.
pub(super) fn plugin_spec(name: &str, application: &config::Application) -> PluginSpec {
    let limits = &application.limits;
    PluginSpec {
        app: name.to_owned(),
        file: application.plugin.clone(),
        config: application.config.clone(),
        limits: Limits {
            max_instances: limits.instances,
            cpu: limits.cpu,
            wall: limits.decision,
            memory_bytes: usize::try_from(limits.memory).unwrap_or(usize::MAX),
            kv_bytes: usize::try_from(limits.kv).unwrap_or(usize::MAX),
            ..Limits::default()
        },
    }
}

/// Loads every application's plugin, in the order of their names.
pub(super) async fn load_plugins(
    config: &Config,
    runtime: &Arc<Runtime>,
    shared: &Shared,
) -> anyhow::Result<Vec<Arc<Plugin>>> {
    let desk = Desk::new(shared.hub.clone(), shared.directory.clone());
    let mut plugins = Vec::with_capacity(config.applications.len());
    for (name, application) in &config.applications {
        let services = Services {
            registry: shared.hub.clone(),
            control: desk.clone(),
        };
        let started = Instant::now();
        let plugin = Plugin::load(runtime, plugin_spec(name, application), services).await?;
        info!(
            app = name,
            file = %application.plugin.display(),
            took_ms = started.elapsed().as_millis() as u64,
            "plugin loaded"
        );
        plugins.push(plugin);
    }
    Ok(plugins)
}

/// The applications that sessions see; `plugins` in the same order.
pub(super) fn applications(config: &Config, plugins: &[Arc<Plugin>]) -> Vec<Arc<Application>> {
    config
        .applications
        .iter()
        .zip(plugins)
        .map(|((name, application), plugin)| {
            Arc::new(Application {
                name: name.as_str().into(),
                gate: Gate::new(plugin.clone(), application.on_error),
                media: media(&application.media, config.limits.chunk),
                publisher_timeout: application.media.publisher_timeout,
                wait_for_publisher: application.media.wait_for_publisher,
            })
        })
        .collect()
}

fn media(media: &config::Media, chunk_size: u32) -> hub::Settings {
    hub::Settings {
        keyframe_cache: media.keyframe_cache,
        join: match media.join {
            config::Join::Keyframe => hub::Join::Keyframe,
            config::Join::NextKeyframe => hub::Join::NextKeyframe,
        },
        queue_bytes: media.queue_bytes,
        queue_time: media.queue_time,
        slow_close: media.slow_close,
        chunk_size,
    }
}

pub(super) fn session_limits(config: &Config) -> session::Limits {
    let limits = &config.limits;
    session::Limits {
        handshake: limits.handshake,
        idle: limits.idle,
        streams: limits.streams_per_connection,
        message: limits.message,
        chunk: limits.chunk,
    }
}
