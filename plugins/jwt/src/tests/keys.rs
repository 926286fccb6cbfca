//! Which key checks which token, and keys that are refused.

use super::*;

#[test]
fn every_kind_of_key_checks_its_tokens() {
    let set: Value = serde_json::from_str(JWKS).unwrap();
    let oct = json!({"kty": "oct", "k": Base64UrlUnpadded::encode_string(SECRET.as_bytes())});
    let base64 = base64ct::Base64::encode_string(SECRET.as_bytes());
    let hs256 = signed(&good(json!({})));
    for (key, token) in [
        (json!({"secret": SECRET}), hs256.as_str()),
        (json!({"secret_base64": base64}), &hs256),
        (json!({"jwk": oct}), &hs256),
        (json!({"pem": RSA}), RS256),
        (json!({"pem": RSA}), RS256_NO_KID),
        (json!({"pem": RSA, "kid": "r1"}), RS256),
        (json!({"pem": RSA, "kid": "r1"}), RS256_NO_KID),
        (
            json!({"pem": include_str!("../../testdata/rsa-pkcs1.pem")}),
            RS256,
        ),
        (json!({"jwk": set["keys"][0]}), RS256),
        (json!({"pem": include_str!("../../testdata/ec.pem")}), ES256),
        (json!({"jwk": set["keys"][1]}), ES256),
    ] {
        let (plugin, _) = plugin(json!({"keys": [key]}));
        assert_eq!(with(&plugin, token), Ok(()), "{key}");
    }
}

#[test]
fn any_change_breaks_a_signature() {
    let set: Value = serde_json::from_str(JWKS).unwrap();
    let keys = json!([{"jwk": set["keys"][0]}, {"jwk": set["keys"][1]}, {"secret": SECRET}]);
    let (plugin, _) = plugin(json!({"keys": keys}));
    let hs256 = signed(&good(json!({})));
    for token in [RS256, ES256, hs256.as_str()] {
        assert_eq!(with(&plugin, token), Ok(()));
        // Every 7th character, to stay quick; the last may hold unused bits.
        for at in (0..token.len() - 1).step_by(7) {
            let mut changed = token.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(with(&plugin, &changed).is_err(), "{changed}");
        }
        let (signed, _) = token.rsplit_once('.').unwrap();
        for cut in [
            format!("{signed}."),
            signed.to_owned(),
            format!("{token}A"),
            format!("{token}."),
        ] {
            assert!(with(&plugin, &cut).is_err(), "{cut}");
        }
    }
}

#[test]
fn a_token_cannot_choose_the_algorithm() {
    let (plugin, _) = plugin(json!({"keys": [{"pem": RSA, "kid": "r1"}]}));
    let claims = good(json!({}));
    // The public key, known to all, as secret of an HMAC.
    for secret in [RSA.as_bytes(), RSA.trim().as_bytes()] {
        for header in [
            json!({"alg": "HS256", "kid": "r1"}),
            json!({"alg": "RS256", "kid": "r1"}),
        ] {
            assert!(with(&plugin, &signed_as(&header, &claims, secret)).is_err());
        }
    }
    for alg in ["none", "None", "NONE", ""] {
        let token = signed_as(&json!({"alg": alg}), &claims, b"");
        let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
        for token in [token, unsigned] {
            let error = with(&plugin, &token).unwrap_err();
            assert_eq!(error, "the token is signed with no key known here");
        }
    }
    // A key that the token brings along.
    let set: Value = serde_json::from_str(JWKS).unwrap();
    let own = json!({"alg": "ES256", "kid": "e1", "jwk": set["keys"][1], "jku": "https://a"});
    assert!(with(&plugin, &signed_as(&own, &claims, b"")).is_err());
    let crit = signed_as(&json!({"alg": "HS256", "crit": ["exp"]}), &claims, b"");
    assert!(with(&plugin, &crit).unwrap_err().contains("critical"));
}

#[test]
fn the_key_id_chooses_among_keys() {
    let other = "fedcba9876543210fedcba9876543210";
    let keys = json!([{"secret": SECRET, "kid": "a"}, {"secret": other, "kid": "b"}]);
    let (plugin, _) = plugin(json!({"keys": keys}));
    let token = |kid: Option<&str>| {
        let header = match kid {
            Some(kid) => json!({"alg": "HS256", "kid": kid}),
            None => json!({"alg": "HS256"}),
        };
        signed_as(&header, &good(json!({})), other.as_bytes())
    };
    assert_eq!(with(&plugin, &token(Some("b"))), Ok(()));
    assert_eq!(with(&plugin, &token(None)), Ok(()));
    let error = with(&plugin, &token(Some("a"))).unwrap_err();
    assert_eq!(error, "the token's signature is wrong");
    let error = with(&plugin, &token(Some("c"))).unwrap_err();
    assert_eq!(error, "the token is signed with no key known here");
}

