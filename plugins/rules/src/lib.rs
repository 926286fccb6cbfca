//! Decides by a list of rules in the configuration: the first that matches wins.
//!
//! Flows in: requests. Flows out: decisions, and at debug level which rule
//! made them. README.md lists what a rule can say.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod calendar;
mod condition;
mod grant;
mod rule;
mod template;

use condition::Facts;
use livehost_sdk::log::Level;
use livehost_sdk::{
    App, ConnectDecision, ConnectRequest, PlayDecision, PublishDecision, Rejection, StreamRequest,
    accept, deny,
};
use plugin_common::{Host, Live};
use rule::{Action, Outcome, Rule, Rules};
use template::Values;

struct Policy {
    rules: Rules,
    host: Host,
}

impl Policy {
    fn new(config: &str, host: Host) -> Result<Self, String> {
        let rules = Rules::read(config)?;
        Ok(Self { rules, host })
    }

    /// The first rule that matches, its captures, and a line about it. Values
    /// of the query stay out of the line: they may be keys.
    fn find(&self, facts: &Facts<'_>) -> Option<(&Rule, Vec<String>)> {
        let found = self.rules.first(facts);
        let rule = match &found {
            Some((rule, _)) => rule.label(),
            None => "default".to_owned(),
        };
        let outcome = match &found {
            Some((rule, _)) => rule.outcome.word(),
            None if facts.action == Action::Connect || self.rules.default_allows => "allow",
            None => "deny",
        };
        let fields = [
            ("rule", rule.as_str()),
            ("outcome", outcome),
            ("action", facts.action.word()),
            ("name", facts.name.unwrap_or_default()),
        ];
        self.host.log(Level::Debug, "rule matched", &fields);
        found
    }

    fn no_rule(&self) -> Result<(), Rejection> {
        if self.rules.default_allows {
            Ok(())
        } else {
            Err(Rejection::new("no rule allows this"))
        }
    }
}

impl App for Policy {
    fn configure(config: &str) -> Result<Self, String> {
        let policy = Self::new(config, Live::host())?;
        // A publisher that is let in and not recorded is not what was asked for.
        policy.rules.check_available()?;
        Ok(policy)
    }

    fn on_connect(&self, req: &ConnectRequest) -> ConnectDecision {
        let facts = Facts::of_connect(req, self.host.now());
        let Some((rule, captures)) = self.find(&facts) else {
            return accept();
        };
        let values = Values::new(&facts, &captures, req.client.conn);
        match &rule.outcome {
            Outcome::Allow(terms) => terms.connect(&values).into(),
            Outcome::Deny(text) => deny(text),
            Outcome::Redirect(url) => ConnectDecision::Redirect(url.in_url(&values)),
        }
    }

    fn on_publish(&self, req: &StreamRequest) -> PublishDecision {
        let facts = Facts::of_stream(Action::Publish, req, self.host.now());
        let denied = |rejection: Rejection| rejection.code("NetStream.Publish.Denied").into();
        let Some((rule, captures)) = self.find(&facts) else {
            return self.no_rule().map_or_else(denied, |()| accept());
        };
        let values = Values::new(&facts, &captures, req.client.conn);
        match &rule.outcome {
            Outcome::Allow(terms) => terms.publish(&values).into(),
            Outcome::Deny(text) => denied(Rejection::new(text)),
            // Rules with a redirect are about connecting only.
            Outcome::Redirect(_) => denied(Rejection::new("no rule allows this")),
        }
    }

    fn on_play(&self, req: &StreamRequest) -> PlayDecision {
        let facts = Facts::of_stream(Action::Play, req, self.host.now());
        let Some((rule, captures)) = self.find(&facts) else {
            return self.no_rule().map_or_else(Into::into, |()| accept());
        };
        let values = Values::new(&facts, &captures, req.client.conn);
        match &rule.outcome {
            Outcome::Allow(terms) => terms.play(&values).into(),
            Outcome::Deny(text) => deny(text),
            Outcome::Redirect(_) => deny("no rule allows this"),
        }
    }
}

livehost_sdk::export!(only Policy);

#[cfg(test)]
mod tests;
