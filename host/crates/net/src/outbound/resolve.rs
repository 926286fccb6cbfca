//! Names to addresses.
//!
//! A lookup of the machine's resolver can't be ended early: one whose DNS
//! server is dead has a thread for as long as the resolver's own patience
//! lasts, whether somebody still waits for it or not. So each application has
//! room of its own, and lookups of one name at the same time are one.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::thread;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::Shared;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

/// Lookups at once that each application has for itself.
const OWN: usize = 4;
/// Lookups at once beyond those, of all applications together.
const SHARED: usize = 16;

/// Finds the addresses of a name.
#[async_trait]
pub trait Resolve: fmt::Debug + Send + Sync + 'static {
    /// The addresses of `name`, the preferred ones first, for `application`.
    ///
    /// # Errors
    /// What the resolver says, for a log.
    async fn resolve(&self, application: &str, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The machine's own resolver: its hosts file and DNS servers.
pub struct SystemResolver {
    lookup: Arc<Lookup>,
    shared: Arc<Semaphore>,
    /// Those that look up, by application.
    rooms: Mutex<HashMap<String, Weak<LookupSlots>>>,
}

/// A lookup that takes a thread.
type Lookup = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;
/// What a lookup has found, for all who wait for it.
type Answer = Shared<oneshot::Receiver<Result<Vec<IpAddr>, Arc<io::Error>>>>;

/// The lookups of one application.
struct LookupSlots {
    own: Arc<Semaphore>,
    /// By name: those that have a thread.
    running: Mutex<HashMap<String, Answer>>,
    /// There is one more of them.
    started: Notify,
}

/// A lookup has its thread; it counts until it has truly ended.
struct RunningLookup {
    room: Arc<LookupSlots>,
    name: String,
    _permit: OwnedSemaphorePermit,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::new(|name| {
            // A port is wanted, and plays no part.
            let found = (name, 0).to_socket_addrs()?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

impl fmt::Debug for SystemResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemResolver").finish_non_exhaustive()
    }
}

impl SystemResolver {
    fn new(lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        Self {
            lookup: Arc::new(lookup),
            shared: Arc::new(Semaphore::new(SHARED)),
            rooms: Mutex::default(),
        }
    }

    fn room(&self, application: &str) -> Arc<LookupSlots> {
        let mut rooms = self.rooms.lock();
        if let Some(room) = rooms.get(application).and_then(Weak::upgrade) {
            return room;
        }
        rooms.retain(|_, room| room.strong_count() > 0);
        let room = Arc::new(LookupSlots {
            own: Arc::new(Semaphore::new(OWN)),
            running: Mutex::default(),
            started: Notify::new(),
        });
        rooms.insert(application.to_owned(), Arc::downgrade(&room));
        room
    }

    /// Joins the lookup of `name` that runs, or starts one when its turn has
    /// come.
    async fn answer(&self, room: &Arc<LookupSlots>, name: &str) -> io::Result<Answer> {
        let mut turn = pin!(async {
            tokio::select! {
                biased;
                permit = Arc::clone(&room.own).acquire_owned() => permit,
                permit = Arc::clone(&self.shared).acquire_owned() => permit,
            }
        });
        loop {
            let started = room.started.notified();
            if let Some(answer) = room.running.lock().get(name) {
                return Ok(answer.clone());
            }
            tokio::select! {
                biased;
                permit = &mut turn => {
                    let permit = permit.map_err(io::Error::other)?;
                    return self.start(room, name, permit);
                }
                () = started => {}
            }
        }
    }

    fn start(
        &self,
        room: &Arc<LookupSlots>,
        name: &str,
        permit: OwnedSemaphorePermit,
    ) -> io::Result<Answer> {
        let (sender, receiver) = oneshot::channel();
        let mut running = room.running.lock();
        // Another thread's task may have been faster.
        if let Some(answer) = running.get(name) {
            return Ok(answer.clone());
        }
        let answer = receiver.shared();
        running.insert(name.to_owned(), answer.clone());
        drop(running);
        let this = RunningLookup {
            room: Arc::clone(room),
            name: name.to_owned(),
            _permit: permit,
        };
        let lookup = Arc::clone(&self.lookup);
        // Not a thread of the runtime: those that are stuck would be missed
        // there, and hold up its end.
        thread::Builder::new()
            .name("lookup".into())
            .spawn(move || {
                let found = lookup(&this.name).map_err(Arc::new);
                drop(this);
                let _ = sender.send(found);
            })?;
        room.started.notify_waiters();
        Ok(answer)
    }
}

impl Drop for RunningLookup {
    fn drop(&mut self) {
        self.room.running.lock().remove(&self.name);
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, application: &str, name: &str) -> io::Result<Vec<IpAddr>> {
        let room = self.room(application);
        let answer = self.answer(&room, name).await?;
        let found = answer.await.map_err(io::Error::other)?;
        found.map_err(|error| io::Error::new(error.kind(), error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::{Condvar, Mutex};
    use std::time::Duration;

    use futures_util::future::join_all;
    use tokio::sync::watch;

    use super::*;

    const FOUND: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    /// For what must happen, however busy the machine is.
    const SOON: Duration = Duration::from_secs(20);

    /// A DNS server that says nothing of names with `dead` in them until they
    /// are revived.
    #[derive(Default)]
    struct Dns {
        /// What is in the names that are.
        revived: Mutex<Vec<&'static str>>,
        changed: Condvar,
        begun: watch::Sender<usize>,
    }

    impl Dns {
        fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
            self.begun.send_modify(|begun| *begun += 1);
            if name.contains("dead") {
                let revived = self.revived.lock().unwrap();
                let is_dead = |revived: &mut Vec<&str>| !revived.iter().any(|it| name.contains(it));
                drop(self.changed.wait_while(revived, is_dead).unwrap());
            }
            match name.contains("none") {
                true => Err(io::Error::new(io::ErrorKind::NotFound, "no such name")),
                false => Ok(vec![FOUND]),
            }
        }

        fn revive(&self, part: &'static str) {
            self.revived.lock().unwrap().push(part);
            self.changed.notify_all();
        }

        /// Waits until so many lookups have begun, which must not be more.
        async fn begun(&self, count: usize) {
            let mut begun = self.begun.subscribe();
            let all = begun.wait_for(|begun| *begun >= count);
            let all = tokio::time::timeout(SOON, all).await;
            assert_eq!(*all.expect("they begin").unwrap(), count);
        }
    }

    fn resolver() -> (Arc<Dns>, SystemResolver) {
        let dns = Arc::new(Dns::default());
        let resolver = SystemResolver::new({
            let dns = Arc::clone(&dns);
            move |name| dns.lookup(name)
        });
        (dns, resolver)
    }

    /// Asks for `count` names that have no answer, and waits for none of them.
    async fn ask_in_vain(resolver: &SystemResolver, application: &str, count: usize) {
        for number in 0..count {
            let name = format!("{number}.{application}.dead");
            let asked = resolver.resolve(application, &name);
            assert!(asked.now_or_never().is_none());
        }
    }

    async fn finds(resolver: &SystemResolver, application: &str, name: &str) {
        let found = resolver.resolve(application, name);
        let found = tokio::time::timeout(SOON, found).await;
        assert_eq!(found.expect("an answer").unwrap(), [FOUND]);
    }

    #[tokio::test]
    async fn dead_names_of_an_application_leave_room_for_the_others() {
        let (dns, resolver) = resolver();
        for application in ["a", "b", "c"] {
            ask_in_vain(&resolver, application, 100).await;
        }
        for _ in 0..3 {
            finds(&resolver, "other", "alive").await;
        }
        // And no more threads than that.
        dns.begun(3 * OWN + SHARED + 3).await;
        // They counted although nobody waited; now there is room again.
        dns.revive("dead");
        finds(&resolver, "a", "alive").await;
        finds(&resolver, "b", "dead, and back").await;
    }

    #[tokio::test]
    async fn lookups_of_one_name_are_one() {
        let (dns, resolver) = resolver();
        for _ in 0..100 {
            let asked = resolver.resolve("a", "dead");
            assert!(asked.now_or_never().is_none());
        }
        // Room is left for other names.
        finds(&resolver, "a", "alive").await;
        dns.begun(2).await;
        let all = join_all((0..9).map(|_| resolver.resolve("a", "dead")));
        let (all, ()) = tokio::join!(all, async { dns.revive("dead") });
        assert!(all.into_iter().all(|found| found.unwrap() == [FOUND]));
        dns.begun(2).await;
        finds(&resolver, "a", "dead").await;
        // Nothing is kept.
        dns.begun(3).await;
    }

    #[tokio::test]
    async fn who_waits_for_room_joins_the_lookup_of_the_same_name() {
        let (dns, resolver) = resolver();
        ask_in_vain(&resolver, "b", OWN + SHARED).await;
        ask_in_vain(&resolver, "a", OWN).await;
        let before = 2 * OWN + SHARED;
        dns.begun(before).await;
        let asked = join_all((0..9).map(|_| resolver.resolve("a", "none of the dead")));
        let (asked, ()) = tokio::join!(asked, async {
            dns.revive("0.a");
            dns.begun(before + 1).await;
            dns.revive("none");
        });
        for found in asked {
            assert_eq!(found.unwrap_err().to_string(), "no such name");
        }
        dns.begun(before + 1).await;
        dns.revive("dead");
    }
}
