//! Which addresses a name may resolve to.
//!
//! Flows in: an address. Flows out: whose it is. Forms of IPv6 that carry an
//! IPv4 address are taken for that address, since they may lead to it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whose an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Routed on the internet.
    Global,
    /// Of this machine or of a local network; says which.
    Private(&'static str),
    /// No name may lead there; says what it is.
    Never(&'static str),
}

const LOOPBACK: Reach = Reach::Private("a loopback address");
const PRIVATE: Reach = Reach::Private("a private address");
const LOCAL_NAT64: Reach = Reach::Private("an address behind local NAT64");
const LINK_LOCAL: Reach = Reach::Never("a link-local address");
const METADATA: Reach = Reach::Never("a cloud's metadata service");
const RESERVED: Reach = Reach::Never("a reserved address");

/// Metadata and credential services of clouds outside 169.254.0.0/16: Alibaba,
/// Oracle, Azure.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];
/// The same of AWS and Google.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// Whose `ip` is.
pub(super) fn reach(ip: IpAddr) -> Reach {
    match ip {
        IpAddr::V4(ip) => reach_v4(ip),
        IpAddr::V6(ip) => reach_v6(ip),
    }
}

/// What `ip` is, if no connection can be meant to go there.
pub(super) fn unreachable(ip: IpAddr) -> Option<&'static str> {
    if ip.is_unspecified() {
        Some("the unspecified address")
    } else if ip.is_multicast() {
        Some("a multicast address")
    } else if ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some("the broadcast address")
    } else {
        None
    }
}

