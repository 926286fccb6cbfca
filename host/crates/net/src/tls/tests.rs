//! The carrier against a client of the library's own, over a socket with
//! little room.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::certificates::Certificates;
use crate::carrier::Carrier;
use crate::carrier::tls::TlsCarrier;
use crate::tls::CertificateFiles;

#[test]
fn a_certificate_near_its_end_is_told_and_others_are_not() {
    const DAY: u64 = 24 * 60 * 60;
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    // 2000-01-01, and so many days later; when it counts as near.
    let begin = 946_684_800;
    for (last, near) in [(365, 14), (8, 2)] {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = match last {
            8 => rcgen::date_time_ymd(2000, 1, 9),
            _ => rcgen::date_time_ymd(2000, 12, 31),
        };
        let made = params.self_signed(&key).unwrap();
        std::fs::write(place("pem"), made.pem()).unwrap();
        std::fs::write(place("key"), key.serialize_pem()).unwrap();
        let files = CertificateFiles {
            certificate: place("pem"),
            key: place("key"),
        };
        let loaded = Certificates::load(&[files], &ring::default_provider()).unwrap();
        let told = |days: u64| {
            let now = Duration::from_secs(begin + days * DAY + 1);
            let told = loaded.untimely(UnixTime::since_unix_epoch(now));
            told.into_iter().map(|(_, text)| text).collect::<String>()
        };
        assert_eq!(told(0), "", "{last}");
        assert_eq!(told(last - near - 1), "", "{last}");
        let left = near - 1;
        let text = told(last - near);
        assert!(
            text.starts_with(&format!("expires in {left} days, ")),
            "{text}"
        );
        assert!(text.ends_with(" 2000 00:00:00 GMT"), "{text}");
        assert_eq!(told(last + 3), "expired 3 days ago");
    }
}

async fn pair() -> (TlsCarrier, TlsStream<TcpStream>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connect = async {
        let socket = TcpStream::connect(address).await.unwrap();
        SockRef::from(&socket)
            .set_recv_buffer_size(16 * 1024)
            .unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(client));
        connector.connect(name, socket).await.unwrap()
    };
    let accept = async {
        let (socket, _) = listener.accept().await.unwrap();
        SockRef::from(&socket)
            .set_send_buffer_size(16 * 1024)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(server));
        TlsCarrier::new(acceptor.accept(socket).await.unwrap())
    };
    tokio::join!(accept, connect)
}

fn pattern(len: usize) -> Vec<u8> {
    let bytes = (0..len as u32).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]);
    bytes.collect()
}

/// Offers what is left until all of it is written and none pending, in slices of
/// changing lengths; returns how often there was no room.
async fn write_all(carrier: &TlsCarrier, bytes: &[u8]) -> usize {
    let (mut at, mut full, mut turn) = (0, 0, 0_usize);
    while at < bytes.len() || carrier.pending() {
        turn += 1;
        let rest = &bytes[at..];
        let (first, rest) = rest.split_at(rest.len().min(1 + turn * 7919 % 30_000));
        let (second, third) = rest.split_at(rest.len().min(turn % 3));
        let slices = [first, second, &third[..third.len().min(20_000)]].map(IoSlice::new);
        match carrier.try_write(&slices) {
            Ok(written) => at += written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                full += 1;
                poll_fn(|cx| carrier.poll_write_ready(cx)).await.unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    full
}

#[tokio::test]
async fn what_is_written_and_not_pending_arrives_without_another_write() {
    let (carrier, mut client) = pair().await;
    let sent = pattern(1_000_000);
    for _ in 0..2 {
        let mut received = vec![0; sent.len()];
        let read = client.read_exact(&mut received);
        let (full, read) = tokio::join!(write_all(&carrier, &sent), read);
        read.unwrap();
        assert!(full > 3, "the socket never was full: {full}");
        assert!(received == sent, "other bytes arrived");
    }
    carrier.shutdown_write().unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "a clean end");
}

#[tokio::test]
async fn what_is_decrypted_already_is_ready_to_be_read() {
    let (carrier, mut client) = pair().await;
    let sent = pattern(200_000);
    let send = async {
        client.write_all(&sent).await.unwrap();
        client.shutdown().await.unwrap();
    };
    let receive = async {
        let mut received = Vec::new();
        loop {
            poll_fn(|cx| carrier.poll_read_ready(cx)).await.unwrap();
            // Smaller than any record.
            let mut buffer = [0; 1000];
            match carrier.try_read(&mut buffer) {
                Ok(0) => return received,
                Ok(count) => received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let ((), received) = tokio::join!(send, receive);
    assert!(received == sent, "other bytes arrived");
}
