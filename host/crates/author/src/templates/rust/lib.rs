//! The policy `{{name}}`: streams whose name begins as configured may publish.

use livehost_sdk::{
    App, PublishDecision, PublishGrant, StreamRequest, decide, export, kv, parse_config,
};

/// What `config.ron` may say: `config: {"prefix": "studio-"}`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    prefix: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            prefix: "studio-".into(),
        }
    }
}

struct Policy {
    config: Config,
}

export!(Policy);

impl App for Policy {
    fn configure(config: &str) -> Result<Self, String> {
        let config = parse_config(config)?;
        Ok(Self { config })
    }

    fn on_publish(&self, req: &StreamRequest) -> PublishDecision {
        decide(|| {
            let prefix = &self.config.prefix;
            if !req.name.starts_with(prefix) {
                return Err(format!("only {prefix}* may publish").into());
            }
            // State belongs to the host: this instance may be gone tomorrow.
            kv::incr(&format!("publishes/{}", req.name), 1, None)?;
            Ok(PublishGrant::default())
        })
    }
}

#[cfg(test)]
mod tests {
    use livehost_sdk::testing::{self, MockHost};

    use super::*;

    #[test]
    fn only_the_prefix_may_publish() {
        let host = MockHost::new();
        let policy = Policy::configure("{}").unwrap();
        let yes = policy.on_publish(&testing::request("studio-1"));
        assert!(matches!(yes, PublishDecision::Accept(_)));
        assert_eq!(host.kv("publishes/studio-1").as_deref(), Some("1"));
        let no = policy.on_publish(&testing::request("cam1"));
        assert!(matches!(no, PublishDecision::Reject(r) if r.description.contains("studio-")));
    }

    #[test]
    fn unknown_settings_are_refused() {
        assert!(Policy::configure(r#"{"prefixes": "x"}"#).is_err());
    }
}
