//! Keeps downloads away from addresses that no public picture has: this machine, its networks,
//! and what the cloud keeps at fixed addresses. Names are resolved once and the vetted address
//! is the one connected to; addresses within URLs are vetted the same way.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

/// Which addresses may be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressGuard {
    /// Only those of public hosts.
    PublicOnly,
    /// All, for tests and intranets.
    AllowPrivate,
}

/// All addresses of a host are forbidden.
#[derive(Debug, PartialEq, Eq)]
pub struct ForbiddenHost {
    /// The host.
    pub host: String,
    /// One of its addresses.
    pub address: IpAddr,
}

impl fmt::Display for ForbiddenHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host `{}` has the address {}, which is not public", self.host, self.address)
    }
}

impl std::error::Error for ForbiddenHost {}

/// A name has no address.
#[derive(Debug)]
pub struct UnknownHost {
    /// The host.
    pub host: String,
    /// The resolver's words.
    pub reason: String,
}

impl fmt::Display for UnknownHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host `{}` has no address: {}", self.host, self.reason)
    }
}

impl std::error::Error for UnknownHost {}

impl AddressGuard {
    /// Vets the host of `url` where it is an address; names are vetted when resolved.
    ///
    /// # Errors
    /// When the address may not be connected to.
    pub fn check_literal(self, url: &Url) -> Result<(), ForbiddenHost> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        if self.allows(address) { Ok(()) } else { Err(ForbiddenHost { host: address.to_string(), address }) }
    }

    /// Whether `address` may be connected to.
    pub fn allows(self, address: IpAddr) -> bool {
        self == Self::AllowPrivate
            || match address {
                IpAddr::V4(address) => is_public_v4(address),
                IpAddr::V6(address) => is_public_v6(address),
            }
    }

    /// Those of the addresses found for `host` that may be connected to.
    ///
    /// # Errors
    /// When there is none.
    pub fn vet(self, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, ForbiddenHost> {
        let first = found.first().map(SocketAddr::ip);
        let vetted: Vec<_> = found.into_iter().filter(|address| self.allows(address.ip())).collect();
        match first {
            Some(address) if vetted.is_empty() => Err(ForbiddenHost { host: host.into(), address }),
            _ => Ok(vetted),
        }
    }
}

/// Special-purpose blocks of RFC 6890 and its successors are not public.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, d] = address.octets();
    let special = match (a, b, c) {
        (0 | 10 | 127, ..) => true,
        // Carrier-grade NAT; one cloud's metadata service lives in it.
        (100, 64..=127, _) => true,
        (169, 254, _) => true,
        (172, 16..=31, _) => true,
        // Protocol assignments, documentation, 6to4 relays.
        (192, 0, 0 | 2) | (192, 88, 99) => true,
        (192, 168, _) => true,
        // Benchmarks and documentation.
        (198, 18..=19, _) | (198, 51, 100) | (203, 0, 113) => true,
        // Multicast, reserved, broadcast.
        (224..=255, ..) => true,
        // The metadata service of one cloud under an address that looks public.
        (168, 63, 129) => d == 16,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    if let Some(embedded) = embedded_v4(address) {
        return is_public_v4(embedded);
    }
    // Only 2000::/3 is routed; within it, Teredo, ORCHID, documentation and benchmarks are not.
    let special = (s[0] & 0xe000) != 0x2000
        || (s[0] == 0x2001 && s[1] < 0x200)
        || (s[0] == 0x2001 && s[1] == 0xdb8)
        || (s[0] == 0x3fff && s[1] < 0x1000);
    !special
}

/// The IPv4 address that packets to `address` would end at.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        // Mapped; the deprecated compatible form falls out of 2000::/3 by itself.
        [0, 0, 0, 0, 0, 0xffff, high, low] => from(high, low),
        // NAT64, the well-known prefix.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => from(high, low),
        // 6to4.
        [0x2002, high, low, ..] => from(high, low),
        // ISATAP, under any prefix.
        [.., 0 | 0x200, 0x5efe, high, low] => from(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORBIDDEN: [&str; 41] = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.0.9",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2001:0:1::1",
        "2001:db8::1",
        "2001:20::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2606:4700::5efe:10.0.0.1",
        "2606:4700::200:5efe:a9fe:a9fe",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "ff02::1",
    ];

    const PUBLIC: [&str; 14] = [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "168.63.129.17",
        "169.253.1.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.167.1.1",
        "223.255.255.255",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::",
        "2606:4700::1111",
    ];

    #[test]
    fn addresses_of_no_public_host_are_forbidden() {
        for address in FORBIDDEN {
            let address = address.parse().unwrap();
            assert!(!AddressGuard::PublicOnly.allows(address), "{address}");
            assert!(AddressGuard::AllowPrivate.allows(address), "{address}");
        }
    }

    #[test]
    fn public_addresses_are_allowed() {
        for address in PUBLIC {
            assert!(AddressGuard::PublicOnly.allows(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn addresses_in_urls_are_vetted_in_every_spelling() {
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://[::1]/",
            "http://[::ffff:169.254.169.254]/",
        ] {
            let forbidden = AddressGuard::PublicOnly.check_literal(&Url::parse(url).unwrap());
            assert!(forbidden.is_err(), "{url}");
        }
        assert_eq!(AddressGuard::PublicOnly.check_literal(&Url::parse("http://1.1.1.1/").unwrap()), Ok(()));
    }

    #[test]
    fn a_name_with_one_public_address_keeps_only_that() {
        let found = ["10.0.0.1:0", "8.8.8.8:0"].map(|address| address.parse().unwrap());
        assert_eq!(AddressGuard::PublicOnly.vet("h", found.to_vec()).unwrap(), [found[1]]);
        let error = AddressGuard::PublicOnly.vet("h", vec![found[0]]).unwrap_err();
        assert_eq!(error.to_string(), "host `h` has the address 10.0.0.1, which is not public");
    }
}