// Sources: the IANA registries of special-purpose addresses.
fn reach_v4(ip: Ipv4Addr) -> Reach {
    if let Some(what) = unreachable(ip.into()) {
        return Reach::Never(what);
    }
    if METADATA_V4.contains(&ip) {
        return METADATA;
    }
    match ip.octets() {
        [127, ..] => LOOPBACK,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => PRIVATE,
        // Shared with the provider's network (RFC 6598).
        [100, 64..=127, ..] => PRIVATE,
        [169, 254, ..] => LINK_LOCAL,
        [0, ..] | [240..=255, ..] => RESERVED,
        // Protocols, documentation, 6to4 relays, benchmarks.
        [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => RESERVED,
        [192, 88, 99, _] | [198, 18 | 19, ..] => RESERVED,
        _ => Reach::Global,
    }
}

fn reach_v6(ip: Ipv6Addr) -> Reach {
    if ip == Ipv6Addr::LOCALHOST {
        return LOOPBACK;
    }
    if let Some(what) = unreachable(ip.into()) {
        return Reach::Never(what);
    }
    if METADATA_V6.contains(&ip) {
        return METADATA;
    }
    if let Some(carried) = carried_v4(ip) {
        return reach_v4(carried);
    }
    match ip.segments() {
        [0xfe80..=0xfebf, ..] => LINK_LOCAL,
        [0xfc00..=0xfdff, ..] => PRIVATE,
        [0x64, 0xff9b, 1, ..] => local_nat64(ip),
        // Protocols (with Teredo, whose IPv4 address is a relay's) and documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => RESERVED,
        // ISATAP (RFC 5214): a router of that prefix sends it on to the IPv4 address.
        [0x2000..=0x3fff, _, _, _, 0 | 0x200, 0x5efe, high, low] => reach_v4(v4(high, low)),
        [0x2000..=0x3fff, ..] => Reach::Global,
        _ => RESERVED,
    }
}

/// The IPv4 address that packets to `ip` end up at.
fn carried_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    match ip.segments() {
        // IPv4-mapped, and compatible (of old).
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => Some(v4(high, low)),
        // IPv4-translated (RFC 2765).
        [0, 0, 0, 0, 0xffff, 0, high, low] => Some(v4(high, low)),
        // NAT64: the well-known prefix (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

/// What lies behind NAT64 with a local prefix (RFC 8215) is for the local
/// network to say, and so is how long the prefix is, which decides where the
/// IPv4 address is (RFC 6052): wherever it may be, it must not be one that no
/// name may lead to.
fn local_nat64(ip: Ipv6Addr) -> Reach {
    let [_, _, _, _, _, _, a, b, _, c, d, e, f, g, h, i] = ip.octets();
    // Prefixes of 48, 56, 64 and 96 bits.
    let readings = [[a, b, c, d], [b, c, d, e], [c, d, e, f], [f, g, h, i]];
    let mut never = readings.into_iter().filter_map(|octets| match octets {
        // Of the bits that another length leaves empty.
        [0, ..] => None,
        _ => match reach_v4(octets.into()) {
            never @ Reach::Never(_) => Some(never),
            _ => None,
        },
    });
    never.next().unwrap_or(LOCAL_NAT64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_routed_is_global() {
        let table = [
            ("8.8.8.8", Reach::Global),
            ("1.1.1.1", Reach::Global),
            ("172.15.255.255", Reach::Global),
            ("172.32.0.1", Reach::Global),
            ("100.128.0.1", Reach::Global),
            ("2606:4700::1111", Reach::Global),
            ("2a00:1450:4001::1", Reach::Global),
            ("127.0.0.1", LOOPBACK),
            ("127.255.255.254", LOOPBACK),
            ("::1", LOOPBACK),
            ("10.0.0.1", PRIVATE),
            ("172.16.0.1", PRIVATE),
            ("172.31.255.1", PRIVATE),
            ("192.168.1.1", PRIVATE),
            ("100.64.0.1", PRIVATE),
            ("fd12:3456::1", PRIVATE),
            ("fc00::1", PRIVATE),
            ("169.254.169.254", LINK_LOCAL),
            ("169.254.0.1", LINK_LOCAL),
            ("fe80::1", LINK_LOCAL),
            ("febf::1", LINK_LOCAL),
            ("fd00:ec2::254", METADATA),
            ("fd20:ce::254", METADATA),
            ("100.100.100.200", METADATA),
            ("168.63.129.16", METADATA),
            ("192.0.0.192", METADATA),
            ("0.0.0.1", RESERVED),
            ("192.0.2.1", RESERVED),
            ("198.18.0.1", RESERVED),
            ("240.0.0.1", RESERVED),
            ("2001:db8::1", RESERVED),
            ("2001::1", RESERVED),
            ("fec0::1", RESERVED),
            ("4000::1", RESERVED),
            ("0.0.0.0", Reach::Never("the unspecified address")),
            ("::", Reach::Never("the unspecified address")),
            ("224.0.0.251", Reach::Never("a multicast address")),
            ("ff02::1", Reach::Never("a multicast address")),
            ("255.255.255.255", Reach::Never("the broadcast address")),
            // IPv4 inside IPv6.
            ("::ffff:127.0.0.1", LOOPBACK),
            ("::ffff:169.254.169.254", LINK_LOCAL),
            ("::ffff:0.0.0.0", Reach::Never("the unspecified address")),
            ("::ffff:8.8.8.8", Reach::Global),
            ("::127.0.0.1", LOOPBACK),
            ("::ffff:0:127.0.0.1", LOOPBACK),
            ("64:ff9b::127.0.0.1", LOOPBACK),
            ("64:ff9b::10.0.0.1", PRIVATE),
            ("64:ff9b::169.254.169.254", LINK_LOCAL),
            ("64:ff9b::8.8.8.8", Reach::Global),
            // Local NAT64, with prefixes of 96, 64, 56 and 48 bits.
            ("64:ff9b:1::8.8.8.8", LOCAL_NAT64),
            ("64:ff9b:1::10.0.0.1", LOCAL_NAT64),
            ("64:ff9b:1::169.254.169.254", LINK_LOCAL),
            ("64:ff9b:1::100.100.100.200", METADATA),
            ("64:ff9b:1:7::169.254.169.254", LINK_LOCAL),
            ("64:ff9b:1:0:a9:fea9:fe00:0", LINK_LOCAL),
            ("64:ff9b:1:a9:fe:a9fe::", LINK_LOCAL),
            ("64:ff9b:1:a9fe:a9:fe00::", LINK_LOCAL),
            ("64:ff9b:1:a9fe:a9:fe00::1", LINK_LOCAL),
            ("64:ff9b:1:808:8:800::", LOCAL_NAT64),
            ("64:ff9b:2::8.8.8.8", RESERVED),
            ("2002:7f00:1::", LOOPBACK),
            ("2002:a9fe:a9fe::1", LINK_LOCAL),
            ("2002:808:808::1", Reach::Global),
            ("2a00:1450:4001::5efe:10.0.0.1", PRIVATE),
            ("2a00:1450:4001::200:5efe:169.254.169.254", LINK_LOCAL),
            ("2a00:1450:4001::5efe:8.8.8.8", Reach::Global),
            ("fe80::5efe:8.8.8.8", LINK_LOCAL),
            ("fd00::5efe:8.8.8.8", PRIVATE),
        ];
        for (ip, expected) in table {
            assert_eq!(reach(ip.parse().unwrap()), expected, "{ip}");
        }
    }
}
