//! Snapshot reads and operators' commands on live streams.

use std::sync::Arc;

use livehost_media::Packet;
use livehost_policy::names::MAX_PATH;
use livehost_policy::names::{self, Ambiguous};
use livehost_policy::{Awaited, StreamId, StreamInfo, StreamRef};

use super::publication::Revocation;
use super::stream::Stream;
use super::{Hub, Published, StreamKey};

impl Hub {
    /// Ends a publisher of the application. False when there is none.
    pub fn stop(&self, app: &str, target: &StreamRef, reason: &str) -> bool {
        let found = self.publisher(app, target);
        found
            .map(|(_, publisher)| {
                self.counters.publishers_stopped.add();
                publisher.revoke(Revocation::Stopped(reason.to_owned()));
            })
            .is_some()
    }

    /// Sends a data message (AMF0 values behind `handler`) to the players of a
    /// stream of the application. False when nobody publishes it.
    pub fn send_data(&self, app: &str, target: &StreamRef, handler: &str, values: &[u8]) -> bool {
        let Some((stream, publisher)) = self.publisher(app, target) else {
            return false;
        };
        // As from a publisher: what it is to be kept by follows.
        let handler = (handler != "@setDataFrame").then_some(handler);
        let packet = Packet::data(handler, values);
        packet
            .map(|packet| stream.push_data(&publisher, packet))
            .is_ok()
    }

    /// Whether somebody publishes this. One that stands by does, too.
    pub fn is_published(&self, app: &str, target: &StreamRef) -> bool {
        self.publisher(app, target).is_some()
    }

    /// Whether somebody publishes this, and does not stand by.
    pub fn is_active(&self, app: &str, target: &StreamRef) -> bool {
        let found = self.publisher(app, target);
        found.is_some_and(|(stream, publisher)| stream.is_active(publisher.id()))
    }

    /// True while someone publishes `key`, or it is held for a return.
    pub fn is_live(&self, key: &StreamKey) -> bool {
        let stream = self.streams.lock().get(key).cloned();
        stream.is_some_and(|stream| stream.is_live())
    }

    /// Players of `key` now, those that wait included.
    pub fn players(&self, key: &StreamKey) -> usize {
        let stream = self.streams.lock().get(key).cloned();
        stream.map_or(0, |stream| stream.players())
    }

    /// The live streams of an application.
    pub fn live(&self, app: &str) -> Vec<StreamKey> {
        let streams = self.of_app(app, "").into_iter();
        let live = streams.filter(|(_, stream)| stream.is_live());
        live.map(|(_, stream)| stream.key().clone()).collect()
    }

    /// The live stream of an application that is meant, and whose publication it
    /// is: the active one's, or the lost one's that it is held for.
    pub fn live_publication(&self, app: &str, target: &StreamRef) -> Option<(StreamKey, StreamId)> {
        match target {
            StreamRef::Path(path) => {
                let stream = self.find_one(app, path)?;
                let id = stream.live()?;
                Some((stream.key().clone(), id))
            }
            StreamRef::Id(id) => {
                let (stream, _) = self.publisher(app, target)?;
                (stream.is_active(*id)).then(|| (stream.key().clone(), *id))
            }
        }
    }

    /// The path of the published stream that the application calls `path`.
    ///
    /// # Errors
    /// [`Ambiguous`] when it is the name of several, each in an instance.
    pub fn resolve(&self, app: &str, path: &str) -> Result<String, Ambiguous> {
        let is_bare = path.len() <= MAX_PATH && !path.contains('/');
        let is_published = |stream: &Arc<Stream>| stream.active().is_some();
        if !is_bare || self.find_one(app, path).as_ref().is_some_and(is_published) {
            return Ok(path.to_owned());
        }
        let name = (app.into(), path.into());
        // Whoever joins one of them may hold its lock for a while.
        let streams: Vec<_> = self.streams.lock().in_instances(&name).cloned().collect();
        let published = streams.iter().filter(|of| is_published(of));
        let published = published.take(names::ENOUGH);
        names::meant(path, published.map(|stream| stream.key().path()))
    }

