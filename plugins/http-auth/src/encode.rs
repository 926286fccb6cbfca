//! Texts of requests: form fields, queries, hexadecimal.

use std::fmt::Write as _;

/// Percent-encodes all but what RFC 3986 section 2.3 leaves as it is.
pub fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => encoded.push(char::from(b)),
            b => _ = write!(encoded, "%{b:02X}"),
        }
    }
    encoded
}

/// `a=1&b=2`.
pub fn query(pairs: &[(String, String)]) -> String {
    let pairs = pairs.iter();
    let pairs: Vec<String> = pairs
        .map(|(key, value)| format!("{}={}", percent(key), percent(value)))
        .collect();
    pairs.join("&")
}

/// Takes [`query`] apart; pieces stay encoded.
pub fn pieces(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| piece.split_once('=').unwrap_or((piece, "")))
}

/// Undoes [`percent`].
pub fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| first == b'%');
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let byte = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The first value of a parameter, decoded.
pub fn param(query: &str, key: &str) -> Option<String> {
    let mut pieces = pieces(query);
    let found = pieces.find(|(name, _)| decode(name) == key);
    found.map(|(_, value)| decode(value))
}

/// `0badf00d`.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_comes_back() {
        let pairs = [
            ("key".to_owned(), "a b&c=d/ä%41".to_owned()),
            ("empty".to_owned(), String::new()),
        ];
        let text = query(&pairs);
        assert_eq!(text, "key=a%20b%26c%3Dd%2F%C3%A4%2541&empty=");
        assert_eq!(param(&text, "key"), Some(pairs[0].1.clone()));
        assert_eq!(param(&text, "empty"), Some(String::new()));
        assert_eq!(param(&text, "absent"), None);
    }

    #[test]
    fn half_an_escape_is_itself() {
        for (text, expected) in [
            ("%", "%"),
            ("%4", "%4"),
            ("%zz", "%zz"),
            ("%+1", "%+1"),
            ("%41", "A"),
        ] {
            assert_eq!(decode(text), expected, "{text}");
        }
    }
}
