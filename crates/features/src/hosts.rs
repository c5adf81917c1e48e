//! Remote hosts: in IPv6 one that takes address after address reads as its network, a /64 unless told
//! otherwise.
//!
//! A host may take any address of its /64 (RFC 4291 §2.5.1, RFC 8981), so that 2,000 probes from as
//! many addresses are nobody's in particular. [`Hosts::look`] knows the first [`SEVERAL`] addresses of
//! each /64 that was not silent for an hour: they stay remotes of their own, with their pasts, for a
//! /64 may as well be a hall full of people. All others of it are one remote: their flows and
//! counters are those of its name ([`flows_common::host`]), an address that no host has. What comes from
//! such an address is anybody's in the network, and reads so at once.
//!
//! The /64s of this host's own addresses are left alone, as neighbours share them, and so are
//! link-local addresses and groups. Whoever forges addresses of a /64 has unproven packets of it read
//! as one remote's; what is proven stays evidence of its own.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use flows_common::{FlowCounters, FlowKey, PeerCounters, PeerKey, Window, host, unmap_v4};

use crate::{
    context::recent::{Recent, put_table, take_table},
    kept::{Kept as _, kept},
};

/// Networks that are remembered.
const NETS: usize = 16_384;
/// Addresses that one host may have at once, a stable one and a temporary one a day for a week, and
/// that are told apart.
const SEVERAL: usize = 8;
/// Time after which a network that showed nothing is forgotten: an hour.
const FORGET_NS: u64 = 3_600_000_000_000;

/// The name of a network.
type Net = [u8; 16];

/// Addresses of a network.
#[derive(Clone, Copy, Default)]
struct Shown {
    /// What is behind the network of each.
    hosts: [u128; SEVERAL],
    count: u8,
    last_ns: u64,
}

/// Memory of networks; see the [module](self).
pub struct Hosts {
    /// Length of a network.
    length: u8,
    nets: Recent<Net, Shown>,
}

kept!(Shown { hosts, count, last_ns });

impl Default for Hosts {
    fn default() -> Self {
        Self::of_length(host::LENGTHS[0])
    }
}

impl std::fmt::Debug for Hosts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hosts").field("networks", &self.nets.len()).finish_non_exhaustive()
    }
}

impl Hosts {
    /// Hosts that take their addresses of networks of a length: one of [`host::LENGTHS`].
    #[must_use]
    pub fn of_length(length: u8) -> Self {
        debug_assert!(host::LENGTHS.contains(&length));
        Self { length, nets: Recent::with_capacity(NETS) }
    }

    /// Length of a network.
    #[must_use]
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// Puts what it remembers behind these bytes.
    pub fn keep(&self, out: &mut Vec<u8>) {
        self.length.put(out);
        put_table(&self.nets, |shown| Some(*shown), out);
    }

    /// What one like it kept, as [`Context::taken_up`](crate::Context::taken_up).
    #[must_use]
    pub fn taken_up(bytes: &mut &[u8]) -> Option<Self> {
        let length = u8::take(bytes).filter(|length| host::LENGTHS.contains(length))?;
        Some(Self { length, nets: take_table(NETS, bytes)? })
    }

    /// A window in which each remote host is one remote; the window itself where each has few
    /// addresses. Costs a pass over the flows, and a hash look-up for each of IPv6.
    pub fn look<'w>(&mut self, window: Cow<'w, Window>) -> Cow<'w, Window> {
        let is_v6 = |address: &[u8; 16]| unmap_v4(address).is_none();
        let flows = window.flows.iter().map(|(key, _)| key).filter(|key| is_v6(&key.remote));
        let length = self.length;
        let name = |address: &[u8; 16]| host::name(*address, length);
        let own: BTreeSet<Net> = flows.clone().map(|key| name(&key.local)).collect();
        let peers = window.peers.iter().map(|(key, _)| &key.address).filter(|one| is_v6(one));
        let mut one = BTreeMap::new();
        for address in flows.map(|key| &key.remote).chain(peers) {
            let net = name(address);
            if own.contains(&net) || !is_global(net) {
                continue;
            }
            let behind = u128::from_be_bytes(*address) & (u128::MAX >> length);
            let shown = self.nets.touch(net, Shown::default).value;
            // No host has such an address: it is anybody's in the network.
            if host::is_no_hosts(address) || !shown.note(behind, window.end_ns) {
                one.insert(*address, net);
            }
        }
        if one.is_empty() { window } else { Cow::Owned(joined(&window, &one)) }
    }
}

