//! Reads one step of a case: what happens, and what the plugin should make of
//! it.

use std::time::Duration;

use livehost_plugin::{HttpFailure, HttpResponse};
use livehost_policy::{
    CallRequest, Client, ConnectRequest, ControlError, CredentialRequest, Event, OnAuthenticate,
    OnCall, OnConnect, OnCredential, OnPlay, OnPublish, OnSharedObject, Question, Scalar,
    StreamRequest,
};
use livehost_ron::node::{self, Node};
use livehost_ron::reader::{Fields, Findings, SettingsReader as _, suggest};
use livehost_ron::units::parse_duration;
use livehost_wire::amf0;

use super::event;
use super::pattern::{TextPattern, TextWant};
use super::read::{client, entries, items, optional, pairs, pattern, string, text_of};
use super::shapes::{self, EventShape};
use super::shared_object::shared_object;
use super::{Action, CaseCommand, Exchange, Outside, Step};

/// No case waits longer.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

const NAMES: &[&str] = &[
    "Connect",
    "Publish",
    "Play",
    "Call",
    "Authenticate",
    "Credential",
    "SharedObject",
    "Timer",
    "Wait",
    "Reload",
    "Published",
    "Ready",
    "Unpublished",
    "PlayEnded",
    "Disconnected",
    "Recorded",
    "RelayUp",
    "RelayFailed",
    "RelayEnded",
];

/// Reads the step at `node`; none if it can't be told which one it is.
pub(super) fn step(
    findings: &mut Findings,
    node: Node<'_>,
    path: String,
    line: usize,
    app: &str,
    case_client: &Client,
) -> Option<Step> {
    let name = match node.shape() {
        node::NodeShape::NamedParens("Wait") if node.body().fields().is_none() => {
            let time = wait(findings, node, &path)?;
            return Some(Step {
                line,
                title: format!("Wait {time:?}"),
                action: Action::Wait(time),
                expect: None,
                outside: Outside::default(),
            });
        }
        node::NodeShape::NamedParens(name) | node::NodeShape::Word(name) => Some(name),
        _ => None,
    };
    let Some(name) = NAMES.iter().find(|known| name == Some(**known)) else {
        let message = format!("expected a step; found {}", node.describe());
        let help = name.and_then(|name| suggest(name, NAMES));
        let help = help.unwrap_or_else(|| format!("steps are {}", NAMES.join(", ")));
        findings.problem_with_help(node.span(), &path, message, Some(help));
        return None;
    };
    let bare = matches!(node.shape(), node::NodeShape::Word(_));
    let body = (!bare).then_some(node);
    Some(Fields::read(findings, path, name, body, |fields| {
        if let Some((title, action)) = plain(fields, name) {
            return Step {
                line,
                title,
                action,
                expect: None,
                outside: outside(fields),
            };
        }
        let mut own_client = false;
        let who = match fields.take("client", "the case's client", "(remote: \"...\")") {
            Some(node) => {
                own_client = true;
                let path = fields.path_of("client");
                Fields::read(fields.findings, path, "Client", Some(node), client)
            }
            None => case_client.clone(),
        };
        let (action, subject, shapes) = match question(fields, name, app, &who) {
            Some((question, shapes)) => {
                let subject = asked(&question);
                let action = Action::Ask {
                    question,
                    own_client,
                };
                (action, subject, shapes)
            }
            None => {
                let event = Box::new(event::read(fields, name, app, who));
                let subject = happened(&event);
                (Action::Tell { event, own_client }, subject, [].as_slice())
            }
        };
        let expect = match shapes {
            [] => None,
            shapes => fields.take("expect", "any", "a pattern").and_then(|node| {
                let path = fields.path_of("expect");
                pattern(fields.findings, node, &path, shapes)
            }),
        };
        Step {
            line,
            title: format!("{name}{subject}"),
            action,
            expect,
            outside: outside(fields),
        }
    }))
}

