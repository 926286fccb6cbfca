//! Where a relay goes when its server sends it elsewhere.
//!
//! Flows in: what the server says. Flows out: the next URL and the connector
//! for it, both checked as for a first connection, or why it is not followed.
//! The sibling for guests' HTTP requests is in [`livehost_net::outbound`].

use std::net::IpAddr;

use livehost_net::outbound::Connector;
use livehost_rtmp::session::client::Redirect;
use tracing::info;

use super::error::RelayError;
use super::peer::PeerTerms;
use super::url::RelayUrl;

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
    pub(super) fn new(url: &RelayUrl, terms: &PeerTerms) -> Self {
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
        terms: &PeerTerms,
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
        let to = next.shown_without(self.before.iter().chain([&self.url]));
        let not_followed = |why: String| RelayError::NotFollowed {
            to: to.clone(),
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
                .check_as(&next, &to)
                .map_err(|error| not_followed(error.to_string()))?,
            // The configuration names neither a host nor a port that the server
            // chose, and a name that it does name may lead elsewhere by now.
            None => self.connector = self.connector.sent_by(from, terms.private),
        }
        info!(to, "relay redirected");
        self.before.push(std::mem::replace(&mut self.url, next));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::allow::Allow;
    use super::*;
    use livehost_app::lineage::Lineage;
    use livehost_net::outbound::{ConnectError, Network, Reachable};

    const SEC: Duration = Duration::from_secs(1);

    fn terms(allow: Option<&str>) -> PeerTerms {
        let network = Network::new().unwrap();
        PeerTerms {
            connector: network.connector("live", Reachable::Anywhere, SEC),
            tls: network.tls().clone(),
            answer: SEC,
            stall: SEC,
            chunk_size: 60_000,
            message: 1 << 20,
            lineage: Lineage::default(),
            allow: allow.map(|entry| Allow::from_iter([Allow::parse(entry).unwrap()])),
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
                "more than 3 redirects (it leads to rtmps://e/x)",
            ),
            (
                &[a, "rtmp://a/live"],
                "a loop of redirects (it leads to rtmp://a/live)",
            ),
            (
                &[a, b, "rtmp://a/live"],
                "a loop of redirects (it leads to rtmp://a/live)",
            ),
            (&[a, d, b], "it would leave TLS (it leads to rtmp://b/live)"),
            (&[a, "http://b/live"], "expected rtmp:// or rtmps://"),
            (
                &[a, "rtmp://u:secret@b"],
                "leads to a URL that can't be used)",
            ),
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
            assert!(error.contains("not followed: relay.allow"), "{error}");
            assert!(error.contains(&format!("leads to {to})")), "{error}");
        }
    }

    #[test]
    fn no_server_gets_a_secret_into_the_log() {
        let a = "rtmp://ann:pw-5d1e@a/live?sign=s1gned/cam-key?auth=t0ken";
        let b = "rtmp://b/x?k=b-value";
        let long = "x".repeat(290);
        for (allow, path) in [
            (None, "live/cam-key/t0ken/s1gned/b-value".to_owned()),
            (Some("rtmp://b/*"), "cam-key/pw-5d1e/s1gned/x".to_owned()),
            // Where a text is cut, too.
            (None, format!("{long}/cam-key/t0ken")),
            (Some("rtmp://b/*"), format!("{long}/cam-key/t0ken")),
        ] {
            // Not allowed, or the fourth.
            let to = format!("rtmp://c/{path}");
            let more = ["rtmp://d/live", "rtmp://e/live"];
            let urls = match allow {
                Some(_) => vec![a, &to],
                None => vec![a, b, more[0], more[1], &to],
            };
            let error = went(allow, &urls).unwrap_err();
            assert!(error.contains("it leads to rtmp://c/"), "{error}");
            for secret in ["cam-", "t0k", "s1g", "5d1e", "b-va"] {
                assert!(!error.contains(secret), "{secret}: {error}");
            }
        }
    }

    #[test]
    fn a_reason_survives_any_cut() {
        let long = format!("rtmp://e/{}", "x".repeat(4000));
        let (a, b, c, d) = ("rtmp://a/x/cam", "rtmp://b/x", "rtmp://c/x", "rtmp://d/x");
        for (allow, urls, why) in [
            (None, &[a, b, c, d, &long][..], "more than 3 redirects"),
            (
                Some("rtmp://a/*"),
                &[a, &long],
                "relay.allow has no entry for it",
            ),
        ] {
            let error = went(allow, urls).unwrap_err();
            let begin: String = error.chars().take(100).collect();
            assert!(begin.contains(why), "{error}");
            assert!(error.len() < 1000 && error.contains("xxx..."), "{error}");
        }
    }

    #[tokio::test]
    async fn whoever_sends_on_leads_no_further_inside_than_it_is() {
        // A name of the configuration, whose address may be another by now.
        let url = RelayUrl::parse("rtmp://127.0.0.1/live/cam").unwrap();
        for to in ["rtmp://127.0.0.1:9/live", "rtmp://127.0.0.1/other"] {
            for (from, is_forbidden) in [([1, 1, 1, 1], true), ([127, 0, 0, 1], false)] {
                let terms = terms(None);
                let mut route = Route::new(&url, &terms);
                let redirect = Redirect {
                    url: Some(to.to_owned()),
                    stream_url: None,
                };
                route.follow(&redirect, from.into(), &terms).unwrap();
                // The port of nobody.
                let dialled = route.connector.dial(route.url.host(), 9).await;
                let error = dialled.expect_err("nothing is there");
                let was_forbidden = matches!(error, ConnectError::Forbidden { .. });
                assert_eq!(was_forbidden, is_forbidden, "{to} {from:?}: {error}");
            }
        }
    }
}