impl Shown {
    /// Notes an address; true where it is told apart from others.
    fn note(&mut self, host: u128, now_ns: u64) -> bool {
        if now_ns.saturating_sub(self.last_ns) > FORGET_NS && self.last_ns > 0 {
            *self = Self::default();
        }
        self.last_ns = now_ns;
        if self.hosts.iter().take(usize::from(self.count)).any(|one| *one == host) {
            return true;
        }
        let place = self.hosts.get_mut(usize::from(self.count));
        place.is_some_and(|place| {
            *place = host;
            self.count += 1;
            true
        })
    }
}

/// Neither of a link nor a group (RFC 4291 §2.4), nor of no network at all.
const fn is_global(net: Net) -> bool {
    let is_link = net[0] == 0xfe && net[1] & 0xc0 == 0x80;
    !is_link && net[0] != 0xff && u128::from_be_bytes(net) >> 64 != 0
}

/// The window with these addresses as their networks. Flows that differ by the remote's address
/// alone become one, with the counters of all.
fn joined(window: &Window, one: &BTreeMap<[u8; 16], Net>) -> Window {
    let remote = |address: [u8; 16]| one.get(&address).copied().unwrap_or(address);
    let mut places: HashMap<FlowKey, usize> = HashMap::new();
    let mut flows: Vec<(FlowKey, FlowCounters)> = Vec::with_capacity(window.flows.len());
    for (key, counters) in &window.flows {
        let key = FlowKey { remote: remote(key.remote), ..*key };
        if let Some(&place) = places.get(&key) {
            flows[place].1.merge(counters);
        } else {
            places.insert(key, flows.len());
            flows.push((key, *counters));
        }
    }
    let mut peers: Vec<(PeerKey, PeerCounters)> = Vec::with_capacity(window.peers.len());
    let mut places: HashMap<[u8; 16], usize> = HashMap::new();
    for (key, counters) in &window.peers {
        let address = remote(key.address);
        if let Some(&place) = places.get(&address) {
            peers[place].1.merge(counters);
        } else {
            places.insert(address, peers.len());
            peers.push((PeerKey { address }, *counters));
        }
    }
    Window { flows, peers, ..window.clone() }
}

#[cfg(test)]
mod tests {
    use flows_common::Direction;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const IN: usize = Direction::Ingress.index();

    /// A window of a second with a SYN from each of these addresses to a port of its own.
    fn window(second: u64, remotes: impl IntoIterator<Item = u128>) -> Window {
        let flows = remotes.into_iter().zip(1..).map(|(remote, port)| {
            let key = FlowKey {
                local: (0x2001_0db8_u128 << 96 | 1).to_be_bytes(),
                remote: remote.to_be_bytes(),
                local_port: port,
                remote_port: 40_000,
                protocol: 6,
                ..FlowKey::default()
            };
            let mut counters = FlowCounters::default();
            (counters.openings[IN], counters.directions[IN].packets) = (1, 1);
            (key, counters)
        });
        let flows: Vec<_> = flows.collect();
        let (start_ns, end_ns) = (second * SECOND, (second + 1) * SECOND);
        let mut window = Window { start_ns, end_ns, flows, ..Window::default() };
        window.packet_counters.segments = [window.flows.len() as u64, 0];
        window
    }

    /// An address of the /64 2001:db8:1:`net`::.
    const fn address(net: u128, host: u128) -> u128 {
        0x2001_0db8_0001 << 80 | net << 64 | host
    }

    fn remotes(window: &Window) -> usize {
        window.flows.iter().map(|(key, _)| key.remote).collect::<BTreeSet<_>>().len()
    }

    #[test]
    fn two_thousand_probes_from_as_many_addresses_of_one_64_are_one_remotes() {
        let window = window(1, (1..=2_000).map(|host| address(7, host)));
        let mut hosts = Hosts::default();
        let joined = hosts.look(Cow::Borrowed(&window));
        assert_eq!((remotes(&joined), joined.flows.len()), (SEVERAL + 1, 2_000));
        let name = address(7, 0).to_be_bytes();
        assert_eq!(joined.flows.iter().filter(|(key, _)| key.remote == name).count(), 1_992);
        assert!(!joined.is_lossy());
    }

