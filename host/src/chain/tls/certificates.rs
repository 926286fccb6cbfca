//! Certificates and keys: files in, a choice for each client out.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError as Expiry, Error, InconsistentKeys, RootCertStore};

use super::pem::{Wanted, found};
use crate::config::CertificateFiles;

/// No chain of certificates is longer, bytes.
const MAX_FILE: u64 = 1 << 20;

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

    /// What clients will not take of them at `now`, by its place in the
    /// configuration.
    pub(super) fn untimely(&self, now: UnixTime) -> Vec<(usize, String)> {
        let pairs = self.pairs.load();
        let told = pairs.iter().enumerate();
        told.filter_map(|(index, pair)| Some((index, untimely(pair, now)?)))
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
        .map_err(|error| wrong(certificate, &text, Wanted::Certificates, &error))?;
    let text = content(key)?;
    let secret = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|error| wrong(key, &text, Wanted::Key, &error))?;
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

fn wrong(path: &Path, content: &[u8], wanted: Wanted, error: &pem::Error) -> CertificateError {
    CertificateError::Content {
        path: path.to_owned(),
        expected: wanted.expected(),
        found: found(content, path, wanted).unwrap_or_else(|| match error {
            pem::Error::NoItemsFound => "none".to_owned(),
            error => error.to_string(),
        }),
    }
}

/// Why clients will not take the certificate at `now`, whoever vouches for it.
fn untimely(pair: &CertifiedKey, now: UnixTime) -> Option<String> {
    let certificate = pair.end_entity_cert().and_then(ParsedCertificate::try_from);
    let nobody = RootCertStore::empty();
    // The time is looked at first; then nobody has signed it.
    let error =
        verify_server_cert_signed_by_trust_anchor(&certificate.ok()?, &nobody, &[], now, &[]);
    match error {
        Err(Error::InvalidCertificate(Expiry::ExpiredContext { not_after, .. })) => {
            let ago = days(now, not_after);
            Some(format!("expired {ago} days ago"))
        }
        Err(Error::InvalidCertificate(Expiry::NotValidYetContext { not_before, .. })) => {
            let left = days(not_before, now);
            Some(format!("is valid in {left} days, and not before"))
        }
        _ => None,
    }
}

fn days(later: UnixTime, earlier: UnixTime) -> u64 {
    later.as_secs().saturating_sub(earlier.as_secs()) / (24 * 60 * 60)
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
