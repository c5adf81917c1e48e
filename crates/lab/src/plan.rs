//! Address plan: names, hardware and IP addresses, all from documentation ranges.
//!
//! | who | IPv4 (segment 0, 1) | IPv6 (segment s) |
//! |---|---|---|
//! | protected host | 192.0.2.1, 192.0.2.129 | 2001:db8:0:s::1 |
//! | clients | 192.0.2.10+, 192.0.2.138+ | 2001:db8:0:s::10+ |
//! | gateway (drops everything) | 192.0.2.126, 192.0.2.254 | 2001:db8:0:s::fe |
//! | attackers | 198.51.100.10+, 198.51.100.138+ | 2001:db8:1:s::10+ |
//! | spoofed sources | 203.0.113.0/25, 203.0.113.128/25 | 2001:db8:2:s::/64 |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Topology;

/// Prefix length of each IPv4 network of the lab: a /24 documentation range, halved so that
/// each of two segments has its own.
pub(crate) const V4_PREFIX: u8 = 25;
/// Prefix length of each IPv6 network of the lab.
pub(crate) const V6_PREFIX: u8 = 64;

/// Role of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The protected host: weir runs here.
    Host,
    /// A client that means no harm.
    Client,
    /// An attacker, also the far end of exfiltration and beacons.
    Attacker,
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// An interface of a node, as it looks from inside the node's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name: `eth0` or `eth1`.
    pub name: String,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
    /// The switch it is plugged into.
    pub segment: usize,
}

impl Interface {
    /// The address of a family.
    #[must_use]
    pub fn address(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.v4.into(),
            Family::V6 => self.v6.into(),
        }
    }
}

/// A member of a lab: a network namespace with its interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `host`, `client3`, `attacker0`: also the name of its port on the switch.
    pub name: String,
    /// Role in the lab.
    pub role: Role,
    /// Its place among those of its role, from 0.
    pub index: usize,
    /// The namespace's name, as `ip netns` shows it.
    pub namespace: String,
    /// Its interfaces: one, or two for a protected host with a second interface.
    pub interfaces: Vec<Interface>,
}

impl Node {
    /// The first interface.
    #[must_use]
    pub fn interface(&self) -> &Interface {
        &self.interfaces[0]
    }

    /// The first interface's address of a family.
    #[must_use]
    pub fn address(&self, family: Family) -> IpAddr {
        self.interface().address(family)
    }

    /// All addresses.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.interfaces.iter().flat_map(|link| [link.v4.into(), link.v6.into()]).collect()
    }

    /// The switch the first interface is plugged into.
    #[must_use]
    pub fn segment(&self) -> usize {
        self.interface().segment
    }
}

/// The members of a lab, by role.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) id: String,
    pub(crate) host: Node,
    pub(crate) clients: Vec<Node>,
    pub(crate) attackers: Vec<Node>,
    pub(crate) segments: usize,
}

impl Plan {
    pub(crate) fn new(id: &str, topology: &Topology) -> Self {
        let segments = topology.segments();
        let node = |role, index| node(id, role, index, segments);
        Self {
            id: id.to_owned(),
            host: node(Role::Host, 0),
            clients: (0..topology.clients).map(|index| node(Role::Client, index)).collect(),
            attackers: (0..topology.attackers).map(|index| node(Role::Attacker, index)).collect(),
            segments,
        }
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        std::iter::once(&self.host).chain(&self.clients).chain(&self.attackers)
    }

    pub(crate) fn switch_namespace(&self) -> String {
        namespace_name(&self.id, "switch")
    }

    pub(crate) fn namespaces(&self) -> Vec<String> {
        std::iter::once(self.switch_namespace())
            .chain(self.nodes().map(|node| node.namespace.clone()))
            .collect()
    }
}

/// The gateway of a segment: the address behind which the spoofed sources would be.
pub(crate) fn gateway(segment: usize) -> Interface {
    Interface {
        name: format!("br{segment}"),
        mac: mac(0xfe, segment, 0),
        v4: Ipv4Addr::new(192, 0, 2, half(segment) + 126),
        v6: Ipv6Addr::new(0x2001, 0xdb8, 0, low(segment), 0, 0, 0, 0xfe),
        segment,
    }
}

/// The networks of a segment's attackers: on link for the host, its clients have no need of it.
pub(crate) fn attackers_network(segment: usize) -> (Ipv4Addr, Ipv6Addr) {
    (
        Ipv4Addr::new(198, 51, 100, half(segment)),
        Ipv6Addr::new(0x2001, 0xdb8, 1, low(segment), 0, 0, 0, 0),
    )
}

