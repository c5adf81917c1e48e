//! An address or a prefix, as people write either.

use std::{fmt, net::IpAddr, str::FromStr};

use flows_common::host;
use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize, Serializer};

/// An address or a prefix: `192.0.2.7`, `2001:db8::/32`. A prefix of full length is written as
/// the address it is, bits beyond the prefix are cleared, and an IPv4 address or prefix mapped into
/// IPv6 is the IPv4 one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Prefix(IpNet);

/// Text that is neither an address nor a prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address nor a prefix like 192.0.2.0/24")]
pub struct PrefixError(String);

impl Prefix {
    /// The prefix.
    #[must_use]
    pub const fn net(self) -> IpNet {
        self.0
    }

    /// The remote host that an address of evidence stands for: itself, or in IPv6 the network that
    /// it is the name of ([`host`]).
    #[must_use]
    pub fn of_host(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let IpAddr::V6(v6) = address else { return Self::from(address) };
        match host::length(&v6.octets()) {
            Some(length) => Self(IpNet::new_assert(address, length).trunc()),
            None => Self::from(address),
        }
    }

    /// The address that stands for a host in evidence, where the prefix is one.
    #[must_use]
    pub fn as_host(self) -> Option<IpAddr> {
        match self.0 {
            IpNet::V6(v6) if host::LENGTHS.contains(&v6.prefix_len()) => {
                Some(IpAddr::from(host::name(v6.addr().octets(), v6.prefix_len())))
            }
            _ => self.address(),
        }
    }

    /// The address, where it is one alone.
    #[must_use]
    pub fn address(self) -> Option<IpAddr> {
        (self.0.prefix_len() == self.0.max_prefix_len()).then(|| self.0.addr())
    }
}

impl From<IpNet> for Prefix {
    fn from(net: IpNet) -> Self {
        let net = net.trunc();
        let IpNet::V6(v6) = net else { return Self(net) };
        // Bits that stand before an IPv4 address that is mapped into IPv6.
        match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
            (Some(v4), Some(length)) => Self(Ipv4Net::new(v4, length).map_or(net, IpNet::V4)),
            _ => Self(net),
        }
    }
}

impl From<IpAddr> for Prefix {
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical().into())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            Some(address) => f.pad(&address.to_string()),
            None => f.pad(&self.0.to_string()),
        }
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let prefix = if text.contains('/') {
            text.parse::<IpNet>().ok().map(Self::from)
        } else {
            text.parse::<IpAddr>().ok().map(Self::from)
        };
        prefix.ok_or_else(|| PrefixError(text.to_owned()))
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl TryFrom<String> for Prefix {
    type Error = PrefixError;

    fn try_from(text: String) -> Result<Self, PrefixError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_a_prefix_read_back_as_they_are_written() {
        for text in ["192.0.2.7", "192.0.2.0/24", "2001:db8::1", "2001:db8::/32"] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), text);
        }
        assert_eq!("192.0.2.7/24".parse::<Prefix>().unwrap().to_string(), "192.0.2.0/24");
        assert_eq!("192.0.2.7/32".parse::<Prefix>().unwrap().to_string(), "192.0.2.7");
        assert_eq!("::ffff:192.0.2.7".parse::<Prefix>().unwrap().to_string(), "192.0.2.7");
        assert_eq!("::ffff:192.0.2.0/120".parse::<Prefix>().unwrap().to_string(), "192.0.2.0/24");
    }

    #[test]
    fn what_is_neither_is_named() {
        let error = "192.0.2.300".parse::<Prefix>().unwrap_err().to_string();
        assert!(error.contains("`192.0.2.300`"), "{error}");
    }

    #[test]
    fn an_address_without_a_host_stands_for_its_64() {
        for (address, host) in [
            ("192.0.2.0", "192.0.2.0"),
            ("2001:db8::7", "2001:db8::7"),
            ("2001:db8:0:7::", "2001:db8:0:7::/64"),
            ("2001:db8:0:7700:fdff:ffff:ffff:ffb8", "2001:db8:0:7700::/56"),
            ("2001:db8:7:0:fdff:ffff:ffff:ffb0", "2001:db8:7::/48"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("::", "::"),
        ] {
            let of = Prefix::of_host(address.parse().unwrap());
            assert_eq!(of.to_string(), host);
            assert_eq!(of.as_host().map(Prefix::of_host), Some(of));
        }
        for wide in ["2001:db8::/32", "2001:db8::/65", "192.0.2.0/24"] {
            assert_eq!(wide.parse::<Prefix>().unwrap().as_host(), None, "{wide}");
        }
    }
}