/// A step that asks nothing.
fn plain(fields: &mut Fields<'_, '_>, name: &str) -> Option<(String, Action)> {
    Some(match name {
        "Reload" => ("Reload".to_owned(), Action::Reload),
        "Wait" => {
            let time = fields.duration("time", Duration::from_secs(1), Duration::ZERO..=LONGEST);
            (format!("Wait {time:?}"), Action::Wait(time))
        }
        "Timer" => {
            let key = string(fields, "key", "");
            (format!("Timer {key:?}"), Action::Timer(key))
        }
        _ => return None,
    })
}

/// `http`, `control` and `log`.
pub(super) fn outside(fields: &mut Fields<'_, '_>) -> Outside {
    Outside {
        http: exchanges(fields),
        control: commands(fields),
        log: patterns(fields, "log", shapes::LOG).unwrap_or_default(),
    }
}

/// `control: [Disconnect(conn: 7), NotFound(StopStream(name: "cam1"))]`
fn commands(fields: &mut Fields<'_, '_>) -> Option<Vec<CaseCommand>> {
    let node = fields.take("control", "any", "a list of commands")?;
    let path = fields.path_of("control");
    let items = items(fields.findings, node, &path).into_iter();
    let commands = items.filter_map(|node| {
        let error = match node.shape() {
            node::NodeShape::NamedParens("NotFound") => Some(ControlError::NotFound),
            node::NodeShape::NamedParens("Denied") => Some(ControlError::Denied),
            node::NodeShape::NamedParens("Busy") => Some(ControlError::Busy),
            _ => None,
        };
        let node = match (&error, node.body().items().as_deref()) {
            (Some(_), Some([command])) => *command,
            _ => node,
        };
        Some(CaseCommand {
            pattern: pattern(fields.findings, node, &path, shapes::CONTROL)?,
            result: error.map_or(Ok(()), Err),
        })
    });
    Some(commands.collect())
}

fn wait(findings: &mut Findings, node: Node<'_>, path: &str) -> Option<Duration> {
    let text = match node.body().items().as_deref() {
        Some([value]) => value.scalar::<String>(),
        _ => None,
    };
    let time = text.and_then(|text| parse_duration(&text).ok());
    if time.is_none() {
        findings.expected(
            node,
            path,
            "a duration, like Wait(\"10 s\") or Wait(time: \"10 s\", http: [])",
        );
    }
    time
}

/// What a question is about, for the step's title.
fn asked(question: &Question) -> String {
    match question {
        Question::Connect(request) | Question::Authenticate(request) => match &request.instance {
            Some(instance) => format!(" \"{}/{instance}\"", request.app),
            None => format!(" {:?}", request.app),
        },
        Question::Credential(request) => format!(" {:?}", request.user),
        Question::Publish(request) | Question::Play(request) => format!(" {:?}", request.name),
        Question::Call(request) => format!(" {:?}", request.method),
        Question::SharedObject(request) => format!(" {:?}", request.name),
    }
}

/// The same of an event.
fn happened(event: &Event) -> String {
    match event {
        Event::Published(info)
        | Event::Ready(info)
        | Event::Unpublished(info, _)
        | Event::Recorded(info, ..) => format!(" {:?}", info.name),
        Event::PlayEnded(request, _) => format!(" {:?}", request.name),
        Event::Disconnected(..) => String::new(),
        Event::RelayUp(relay) | Event::RelayFailed(relay, _) | Event::RelayEnded(relay, _) => {
            format!(" {:?}", relay.name)
        }
    }
}

/// The question of a step, and what its answer may look like. None: it is no question.
fn question(
    fields: &mut Fields<'_, '_>,
    name: &str,
    app: &str,
    client: &Client,
) -> Option<(Question, &'static [EventShape])> {
    let client = client.clone();
    Some(match name {
        "Connect" => {
            let question = OnConnect::new(connect(fields, app, client));
            (question.into(), shapes::CONNECT)
        }
        "Publish" => {
            let question = OnPublish::new(request(fields, app, client));
            (question.into(), shapes::PUBLISH)
        }
        "Play" => {
            let question = OnPlay::new(request(fields, app, client));
            (question.into(), shapes::PLAY)
        }
        "Call" => {
            let method = string(fields, "method", "");
            let args = fields.take("args", "[]", "values");
            let path = fields.path_of("args");
            let args = args.map(|node| values(fields.findings, node, &path));
            let question = OnCall::new(CallRequest {
                client,
                method,
                amf0: amf0::encode_all(&args.unwrap_or_default()),
            });
            (question.into(), shapes::CALL)
        }
        "Authenticate" => {
            let question = OnAuthenticate::new(connect(fields, app, client));
            (question.into(), shapes::AUTHENTICATE)
        }
        "Credential" => {
            let user = string(fields, "user", "ann");
            let connect = connect(fields, app, client).into();
            let question = OnCredential::new(CredentialRequest { connect, user });
            (question.into(), shapes::CREDENTIAL)
        }
        "SharedObject" => {
            let question = OnSharedObject::new(shared_object(fields, app, client));
            (question.into(), shapes::SHARED_OBJECT)
        }
        _ => return None,
    })
}