/// The networks of a segment's host and clients.
pub(crate) fn clients_network(segment: usize) -> (Ipv4Addr, Ipv6Addr) {
    (
        Ipv4Addr::new(192, 0, 2, half(segment)),
        Ipv6Addr::new(0x2001, 0xdb8, 0, low(segment), 0, 0, 0, 0),
    )
}

/// The networks that spoofed sources are drawn from in a segment.
pub(crate) fn spoofed_network(segment: usize) -> (Ipv4Addr, Ipv6Addr) {
    (
        Ipv4Addr::new(203, 0, 113, half(segment)),
        Ipv6Addr::new(0x2001, 0xdb8, 2, low(segment), 0, 0, 0, 0),
    )
}

fn node(id: &str, role: Role, index: usize, segments: usize) -> Node {
    let name = match role {
        Role::Host => "host".to_owned(),
        Role::Client => format!("client{index}"),
        Role::Attacker => format!("attacker{index}"),
    };
    let plugged: Vec<usize> = match role {
        Role::Host => (0..segments).collect(),
        Role::Client | Role::Attacker => vec![index % segments],
    };
    let interfaces = plugged
        .into_iter()
        .enumerate()
        .map(|(place, segment)| interface(role, index / segments, place, segment))
        .collect();
    Node { namespace: namespace_name(id, &name), name, role, index, interfaces }
}

fn interface(role: Role, nth: usize, place: usize, segment: usize) -> Interface {
    let name = format!("eth{place}");
    let (kind, (v4, v6), last) = match role {
        Role::Host => (0x01, clients_network(segment), 1),
        Role::Client => (0x0c, clients_network(segment), 10 + low(nth)),
        Role::Attacker => (0x0a, attackers_network(segment), 10 + low(nth)),
    };
    let [a, b, c, base] = v4.octets();
    let [s0, s1, s2, s3, ..] = v6.segments();
    Interface {
        name,
        mac: mac(kind, segment, nth),
        v4: Ipv4Addr::new(a, b, c, base + last.to_be_bytes()[1]),
        // The last group reads like the IPv4 address' last number: ...::10 for ....10.
        v6: Ipv6Addr::new(s0, s1, s2, s3, 0, 0, 0, decimal_as_hex(last)),
        segment,
    }
}

fn namespace_name(id: &str, member: &str) -> String {
    format!("weir-{id}-{member}")
}

/// A locally administered hardware address that says who it is.
fn mac(kind: u8, segment: usize, nth: usize) -> [u8; 6] {
    [0x02, 0, 0, kind, low(segment).to_be_bytes()[1], low(nth).to_be_bytes()[1]]
}

fn half(segment: usize) -> u8 {
    if segment == 0 { 0 } else { 128 }
}

/// Indices are bounded by [`crate::topology`], far below 2^16.
fn low(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}

/// 42 becomes 0x42.
fn decimal_as_hex(number: u16) -> u16 {
    (number / 100) << 8 | (number / 10 % 10) << 4 | (number % 10)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn widest() -> Plan {
        let topology = Topology {
            clients: crate::MAX_CLIENTS,
            attackers: crate::MAX_ATTACKERS,
            second_interface: true,
            ..Topology::default()
        };
        Plan::new("t", &topology)
    }

    #[test]
    fn no_two_interfaces_share_an_address() {
        for second_interface in [false, true] {
            let topology = Topology {
                clients: crate::MAX_CLIENTS,
                attackers: crate::MAX_ATTACKERS,
                second_interface,
                ..Topology::default()
            };
            let plan = Plan::new("t", &topology);
            let links: Vec<Interface> = plan
                .nodes()
                .flat_map(|node| node.interfaces.clone())
                .chain((0..plan.segments).map(gateway))
                .collect();
            let distinct = |f: &dyn Fn(&Interface) -> String| {
                links.iter().map(f).collect::<HashSet<_>>().len()
            };
            assert_eq!(distinct(&|link| link.v4.to_string()), links.len());
            assert_eq!(distinct(&|link| link.v6.to_string()), links.len());
            assert_eq!(distinct(&|link| format!("{:?}", link.mac)), links.len());
        }
    }

    #[test]
    fn each_address_is_from_a_documentation_range() {
        for address in widest().nodes().flat_map(Node::addresses) {
            assert!(crate::is_documentation(address), "{address}");
        }
    }

    #[test]
    fn a_second_interface_deals_members_to_two_segments() {
        let plan = widest();
        assert_eq!(plan.host.interfaces.len(), 2);
        assert_eq!(plan.clients[0].segment(), 0);
        assert_eq!(plan.clients[1].segment(), 1);
        assert_eq!(plan.clients[1].interface().name, "eth0");
        assert_eq!(plan.host.interfaces[1].v4, Ipv4Addr::new(192, 0, 2, 129));
    }
}
