//! RTMP over TLS: certificates by name and over time, and those
//! who speak something else.

use std::{fs, io::Write as _, net::TcpStream, path::Path, time::Duration};

use tempfile::TempDir;

use crate::support::{
    App, Config, Host, guests,
    host::{check, folder},
    log::{Entry, START},
    process::Signal,
    rtmp::Client,
    tls::{self, Certificate},
    together,
};

const SOON: Duration = Duration::from_secs(10);

/// A server on TLS alone, whose certificates were written to `folder`.
fn serve(folder: TempDir, app: App, certificates: &str) -> Host {
    let config = Config::live(app).chain("[Tcp, Tls, Rtmp]", &format!("tls: {certificates},"));
    Host::start_in(folder, &config)
}

fn field(entry: &Entry, name: &str) -> String {
    entry.field(name).unwrap_or_default()
}

#[test]
fn both_versions_of_tls_are_spoken() {
    let _guard = together();
    let folder = folder();
    let own = Certificate::new("localhost");
    let certificate = own.write(folder.path(), "own");
    let host = serve(folder, App::open("reject"), &certificate);
    for (versions, expected) in [(tls::ONLY_1_2, "TLSv1_2"), (tls::ONLY_1_3, "TLSv1_3")] {
        let shown = tls::greet(host.addr, "localhost", versions).expect(expected);
        assert_eq!(format!("{:?}", shown.version), expected);
        assert_eq!(shown.certificate, own.der);
    }
    host.stop();
}

#[test]
fn the_name_chooses_the_certificate_and_reaches_the_policy() {
    let _guard = together();
    let folder = folder();
    let [first, second] = ["one.example", "*.two.example"].map(Certificate::new);
    let certificates = [("one", &first), ("two", &second)]
        .map(|(name, certificate)| certificate.write(folder.path(), name));
    let certificates = format!("[{}]", certificates.join(", "));
    let host = serve(folder, App::probe("accept"), &certificates);
    for (name, expected) in [
        ("one.example", &first),
        ("live.two.example", &second),
        ("other.example", &first),
        ("127.0.0.1", &first),
    ] {
        let shown = tls::greet(host.addr, name, tls::ALL).expect(name);
        assert_eq!(shown.certificate, expected.der, "{name}");
    }

    for (name, expected) in [
        ("live.two.example", "rtmps live.two.example"),
        ("127.0.0.1", "rtmps -"),
    ] {
        let through = tls::tunnel(host.addr, name);
        let failure = Client::connect(through, "live?mode=tell-client").expect_err("it tells");
        let told = failure.description().to_owned();
        assert!(told.starts_with(expected), "{name}: {told}");
    }
    host.stop();
}

#[test]
fn certificates_are_replaced_and_a_bad_file_keeps_the_old() {
    let _guard = together();
    let folder = folder();
    let old = Certificate::new("localhost");
    let certificate = old.write(folder.path(), "own");
    let host = serve(folder, App::open("reject"), &certificate);
    let shown = |expected: &Certificate, when: &str| {
        let shown = tls::greet(host.addr, "localhost", tls::ALL).expect(when);
        assert_eq!(shown.certificate, expected.der, "{when}");
    };
    // It was there before, and stays.
    let through = tls::tunnel(host.addr, "localhost");
    let mut before = Client::publish(through, "live", "before").expect("a publisher");
    shown(&old, "at first");

    let new = Certificate::new("localhost");
    let mark = host.log.mark();
    guests::replace(&host.file("own.key"), new.key.as_bytes());
    let refused = "certificates refused; the old ones stay in use";
    let why = field(&host.log.wait(mark, refused, &[], SOON), "error");
    assert!(why.contains("own.pem") && why.contains("own.key"), "{why}");
    shown(&old, "with the key of another");

    let mark = host.log.mark();
    guests::replace(&host.file("own.pem"), new.pem.as_bytes());
    host.log.wait(mark, "certificates reloaded", &[], SOON);
    shown(&new, "after both were replaced");

    let mark = host.log.mark();
    guests::replace(&host.file("own.pem"), b"no certificate");
    let why = field(&host.log.wait(mark, refused, &[], SOON), "error");
    assert!(why.contains("own.pem: expected certificates"), "{why}");
    shown(&new, "with a file that is no certificate");

    // Also when nobody saw the files change.
    let mark = host.log.mark();
    old.write(host.folder.path(), "own");
    host.process.signal(Signal::Hangup);
    host.log.wait(mark, "certificates reloaded", &[], SOON);
    shown(&old, "after SIGHUP");

    before.media(8, 0, &[0xAF, 1, 1]).expect("it goes on");
    before.create_stream().expect("the server answers");
    before.leave();
    host.stop();
}

