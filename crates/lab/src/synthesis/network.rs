//! A home network and whom it talks to, drawn from a seed.
//!
//! | who | IPv4 | IPv6 |
//! |---|---|---|
//! | home network | 192.0.2.0/24 | 2001:db8::/64 |
//! | benign remotes | 198.51.100.0/24 | 2001:db8:1::/64 |
//! | attackers | 203.0.113.0/26 | 2001:db8:2::/64 |
//! | forged sources, and targets of a protected host | 203.0.113.128/25 | 2001:db8:3::/64 |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::line::{End, Line, Way};
use super::timeline::{Author, Timeline};
use crate::draw::Draw;
use crate::frame::{Content, Packet, Piece, Segment, flag};
use crate::{Family, Role};

/// The prefix length of the networks that addresses are drawn from: forged sources and targets of
/// a protected host.
pub(crate) const FAR_PREFIX: [u8; 2] = [25, 64];

/// The most hosts at home.
const MOST_HOSTS: u32 = 6;
/// The most benign remotes.
const MOST_REMOTES: u32 = 60;

/// An address of each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: Ipv6Addr,
}

impl Addresses {
    pub(crate) fn of(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.v4.into(),
            Family::V6 => self.v6.into(),
        }
    }

    /// The `nth` of the home network, from 1.
    pub(crate) fn home(nth: u8) -> Self {
        Self::numbered([192, 0, 2], 0, nth)
    }

    /// The `nth` of the network of benign remotes, from 1.
    pub(crate) fn remote(nth: u8) -> Self {
        Self::numbered([198, 51, 100], 1, nth)
    }

    fn numbered([a, b, c]: [u8; 3], group: u16, nth: u8) -> Self {
        Self {
            v4: Ipv4Addr::new(a, b, c, nth),
            v6: Ipv6Addr::new(0x2001, 0xdb8, group, 0, 0, 0, 0, u16::from(nth)),
        }
    }
}

/// The network of forged sources, and of targets of a protected host.
pub(crate) fn far_network(family: Family) -> (IpAddr, u8) {
    match family {
        Family::V4 => (Ipv4Addr::new(203, 0, 113, 128).into(), FAR_PREFIX[0]),
        Family::V6 => (Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 0).into(), FAR_PREFIX[1]),
    }
}

/// An address of that network, never its first or last.
pub(crate) fn far_address(family: Family, draw: &mut Draw) -> IpAddr {
    match far_network(family).0 {
        IpAddr::V4(v4) => {
            Ipv4Addr::from_bits(v4.to_bits() | u32::from(draw.between(1_u8, 126))).into()
        }
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() | u128::from(draw.bits().max(1))).into(),
    }
}

/// A host's answer to what is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// Resets, and unreachable ports.
    Told,
    /// Nothing.
    Silent,
}

/// A host at home.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) addresses: Addresses,
    hops: u8,
    window: u16,
    /// Ports that are listened on, of which there is at least one.
    pub(crate) open: Vec<u16>,
    refusal: Refusal,
}

/// Somebody elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remote {
    pub(crate) addresses: Addresses,
    pub(crate) hops: u8,
    pub(crate) window: u16,
    largest: u16,
    pub(crate) way: Way,
}

/// A home network with its remotes.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) hosts: Vec<Host>,
    pub(crate) remotes: Vec<Remote>,
    /// Attackers, drawn as any other remote.
    pub(crate) attackers: Vec<Remote>,
    pub(crate) vlan: Option<u16>,
    /// The largest share of benign conversations that fail.
    pub(crate) failure_share: f64,
    /// Share of conversations over IPv6.
    v6_share: f64,
    near: f64,
}

