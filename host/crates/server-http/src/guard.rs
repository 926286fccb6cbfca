//! Against pages of other sites in an operator's browser.
//!
//! A page whose own name resolves to this server's address (DNS rebinding) sends
//! that name as `Host`; a page of another site sends its own `Origin` (CSRF).
//! Neither is served. Addresses are no names: nothing can be rebound to them.

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri, header};

use crate::access::AccessSettings;
use crate::problem::Problem;

/// Whether a request with this URL and these headers may come from a page here, or
/// from no page at all.
///
/// # Errors
/// A [`Problem`] with status 400 without a host, 403 with another one's.
pub(crate) fn check(
    settings: &AccessSettings,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    // HTTP/2 has it in the URL.
    let host = match uri.authority() {
        Some(authority) => Some(authority.clone()),
        None => {
            let value = headers.get(header::HOST);
            value.and_then(|value| value.as_bytes().try_into().ok())
        }
    };
    let Some(host) = host else {
        return Err(Problem::bad_request("expected one valid Host header"));
    };
    if !is_ours(settings, &host) {
        let detail = format!(
            "expected an address, localhost or a name of `api.hosts` as the host; found {:?}",
            host.host()
        );
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    if headers.get_all(header::ORIGIN).iter().any(|origin| {
        let origin = origin.to_str().ok();
        let origin = origin.and_then(|origin| origin.split_once("://"));
        // Another port is another origin.
        !origin.is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(host.as_str()))
    }) {
        let detail = "expected no Origin, or that of this server: pages of other sites may not ask";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    Ok(())
}

fn is_ours(settings: &AccessSettings, host: &Authority) -> bool {
    let name = host.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let is_address = address.parse::<IpAddr>().is_ok();
    let is_named = |known: &String| known.eq_ignore_ascii_case(name);
    is_address || name.eq_ignore_ascii_case("localhost") || settings.hosts.iter().any(is_named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(host: &str, origin: Option<&str>) -> u16 {
        let settings = AccessSettings {
            hosts: vec!["media.example.com".into()],
            ..AccessSettings::default()
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        let checked = check(&settings, &Uri::from_static("/api/v1/server"), &headers);
        checked.map_or_else(|problem| problem.status, |()| 200)
    }

    #[test]
    fn only_names_of_this_server_are_asked_for() {
        for (host, expected) in [
            ("127.0.0.1:1985", 200),
            ("192.0.2.1", 200),
            ("[::1]:1985", 200),
            ("localhost:1985", 200),
            ("LOCALHOST", 200),
            ("Media.Example.com", 200),
            ("evil.example", 403),
            ("evil.media.example.com", 403),
            ("localhost.evil.example", 403),
            ("127.0.0.1.evil.example", 403),
            ("", 400),
            ("a b", 400),
        ] {
            assert_eq!(status(host, None), expected, "{host}");
        }
    }

    #[test]
    fn no_page_of_another_site_asks() {
        let host = "127.0.0.1:1985";
        for (origin, expected) in [
            ("http://127.0.0.1:1985", 200),
            ("https://127.0.0.1:1985", 200),
            ("http://127.0.0.1:80", 403),
            ("http://localhost:1985", 403),
            ("https://evil.example", 403),
            ("null", 403),
            ("", 403),
        ] {
            assert_eq!(status(host, Some(origin)), expected, "{origin}");
        }
    }
}
