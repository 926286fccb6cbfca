//! Snapshot reads and operators' commands on live streams.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use livehost_wire::amf0;

use super::publication::Revocation;
use super::stream::Stream;
use super::{Hub, MAX_PATH, StreamKey};
use crate::policy::{self, Client, StreamInfo, StreamRegistry};

impl Hub {
    /// Ends the publisher of the application's stream `path`. False when
    /// nobody publishes it.
    pub fn stop(&self, app: &str, path: &str, reason: &str) -> bool {
        let publisher = self.find_one(app, path).and_then(|stream| stream.active());
        publisher
            .map(|publisher| {
                self.counters.publishers_stopped.add();
                publisher.revoke(Revocation::Stopped(reason.to_owned()));
            })
            .is_some()
    }

    /// Sends a data message (AMF0 values behind `handler`) to the players of
    /// the application's stream `path`. False when nobody publishes it.
    pub fn send_data(&self, app: &str, path: &str, handler: &str, values: &[u8]) -> bool {
        let Some(stream) = self.find_one(app, path).filter(|stream| stream.is_live()) else {
            return false;
        };
        let mut payload = BytesMut::new();
        amf0::encode(&amf0::Value::from(handler), &mut payload);
        payload.put_slice(values);
        stream.push_data(payload.freeze()).is_ok()
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

    /// The live stream of an application that is called `path`.
    pub fn live_key(&self, app: &str, path: &str) -> Option<StreamKey> {
        let stream = self.find_one(app, path)?;
        stream.is_live().then(|| stream.key().clone())
    }

    fn find_one(&self, app: &str, path: &str) -> Option<Arc<Stream>> {
        if path.len() > MAX_PATH {
            return None;
        }
        let key = |instance: Option<&str>, name: &str| StreamKey {
            app: app.into(),
            instance: instance.map(Into::into),
            name: name.into(),
        };
        // Instances and names may both hold slashes, so each cut is tried.
        let cuts = path
            .match_indices('/')
            .filter_map(|(at, _)| Some((path.get(..at)?, path.get(at.checked_add(1)?..)?)));
        // Made before the lock is taken: everybody waits for it.
        let keys: Vec<_> = std::iter::once(key(None, path))
            .chain(cuts.map(|(instance, name)| key(Some(instance), name)))
            .collect();
        let streams = self.streams.lock();
        keys.iter().find_map(|key| streams.get(key).cloned())
    }

    fn of_app(&self, app: &str, prefix: &str) -> Vec<(String, Arc<Stream>)> {
        if prefix.len() > MAX_PATH {
            return Vec::new();
        }
        let streams = self.streams.lock();
        let of_app = streams.iter().filter(|(key, _)| &*key.app == app);
        let of_app: Vec<_> = of_app.map(|(_, stream)| stream.clone()).collect();
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

impl StreamRegistry for Hub {
    fn get(&self, app: &str, name: &str) -> Option<StreamInfo> {
        self.find_one(app, name)?.info()
    }

    fn find(&self, app: &str, prefix: &str, limit: usize) -> Vec<StreamInfo> {
        let found = self.of_app(app, prefix).into_iter();
        let found = found.filter_map(|(_, stream)| stream.info());
        policy::first(found, limit, StreamInfo::bytes)
    }

    fn count(&self, app: &str, prefix: &str) -> usize {
        self.of_app(app, prefix)
            .into_iter()
            .filter(|(_, stream)| stream.active().is_some())
            .count()
    }

    /// The hub knows streams only.
    fn clients(&self, _: &str, _: usize) -> Vec<Client> {
        Vec::new()
    }
}
