//! Which addresses deliveries may be sent to: globally reachable ones, and networks that the operator allows.
//!
//! The tables are IANA's special-purpose address registries for IPv4 and IPv6 (October 2025), with multicast and
//! everything outside global unicast added. Where an IPv6 address contains an IPv4 address, the IPv4 address is
//! checked.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Which addresses may be called. The default refuses all that are not globally reachable.
#[derive(Debug, Clone, Default)]
pub struct NetworkPolicy {
    allowed: Vec<IpNet>,
    own: Option<SocketAddr>,
}

impl NetworkPolicy {
    /// Allows global addresses and the networks `allowed`.
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed, own: None }
    }

    /// Allows global addresses, the networks `allowed`, and loopback.
    pub fn dev(mut allowed: Vec<IpNet>) -> Self {
        allowed.push(IpNet::V4(v4(127, 0, 0, 0, 8)));
        allowed.push(IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)));
        Self::new(allowed)
    }

    /// The same policy for a server that listens at `own`.
    pub fn listening_on(self, own: SocketAddr) -> Self {
        Self { own: Some(own), ..self }
    }

    /// Whether `target` is the server itself. Then a delivery would come back as a request, whatever networks are
    /// allowed.
    pub fn is_own(&self, target: SocketAddr) -> bool {
        let Some(own) = self.own else { return false };
        let here = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
        let (own_ip, ip) = (own.ip().to_canonical(), target.ip().to_canonical());
        // A connection to an unspecified address reaches loopback, and a server on an unspecified address listens on
        // loopback too.
        let reaches = own_ip == ip || (ip.is_unspecified() && here(own_ip)) || (own_ip.is_unspecified() && here(ip));
        own.port() == target.port() && reaches
    }

    /// Checks whether `ip` may be called.
    ///
    /// A mapped address (`::ffff:10.0.0.1`) is another spelling of the IPv4 address. So a network that allows the IPv4
    /// address allows the mapped one too. NAT64, 6to4, Teredo and similar addresses lead to another network behind a
    /// gateway. Allowing the local network with the same number does not allow them; their own network must be named.
    ///
    /// # Errors
    /// The special range that the address is in.
    pub fn check(&self, ip: IpAddr) -> Result<(), RefusedIp> {
        if self.allows(ip) {
            return Ok(());
        }
        let refused = |range, through| Err(RefusedIp { address: ip, range, through });
        let address = match ip {
            IpAddr::V4(address) => return special_v4(address).map_or(Ok(()), |range| refused(range, None)),
            IpAddr::V6(address) => address,
        };
        if let Some(inner) = address.to_ipv4_mapped() {
            return match special_v4(inner) {
                Some(range) if !self.allows(IpAddr::V4(inner)) => refused(range, Some((Embedding::Mapped, inner))),
                _ => Ok(()),
            };
        }
        if let Some((form, inner)) = embedded(address) {
            let bad = inner.into_iter().flatten().find_map(|inner| special_v4(inner).map(|range| (range, inner)));
            return bad.map_or(Ok(()), |(range, inner)| refused(range, Some((form, inner))));
        }
        special_v6(address).map_or(Ok(()), |range| refused(range, None))
    }

    fn allows(&self, ip: IpAddr) -> bool {
        self.allowed.iter().any(|network| network.contains(&ip))
    }
}

/// An address that may not be called, and the reason. The text says how to allow the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusedIp {
    address: IpAddr,
    range: &'static str,
    through: Option<(Embedding, Ipv4Addr)>,
}

impl RefusedIp {
    /// The refused address, as it was given to [`NetworkPolicy::check`].
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The special range of the address or of the IPv4 address inside, such as `loopback`.
    pub fn range(&self) -> &'static str {
        self.range
    }

    /// The smallest network that allows the address.
    pub fn network(&self) -> IpNet {
        IpNet::from(match self.through {
            Some((Embedding::Mapped, inner)) => IpAddr::V4(inner),
            _ => self.address,
        })
    }
}

impl fmt::Display for RefusedIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.through {
            None => write!(f, "{} is a {} address", self.address, self.range)?,
            Some((form, inner)) => {
                let form = form.name();
                write!(f, "{} ({form}) leads to {inner}, a {} address", self.address, self.range)?;
            }
        }
        write!(f, "; start the server with --allow-network {} to allow it", self.network())
    }
}

impl std::error::Error for RefusedIp {}

/// How an IPv6 address contains an IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Embedding {
    Mapped,
    Compatible,
    Translated,
    Nat64,
    SixToFour,
    Teredo,
}

impl Embedding {
    fn name(self) -> &'static str {
        match self {
            Self::Mapped => "IPv4-mapped",
            Self::Compatible => "IPv4-compatible",
            Self::Translated => "IPv4-translated",
            Self::Nat64 => "NAT64",
            Self::SixToFour => "6to4",
            Self::Teredo => "Teredo",
        }
    }
}

