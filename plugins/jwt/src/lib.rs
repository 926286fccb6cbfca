//! Lets publishers and players in by signed tokens (JSON Web Tokens).
//!
//! Flows in: requests with a token, keys from the configuration or fetched
//! from a URL. Flows out: decisions. README.md lists settings and claims.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod claims;
mod config;
mod key;
mod keyring;
mod token;

use std::time::Duration;

use claims::{Action, Permit};
use config::{Config, Entry};
use keyring::Keyring;
use livehost_sdk::log::Level;
use livehost_sdk::{
    App, ConnectDecision, ConnectGrant, ConnectRequest, Handoff, PlayDecision, PlayGrant,
    PublishDecision, PublishGrant, Rejection, StartReason, StreamRequest, accept,
};
use plugin_common::{Host, Live, stream_path};

/// Where a connection keeps what its own token permits; never the token.
const PERMIT_ATTR: &str = "jwt";
/// The timer that fetches the key set.
const REFRESH: &str = "jwks";

struct Jwt {
    config: Config,
    keyring: Keyring,
    host: Host,
}

impl Jwt {
    fn new(config: &str, host: Host) -> Result<Self, String> {
        let (config, keys) = Config::read(config)?;
        let keyring = Keyring::new(keys, config.jwks.clone(), host.clone());
        Ok(Self {
            config,
            keyring,
            host,
        })
    }

    /// The token in a query, under the first of the configured parameters.
    fn shown<'a>(&self, query: &'a [(String, String)]) -> Option<&'a str> {
        let params = self.config.params.0.iter();
        params
            .filter_map(|param| query.iter().find(|(key, _)| key == param))
            .map(|(_, token)| token.as_str())
            .next()
    }

    /// What a token permits, its signature, times, issuer and audience right.
    fn permit(&self, token: &str) -> Result<Permit, String> {
        let claims = self.keyring.verify(token)?;
        self.config.check(&claims, self.host.now())
    }

    /// Whether a stream may be published or played: by the token with its
    /// name, else by what the connection's permits.
    fn decide(&self, action: Action, entry: Entry, req: &StreamRequest) -> Result<Permit, String> {
        let permit = match (self.shown(&req.query), req.client.attr(PERMIT_ATTR)) {
            (Some(token), _) => self.permit(token)?,
            (None, Some(kept)) => {
                let permit = Permit::parse(kept).ok_or("the connection's token is unreadable")?;
                self.config.check_expiry(&permit, self.host.now())?;
                permit
            }
            (None, None) if entry == Entry::Open => return Ok(Permit::default()),
            (None, None) => {
                let param = self.config.params.0.first().map_or("token", String::as_str);
                return Err(format!("a token is required: use NAME?{param}=TOKEN"));
            }
        };
        permit.allows(action, &stream_path(req))?;
        Ok(permit)
    }
}

impl App for Jwt {
    fn configure(config: &str) -> Result<Self, String> {
        Self::new(config, Live::host())
    }

    fn on_start(&self, _reason: StartReason, _from_old: Option<Handoff>) -> Result<(), String> {
        if let Some(jwks) = &self.config.jwks {
            self.host.every(REFRESH, jwks.refresh.0);
            // A back end that is down for now is no reason not to serve.
            self.keyring.warm();
        }
        Ok(())
    }

    fn on_timer(&self, key: &str) {
        if key == REFRESH {
            self.keyring.refresh();
        }
    }

    fn on_connect(&self, req: &ConnectRequest) -> ConnectDecision {
        let Some(token) = self.shown(&req.query) else {
            return match self.config.connect {
                Entry::Open => accept(),
                Entry::Token => {
                    Rejection::new("a token is required: use rtmp://HOST/APP?token=TOKEN").into()
                }
            };
        };
        match self.permit(token) {
            Ok(permit) => ConnectGrant::default()
                .attr(PERMIT_ATTR, permit.to_string())
                .into(),
            Err(why) => Rejection::new(why).into(),
        }
    }

    fn on_publish(&self, req: &StreamRequest) -> PublishDecision {
        match self.decide(Action::Publish, self.config.publish, req) {
            Ok(permit) => {
                self.welcome("publish", req, &permit);
                PublishGrant::default()
                    .on_duplicate(self.config.on_duplicate.into())
                    .into()
            }
            Err(why) => Rejection::new(why).code("NetStream.Publish.Denied").into(),
        }
    }

    fn on_play(&self, req: &StreamRequest) -> PlayDecision {
        match self.decide(Action::Play, self.config.play, req) {
            Ok(permit) => {
                self.welcome("play", req, &permit);
                match permit.expires.filter(|_| self.config.play_until_expiry) {
                    Some(expires) => {
                        let left = Duration::from_secs(expires).saturating_sub(self.host.now());
                        let least = Duration::from_secs(1);
                        PlayGrant::default().max_duration(left.max(least)).into()
                    }
                    None => accept(),
                }
            }
            Err(why) => Rejection::new(why).into(),
        }
    }
}

impl Jwt {
    fn welcome(&self, action: &str, req: &StreamRequest, permit: &Permit) {
        let subject = permit.subject.as_deref().unwrap_or_default();
        let fields = [
            ("action", action),
            ("name", &req.name),
            ("subject", subject),
        ];
        self.host.log(Level::Debug, "token accepted", &fields);
    }
}

livehost_sdk::export!(only Jwt);

#[cfg(test)]
mod tests;
