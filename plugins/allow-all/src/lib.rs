//! Accepts everybody: connections, publishers, players.
//!
//! Its one setting is what happens when a name already has a publisher; see
//! README.md.

use livehost_sdk::{App, DuplicateRule, PublishDecision, PublishGrant, StreamRequest};

#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    on_duplicate: OnDuplicate,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnDuplicate {
    #[default]
    Reject,
    Replace,
    Standby,
}

struct AllowAll {
    on_duplicate: DuplicateRule,
}

impl App for AllowAll {
    fn configure(config: &str) -> Result<Self, String> {
        let config: Config = livehost_sdk::parse_config(config)?;
        Ok(Self {
            on_duplicate: match config.on_duplicate {
                OnDuplicate::Reject => DuplicateRule::Reject,
                OnDuplicate::Replace => DuplicateRule::Replace,
                OnDuplicate::Standby => DuplicateRule::Standby,
            },
        })
    }

    fn on_publish(&self, _req: &StreamRequest) -> PublishDecision {
        PublishGrant::default()
            .on_duplicate(self.on_duplicate)
            .into()
    }
}

livehost_sdk::export!(only AllowAll);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_duplicate_rule_comes_from_the_configuration() {
        let rule = |json: &str| AllowAll::configure(json).map(|app| app.on_duplicate);
        assert_eq!(rule("{}"), Ok(DuplicateRule::Reject));
        assert_eq!(rule(""), Ok(DuplicateRule::Reject));
        assert_eq!(
            rule(r#"{"on_duplicate": "standby"}"#),
            Ok(DuplicateRule::Standby)
        );
    }

    #[test]
    fn unknown_settings_are_refused_by_name() {
        let Err(error) = AllowAll::configure(r#"{"on_duplicates": "reject"}"#) else {
            panic!("accepted");
        };
        assert!(error.contains("unknown field `on_duplicates`"), "{error}");
        let Err(error) = AllowAll::configure(r#"{"on_duplicate": "kick"}"#) else {
            panic!("accepted");
        };
        assert!(error.contains("`replace`"), "{error}");
    }
}
