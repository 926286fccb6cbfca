//! Lets publishers and players in by keys from the configuration.
//!
//! README.md says how to configure it and how clients show their key.

mod access;

use access::{Access, Answer, Digest, Proof};
use std::collections::BTreeMap;

use livehost_sdk::{
    App, Authenticate, Challenge, Client, ConnectDecision, ConnectGrant, ConnectRequest,
    Credential, DuplicateRule, PlayDecision, PublishDecision, PublishGrant, Rejection,
    StreamRequest, accept,
};

/// Query parameter of a publish key.
const KEY: &str = "key";
/// Query parameter of a play token.
const TOKEN: &str = "token";
/// Where a connection keeps the digests of what its own query showed. Digests,
/// since attributes are seen in events and by the registry.
const KEY_ATTR: &str = "key-sha256";
const TOKEN_ATTR: &str = "token-sha256";
/// Where a connection keeps the user who logged in.
const USER_ATTR: &str = "user";

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    publish: Access,
    #[serde(default)]
    play: Access,
    /// Passwords by name: rtmp://USER:PASSWORD@HOST/...
    #[serde(default)]
    users: BTreeMap<String, String>,
    #[serde(default)]
    challenge: Method,
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

#[derive(Debug, Default, Clone, Copy, PartialEq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Method {
    #[default]
    Adobe,
    Llnw,
}

impl Config {
    /// Somebody has to log in.
    fn is_for_users(&self) -> bool {
        self.publish.is_for_users() || self.play.is_for_users()
    }
}

struct StaticKeys {
    config: Config,
}

impl App for StaticKeys {
    fn configure(config: &str) -> Result<Self, String> {
        let config: Config = livehost_sdk::parse_config(config)?;
        let wanted = config.is_for_users();
        if wanted && config.users.is_empty() {
            return Err("config: users: it lists none, but \"users\" may publish or play".into());
        }
        if !wanted && !config.users.is_empty() {
            return Err(
                "config: users: it lists some, but neither publish nor play is \"users\"".into(),
            );
        }
        for (name, password) in &config.users {
            if name.is_empty() {
                return Err("config: users: a name is empty".into());
            }
            if password.is_empty() {
                return Err(format!("config: users.{name}: the password is empty"));
            }
        }
        Ok(Self { config })
    }

    fn on_connect(&self, req: &ConnectRequest) -> ConnectDecision {
        let mut grant = ConnectGrant::default();
        for (param, attr) in [(KEY, KEY_ATTR), (TOKEN, TOKEN_ATTR)] {
            if let Some(shown) = req.param(param) {
                grant = grant.attr(attr, Digest::of(shown).to_string());
            }
        }
        if let Some(user) = req.user() {
            grant = grant.attr(USER_ATTR, user);
        }
        grant.into()
    }

    fn on_publish(&self, req: &StreamRequest) -> PublishDecision {
        let proof = proof(req, KEY, KEY_ATTR);
        let name = &req.name;
        let denied = |why: String| Rejection::new(why).code("NetStream.Publish.Denied");
        match self.config.publish.check(&stream(req), proof) {
            Answer::Yes => {
                let rule = match self.config.on_duplicate {
                    OnDuplicate::Reject => DuplicateRule::Reject,
                    OnDuplicate::Replace => DuplicateRule::Replace,
                    OnDuplicate::Standby => DuplicateRule::Standby,
                };
                PublishGrant::default().on_duplicate(rule).into()
            }
            Answer::Missing if self.config.publish.is_for_users() => {
                denied("a user is required: use rtmp://USER:PASSWORD@HOST/APP/NAME".into()).into()
            }
            Answer::Missing => denied("a publish key is required: use NAME?key=KEY".into()).into(),
            Answer::Wrong => denied(format!("publish key for \"{name}\" is wrong")).into(),
        }
    }

    fn on_play(&self, req: &StreamRequest) -> PlayDecision {
        let proof = proof(req, TOKEN, TOKEN_ATTR);
        let name = &req.name;
        match self.config.play.check(&stream(req), proof) {
            Answer::Yes => accept(),
            Answer::Missing if self.config.play.is_for_users() => {
                Rejection::new("a user is required: use rtmp://USER:PASSWORD@HOST/APP/NAME").into()
            }
            Answer::Missing => {
                Rejection::new("a play token is required: use NAME?token=TOKEN").into()
            }
            Answer::Wrong => Rejection::new(format!("play token for \"{name}\" is wrong")).into(),
        }
    }
}

impl Authenticate for StaticKeys {
    fn needs_auth(&self) -> bool {
        self.config.is_for_users()
    }

    /// Encoders log in where users publish, players where users play.
    fn on_authenticate(&self, req: &ConnectRequest) -> Option<Challenge> {
        let config = &self.config;
        // RTMP knows who will publish only later; encoders tell it so.
        let access = if req.is_encoder() {
            &config.publish
        } else {
            &config.play
        };
        access.is_for_users().then_some(match config.challenge {
            Method::Adobe => Challenge::Adobe,
            Method::Llnw => Challenge::Llnw,
        })
    }

    fn on_credential(&self, _: &ConnectRequest, user: &str) -> Option<Credential> {
        let password = self.config.users.get(user)?;
        Some(Credential::Password(password.clone()))
    }
}

/// The login of the client's connection, and the key that it showed with the
/// stream's name, else with its connection.
fn proof(req: &StreamRequest, param: &str, attr: &str) -> Proof {
    let of_connection = |client: &Client| client.attr(attr).and_then(Digest::parse);
    Proof {
        user: req.client.attr(USER_ATTR).is_some(),
        key: match req.param(param) {
            Some(shown) => Some(Digest::of(shown)),
            None => of_connection(&req.client),
        },
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

livehost_sdk::export!(only StaticKeys, auth);

#[cfg(test)]
mod tests;
