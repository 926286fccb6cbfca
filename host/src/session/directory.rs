//! The sessions of the process, so that one can be ended by its number.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::conn::ConnIds;
use crate::policy::ConnId;
use crate::tally::Counts;

#[derive(Debug)]
struct Entry {
    app: Option<Arc<str>>,
    /// Taken by the first order to leave.
    leave: Option<oneshot::Sender<String>>,
}

/// Every connection, by its number.
#[derive(Debug, Default)]
pub struct Directory {
    conns: Arc<ConnIds>,
    accepted: AtomicU64,
    sessions: Mutex<HashMap<ConnId, Entry>>,
    /// How many sessions ended, by reason.
    ends: Mutex<BTreeMap<&'static str, u64>>,
}

/// A session's entry; dropping it removes the entry.
#[derive(Debug)]
pub(super) struct Registration {
    directory: Arc<Directory>,
    pub(super) conn: ConnId,
    /// Resolves with the reason when the session is told to end.
    pub(super) leave: oneshot::Receiver<String>,
}

impl Directory {
    /// An empty directory, whose sessions are numbered by `conns`.
    pub fn new(conns: Arc<ConnIds>) -> Arc<Self> {
        Arc::new(Self {
            conns,
            ..Self::default()
        })
    }

    pub(super) fn register(self: &Arc<Self>) -> Registration {
        let conn = self.conns.next();
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let (sender, leave) = oneshot::channel();
        let entry = Entry {
            app: None,
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
        let mut sessions = self.sessions.lock();
        let Some(entry) = sessions
            .get_mut(&conn)
            .filter(|entry| entry.app.as_deref() == Some(app))
        else {
            return false;
        };
        if let Some(leave) = entry.leave.take() {
            // A session that no longer listens is ending already.
            let _ = leave.send(reason.to_owned());
        }
        true
    }

    /// Connections now (`open`), and how many there have been (`accepted`).
    pub fn counts(&self) -> Counts {
        vec![
            ("open", self.len() as u64),
            ("accepted", self.accepted.load(Ordering::Relaxed)),
        ]
        .into()
    }

    /// How many sessions have ended, by reason.
    pub fn ends(&self) -> Counts {
        let ends = self.ends.lock();
        let ends: Vec<_> = ends
            .iter()
            .map(|(reason, count)| (*reason, *count))
            .collect();
        ends.into()
    }

    /// Counts the end of a session.
    pub(super) fn count_end(&self, reason: &'static str) {
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
    /// The session belongs to an application from now on.
    pub(super) fn enter(&self, app: &Arc<str>) {
        if let Some(entry) = self.directory.sessions.lock().get_mut(&self.conn) {
            entry.app = Some(app.clone());
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.directory.sessions.lock().remove(&self.conn);
    }
}
