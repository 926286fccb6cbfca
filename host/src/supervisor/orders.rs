//! The server on its operators' side: what it shows them, and what it does for them.

use std::sync::Arc;

use livehost_plugin::{Plugin, Reload};
use livehost_server_http::ControlSocket;
use livehost_server_http::operations::{AcceptorReport, OrderRefused, ReloadReport};
use livehost_telemetry::secrets::without_settings;
use tracing::{info, warn};

use super::operations::OperatorOrder;
use super::server::RunningServer;
use crate::control_socket;

impl RunningServer {
    /// Opens the control socket. A server without one serves its clients all the same.
    pub(super) fn control_socket(&self) {
        let Some(path) = control_socket::path(&self.config.api.socket) else {
            return;
        };
        match ControlSocket::bind(&path) {
            Ok(socket) => {
                info!(path = %socket.path().display(), "control socket");
                let connections = self.services.clone();
                self.services
                    .spawn(socket.run(self.site.clone(), connections));
            }
            Err(error) => {
                warn!(%error, "no control socket: `host status` will not find this server")
            }
        }
    }

    /// Tells operators what serves now.
    pub(super) fn show(&self) {
        let listening = self.acceptors.iter().zip(&self.config.acceptors);
        let acceptors = listening.map(|(listening, acceptor)| AcceptorReport {
            listen: listening.listener.address().to_string(),
            chain: acceptor.chain.to_string(),
            scheme: acceptor.chain.scheme().to_owned(),
        });
        let acceptors = acceptors.collect();
        self.operations.show(&self.config, &self.units, acceptors);
    }

    /// What an operator wants of the whole server; who gave the order may have left.
    pub(super) async fn carry_out(&mut self, order: OperatorOrder) {
        match order {
            OperatorOrder::ReloadConfiguration(done) => {
                let outcome = self.reload_config().await;
                if outcome.is_ok() {
                    self.held_back.clear();
                }
                let _ = done.send(outcome.map_err(OrderRefused::Wrong));
            }
            OperatorOrder::ReloadPlugin(app, done) => {
                let _ = done.send(self.reload_plugin(&app).await);
            }
            OperatorOrder::RollPluginBack(app, done) => {
                let _ = done.send(self.roll_plugin_back(&app).await);
            }
        }
    }

    fn plugin(&self, app: &str) -> Result<&Arc<Plugin>, OrderRefused> {
        let unit = self.units.get(app).map(|unit| &unit.plugin);
        unit.ok_or_else(|| OrderRefused::NoApplication(app.to_owned()))
    }

    async fn roll_plugin_back(&self, app: &str) -> Result<ReloadReport, OrderRefused> {
        let generation = self.plugin(app)?.roll_back().await;
        Ok(ReloadReport {
            outcome: "rolled-back".to_owned(),
            generation: generation.map_err(OrderRefused::Wrong)?,
        })
    }

    async fn reload_plugin(&self, app: &str) -> Result<ReloadReport, OrderRefused> {
        let plugin = self.plugin(app)?;
        if !self.is_settled(plugin) {
            let why = "a configuration that waits wants something else of this plugin";
            return Err(OrderRefused::Wrong(why.to_owned()));
        }
        let reload = plugin.reload().await.map_err(|refused| {
            self.point_at(&refused);
            OrderRefused::Wrong(without_settings(&self.config_of(app), &refused.to_string()))
        })?;
        let outcome = match reload {
            Reload::Unchanged => "unchanged",
            Reload::KnownBad => "known-bad",
            Reload::Swapped { .. } => "swapped",
        };
        Ok(ReloadReport {
            outcome: outcome.to_owned(),
            generation: plugin.describe().generation,
        })
    }

    /// The plugin's own settings.
    fn config_of(&self, app: &str) -> String {
        let application = self.config.applications.get(app);
        application.map_or_else(String::new, |application| application.config.clone())
    }
}
