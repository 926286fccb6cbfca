//! What a file holds that should hold certificates or a key, and does not: the
//! formats that authorities and tools hand out, by name, and what makes PEM of
//! them.

use std::path::Path;

/// What was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PemKind {
    Certificates,
    Key,
}

impl PemKind {
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Certificates => "certificates",
            Self::Key => "a private key",
        }
    }
}

/// What is in a file of this content; none if there is no more to say than what
/// the reader said. Nothing of the content is repeated: it may be secret.
pub(super) fn found(content: &[u8], path: &Path, wanted: PemKind) -> Option<String> {
    let file = path.display();
    let labels: Vec<&[u8]> = content
        .split(|byte| *byte == b'\n')
        .filter_map(label)
        .collect();
    let has = |label: &str| labels.contains(&label.as_bytes());
    let has_key = labels.iter().any(|label| label.ends_with(b"PRIVATE KEY"));
    let is_encrypted =
        has("ENCRYPTED PRIVATE KEY") || contains(content, b"\nProc-Type: 4,ENCRYPTED");
    let text = match wanted {
        PemKind::Key if is_encrypted => format!(
            "an encrypted key, for which a server can ask nobody's password; decrypt it: \
             openssl pkey -in {file} -out plain.key"
        ),
        PemKind::Key if has("OPENSSH PRIVATE KEY") => {
            format!("a key in the format of OpenSSH; convert it: ssh-keygen -p -m PKCS8 -f {file}")
        }
        PemKind::Key if has("DSA PRIVATE KEY") => "a DSA key, which TLS has no use for".into(),
        PemKind::Key if has("PUBLIC KEY") || has("RSA PUBLIC KEY") => "a public key".into(),
        // It may be broken, but it is one.
        PemKind::Key if has_key => return None,
        PemKind::Key if has("CERTIFICATE") => {
            "a certificate (are `certificate` and `key` swapped?)".into()
        }
        PemKind::Certificates if has("CERTIFICATE") => return None,
        PemKind::Certificates if has_key => {
            "a private key (are `certificate` and `key` swapped?)".into()
        }
        _ if has("CERTIFICATE REQUEST") || has("NEW CERTIFICATE REQUEST") => {
            "a certificate request, which an authority makes a certificate of".into()
        }
        _ if has("TRUSTED CERTIFICATE") => format!(
            "a certificate in OpenSSL's own format; convert it: openssl x509 -in {file} -out own.pem"
        ),
        _ if has("PKCS7") => format!(
            "a PKCS #7 bundle; convert it: openssl pkcs7 -print_certs -in {file} -out own.pem"
        ),
        _ if content.is_empty() => "an empty file".into(),
        _ if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") => {
            "text in UTF-16; save it in ASCII or UTF-8".into()
        }
        _ if content.starts_with(b"\xef\xbb\xbf") => {
            "text with a byte order mark in front; save it without".into()
        }
        // A SEQUENCE of two bytes of length: what DER of this kind begins with.
        _ if content.starts_with(b"\x30\x81") || content.starts_with(b"\x30\x82") => {
            let tool = match wanted {
                PemKind::Certificates => "x509",
                PemKind::Key => "pkey",
            };
            format!(
                "binary DER; convert it: openssl {tool} -inform DER -in {file} -out own.pem, or \
                 a .p12 or .pfx file: openssl pkcs12 -nodes -in {file} -out own.pem"
            )
        }
        _ => return None,
    };
    Some(text)
}

/// `-----BEGIN LABEL-----`
fn label(line: &[u8]) -> Option<&[u8]> {
    let line = line.trim_ascii_end();
    line.strip_prefix(b"-----BEGIN ")?.strip_suffix(b"-----")
}

fn contains(content: &[u8], part: &[u8]) -> bool {
    content.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_pem_is_told_by_name() {
        use PemKind::{Certificates, Key};
        let begin = |label: &str| format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n");
        let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
            DEK-Info: AES-256-CBC,00\n\nMAA=\n-----END RSA PRIVATE KEY-----\n";
        for (content, wanted, expected) in [
            (
                begin("ENCRYPTED PRIVATE KEY"),
                Key,
                "openssl pkey -in a.pem",
            ),
            (legacy.to_owned(), Key, "an encrypted key"),
            (legacy.replace('\n', "\r\n"), Key, "an encrypted key"),
            (begin("OPENSSH PRIVATE KEY"), Key, "ssh-keygen -p -m PKCS8"),
            (begin("DSA PRIVATE KEY"), Key, "a DSA key"),
            (begin("PUBLIC KEY"), Key, "a public key"),
            (begin("CERTIFICATE"), Key, "swapped"),
            (begin("CERTIFICATE REQUEST"), Key, "a certificate request"),
            (begin("PRIVATE KEY"), Certificates, "swapped"),
            (begin("ENCRYPTED PRIVATE KEY"), Certificates, "swapped"),
            (
                begin("CERTIFICATE REQUEST"),
                Certificates,
                "a certificate request",
            ),
            (
                begin("TRUSTED CERTIFICATE"),
                Certificates,
                "openssl x509 -in a.pem",
            ),
            (begin("PKCS7"), Certificates, "openssl pkcs7"),
            (String::new(), Certificates, "an empty file"),
            (
                "\u{feff}".to_owned() + &begin("CERTIFICATE"),
                Certificates,
                "byte order mark",
            ),
        ] {
            let told = found(content.as_bytes(), Path::new("a.pem"), wanted);
            assert!(
                told.as_deref().unwrap_or_default().contains(expected),
                "{content}: {told:?}"
            );
        }
        for (content, expected) in [
            (&b"\x30\x82\x01\0"[..], "-inform DER"),
            (b"\xff\xfe-\0", "UTF-16"),
        ] {
            for wanted in [Certificates, Key] {
                let told = found(content, Path::new("a.pem"), wanted);
                assert!(
                    told.as_deref().unwrap_or_default().contains(expected),
                    "{told:?}"
                );
            }
        }
    }

    #[test]
    fn of_what_is_there_only_the_reader_knows_what_is_wrong() {
        let broken = b"-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n";
        assert_eq!(found(broken, Path::new("a"), PemKind::Key), None);
        assert_eq!(found(b"hello", Path::new("a"), PemKind::Key), None);
    }
}