fn connect(fields: &mut Fields<'_, '_>, app: &str, client: Client) -> ConnectRequest {
    ConnectRequest {
        client,
        local: string(fields, "local", "0.0.0.0:1935"),
        app: app.to_owned(),
        instance: optional(fields, "instance"),
        query: pairs(fields, "query"),
        tc_url: string(fields, "tc_url", &format!("rtmp://media.example/{app}")),
        flash_ver: string(fields, "flash_ver", "FMLE/3.0 (compatible; FMSc/1.0)"),
        props: props(fields),
        extra: pairs(fields, "extra"),
    }
}

fn props(fields: &mut Fields<'_, '_>) -> Vec<(String, Scalar)> {
    let Some(node) = fields.take("props", "{}", "{\"key\": value}") else {
        return Vec::new();
    };
    let path = fields.path_of("props");
    let entries = entries(fields.findings, node, &path).into_iter();
    entries
        .map(|(key, node)| {
            let scalar = match node.shape() {
                node::NodeShape::Text => node.scalar().map(Scalar::Text),
                node::NodeShape::Number => node.scalar().map(Scalar::Number),
                node::NodeShape::Bool => node.scalar().map(Scalar::Boolean),
                node::NodeShape::Word("None") => Some(Scalar::Null),
                _ => None,
            };
            let scalar = scalar.unwrap_or_else(|| {
                let expected = "a text, a number, true, false or None";
                fields.findings.expected(node, &path, expected);
                Scalar::Null
            });
            (key, scalar)
        })
        .collect()
}

pub(super) fn request(fields: &mut Fields<'_, '_>, app: &str, client: Client) -> StreamRequest {
    let name = string(fields, "name", "cam1");
    let query = pairs(fields, "query");
    let sent = match query.as_slice() {
        [] => name.clone(),
        query => {
            let query = query.iter().map(|(key, value)| format!("{key}={value}"));
            format!("{name}?{}", query.collect::<Vec<_>>().join("&"))
        }
    };
    StreamRequest {
        client,
        app: app.to_owned(),
        instance: optional(fields, "instance"),
        raw_name: string(fields, "raw_name", &sent),
        name,
        query,
        mode: string(fields, "mode", "live"),
        start_seconds: fields
            .take("start_seconds", "None", "seconds")
            .and_then(|node| {
                let seconds = node.scalar();
                if seconds.is_none() {
                    let path = fields.path_of("start_seconds");
                    fields.findings.expected(node, &path, "a number of seconds");
                }
                seconds
            }),
        extra: pairs(fields, "extra"),
    }
}

/// AMF0 values: numbers, texts, `true`, `false`, `None`, lists and maps.
pub(super) fn values(findings: &mut Findings, node: Node<'_>, path: &str) -> Vec<amf0::Value> {
    let items = items(findings, node, path).into_iter();
    items.map(|node| value(findings, node, path)).collect()
}

fn value(findings: &mut Findings, node: Node<'_>, path: &str) -> amf0::Value {
    let found = match node.shape() {
        node::NodeShape::Text => node.scalar().map(amf0::Value::String),
        node::NodeShape::Number => node.scalar().map(amf0::Value::Number),
        node::NodeShape::Bool => node.scalar().map(amf0::Value::Boolean),
        node::NodeShape::Word("None") => Some(amf0::Value::Null),
        node::NodeShape::List => Some(amf0::Value::StrictArray(values(findings, node, path))),
        node::NodeShape::Map => {
            let entries = entries(findings, node, path).into_iter();
            let entries = entries.map(|(key, node)| (key, value(findings, node, path)));
            Some(amf0::Value::Object(entries.collect()))
        }
        _ => None,
    };
    found.unwrap_or_else(|| {
        let expected = "a number, a text, true, false, None, a list or a map";
        findings.expected(node, path, expected);
        amf0::Value::Null
    })
}

