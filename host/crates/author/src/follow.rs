//! What follows from a step of a case, as it would in a server: clients and
//! streams come into the registry and go, and the plugin hears of streams.
//!
//! A publish that is granted is in the registry from then on, and the plugin
//! hears `on-published` with it. Codecs and the end come with the steps `Ready`
//! and `Unpublished`, or with the client's `Disconnected`.

use std::time::Duration;

use livehost_policy::{
    Answer, Client, ConnectDecision, DuplicateRule, Event, PublishDecision, PublishGrant, Question,
    SessionEnd, StreamInfo, StreamRequest,
};

use super::stage::{Stage, full_name};

/// The event with what the registry knows of its stream. The error says that
/// the plugin was told of it already.
pub(super) fn known(stage: &Stage, mut event: Event) -> Result<Event, String> {
    match &mut event {
        Event::Published(info) if stage.was_granted(&full_name(info)) => Err(format!(
            "{:?} is live, and the plugin was told so when it was granted",
            full_name(info)
        )),
        Event::Ready(info) | Event::Unpublished(info, _) => {
            if let Some(live) = stage.stream(&full_name(info)) {
                *info = StreamInfo {
                    video: info.video.take().or(live.video),
                    audio: info.audio.take().or(live.audio),
                    ..live
                };
            }
            Ok(event)
        }
        _ => Ok(event),
    }
}

/// What the plugin hears before this: whoever leaves ends its streams first.
pub(super) fn before(stage: &Stage, event: &Event) -> Vec<Event> {
    let Event::Disconnected(who, end) = event else {
        return Vec::new();
    };
    let streams = stage.streams_of(who.conn).into_iter();
    let ended = streams.map(|info| {
        stage.leave(&full_name(&info));
        Event::Unpublished(info, end.clone())
    });
    ended.collect()
}

/// The registry after the plugin has heard of `event`.
pub(super) fn heard(stage: &Stage, event: &Event) {
    match event {
        Event::Published(info) | Event::Ready(info) => {
            stage.enter(info.clone());
        }
        Event::Unpublished(info, _) => stage.leave(&full_name(info)),
        Event::Disconnected(who, _) => stage.leave_client(who.conn),
        _ => {}
    }
}

/// What follows from an answer at this time, and what the plugin hears of it.
pub(super) fn answered(
    stage: &Stage,
    question: &Question,
    answer: &Answer,
    now: Duration,
) -> Vec<Event> {
    match (question, answer) {
        (Question::Connect(request), Answer::Connect(ConnectDecision::Accept(grant))) => {
            let attrs = grant.attrs.clone();
            let client = request.client.clone();
            stage.enter_client(Client { attrs, ..client });
            Vec::new()
        }
        (Question::Publish(request), Answer::Publish(PublishDecision::Accept(grant))) => {
            published(stage, request, grant, now)
        }
        _ => Vec::new(),
    }
}

fn published(
    stage: &Stage,
    request: &StreamRequest,
    grant: &PublishGrant,
    now: Duration,
) -> Vec<Event> {
    let info = StreamInfo {
        id: 1,
        app: request.app.clone(),
        instance: request.instance.clone(),
        name: grant.name.clone().unwrap_or_else(|| request.name.clone()),
        publisher: request.client.clone(),
        video: None,
        audio: None,
        started_unix_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        bytes_in: 0,
        idle_ms: 0,
        kbps: 0,
        players: 0,
        extra: Vec::new(),
    };
    let mut events = Vec::new();
    if let Some(old) = stage.stream(&full_name(&info)) {
        // Else the newcomer is refused, or waits: there is no other stream.
        if grant.on_duplicate != DuplicateRule::Replace {
            return events;
        }
        let end = SessionEnd {
            reason: "replaced".into(),
            duration_ms: 0,
            bytes_in: old.bytes_in,
            bytes_out: 0,
            frames_dropped: 0,
        };
        events.push(Event::Unpublished(old, end));
    }
    stage.granted(full_name(&info));
    events.push(Event::Published(stage.enter(info)));
    events
}
