//! Protected addresses: never blocked by a decision, whatever they do.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

use crate::Refusal;

/// Addresses that no decision of the policy may touch, as the collector knows them now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protected {
    /// The host's own addresses.
    pub own: BTreeSet<IpAddr>,
    /// Next hops of its routes.
    pub gateways: BTreeSet<IpAddr>,
    /// Its name servers.
    pub resolvers: BTreeSet<IpAddr>,
    /// Administrators now: clients of the API, remote log-ins.
    pub administrators: BTreeSet<IpAddr>,
    /// Allowed by files and by people, beyond `policy.allow`.
    pub allowed: Vec<IpNet>,
}

impl Protected {
    /// The host's own addresses, and nothing else.
    pub fn own(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { own: addresses.into_iter().collect(), ..Self::default() }
    }
}

impl Protected {
    /// Reason not to block an address; `None` where nothing here holds it.
    #[must_use]
    pub fn refusal(&self, address: IpAddr) -> Option<Refusal> {
        if self.own.contains(&address) {
            Some(Refusal::OwnAddress)
        } else if !is_host(address) {
            Some(Refusal::NoHost)
        } else if self.allowed.iter().any(|prefix| prefix.contains(&address)) {
            Some(Refusal::Allowed)
        } else if self.gateways.contains(&address) {
            Some(Refusal::Gateway)
        } else if self.resolvers.contains(&address) {
            Some(Refusal::Resolver)
        } else if self.administrators.contains(&address) {
            Some(Refusal::Administrator)
        } else {
            None
        }
    }
}

/// True of a single host's address that is reachable beyond its link.
fn is_host(address: IpAddr) -> bool {
    let link = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(link || address.is_multicast() || address.is_loopback() || address.is_unspecified())
}
