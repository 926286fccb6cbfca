//! Keys: PEM, JWK (RFC 7517) or a shared secret in, checked signatures out.
//!
//! A key has one algorithm, whatever a token says (RFC 8725 section 3.1): an
//! RSA key never checks an HMAC, and "none" is no algorithm.

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use hmac::{Hmac, Mac};
use p256::EncodedPoint;
use p256::ecdsa::signature::Verifier;
use p256::pkcs8::DecodePublicKey;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, RsaPublicKey, pkcs1v15};
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::token::Token;

/// RFC 7518 section 3.3.
const MIN_RSA_BITS: usize = 2048;
/// RFC 7518 section 3.2.
const MIN_SECRET_BYTES: usize = 32;

/// One key.
#[derive(Clone)]
pub struct Key {
    kid: Option<String>,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    /// RFC 7518 section 3.2.
    Hs256(Box<Hmac<Sha256>>),
    /// RFC 7518 section 3.3.
    Rs256(Box<pkcs1v15::VerifyingKey<Sha256>>),
    /// RFC 7518 section 3.4.
    Es256(Box<p256::ecdsa::VerifyingKey>),
}

impl Key {
    /// An entry of the configuration. Errors never show what was given: it may
    /// be a secret.
    pub fn configured(entry: &Value) -> Result<Self, String> {
        const EXPECTED: &str = "expected one of {\"secret\": ...}, {\"secret_base64\": ...}, {\"pem\": ...}, {\"jwk\": {...}}";
        let entry = entry.as_object().ok_or(EXPECTED)?;
        let mut kid = None;
        let mut kind = None;
        for (field, value) in entry {
            let text = || {
                let text = value.as_str();
                text.ok_or_else(|| format!("{field}: expected a text"))
            };
            let read = match field.as_str() {
                "kid" => {
                    kid = Some(text()?.to_owned());
                    continue;
                }
                "secret" => secret(text()?.as_bytes()),
                "secret_base64" => decode(text()?).and_then(|bytes| secret(&bytes)),
                "pem" => pem(text()?),
                "jwk" => {
                    let jwk = value.as_object().ok_or("jwk: expected an object")?;
                    kid = kid.or_else(|| member(jwk, "kid"));
                    jwk_kind(jwk)
                }
                other => return Err(format!("unknown field `{other}`, {EXPECTED}")),
            };
            let read = read.map_err(|error| format!("{field}: {error}"))?;
            if kind.replace(read).is_some() {
                return Err(format!("more than one key, {EXPECTED}"));
            }
        }
        let kind = kind.ok_or(EXPECTED)?;
        Ok(Self { kid, kind })
    }

    /// A key of a fetched set. Shared secrets have no place in one.
    pub fn fetched(jwk: &Value) -> Result<Self, String> {
        let jwk = jwk.as_object().ok_or("no object")?;
        let kind = jwk_kind(jwk)?;
        if matches!(kind, Kind::Hs256(_)) {
            return Err("a shared secret is not public".into());
        }
        let kid = member(jwk, "kid");
        Ok(Self { kid, kind })
    }

    /// May the token be signed with it, going by algorithm and key id? A key
    /// or a token without an id goes with any.
    pub fn is_for(&self, token: &Token<'_>) -> bool {
        let same = |wanted: &String| token.kid.as_ref().is_none_or(|kid| kid == wanted);
        token.alg == self.kind.alg() && self.kid.as_ref().is_none_or(same)
    }

    /// Is the token signed with it?
    pub fn verifies(&self, token: &Token<'_>) -> bool {
        if token.alg != self.kind.alg() {
            return false;
        }
        let signed = token.signed.as_bytes();
        let signature = token.signature.as_slice();
        match &self.kind {
            Kind::Hs256(mac) => {
                let mut mac = mac.clone();
                mac.update(signed);
                // In constant time.
                mac.verify_slice(signature).is_ok()
            }
            Kind::Rs256(key) => pkcs1v15::Signature::try_from(signature)
                .is_ok_and(|signature| key.verify(signed, &signature).is_ok()),
            Kind::Es256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(signed, &signature).is_ok()),
        }
    }
}