#[test]
fn garbage_is_refused() {
    let (plugin, _) = shared(json!({}));
    let deep = Base64UrlUnpadded::encode_string("[".repeat(2500).as_bytes());
    for token in [
        "",
        ".",
        "..",
        "a.b.c",
        "e30.e30.",
        "....",
        &format!("{deep}.{deep}."),
    ] {
        assert_eq!(
            with(&plugin, token),
            Err("the token is malformed".into()),
            "{token}"
        );
    }
    assert_eq!(
        with(&plugin, &"a".repeat(8193)),
        Err("the token is too long".into())
    );
    let no_object = signed(&json!(["exp"]));
    assert!(
        with(&plugin, &no_object)
            .unwrap_err()
            .contains("no JSON object")
    );
}

#[test]
fn mistakes_are_refused_and_named_without_showing_secrets() {
    let set: Value = serde_json::from_str(JWKS).unwrap();
    let with_member = |key: usize, name: &str, value: Value| {
        let mut jwk = set["keys"][key].clone();
        jwk[name] = value;
        json!([{"jwk": jwk}])
    };
    for (keys, named) in [
        (json!([]), "no key to check tokens with"),
        (json!(["s3cr3t"]), "keys[0]: expected one of"),
        (json!([{}]), "keys[0]: expected one of"),
        (
            json!([{"secret": SECRET}, {"secret": "s3cr3t"}]),
            "keys[1]: secret: has 6 bytes",
        ),
        (
            json!([{"secret": 7777777}]),
            "keys[0]: secret: expected a text",
        ),
        (
            json!([{"secret_base64": "s3cr3t!"}]),
            "secret_base64: is no base64",
        ),
        (json!([{"secrets": "s3cr3t"}]), "unknown field `secrets`"),
        (json!([{"secret": SECRET, "pem": RSA}]), "more than one key"),
        (json!([{"pem": "s3cr3t"}]), "pem: expected a public key"),
        (
            json!([{"pem": "-----BEGIN PRIVATE KEY-----\ns3cr3t"}]),
            "pem: is a private key",
        ),
        (
            json!([{"pem": "-----BEGIN CERTIFICATE-----\n"}]),
            "pem: is a certificate",
        ),
        (
            json!([{"pem": include_str!("../../testdata/rsa-1024.pem")}]),
            "pem: has 1024 bits",
        ),
        (
            json!([{"pem": include_str!("../../testdata/ec-p384.pem")}]),
            "curve P-256",
        ),
        (
            with_member(0, "alg", json!("PS256")),
            "alg \"PS256\" is not supported",
        ),
        (with_member(0, "use", json!("enc")), "not for signatures"),
        (with_member(0, "e", json!("AA")), "jwk: "),
        (with_member(1, "crv", json!("P-521")), "crv P-256"),
        (with_member(1, "y", json!("AAAA")), "32 bytes"),
        (
            with_member(1, "y", set["keys"][1]["x"].clone()),
            "no point of the curve",
        ),
    ] {
        let error = refused(&json!({"keys": keys}));
        assert!(error.contains(named), "{keys}: {error}");
        assert!(
            !error.contains("s3cr3t") && !error.contains("7777777") && !error.contains(SECRET),
            "{error}"
        );
    }
    for (config, named) in [
        (json!({"jwks": {"url": "ftp://a"}}), "jwks.url: expected"),
        (
            json!({"jwks": {"url": "https://a", "stale": "1 min"}}),
            "jwks.stale",
        ),
        (
            json!({"jwks": {"url": "https://a"}, "params": []}),
            "params: no parameter",
        ),
        (
            json!({"jwks": {"url": "https://a"}, "leeway": 30}),
            "a duration such as",
        ),
        (
            json!({"jwks": {"url": "https://a"}, "issuers": "a"}),
            "unknown field `issuers`",
        ),
        (
            json!({"jwks": {"url": "https://a"}, "publish": "opne"}),
            "`open`",
        ),
    ] {
        let error = refused(&config);
        assert!(error.contains(named), "{config}: {error}");
    }
}