    /// The stream of this application with this path, while somebody publishes it.
    pub fn get(&self, app: &str, path: &str) -> Option<StreamInfo> {
        self.find_one(app, path)?.info()
    }

    /// Up to `limit` published streams whose path starts with `prefix`, in order.
    pub fn find(&self, app: &str, prefix: &str, limit: usize) -> Vec<StreamInfo> {
        let found = self.of_app(app, prefix).into_iter();
        let found = found.filter_map(|(_, stream)| stream.info());
        livehost_policy::first(found, limit, StreamInfo::bytes)
    }

    /// Up to `limit` published streams of all applications, or of `app`, behind the
    /// one called `after` (`app/path`), in the order of these names; and whether there
    /// may be more.
    pub fn page(&self, app: Option<&str>, after: &str, limit: usize) -> (Vec<StreamInfo>, bool) {
        let streams: Vec<_> = self.streams.lock().all().cloned().collect();
        let is_wanted = |stream: &Arc<Stream>| app.is_none_or(|app| *stream.key().app == *app);
        let named = streams.into_iter().filter(is_wanted);
        let named = named.map(|stream| (stream.key().to_string(), stream));
        let mut named: Vec<_> = named.filter(|(name, _)| name.as_str() > after).collect();
        named.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut seen = 0_usize;
        let found = named.iter().filter_map(|(_, stream)| {
            seen = seen.saturating_add(1);
            stream.info()
        });
        let found = livehost_policy::first(found, limit, StreamInfo::bytes);
        (found, seen < named.len())
    }

    /// The published stream whose publication this is, active or standing by.
    pub fn published(&self, id: StreamId) -> Option<StreamInfo> {
        let (stream, publisher) = self.publishers.lock().get(&id).cloned()?;
        Some(stream.info_for(&publisher))
    }

    /// How many published streams have a path that starts with `prefix`.
    pub fn count(&self, app: &str, prefix: &str) -> usize {
        self.of_app(app, prefix)
            .into_iter()
            .filter(|(_, stream)| stream.active().is_some())
            .count()
    }

    /// Up to `limit` streams that are played or held, and that nobody publishes.
    pub fn awaited(&self, app: &str, prefix: &str, limit: usize) -> Vec<Awaited> {
        let found = self.of_app(app, prefix).into_iter();
        let found = found.filter_map(|(_, stream)| stream.awaited());
        livehost_policy::first(found, limit, Awaited::bytes)
    }

    fn publisher(&self, app: &str, target: &StreamRef) -> Option<Published> {
        match target {
            StreamRef::Path(path) => {
                let stream = self.find_one(app, path)?;
                let active = stream.active()?;
                Some((stream, active))
            }
            StreamRef::Id(id) => {
                let found = self.publishers.lock().get(id).cloned();
                found.filter(|(stream, _)| &*stream.key().app == app)
            }
        }
    }

    fn find_one(&self, app: &str, path: &str) -> Option<Arc<Stream>> {
        if path.len() > MAX_PATH {
            return None;
        }
        // Made before the lock is taken: everybody waits for it.
        let key = StreamKey::called(app, path);
        self.streams.lock().get(&key).cloned()
    }

    fn of_app(&self, app: &str, prefix: &str) -> Vec<(String, Arc<Stream>)> {
        if prefix.len() > MAX_PATH {
            return Vec::new();
        }
        let streams = self.streams.lock();
        let of_app = streams.all().filter(|stream| &*stream.key().app == app);
        let of_app: Vec<_> = of_app.cloned().collect();
        drop(streams);
        let mut found: Vec<_> = of_app
            .into_iter()
            .map(|stream| (stream.key().path(), stream))
            .filter(|(path, _)| path.starts_with(prefix))
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }
}