    #[test]
    fn a_host_may_take_addresses_of_a_56_where_that_is_told() {
        // Each address from another /64 of 2001:db8:1::/56, and some of another /56.
        let from = |net: u128| address(net, 0xb);
        let window = window(1, (0..200).map(from).chain((256..260).map(from)));
        assert_eq!(remotes(&Hosts::default().look(Cow::Borrowed(&window))), 204);
        let mut hosts = Hosts::of_length(56);
        let joined = hosts.look(Cow::Borrowed(&window));
        assert_eq!(remotes(&joined), SEVERAL + 1 + 4);
        let name = host::name(address(0, 0).to_be_bytes(), 56);
        assert_eq!(joined.flows.iter().filter(|(key, _)| key.remote == name).count(), 192);
        let wider = Hosts::of_length(48).look(Cow::Borrowed(&window)).into_owned();
        assert_eq!(remotes(&wider), SEVERAL + 1);
    }

    #[test]
    fn an_address_that_names_a_network_stands_for_no_more_than_its_own() {
        // An attacker sends from what is the name of the /56 around him.
        let name = host::name(address(7, 1).to_be_bytes(), 56);
        let forged = address(0x12, 0) | u128::from_be_bytes(name) & u128::from(u64::MAX);
        let window = window(1, [u128::from_be_bytes(name), forged]);
        let joined = Hosts::default().look(Cow::Borrowed(&window)).into_owned();
        let remotes: Vec<[u8; 16]> = joined.flows.iter().map(|(key, _)| key.remote).collect();
        assert_eq!(remotes, [address(0, 0), address(0x12, 0)].map(u128::to_be_bytes));
    }

    #[test]
    fn addresses_that_come_one_after_another_are_one_remotes_too() {
        let mut hosts = Hosts::default();
        let mut last = 0;
        for second in 1..=20 {
            let window = window(second * 60, [address(7, u128::from(second))]);
            last = u128::from_be_bytes(hosts.look(Cow::Borrowed(&window)).flows[0].0.remote);
        }
        assert_eq!(last, address(7, 0));
        let quiet = window(20_000, [address(7, 3)]);
        assert!(matches!(hosts.look(Cow::Borrowed(&quiet)), Cow::Borrowed(_)), "forgotten");
    }

    #[test]
    fn a_host_with_its_temporary_addresses_a_neighbour_and_other_networks_stay_apart() {
        let mut hosts = Hosts::default();
        let few = window(1, (1..=8).map(|host| address(7, host)));
        assert!(matches!(hosts.look(Cow::Borrowed(&few)), Cow::Borrowed(_)));
        let many = window(2, (100..=150).map(|net| address(net, 9)));
        assert!(matches!(hosts.look(Cow::Borrowed(&many)), Cow::Borrowed(_)));
        let near = window(3, (10..=60).map(|host| 0x2001_0db8_u128 << 96 | host));
        assert!(matches!(hosts.look(Cow::Borrowed(&near)), Cow::Borrowed(_)), "neighbours");
        let link = window(4, (10..=60).map(|host| 0xfe80_u128 << 112 | host));
        assert!(matches!(hosts.look(Cow::Borrowed(&link)), Cow::Borrowed(_)), "of the link");
    }

    #[test]
    fn who_was_there_first_stays_himself_whoever_comes_into_his_network() {
        let mut hosts = Hosts::default();
        hosts.look(Cow::Borrowed(&window(1, [address(7, 3)])));
        let crowd = window(2, (0..500).map(|host| address(7, host)));
        let joined = hosts.look(Cow::Borrowed(&crowd));
        let his = address(7, 3).to_be_bytes();
        assert_eq!(joined.flows.iter().filter(|(key, _)| key.remote == his).count(), 1);
        assert_eq!(remotes(&joined), SEVERAL + 1);
    }

    #[test]
    fn flows_that_differ_by_the_address_alone_are_counted_together() {
        let mut window = window(1, (1..=20).map(|host| address(7, host)));
        window.flows.iter_mut().for_each(|(key, _)| key.local_port = 80);
        let mut hosts = Hosts::default();
        let joined = hosts.look(Cow::Borrowed(&window));
        assert_eq!(joined.flows.len(), SEVERAL + 1);
        assert_eq!(joined.flows[SEVERAL].1.directions[IN].packets, 12);
        assert!(!joined.is_lossy());
    }
}
