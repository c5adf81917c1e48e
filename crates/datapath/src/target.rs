//! Targets of a block: an address or a prefix.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use flows_common::{PrefixKey, map_v4, unmap_v4};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Bits of the 16-byte form that stand before an IPv4 address.
const V4_OFFSET: u8 = 96;

/// An address or a prefix, in the one form that the tables know it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// Single address; never an IPv4-mapped IPv6 one.
    Address(IpAddr),
    /// More than one address; no bit is set behind its length.
    Prefix(IpNet),
}

impl Target {
    /// Target of a single address.
    #[must_use]
    pub const fn address(address: IpAddr) -> Self {
        Self::Address(address.to_canonical())
    }

    /// A flow's or a peer's remote, 16 bytes.
    #[must_use]
    pub const fn remote(address: [u8; 16]) -> Self {
        Self::address(IpAddr::V6(Ipv6Addr::from_octets(address)))
    }

    /// The key of a prefix in the 16-byte form.
    pub(super) fn prefix_key(prefix: IpNet) -> PrefixKey {
        match prefix.trunc() {
            IpNet::V4(v4) => PrefixKey {
                length: u32::from(V4_OFFSET + v4.prefix_len()),
                address: map_v4(v4.network().octets()),
            },
            IpNet::V6(v6) => {
                PrefixKey { length: u32::from(v6.prefix_len()), address: v6.network().octets() }
            }
        }
    }

    /// The prefix of a key; `None` for one that is no prefix.
    pub(super) fn prefix_of(key: &PrefixKey) -> Option<IpNet> {
        let length = u8::try_from(key.length).ok()?;
        match unmap_v4(&key.address) {
            Some(v4) if length >= V4_OFFSET => {
                Ipv4Net::new(v4.into(), length - V4_OFFSET).ok().map(IpNet::V4)
            }
            _ => Ipv6Net::new(key.address.into(), length).ok().map(IpNet::V6),
        }
    }
}

impl From<IpAddr> for Target {
    fn from(address: IpAddr) -> Self {
        Self::address(address)
    }
}

impl From<IpNet> for Target {
    /// A prefix of one address is that address.
    fn from(prefix: IpNet) -> Self {
        if prefix.prefix_len() == prefix.max_prefix_len() {
            Self::address(prefix.addr())
        } else {
            Self::Prefix(prefix.trunc())
        }
    }
}

impl From<Target> for IpNet {
    fn from(target: Target) -> Self {
        match target {
            Target::Address(address) => address.into(),
            Target::Prefix(prefix) => prefix,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Prefix(prefix) => prefix.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().expect("a prefix")
    }

    #[test]
    fn a_prefix_survives_its_key() {
        for text in ["192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "::/0", "198.51.100.7/32"] {
            assert_eq!(
                Target::prefix_of(&Target::prefix_key(net(text))),
                Some(net(text)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_prefix_of_one_address_is_that_address() {
        let one = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(Target::from(net("192.0.2.1/32")), Target::Address(one));
        assert_eq!(Target::from(net("192.0.2.9/24")), Target::Prefix(net("192.0.2.0/24")));
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_the_ipv4_address() {
        let mapped = map_v4([192, 0, 2, 1]);
        assert_eq!(Target::remote(mapped), Target::address(IpAddr::from([192, 0, 2, 1])));
    }
}
