//! Hosts that must not be blocked: one answer for the policy, for people and for lists alike.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use events::Prefix;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::Refusal;

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(std::net::Ipv4Addr::new(a, b, c, d), length))
}

const fn v6(first: u16, last: u16, length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(std::net::Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, last), length))
}

/// Addresses that are no host beyond this one's links: this network, loopback, link-local,
/// multicast, reserved with limited broadcast (RFC 6890 §2.2, RFC 5771); unspecified, loopback,
/// link-local and multicast (RFC 4291 §2.4). Neighbour discovery, DHCP and routing protocols live
/// there. Ascending.
const NO_HOST: [IpNet; 9] = [
    v4(0, 0, 0, 0, 8),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
    v6(0, 0, 128),
    v6(0, 1, 128),
    v6(0xfe80, 0, 10),
    v6(0xff00, 0, 8),
];

/// Prefixes, of which none lies in another. A look-up takes logarithmic time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixSet(Vec<IpNet>);

impl PrefixSet {
    /// The prefix of the set that shares addresses with this one; the last of several.
    #[must_use]
    pub fn overlap(&self, prefix: IpNet) -> Option<IpNet> {
        let prefix = Prefix::from(prefix).net();
        overlap(&self.0, prefix.network(), prefix.broadcast())
    }

    /// The prefixes, ascending.
    pub fn iter(&self) -> impl Iterator<Item = IpNet> {
        self.0.iter().copied()
    }
}

impl FromIterator<IpNet> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = IpNet>>(prefixes: I) -> Self {
        let mut sorted: Vec<IpNet> =
            prefixes.into_iter().map(|net| Prefix::from(net).net()).collect();
        sorted.sort_unstable_by_key(|net| (net.network(), net.prefix_len()));
        // Prefixes lie in one another or apart, and the wider one comes first.
        sorted.dedup_by(|next, before| before.contains(&*next));
        Self(sorted)
    }
}

/// The last of ascending prefixes, none in another, that shares an address with this range.
fn overlap(prefixes: &[IpNet], first: IpAddr, last: IpAddr) -> Option<IpNet> {
    let behind = prefixes.partition_point(|one| one.network() <= last);
    prefixes[..behind].last().filter(|one| one.broadcast() >= first).copied()
}

/// Hosts that no block may touch, as they are known now.
///
/// A prefix is refused as soon as it shares an address with any of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProtectedHosts {
    /// The host's own addresses.
    pub own: BTreeSet<IpAddr>,
    /// Next hops of its routes.
    pub gateways: BTreeSet<IpAddr>,
    /// Its name servers.
    pub resolvers: BTreeSet<IpAddr>,
    /// Administrators now: clients of the API, remote log-ins.
    pub administrators: BTreeSet<IpAddr>,
    /// Prefixes on the allowlist: of the configuration, of files and of people.
    pub allowed: PrefixSet,
}

/// Why a prefix must not be blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// The cause.
    pub refusal: Refusal,
    /// The prefix to be blocked.
    prefix: IpNet,
    /// The protected prefix, within it or around it.
    host: IpNet,
}

impl ProtectedHosts {
    /// Only the host's own addresses are known.
    pub fn own(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { own: addresses.into_iter().collect(), ..Self::default() }
    }

    /// The same with more prefixes on the allowlist.
    #[must_use]
    pub fn allowing(mut self, prefixes: &[IpNet]) -> Self {
        if !prefixes.is_empty() {
            self.allowed = self.allowed.iter().chain(prefixes.iter().copied()).collect();
        }
        self
    }

    /// Why an address or a prefix must not be blocked; `None` where nothing here speaks for it.
    #[must_use]
    pub fn refusal(&self, prefix: IpNet) -> Option<Refusal> {
        self.protection(prefix).map(|protection| protection.refusal)
    }

