//! Certificates and keys: files in, a choice for each client out.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError as Expiry, Error, InconsistentKeys, RootCertStore};

use super::pem::{PemKind, found};
use crate::tls::CertificateFiles;

/// No chain of certificates is longer, bytes.
const MAX_FILE: u64 = 1 << 20;
/// So long before its end a certificate should have been renewed.
const NEAR: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// The last second of the year 9999, which has its place in certificates that
/// never end (RFC 5280 section 4.1.2.5), and one after it.
const LAST_DATE: u64 = 253_402_300_799;
const END_OF_TIME: u64 = LAST_DATE + 24 * 60 * 60;

/// Why certificates can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file can't be read.
    #[error("can't read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: expected {expected} in PEM; found {found}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
        /// What is.
        found: String,
    },
    /// The two belong to different pairs.
    #[error("expected the key of {} in {}; found another's", certificate.display(), key.display())]
    OtherKey {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The key is of another certificate of the file.
    #[error("{}: expected the server's own certificate first; found it as number {number}", certificate.display())]
    Order {
        /// The certificate's file.
        certificate: PathBuf,
        /// Counted from 1.
        number: usize,
    },
    /// The pair can't be used for TLS.
    #[error("{}, {}: expected a certificate and a key for TLS (RSA of 2048 bits and more, ECDSA with P-256 or P-384, Ed25519): {reason}", certificate.display(), key.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the library says.
        reason: Error,
    },
    /// The library offers no version of TLS.
    #[error("no TLS: {0}")]
    Provider(#[source] Error),
}

/// What an acceptor shows its clients.
#[derive(Debug)]
pub(super) struct Certificates {
    pairs: ArcSwap<Vec<Arc<CertifiedKey>>>,
}

impl Certificates {
    pub(super) fn load(
        files: &[CertificateFiles],
        provider: &CryptoProvider,
    ) -> Result<Self, CertificateError> {
        let pairs = files
            .iter()
            .map(|files| pair(files, provider).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            pairs: ArcSwap::from_pointee(pairs),
        })
    }

    /// What an operator has to know of them at `now`, by their places in the
    /// configuration: those that clients will not take, or not for long.
    pub(super) fn untimely(&self, now: UnixTime) -> Vec<(usize, String)> {
        self.told(|validity| validity.warning(now))
    }

    /// Until when each of them is valid, by its place in the configuration.
    pub(super) fn dates(&self, now: UnixTime) -> Vec<(usize, String)> {
        self.told(|Validity { until, .. }| {
            let (date, left) = (date(*until), days(*until, now));
            Some(format!("valid until {date}, {left} days left"))
        })
    }

    fn told(&self, tell: impl Fn(&Validity) -> Option<String>) -> Vec<(usize, String)> {
        let pairs = self.pairs.load();
        let told = pairs.iter().enumerate();
        told.filter_map(|(index, pair)| Some((index, tell(&Validity::of(pair)?)?)))
            .collect()
    }

    /// Takes over what `fresh` has; false when the certificates are the same.
    /// A key alone cannot change: it belongs to its certificate.
    pub(super) fn replace(&self, fresh: Self) -> bool {
        let fresh = fresh.pairs.into_inner();
        let old = self.pairs.load();
        let chains = |pairs: &[Arc<CertifiedKey>]| -> Vec<Vec<CertificateDer<'static>>> {
            pairs.iter().map(|pair| pair.cert.clone()).collect()
        };
        let changed = chains(&old) != chains(&fresh);
        self.pairs.store(fresh);
        changed
    }
}

impl ResolvesServerCert for Certificates {
    /// The first for the name that the client asked for; else the first.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let pairs = self.pairs.load();
        let named = hello
            .server_name()
            .and_then(|name| ServerName::try_from(name).ok())
            .and_then(|name| pairs.iter().find(|pair| covers(pair, &name)));
        named.or(pairs.first()).cloned()
    }
}

fn covers(pair: &CertifiedKey, name: &ServerName<'_>) -> bool {
    pair.end_entity_cert()
        .and_then(ParsedCertificate::try_from)
        .is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
}

