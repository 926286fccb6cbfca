//! HTTP requests of guests to the outside, and the rules that relays share.
//!
//! Flows in: a request of a plugin, by whichever interface it came. Flows out:
//! the whole response, or one line that says why there is none. Everything
//! goes through [`HttpClient::send`]: the allow-list of URLs, the check of the
//! addresses that names resolve to, and the limits hold for every request and
//! again for every redirect.

mod address;
mod allow;
mod client;
mod connect;
mod error;
mod redirect;
mod resolve;
mod target;

use std::sync::Arc;
use std::time::Duration;

use livehost_settings::{KIB, MIB, MS, SEC, TextError, settings};

pub use allow::{AllowList, PatternError, UrlPattern};
pub use client::{HttpClient, MAX_REQUEST_BODY, Request, Response};
pub use connect::{ConnectError, Connector, Reachable};
pub use error::{Error, HttpCounters, HttpTotals};
pub use resolve::{Resolve, SystemResolver};
pub use target::{Target, TargetError};

settings! {
    /// What an application's plugin may request, and how much.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct HttpSettings {
        /// Where the plugin may send HTTP requests; see below.
        pub allow: AllowList = list(
            AllowList::default(),
            "URLs like \"https://example.com/hooks/*\"",
            "a URL in quotes, like \"https://example.com/hooks/*\"",
            // Not what was found: there may be a password in it.
            |text| UrlPattern::parse(text).map_err(TextError::new),
        ),
        /// Names in `allow` may lead to this machine and to local networks.
        pub private: bool = flag(false),
        /// Requests at once; more wait for their turn.
        pub requests: usize = number(64, 1..=1024),
        /// The longest body of a response.
        pub response_bytes as "response": usize = size(MIB, KIB..=16 * MIB),
        /// Time to look up a name, connect, and agree on TLS.
        pub connect: Duration = duration(SEC, 10 * MS..=30 * SEC),
    }
}

/// What the clients of all applications share.
#[derive(Debug, Clone)]
pub struct Network {
    resolver: Arc<dyn Resolve>,
    tls: Arc<rustls::ClientConfig>,
    /// There are certificates to trust.
    trusts: bool,
}

impl Network {
    /// The machine's resolver and trusted certificates, read now.
    ///
    /// # Errors
    /// When TLS can't be set up at all. A machine without trusted certificates
    /// is no error: `https` fails there.
    pub fn new() -> Result<Self, rustls::Error> {
        Self::with_resolver(Arc::new(SystemResolver::default()))
    }

    /// Names are what `resolver` says.
    ///
    /// # Errors
    /// As [`Network::new`].
    pub fn with_resolver(resolver: Arc<dyn Resolve>) -> Result<Self, rustls::Error> {
        let (tls, trusts) = connect::tls()?;
        Ok(Self {
            resolver,
            tls: Arc::new(tls),
            trusts,
        })
    }

    /// Connections of `application` to hosts that an allow-list or an operator
    /// names. Names may lead as far as `reachable`, each within `limit`.
    pub fn connector(&self, application: &str, reachable: Reachable, limit: Duration) -> Connector {
        Connector {
            resolver: Arc::clone(&self.resolver),
            application: application.into(),
            reachable,
            is_named: true,
            limit,
        }
    }

    /// TLS that trusts the machine's certificates.
    pub fn tls(&self) -> &Arc<rustls::ClientConfig> {
        &self.tls
    }
}
