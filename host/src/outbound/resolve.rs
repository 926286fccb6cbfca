//! Names to addresses.

use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

/// Finds the addresses of a name.
#[async_trait]
pub trait Resolve: fmt::Debug + Send + Sync + 'static {
    /// The addresses of `name`, the preferred ones first.
    ///
    /// # Errors
    /// What the resolver says, for a log.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The machine's own resolver: its hosts file and DNS servers.
#[derive(Debug)]
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

/// Lookups at once. One can't be ended early and has a thread for as long as
/// it takes, so those that nobody waits for any more must not pile up.
const LOOKUPS: usize = 16;

impl Default for SystemResolver {
    fn default() -> Self {
        Self {
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
        }
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let permit = Arc::clone(&self.lookups).acquire_owned().await;
        let permit = permit.map_err(io::Error::other)?;
        // A port is wanted, and plays no part.
        let name = (name.to_owned(), 0);
        let lookup = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let found = name.to_socket_addrs()?;
            Ok(found.map(|address| address.ip()).collect())
        });
        lookup.await?
    }
}
