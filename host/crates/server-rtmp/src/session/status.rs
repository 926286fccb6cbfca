//! What RTMP says of a refusal: the one place where its status codes meet what
//! happened. docs/plugins.md has the table.

use std::fmt;

use livehost_app::refusal::{Refusal, RefusalKind};

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Connect,
    Publish,
    Play,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Publish => "publish",
            Self::Play => "play",
        })
    }
}

/// The status code of what is refused or ended. A plugin's own stands as it is.
pub(super) fn code(command: Asked, refusal: &Refusal) -> &str {
    refusal
        .code
        .as_deref()
        .unwrap_or(usual(command, refusal.kind))
}

/// The status level of a stream that the server ends.
pub(super) fn level(kind: RefusalKind) -> &'static str {
    match kind {
        RefusalKind::Expired => "status",
        _ => "error",
    }
}

fn usual(command: Asked, kind: RefusalKind) -> &'static str {
    use RefusalKind as Kind;
    match command {
        Asked::Connect => match kind {
            Kind::BadName => "NetConnection.Connect.InvalidApp",
            _ => "NetConnection.Connect.Rejected",
        },
        Asked::Publish => match kind {
            Kind::BadName
            | Kind::Unusable
            | Kind::Loop
            | Kind::Busy
            | Kind::Replaced
            | Kind::Stopped => "NetStream.Publish.BadName",
            Kind::Silent => "NetStream.Publish.Idle",
            _ => "NetStream.Publish.Denied",
        },
        Asked::Play => match kind {
            Kind::BadName | Kind::NotFound => "NetStream.Play.StreamNotFound",
            Kind::Expired => "NetStream.Play.Stop",
            Kind::TooSlow => "NetStream.Play.InsufficientBW",
            _ => "NetStream.Play.Failed",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/plugins.md has a row for each kind; a kind without one is found by the
    /// compiler, here.
    #[test]
    fn the_table_says_what_clients_are_told() {
        use RefusalKind as Kind;
        let name = |kind| match kind {
            Kind::BadName => "BadName",
            Kind::Unauthenticated => "Unauthenticated",
            Kind::Denied => "Denied",
            Kind::Unavailable => "Unavailable",
            Kind::Unusable => "Unusable",
            Kind::Loop => "Loop",
            Kind::Busy => "Busy",
            Kind::TooMany => "TooMany",
            Kind::NotFound => "NotFound",
            Kind::Expired => "Expired",
            Kind::Silent => "Silent",
            Kind::TooFast => "TooFast",
            Kind::TooSlow => "TooSlow",
            Kind::Replaced => "Replaced",
            Kind::Stopped => "Stopped",
        };
        let all = [
            Kind::BadName,
            Kind::Unauthenticated,
            Kind::Denied,
            Kind::Unavailable,
            Kind::Unusable,
            Kind::Loop,
            Kind::Busy,
            Kind::TooMany,
            Kind::NotFound,
            Kind::Expired,
            Kind::Silent,
            Kind::TooFast,
            Kind::TooSlow,
            Kind::Replaced,
            Kind::Stopped,
        ];
        let page = include_str!("../../../../../docs/plugins.md");
        let section = page.split_once("### The code of a refusal").unwrap().1;
        let section = section.split_once("\n### ").unwrap().0;
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        let rows: Vec<_> = rows.map(|row| row.split('`').collect::<Vec<_>>()).collect();
        assert_eq!(rows.len(), all.len());
        let commands = [
            (Asked::Connect, "NetConnection.Connect."),
            (Asked::Publish, "NetStream.Publish."),
            (Asked::Play, "NetStream.Play."),
        ];
        for (row, kind) in rows.iter().zip(all) {
            assert_eq!(row[1], name(kind));
            for (at, (command, prefix)) in commands.into_iter().enumerate() {
                let told = code(command, &Refusal::new(kind, "")).to_owned();
                assert_eq!(told, format!("{prefix}{}", row[3 + 2 * at]), "{row:?}");
            }
        }
    }

    #[test]
    fn a_plugins_code_is_told_as_it_is() {
        let refusal = Refusal {
            code: Some("NetStream.Own".to_owned()),
            ..Refusal::new(RefusalKind::Denied, "")
        };
        assert_eq!(code(Asked::Play, &refusal), "NetStream.Own");
    }
}
