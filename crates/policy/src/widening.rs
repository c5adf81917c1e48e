//! Widening: where hosts of IPv6 are blocked one after another in one network, it is one host.
//!
//! Who is given a /56 or a /48 has 256 or 65,536 networks of a /64 to come from. Only where that is asked
//! for, and of a network that holds nobody who is protected and nobody who is ordinary.

use std::{collections::BTreeSet, net::IpAddr};

use events::Prefix;
use flows_common::host;
use ipnet::IpNet;

use crate::{Ipv6Hosts, Policy};

/// Networks of the next length in it that were blocked, from which on a network is one host.
const SEVERAL: usize = 3;

impl Policy {
    /// The address by which a peer is decided on: its own, or the name of a wider network.
    pub(crate) fn widened(&self, peer: IpAddr, now_ns: u64) -> IpAddr {
        let IpAddr::V6(v6) = peer.to_canonical() else { return peer };
        if self.config.ipv6_hosts != Ipv6Hosts::Widening {
            return peer;
        }
        let mut address = peer;
        for [narrow, wide] in [[64, 56], [56, 48]] {
            let name = IpAddr::from(host::name(v6.octets(), wide));
            let net = Prefix::of_host(name).net();
            let blocked: BTreeSet<IpNet> = self
                .history
                .blocked_within(net, now_ns)
                .filter_map(|peer| IpNet::new(peer, narrow).ok())
                .map(|net| net.trunc())
                .collect();
            let is_one = blocked.len() >= SEVERAL
                && self.protected.refusal(net).is_none()
                && !self.baseline.holds_ordinary(net, now_ns);
            if is_one {
                address = name;
            }
        }
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Evidence, Outcome,
        tests::{SECOND, attacker, decide, policy},
    };

    /// A host that reads as a /64 of `2001:db8:1::/48`: its /56 and the /64 in it.
    fn host(fifty_six: u16, sixty_four: u16) -> Evidence {
        let name = [0x2001, 0xdb8, 1, fifty_six << 8 | sixty_four, 0, 0, 0, 0];
        Evidence { address: IpAddr::from(name), ..attacker(1) }
    }

    /// Whom each of these windows has blocked.
    fn blocked(policy: &mut Policy, windows: &[Vec<Evidence>]) -> Vec<String> {
        let mut blocked = Vec::new();
        for (second, evidence) in (1..).zip(windows) {
            for one in decide(policy, evidence.clone(), second * SECOND) {
                assert!(matches!(one.outcome, Outcome::Block { .. }), "{one:?}");
                blocked.push(Prefix::of_host(one.evidence.address).to_string());
            }
        }
        blocked
    }

    #[test]
    fn from_the_third_64_of_a_56_on_the_56_is_blocked_and_from_the_third_56_on_the_48() {
        let hosts = |fifty_six: u16| (0..5).map(move |number| vec![host(fifty_six, number)]);
        let windows: Vec<_> = (1..=4).flat_map(hosts).collect();
        let by_64 = blocked(&mut policy(|_| ()), &windows);
        assert_eq!(by_64.len(), 20, "{by_64:?}");
        let mut widening = policy(|config| config.ipv6_hosts = Ipv6Hosts::Widening);
        let widened = blocked(&mut widening, &windows);
        assert_eq!(
            widened[..4],
            [
                "2001:db8:1:100::/64",
                "2001:db8:1:101::/64",
                "2001:db8:1:102::/64",
                "2001:db8:1:100::/56"
            ]
        );
        assert_eq!(widened.last().map(String::as_str), Some("2001:db8:1::/48"), "{widened:?}");
        // Four of each of two /56s, one of the third.
        assert_eq!(widened.len(), 10, "{widened:?}");
    }

    #[test]
    fn many_of_a_56_in_one_window_make_no_more_than_one_block_of_it() {
        let mut widening = policy(|config| config.ipv6_hosts = Ipv6Hosts::Widening);
        let all = blocked(&mut widening, &[(0..50).map(|number| host(1, number)).collect()]);
        assert_eq!((all.len(), &*all[3]), (4, "2001:db8:1:100::/56"));
    }

    #[test]
    fn a_network_of_somebody_ordinary_or_protected_is_never_widened_to() {
        let mut with_client = policy(|config| config.ipv6_hosts = Ipv6Hosts::Widening);
        let client =
            Evidence { surprise: 0.1, p_value: 0.6, conditional_p_value: 0.6, ..host(1, 200) };
        for second in 1..=4 {
            decide(&mut with_client, vec![client.clone()], second * SECOND);
        }
        let windows: Vec<_> = (0..6).map(|number| vec![host(1, number)]).collect();
        let told = blocked(&mut with_client, &windows);
        assert!(told.iter().all(|one| one.ends_with("/64")), "{told:?}");
        let mut with_own = policy(|config| config.ipv6_hosts = Ipv6Hosts::Widening);
        with_own.protect(crate::ProtectedHosts::own([IpAddr::from([
            0x2001, 0xdb8, 1, 0x1ff, 0, 0, 0, 9,
        ])]));
        let told = blocked(&mut with_own, &windows);
        assert!(told.iter().all(|one| one.ends_with("/64")), "{told:?}");
    }
}
