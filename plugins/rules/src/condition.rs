//! What a rule matches: facts of a request in, yes and captures out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use livehost_sdk::{ConnectRequest, StreamRequest};
use plugin_common::{Glob, OneOrMany, address, is_tls};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use crate::calendar::{self, Moment, Schedule};
use crate::rule::Action;

/// What is known when a rule is asked.
#[derive(Debug)]
pub struct Facts<'a> {
    pub action: Action,
    pub app: &'a str,
    pub instance: Option<&'a str>,
    /// None for connects.
    pub name: Option<&'a str>,
    pub ip: Option<IpAddr>,
    pub tls: bool,
    pub query: &'a [(String, String)],
    pub attrs: &'a [(String, String)],
    pub now: Moment,
}

impl<'a> Facts<'a> {
    pub fn of_connect(req: &'a ConnectRequest, now: Duration) -> Self {
        Self {
            action: Action::Connect,
            app: &req.app,
            instance: req.instance.as_deref(),
            name: None,
            ip: address(&req.client),
            tls: is_tls(&req.client),
            query: &req.query,
            attrs: &req.client.attrs,
            now: Moment(now.as_secs()),
        }
    }

    pub fn of_stream(action: Action, req: &'a StreamRequest, now: Duration) -> Self {
        Self {
            action,
            app: &req.app,
            instance: req.instance.as_deref(),
            name: Some(&req.name),
            ip: address(&req.client),
            tls: is_tls(&req.client),
            query: &req.query,
            attrs: &req.client.attrs,
            now: Moment(now.as_secs()),
        }
    }
}

/// A rule's `match` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    pub action: Option<OneOrMany>,
    app: Option<OneOrMany>,
    instance: Option<OneOrMany>,
    name: Option<OneOrMany>,
    ip: Option<OneOrMany>,
    time: Option<calendar::Written>,
    query: BTreeMap<String, String>,
    attrs: BTreeMap<String, String>,
    tls: Option<bool>,
}

/// All of it must hold; what is not said always does.
#[derive(Debug)]
pub struct Condition {
    pub actions: Vec<Action>,
    app: Option<Vec<Glob>>,
    instance: Option<Vec<Glob>>,
    name: Option<Vec<Glob>>,
    ip: Option<Vec<IpNet>>,
    time: Option<Schedule>,
    query: Vec<(String, Value)>,
    attrs: Vec<(String, Value)>,
    tls: Option<bool>,
}

/// What a parameter must be.
#[derive(Debug)]
enum Value {
    Exactly(String),
    Like(Glob),
}

impl Condition {
    /// Checks what is written.
    pub fn read(written: Written) -> Result<Self, String> {
        let actions = match written.action {
            None => vec![Action::Publish, Action::Play],
            Some(words) => words
                .0
                .iter()
                .map(|word| Action::read(word).map_err(|error| format!("action: {error}")))
                .collect::<Result<_, _>>()?,
        };
        if written.name.is_some() && actions.contains(&Action::Connect) {
            return Err("name: a connection has no stream yet; leave out \"connect\"".into());
        }
        let nets = |texts: OneOrMany| texts.0.iter().map(|text| net(text)).collect();
        let time = written.time.as_ref().map(Schedule::read).transpose();
        Ok(Self {
            actions,
            app: written.app.map(globs),
            instance: written.instance.map(globs),
            name: written.name.map(globs),
            ip: written.ip.map(nets).transpose()?,
            time: time.map_err(|error| format!("time.{error}"))?,
            query: values(written.query),
            attrs: values(written.attrs),
            tls: written.tls,
        })
    }

    /// How many wildcards every name that matches has at least.
    pub fn captures(&self) -> usize {
        let names = self.name.iter().flatten();
        names.map(Glob::wildcards).min().unwrap_or_default()
    }

    /// What the wildcards of the name stand for, if all holds.
    pub fn matches(&self, facts: &Facts<'_>) -> Option<Vec<String>> {
        let like = |globs: &Option<Vec<Glob>>, text: &str| {
            globs
                .as_ref()
                .is_none_or(|globs| globs.iter().any(|glob| glob.matches(text)))
        };
        let within = |nets: &Vec<IpNet>| {
            facts
                .ip
                .is_some_and(|ip| nets.iter().any(|net| net.contains(&ip)))
        };
        let holds = self.actions.contains(&facts.action)
            && like(&self.app, facts.app)
            && like(&self.instance, facts.instance.unwrap_or_default())
            && self.ip.as_ref().is_none_or(within)
            && self.tls.is_none_or(|tls| tls == facts.tls)
            && self.time.as_ref().is_none_or(|time| time.holds(facts.now))
            && all_there(&self.query, facts.query)
            && all_there(&self.attrs, facts.attrs);
        if !holds {
            return None;
        }
        match &self.name {
            None => Some(Vec::new()),
            Some(globs) => globs
                .iter()
                .find_map(|glob| glob.captures(facts.name.unwrap_or_default())),
        }
    }
}

fn globs(patterns: OneOrMany) -> Vec<Glob> {
    patterns
        .0
        .iter()
        .map(|pattern| Glob::new(pattern))
        .collect()
}

fn net(text: &str) -> Result<IpNet, String> {
    let net = text.parse::<IpNet>().ok();
    let net = net.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    net.ok_or_else(|| {
        format!("ip: expected an address or a network such as \"10.0.0.0/8\", found {text:?}")
    })
}

fn values(written: BTreeMap<String, String>) -> Vec<(String, Value)> {
    let value = |text: String| match text.contains(['*', '?']) {
        true => Value::Like(Glob::new(&text)),
        false => Value::Exactly(text),
    };
    let pairs = written.into_iter();
    pairs.map(|(key, text)| (key, value(text))).collect()
}

/// Is every wanted pair given? The first value of a key counts.
fn all_there(wanted: &[(String, Value)], given: &[(String, String)]) -> bool {
    wanted.iter().all(|(key, value)| {
        let given = given.iter().find(|(name, _)| name == key);
        given.is_some_and(|(_, given)| match value {
            Value::Exactly(text) => text.as_bytes().ct_eq(given.as_bytes()).into(),
            Value::Like(glob) => glob.matches(given),
        })
    })
}
