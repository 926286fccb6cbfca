//! Makes `config.ron` for a test.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::guests;

/// One application.
#[derive(Debug, Clone)]
pub(crate) struct App {
    plugin: PathBuf,
    config: String,
    on_error: String,
    limits: String,
    http: String,
    media: String,
    relays: String,
    shared_objects: String,
    aliases: String,
}

impl App {
    /// Accepts everybody; a second publisher of a name meets `on_duplicate`.
    pub(crate) fn open(on_duplicate: &str) -> Self {
        let config = format!("{{ \"on_duplicate\": \"{on_duplicate}\" }}");
        Self::new(guests::guest("allow-all.wasm"), config)
    }

    /// The shipped static-keys with this configuration, in RON.
    pub(crate) fn keys(config: &str) -> Self {
        Self::new(guests::guest("static-keys.wasm"), config)
    }

    /// The probe with this mode.
    pub(crate) fn probe(mode: &str) -> Self {
        Self::probe_at(guests::probe(), mode)
    }

    /// A copy of the probe in the test's own folder.
    pub(crate) fn probe_at(plugin: impl Into<PathBuf>, mode: &str) -> Self {
        Self::new(plugin, format!("{{ \"mode\": \"{mode}\" }}"))
    }

    pub(crate) fn new(plugin: impl Into<PathBuf>, config: impl Into<String>) -> Self {
        Self {
            plugin: plugin.into(),
            config: config.into(),
            on_error: "Reject".into(),
            limits: String::new(),
            http: String::new(),
            media: String::new(),
            relays: String::new(),
            shared_objects: String::new(),
            aliases: String::new(),
        }
    }

    /// What clients get when the plugin fails.
    pub(crate) fn on_error(mut self, value: &str) -> Self {
        value.clone_into(&mut self.on_error);
        self
    }

    /// Other names of the application, in quotes, with commas.
    pub(crate) fn aliases(mut self, names: &str) -> Self {
        names.clone_into(&mut self.aliases);
        self
    }

    /// Fields of the application's `limits`.
    pub(crate) fn limits(mut self, fields: &str) -> Self {
        fields.clone_into(&mut self.limits);
        self
    }

    /// Fields of the application's `http`.
    pub(crate) fn http(mut self, fields: &str) -> Self {
        fields.clone_into(&mut self.http);
        self
    }

    /// Fields of the application's `media`.
    pub(crate) fn media(mut self, fields: &str) -> Self {
        fields.clone_into(&mut self.media);
        self
    }

    /// Fields of the application's `shared_objects`.
    pub(crate) fn shared_objects(mut self, fields: &str) -> Self {
        fields.clone_into(&mut self.shared_objects);
        self
    }

    /// The application's `relay`, `pull` and `forward`.
    pub(crate) fn relays(mut self, fields: &str) -> Self {
        fields.clone_into(&mut self.relays);
        self
    }
}

/// Where a test's server keeps what it keeps, in the test's own folder.
pub(crate) const STATE: &str = "state";

/// A whole configuration; listens on any free port of 127.0.0.1.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    apps: Vec<(String, App)>,
    limits: String,
    listen: String,
    chain: String,
    /// More fields of the acceptor, each with its comma.
    acceptor: String,
    /// More acceptors, each with its comma.
    acceptors: String,
    state: String,
    level: String,
    format: &'static str,
    default_application: Option<String>,
    /// Served at the address; none for all.
    served: Vec<String>,
    /// More sections of the file, each with its comma.
    sections: String,
}

impl Config {
    /// One application, called `live`.
    pub(crate) fn live(app: App) -> Self {
        Self {
            apps: vec![("live".into(), app)],
            limits: String::new(),
            listen: "127.0.0.1:0".into(),
            chain: "[Tcp, Rtmp]".into(),
            acceptor: String::new(),
            acceptors: String::new(),
            state: STATE.into(),
            level: "info".into(),
            format: "Json",
            default_application: None,
            served: Vec::new(),
            sections: String::new(),
        }
    }

    /// Its first application under another name.
    pub(crate) fn renamed(mut self, name: &str) -> Self {
        if let Some((first, _)) = self.apps.first_mut() {
            name.clone_into(first);
        }
        self
    }

    /// The application for clients that name none.
    pub(crate) fn default_application(mut self, name: &str) -> Self {
        self.default_application = Some(name.into());
        self
    }

    /// The only applications that the address serves.
    pub(crate) fn serving(mut self, names: &[&str]) -> Self {
        self.served = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// One application more.
    pub(crate) fn and(mut self, name: &str, app: App) -> Self {
        self.apps.push((name.into(), app));
        self
    }

    /// Fields of the server's `limits`.
    pub(crate) fn limits(mut self, fields: &str) -> Self {
        fields.clone_into(&mut self.limits);
        self
    }

    /// Another folder for what is kept.
    pub(crate) fn state(mut self, folder: &Path) -> Self {
        folder.to_str().expect("UTF-8").clone_into(&mut self.state);
        self
    }

    /// Whether nothing was said about where to keep what is kept.
    pub(crate) fn has_default_state(&self) -> bool {
        self.state == STATE
    }

    /// Another log filter.
    pub(crate) fn level(mut self, level: &str) -> Self {
        level.clone_into(&mut self.level);
        self
    }

    /// Log lines for people, which [`super::log::Log`] can't read.
    pub(crate) fn text_lines(mut self) -> Self {
        self.format = "Text";
        self
    }

    /// Another address.
    pub(crate) fn listen(mut self, addr: &str) -> Self {
        addr.clone_into(&mut self.listen);
        self
    }

    /// Another chain, with the fields of the acceptor that it needs; each
    /// ends with a comma.
    pub(crate) fn chain(mut self, chain: &str, fields: &str) -> Self {
        chain.clone_into(&mut self.chain);
        fields.clone_into(&mut self.acceptor);
        self
    }

    /// One address more, with a chain of its own.
    pub(crate) fn also(mut self, listen: SocketAddr, chain: &str, fields: &str) -> Self {
        let acceptor = format!("(listen: \"{listen}\", chain: {chain}, {fields}), ");
        self.acceptors.push_str(&acceptor);
        self
    }

    /// More sections of the file, each with its comma.
    pub(crate) fn sections(mut self, sections: &str) -> Self {
        self.sections.push_str(sections);
        self
    }

    /// The text of `config.ron`.
    pub(crate) fn text(&self) -> String {
        let mut out = String::from("(\n");
        let (level, format) = (&self.level, self.format);
        let _ = writeln!(out, "  log: (level: {level:?}, format: {format}),");
        let _ = writeln!(out, "  state: {:?},", self.state);
        out.push_str("  applications: {\n");
        for (name, app) in &self.apps {
            let _ = writeln!(
                out,
                "    {name:?}: (plugin: {:?}, aliases: [{}], config: {}, on_error: {}, limits: ({}), \
                 http: ({}), media: ({}), shared_objects: ({}), {}),",
                app.plugin,
                app.aliases,
                app.config,
                app.on_error,
                app.limits,
                app.http,
                app.media,
                app.shared_objects,
                app.relays
            );
        }
        let _ = writeln!(
            out,
            "  }},\n  acceptors: [(listen: {:?}, chain: {}, {}applications: {:?}), {}],",
            self.listen, self.chain, self.acceptor, self.served, self.acceptors
        );
        if let Some(name) = &self.default_application {
            let _ = writeln!(out, "  default_application: {name:?},");
        }
        let _ = writeln!(out, "  {}", self.sections);
        let _ = writeln!(out, "  limits: ({}),\n)", self.limits);
        out
    }
}
