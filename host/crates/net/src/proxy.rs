//! The PROXY protocol, versions 1 and 2: who is behind a proxy.
//!
//! Flows in: the first bytes of a connection from a proxy that the
//! configuration names. Flows out: the address of the client, the socket at
//! the first byte behind the header. The specification is HAProxy's
//! `doc/proxy-protocol.txt`; its section numbers are quoted.
//!
//! No library has it right. Reading a header from a socket and nothing behind it,
//! half of what is here, none does: what follows would be theirs, while TLS and the
//! hub need the socket. And of what they parse, `ppp`, `proxy-header` and
//! `proxy-protocol` all refuse a health check (LOCAL) whose family they don't know,
//! which has to be ignored, and take `+1234` for a port; `proxy-header` takes
//! `PROXYxTCP4`, `UNKNOWNx` and lines without limit besides, `proxy-protocol` any
//! word for UNKNOWN. The tests have each of these.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::canonical;

/// Begins version 2 (section 2.2).
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Begins version 1 (section 2.1).
const WORD: &[u8] = b"PROXY ";
/// The longest line of version 1, its end included (section 2.1).
const MAX_LINE: usize = 107;
/// Addresses and extensions of version 2, bytes. The specification allows
/// 65535; proxies send less than 1000.
const MAX_BODY: usize = 4096;

/// Why the first bytes are no header.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    /// The connection ended or broke.
    #[error("no PROXY header: {0}")]
    Lost(#[from] io::Error),
    /// They are something else.
    #[error("expected a PROXY header; found {0:02x?}")]
    Missing([u8; 12]),
    /// Version 1 with something wrong.
    #[error("PROXY header, version 1: expected {expected}; found {found:?}")]
    Line {
        /// What should be there.
        expected: &'static str,
        /// The line.
        found: String,
    },
    /// Version 2 with something wrong.
    #[error("PROXY header, version 2: expected {expected}; found {found}")]
    Binary {
        /// What should be there.
        expected: &'static str,
        /// What is.
        found: usize,
    },
}

