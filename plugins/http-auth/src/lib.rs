//! Asks an HTTP back end who may connect, publish and play, in the words of
//! the server it was written for.
//!
//! Flows in: requests and events. Flows out: HTTP requests in one of three
//! shapes, and decisions made of the answers. README.md lists both.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod backend;
mod call;
mod config;
mod encode;
mod shape;

use std::time::Duration;

use backend::{Answer, Backend};
use call::{Call, Connection, Kind};
use livehost_sdk::{
    App, Client, ConnectDecision, ConnectRequest, PlayDecision, PlayGrant, PublishDecision,
    PublishGrant, Rejection, SessionEnd, StreamInfo, StreamRequest, accept,
};
use plugin_common::{Host, Live};
use shape::Verdict;

/// How long a publisher's own words are kept for the notification of its end.
const PUBLISHED_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

struct HttpAuth {
    backend: Backend,
    host: Host,
}

impl HttpAuth {
    fn new(config: &str, host: Host) -> Result<Self, String> {
        let config = config::Config::read(config)?;
        let backend = Backend::new(config, host.clone());
        Ok(Self { backend, host })
    }

    fn notify(&self, kind: Kind, call: &Call<'_>) {
        self.backend.notify(kind, call);
    }
}

impl App for HttpAuth {
    fn configure(config: &str) -> Result<Self, String> {
        Self::new(config, Live::host())
    }

    fn on_connect(&self, req: &ConnectRequest) -> ConnectDecision {
        let connection = Connection::of(req);
        let mut call = Call::of_client(&req.client, &connection);
        call.app = call::app(&req.app, req.instance.as_deref());
        match self.backend.ask(Kind::Connect, &call) {
            Answer::Verdict(Verdict::Allow) => connection.grant().into(),
            Answer::Verdict(Verdict::Elsewhere(to)) if to.contains("://") => {
                ConnectDecision::Redirect(to)
            }
            // Another application of this server.
            Answer::Verdict(Verdict::Elsewhere(app)) => {
                ConnectDecision::Redirect(call::with_app(&req.tc_url, &app))
            }
            Answer::Verdict(Verdict::Deny(why)) => Rejection::new(why).into(),
            Answer::Failed => unavailable().into(),
        }
    }

    fn on_publish(&self, req: &StreamRequest) -> PublishDecision {
        let connection = Connection::kept(&req.client);
        let call = Call::of_stream(req, &connection);
        let mut grant =
            PublishGrant::default().on_duplicate(self.backend.config.on_duplicate.into());
        match self.backend.ask(Kind::Publish, &call) {
            Answer::Verdict(Verdict::Allow) => {}
            Answer::Verdict(Verdict::Elsewhere(url)) if url.contains("://") => {
                grant = grant.forward(url);
            }
            Answer::Verdict(Verdict::Elsewhere(name)) => grant = grant.name(name),
            Answer::Verdict(Verdict::Deny(why)) => {
                return Rejection::new(why).code("NetStream.Publish.Denied").into();
            }
            Answer::Failed => return unavailable().code("NetStream.Publish.Denied").into(),
        }
        if self.backend.notifies(Kind::PublishDone) || self.backend.notifies(Kind::Done) {
            let name = grant.name.as_ref().unwrap_or(&req.name);
            let key = call::published_key(&req.client, name);
            let words = format!("{}\n{}", req.name, call.args);
            self.host.set(&key, words.as_bytes(), PUBLISHED_TTL);
        }
        grant.into()
    }

    fn on_play(&self, req: &StreamRequest) -> PlayDecision {
        let connection = Connection::kept(&req.client);
        let call = Call::of_stream(req, &connection);
        match self.backend.ask(Kind::Play, &call) {
            Answer::Verdict(Verdict::Allow) => accept(),
            Answer::Verdict(Verdict::Elsewhere(url)) if url.contains("://") => {
                PlayGrant::default().pull_from(url).into()
            }
            Answer::Verdict(Verdict::Elsewhere(name)) => PlayGrant::default().name(name).into(),
            Answer::Verdict(Verdict::Deny(why)) => Rejection::new(why).into(),
            Answer::Failed => unavailable().into(),
        }
    }

    fn on_unpublished(&self, info: &StreamInfo, end: &SessionEnd) {
        let key = call::published_key(&info.publisher, &info.name);
        let words = self.host.get(&key);
        let words = words.and_then(|bytes| String::from_utf8(bytes).ok());
        let (name, args) = match words.as_deref().and_then(|words| words.split_once('\n')) {
            Some((name, args)) => (name.to_owned(), args.to_owned()),
            None => (info.name.clone(), String::new()),
        };
        let connection = Connection::kept(&info.publisher);
        let call = Call {
            app: call::app(&info.app, info.instance.as_deref()),
            name,
            args,
            end: Some(end),
            ..Call::of_client(&info.publisher, &connection)
        };
        self.notify(Kind::PublishDone, &call);
        self.notify(Kind::Done, &call);
        if words.is_some() {
            self.host.delete(&key);
        }
    }

    fn on_play_ended(&self, req: &StreamRequest, end: &SessionEnd) {
        let connection = Connection::kept(&req.client);
        let call = Call {
            end: Some(end),
            ..Call::of_stream(req, &connection)
        };
        self.notify(Kind::PlayDone, &call);
        self.notify(Kind::Done, &call);
    }

    fn on_disconnected(&self, who: &Client, end: &SessionEnd) {
        let connection = Connection::kept(who);
        let call = Call {
            app: connection.app.clone(),
            end: Some(end),
            ..Call::of_client(who, &connection)
        };
        self.notify(Kind::Disconnect, &call);
    }
}

/// The back end gave no answer that could be used.
fn unavailable() -> Rejection {
    Rejection::new("the server that decides about this gives no answer, try again")
        .retry_after(Duration::from_secs(5))
}

livehost_sdk::export!(HttpAuth);

#[cfg(test)]
mod tests;
