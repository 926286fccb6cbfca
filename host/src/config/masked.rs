//! What a configuration says, for people: as JSON, without what may be a secret.
//!
//! Flows in: the file's text as values. Flows out: the same with [`STARS`] for plugins'
//! settings as a whole, since names of theirs may be keys, too; for URLs of other
//! servers, and for hashes of tokens.

use livehost_telemetry::secrets::STARS;
use serde_json::Value;

/// Sections that have secrets.
const SECTIONS: [&str; 2] = ["applications", "api"];
/// Their fields that are hidden, wherever they are.
const HIDDEN: [&str; 6] = ["config", "from", "to", "sha256", "allow", "headers"];

/// `value` with stars.
pub(super) fn masked(mut value: Value) -> Value {
    for section in SECTIONS {
        value.get_mut(section).into_iter().for_each(mask);
    }
    value
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match HIDDEN.contains(&name.as_str()) {
                    true => *value = STARS.into(),
                    false => mask(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_of_plugins_urls_and_hashes_are_hidden() {
        let shown = masked(json!({
            "applications": {"live": {
                "plugin": "p.wasm",
                "config": {"keys": {"s3cret": "cam"}, "pin": 1234, "open": true},
                "pull": [{"name": "cam", "from": "rtmp://u:s3cret@h/a/b"}],
                "forward": [{"to": "rtmp://h/a/s3cret"}],
            }},
            "log": {"to": "File"},
            "api": {"tokens": {"ops": {"sha256": "ab", "scopes": ["Read"]}}},
        }));
        let text = shown.to_string();
        assert!(!text.contains("s3cret") && !text.contains("1234"), "{text}");
        assert_eq!(shown["applications"]["live"]["plugin"], "p.wasm");
        assert_eq!(shown["applications"]["live"]["config"], STARS);
        assert_eq!(shown["log"]["to"], "File");
        assert_eq!(shown["api"]["tokens"]["ops"]["sha256"], STARS);
        assert_eq!(shown["api"]["tokens"]["ops"]["scopes"][0], "Read");
    }
}
