//! The shapes of callbacks: calls in, HTTP requests out; answers in, verdicts
//! out.

mod mediamtx;
mod nginx_rtmp;
mod srs;

use livehost_sdk::http_client::Response;

use crate::call::{Call, Kind};
use crate::config::Config;

/// Whose callbacks the back end understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    NginxRtmp,
    Srs,
    #[serde(rename = "mediamtx")]
    MediaMtx,
}

/// A request without what all have in common.
#[derive(Debug, PartialEq, Eq)]
pub struct Content {
    pub content_type: &'static str,
    pub text: String,
}

/// What the back end decided.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Verdict {
    Allow,
    /// With another name, or at another URL.
    Elsewhere(String),
    /// With a text for the client.
    Deny(String),
}

impl Verdict {
    fn denied() -> Self {
        Self::Deny("the back end denies this".into())
    }
}

impl Shape {
    fn table(self) -> &'static [(&'static str, &'static [Kind])] {
        match self {
            Self::NginxRtmp => nginx_rtmp::HOOKS,
            Self::Srs => srs::HOOKS,
            Self::MediaMtx => mediamtx::HOOKS,
        }
    }

    /// What a hook of that server is called for.
    pub fn kinds(self, hook: &str) -> Option<&'static [Kind]> {
        let mut table = self.table().iter();
        table
            .find(|(name, _)| *name == hook)
            .map(|(_, kinds)| *kinds)
    }

    /// The hooks' names, for messages.
    pub fn hooks_listed(self) -> String {
        let names: Vec<&str> = self.table().iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    /// What the back end is sent.
    pub fn content(self, kind: Kind, call: &Call<'_>, config: &Config) -> Content {
        match self {
            Self::NginxRtmp => nginx_rtmp::content(kind, call),
            Self::Srs => srs::content(kind, call, config),
            Self::MediaMtx => mediamtx::content(kind, call),
        }
    }

    /// What the back end's answer means; an error is no decision.
    pub fn verdict(self, response: &Response) -> Result<Verdict, String> {
        // Any of these servers would refuse here, too; but it is the back end
        // that failed, not the client.
        if response.status >= 500 {
            return Err(format!("status {}", response.status));
        }
        match self {
            Self::NginxRtmp => nginx_rtmp::verdict(response),
            Self::Srs => srs::verdict(response),
            Self::MediaMtx => Ok(mediamtx::verdict(response)),
        }
    }
}
