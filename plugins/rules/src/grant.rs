//! What a rule that allows gives with it.

use std::collections::BTreeMap;

use livehost_sdk::{ConnectGrant, PlayGrant, PublishGrant, Recording};
use plugin_common::{OnDuplicate, OneOrMany, Span};
use serde::Deserialize;

use crate::rule::Action;
use crate::template::{Template, Values};

/// As written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    name: Option<String>,
    on_duplicate: Option<OnDuplicate>,
    record: Option<Record>,
    forward: Option<OneOrMany>,
    hold: Option<Span>,
    max_kbps: Option<u32>,
    idle_timeout: Option<Span>,
    wait: Option<Span>,
    max_duration: Option<Span>,
    pull_from: Option<String>,
    attrs: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    path: String,
    container: Option<String>,
    split: Option<Span>,
}

/// Checked.
#[derive(Debug, Default)]
pub struct Terms {
    name: Option<Template>,
    on_duplicate: OnDuplicate,
    record: Option<(Template, Recording)>,
    forward: Vec<Template>,
    hold: Option<Span>,
    max_kbps: Option<u32>,
    idle_timeout: Option<Span>,
    wait: Option<Span>,
    max_duration: Option<Span>,
    pull_from: Option<Template>,
    attrs: Vec<(String, Template)>,
}

impl Terms {
    /// Checks what is written in a rule about `actions` whose name has so many
    /// wildcards.
    pub fn read(written: Written, actions: &[Action], captures: usize) -> Result<Self, String> {
        use Action::{Connect, Play, Publish};
        let template = |field: &str, text: &str| {
            Template::read(text, captures).map_err(|error| format!("{field}: {error}"))
        };
        for (field, given, by) in [
            ("name", written.name.is_some(), &[Publish, Play][..]),
            ("on_duplicate", written.on_duplicate.is_some(), &[Publish]),
            ("record", written.record.is_some(), &[Publish]),
            ("forward", written.forward.is_some(), &[Publish]),
            ("hold", written.hold.is_some(), &[Publish]),
            ("max_kbps", written.max_kbps.is_some(), &[Publish]),
            ("idle_timeout", written.idle_timeout.is_some(), &[Publish]),
            ("wait", written.wait.is_some(), &[Play]),
            ("max_duration", written.max_duration.is_some(), &[Play]),
            ("pull_from", written.pull_from.is_some(), &[Play]),
            ("attrs", !written.attrs.is_empty(), &[Connect]),
        ] {
            if given && !by.iter().any(|action| actions.contains(action)) {
                let of = |actions: &[Action]| {
                    let words: Vec<_> = actions.iter().map(|action| action.word()).collect();
                    words.join(" and ")
                };
                return Err(format!(
                    "{field}: is for {}, but this rule is about {}",
                    of(by),
                    of(actions)
                ));
            }
        }
        let record = written.record.map(|record| {
            let split = record.split.map(|split| {
                let seconds = split.0.as_secs();
                match u32::try_from(seconds) {
                    Ok(seconds) if seconds > 0 => Ok(seconds),
                    _ => Err("record.split: expected at least \"1 s\"".to_owned()),
                }
            });
            let recording = Recording {
                container: record.container.unwrap_or_else(|| "flv".into()),
                path: String::new(),
                split_seconds: split.transpose()?,
            };
            Ok::<_, String>((template("record.path", &record.path)?, recording))
        });
        let forward = written.forward.map(|urls| urls.0).unwrap_or_default();
        let attrs = written.attrs.into_iter();
        Ok(Self {
            name: optional(written.name, |text| template("name", text))?,
            on_duplicate: written.on_duplicate.unwrap_or_default(),
            record: record.transpose()?,
            forward: forward
                .iter()
                .map(|url| template("forward", url))
                .collect::<Result<_, _>>()?,
            hold: written.hold,
            max_kbps: written.max_kbps,
            idle_timeout: written.idle_timeout,
            wait: written.wait,
            max_duration: written.max_duration,
            pull_from: optional(written.pull_from, |url| template("pull_from", url))?,
            attrs: attrs
                .map(|(key, text)| Ok((key, template("attrs", &text)?)))
                .collect::<Result<_, String>>()?,
        })
    }

    /// What it gives that no host can give yet.
    pub fn unavailable(&self) -> Option<&'static str> {
        self.record.is_some().then_some("record")
    }

    pub fn connect(&self, values: &Values<'_>) -> ConnectGrant {
        let attrs = self.attrs.iter();
        attrs.fold(ConnectGrant::default(), |grant, (key, value)| {
            grant.attr(key, value.plain(values))
        })
    }

    pub fn publish(&self, values: &Values<'_>) -> PublishGrant {
        let mut grant = PublishGrant::default().on_duplicate(self.on_duplicate.into());
        grant.name = self.name.as_ref().map(|name| name.plain(values));
        grant.record_to = self.record.as_ref().map(|(path, recording)| Recording {
            path: path.in_path(values),
            ..recording.clone()
        });
        let forward = self.forward.iter();
        grant.forward_to = forward.map(|url| url.in_url(values)).collect();
        grant.max_kbps = self.max_kbps;
        if let Some(Span(time)) = self.hold {
            grant = grant.hold(time);
        }
        if let Some(Span(time)) = self.idle_timeout {
            grant = grant.idle_timeout(time);
        }
        grant
    }

    pub fn play(&self, values: &Values<'_>) -> PlayGrant {
        let mut grant = PlayGrant {
            name: self.name.as_ref().map(|name| name.plain(values)),
            pull_from: self.pull_from.as_ref().map(|url| url.in_url(values)),
            ..PlayGrant::default()
        };
        if let Some(Span(time)) = self.wait {
            grant = grant.wait(time);
        }
        if let Some(Span(time)) = self.max_duration {
            grant = grant.max_duration(time);
        }
        grant
    }
}

fn optional<T>(
    text: Option<String>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    text.as_deref().map(read).transpose()
}
