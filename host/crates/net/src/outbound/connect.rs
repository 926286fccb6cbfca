//! Connections that go only where they may.
//!
//! Flows in: a URI of the HTTP client, or a host and a port. Flows out: a
//! connection to an address that was checked here. Nothing resolves the name again, so an answer of DNS
//! that changes between check and connect changes nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::HttpsConnector;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower_service::Service;

use super::address::{self, Reach};
use super::resolve::Resolve;

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The name leads to an address where it may not lead.
    #[error("{} {what}{}", leads(name, *ip), remedy(*permissible))]
    Forbidden {
        /// The name.
        name: String,
        /// The address.
        ip: IpAddr,
        /// What it is.
        what: &'static str,
        /// A setting permits it.
        permissible: bool,
    },
    /// The name leads nowhere.
    #[error("{name} has no address: {reason}")]
    Lookup {
        /// The name.
        name: String,
        /// What the resolver says.
        reason: String,
    },
    /// The resolver does not answer.
    #[error("{name} was not resolved within {} ms (the setting `connect`)", .limit.as_millis())]
    NotResolved {
        /// The name.
        name: String,
        /// The time that it had.
        limit: Duration,
    },
    /// Nothing there answers.
    #[error("{address}: {reason}")]
    Failed {
        /// The last address that was tried.
        address: SocketAddr,
        /// The operating system's reason.
        reason: String,
    },
    /// It took too long.
    #[error("no connection within {} ms (the setting `connect`)", .0.as_millis())]
    TimedOut(Duration),
    /// There is no host in the URL.
    #[error("{0} is no host and port to connect to")]
    NoAddress(String),
}

/// The host may be the address itself.
fn leads(name: &str, ip: IpAddr) -> String {
    match literal(name) {
        Some(_) => format!("{ip} is"),
        None => format!("{name} resolves to {ip},"),
    }
}

/// The address that a host is (IPv6 with or without its brackets).
fn literal(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

fn remedy(permissible: bool) -> &'static str {
    if permissible {
        "; `private: true` beside `allow` would permit it"
    } else {
        ", where no name may lead"
    }
}

/// Where names may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reachable {
    /// The internet.
    Global,
    /// This machine and local networks, too.
    Private,
    /// Anywhere: an operator has named the host.
    Anywhere,
}

/// Resolves, checks, connects.
#[derive(Debug, Clone)]
pub struct Connector {
    pub(super) resolver: Arc<dyn Resolve>,
    /// Whose lookups they are.
    pub(super) application: Arc<str>,
    /// Where names may lead.
    pub(super) reachable: Reachable,
    /// An allow-list or an operator names the hosts, so an address in place of
    /// a name may be any.
    pub(super) is_named: bool,
    /// Time for all of it.
    pub(super) limit: Duration,
}

impl Connector {
    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, ConnectError> {
        let https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let stream = self.dial(uri.host().unwrap_or_default(), port).await?;
        Ok(TokioIo::new(stream))
    }

    /// The connector to where a server at `from` sends its client, without
    /// anybody here having named that host: it leads no further inside than
    /// that server is, unless it may (`private`), and addresses in place of
    /// names are checked, too.
    pub fn sent_by(&self, from: IpAddr, private: bool) -> Self {
        let is_inside = !matches!(address::reach(from), Reach::Global);
        Self {
            reachable: match private || is_inside {
                true => Reachable::Private,
                false => Reachable::Global,
            },
            is_named: false,
            ..self.clone()
        }
    }