#[test]
fn who_speaks_something_else_is_told_apart() {
    let _guard = together();
    let folder = folder();
    let certificate = Certificate::new("localhost").write(folder.path(), "own");
    let host = serve(folder, App::open("reject"), &certificate);
    for (sent, expected) in [
        (&b"\x03\0\0\0"[..], "looks like plain RTMP"),
        (b"GET / HTTP/1.1\r\n\r\n", "looks like HTTP"),
        (b"\x16\x03\x01\x00\x05hello", "corrupt"),
    ] {
        let mark = host.log.mark();
        let mut socket = TcpStream::connect(host.addr).expect("it listens");
        socket.write_all(sent).expect("it reads");
        let failed = host.log.wait(mark, "TLS handshake failed", &[], SOON);
        let reason = field(&failed, "reason");
        assert!(reason.contains(expected), "{expected}: {reason}");
        let local = socket.local_addr().expect("an address").to_string();
        assert_eq!(field(&failed, "remote"), local);
    }
    tls::greet(host.addr, "localhost", tls::ALL).expect("others are served");
    host.stop();

    let host = Host::start(&Config::live(App::open("reject")));
    tls::greet(host.addr, "localhost", tls::ALL).expect_err("it speaks plain RTMP");
    let ended = host.log.wait(START, "session ended", &[], SOON);
    let detail = field(&ended, "detail");
    assert!(detail.contains("looks like TLS"), "{detail}");
    host.stop();
}

#[test]
fn a_handshake_has_a_deadline() {
    let _guard = together();
    let folder = folder();
    let certificate = Certificate::new("localhost").write(folder.path(), "own");
    let config = Config::live(App::open("reject"))
        .chain("[Tcp, Tls, Rtmp]", &format!("tls: {certificate},"))
        .limits("handshake: \"300 ms\"");
    let host = Host::start_in(folder, &config);
    // One says nothing, one stops within its first message.
    for sent in [&b""[..], b"\x16\x03\x01"] {
        let mark = host.log.mark();
        let mut socket = TcpStream::connect(host.addr).expect("it listens");
        socket.write_all(sent).expect("it reads");
        let failed = host.log.wait(mark, "TLS handshake failed", &[], SOON);
        assert_eq!(field(&failed, "reason"), "it took longer than 0.3 s");
    }
    host.stop();
}

#[test]
fn check_and_start_name_what_is_wrong_with_a_certificate() {
    let _guard = together();
    let folder = folder();
    let one = Certificate::new("localhost");
    let certificate = one.write(folder.path(), "own");
    let with = |certificates: &str| {
        Config::live(App::open("reject"))
            .chain("[Tcp, Tls, Rtmp]", &format!("tls: {certificates},"))
            .text()
    };
    let checked = |text: &str| {
        let mut process = check(folder.path(), text);
        let exit = process.wait(Duration::from_secs(30));
        (exit.status.success(), exit.stderr)
    };
    let (good, told) = checked(&with(&certificate));
    assert!(good, "{told}");

    let (good, told) = checked(&with("(certificate: \"own.pem\", key: \"no.key\")"));
    assert!(!good && told.contains("no.key"), "{told}");

    fs::write(folder.path().join("own.key"), Certificate::new("b").key).expect("another key");
    let (good, told) = checked(&with(&certificate));
    assert!(!good && told.contains("found another's"), "{told}");
    assert_no_key(folder.path(), &told);

    // A key where the certificate should be, and the other way round.
    let (good, told) = checked(&with("(certificate: \"own.key\", key: \"own.pem\")"));
    assert!(
        !good && told.contains("expected certificates in PEM"),
        "{told}"
    );
    assert_no_key(folder.path(), &told);
}

/// No line of the key is in `text`.
fn assert_no_key(folder: &Path, text: &str) {
    let key = fs::read_to_string(folder.join("own.key")).expect("a key");
    for line in key.lines().filter(|line| !line.starts_with("-----")) {
        assert!(!text.contains(line), "a secret is shown: {text}");
    }
}
