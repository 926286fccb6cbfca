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

/// A first message of TLS that offers this version and these suites, and an
/// elliptic curve.
fn hello(version: [u8; 2], suites: &[[u8; 2]]) -> Vec<u8> {
    // supported_groups, ec_point_formats, signature_algorithms, extended_master_secret.
    let extensions =
        b"\0\x0a\0\x04\0\x02\0\x17\0\x0b\0\x02\x01\0\0\x0d\0\x06\0\x04\x04\x03\x04\x01\0\x17\0\0";
    let long = |bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).expect("short").to_be_bytes();
        [&length[..], bytes].concat()
    };
    let body = [
        &version[..],
        &[7; 32],
        b"\0",
        &long(&suites.concat()),
        b"\x01\0",
        &long(extensions),
    ]
    .concat();
    let message = [&b"\x01\0"[..], &long(&body)].concat();
    [&b"\x16\x03\x01"[..], &long(&message)].concat()
}

#[test]
fn clients_that_offer_too_little_are_told_in_words() {
    let _guard = together();
    let folder = folder();
    // Its key is ECDSA's.
    let certificate = Certificate::new("localhost").write(folder.path(), "own");
    let host = serve(folder, App::open("reject"), &certificate);
    let rsa_aes_gcm = [0, 0x9c];
    let rsa_aes_cbc = [0, 0x2f];
    let ecdhe_rsa_aes_gcm = [0xc0, 0x2f];
    let renegotiation_signal = [0, 0xff];
    for (sent, expected) in [
        (
            hello([3, 2], &[rsa_aes_cbc]),
            "the client offers TLS 1.1 at most; TLS 1.2 and 1.3 are served",
        ),
        (
            hello([3, 1], &[rsa_aes_cbc]),
            "the client offers TLS 1.0 at most; TLS 1.2 and 1.3 are served",
        ),
        (
            hello([3, 3], &[renegotiation_signal, rsa_aes_gcm, rsa_aes_cbc]),
            "no cipher suite in common: the client offers TLS_RSA_WITH_AES_128_GCM_SHA256 and 1 more; \
             ECDHE with AES-GCM or ChaCha20 is served",
        ),
        (
            hello([3, 3], &[ecdhe_rsa_aes_gcm]),
            "the client offers TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, but nothing for the \
             certificate's kind of key",
        ),
        (
            b"\x80\x2e\x01\x03\x01".to_vec(),
            "looks like the SSL 2.0 hello",
        ),
    ] {
        let mark = host.log.mark();
        let mut socket = TcpStream::connect(host.addr).expect("it listens");
        socket.write_all(&sent).expect("it reads");
        let failed = host.log.wait(mark, "TLS handshake failed", &[], SOON);
        let reason = field(&failed, "reason");
        assert!(reason.contains(expected), "{expected}: {reason}");
        assert!(!reason.ends_with("..."), "{reason}");
    }
    // One that does not know who made the certificate.
    let mark = host.log.mark();
    tls::greet_warily(host.addr, "localhost").expect_err("nobody vouches for it");
    let failed = host.log.wait(mark, "TLS handshake failed", &[], SOON);
    let reason = field(&failed, "reason");
    assert!(
        reason.contains("the client does not take the certificate"),
        "{reason}"
    );
    host.stop();
}

#[test]
fn what_is_no_pem_is_told_with_what_makes_it_one() {
    let _guard = together();
    let folder = folder();
    let one = Certificate::new("localhost");
    one.write(folder.path(), "own");
    let config = |certificate: &str, key: &str| {
        let fields = format!("tls: (certificate: {certificate:?}, key: {key:?}),");
        let config = Config::live(App::open("reject")).chain("[Tcp, Tls, Rtmp]", &fields);
        config.text()
    };
    let encrypted = one.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let chain = [Certificate::new("authority").pem.as_str(), &one.pem].concat();
    for (name, content) in [
        ("encrypted.key", encrypted.as_bytes()),
        ("own.der", &one.der[..]),
        ("turned.pem", chain.as_bytes()),
        ("empty.pem", &b""[..]),
    ] {
        fs::write(folder.path().join(name), content).expect("a file");
    }
    for (certificate, key, expected) in [
        ("own.pem", "encrypted.key", "found an encrypted key"),
        ("own.pem", "own.pem", "found a certificate (are"),
        ("own.key", "own.key", "found a private key (are"),
        ("own.der", "own.key", "openssl x509 -inform DER"),
        ("empty.pem", "own.key", "found an empty file"),
        ("turned.pem", "own.key", "found it as number 2"),
    ] {
        let exit = check(folder.path(), &config(certificate, key)).wait(Duration::from_secs(30));
        let told = exit.stderr;
        assert!(
            !exit.status.success() && told.contains(expected),
            "{expected}: {told}"
        );
        assert_no_key(folder.path(), &told);
    }
}

#[test]
fn a_certificate_out_of_its_time_is_used_with_a_warning() {
    let _guard = together();
    let folder = folder();
    for (name, years, expected) in [
        ("old", 2001..2002, "the certificate expired "),
        ("new", 4000..4001, "the certificate is valid in "),
    ] {
        let certificate = Certificate::valid("localhost", years.clone());
        let certificate = certificate.write(folder.path(), name);
        let fields = format!("tls: {certificate},");
        let config = Config::live(App::open("reject")).chain("[Tcp, Tls, Rtmp]", &fields);
        let mut checked = check(folder.path(), &config.text());
        let exit = checked.wait(Duration::from_secs(30));
        assert!(exit.status.success(), "{}", exit.stderr);
        let told = checked.stdout.text();
        let lines = told.lines().filter(|line| line.starts_with("warning: "));
        let lines: Vec<_> = lines.filter(|line| line.contains(expected)).collect();
        assert_eq!(lines.len(), 1, "{expected}: {told}");
        assert!(lines[0].contains(&format!("{name}.pem")), "{told}");
        let date = format!("{name}.pem: valid until ");
        let dates = told.lines().find(|line| line.contains(&date));
        let dates = dates.expect("its date");
        let end = format!("01 Jan {} 00:00:00 GMT, ", years.end);
        assert!(
            dates.contains(&end) && dates.ends_with(" days left"),
            "{told}"
        );
    }
    let host = serve(
        folder,
        App::open("reject"),
        "(certificate: \"old.pem\", key: \"old.key\")",
    );
    let warned = host.log.wait_until(START, SOON, |entry| {
        entry.message().contains("old.pem: the certificate expired")
    });
    assert_eq!(warned.expect("a warning").level(), "WARN");
    tls::greet(host.addr, "localhost", tls::ALL).expect("who does not look is served");
    host.stop();
}

/// No line of the key is in `text`.
fn assert_no_key(folder: &Path, text: &str) {
    let key = fs::read_to_string(folder.join("own.key")).expect("a key");
    for line in key.lines().filter(|line| !line.starts_with("-----")) {
        assert!(!text.contains(line), "a secret is shown: {text}");
    }
}
