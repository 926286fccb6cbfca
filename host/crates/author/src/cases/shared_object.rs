//! Reads what a client does with a shared object.

use livehost_policy::{Client, ObjectOperation, ObjectRequest};
use livehost_ron::reader::{Fields, SettingsReader as _};
use livehost_wire::amf0;

use super::read::{optional, string};
use super::step::values;

const WORDS: [(&str, &str); 5] = [
    ("Connect", "connect"),
    ("Set", "set"),
    ("Remove", "remove"),
    ("Clear", "clear"),
    ("Send", "send"),
];

/// `name: "room", operation: Set, property: "x", values: [1.0]`
pub(super) fn shared_object(
    fields: &mut Fields<'_, '_>,
    app: &str,
    client: Client,
) -> ObjectRequest {
    let word = fields.choice("operation", "connect", &WORDS);
    let property = string(fields, "property", "");
    let node = fields.take("values", "[]", "values");
    let path = fields.path_of("values");
    let values = node.map(|node| values(fields.findings, node, &path));
    let amf0 = amf0::encode_all(&values.unwrap_or_default());
    ObjectRequest {
        client,
        app: app.to_owned(),
        instance: optional(fields, "instance"),
        name: string(fields, "name", "room"),
        persistent: fields.flag("persistent", false),
        operation: match word {
            "set" => ObjectOperation::Set(property, amf0),
            "remove" => ObjectOperation::Remove(property),
            "clear" => ObjectOperation::Clear,
            "send" => ObjectOperation::Send(amf0),
            _ => ObjectOperation::Connect,
        },
    }
}
