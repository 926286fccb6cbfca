//! The trait a policy implements: one method for each hook.

use crate::{
    Client, ConnectDecision, ConnectRequest, Handoff, PlayDecision, PublishDecision, Recording,
    SessionEnd, StartReason, StopReason, StreamInfo, StreamRequest, accept,
};

/// A policy. Only [`App::configure`] has no default; without any other method
/// everything is accepted.
///
/// The host runs several instances of a policy and discards one at any time:
/// a field is a cache of the configuration, state belongs into [`crate::kv`].
/// Methods therefore take `&self`; an instance is never entered twice at once,
/// so [`std::cell::Cell`] and [`std::cell::RefCell`] are fine for caches.
///
/// A decision has a CPU budget (50 ms unless configured) and a wall deadline
/// (3 s). A panic, or a budget exceeded, ends the instance, and the client is
/// refused; only when the policy was still waiting at its deadline, for HTTP or
/// asleep, the application's `on_error` rule decides instead.
pub trait App: Sized + 'static {
    /// Makes the policy from its configuration, a JSON text. It is every
    /// instance's first call; an error refuses the new version (or the start)
    /// and is shown to the operator. See [`crate::parse_config`].
    ///
    /// ```
    /// # use livehost_sdk::{App, parse_config};
    /// /// `config: {"apps": ["live"]}` in config.ron.
    /// #[derive(serde::Deserialize)]
    /// #[serde(deny_unknown_fields)]
    /// struct Policy {
    ///     apps: Vec<String>,
    /// }
    ///
    /// impl App for Policy {
    ///     fn configure(config: &str) -> Result<Self, String> {
    ///         let policy: Self = parse_config(config)?;
    ///         if policy.apps.is_empty() {
    ///             return Err("config: apps: expected at least one".into());
    ///         }
    ///         Ok(policy)
    ///     }
    /// }
    ///
    /// assert!(Policy::configure(r#"{"apps": ["live"]}"#).is_ok());
    /// let refused = |config| Policy::configure(config).err().unwrap();
    /// assert_eq!(refused(r#"{"apps": []}"#), "config: apps: expected at least one");
    /// assert!(refused(r#"{"app": "live"}"#).contains("unknown field `app`"));
    /// ```
    fn configure(config: &str) -> Result<Self, String>;

    /// May this client use the application?
    ///
    /// ```
    /// # use livehost_sdk::{*, testing::{self, MockHost}};
    /// # struct Policy;
    /// # impl App for Policy {
    /// #     fn configure(_: &str) -> Result<Self, String> { Ok(Policy) }
    /// fn on_connect(&self, req: &ConnectRequest) -> ConnectDecision {
    ///     if req.app == "old" {
    ///         return redirect("rtmp://new.example/live");
    ///     }
    ///     match req.param("user") {
    ///         // Later hooks find it in `req.client.attr("user")`.
    ///         Some(user) => ConnectGrant::default().attr("user", user).into(),
    ///         None => deny("who are you? connect to live?user=NAME"),
    ///     }
    /// }
    /// # }
    /// # let policy = Policy;
    /// let _host = MockHost::new();
    /// let decision = policy.on_connect(&testing::connect("live?user=ann"));
    /// assert_eq!(decision, ConnectGrant::default().attr("user", "ann").into());
    /// let decision = policy.on_connect(&testing::connect("live"));
    /// assert!(matches!(decision, ConnectDecision::Reject(_)));
    /// let decision = policy.on_connect(&testing::connect("old"));
    /// assert_eq!(decision, redirect("rtmp://new.example/live"));
    /// ```
    fn on_connect(&self, req: &ConnectRequest) -> ConnectDecision {
        let _ = req;
        accept()
    }

    /// May this client publish, under what name, and by which rules?
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use livehost_sdk::{*, testing::{self, MockHost}};
    /// # struct Policy;
    /// # impl App for Policy {
    /// #     fn configure(_: &str) -> Result<Self, String> { Ok(Policy) }
    /// fn on_publish(&self, req: &StreamRequest) -> PublishDecision {
    ///     decide(|| {
    ///         let ticket = req.param("ticket").ok_or("a ticket is required: NAME?ticket=...")?;
    ///         // An error of kv becomes a rejection: try again later.
    ///         match kv::get(&format!("tickets/{ticket}"))? {
    ///             Some(stream) if stream.value == req.name.as_bytes() => {
    ///                 Ok(PublishGrant::default().replace().hold(Duration::from_secs(10)))
    ///             }
    ///             _ => Err("the ticket is not for this stream".into()),
    ///         }
    ///     })
    /// }
    /// # }
    /// # let policy = Policy;
    /// let host = MockHost::new();
    /// host.set_kv("tickets/83a7", "cam1");
    /// let decision = policy.on_publish(&testing::request("cam1?ticket=83a7"));
    /// let PublishDecision::Accept(grant) = decision else { panic!("{decision:?}") };
    /// assert_eq!(grant.on_duplicate, DuplicateRule::Replace);
    /// assert_eq!(grant.hold_ms, Some(10_000));
    /// let decision = policy.on_publish(&testing::request("cam2?ticket=83a7"));
    /// assert_eq!(decision, deny("the ticket is not for this stream"));
    /// ```
    fn on_publish(&self, req: &StreamRequest) -> PublishDecision {
        let _ = req;
        accept()
    }

    /// May this client play, and what?
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use livehost_sdk::{*, testing::{self, MockHost}};
    /// # struct Policy;
    /// # impl App for Policy {
    /// #     fn configure(_: &str) -> Result<Self, String> { Ok(Policy) }
    /// fn on_play(&self, req: &StreamRequest) -> PlayDecision {
    ///     if registry::get(&format!("{}-hd", req.path())).is_some() {
    ///         // A granted name is one in the same instance.
    ///         return PlayGrant::default().name(format!("{}-hd", req.name)).into();
    ///     }
    ///     // Not yet there: the player waits.
    ///     PlayGrant::default().wait(Duration::from_secs(30)).into()
    /// }
    /// # }
    /// # let policy = Policy;
    /// let host = MockHost::new();
    /// host.add_stream(testing::stream("room1/cam1-hd"));
    /// let decision = policy.on_play(&testing::request("room1/cam1"));
    /// assert_eq!(decision, PlayGrant::default().name("cam1-hd").into());
    /// let decision = policy.on_play(&testing::request("cam2"));
    /// assert!(matches!(decision, PlayDecision::Accept(grant) if grant.wait_ms == Some(30_000)));
    /// ```
    fn on_play(&self, req: &StreamRequest) -> PlayDecision {
        let _ = req;
        accept()
    }

    /// Once for each version that is about to serve, before it does. An error
    /// keeps the old version serving. `from_old` is what the old version's
    /// [`App::snapshot`] gave.
    ///
    /// ```
    /// # use livehost_sdk::{*, testing::{self, MockHost}};
    /// # struct Policy;
    /// # impl App for Policy {
    /// #     fn configure(_: &str) -> Result<Self, String> { Ok(Policy) }
    /// fn on_start(&self, reason: StartReason, from_old: Option<Handoff>) -> Result<(), String> {
    ///     if let Some(old) = &from_old
    ///         && old.format != "v1"
    ///     {
    ///         return Err(format!("expected what v1 hands over, got {:?}", old.format));
    ///     }
    ///     if reason == StartReason::Boot {
    ///         kv::delete("viewers").map_err(|error| format!("kv: {error:?}"))?;
    ///     }
    ///     timers::set("sweep", 60_000, Some(60_000));
    ///     Ok(())
    /// }
    /// # }
    /// # let policy = Policy;
    /// let host = MockHost::new();
    /// host.set_kv("viewers", "7");
    /// policy.on_start(StartReason::Boot, None)?;
    /// assert_eq!(host.kv("viewers"), None);
    /// assert_eq!(host.timers(), ["sweep"]);
    /// let newer = Handoff { format: "v2".into(), data: Vec::new() };
    /// assert!(policy.on_start(StartReason::Reload, Some(newer)).is_err());
    /// # Ok::<(), String>(())
    /// ```
    fn on_start(&self, reason: StartReason, from_old: Option<Handoff>) -> Result<(), String> {
        let _ = (reason, from_old);
        Ok(())
    }

    /// What the next version should get from this one, which still serves
    /// (at most 1 MiB).
    ///
    /// ```
    /// # use std::cell::RefCell;
    /// # use livehost_sdk::*;
    /// /// Keeps the answers of a slow back end; losing them would only cost time.
    /// struct Policy {
    ///     cache: RefCell<Vec<String>>,
    /// }
    ///
    /// impl App for Policy {
    ///     fn configure(_: &str) -> Result<Self, String> {
    ///         Ok(Self { cache: RefCell::default() })
    ///     }
    ///
    ///     fn snapshot(&self) -> Option<Handoff> {
    ///         let data = self.cache.borrow().join("\n").into_bytes();
    ///         Some(Handoff { format: "names".into(), data })
    ///     }
    ///
    ///     fn on_start(&self, _: StartReason, from_old: Option<Handoff>) -> Result<(), String> {
    ///         // What another version left may be of another format.
    ///         if let Some(old) = from_old.filter(|old| old.format == "names") {
    ///             let text = String::from_utf8_lossy(&old.data);
    ///             self.cache.replace(text.lines().map(str::to_owned).collect());
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let old = Policy::configure("{}")?;
    /// old.cache.borrow_mut().extend(["cam1".to_owned(), "cam2".to_owned()]);
    /// let new = Policy::configure("{}")?;
    /// new.on_start(StartReason::Reload, old.snapshot())?;
    /// assert_eq!(*new.cache.borrow(), ["cam1", "cam2"]);
    /// # Ok::<(), String>(())
    /// ```
    fn snapshot(&self) -> Option<Handoff> {
        None
    }

    /// The version is done, its calls have ended. Best effort.
    ///
    /// ```
    /// # use livehost_sdk::{*, testing::{self, MockHost}};
    /// # struct Policy;
    /// # impl App for Policy {
    /// #     fn configure(_: &str) -> Result<Self, String> { Ok(Policy) }
    /// fn on_stop(&self, reason: StopReason) {
    ///     // After a reload the new version serves already.
    ///     if reason != StopReason::Reload {
    ///         let request = http_client::Request::post("http://127.0.0.1:8080/down", "live");
    ///         if let Err(error) = http_client::send(&request) {
    ///             log::warn(format!("the monitor was not told: {error:?}"));
    ///         }
    ///     }
    /// }
    /// # }
    /// # let policy = Policy;
    /// let host = MockHost::new();
    /// host.answer_http(204, "");
    /// policy.on_stop(StopReason::Shutdown);
    /// assert_eq!(host.http_requests()[0].url, "http://127.0.0.1:8080/down");
    /// policy.on_stop(StopReason::Reload);
    /// assert!(host.http_requests().is_empty());
    /// ```
    fn on_stop(&self, reason: StopReason) {
        let _ = reason;
    }

    /// A timer of [`crate::timers`] fired: once for the application, on any
    /// instance.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use livehost_sdk::testing::Command;
    /// # use livehost_sdk::{*, testing::{self, MockHost}};
    /// # struct Policy;
    /// # impl App for Policy {
    /// #     fn configure(_: &str) -> Result<Self, String> { Ok(Policy) }
    /// fn on_start(&self, _: StartReason, _: Option<Handoff>) -> Result<(), String> {
    ///     timers::set("unwatched", 60_000, Some(60_000));
    ///     Ok(())
    /// }
    ///
    /// fn on_timer(&self, key: &str) {
    ///     if key == "unwatched" {
    ///         for stream in registry::find("", 1000).iter().filter(|stream| stream.players == 0) {
    ///             // It may have ended meanwhile.
    ///             let _ = control::stop_stream_id(stream.id, "nobody watches");
    ///         }
    ///     }
    /// }
    /// # }
    /// # let policy = Policy;
    /// let host = MockHost::new();
    /// policy.on_start(StartReason::Boot, None)?;
    /// host.add_stream(testing::stream("cam1"));
    /// host.add_stream(StreamInfo { id: 2, players: 3, ..testing::stream("cam2") });
    /// for key in host.advance(Duration::from_secs(60)) {
    ///     policy.on_timer(&key);
    /// }
    /// let (id, reason) = (1, "nobody watches".into());
    /// assert_eq!(host.commands(), [Command::StopStreamId { id, reason }]);
    /// # Ok::<(), String>(())
    /// ```
    fn on_timer(&self, key: &str) {
        let _ = key;
    }

    /// A publish was granted; its codecs may not be known yet.
    ///
    /// ```
    /// # use livehost_sdk::{*, testing::{self, MockHost}};
    /// # struct Policy;
    /// # impl App for Policy {
    /// #     fn configure(_: &str) -> Result<Self, String> { Ok(Policy) }
    /// fn on_published(&self, info: &StreamInfo) {
    ///     let who = info.publisher.attr("user").unwrap_or("somebody");
    ///     log::write(log::Level::Info, "on air", &[("stream", &*info.path()), ("user", who)]);
    /// }
    /// # }
    /// # let policy = Policy;
    /// let host = MockHost::new();
    /// policy.on_published(&testing::stream("cam1"));
    /// assert_eq!(host.log()[0].message, "on air");
    /// ```
    fn on_published(&self, info: &StreamInfo) {
        let _ = info;
    }

    /// The codec headers have arrived: [`crate::codec`] has their names.
    ///
    /// ```
    /// # use livehost_sdk::testing::Command;
    /// # use livehost_sdk::{*, testing::{self, MockHost}};
    /// # struct Policy;
    /// # impl App for Policy {
    /// #     fn configure(_: &str) -> Result<Self, String> { Ok(Policy) }
    /// fn on_ready(&self, info: &StreamInfo) {
    ///     if info.video.as_deref() != Some(codec::AVC) {
    ///         // It may have ended meanwhile.
    ///         let _ = control::stop_stream(&info.path(), "our players need H.264");
    ///     }
    /// }
    /// # }
    /// # let policy = Policy;
    /// let host = MockHost::new();
    /// policy.on_ready(&StreamInfo { video: Some("avc".into()), ..testing::stream("room1/cam") });
    /// assert!(host.commands().is_empty());
    /// policy.on_ready(&StreamInfo { video: Some("hevc".into()), ..testing::stream("room2/cam") });
    /// assert!(matches!(&host.commands()[..], [Command::StopStream { name, .. }] if name == "room2/cam"));
    /// ```
    fn on_ready(&self, info: &StreamInfo) {
        let _ = info;
    }

    /// A publish ended, for one of the reasons of [`crate::reason`]: exactly once for every [`App::on_published`], after it.
    ///
    /// ```
    /// # use livehost_sdk::{*, testing::{self, MockHost}};
    /// # struct Policy;
    /// # impl App for Policy {
    /// #     fn configure(_: &str) -> Result<Self, String> { Ok(Policy) }
    /// fn on_unpublished(&self, info: &StreamInfo, end: &SessionEnd) {
    ///     let key = format!("seconds/{}", info.path());
    ///     if let Err(error) = kv::incr(&key, (end.duration_ms / 1000) as i64, None) {
    ///         log::warn(format!("{key} was not counted: {error:?}"));
    ///     }
    /// }
    /// # }
    /// # let policy = Policy;
    /// let host = MockHost::new();
    /// let end = SessionEnd { duration_ms: 61_500, ..testing::ended("eof") };
    /// policy.on_unpublished(&testing::stream("cam1"), &end);
    /// assert_eq!(host.kv("seconds/cam1").as_deref(), Some("61"));
    /// ```
    fn on_unpublished(&self, info: &StreamInfo, end: &SessionEnd) {
        let _ = (info, end);
    }

    /// A playback ended.
    ///
    /// ```
    /// # use livehost_sdk::{*, testing::{self, MockHost}};
    /// # struct Policy;
    /// # impl App for Policy {
    /// #     fn configure(_: &str) -> Result<Self, String> { Ok(Policy) }
    /// fn on_play_ended(&self, req: &StreamRequest, end: &SessionEnd) {
    ///     if end.frames_dropped > 0 {
    ///         let dropped = end.frames_dropped.to_string();
    ///         let fields = [("player", req.client.remote.as_str()), ("dropped", &dropped)];
    ///         log::write(log::Level::Info, "a player was too slow", &fields);
    ///     }
    /// }
    /// # }
    /// # let policy = Policy;
    /// let host = MockHost::new();
    /// let end = SessionEnd { frames_dropped: 12, ..testing::ended("eof") };
    /// policy.on_play_ended(&testing::request("cam1"), &end);
    /// assert_eq!(host.log()[0].fields[1], ("dropped".to_owned(), "12".to_owned()));
    /// ```
    fn on_play_ended(&self, req: &StreamRequest, end: &SessionEnd) {
        let _ = (req, end);
    }

    /// A connection ended.
    ///
    /// ```
    /// # use livehost_sdk::{*, testing::{self, MockHost}};
    /// # struct Policy;
    /// # impl App for Policy {
    /// #     fn configure(_: &str) -> Result<Self, String> { Ok(Policy) }
    /// fn on_disconnected(&self, who: &Client, _: &SessionEnd) {
    ///     // The seat that on_connect gave away.
    ///     if let Some(seat) = who.attr("seat") {
    ///         let _ = kv::delete(&format!("seats/{seat}"));
    ///     }
    /// }
    /// # }
    /// # let policy = Policy;
    /// let host = MockHost::new();
    /// host.set_kv("seats/4", "taken");
    /// let who = Client { attrs: vec![("seat".into(), "4".into())], ..testing::client() };
    /// policy.on_disconnected(&who, &testing::ended("eof"));
    /// assert_eq!(host.kv("seats/4"), None);
    /// ```
    fn on_disconnected(&self, who: &Client, end: &SessionEnd) {
        let _ = (who, end);
    }

    /// A recording was finished. No server records yet, so none calls this.
    ///
    /// ```
    /// # use livehost_sdk::{*, testing::{self, MockHost}};
    /// # struct Policy;
    /// # impl App for Policy {
    /// #     fn configure(_: &str) -> Result<Self, String> { Ok(Policy) }
    /// fn on_recorded(&self, info: &StreamInfo, file: &Recording, bytes: u64, _: u64) {
    ///     let body = format!("{} {} {bytes}", info.path(), file.path);
    ///     let request = http_client::Request::post("http://127.0.0.1:8080/recorded", body);
    ///     if let Err(error) = http_client::send(&request) {
    ///         log::error(format!("the archive does not know of {}: {error:?}", file.path));
    ///     }
    /// }
    /// # }
    /// # let policy = Policy;
    /// let host = MockHost::new();
    /// host.answer_http(200, "");
    /// let file = Recording { container: "flv".into(), path: "cam1-1.flv".into(), split_seconds: None };
    /// policy.on_recorded(&testing::stream("cam1"), &file, 1000, 8000);
    /// assert_eq!(host.http_requests()[0].body, b"cam1 cam1-1.flv 1000");
    /// ```
    fn on_recorded(&self, info: &StreamInfo, file: &Recording, bytes: u64, duration_ms: u64) {
        let _ = (info, file, bytes, duration_ms);
    }

    /// A remote procedure call of a client (`NetConnection.call`): AMF0 values
    /// in, AMF0 values out. `Err("unknown")` says that there is no such method.
    ///
    /// ```
    /// # use livehost_sdk::{*, testing::{self, MockHost}};
    /// # struct Policy;
    /// # impl App for Policy {
    /// #     fn configure(_: &str) -> Result<Self, String> { Ok(Policy) }
    /// fn on_call(&self, _who: &Client, method: &str, _amf0: &[u8]) -> Result<Vec<u8>, String> {
    ///     match method {
    ///         // A number in AMF0: marker 0, then eight bytes, the highest first.
    ///         "viewers" => {
    ///             let viewers: u32 = registry::find("", 1000).iter().map(|info| info.players).sum();
    ///             Ok([&[0][..], &f64::from(viewers).to_be_bytes()].concat())
    ///         }
    ///         _ => Err("unknown".into()),
    ///     }
    /// }
    /// # }
    /// # let policy = Policy;
    /// let host = MockHost::new();
    /// host.add_stream(StreamInfo { players: 2, ..testing::stream("cam1") });
    /// let answer = policy.on_call(&testing::client(), "viewers", &[])?;
    /// assert_eq!(answer, [0, 0x40, 0, 0, 0, 0, 0, 0, 0]);
    /// assert!(policy.on_call(&testing::client(), "views", &[]).is_err());
    /// # Ok::<(), String>(())
    /// ```
    fn on_call(&self, who: &Client, method: &str, amf0: &[u8]) -> Result<Vec<u8>, String> {
        let _ = (who, method, amf0);
        Err("unknown".into())
    }
}