    /// As [`Self::refusal`], with the host that it is for: for a message.
    #[must_use]
    pub fn protection(&self, prefix: IpNet) -> Option<Protection> {
        let prefix = Prefix::from(prefix).net();
        let (first, last) = (prefix.network(), prefix.broadcast());
        let within = |hosts: &BTreeSet<IpAddr>| {
            hosts.range(first..=last).next().map(|&address| IpNet::from(address))
        };
        let of =
            |refusal, host: Option<IpNet>| host.map(|host| Protection { refusal, prefix, host });
        of(Refusal::OwnAddress, within(&self.own))
            .or_else(|| of(Refusal::NoHost, overlap(&NO_HOST, first, last)))
            .or_else(|| of(Refusal::Allowed, overlap(&self.allowed.0, first, last)))
            .or_else(|| of(Refusal::Gateway, within(&self.gateways)))
            .or_else(|| of(Refusal::Resolver, within(&self.resolvers)))
            .or_else(|| of(Refusal::Administrator, within(&self.administrators)))
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.refusal {
            Refusal::Administrator => "somebody who administers this host now",
            other => other.text(),
        };
        let prefix = Prefix::from(self.prefix);
        if self.host.contains(&self.prefix) {
            write!(f, "`{prefix}` is {what}")
        } else {
            write!(f, "`{prefix}` holds {}, which is {what}", Prefix::from(self.host))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse::<Prefix>().unwrap().net()
    }

    fn hosts() -> ProtectedHosts {
        let set = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        ProtectedHosts {
            own: set(&["192.0.2.1", "2001:db8::1"]),
            gateways: set(&["192.0.2.126"]),
            resolvers: set(&["192.0.2.53", "203.0.113.53"]),
            administrators: set(&["203.0.113.200"]),
            ..ProtectedHosts::default()
        }
        .allowing(&["198.51.100.0/24", "198.51.100.7", "2001:db8:7::/48"].map(net))
    }

    #[test]
    fn each_cause_refuses_an_address_and_every_prefix_around_it() {
        for (texts, expect) in [
            (&["192.0.2.1", "192.0.2.0/30", "2001:db8::/64"][..], Refusal::OwnAddress),
            (&["192.0.2.126", "192.0.2.64/26"], Refusal::Gateway),
            (&["192.0.2.53", "203.0.113.0/25"], Refusal::Resolver),
            (&["203.0.113.200", "203.0.113.128/25"], Refusal::Administrator),
            (&["198.51.100.9", "198.51.100.128/25", "198.51.0.0/16"], Refusal::Allowed),
            (&["2001:db8:7::9", "2001:db8:6::/47"], Refusal::Allowed),
            (&["0.1.2.3", "127.0.0.1", "169.254.9.9", "224.0.0.251"], Refusal::NoHost),
            (&["255.255.255.255", "240.0.0.1", "169.0.0.0/8", "239.9.9.9"], Refusal::NoHost),
            (&["::", "::1", "fe80::1", "ff02::fb", "fe00::/8"], Refusal::NoHost),
        ] {
            for text in texts {
                assert_eq!(hosts().refusal(net(text)), Some(expect), "{text}");
            }
        }
        for text in ["192.0.2.2", "198.51.101.0/24", "2001:db8:8::", "10.0.0.0/8"] {
            assert_eq!(hosts().refusal(net(text)), None, "{text}");
        }
    }

    #[test]
    fn an_ipv4_prefix_in_ipv6_clothes_is_the_ipv4_prefix() {
        let mapped: IpNet = "::ffff:192.0.2.0/126".parse().unwrap();
        assert_eq!(hosts().refusal(mapped), Some(Refusal::OwnAddress));
        let allowing = ProtectedHosts::default().allowing(&[mapped]);
        assert_eq!(allowing.refusal(net("192.0.2.3")), Some(Refusal::Allowed));
    }

    #[test]
    fn a_refusal_names_the_host_that_it_is_for() {
        let said = |text: &str| hosts().protection(net(text)).unwrap().to_string();
        assert_eq!(said("192.0.2.53"), "`192.0.2.53` is a name server of this host");
        assert_eq!(
            said("192.0.2.0/30"),
            "`192.0.2.0/30` holds 192.0.2.1, which is one of this host's own addresses"
        );
        assert_eq!(
            said("198.51.0.0/16"),
            "`198.51.0.0/16` holds 198.51.100.0/24, which is on the allowlist"
        );
        assert!(said("203.0.113.200").ends_with("is somebody who administers this host now"));
    }

    #[test]
    fn a_set_holds_the_outermost_of_its_prefixes_once() {
        let texts = ["198.51.100.7", "198.51.100.0/24", "198.51.100.0/25", "2001:db8::/32"];
        let set: PrefixSet = texts.map(net).into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), ["198.51.100.0/24", "2001:db8::/32"].map(net));
    }
}
