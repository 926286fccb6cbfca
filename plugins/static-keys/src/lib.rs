//! Lets publishers and players in by keys from the configuration.
//!
//! README.md says how to configure it and how clients show their key.

mod access;

use access::{Access, Answer, Digest};
use livehost_sdk::{
    App, Client, ConnectDecision, ConnectGrant, ConnectRequest, DuplicateRule, PlayDecision,
    PublishDecision, PublishGrant, Rejection, StreamRequest, accept,
};

/// Query parameter of a publish key.
const KEY: &str = "key";
/// Query parameter of a play token.
const TOKEN: &str = "token";
/// Where a connection keeps the digests of what its own query showed. Digests,
/// since attributes are seen in events and by the registry.
const KEY_ATTR: &str = "key-sha256";
const TOKEN_ATTR: &str = "token-sha256";

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    publish: Access,
    #[serde(default)]
    play: Access,
    #[serde(default)]
    on_duplicate: OnDuplicate,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnDuplicate {
    #[default]
    Reject,
    Replace,
    Standby,
}

struct StaticKeys {
    config: Config,
}

impl App for StaticKeys {
    fn configure(config: &str) -> Result<Self, String> {
        let config = livehost_sdk::parse_config(config)?;
        Ok(Self { config })
    }

    fn on_connect(&self, req: &ConnectRequest) -> ConnectDecision {
        let mut grant = ConnectGrant::default();
        for (param, attr) in [(KEY, KEY_ATTR), (TOKEN, TOKEN_ATTR)] {
            if let Some(shown) = req.param(param) {
                grant = grant.attr(attr, Digest::of(shown).to_string());
            }
        }
        grant.into()
    }

    fn on_publish(&self, req: &StreamRequest) -> PublishDecision {
        let shown = shown(req, KEY, KEY_ATTR);
        let name = &req.name;
        let denied = |why: String| Rejection::new(why).code("NetStream.Publish.Denied");
        match self.config.publish.check(&stream(req), shown) {
            Answer::Yes => {
                let rule = match self.config.on_duplicate {
                    OnDuplicate::Reject => DuplicateRule::Reject,
                    OnDuplicate::Replace => DuplicateRule::Replace,
                    OnDuplicate::Standby => DuplicateRule::Standby,
                };
                PublishGrant::default().on_duplicate(rule).into()
            }
            Answer::Missing => denied("a publish key is required: use NAME?key=KEY".into()).into(),
            Answer::Wrong => denied(format!("publish key for \"{name}\" is wrong")).into(),
        }
    }

    fn on_play(&self, req: &StreamRequest) -> PlayDecision {
        let shown = shown(req, TOKEN, TOKEN_ATTR);
        let name = &req.name;
        match self.config.play.check(&stream(req), shown) {
            Answer::Yes => accept(),
            Answer::Missing => {
                Rejection::new("a play token is required: use NAME?token=TOKEN").into()
            }
            Answer::Wrong => Rejection::new(format!("play token for \"{name}\" is wrong")).into(),
        }
    }
}

/// What the client showed with the stream's name, else with its connection.
fn shown(req: &StreamRequest, param: &str, attr: &str) -> Option<Digest> {
    let of_connection = |client: &Client| client.attr(attr).and_then(Digest::parse);
    match req.param(param) {
        Some(shown) => Some(Digest::of(shown)),
        None => of_connection(&req.client),
    }
}

/// A stream's name as the configuration has it: `instance/name` in an
/// application instance.
fn stream(req: &StreamRequest) -> String {
    match &req.instance {
        Some(instance) => format!("{instance}/{}", req.name),
        None => req.name.clone(),
    }
}

livehost_sdk::export!(StaticKeys);

#[cfg(test)]
mod tests;
