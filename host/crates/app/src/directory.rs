//! The sessions of the process, so that one can be ended by its number, and those
//! of an application be listed.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use livehost_policy::{Client, ConnId};
use livehost_telemetry::counters::Counts;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::conn::ConnIds;

#[derive(Debug)]
struct DirectoryEntry {
    /// Set when the application has accepted it.
    accepted: Option<Accepted>,
    /// Taken by the first order to leave.
    leave: Option<oneshot::Sender<String>>,
}

/// A connection as its application knows it.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The application.
    pub app: Arc<str>,
    /// The connection.
    pub client: Arc<Client>,
    /// When the application accepted it.
    pub since: SystemTime,
}

impl DirectoryEntry {
    fn is_of(&self, app: &str) -> bool {
        (self.accepted.as_ref()).is_some_and(|accepted| &*accepted.app == app)
    }
}

/// Every connection, by its number.
#[derive(Debug, Default)]
pub struct Directory {
    conns: Arc<ConnIds>,
    accepted: AtomicU64,
    /// In the order in which they came.
    sessions: Mutex<BTreeMap<ConnId, DirectoryEntry>>,
    /// How many sessions ended, by reason.
    ends: Mutex<BTreeMap<&'static str, u64>>,
}

/// A session's entry; dropping it removes the entry.
#[derive(Debug)]
pub struct Registration {
    directory: Arc<Directory>,
    pub conn: ConnId,
    /// Resolves with the reason when the session is told to end.
    pub leave: oneshot::Receiver<String>,
}

impl Directory {
    /// An empty directory, whose sessions are numbered by `conns`.
    pub fn new(conns: Arc<ConnIds>) -> Arc<Self> {
        Arc::new(Self {
            conns,
            ..Self::default()
        })
    }

    pub fn register(self: &Arc<Self>) -> Registration {
        let conn = self.conns.next();
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let (sender, leave) = oneshot::channel();
        let entry = DirectoryEntry {
            accepted: None,
            leave: Some(sender),
        };
        self.sessions.lock().insert(conn, entry);
        Registration {
            directory: self.clone(),
            conn,
            leave,
        }
    }

    /// Tells a session of `app` to end. False when there is none.
    pub fn disconnect(&self, app: &str, conn: ConnId, reason: &str) -> bool {
        self.end(conn, reason, |entry| entry.is_of(app))
    }

    /// Tells a session of any application, or of none yet, to end. False when there is
    /// none.
    pub fn kick(&self, conn: ConnId, reason: &str) -> bool {
        self.end(conn, reason, |_| true)
    }

    fn end(
        &self,
        conn: ConnId,
        reason: &str,
        is_meant: impl FnOnce(&DirectoryEntry) -> bool,
    ) -> bool {
        let mut sessions = self.sessions.lock();
        let Some(entry) = sessions.get_mut(&conn).filter(|entry| is_meant(entry)) else {
            return false;
        };
        if let Some(leave) = entry.leave.take() {
            // A session that no longer listens is ending already.
            let _ = leave.send(reason.to_owned());
        }
        true
    }

    /// Up to `limit` connections that an application has accepted, `app` or any, whose
    /// numbers are above `after`, the oldest first.
    pub fn page(&self, app: Option<&str>, after: ConnId, limit: usize) -> Vec<Accepted> {
        let sessions = self.sessions.lock();
        let behind = sessions.range((Bound::Excluded(after), Bound::Unbounded));
        let accepted = behind.filter_map(|(_, entry)| entry.accepted.as_ref());
        let wanted = accepted.filter(|accepted| app.is_none_or(|app| *accepted.app == *app));
        wanted.take(limit).cloned().collect()
    }

    /// The connection of this number, if an application has accepted it.
    pub fn get(&self, conn: ConnId) -> Option<Accepted> {
        self.sessions.lock().get(&conn)?.accepted.clone()
    }

    /// Whether `app` has a session of this number.
    pub fn has(&self, app: &str, conn: ConnId) -> bool {
        let sessions = self.sessions.lock();
        sessions.get(&conn).is_some_and(|entry| entry.is_of(app))
    }

    /// Up to `limit` of the connections that `app` has accepted, the oldest first.
    pub fn clients(&self, app: &str, limit: usize) -> Vec<Client> {
        let sessions = self.sessions.lock();
        let of_app = sessions.values().filter(|entry| entry.is_of(app));
        let of_app = of_app.filter_map(|entry| Some(entry.accepted.as_ref()?.client.clone()));
        let found: Vec<_> = of_app.take(limit).collect();
        drop(sessions);
        // Their texts are copied while nobody waits.
        let found = found.into_iter();
        let clients = found.map(Arc::unwrap_or_clone);
        livehost_policy::first(clients, limit, Client::bytes)
    }

    /// Connections now (`open`), and how many there have been (`accepted`).
    pub fn counts(&self) -> Counts {
        let accepted = self.accepted.load(Ordering::Relaxed);
        Counts::from_iter([
            ("open", "Connections now.", self.len() as u64),
            ("accepted", "Connections that there have been.", accepted),
        ])
    }

    /// How many sessions have ended, by reason.
    pub fn ends(&self) -> Counts {
        let ends = self.ends.lock();
        let help = "Sessions that ended for this reason.";
        ends.iter()
            .map(|(reason, count)| (*reason, help, *count))
            .collect()
    }

    /// Counts the end of a session.
    pub fn count_end(&self, reason: &'static str) {
        let mut ends = self.ends.lock();
        let count = ends.entry(reason).or_default();
        *count = count.saturating_add(1);
    }

    /// Connections now.
    pub fn len(&self) -> usize {
        self.sessions.lock().len()
    }

    /// True when nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Registration {
    /// The session belongs to an application from now on, which knows it as `client`.
    pub fn enter(&self, app: &Arc<str>, client: &Client) {
        let accepted = Accepted {
            app: app.clone(),
            client: Arc::new(client.clone()),
            since: SystemTime::now(),
        };
        if let Some(entry) = self.directory.sessions.lock().get_mut(&self.conn) {
            entry.accepted = Some(accepted);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.directory.sessions.lock().remove(&self.conn);
    }
}
