//! Relays over TLS.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio_rustls::TlsAcceptor;

use super::{SOON, open, relaying};
use crate::support::{
    Config, Host, Witness,
    host::{self, TRUSTED},
    log::START,
    together,
};

/// TLS in front of a server, until the end of the tests: where it listens, and
/// its certificate in PEM.
fn behind_tls(server: SocketAddr) -> (u16, String) {
    let names = vec!["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::from(key))
        .expect("a server's settings");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    listener.set_nonblocking(true).expect("a setting");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    thread::spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut secure = acceptor.accept(socket).await?;
                    let mut plain = tokio::net::TcpStream::connect(server).await?;
                    tokio::io::copy_bidirectional(&mut secure, &mut plain).await
                });
            }
        });
    });
    (port, made.cert.pem())
}

#[test]
fn streams_go_and_come_over_tls_where_the_server_is_trusted() {
    let _guard = together();
    let other = Host::start(&open());
    let (port, certificate) = behind_tls(other.addr);
    let forward = format!("forward: [(to: \"rtmps://localhost:{port}/live/{{name}}\")]");
    let pull = format!(
        "pull: [(name: \"cam\", from: \"rtmps://localhost:{port}/live/cam\", on_demand: true)]"
    );
    let config = Config::live(relaying(&forward)).and("back", relaying(&pull));

    let folder = host::folder();
    std::fs::write(folder.path().join(TRUSTED), certificate).expect("trusted.pem");
    let host = Host::start_in(folder, &config);
    let witness = Witness::across((host.addr, "live"), (host.addr, "back"), "cam");
    let report = witness.finish();
    eprintln!("pushed and pulled back over TLS: {report}");
    host.stop();

    let host = Host::start(&config);
    let witness = Witness::start(host.addr, "live", "cam");
    let failed = host.log.wait(START, "relay failed", &[], SOON);
    let reason = failed.field("reason").expect("a reason");
    assert!(
        reason.contains("TLS") && reason.contains("certificate"),
        "{reason}"
    );
    witness.finish();
    for host in [host, other] {
        host.stop();
    }
}
