//! Certificates that nobody vouches for, and clients that take any.

use std::{
    net::SocketAddr,
    ops::Range,
    path::Path,
    sync::{Arc, OnceLock, mpsc},
    thread,
    time::Duration,
};

use tempfile::TempPath;
use tokio::{
    io::{AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    runtime,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, DigitallySignedStruct, Error, ProtocolVersion, RootCertStore,
        SignatureScheme, SupportedProtocolVersion,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::ring,
        pki_types::{CertificateDer, ServerName, UnixTime},
        version,
    },
};

const SOON: Duration = Duration::from_secs(10);

/// The versions that a client may offer.
pub(crate) const ALL: &[&SupportedProtocolVersion] = &[&version::TLS12, &version::TLS13];
pub(crate) const ONLY_1_2: &[&SupportedProtocolVersion] = &[&version::TLS12];
pub(crate) const ONLY_1_3: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// A self-signed certificate and its key.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) key: String,
}

impl Certificate {
    pub(crate) fn new(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("certificate");
        Self {
            der: made.cert.der().clone(),
            pem: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }

    /// One that is valid in these years.
    pub(crate) fn valid(name: &str, years: Range<i32>) -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        let made = params.self_signed(&key).expect("a certificate");
        Self {
            der: made.der().clone(),
            pem: made.pem(),
            key: key.serialize_pem(),
        }
    }

    /// Writes `NAME.pem` and `NAME.key`; returns what `config.ron` says of them.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> String {
        let (pem, key) = (format!("{name}.pem"), format!("{name}.key"));
        std::fs::write(folder.join(&pem), &self.pem).expect("a certificate's file");
        std::fs::write(folder.join(&key), &self.key).expect("a key's file");
        format!("(certificate: {pem:?}, key: {key:?})")
    }
}

/// A certificate for `localhost` that real clients trust: those that check one
/// have it from [`trusted_file`].
pub(crate) fn localhost() -> &'static Certificate {
    &trusted().0
}

/// The file in which real clients find the certificates that they trust.
pub(crate) fn trusted_file() -> &'static Path {
    &trusted().1
}

fn trusted() -> &'static (Certificate, TempPath) {
    static TRUSTED: OnceLock<(Certificate, TempPath)> = OnceLock::new();
    TRUSTED.get_or_init(|| {
        let certificate = Certificate::new("localhost");
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), &certificate.pem).expect("a certificate's file");
        (certificate, file.into_temp_path())
    })
}

/// What a server showed.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) version: ProtocolVersion,
}

/// A handshake that asks for `name`, an IP address for none.
pub(crate) fn greet(
    addr: SocketAddr,
    name: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Shown, String> {
    let connected = block_on(connect(addr, name, versions, &[]))?;
    let (_, tls) = connected.get_ref();
    let certificate = tls.peer_certificates().and_then(|chain| chain.first());
    Ok(Shown {
        certificate: certificate.expect("a certificate").clone().into_owned(),
        version: tls.protocol_version().expect("a version"),
    })
}

/// A handshake of a client that trusts nobody.
pub(crate) fn greet_warily(addr: SocketAddr, name: &str) -> Result<(), String> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(ALL)
        .expect("versions of TLS")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    block_on(connect_as(config, addr, name, &[])).map(drop)
}

/// An address whose one connection leads through TLS to `addr`.
pub(crate) fn tunnel(addr: SocketAddr, name: &str) -> SocketAddr {
    tunnel_behind(addr, name, &[])
}

/// The same, with bytes in front of TLS.
pub(crate) fn tunnel_behind(addr: SocketAddr, name: &str, header: &[u8]) -> SocketAddr {
    let (tell, told) = mpsc::channel();
    let (name, header) = (name.to_owned(), header.to_owned());
    thread::spawn(move || {
        let relay = async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let here = listener.local_addr().expect("an address");
            tell.send(here).expect("the test waits");
            let (mut plain, _) = listener.accept().await.expect("the test connects");
            let mut secure = connect(addr, &name, ALL, &header).await.expect("TLS");
            // Ends with the connection, however that ends.
            let _ = copy_bidirectional(&mut plain, &mut secure).await;
        };
        block_on(relay);
    });
    told.recv_timeout(SOON).expect("the tunnel listens")
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

async fn connect(
    addr: SocketAddr,
    name: &str,
    versions: &[&'static SupportedProtocolVersion],
    header: &[u8],
) -> Result<TlsStream<TcpStream>, String> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions of TLS")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    connect_as(config, addr, name, header).await
}

async fn connect_as(
    config: ClientConfig,
    addr: SocketAddr,
    name: &str,
    header: &[u8],
) -> Result<TlsStream<TcpStream>, String> {
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let connected = timeout(SOON, async {
        let mut socket = TcpStream::connect(addr).await?;
        socket.write_all(header).await?;
        connector.connect(name, socket).await
    });
    let connected = connected.await.map_err(|_| "no handshake in time")?;
    connected.map_err(|error| error.to_string())
}

/// Takes any certificate.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
