//! Reads what an event of a case is about.

use livehost_policy::{Client, Event, Recording, Relay, RelayFailure, SessionEnd, StreamInfo};
use livehost_ron::node;
use livehost_ron::reader::{Fields, SettingsReader as _};

use super::read::{optional, pairs, stream, string};
use super::step::request;

/// The event of the step `name`.
pub(super) fn read(fields: &mut Fields<'_, '_>, name: &str, app: &str, who: Client) -> Event {
    match name {
        "Published" => Event::Published(info(fields, app, &who)),
        "Ready" => Event::Ready(info(fields, app, &who)),
        "Unpublished" => Event::Unpublished(info(fields, app, &who), end(fields)),
        "PlayEnded" => Event::PlayEnded(request(fields, app, who), end(fields)),
        "Disconnected" => Event::Disconnected(who, end(fields)),
        "RelayUp" => Event::RelayUp(relay(fields, app)),
        "RelayFailed" => {
            let relay = relay(fields, app);
            let failure = fields.section("failure", "Failure", |fields| RelayFailure {
                reason: string(fields, "reason", "the server closed the connection"),
                up_ms: millis(fields, "up_ms"),
                retry_ms: millis(fields, "retry_ms"),
            });
            Event::RelayFailed(relay, failure)
        }
        "RelayEnded" => {
            let relay = relay(fields, app);
            Event::RelayEnded(relay, string(fields, "reason", "unpublished"))
        }
        _ => {
            let info = info(fields, app, &who);
            let file = fields.section("file", "Recording", |fields| Recording {
                container: string(fields, "container", "flv"),
                path: string(fields, "path", "cam1.flv"),
                split_seconds: None,
            });
            let bytes = fields.number("bytes", 0, 0..=u64::MAX);
            let duration_ms = fields.number("duration_ms", 0, 0..=u64::MAX);
            Event::Recorded(info, file, bytes, duration_ms)
        }
    }
}

fn info(fields: &mut Fields<'_, '_>, app: &str, who: &Client) -> StreamInfo {
    fields.section("stream", "Stream", |fields| stream(fields, app, who))
}

fn end(fields: &mut Fields<'_, '_>) -> SessionEnd {
    fields.section("end", "End", |fields| SessionEnd {
        reason: string(fields, "reason", "eof"),
        duration_ms: fields.number("duration_ms", 0, 0..=u64::MAX),
        bytes_in: fields.number("bytes_in", 0, 0..=u64::MAX),
        bytes_out: fields.number("bytes_out", 0, 0..=u64::MAX),
        frames_dropped: fields.number("frames_dropped", 0, 0..=u64::MAX),
    })
}

fn relay(fields: &mut Fields<'_, '_>, app: &str) -> Relay {
    fields.section("relay", "Relay", |fields| Relay {
        conn: fields.number("conn", 9, 0..=u64::MAX),
        app: app.to_owned(),
        instance: optional(fields, "instance"),
        name: string(fields, "name", "cam1"),
        direction: string(fields, "direction", "push"),
        target: string(fields, "target", "rtmp://backup.example:1935/live"),
        attempt: fields.number("attempt", 1, 0..=u32::MAX),
        extra: pairs(fields, "extra"),
    })
}

fn millis(fields: &mut Fields<'_, '_>, name: &'static str) -> Option<u64> {
    let node = fields.take(name, "None", "milliseconds")?;
    let millis = node.scalar();
    if millis.is_none() && node.shape() != node::NodeShape::Word("None") {
        let path = fields.path_of(name);
        fields
            .findings
            .expected(node, &path, "a whole number of milliseconds, or None");
    }
    millis
}