impl Network {
    pub(crate) fn draw(draw: &mut Draw) -> Self {
        let near = draw.magnitude(20e-6, 800e-6);
        let home_merged = if draw.chance(0.5) { draw.about(2, 44) } else { 1 };
        let far_merged = if home_merged > 1 { draw.about(1, 16) } else { 1 };
        let merged = [home_merged, far_merged].map(|full| u16::try_from(full).unwrap_or(1));
        let count = draw.about(1, MOST_HOSTS);
        let hosts = (1..).take(count as usize).map(|nth| host(draw, nth)).collect();
        let count = draw.about(4, MOST_REMOTES);
        // A network is as far from everybody as its own line, and then some.
        let own = draw.magnitude(0.1e-3, 20e-3);
        let group = |first, group, count: u32, draw: &mut Draw| -> Vec<Remote> {
            (1..)
                .take(count as usize)
                .map(|nth| remote(draw, Addresses::numbered(first, group, nth), near, own, merged))
                .collect()
        };
        Self {
            hosts,
            remotes: group([198, 51, 100], 1, count, draw),
            attackers: group([203, 0, 113], 2, 8, draw),
            vlan: draw.chance(0.1).then(|| draw.between(2, 4_094)),
            failure_share: if draw.chance(0.2) { 0.0 } else { draw.magnitude(0.002, 0.06) },
            v6_share: if draw.chance(0.4) { 0.0 } else { draw.between(0.05, 0.95) },
            near,
        }
    }

    pub(crate) fn family(&self, draw: &mut Draw) -> Family {
        if draw.chance(self.v6_share) { Family::V6 } else { Family::V4 }
    }

    /// Addresses of the hosts or of the benign remotes, of the families that are spoken.
    pub(crate) fn addresses(&self, role: Role) -> Vec<IpAddr> {
        let of_both: Vec<Addresses> = match role {
            Role::Host => self.hosts.iter().map(|host| host.addresses).collect(),
            Role::Client => self.remotes.iter().map(|remote| remote.addresses).collect(),
            Role::Attacker => self.attackers.iter().map(|remote| remote.addresses).collect(),
        };
        let families: &[Family] =
            if self.v6_share > 0.0 { &[Family::V4, Family::V6] } else { &[Family::V4] };
        of_both
            .into_iter()
            .flat_map(|both| families.iter().map(move |&family| both.of(family)))
            .collect()
    }

    /// A remote asks a host.
    pub(crate) fn inward(
        remote: &Remote,
        host: &Host,
        family: Family,
        [from, to]: [u16; 2],
        [asks, answers]: [Author; 2],
    ) -> Line {
        Line {
            client: remote.end(family, from),
            server: host.end(family, to),
            way: remote.way,
            asks,
            answers,
        }
    }

    /// A host asks a remote.
    pub(crate) fn outward(
        host: &Host,
        remote: &Remote,
        family: Family,
        [from, to]: [u16; 2],
        [asks, answers]: [Author; 2],
    ) -> Line {
        Line {
            client: host.end(family, from),
            server: remote.end(family, to),
            way: remote.way,
            asks,
            answers,
        }
    }

    /// The host that has this address.
    fn host(&self, address: IpAddr) -> Option<&Host> {
        self.hosts.iter().find(|host| host.addresses.v4 == address || host.addresses.v6 == address)
    }

    /// True where a host of this address listens on the port.
    pub(crate) fn is_open(&self, address: IpAddr, port: u16) -> bool {
        self.host(address).is_some_and(|host| host.open.contains(&port))
    }

    /// A packet from outside, and when and what the host that it is for answers to it.
    pub(crate) fn receive(
        &self,
        timeline: &mut Timeline,
        at: f64,
        author: Author,
        packet: Packet,
    ) -> Option<(f64, Content)> {
        timeline.put(at, author, packet);
        let (delay, answer) = self.answer(&packet, &mut timeline.draw)?;
        timeline.put(at + delay, Author::Answer, answer);
        Some((at + delay, answer.content))
    }

