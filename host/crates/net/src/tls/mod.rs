//! TLS below RTMP: RTMPS.
//!
//! Flows in: a socket and the acceptor's certificates. Flows out: a carrier
//! whose bytes are plain. Certificates can be replaced while connections run;
//! those that are there go on with what they agreed on.

mod certificates;
mod pem;
mod refusal;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::UnixTime;
use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

pub use certificates::CertificateError;
use certificates::Certificates;
use refusal::{Hello, explain};

/// First byte of every TLS connection: a handshake record (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 0x16;

/// Where a certificate and its key are; both absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The server's own certificate, then those that lead to a trusted one.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// TLS 1.2 and 1.3 with an acceptor's certificates.
#[derive(Debug)]
pub struct Tls {
    files: Vec<CertificateFiles>,
    certificates: Arc<Certificates>,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Reads the files. Clients that choose a protocol by ALPN may choose one of
    /// `protocols`, if there are any.
    ///
    /// # Errors
    /// [`CertificateError`] names the first file that can't be used.
    pub fn load(
        files: &[CertificateFiles],
        protocols: &[&[u8]],
    ) -> Result<Arc<Self>, CertificateError> {
        let provider = Arc::new(ring::default_provider());
        let certificates = Arc::new(Certificates::load(files, &provider)?);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(CertificateError::Provider)?
            .with_no_client_auth()
            .with_cert_resolver(certificates.clone());
        // librtmp takes a ticket, which comes at any time, for a broken
        // connection; and who stays for hours has no use for one.
        config.send_tls13_tickets = 0;
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(Self {
            files: files.to_vec(),
            certificates,
            config: Arc::new(config),
        }))
    }

    /// Reads the files again; handshakes from now on use what is in them.
    /// False when that is the same as before.
    ///
    /// # Errors
    /// [`CertificateError`]; the old certificates stay in use then.
    pub fn reload(&self) -> Result<bool, CertificateError> {
        let provider = self.config.crypto_provider();
        let fresh = Certificates::load(&self.files, provider)?;
        Ok(self.certificates.replace(fresh))
    }

    /// Whether `file` is one of its files.
    #[must_use]
    pub fn uses(&self, file: &Path) -> bool {
        self.files
            .iter()
            .any(|pair| pair.certificate == file || pair.key == file)
    }

    /// The handshake with a client. It takes as long as the client does.
    ///
    /// # Errors
    /// When the client speaks something else, or they agree on nothing.
    pub async fn accept(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        // A record's head, then a message's, then the version.
        let mut start = [0; 11];
        // Without this the client's fault would read as a corrupt message.
        let seen = socket.peek(&mut start).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let [first, .., high, low] = start;
        if first != HANDSHAKE {
            let text = format!(
                "expected TLS; found 0x{first:02x}{}",
                looks_like(first).unwrap_or_default()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let mut hello = Hello {
            version: (seen == start.len()).then(|| u16::from_be_bytes([high, low])),
            ..Hello::default()
        };
        let accepted = self.agree(socket, &mut hello).await;
        accepted.map_err(|error| explain(error, &hello, self.config.crypto_provider()))
    }

    async fn agree(
        &self,
        socket: TcpStream,
        hello: &mut Hello,
    ) -> io::Result<TlsStream<TcpStream>> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
        hello.suites = start.client_hello().cipher_suites().to_vec();
        start.into_stream(self.config.clone()).await
    }

    /// What an operator has to know of its certificates now: those that clients
    /// will not take, or not for long.
    #[must_use]
    pub fn untimely(&self) -> Vec<String> {
        let untimely = self.certificates.untimely(UnixTime::now());
        self.named(untimely, "the certificate ")
    }

    /// Until when its certificates are valid.
    #[must_use]
    pub fn dates(&self) -> Vec<String> {
        self.named(self.certificates.dates(UnixTime::now()), "")
    }

    fn named(&self, told: Vec<(usize, String)>, what: &str) -> Vec<String> {
        let named = told.into_iter().filter_map(|(index, told)| {
            let file = self.files.get(index)?.certificate.display();
            Some(format!("{file}: {what}{told}"))
        });
        named.collect()
    }
}

/// A guess at what sent a first byte that isn't TLS.
fn looks_like(byte: u8) -> Option<&'static str> {
    match byte {
        3 => Some(" (looks like plain RTMP: rtmp:// where rtmps:// is spoken)"),
        b'A'..=b'Z' => Some(" (looks like HTTP, or a PROXY header)"),
        b'\r' => Some(" (looks like a PROXY header)"),
        0x80..=0x82 => Some(" (looks like the SSL 2.0 hello of an old client)"),
        _ => None,
    }
}