/// The IPv4 addresses inside an IPv6 address that is not a mapped one. Teredo has two: the server and the client.
fn embedded(address: Ipv6Addr) -> Option<(Embedding, [Option<Ipv4Addr>; 2])> {
    let bytes = address.octets();
    let inner = |at: usize| Some(Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]));
    match address.segments() {
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0, _, _] => Some((Embedding::Compatible, [inner(12), None])),
        [0, 0, 0, 0, 0xffff, 0, _, _] => Some((Embedding::Translated, [inner(12), None])),
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some((Embedding::Nat64, [inner(12), None])),
        [0x2002, ..] => Some((Embedding::SixToFour, [inner(2), None])),
        // The client's address is stored with all bits inverted (RFC 4380).
        [0x2001, 0, ..] => {
            let client = inner(12).map(|client| Ipv4Addr::from_bits(!client.to_bits()));
            Some((Embedding::Teredo, [inner(4), client]))
        }
        _ => None,
    }
}

/// The special range of an IPv4 address. `None` if the address is globally reachable.
fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    SPECIAL_V4.iter().find(|(network, _)| network.contains(&address)).and_then(|(_, range)| *range)
}

/// The special range of an IPv6 address without an IPv4 address inside. `None` if the address is globally reachable.
fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    let outside = (!GLOBAL_UNICAST.contains(&address)).then_some("reserved (outside 2000::/3)");
    SPECIAL_V6.iter().find(|(network, _)| network.contains(&address)).map_or(outside, |(_, range)| *range)
}

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(segments: [u16; 4], length: u8) -> Ipv6Net {
    let [a, b, c, d] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), length)
}

/// An address of 2001:1::/32 with `last` as its last segment.
const fn anycast(last: u16) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, last), 128)
}

/// The range that IANA assigns for global unicast.
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0], 3);

/// Special ranges of IPv4. The first match counts, so a narrower range stands before a wider one. `None` means globally
/// reachable. Registered global ranges (AS112, AMT) that are in no other range need no line.
static SPECIAL_V4: [(Ipv4Net, Option<&str>); 19] = [
    (v4(0, 0, 0, 0, 32), Some("wildcard (unspecified)")),
    (v4(0, 0, 0, 0, 8), Some("\"this network\"")),
    (v4(10, 0, 0, 0, 8), Some("private")),
    (v4(100, 64, 0, 0, 10), Some("shared (carrier-grade NAT)")),
    (v4(127, 0, 0, 0, 8), Some("loopback")),
    (v4(169, 254, 0, 0, 16), Some("link-local (cloud metadata)")),
    (v4(172, 16, 0, 0, 12), Some("private")),
    // Port Control Protocol and TURN anycast.
    (v4(192, 0, 0, 9, 32), None),
    (v4(192, 0, 0, 10, 32), None),
    (v4(192, 0, 0, 0, 24), Some("protocol assignment")),
    (v4(192, 0, 2, 0, 24), Some("documentation")),
    (v4(192, 88, 99, 0, 24), Some("deprecated 6to4 relay")),
    (v4(192, 168, 0, 0, 16), Some("private")),
    (v4(198, 18, 0, 0, 15), Some("benchmarking")),
    (v4(198, 51, 100, 0, 24), Some("documentation")),
    (v4(203, 0, 113, 0, 24), Some("documentation")),
    (v4(224, 0, 0, 0, 4), Some("multicast")),
    (v4(255, 255, 255, 255, 32), Some("broadcast")),
    (v4(240, 0, 0, 0, 4), Some("reserved")),
];

/// As [`SPECIAL_V4`], for IPv6. What is in no line and outside [`GLOBAL_UNICAST`] is reserved.
static SPECIAL_V6: [(Ipv6Net, Option<&str>); 20] = [
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), Some("wildcard (unspecified)")),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), Some("loopback")),
    (v6([0x64, 0xff9b, 1, 0], 48), Some("local-use NAT64")),
    (v6([0x100, 0, 0, 0], 64), Some("discard-only")),
    (v6([0x100, 0, 0, 1], 64), Some("dummy")),
    // Port Control Protocol, TURN and DNS-SD registration anycast.
    (anycast(1), None),
    (anycast(2), None),
    (anycast(3), None),
    // AMT, AS112, ORCHIDv2, drone remote identification.
    (v6([0x2001, 3, 0, 0], 32), None),
    (v6([0x2001, 4, 0x112, 0], 48), None),
    (v6([0x2001, 0x20, 0, 0], 28), None),
    (v6([0x2001, 0x30, 0, 0], 28), None),
    (v6([0x2001, 0, 0, 0], 23), Some("protocol assignment")),
    (v6([0x2001, 0xdb8, 0, 0], 32), Some("documentation")),
    (v6([0x3fff, 0, 0, 0], 20), Some("documentation")),
    (v6([0x5f00, 0, 0, 0], 16), Some("segment routing")),
    (v6([0xfc00, 0, 0, 0], 7), Some("private (unique local)")),
    (v6([0xfe80, 0, 0, 0], 10), Some("link-local")),
    (v6([0xfec0, 0, 0, 0], 10), Some("site-local")),
    (v6([0xff00, 0, 0, 0], 8), Some("multicast")),
];

#[cfg(test)]
mod tests;
