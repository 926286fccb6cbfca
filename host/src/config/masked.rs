//! What a configuration says, for people: as JSON, without what may be a secret.
//!
//! Flows in: the file's text as values. Flows out: the same with [`STARS`] for the
//! texts and numbers of plugins' settings, for URLs of other servers, which may hold
//! keys, and for hashes of tokens.

use livehost_telemetry::secrets::STARS;
use serde_json::Value;

/// Fields whose every text and number is hidden, wherever they are.
const HIDDEN: [&str; 6] = ["config", "from", "to", "sha256", "allow", "headers"];

/// `value` with stars.
pub(super) fn masked(mut value: Value) -> Value {
    mask(&mut value, false);
    value
}

fn mask(value: &mut Value, is_hidden: bool) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                mask(value, is_hidden || HIDDEN.contains(&name.as_str()));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, is_hidden)),
        Value::String(_) | Value::Number(_) if is_hidden => *value = STARS.into(),
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
                "config": {"keys": {"cam": "s3cret"}, "pin": 1234, "open": true},
                "pull": [{"name": "cam", "from": "rtmp://u:s3cret@h/a/b"}],
                "forward": [{"to": "rtmp://h/a/s3cret"}],
            }},
            "api": {"tokens": {"ops": {"sha256": "ab", "scopes": ["Read"]}}},
        }));
        let text = shown.to_string();
        assert!(!text.contains("s3cret") && !text.contains("1234"), "{text}");
        assert_eq!(shown["applications"]["live"]["plugin"], "p.wasm");
        assert_eq!(shown["applications"]["live"]["config"]["open"], true);
        assert_eq!(shown["api"]["tokens"]["ops"]["sha256"], STARS);
        assert_eq!(shown["api"]["tokens"]["ops"]["scopes"][0], "Read");
    }
}
