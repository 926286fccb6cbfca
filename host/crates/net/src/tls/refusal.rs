//! Why a handshake came to nothing, in an operator's words. The library's are
//! the names of its own types.

use std::fmt::Write as _;
use std::io;

use rustls::crypto::CryptoProvider;
use rustls::{AlertDescription, CipherSuite, Error, PeerIncompatible};

/// What is known of a client's first message.
#[derive(Debug, Default)]
pub(super) struct Hello {
    /// The highest version that it offers, if that is below 1.3.
    pub(super) version: Option<u16>,
    pub(super) suites: Vec<CipherSuite>,
}

/// `error`, if the library has it, as what it means.
pub(super) fn explain(error: io::Error, hello: &Hello, provider: &CryptoProvider) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner.and_then(|inner| meaning(inner, hello, provider)) {
        Some(text) => io::Error::new(error.kind(), text),
        None => error,
    }
}

fn meaning(error: &Error, hello: &Hello, provider: &CryptoProvider) -> Option<String> {
    match error {
        Error::PeerIncompatible(reason) => incompatible(reason, hello, provider),
        Error::AlertReceived(alert) => Some(match alert {
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::UnsupportedCertificate => {
                format!("the client does not take the certificate (it says {alert:?})")
            }
            alert => format!("the client ended the handshake (it says {alert:?})"),
        }),
        _ => None,
    }
}

fn incompatible(
    reason: &PeerIncompatible,
    hello: &Hello,
    provider: &CryptoProvider,
) -> Option<String> {
    Some(match reason {
        PeerIncompatible::Tls12NotOffered | PeerIncompatible::Tls12NotOfferedOrEnabled => {
            let version = hello.version.and_then(name);
            let offered = version.map_or_else(
                || "older versions only".to_owned(),
                |version| format!("{version} at most"),
            );
            format!("the client offers {offered}; TLS 1.2 and 1.3 are served")
        }
        PeerIncompatible::NoCipherSuitesInCommon
        | PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NamedGroupsExtensionRequired
        | PeerIncompatible::EcPointsExtensionRequired => suites(reason, hello, provider),
        PeerIncompatible::NoSignatureSchemesInCommon => {
            "the client can't check signatures of the certificate's kind of key".to_owned()
        }
        _ => return None,
    })
}

/// What is wrong with the suites that the client offers.
fn suites(reason: &PeerIncompatible, hello: &Hello, provider: &CryptoProvider) -> String {
    let served = |suite: &CipherSuite| {
        let served = &provider.cipher_suites;
        served.iter().any(|served| served.suite() == *suite)
    };
    let common: Vec<CipherSuite> = hello.suites.iter().copied().filter(served).collect();
    if common.is_empty() {
        return format!(
            "no cipher suite in common: the client offers {}; \
             ECDHE with AES-GCM or ChaCha20 is served",
            some(&hello.suites)
        );
    }
    match reason {
        PeerIncompatible::NoCipherSuitesInCommon => format!(
            "the client offers {}, but nothing for the certificate's kind of key",
            some(&common)
        ),
        _ => "no group for the key exchange in common: X25519, P-256 and P-384 are served".into(),
    }
}

/// The first of them, which a line has room for.
fn some(suites: &[CipherSuite]) -> String {
    let mut suites = suites.iter().filter(|suite| !is_signal(**suite));
    let Some(first) = suites.next() else {
        return "none".to_owned();
    };
    let mut text = match known(*first) {
        Some(name) => name.to_owned(),
        None => format!("{first:?}"),
    };
    match suites.count() {
        0 => {}
        // Writing to a String can't fail.
        rest => _ = write!(text, " and {rest} more"),
    }
    text
}

/// The names of suites that old clients have and the library has none for: keys
/// are exchanged by RSA, or the cipher is broken.
fn known(suite: CipherSuite) -> Option<&'static str> {
    Some(match u16::from(suite) {
        0x0004 => "TLS_RSA_WITH_RC4_128_MD5",
        0x0005 => "TLS_RSA_WITH_RC4_128_SHA",
        0x000a => "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
        0x002f => "TLS_RSA_WITH_AES_128_CBC_SHA",
        0x0033 => "TLS_DHE_RSA_WITH_AES_128_CBC_SHA",
        0x0035 => "TLS_RSA_WITH_AES_256_CBC_SHA",
        0x0039 => "TLS_DHE_RSA_WITH_AES_256_CBC_SHA",
        0x003c => "TLS_RSA_WITH_AES_128_CBC_SHA256",
        0x003d => "TLS_RSA_WITH_AES_256_CBC_SHA256",
        0x009c => "TLS_RSA_WITH_AES_128_GCM_SHA256",
        0x009d => "TLS_RSA_WITH_AES_256_GCM_SHA384",
        0x009e => "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
        0x009f => "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
        _ => return None,
    })
}

/// No suites, but what old clients say by the number of one (RFC 5746, 7507).
fn is_signal(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS_EMPTY_RENEGOTIATION_INFO_SCSV | CipherSuite::Unknown(0x5600)
    )
}

fn name(version: u16) -> Option<&'static str> {
    match version {
        0x0300 => Some("SSL 3.0"),
        0x0301 => Some("TLS 1.0"),
        0x0302 => Some("TLS 1.1"),
        _ => None,
    }
}
