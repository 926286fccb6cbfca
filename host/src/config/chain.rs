//! The protocol chains that an acceptor may have.

use std::fmt;

use livehost_server_http::HttpChain;
use livehost_server_rtmp::RtmpChain;

/// What the bytes of a connection pass, from the socket up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// To RTMP clients.
    Rtmp(RtmpChain),
    /// To operators' clients.
    Http(HttpChain),
}

impl Default for Chain {
    fn default() -> Self {
        Self::Rtmp(RtmpChain::default())
    }
}

impl Chain {
    /// Every chain, as messages and documentation list them.
    pub fn all() -> impl Iterator<Item = Self> {
        let rtmp = RtmpChain::ALL.into_iter().map(Self::Rtmp);
        rtmp.chain(HttpChain::ALL.into_iter().map(Self::Http))
    }

    /// Its protocols, in the order of the file.
    #[must_use]
    pub fn protocols(self) -> &'static [&'static str] {
        match self {
            Self::Rtmp(chain) => chain.protocols(),
            Self::Http(chain) => chain.protocols(),
        }
    }

    /// The scheme of its URLs.
    #[must_use]
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Rtmp(chain) => chain.scheme(),
            Self::Http(chain) => chain.scheme(),
        }
    }

    /// Whether it needs a certificate.
    #[must_use]
    pub fn has_tls(self) -> bool {
        self.protocols().contains(&"Tls")
    }

    /// Whether it ends at HTTP.
    #[must_use]
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http(_))
    }

    /// Every chain in words: `[Tcp, Rtmp] or [Tcp, Tls, Rtmp]`.
    #[must_use]
    pub fn list() -> String {
        let words: Vec<String> = Self::all().map(|chain| chain.to_string()).collect();
        words.join(" or ")
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.protocols().join(", "))
    }
}
