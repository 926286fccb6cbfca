//! The protocol chains that exist.

use std::fmt;

/// What the bytes of a connection pass, from the socket up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RtmpChain {
    /// `[Tcp, Rtmp]`
    #[default]
    Rtmp,
    /// `[Tcp, Tls, Rtmp]`: RTMPS.
    Rtmps,
    /// `[Tcp, Http, Rtmp]`: RTMPT.
    Rtmpt,
    /// `[Tcp, Tls, Http, Rtmp]`: RTMPTS.
    Rtmpts,
    /// `[Tcp, Rtmpe]`
    Rtmpe,
    /// `[Tcp, Http, Rtmpe]`: RTMPTE.
    Rtmpte,
}

impl RtmpChain {
    /// Every chain, as messages and documentation list them.
    pub const ALL: [Self; 6] = [
        Self::Rtmp,
        Self::Rtmps,
        Self::Rtmpt,
        Self::Rtmpts,
        Self::Rtmpe,
        Self::Rtmpte,
    ];

    /// Its protocols, in the order of the file.
    #[must_use]
    pub fn protocols(self) -> &'static [&'static str] {
        match self {
            Self::Rtmp => &["Tcp", "Rtmp"],
            Self::Rtmps => &["Tcp", "Tls", "Rtmp"],
            Self::Rtmpt => &["Tcp", "Http", "Rtmp"],
            Self::Rtmpts => &["Tcp", "Tls", "Http", "Rtmp"],
            Self::Rtmpe => &["Tcp", "Rtmpe"],
            Self::Rtmpte => &["Tcp", "Http", "Rtmpe"],
        }
    }

    /// The scheme of its URLs, which is what policies see as the protocol.
    #[must_use]
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::Rtmps => "rtmps",
            Self::Rtmpt => "rtmpt",
            Self::Rtmpts => "rtmpts",
            Self::Rtmpe => "rtmpe",
            Self::Rtmpte => "rtmpte",
        }
    }

    /// Whether it needs a certificate.
    #[must_use]
    pub fn has_tls(self) -> bool {
        self.protocols().contains(&"Tls")
    }

    /// Whether RTMP is tunnelled through HTTP.
    #[must_use]
    pub fn has_http(self) -> bool {
        self.protocols().contains(&"Http")
    }

    /// Whether RTMP is encrypted by its own, obsolete means.
    #[must_use]
    pub fn is_encrypted(self) -> bool {
        self.protocols().contains(&"Rtmpe")
    }

    /// Every chain in words: `[Tcp, Rtmp] or [Tcp, Tls, Rtmp]`.
    pub fn list() -> String {
        Self::ALL.map(|chain| chain.to_string()).join(" or ")
    }
}

impl fmt::Display for RtmpChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.protocols().join(", "))
    }
}
