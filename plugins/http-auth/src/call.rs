//! What is known when the back end is called, whatever the shape.

use livehost_sdk::{Client, ConnectGrant, ConnectRequest, Scalar, SessionEnd, StreamRequest};

use crate::encode::query;

/// Longest text of a connection that is kept for later calls, in bytes.
const MAX_KEPT: usize = 2048;

/// What the back end is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Connect,
    Publish,
    Play,
    PublishDone,
    PlayDone,
    /// Either of the two above.
    Done,
    Disconnect,
}

/// What a client said when it connected. It is kept in the connection's
/// attributes, since back ends want it with every call.
#[derive(Debug, Default)]
pub struct Connection {
    pub app: String,
    pub tc_url: String,
    pub flash_ver: String,
    pub swf_url: String,
    pub page_url: String,
    /// The query behind the application's name.
    pub args: String,
}

impl Connection {
    /// Of a connect.
    pub fn of(req: &ConnectRequest) -> Self {
        let prop = |name: &str| {
            let found = req.props.iter().find(|(key, _)| key == name);
            match found {
                Some((_, Scalar::Text(text))) => cut(text),
                _ => String::new(),
            }
        };
        Self {
            app: app(&req.app, req.instance.as_deref()),
            tc_url: cut(&req.tc_url),
            flash_ver: cut(&req.flash_ver),
            swf_url: prop("swfUrl"),
            page_url: prop("pageUrl"),
            args: cut(&query(&req.query)),
        }
    }

    /// Of a client that has connected.
    pub fn kept(client: &Client) -> Self {
        let attr = |name: &str| client.attr(name).unwrap_or_default().to_owned();
        Self {
            app: attr("app"),
            tc_url: attr("tcurl"),
            flash_ver: attr("flashver"),
            swf_url: attr("swfurl"),
            page_url: attr("pageurl"),
            args: attr("args"),
        }
    }

    /// Lets the client in and keeps this.
    pub fn grant(&self) -> ConnectGrant {
        let attrs = [
            ("app", &self.app),
            ("tcurl", &self.tc_url),
            ("flashver", &self.flash_ver),
            ("swfurl", &self.swf_url),
            ("pageurl", &self.page_url),
            ("args", &self.args),
        ];
        let attrs = attrs.into_iter().filter(|(_, value)| !value.is_empty());
        attrs.fold(ConnectGrant::default(), |grant, (key, value)| {
            grant.attr(key, value)
        })
    }
}

/// One call of the back end.
#[derive(Debug)]
pub struct Call<'a> {
    pub client: &'a Client,
    pub connection: &'a Connection,
    /// With its instance: `live/room1`.
    pub app: String,
    /// Empty when the call is not about a stream.
    pub name: String,
    /// The query behind the stream's name, percent-encoded, without `?`.
    pub args: String,
    pub mode: &'a str,
    /// The recorded position asked for, in seconds; none for live.
    pub start: Option<f64>,
    pub end: Option<&'a SessionEnd>,
}

impl<'a> Call<'a> {
    /// About a connection.
    pub fn of_client(client: &'a Client, connection: &'a Connection) -> Self {
        Self {
            client,
            connection,
            app: String::new(),
            name: String::new(),
            args: String::new(),
            mode: "",
            start: None,
            end: None,
        }
    }

    /// About a stream.
    pub fn of_stream(req: &'a StreamRequest, connection: &'a Connection) -> Self {
        Self {
            app: app(&req.app, req.instance.as_deref()),
            name: req.name.clone(),
            args: query(&req.query),
            mode: &req.mode,
            start: req.start_seconds,
            ..Self::of_client(&req.client, connection)
        }
    }

    /// The client's address without its port.
    pub fn ip(&self) -> String {
        plugin_common::address(self.client)
            .map(|ip| ip.to_string())
            .unwrap_or_default()
    }
}

/// `live`, or `live/room1` in an instance.
pub fn app(app: &str, instance: Option<&str>) -> String {
    match instance {
        Some(instance) => format!("{app}/{instance}"),
        None => app.to_owned(),
    }
}

/// tcUrl with another application: `rtmp://host/live` -> `rtmp://host/other`.
pub fn with_app(tc_url: &str, app: &str) -> String {
    let (scheme, rest) = tc_url.split_once("://").unwrap_or(("rtmp", tc_url));
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    format!("{scheme}://{host}/{app}")
}

/// Where a publisher's own words are in the application's state.
pub fn published_key(client: &Client, name: &str) -> String {
    // Keys have a limit, names another.
    let short: String = name.chars().take(100).collect();
    format!("published {} {short}", client.conn)
}

fn cut(text: &str) -> String {
    let mut end = MAX_KEPT.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_application_of_the_same_server() {
        for (tc_url, expected) in [
            ("rtmp://host:1935/live", "rtmp://host:1935/other"),
            ("rtmps://host/live/room?x=1", "rtmps://host/other"),
            ("rtmp://host?x", "rtmp://host/other"),
            ("", "rtmp:///other"),
        ] {
            assert_eq!(with_app(tc_url, "other"), expected);
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut(&"ä".repeat(2000)).len(), MAX_KEPT);
        assert_eq!(cut(&format!("a{}", "ä".repeat(2000))).len(), MAX_KEPT - 1);
        assert_eq!(cut("short"), "short");
    }
}
