//! Facts about a client and its stream that several policies decide by.

use std::net::{IpAddr, SocketAddr};

use livehost_sdk::{Client, StreamRequest};

/// The client's address without its port, IPv4-mapped ones as IPv4. None when
/// [`Client::remote`] is not `address:port`.
pub fn address(client: &Client) -> Option<IpAddr> {
    let remote: SocketAddr = client.remote.parse().ok()?;
    Some(remote.ip().to_canonical())
}

/// Did the client come over TLS?
pub fn is_tls(client: &Client) -> bool {
    client.tls_name.is_some() || matches!(client.protocol.as_str(), "rtmps" | "rtmpts")
}

/// A stream's name as configurations have it: `instance/name` in an
/// application instance, else `name`.
pub fn stream_path(req: &StreamRequest) -> String {
    match &req.instance {
        Some(instance) => format!("{instance}/{}", req.name),
        None => req.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script;

    #[test]
    fn addresses_come_without_port_and_mapping() {
        for (remote, expected) in [
            ("203.0.113.7:51234", Some("203.0.113.7")),
            ("[2001:db8::1]:80", Some("2001:db8::1")),
            ("[::ffff:10.1.2.3]:80", Some("10.1.2.3")),
            ("nowhere", None),
        ] {
            let client = script::client(remote);
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(address(&client), expected, "{remote}");
        }
    }
}