/// Reads the header, and nothing behind it. None: the proxy speaks for itself
/// (a health check), or does not know.
pub(super) async fn read(socket: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyError> {
    Ok(header(socket).await?.map(canonical))
}

/// The address as the header has it.
async fn header(socket: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyError> {
    // Both versions are at least this long.
    let mut start = [0; SIGNATURE.len()];
    socket.read_exact(&mut start).await?;
    if start == SIGNATURE {
        let mut head = [0; 4];
        socket.read_exact(&mut head).await?;
        let [command, family, high, low] = head;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > MAX_BODY {
            return Err(ProxyError::Binary {
                expected: "at most 4096 bytes",
                found: length,
            });
        }
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await?;
        return version_2(command, family, &body);
    }
    if !start.starts_with(WORD) {
        return Err(ProxyError::Missing(start));
    }
    let mut line = start.to_vec();
    while !line.ends_with(b"\n") {
        if line.len() >= MAX_LINE {
            return Err(wrong_line("an end within 107 bytes", &line));
        }
        more_of_line(socket, &mut line).await?;
    }
    version_1(&line)
}

/// Appends what there is, up to the end of the line.
async fn more_of_line(socket: &mut TcpStream, line: &mut Vec<u8>) -> io::Result<()> {
    let mut seen = [0; MAX_LINE];
    let room = MAX_LINE.saturating_sub(line.len());
    let seen = seen.get_mut(..room).unwrap_or_default();
    let count = socket.peek(seen).await?;
    if count == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let seen = seen.get(..count).unwrap_or_default();
    let end = seen.iter().position(|byte| *byte == b'\n');
    let mut part = vec![0; end.map_or(count, |end| end.saturating_add(1))];
    socket.read_exact(&mut part).await?;
    line.append(&mut part);
    Ok(())
}

fn wrong_line(expected: &'static str, line: &[u8]) -> ProxyError {
    ProxyError::Line {
        expected,
        found: String::from_utf8_lossy(line).into_owned(),
    }
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 51234 1935\r\n` (section 2.1).
fn version_1(line: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    let wrong = |expected| Err(wrong_line(expected, line));
    let text = line.strip_suffix(b"\r\n").map(std::str::from_utf8);
    let Some(Ok(text)) = text else {
        return wrong("text that ends with CR LF");
    };
    let words: Vec<&str> = text.split(' ').collect();
    match words.as_slice() {
        // Whatever follows is ignored.
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        [
            "PROXY",
            family @ ("TCP4" | "TCP6"),
            source,
            target,
            port,
            target_port,
        ] => {
            let address = |text: &str| {
                let ip = text.parse::<IpAddr>().ok()?;
                (ip.is_ipv4() == (*family == "TCP4")).then_some(ip)
            };
            // No sign, no zeros in front: one way to write a number.
            let number = |text: &str| {
                let number = text.parse::<u16>().ok()?;
                (number.to_string() == text).then_some(number)
            };
            let parsed = address(source).zip(number(port));
            match parsed.zip(address(target).zip(number(target_port))) {
                Some(((ip, port), _)) => Ok(Some(SocketAddr::new(ip, port))),
                None => wrong("two addresses of the family and two ports"),
            }
        }
        _ => wrong("TCP4, TCP6 or UNKNOWN, and its addresses"),
    }
}

/// `command` and `family` are bytes 13 and 14 (section 2.2).
fn version_2(command: u8, family: u8, body: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    let wrong = |expected, found| Err(ProxyError::Binary { expected, found });
    match command {
        // LOCAL: the proxy's own connection, whatever else is said of it.
        0x20 => return Ok(None),
        0x21 => {}
        other => return wrong("version 2 with LOCAL or PROXY (0x20, 0x21)", other.into()),
    }
    let short = |expected| {
        Err(ProxyError::Binary {
            expected,
            found: body.len(),
        })
    };
    match family {
        // TCP over IPv4: addresses of 4 bytes, then ports.
        0x11 => match *body {
            [a, b, c, d, _, _, _, _, high, low, _, _, ..] => {
                let port = u16::from_be_bytes([high, low]);
                Ok(Some((Ipv4Addr::new(a, b, c, d), port).into()))
            }
            _ => short("at least 12 bytes of addresses"),
        },
        // TCP over IPv6: addresses of 16 bytes, then ports.
        0x21 => {
            let source = body.first_chunk::<16>();
            let ports = body.get(32..36);
            match (source, ports) {
                (Some(source), Some([high, low, _, _])) => {
                    let port = u16::from_be_bytes([*high, *low]);
                    Ok(Some((Ipv6Addr::from(*source), port).into()))
                }
                _ => short("at least 36 bytes of addresses"),
            }
        }
        // Unspecified, UDP, UNIX sockets: the proxy's address is all there is.
        0x00..=0x02 | 0x10 | 0x12 | 0x20 | 0x22 | 0x30..=0x32 => Ok(None),
        other => wrong(
            "a family up to 3 and a protocol up to 2 (0x11)",
            other.into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// What is read of `sent`, which arrives in pieces of `piece` bytes, and
    /// what is left behind it.
    async fn received(sent: &[u8], piece: usize) -> (Result<Option<SocketAddr>, String>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        client.set_nodelay(true).unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let send = async {
            for piece in sent.chunks(piece) {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            client.shutdown().await.unwrap();
        };
        let receive = async {
            let outcome = read(&mut server).await.map_err(|error| error.to_string());
            let mut rest = Vec::new();
            server.read_to_end(&mut rest).await.unwrap();
            (outcome, rest)
        };
        tokio::join!(send, receive).1
    }

    fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, body].concat()
    }

    #[tokio::test]
    async fn a_header_gives_the_client_and_leaves_what_follows() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 1, 200, 34, 7, 143];
        let mut v6 = [0; 36];
        v6[..16].copy_from_slice(&"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        v6[32..34].copy_from_slice(&[200, 34]);
        let mut mapped = v6;
        mapped[..16].copy_from_slice(&"::ffff:192.0.2.1".parse::<Ipv6Addr>().unwrap().octets());
        let extended = [&v4[..], b"\x04\0\x01x"].concat();
        let (one, two) = (Some("192.0.2.1:51234"), Some("[2001:db8::7]:51234"));
        let cases = [
            (
                b"PROXY TCP4 192.0.2.1 198.51.100.1 51234 1935\r\n".to_vec(),
                one,
            ),
            (
                b"PROXY TCP6 2001:db8::7 2001:db8::1 51234 1935\r\n".to_vec(),
                two,
            ),
            (
                b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.1 51234 1935\r\n".to_vec(),
                one,
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN whatever follows\r\n".to_vec(), None),
            (binary(0x21, 0x11, &v4), one),
            (binary(0x21, 0x11, &extended), one),
            (binary(0x21, 0x21, &v6), two),
            (binary(0x21, 0x21, &mapped), one),
            (binary(0x20, 0x00, &[]), None),
            (binary(0x20, 0x11, &v4), None),
            (binary(0x20, 0x11, &v4[..3]), None),
            (binary(0x20, 0x77, b"whatever follows"), None),
            (binary(0x21, 0x12, &v4), None),
            (binary(0x21, 0x00, &[]), None),
            (binary(0x21, 0x31, &[0; 216]), None),
        ];
        for (header, expected) in cases {
            let expected = expected.map(|address| address.parse::<SocketAddr>().unwrap());
            for piece in [1, 13, 1000] {
                let sent = [&header[..], b"\x03C0C1\n"].concat();
                let (found, rest) = received(&sent, piece).await;
                assert_eq!(found, Ok(expected), "{header:?}");
                assert_eq!(rest, b"\x03C0C1\n", "{header:?}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_an_error() {
        for (sent, expected) in [
            (&b"\x03aaaaaaaaaaaaaaaaaaaa"[..], "expected a PROXY header"),
            (b"PROXY", "no PROXY header"),
            (b"PROXY TCP4 192.0.2.1", "no PROXY header"),
            (b"PROXY TCP4 192.0.2.1 198.51.100.1 51234 1935\n", "CR LF"),
            (
                b"PROXY TCP4 2001:db8::7 2001:db8::1 51234 1935\r\n",
                "of the family",
            ),
            (
                b"PROXY TCP4 192.0.2.1 198.51.100.1 66666 1935\r\n",
                "two ports",
            ),
            (
                b"PROXY TCP4 192.0.2.1 198.51.100.1 +1234 1935\r\n",
                "two ports",
            ),
            (
                b"PROXY TCP4 192.0.2.1 198.51.100.1 51234 01935\r\n",
                "two ports",
            ),
            (
                b"PROXYxTCP4 192.0.2.1 198.51.100.1 51234 1935\r\n",
                "expected a PROXY header",
            ),
            (b"PROXY UNKNOWNx\r\n", "TCP4, TCP6"),
            (
                b"PROXY UDP4 192.0.2.1 198.51.100.1 51234 1935\r\n",
                "TCP4, TCP6",
            ),
            (
                &[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 100]].concat(),
                "107 bytes",
            ),
            (
                &[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 92], b"\r\n"].concat(),
                "107 bytes",
            ),
            (&binary(0x22, 0x11, &[0; 12]), "LOCAL or PROXY"),
            (&binary(0x21, 0x41, &[0; 12]), "a family up to 3"),
            (&binary(0x21, 0x13, &[0; 12]), "a protocol up to 2"),
            (&binary(0x21, 0x11, &[0; 11]), "at least 12"),
            (&binary(0x21, 0x21, &[0; 35]), "at least 36"),
            (&binary(0x21, 0x11, &[0; 4097]), "at most 4096"),
        ] {
            let (found, _) = received(sent, 1000).await;
            let error = found.expect_err(expected);
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(command: u8, family: u8, body: Vec<u8>) {
            let _ = version_2(command, family, &body);
            let _ = version_1(&body);
        }
    }
}