impl Kind {
    fn alg(&self) -> &'static str {
        match self {
            Self::Hs256(_) => "HS256",
            Self::Rs256(_) => "RS256",
            Self::Es256(_) => "ES256",
        }
    }
}

fn secret(bytes: &[u8]) -> Result<Kind, String> {
    if bytes.len() < MIN_SECRET_BYTES {
        return Err(format!(
            "has {} bytes, HS256 needs {MIN_SECRET_BYTES} or more (RFC 7518 section 3.2)",
            bytes.len()
        ));
    }
    // Any length is a key of HMAC.
    let mac = <Hmac<Sha256> as Mac>::new_from_slice(bytes).map_err(|error| error.to_string())?;
    Ok(Kind::Hs256(Box::new(mac)))
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    let text = text.trim();
    Base64::decode_vec(text)
        .or_else(|_| Base64UrlUnpadded::decode_vec(text.trim_end_matches('=')))
        .map_err(|_| "is no base64".into())
}

fn pem(text: &str) -> Result<Kind, String> {
    let text = text.trim();
    if text.contains("PRIVATE KEY-----") {
        return Err(
            "is a private key; only its public part belongs here (openssl pkey -pubout)".into(),
        );
    }
    if text.contains("BEGIN CERTIFICATE") {
        return Err(
            "is a certificate; take the key out of it (openssl x509 -pubkey -noout)".into(),
        );
    }
    if let Ok(key) = RsaPublicKey::from_pkcs1_pem(text) {
        return rsa_kind(key);
    }
    if let Ok(key) = RsaPublicKey::from_public_key_pem(text) {
        return rsa_kind(key);
    }
    if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_pem(text) {
        return Ok(Kind::Es256(Box::new(key)));
    }
    Err("expected a public key of RSA or of the curve P-256, beginning with -----BEGIN PUBLIC KEY-----".into())
}

fn rsa_kind(key: RsaPublicKey) -> Result<Kind, String> {
    let bits = key.n().bits();
    if bits < MIN_RSA_BITS {
        return Err(format!(
            "has {bits} bits, RS256 needs {MIN_RSA_BITS} or more (RFC 7518 section 3.3)"
        ));
    }
    Ok(Kind::Rs256(Box::new(pkcs1v15::VerifyingKey::new(key))))
}

fn jwk_kind(jwk: &Map<String, Value>) -> Result<Kind, String> {
    if member(jwk, "use").is_some_and(|of| of != "sig") {
        return Err("is not for signatures (its use is not \"sig\")".into());
    }
    let number = |name: &str| {
        let text = member(jwk, name).ok_or_else(|| format!("has no {name}"))?;
        Base64UrlUnpadded::decode_vec(&text).map_err(|_| format!("{name} is no base64url"))
    };
    let kind = match member(jwk, "kty").as_deref() {
        Some("RSA") => {
            let (n, e) = (number("n")?, number("e")?);
            let key = RsaPublicKey::new(BigUint::from_bytes_be(&n), BigUint::from_bytes_be(&e));
            rsa_kind(key.map_err(|error| error.to_string())?)?
        }
        Some("EC") if member(jwk, "crv").as_deref() == Some("P-256") => {
            let (x, y) = (number("x")?, number("y")?);
            let (Ok(x), Ok(y)) = (<[u8; 32]>::try_from(x), <[u8; 32]>::try_from(y)) else {
                return Err("x and y must have 32 bytes each".into());
            };
            let point = EncodedPoint::from_affine_coordinates(&x.into(), &y.into(), false);
            let key = p256::ecdsa::VerifyingKey::from_encoded_point(&point);
            Kind::Es256(Box::new(key.map_err(|_| "is no point of the curve")?))
        }
        Some("oct") => secret(&number("k")?)?,
        _ => return Err("expected kty RSA, or EC with crv P-256, or oct".into()),
    };
    match member(jwk, "alg") {
        Some(alg) if alg != kind.alg() => Err(format!(
            "alg {alg:?} is not supported for it, expected {}",
            kind.alg()
        )),
        _ => Ok(kind),
    }
}

fn member(object: &Map<String, Value>, name: &str) -> Option<String> {
    object.get(name).and_then(Value::as_str).map(str::to_owned)
}
