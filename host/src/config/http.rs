//! Reads where an application's plugin may send HTTP requests.
//!
//! Flows in: the fields of an application's `http`. Flows out: the settings of
//! its client; what is wrong goes to the fields' findings.

use std::time::Duration;

use livehost_net::outbound::{AllowList, HttpSettings, Pattern};
use livehost_ron::{node::Shape, reader::Fields};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

pub(super) fn http(fields: &mut Fields<'_, '_>) -> HttpSettings {
    let default = HttpSettings::default();
    HttpSettings {
        allow: allow(fields),
        private: fields.flag("private", default.private),
        requests: fields.number("requests", default.requests, 1..=1024),
        response_bytes: fields.size("response", default.response_bytes, KIB..=16 * MIB),
        connect: fields.duration(
            "connect",
            default.connect,
            Duration::from_millis(10)..=Duration::from_secs(30),
        ),
    }
}

fn allow(fields: &mut Fields<'_, '_>) -> AllowList {
    let mut allow = Vec::new();
    let allowed = "URLs like \"https://example.com/hooks/*\"";
    let Some(node) = fields.take("allow", "[]", allowed) else {
        return AllowList::default();
    };
    let path = fields.path_of("allow");
    let Some(items) = node.items().filter(|_| node.shape() == Shape::List) else {
        let expected = "a list of URLs, like [\"https://example.com/hooks/*\"]";
        fields.findings.expected(node, &path, expected);
        return AllowList::default();
    };
    for item in items {
        let Some(text) = item.scalar::<String>() else {
            let expected = "a URL in quotes, like \"https://example.com/hooks/*\"";
            fields.findings.expected(item, &path, expected);
            continue;
        };
        match Pattern::parse(&text) {
            Ok(pattern) => allow.push(pattern),
            // Not what was found: there may be a password in it.
            Err(error) => fields
                .findings
                .problem(item.span(), &path, error.to_string()),
        }
    }
    AllowList::new(allow)
}