fn patterns(
    fields: &mut Fields<'_, '_>,
    name: &'static str,
    shapes: &[EventShape],
) -> Option<Vec<TextPattern>> {
    let node = fields.take(name, "any", "a list of patterns")?;
    let path = fields.path_of(name);
    let items = items(fields.findings, node, &path).into_iter();
    let patterns = items.filter_map(|node| pattern(fields.findings, node, &path, shapes));
    Some(patterns.collect())
}

/// `http: [(method: ..., url: ..., answer: (status: 200, ...))]`
fn exchanges(fields: &mut Fields<'_, '_>) -> Vec<Exchange> {
    let Some(node) = fields.take("http", "[]", "requests with their answers") else {
        return Vec::new();
    };
    let path = fields.path_of("http");
    let items = items(fields.findings, node, &path).into_iter().enumerate();
    items
        .map(|(index, node)| {
            let path = format!("{path}[{index}]");
            Fields::read(fields.findings, path, "Request", Some(node), exchange)
        })
        .collect()
}

fn exchange(fields: &mut Fields<'_, '_>) -> Exchange {
    let answer = fields.take("answer", "status 200", "(status: 200) or a failure");
    let path = fields.path_of("answer");
    let answer = match answer {
        Some(node) => self::answer(fields.findings, node, path),
        None => Ok(response(200)),
    };
    let after = fields.duration("after", Duration::ZERO, Duration::ZERO..=LONGEST);
    let shape = shapes::HTTP_REQUEST;
    let request = TextPattern {
        variant: shape.name,
        fields: super::read::wants(fields, shape.fields),
    };
    Exchange {
        request,
        answer,
        after,
    }
}

fn response(status: u16) -> HttpResponse {
    HttpResponse {
        status,
        headers: Vec::new(),
        body: Vec::new(),
    }
}

fn answer(
    findings: &mut Findings,
    node: Node<'_>,
    path: String,
) -> Result<HttpResponse, HttpFailure> {
    let reason = |findings: &mut Findings| match node.body().items().as_deref() {
        Some([value]) => text_of(findings, *value, &path),
        _ => String::new(),
    };
    Err(match node.shape() {
        node::NodeShape::Word("Denied") => HttpFailure::Denied,
        node::NodeShape::Word("Timeout") => HttpFailure::Timeout,
        node::NodeShape::Word("TooLarge") => HttpFailure::TooLarge,
        node::NodeShape::NamedParens("Connect") => HttpFailure::Connect(reason(findings)),
        node::NodeShape::NamedParens("Protocol") => HttpFailure::Protocol(reason(findings)),
        node::NodeShape::Parens => {
            return Ok(Fields::read(
                findings,
                path,
                "Response",
                Some(node),
                |fields| HttpResponse {
                    headers: pairs(fields, "headers"),
                    body: body(fields),
                    ..response(fields.number("status", 200, 100..=999))
                },
            ));
        }
        _ => {
            let expected = "(status: 200), Denied, Timeout, TooLarge, Connect(\"why\") \
                            or Protocol(\"why\")";
            findings.expected(node, &path, expected);
            HttpFailure::Timeout
        }
    })
}

fn body(fields: &mut Fields<'_, '_>) -> Vec<u8> {
    let Some(node) = fields.take("body", "\"\"", "a text, bytes or Json(...)") else {
        return Vec::new();
    };
    let path = fields.path_of("body");
    match super::read::text_want(fields.findings, node, &path) {
        TextWant::Is(bytes) => bytes,
        TextWant::Json(json) => json.to_string().into_bytes(),
        TextWant::Contains(_) | TextWant::Absent => {
            fields
                .findings
                .expected(node, &path, "a text, bytes or Json(...)");
            Vec::new()
        }
    }
}