    /// The answer of the host that a packet is for, by that packet alone, and the time until it
    /// passes; nothing of an address that no host has.
    fn answer(&self, packet: &Packet, draw: &mut Draw) -> Option<(f64, Packet)> {
        let host = self.host(packet.target)?;
        let content = host.answer(&packet.content, packet.piece, draw)?;
        let answer =
            Packet { hops: host.hops, ..Packet::new(packet.target, packet.source, content) };
        Some((self.near * (1.0 + 0.2 * draw.between(0.0, 1.0)), answer))
    }
}

impl Remote {
    /// The same of other addresses.
    pub(crate) const fn at(self, addresses: Addresses) -> Self {
        Self { addresses, ..self }
    }

    /// True where this address is one of its own.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.addresses.v4 == address || self.addresses.v6 == address
    }

    pub(crate) fn end(&self, family: Family, port: u16) -> End {
        End {
            address: self.addresses.of(family),
            port,
            hops: self.hops,
            window: self.window,
            largest: self.largest,
            is_home: false,
        }
    }

    /// The same with the address of another.
    pub(crate) fn end_at(&self, address: IpAddr, port: u16) -> End {
        End { address, ..self.end(Family::V4, port) }
    }
}

impl Host {
    pub(crate) fn end(&self, family: Family, port: u16) -> End {
        End {
            address: self.addresses.of(family),
            port,
            hops: self.hops,
            window: self.window,
            largest: 1_460,
            is_home: true,
        }
    }

    fn answer(&self, content: &Content, piece: Option<Piece>, draw: &mut Draw) -> Option<Content> {
        if piece.is_some() {
            // One part of a packet makes no packet.
            return None;
        }
        match *content {
            Content::Segment(segment) => self.answer_segment(&segment, draw).map(Content::Segment),
            Content::Datagram { source_port, target_port, .. } => {
                let refused = self.refusal == Refusal::Told && !self.open.contains(&target_port);
                refused.then_some(Content::Unreachable { protocol: 17, source_port, target_port })
            }
            Content::Echo { id, sequence, is_reply: false, payload } => (self.refusal
                == Refusal::Told)
                .then_some(Content::Echo { id, sequence, is_reply: true, payload }),
            Content::Echo { .. } | Content::Unreachable { .. } => None,
        }
    }

    /// As RFC 9293 has it for a port that listens and for one that is closed.
    fn answer_segment(&self, segment: &Segment, draw: &mut Draw) -> Option<Segment> {
        let is_open = self.open.contains(&segment.target_port);
        let has = |flag| segment.flags & flag != 0;
        if has(flag::RST) {
            return None;
        }
        let back =
            Segment::syn(segment.target_port, segment.source_port, draw.between(1, u32::MAX));
        let taken = u32::from(has(flag::SYN)) + u32::from(has(flag::FIN));
        let length = u32::try_from(segment.payload.len()).unwrap_or(0) + taken;
        let acknowledgment = segment.sequence.wrapping_add(length);
        let refused = Segment { window: 0, largest: None, ..back };
        if is_open && has(flag::SYN) && !has(flag::ACK) {
            let flags = flag::SYN | flag::ACK;
            return Some(Segment { flags, acknowledgment, window: self.window, ..back });
        }
        if self.refusal == Refusal::Silent || (is_open && !has(flag::ACK)) {
            return None;
        }
        Some(if has(flag::ACK) {
            Segment { flags: flag::RST, sequence: segment.acknowledgment, ..refused }
        } else {
            Segment { flags: flag::RST | flag::ACK, sequence: 0, acknowledgment, ..refused }
        })
    }
}

fn host(draw: &mut Draw, nth: u8) -> Host {
    Host {
        addresses: Addresses::home(nth),
        hops: draw.pick(&[64, 64, 64, 128, 255]),
        window: draw.between(8_192, 65_535),
        open: vec![draw.pick(&[22, 80, 443])],
        refusal: if draw.chance(0.6) { Refusal::Told } else { Refusal::Silent },
    }
}

