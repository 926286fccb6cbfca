//! What a redirect makes of a request.

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, COOKIE, LOCATION,
};
use http::{HeaderMap, Method, StatusCode};

use super::client::Hop;
use super::error::Error;

/// Turns `hop` into the next one, if the answer is a redirect that says where
/// to. Whether that is allowed is for the sender to check.
pub(super) fn follow(
    hop: &mut Hop,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<bool, Error> {
    let keeps_method = match status.as_u16() {
        301 | 302 => hop.method != Method::POST,
        303 => hop.method == Method::GET || hop.method == Method::HEAD,
        307 | 308 => true,
        _ => return Ok(false),
    };
    let Some(location) = headers.get(LOCATION) else {
        return Ok(false);
    };
    let target = location
        .to_str()
        .map_err(|_| "it is not text".to_owned())
        .and_then(|location| hop.target.join(location).map_err(|error| error.to_string()))
        .map_err(|reason| Error::Protocol(format!("a redirect leads nowhere: {reason}")))?;
    if !keeps_method {
        hop.method = Method::GET;
        hop.body.clear();
        for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE] {
            hop.headers.remove(name);
        }
    }
    if !hop.target.same_origin(&target) {
        // Meant for the first server only.
        for name in [AUTHORIZATION, COOKIE] {
            hop.headers.remove(name);
        }
    }
    hop.target = target;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::outbound::target::Target;

    fn redirected(method: Method, status: u16, location: &str) -> Hop {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, "Bearer secret".parse().unwrap());
        headers.insert(COOKIE, "id=secret".parse().unwrap());
        headers.insert(CONTENT_TYPE, "text/plain".parse().unwrap());
        let mut hop = Hop {
            method,
            target: Target::parse("https://a.example/x").unwrap(),
            headers,
            body: Bytes::from_static(b"body"),
        };
        let mut answer = HeaderMap::new();
        answer.insert(LOCATION, location.parse().unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(follow(&mut hop, status, &answer), Ok(true));
        hop
    }

    #[test]
    fn methods_and_bodies_follow_the_standard() {
        let table = [
            (Method::POST, 301, Method::GET),
            (Method::POST, 302, Method::GET),
            (Method::POST, 303, Method::GET),
            (Method::PUT, 303, Method::GET),
            (Method::PUT, 302, Method::PUT),
            (Method::POST, 307, Method::POST),
            (Method::POST, 308, Method::POST),
            (Method::HEAD, 303, Method::HEAD),
            (Method::GET, 301, Method::GET),
        ];
        for (method, status, expected) in table {
            let hop = redirected(method.clone(), status, "/y");
            assert_eq!(hop.method, expected, "{method} {status}");
            let kept = method == expected;
            assert_eq!(!hop.body.is_empty(), kept, "{method} {status}");
            assert_eq!(hop.headers.contains_key(CONTENT_TYPE), kept);
        }
    }

    #[test]
    fn credentials_stay_with_their_origin() {
        let table = [
            ("/y", true),
            ("https://a.example:443/y", true),
            ("https://A.example./y", true),
            ("https://b.example/x", false),
            ("https://x.a.example/x", false),
            ("https://a.example:444/x", false),
            ("http://a.example/x", false),
            ("http://a.example:443/x", false),
        ];
        for (location, kept) in table {
            let hop = redirected(Method::GET, 302, location);
            assert_eq!(hop.headers.contains_key(AUTHORIZATION), kept, "{location}");
            assert_eq!(hop.headers.contains_key(COOKIE), kept, "{location}");
        }
    }

    #[test]
    fn what_says_not_where_to_is_the_answer() {
        let mut hop = redirected(Method::GET, 302, "/y");
        let no_location = HeaderMap::new();
        assert_eq!(follow(&mut hop, StatusCode::FOUND, &no_location), Ok(false));
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, "/z".parse().unwrap());
        for status in [
            StatusCode::OK,
            StatusCode::NOT_MODIFIED,
            StatusCode::CREATED,
        ] {
            assert_eq!(follow(&mut hop, status, &headers), Ok(false));
        }
        headers.insert(LOCATION, "http://u:p@a.example/".parse().unwrap());
        assert!(follow(&mut hop, StatusCode::FOUND, &headers).is_err());
    }
}
