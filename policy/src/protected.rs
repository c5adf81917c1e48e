//! What is never blocked by itself, whatever it does.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

/// Addresses that no decision of the policy may touch, as the collector knows them now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protected {
    /// The host's own addresses.
    pub own: BTreeSet<IpAddr>,
    /// Next hops of its routes.
    pub gateways: BTreeSet<IpAddr>,
    /// Its name servers.
    pub resolvers: BTreeSet<IpAddr>,
    /// Who administers it now: clients of the API, remote log-ins.
    pub administrators: BTreeSet<IpAddr>,
    /// Allowed by files and by people, beyond `policy.allow`.
    pub allowed: Vec<IpNet>,
}

impl Protected {
    /// Only the host's own addresses are known.
    pub fn own(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { own: addresses.into_iter().collect(), ..Self::default() }
    }
}