fn remote(draw: &mut Draw, addresses: Addresses, near: f64, own: f64, merged: [u16; 2]) -> Remote {
    Remote {
        addresses,
        hops: draw.pick(&[64, 64, 128, 255]) - draw.between(0, 30),
        window: draw.between(8_192, 65_535),
        largest: draw.pick(&[1_460, 1_460, 1_440, 1_420, 1_400, 1_360, 1_220]),
        way: Way {
            rtt: own + draw.magnitude(0.2e-3, 0.25),
            near,
            loss: if draw.chance(0.5) { 0.0 } else { draw.magnitude(1e-4, 0.02) },
            rate: draw.magnitude(2e5, 1e8),
            merged,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_of_a_network_is_for_documentation_and_of_one_role() {
        for seed in 0..50 {
            let network = Network::draw(&mut Draw::new(seed, 0));
            let mut all: Vec<IpAddr> = [Role::Host, Role::Client, Role::Attacker]
                .into_iter()
                .flat_map(|role| network.addresses(role))
                .collect();
            let count = all.len();
            assert!(all.iter().all(|&address| crate::is_documentation(address)), "{all:?}");
            all.sort();
            all.dedup();
            assert_eq!(all.len(), count);
        }
    }

    #[test]
    fn networks_differ_in_what_a_detector_must_not_lean_on() {
        let networks: Vec<Network> =
            (0..200).map(|seed| Network::draw(&mut Draw::new(seed, 0))).collect();
        let remotes = || networks.iter().flat_map(|network| &network.remotes);
        let rtt = |bound: f64| remotes().filter(|remote| remote.way.rtt < bound).count();
        let all = remotes().count();
        assert!(rtt(2e-3) > all / 20 && rtt(50e-3) < all * 9 / 10, "{all}");
        for initial in [64, 128, 255] {
            assert!(remotes().any(|remote| (initial - 30..=initial).contains(&remote.hops)));
        }
        assert!(networks.iter().any(|network| network.remotes[0].way.merged == [1, 1]));
        assert!(networks.iter().any(|network| network.remotes[0].way.merged[0] > 10));
        assert!(networks.iter().any(|network| network.vlan.is_some()));
        assert!(networks.iter().any(|network| network.failure_share == 0.0));
        let with_v6 = networks.iter().filter(|one| one.v6_share > 0.0).count();
        assert!((60..180).contains(&with_v6), "{with_v6}");
    }

    #[test]
    fn a_host_answers_as_its_ports_and_its_firewall_have_it() {
        let mut draw = Draw::new(1, 0);
        let mut network = Network::draw(&mut draw);
        network.hosts[0].open = vec![80];
        let [remote, victim] =
            [network.attackers[0].addresses.v4.into(), network.hosts[0].addresses.v4.into()];
        let mut answer = |network: &Network, flags, port| {
            let segment = Segment { flags, ..Segment::syn(4_000, port, 9) };
            let packet = Packet::new(remote, victim, Content::Segment(segment));
            let (_, answer) = network.answer(&packet, &mut draw)?;
            let Content::Segment(segment) = answer.content else { panic!("{answer:?}") };
            Some((segment.flags, segment.acknowledgment))
        };
        let (syn, ack, rst) = (flag::SYN, flag::ACK, flag::RST);
        network.hosts[0].refusal = Refusal::Told;
        assert_eq!(answer(&network, syn, 80), Some((syn | ack, 10)));
        assert_eq!(answer(&network, syn, 81), Some((rst | ack, 10)));
        assert_eq!(answer(&network, flag::FIN, 80), None);
        assert_eq!(answer(&network, flag::FIN, 81), Some((rst | ack, 10)));
        assert_eq!(answer(&network, ack, 80), Some((rst, 0)));
        assert_eq!(answer(&network, rst, 81), None);
        network.hosts[0].refusal = Refusal::Silent;
        assert_eq!(answer(&network, syn, 80), Some((syn | ack, 10)));
        assert_eq!(answer(&network, syn, 81), None);
    }
}
