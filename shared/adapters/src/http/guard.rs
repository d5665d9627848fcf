//! Which addresses are public: the judgement behind [`Reach::Public`](hermes_core::ports::http::Reach::Public).
//!
//! A pure function over numbers, never over text: notations are the parser's business. It allows what is known to be
//! public and refuses the rest, ranges that are not assigned yet included. An IPv4 address inside an IPv6 address is
//! judged as itself where the network delivers to it, so that hosts behind NAT64 still reach public sites.
//!
//! Deliberately absent: ports, names, and the network's own rules; a host that may reach private services should also
//! be kept from them by its network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A name or a literal leads to an address that is not public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is not a public address")]
pub struct NotPublic {
    /// The offending address.
    pub address: IpAddr,
}

/// Passes `addresses` on if every one of them is public. One that is not condemns them all: an attacker who mixes them
/// would otherwise only have to wait for the dialler to fall back to it.
///
/// # Errors
/// [`NotPublic`] with the first offending address.
pub fn judge(addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, NotPublic> {
    match addresses.iter().find(|address| !is_public(address.ip())) {
        Some(offending) => Err(NotPublic { address: offending.ip() }),
        None => Ok(addresses),
    }
}

/// Whether `address` belongs to the public Internet: not loopback, private, link-local, shared, multicast, reserved,
/// for documentation or benchmarks, nor a tunnel to such an address.
#[must_use]
pub const fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// The special ranges of IPv4: first address, prefix length. IANA's special-purpose registry, multicast and class E.
const SPECIAL_V4: [(Ipv4Addr, u32); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),        // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),       // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),    // shared by carriers; one cloud's metadata service
    (Ipv4Addr::new(127, 0, 0, 0), 8),      // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),   // link-local; metadata services
    (Ipv4Addr::new(172, 16, 0, 0), 12),    // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),     // protocol assignments; one cloud's metadata service
    (Ipv4Addr::new(192, 0, 2, 0), 24),     // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),   // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),   // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),    // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24),  // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),   // documentation
    (Ipv4Addr::new(168, 63, 129, 16), 32), // one cloud's host agent, reachable from each of its machines
    (Ipv4Addr::new(224, 0, 0, 0), 4),      // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),      // reserved, broadcast
];

const fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    let mut index = 0;
    while index < SPECIAL_V4.len() {
        let (first, length) = SPECIAL_V4[index];
        if bits >> (32 - length) == first.to_bits() >> (32 - length) {
            return false;
        }
        index += 1;
    }
    true
}

const fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = address.to_bits();
    match address.segments() {
        // ISATAP under any prefix: a tunnel to the embedded address inside some site.
        [_, _, _, _, 0 | 0x0100 | 0x0200 | 0x0300, 0x5efe, _, _] => false,
        // IPv4-mapped: the kernel dials the embedded address. NAT64: the network does.
        [0, 0, 0, 0, 0, 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => is_public_v4(low_v4(bits)),
        // 6to4: tunnelled to the embedded address.
        [0x2002, _, _, _, _, _, _, _] => is_public_v4(low_v4(bits >> 80)),
        // Protocol assignments: Teredo, benchmarks, ORCHID and their like. Documentation, twice.
        [0x2001, 0..=0x01ff, _, _, _, _, _, _]
        | [0x2001, 0x0db8, _, _, _, _, _, _]
        | [0x3fff, 0..=0x0fff, _, _, _, _, _, _] => false,
        // Global unicast. What lies outside is loopback, local, multicast, discarded, translated locally, or unassigned.
        [first, _, _, _, _, _, _, _] => first >> 13 == 0b001,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lowest 32 bits are what is asked for")]
const fn low_v4(bits: u128) -> Ipv4Addr {
    Ipv4Addr::from_bits(bits as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ends of every refused range.
    const REFUSED: &[&str] = &[
        // IPv4
        "0.0.0.0",
        "0.0.0.1",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.0",
        "127.0.0.1",
        "127.1.2.3",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.0.0",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.0",
        "192.0.0.192",
        "192.0.0.255",
        "192.0.2.0",
        "192.0.2.255",
        "192.88.99.0",
        "192.88.99.255",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.0",
        "198.51.100.255",
        "203.0.113.0",
        "203.0.113.255",
        "224.0.0.0",
        "239.255.255.255",
        "240.0.0.0",
        "255.255.255.254",
        "255.255.255.255",
        // unspecified, loopback, IPv4-compatible
        "::",
        "::1",
        "::2",
        "::127.0.0.1",
        "::10.0.0.1",
        "::8.8.8.8",
        "::ffff:ffff",
        // IPv4-mapped
        "::ffff:0.0.0.0",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "::ffff:10.1.2.3",
        "::ffff:169.254.169.254",
        "::ffff:192.168.1.1",
        "::ffff:100.100.100.200",
        // IPv4-translated (SIIT) and other parts of ::/8
        "::ffff:0:127.0.0.1",
        "::ffff:0:8.8.8.8",
        "::fffe:8.8.8.8",
        "0:0:0:1::",
        "0:ffff::1",
        // NAT64: well-known prefix with special addresses, local-use prefix, neighbours of the prefix
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::",
        "64:ff9b:1::",
        "64:ff9b:1::8.8.8.8",
        "64:ff9b:1:ffff:ffff:ffff:808:808",
        "64:ff9b::1:808:808",
        "64:ff9a::808:808",
        // discard, dummy prefix
        "100::",
        "100::ffff:ffff:ffff:ffff",
        "100:0:0:1::1",
        // protocol assignments: Teredo, benchmarks, AMT, AS112, ORCHID
        "2001::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:0:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:1::1",
        "2001:2::1",
        "2001:3::1",
        "2001:4:112::1",
        "2001:10::1",
        "2001:1f:ffff::1",
        "2001:20::1",
        "2001:30::1",
        "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
        // documentation
        "2001:db8::",
        "2001:db8::1",
        "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
        "3fff::",
        "3fff:fff:ffff::1",
        // 6to4 to special addresses
        "2002::",
        "2002:7f00:1::",
        "2002:7f00:1::1",
        "2002:a00:1::1",
        "2002:a9fe:a9fe::1",
        "2002:c0a8:101::1",
        "2002:ac10:1::1",
        "2002:e000:1::1",
        // ISATAP, also under a public prefix and with the universal and group bits
        "fe80::5efe:127.0.0.1",
        "fe80::200:5efe:8.8.8.8",
        "2606:4700::5efe:10.0.0.1",
        "2606:4700::5efe:8.8.8.8",
        "2606:4700::200:5efe:10.0.0.1",
        "2606:4700::100:5efe:10.0.0.1",
        "2606:4700::300:5efe:10.0.0.1",
        // segment routing, unique local (one cloud's metadata too), link-local, site-local, multicast
        "5f00::1",
        "fc00::",
        "fc00::1",
        "fd00::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "fe80::",
        "fe80::1",
        "fe80::a9fe:a9fe",
        "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "fec0::",
        "fec0::1",
        "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "ff00::",
        "ff02::1",
        "ff05::2",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        // unassigned
        "200::1",
        "1fff:ffff::1",
        "4000::1",
        "8000::1",
        "c000::1",
        "fe00::1",
    ];

    /// The neighbours of every refused range, and some well-known hosts.
    const PUBLIC: &[&str] = &[
        "1.0.0.0",
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.1.255",
        "192.0.3.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "::ffff:8.8.8.8",
        "::ffff:808:808",
        "64:ff9b::8.8.8.8",
        "64:ff9b::101:101",
        "2002:808:808::1",
        "2000::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2001:db7:ffff::1",
        "2001:db9::1",
        "2003::1",
        "2400:cb00::1",
        "2606:4700:4700::1111",
        "2606:4700::5eff:808:808",
        "2606:4700:0:0:1:5efe:808:808",
        "2a00:1450:4001::1",
        "3ffe::1",
        "3fff:1000::1",
    ];

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap_or_else(|_| panic!("{text} is no address"))
    }

    #[test]
    fn every_special_range_is_refused_at_both_ends() {
        for text in REFUSED {
            assert!(!is_public(ip(text)), "{text} must be refused");
        }
    }

    #[test]
    fn the_neighbours_of_special_ranges_are_public() {
        for text in PUBLIC {
            assert!(is_public(ip(text)), "{text} must be allowed");
        }
    }

    #[test]
    fn every_special_v4_address_is_refused_inside_v6_too() {
        for text in REFUSED.iter().chain(PUBLIC) {
            let IpAddr::V4(v4) = ip(text) else { continue };
            let [a, b, c, d] = v4.octets();
            let high = u16::from_be_bytes([a, b]);
            let low = u16::from_be_bytes([c, d]);
            let expected = is_public(IpAddr::V4(v4));
            for v6 in [
                Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            ] {
                assert_eq!(is_public(IpAddr::V6(v6)), expected, "{v4} inside {v6}");
            }
        }
    }

    #[test]
    fn one_private_address_among_public_ones_condemns_them_all() {
        let public = SocketAddr::new(ip("8.8.8.8"), 80);
        let private = SocketAddr::new(ip("10.0.0.1"), 80);
        assert_eq!(judge(vec![public]), Ok(vec![public]));
        for mixed in [vec![public, private], vec![private, public]] {
            assert_eq!(judge(mixed), Err(NotPublic { address: private.ip() }));
        }
    }
}
