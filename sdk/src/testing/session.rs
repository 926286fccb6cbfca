//! What a server does around the policy's answers: streams come and go.

use super::MockHost;
use super::requests::ended;
use crate::{App, PublishDecision, StreamInfo, StreamRequest};

impl MockHost {
    /// Asks the policy about a publish. If it is granted, the stream is in the
    /// registry, and the policy hears of it in `on_published`.
    ///
    /// ```
    /// use livehost_sdk::{App, StreamInfo, kv, registry};
    /// use livehost_sdk::testing::{self, MockHost};
    ///
    /// struct Counting;
    ///
    /// impl App for Counting {
    ///     fn configure(_: &str) -> Result<Self, String> { Ok(Counting) }
    ///
    ///     fn on_ready(&self, info: &StreamInfo) {
    ///         let codec = info.video.as_deref().unwrap_or("none");
    ///         let _ = kv::incr(&format!("codec/{codec}"), 1, None);
    ///     }
    /// }
    ///
    /// let host = MockHost::new();
    /// host.publish(&Counting, &testing::request("cam1"));
    /// assert!(registry::get("cam1").is_some());
    /// host.ready(&Counting, "cam1", Some("avc"), Some("aac"));
    /// assert_eq!(host.kv("codec/avc").as_deref(), Some("1"));
    /// host.unpublish(&Counting, "cam1", "eof");
    /// assert!(registry::get("cam1").is_none());
    /// ```
    pub fn publish(&self, policy: &impl App, request: &StreamRequest) -> PublishDecision {
        let decision = policy.on_publish(request);
        if let PublishDecision::Accept(grant) = &decision {
            let name = grant.name.as_deref().unwrap_or(&request.name);
            let path = crate::decision::path(request.instance.as_deref(), name);
            let info = StreamInfo {
                app: request.app.clone(),
                publisher: request.client.clone(),
                started_unix_ms: self.unix_ms(),
                ..super::stream(&path)
            };
            self.remove_stream(&path);
            self.add_stream(info.clone());
            policy.on_published(&info);
        }
        decision
    }

    /// The codecs of a live stream are known: the policy hears of it in
    /// `on_ready`.
    ///
    /// # Panics
    /// When no stream of this path is live.
    pub fn ready(
        &self,
        policy: &impl App,
        path: &str,
        video: Option<&str>,
        audio: Option<&str>,
    ) -> StreamInfo {
        let mut info = self.live(path);
        info.video = video.map(str::to_owned);
        info.audio = audio.map(str::to_owned);
        self.remove_stream(&info.path());
        self.add_stream(info.clone());
        policy.on_ready(&info);
        info
    }

    /// A live stream ends: the policy hears of it in `on_unpublished`.
    ///
    /// # Panics
    /// When no stream of this path is live.
    pub fn unpublish(&self, policy: &impl App, path: &str, reason: &str) {
        let info = self.live(path);
        self.remove_stream(&info.path());
        policy.on_unpublished(&info, &ended(reason));
    }

    fn live(&self, path: &str) -> StreamInfo {
        let live = super::with(|host| host.stream(path));
        live.unwrap_or_else(|| panic!("no stream {path:?} is live: publish it first"))
    }

    fn unix_ms(&self) -> u64 {
        u64::try_from(super::with(|host| host.unix()).as_millis()).unwrap_or(u64::MAX)
    }
}
