//! Reads what an application relays: its rules, its pulls and its forwards.
//!
//! Flows in: the fields of an application. Flows out: the plan of its relays;
//! what is wrong goes to the fields' findings, without what was found, since
//! URLs hold keys and passwords.

use std::time::Duration;

use livehost_app::names::Place;
use livehost_net::outbound::Pattern;
use livehost_relay::{Allow, Forward, NAME, Plan, Pull, RelaySettings, RelayUrl};
use livehost_ron::{
    node::{Node, Shape},
    reader::Fields,
};

const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);
const MIN: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What is expected of a URL.
const URL: &str = "a URL in quotes, like \"rtmp://example.com/live/cam\"";

pub(super) fn relays(fields: &mut Fields<'_, '_>) -> Plan {
    Plan {
        settings: fields.section("relay", "Relay", settings),
        pulls: pulls(fields),
        forwards: forwards(fields),
    }
}

fn settings(fields: &mut Fields<'_, '_>) -> RelaySettings {
    let default = RelaySettings::default();
    RelaySettings {
        allow: Allow::new(allow(fields)),
        private: fields.flag("private", default.private),
        max: fields.number("max", default.max, 0..=10_000),
        connect: fields.duration("connect", default.connect, 100 * MS..=MIN),
        answer: fields.duration("answer", default.answer, 100 * MS..=5 * MIN),
        stall: fields.duration("stall", default.stall, SEC..=10 * MIN),
        retry: fields.duration("retry", default.retry, 100 * MS..=HOUR),
        retry_limit: fields.duration("retry_limit", default.retry_limit, 100 * MS..=HOUR),
        linger: fields.duration("linger", default.linger, Duration::ZERO..=HOUR),
        hold: fields.duration("hold", default.hold, Duration::ZERO..=HOUR),
    }
}

fn allow(fields: &mut Fields<'_, '_>) -> Vec<Pattern> {
    let allowed = "URLs like \"rtmp://*.example.com/live/*\"";
    let mut allow = Vec::new();
    for item in items(fields, "allow", allowed) {
        let path = fields.path_of("allow");
        let Some(text) = item.scalar::<String>() else {
            let expected = "a URL in quotes, like \"rtmp://*.example.com/live/*\"";
            fields.findings.expected(item, &path, expected);
            continue;
        };
        match Allow::parse(&text) {
            Ok(pattern) => allow.push(pattern),
            Err(error) => fields
                .findings
                .problem(item.span(), &path, error.to_string()),
        }
    }
    allow
}

fn pulls(fields: &mut Fields<'_, '_>) -> Vec<Pull> {
    let allowed = "[(name: \"cam\", from: \"rtmp://example.com/live/cam\")]";
    let mut pulls: Vec<Pull> = Vec::new();
    for (index, item) in items(fields, "pull", allowed).into_iter().enumerate() {
        let path = format!("{}[{index}]", fields.path_of("pull"));
        let pull = Fields::read(fields.findings, path, "Pull", Some(item), |f| {
            let path = stream(f, "required");
            let from = url(f, "from");
            let on_demand = f.flag("on_demand", false);
            let path = path?;
            if pulls.iter().any(|other| other.path == path) {
                f.refuse("name", "each stream once", "");
            }
            Some(Pull {
                path,
                from: from?,
                on_demand,
            })
        });
        pulls.extend(pull);
    }
    pulls
}

fn forwards(fields: &mut Fields<'_, '_>) -> Vec<Forward> {
    let allowed = "[(name: \"cam\", to: \"rtmp://example.com/live/cam\")]";
    let mut forwards = Vec::new();
    for (index, item) in items(fields, "forward", allowed).into_iter().enumerate() {
        let path = format!("{}[{index}]", fields.path_of("forward"));
        let forward = Fields::read(fields.findings, path, "Forward", Some(item), |f| {
            let stream = stream(f, "every stream");
            let node = f.require("to", "the URL of a stream; {name} stands for the name")?;
            let path = f.path_of("to");
            let Some(text) = node.scalar::<String>() else {
                f.findings
                    .problem(node.span(), &path, format!("expected {URL}"));
                return None;
            };
            let keeps_name = text.contains(NAME);
            match Forward::new(stream.clone(), text) {
                Ok(forward) => {
                    if stream.is_none() && !keeps_name {
                        let message = "expected {name} in a URL that every stream goes to; \
                                       or a `name`, if it is for one stream"
                            .to_owned();
                        f.findings.problem(node.span(), &path, message);
                    }
                    Some(forward)
                }
                Err(error) => {
                    let message = error.to_string();
                    f.findings.problem(node.span(), &path, message);
                    None
                }
            }
        });
        forwards.extend(forward);
    }
    forwards
}

/// What a stream is called here; `default` says what it means if there is no name.
fn stream(fields: &mut Fields<'_, '_>, default: &'static str) -> Option<String> {
    let allowed = "the name of a stream";
    let node = match default {
        "required" => fields.require("name", allowed),
        default => fields.take("name", default, allowed),
    }?;
    // What stands behind a `?` is no part of a name.
    let name = node.scalar::<String>().filter(|name| !name.contains('?'));
    let place = name.and_then(|name| Place::granted(None, &name).ok());
    if place.is_none() {
        let path = fields.path_of("name");
        let expected = "the name of a stream in quotes, like \"cam\"";
        fields.findings.expected(node, &path, expected);
    }
    place.map(|place| place.path())
}

fn url(fields: &mut Fields<'_, '_>, field: &'static str) -> Option<RelayUrl> {
    let node = fields.require(field, "the URL of a stream")?;
    let path = fields.path_of(field);
    let Some(text) = node.scalar::<String>() else {
        let message = format!("expected {URL}");
        fields.findings.problem(node.span(), &path, message);
        return None;
    };
    match RelayUrl::parse(&text) {
        Ok(url) => Some(url),
        Err(error) => {
            let message = error.to_string();
            fields.findings.problem(node.span(), &path, message);
            None
        }
    }
}

/// The items of a list; none if there is no such field.
fn items<'a>(fields: &mut Fields<'_, 'a>, name: &'static str, allowed: &str) -> Vec<Node<'a>> {
    let Some(node) = fields.take(name, "[]", allowed) else {
        return Vec::new();
    };
    match node.items().filter(|_| node.shape() == Shape::List) {
        Some(items) => items,
        None => {
            let path = fields.path_of(name);
            let expected = format!("a list, like {allowed}");
            fields.findings.expected(node, &path, &expected);
            Vec::new()
        }
    }
}
