//! Reads how an application's shared objects are treated.
//!
//! Flows in: the fields of an application's `shared_objects`. Flows out: the
//! settings of its objects; what is wrong goes to the fields' findings.

use livehost_app::shared_objects::{Access, ObjectSettings};
use livehost_ron::reader::Fields;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

pub(super) fn shared_objects(fields: &mut Fields<'_, '_>) -> ObjectSettings {
    let default = ObjectSettings::default();
    let words = [("Deny", Access::Deny), ("Allow", Access::Allow)];
    ObjectSettings {
        access: fields.choice("access", default.access, &words),
        objects: fields.number("objects", default.objects, 1..=1_000_000),
        per_connection: fields.number("per_connection", default.per_connection, 1..=1024),
        clients: fields.number("clients", default.clients, 1..=100_000),
        properties: fields.number("properties", default.properties, 1..=100_000),
        bytes: fields.size("bytes", default.bytes, KIB..=8 * MIB),
        queue: fields.size("queue", default.queue, 64 * KIB..=64 * MIB),
        kept: fields.size("kept", default.kept, 0..=4 * GIB),
    }
}
