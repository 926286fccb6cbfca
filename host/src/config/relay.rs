//! Reads what an application relays: its rules, its pulls and its forwards.
//!
//! Flows in: the fields of an application. Flows out: the plan of its relays;
//! what is wrong goes to the fields' findings, without what was found, since
//! URLs hold keys and passwords.

use livehost_app::names::NamePlace;
use livehost_relay::{Forward, NAME, Plan, Pull, RelayUrl};
use livehost_ron::reader::Fields;
use livehost_settings::{Setting, SettingsReader as _};

/// What is expected of a URL.
const URL: &str = "a URL in quotes, like \"rtmp://example.com/live/cam\"";

pub(super) fn relays(fields: &mut Fields<'_, '_>) -> Plan {
    Plan {
        settings: fields.settings("relay", "Relay"),
        pulls: pulls(fields),
        forwards: forwards(fields),
    }
}

fn pulls(fields: &mut Fields<'_, '_>) -> Vec<Pull> {
    let field = Setting::new(
        "pull",
        "Streams that come from other servers; see [relays](relays.md).",
    );
    let allowed = "[(name: \"cam\", from: \"rtmp://example.com/live/cam\")]";
    let mut pulls: Vec<Pull> = Vec::new();
    for (index, item) in fields.items(field, allowed).into_iter().enumerate() {
        let path = format!("{}[{index}]", fields.path_of("pull"));
        let pull = Fields::read(fields.findings, path, "Pull", Some(item), |f| {
            let path = stream(f, "What it is called here.", "required");
            let from = url(f);
            let on_demand = Setting::new(
                "on_demand",
                "Only while somebody plays it; otherwise from the start on.",
            );
            let on_demand = f.flag(on_demand, false);
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
    let field = Setting::new("forward", "Streams that are pushed to other servers.");
    let allowed = "[(name: \"cam\", to: \"rtmp://example.com/live/cam\")]";
    let mut forwards = Vec::new();
    for (index, item) in fields.items(field, allowed).into_iter().enumerate() {
        let path = format!("{}[{index}]", fields.path_of("forward"));
        let forward = Fields::read(fields.findings, path, "Forward", Some(item), |f| {
            let text = "Which stream; `instance/name` of an application instance.";
            let stream = stream(f, text, "every stream");
            let to = Setting::new("to", "Where it goes.");
            let node = f.require(to, "the URL of a stream; {name} stands for the name")?;
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
fn stream(fields: &mut Fields<'_, '_>, text: &'static str, default: &str) -> Option<String> {
    let field = Setting::new("name", text);
    let allowed = "the name of a stream";
    let node = match default {
        "required" => fields.require(field, allowed),
        default => fields.take(field, default, allowed),
    }?;
    // What stands behind a `?` is no part of a name.
    let name = node.scalar::<String>().filter(|name| !name.contains('?'));
    let place = name.and_then(|name| NamePlace::granted(None, &name).ok());
    if place.is_none() {
        let path = fields.path_of("name");
        let expected = "the name of a stream in quotes, like \"cam\"";
        fields.findings.expected(node, &path, expected);
    }
    place.map(|place| place.path())
}

fn url(fields: &mut Fields<'_, '_>) -> Option<RelayUrl> {
    let field = Setting::new("from", "Where it is.");
    let node = fields.require(field, "the URL of a stream")?;
    let path = fields.path_of(field.name);
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