    /// Connects to a name or an address (IPv6 with or without its brackets)
    /// that the caller has compared with an allow-list.
    ///
    /// # Errors
    /// [`ConnectError`] about the last address that was tried.
    pub async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let deadline = Instant::now() + self.limit;
        let resolved = tokio::time::timeout_at(deadline, self.addresses(host)).await;
        let addresses = resolved.map_err(|_| ConnectError::NotResolved {
            name: host.to_owned(),
            limit: self.limit,
        })??;
        let mut last = ConnectError::NoAddress(format!("{host}:{port}"));
        let mut left = u32::try_from(addresses.len()).unwrap_or(1);
        for ip in addresses {
            let address = SocketAddr::new(ip, port);
            // One that does not answer must not use up the time of the others.
            let share = deadline.saturating_duration_since(Instant::now()) / left.max(1);
            left = left.saturating_sub(1);
            let failed = |error: io::Error| ConnectError::Failed {
                address,
                reason: error.to_string(),
            };
            match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true).map_err(failed)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => last = failed(error),
                Err(_) => last = ConnectError::TimedOut(self.limit),
            }
        }
        Err(last)
    }

    /// Where `host` may be connected to; at least one address.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ConnectError> {
        let known = match literal(host) {
            Some(ip) => Some(vec![ip]),
            // By definition (RFC 6761), whatever a resolver says.
            None if host == "localhost" => {
                Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
            }
            None => None,
        };
        let lookup = |reason: String| ConnectError::Lookup {
            name: host.to_owned(),
            reason,
        };
        let found = match known {
            Some(addresses) if self.is_named => return Ok(addresses),
            Some(addresses) => addresses,
            None => {
                let found = self.resolver.resolve(&self.application, host).await;
                found.map_err(|error| lookup(error.to_string()))?
            }
        };
        let mut forbidden = None;
        let mut permitted = Vec::new();
        for ip in found {
            let (what, permissible) = match (address::reach(ip), self.reachable) {
                (Reach::Global, _)
                | (_, Reachable::Anywhere)
                | (Reach::Private(_), Reachable::Private) => {
                    permitted.push(ip);
                    continue;
                }
                (Reach::Private(what), Reachable::Global) => (what, true),
                (Reach::Never(what), _) => (what, false),
            };
            forbidden = Some(ConnectError::Forbidden {
                name: host.to_owned(),
                ip,
                what,
                permissible,
            });
        }
        permitted.truncate(MAX_ADDRESSES);
        match forbidden {
            Some(forbidden) if permitted.is_empty() => Err(forbidden),
            None if permitted.is_empty() => Err(lookup("the answer is empty".into())),
            _ => Ok(permitted),
        }
    }
}

type Connecting<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Connecting<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// Bounds name lookup, connection and TLS handshake together.
#[derive(Debug, Clone)]
pub(super) struct Within<C> {
    inner: C,
    limit: Duration,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<C> Service<Uri> for Within<C>
where
    C: Service<Uri, Error: Into<BoxError>, Future: Send + 'static>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Connecting<Self::Response, Self::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (limit, connecting) = (self.limit, self.inner.call(uri));
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(ConnectError::TimedOut(limit).into()),
            }
        })
    }
}

/// The connector of a client: plain or TLS, as the URL says.
pub(super) fn connector(
    tcp: Connector,
    tls: Arc<ClientConfig>,
) -> Within<HttpsConnector<Connector>> {
    Within {
        limit: tcp.limit,
        inner: HttpsConnector::from((tcp, tls)),
    }
}

/// TLS that trusts the machine's certificates; the second value says whether
/// it has any.
pub(super) fn tls() -> Result<(ClientConfig, bool), rustls::Error> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    let (trusted, _) = roots.add_parsable_certificates(native.certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((config, trusted > 0))
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    /// A name is what its first label says, with dashes for dots.
    #[derive(Debug)]
    struct Names;

    #[async_trait]
    impl Resolve for Names {
        async fn resolve(&self, _: &str, name: &str) -> io::Result<Vec<IpAddr>> {
            let label = name.split('.').next().unwrap().replace('-', ".");
            Ok(vec![label.parse().map_err(io::Error::other)?])
        }
    }

    /// Whether a redirect from a server at `from` leads to `host`.
    async fn leads(from: &str, private: bool, host: &str) -> bool {
        let connector = Connector {
            resolver: Arc::new(Names),
            application: "live".into(),
            reachable: Reachable::Anywhere,
            is_named: true,
            limit: Duration::from_secs(1),
        };
        // An operator may name any.
        assert!(connector.addresses(host).await.is_ok(), "{host}");
        let sent = connector.sent_by(from.parse().unwrap(), private);
        match sent.addresses(host).await {
            Ok(_) => true,
            Err(ConnectError::Forbidden { .. }) => false,
            Err(error) => panic!("{host}: {error}"),
        }
    }

    #[tokio::test]
    async fn a_server_sends_nobody_further_inside_than_it_is() {
        let inside = [
            "127.0.0.1",
            "[::1]",
            "localhost",
            "10.0.0.7",
            "10-0-0-7.test",
        ];
        for host in inside {
            assert!(!leads("8.8.8.8", false, host).await, "{host}");
            assert!(leads("8.8.8.8", true, host).await, "{host}");
            assert!(leads("192.168.0.1", false, host).await, "{host}");
        }
        for from in ["8.8.8.8", "127.0.0.1"] {
            for host in ["9.9.9.9", "[2606:4700::1111]", "9-9-9-9.test"] {
                assert!(leads(from, false, host).await, "{host}");
            }
            for host in ["169.254.169.254", "169-254-169-254.test", "[fe80::1]"] {
                assert!(!leads(from, true, host).await, "{host}");
            }
        }
    }
}