fn pair(
    files: &CertificateFiles,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, CertificateError> {
    let (certificate, key) = (&files.certificate, &files.key);
    let text = content(certificate)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .and_then(|chain: Vec<_>| match chain.is_empty() {
            true => Err(pem::Error::NoItemsFound),
            false => Ok(chain),
        })
        .map_err(|error| wrong(certificate, &text, PemKind::Certificates, &error))?;
    let text = content(key)?;
    let secret = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|error| wrong(key, &text, PemKind::Key, &error))?;
    let (others, spare) = (chain.clone(), secret.clone_key());
    CertifiedKey::from_der(chain, secret, provider).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            let fits = |other: &CertificateDer<'static>| {
                let (other, key) = (vec![other.clone()], spare.clone_key());
                CertifiedKey::from_der(other, key, provider).is_ok()
            };
            match others.iter().position(fits) {
                Some(index) => CertificateError::Order {
                    certificate: certificate.clone(),
                    number: index.saturating_add(1),
                },
                None => CertificateError::OtherKey {
                    certificate: certificate.clone(),
                    key: key.clone(),
                },
            }
        }
        reason => CertificateError::Unusable {
            certificate: certificate.clone(),
            key: key.clone(),
            reason,
        },
    })
}

fn wrong(path: &Path, content: &[u8], wanted: PemKind, error: &pem::Error) -> CertificateError {
    CertificateError::Content {
        path: path.to_owned(),
        expected: wanted.expected(),
        found: found(content, path, wanted).unwrap_or_else(|| match error {
            pem::Error::NoItemsFound => "none".to_owned(),
            error => error.to_string(),
        }),
    }
}

/// When a certificate is valid.
struct Validity {
    from: UnixTime,
    until: UnixTime,
}

impl Validity {
    fn of(pair: &CertifiedKey) -> Option<Self> {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        // What is wrong at both ends of time says when it is right.
        let from = match complaint(pair, at(0)) {
            Some(Expiry::NotValidYetContext { not_before, .. }) => not_before,
            _ => at(0),
        };
        match complaint(pair, at(END_OF_TIME)) {
            Some(Expiry::ExpiredContext { not_after, .. }) => Some(Self {
                from,
                until: not_after,
            }),
            _ => None,
        }
    }

    /// What an operator has to know at `now`.
    fn warning(&self, now: UnixTime) -> Option<String> {
        let Self { from, until } = *self;
        if now > until {
            return Some(format!("expired {} days ago", days(now, until)));
        }
        if now < from {
            let left = days(from, now);
            return Some(format!("is valid in {left} days, and not before"));
        }
        // Those that last for days only are renewed a day or two before.
        let lifetime = until.as_secs().saturating_sub(from.as_secs());
        let near = Duration::from_secs(lifetime / 4).min(NEAR).as_secs();
        (until.as_secs().saturating_sub(now.as_secs()) < near)
            .then(|| format!("expires in {} days, {}", days(until, now), date(until)))
    }
}

/// What a client finds wrong with the certificate at `now`, whoever vouches for it.
fn complaint(pair: &CertifiedKey, now: UnixTime) -> Option<Expiry> {
    let certificate = pair.end_entity_cert().and_then(ParsedCertificate::try_from);
    let nobody = RootCertStore::empty();
    // The time is looked at first; then nobody has signed it.
    match verify_server_cert_signed_by_trust_anchor(&certificate.ok()?, &nobody, &[], now, &[]) {
        Err(Error::InvalidCertificate(complaint)) => Some(complaint),
        _ => None,
    }
}

fn days(later: UnixTime, earlier: UnixTime) -> u64 {
    later.as_secs().saturating_sub(earlier.as_secs()) / (24 * 60 * 60)
}

fn date(time: UnixTime) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    time.map_or_else(String::new, |time| {
        // Its form is for years of four digits.
        httpdate::HttpDate::from(time.min(SystemTime::UNIX_EPOCH + Duration::from_secs(LAST_DATE)))
            .to_string()
    })
}

fn content(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let unreadable = |source| CertificateError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(bytes)
}
