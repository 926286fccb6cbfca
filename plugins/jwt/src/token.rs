//! The compact form of a signed token: `header.claims.signature`, each part
//! base64url (RFC 7515 section 7.1). Reads only; trust comes from the keyring.

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Map, Value};

/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 8192;

/// A token whose signature has not been checked.
#[derive(Debug)]
pub struct Token<'a> {
    /// The algorithm it says it was signed with.
    pub alg: String,
    /// The key it says it was signed with.
    pub kid: Option<String>,
    /// What the signature is over.
    pub signed: &'a str,
    pub signature: Vec<u8>,
    claims: &'a str,
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    pub fn parse(text: &'a str) -> Result<Self, &'static str> {
        const MALFORMED: &str = "the token is malformed";
        if text.len() > MAX_TOKEN {
            return Err("the token is too long");
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(MALFORMED)?;
        let (header, claims) = signed.split_once('.').ok_or(MALFORMED)?;
        let header = object(header).ok_or(MALFORMED)?;
        // Extensions that must be understood; none is (RFC 7515 section 4.1.11).
        if header.contains_key("crit") {
            return Err("the token has critical extensions, none is supported");
        }
        let text_of = |key: &str| header.get(key).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            alg: text_of("alg").ok_or(MALFORMED)?,
            kid: text_of("kid"),
            signed,
            signature: Base64UrlUnpadded::decode_vec(signature).map_err(|_| MALFORMED)?,
            claims,
        })
    }

    /// What it claims.
    pub fn claims(&self) -> Result<Map<String, Value>, &'static str> {
        object(self.claims).ok_or("the token's claims are no JSON object")
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let json = Base64UrlUnpadded::decode_vec(part).ok()?;
    serde_json::from_slice(&json).ok()
}
