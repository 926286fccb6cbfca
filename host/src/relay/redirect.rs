//! Where a relay goes when its server sends it elsewhere.
//!
//! Flows in: what the server says. Flows out: the next URL and the connector
//! for it, both checked as for a first connection, or why it is not followed.
//! The sibling for guests' HTTP requests is in [`crate::outbound`].

use std::net::IpAddr;

use livehost_rtmp::session::client::Redirect;
use tracing::info;

use super::error::RelayError;
use super::peer::Terms;
use super::url::RelayUrl;
use crate::outbound::Connector;

/// Redirects of one attempt that are followed.
const MAX_REDIRECTS: usize = 3;

/// Where an attempt goes, and where it has been.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) url: RelayUrl,
    pub(super) connector: Connector,
    /// All but `url`, of [`MAX_REDIRECTS`] at most.
    before: Vec<RelayUrl>,
}

impl Route {
    pub(super) fn new(url: &RelayUrl, terms: &Terms) -> Self {
        Self {
            url: url.clone(),
            connector: terms.connector.clone(),
            before: Vec::new(),
        }
    }

    /// Goes on to where the server at the address `from` sends its client.
    pub(super) fn follow(
        &mut self,
        redirect: &Redirect,
        from: IpAddr,
        terms: &Terms,
    ) -> Result<(), RelayError> {
        let (text, is_stream) = match redirect {
            Redirect {
                stream_url: Some(text),
                ..
            } => (text.as_str(), true),
            Redirect { url, .. } => (url.as_deref().unwrap_or_default(), false),
        };
        let next = self.url.redirected(text, is_stream);
        let next = next.map_err(|error| RelayError::NotFollowed {
            to: "a URL that can't be used".to_owned(),
            why: error.to_string(),
        })?;
        let not_followed = |why: String| RelayError::NotFollowed {
            to: next.to_string(),
            why,
        };
        if next == self.url || self.before.contains(&next) {
            return Err(not_followed("a loop of redirects".to_owned()));
        }
        if self.before.len() >= MAX_REDIRECTS {
            let why = format!("more than {MAX_REDIRECTS} redirects");
            return Err(not_followed(why));
        }
        if self.url.is_secure() && !next.is_secure() {
            return Err(not_followed("it would leave TLS".to_owned()));
        }
        match &terms.allow {
            // An entry names the host: the connector stays what it is.
            Some(allow) => allow
                .check(&next)
                .map_err(|error| not_followed(error.to_string()))?,
            // The configuration does not name a host that the server chose.
            None if next.host() != self.url.host() => {
                self.connector = self.connector.sent_by(from, terms.private);
            }
            None => {}
        }
        info!(to = %next, "relay redirected");
        self.before.push(std::mem::replace(&mut self.url, next));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::allow::Allow;
    use super::super::lineage::Lineage;
    use super::*;
    use crate::outbound::{Network, Reachable};

    const SEC: Duration = Duration::from_secs(1);

    fn terms(allow: Option<&str>) -> Terms {
        let network = Network::new().unwrap();
        Terms {
            connector: network.connector("live", Reachable::Anywhere, SEC),
            tls: network.tls().clone(),
            answer: SEC,
            stall: SEC,
            chunk_size: 60_000,
            message: 1 << 20,
            lineage: Lineage::default(),
            allow: allow.map(|entry| Allow::new(vec![Allow::parse(entry).unwrap()])),
            private: false,
        }
    }

    /// Goes from the first URL to all the others; the last one's outcome.
    fn went(allow: Option<&str>, urls: &[&str]) -> Result<String, String> {
        let terms = terms(allow);
        let mut route = Route::new(&RelayUrl::parse(urls[0]).unwrap(), &terms);
        for (number, url) in urls.iter().enumerate().skip(1) {
            let redirect = Redirect {
                url: Some((*url).to_owned()),
                stream_url: None,
            };
            let followed = route.follow(&redirect, [192, 0, 2, 1].into(), &terms);
            match followed {
                Ok(()) => {}
                Err(error) if number + 1 == urls.len() => return Err(error.to_string()),
                Err(error) => panic!("{url}: {error}"),
            }
        }
        Ok(route.url.tc_url())
    }

    #[test]
    fn three_redirects_are_followed_and_no_loop() {
        let a = "rtmp://a/live/cam";
        let (b, c, d) = ("rtmp://b/live", "rtmp://c/live", "rtmps://d/live");
        assert_eq!(went(None, &[a, b, c, d]).as_deref(), Ok(d));
        for (urls, why) in [
            (
                &[a, b, c, d, "rtmps://e/x"][..],
                "to rtmps://e/x: more than 3 redirects",
            ),
            (
                &[a, "rtmp://a/live"],
                "to rtmp://a/live: a loop of redirects",
            ),
            (
                &[a, b, "rtmp://a/live"],
                "to rtmp://a/live: a loop of redirects",
            ),
            (&[a, d, b], "to rtmp://b/live: it would leave TLS"),
            (&[a, "http://b/live"], "expected rtmp:// or rtmps://"),
            (&[a, "rtmp://u:secret@b"], "to a URL that can't be used: "),
        ] {
            let error = went(None, urls).unwrap_err();
            assert!(error.contains(why), "{error}");
            assert!(
                !error.contains("secret") && !error.contains("cam"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_plugins_relay_needs_an_entry_for_each() {
        let (a, b) = ("rtmp://a.example/live/cam", "rtmp://b.example/live");
        let allow = Some("rtmp://*.example/live/*");
        assert_eq!(went(allow, &[a, b]).as_deref(), Ok(b));
        for to in [
            "rtmp://b.test/live",
            "rtmp://b.example/vod",
            "rtmp://127.0.0.1/live",
        ] {
            let error = went(allow, &[a, b, to]).unwrap_err();
            assert!(error.contains(&format!("to {to}: relay.allow")), "{error}");
        }
    }
}
