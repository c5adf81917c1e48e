//! What no list may block: this host, its gateways and resolvers, the allowlist.

use std::net::IpAddr;

use address_list::unmapped;
use ipnet::IpNet;

use super::{
    network::{gateways, resolvers},
    tally::Refusal,
};
use collector::{config::Config, live::own_addresses};

/// What is spared, ready to be asked a million times.
#[derive(Debug)]
pub(super) struct Spared {
    /// Addresses that must not lie in a blocked prefix either.
    addresses: Vec<(IpAddr, Refusal, &'static str)>,
    allowed: Ranges,
}

impl Spared {
    /// What is spared in the calling thread's network namespace.
    pub(super) fn here(config: &Config, pinned: &[IpNet]) -> anyhow::Result<Self> {
        let own = own_addresses()?;
        let allowed: Vec<IpNet> = config.allow().iter().chain(pinned).copied().collect();
        Ok(Self::of(&own, &gateways(), &resolvers(), &allowed))
    }

    fn of(own: &[IpAddr], gateways: &[IpAddr], resolvers: &[IpAddr], allowed: &[IpNet]) -> Self {
        let each = [
            (own, Refusal::Own, "this host's own address"),
            (gateways, Refusal::Gateway, "a gateway of this host"),
            (resolvers, Refusal::Resolver, "a resolver of this host"),
        ];
        let mut addresses = Vec::new();
        for (list, refusal, what) in each {
            addresses.extend(list.iter().map(|one| (one.to_canonical(), refusal, what)));
        }
        Self { addresses, allowed: Ranges::of(allowed) }
    }

    /// Why a target must not be blocked.
    pub(super) fn refusal(&self, net: IpNet) -> Option<(Refusal, String)> {
        let spared = self.addresses.iter().find(|(address, ..)| net.contains(address));
        if let Some(&(address, refusal, what)) = spared {
            let is_one = net.prefix_len() == net.max_prefix_len();
            let why = if is_one {
                format!("`{address}` is {what}")
            } else {
                format!("`{net}` holds {what}, {address}")
            };
            return Some((refusal, why));
        }
        self.allowed
            .hold(net)
            .then(|| (Refusal::Allowed, format!("`{net}` is on the allowlist, which wins")))
    }

    /// Whether the allowlist has a part of a target, but not all of it.
    pub(super) fn allows_part_of(&self, net: IpNet) -> bool {
        self.allowed.touch(net)
    }
}

/// Prefixes as ranges that do not overlap, ascending.
#[derive(Debug, Default)]
struct Ranges(Vec<(IpAddr, IpAddr)>);

impl Ranges {
    fn of(nets: &[IpNet]) -> Self {
        let mut ranges: Vec<_> = nets
            .iter()
            .map(|&net| unmapped(net))
            .map(|net| (net.network(), net.broadcast()))
            .collect();
        ranges.sort_unstable();
        let mut merged: Vec<(IpAddr, IpAddr)> = Vec::new();
        for (first, last) in ranges {
            match merged.last_mut() {
                // Prefixes lie in one another or apart: what begins within a range ends there.
                Some((_, end)) if first <= *end => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    /// The last range that begins at this address or before it.
    fn before(&self, address: IpAddr) -> Option<(IpAddr, IpAddr)> {
        let behind = self.0.partition_point(|&(first, _)| first <= address);
        behind.checked_sub(1).map(|place| self.0[place])
    }

    /// Whether all of a prefix lies in a range.
    fn hold(&self, net: IpNet) -> bool {
        self.before(net.network()).is_some_and(|(_, last)| last >= net.broadcast())
    }

    /// Whether any of a prefix lies in a range.
    fn touch(&self, net: IpNet) -> bool {
        self.before(net.broadcast()).is_some_and(|(_, last)| last >= net.network())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        address_list::parse_net(text).unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn refusal(text: &str) -> Option<Refusal> {
        let spared = Spared::of(
            &[address("192.0.2.1"), address("2001:db8::1")],
            &[address("192.0.2.126")],
            &[address("192.0.2.53")],
            &[net("198.51.100.0/24"), net("198.51.100.7"), net("2001:db8:7::/48")],
        );
        spared.refusal(net(text)).map(|(refusal, _)| refusal)
    }

    #[test]
    fn what_this_host_cannot_do_without_is_refused_alone_and_in_a_prefix() {
        for (text, expected) in [
            ("192.0.2.1", Refusal::Own),
            ("::ffff:192.0.2.1", Refusal::Own),
            ("192.0.2.0/30", Refusal::Own),
            ("2001:db8::/64", Refusal::Own),
            ("192.0.2.126", Refusal::Gateway),
            ("192.0.2.64/26", Refusal::Gateway),
            ("192.0.2.53", Refusal::Resolver),
        ] {
            assert_eq!(refusal(text), Some(expected), "{text}");
        }
        assert_eq!(refusal("192.0.2.2"), None);
    }

    #[test]
    fn what_lies_wholly_on_the_allowlist_is_refused() {
        for text in ["198.51.100.200", "198.51.100.128/25", "198.51.100.0/24", "2001:db8:7::/64"] {
            assert_eq!(refusal(text), Some(Refusal::Allowed), "{text}");
        }
        for text in ["198.51.101.0", "198.51.100.0/23", "2001:db8:8::", "2001:db8:6::/47"] {
            assert_eq!(refusal(text), None, "{text}");
        }
    }

    #[test]
    fn a_prefix_with_a_part_on_the_allowlist_is_told() {
        let ranges = Ranges::of(&[net("198.51.100.7"), net("203.0.113.0/24")]);
        assert!(ranges.touch(net("198.51.100.0/24")) && !ranges.hold(net("198.51.100.0/24")));
        assert!(ranges.touch(net("203.0.113.9")) && !ranges.touch(net("198.51.101.0/24")));
    }
}
