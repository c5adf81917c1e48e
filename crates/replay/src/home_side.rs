//! Which side of a capture's packets is local, by what the packets themselves show.

use std::{collections::HashMap, fmt, net::Ipv6Addr};

use flows_common::{Direction, parse::Packet};
use ipnet::IpNet;

use super::{HomeNet, home::ToldBy};

/// Packets looked at.
const PACKETS_LIMIT: u64 = 1 << 18;
/// Pairs of addresses remembered.
const PAIRS_LIMIT: usize = 1 << 16;

/// Share of packets whose side a guess may tell.
const GUESSED_SHARE: f64 = 0.1;
/// Share of packets of which a proposed address or prefix is at one end.
const PROPOSED_SHARE: f64 = 0.9;

/// Counts of what tells the side of the first 262,144 packets, those to and from groups left out.
#[derive(Clone, Debug, Default)]
pub struct HomeSide {
    /// Packets.
    pub packets: u64,
    /// Those of which one side is in a home prefix.
    pub by_prefix: u64,
    /// Those that the capture marks as sent or received.
    pub by_mark: u64,
    /// Packets by their two addresses, the smaller one first; and of these, those in which the
    /// first has the smaller port.
    pairs: HashMap<[[u8; 16]; 2], [u64; 2]>,
}

/// A home side that the packets suggest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proposal {
    /// The address or prefix.
    pub net: IpNet,
    /// Share of packets of which it is at one end, and at one only.
    pub share: f64,
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.net.prefix_len() == self.net.max_prefix_len() {
            write!(f, "--home-net={}", self.net.addr())
        } else {
            write!(f, "--home-net={}", self.net)
        }
    }
}

impl HomeSide {
    pub(super) const fn is_wanted(&self) -> bool {
        self.packets < PACKETS_LIMIT
    }

    pub(super) fn add(&mut self, home: &HomeNet, packet: &Packet, marked: Option<Direction>) {
        match home.told_by(packet, marked) {
            ToldBy::Group => return,
            ToldBy::Prefix => self.by_prefix += 1,
            ToldBy::Mark => self.by_mark += 1,
            ToldBy::Ports => {}
        }
        self.packets += 1;
        let mut ends = [
            (packet.source.to_16(), packet.source_port),
            (packet.destination.to_16(), packet.destination_port),
        ];
        ends.sort_unstable();
        let [(one, port), (other, other_port)] = ends;
        let pair = [one, other];
        if self.pairs.len() < PAIRS_LIMIT || self.pairs.contains_key(&pair) {
            let counts = self.pairs.entry(pair).or_default();
            counts[0] += 1;
            counts[1] += u64::from(port < other_port);
        }
    }

    /// Adds what another capture shows.
    pub fn merge(&mut self, other: &Self) {
        self.packets += other.packets;
        self.by_prefix += other.by_prefix;
        self.by_mark += other.by_mark;
        for (pair, counts) in &other.pairs {
            let sums = self.pairs.entry(*pair).or_default();
            sums.iter_mut().zip(counts).for_each(|(sum, one)| *sum += one);
        }
    }

    /// Share of packets of which neither the home prefixes nor the capture tell the side; 0 where
    /// there is none.
    #[must_use]
    pub fn guessed_share(&self) -> f64 {
        let guessed = self.packets - self.by_prefix - self.by_mark;
        guessed as f64 / self.packets.max(1) as f64
    }

    /// True where so many sides are guessed that attackers may be taken for local.
    #[must_use]
    pub fn is_guessed(&self) -> bool {
        self.guessed_share() > GUESSED_SHARE
    }

    /// The home side that the packets suggest: the address, else the /24 or /64, else the /16 or
    /// /48 that is at one end of most of them, and among equals the one with the services. None
    /// where there is none.
    #[must_use]
    pub fn proposal(&self) -> Option<Proposal> {
        let mut best: Option<Proposal> = None;
        for lengths in [[32, 128], [24, 64], [16, 48]] {
            let found = self.best_of(lengths);
            if found.is_some_and(|found| found.share >= PROPOSED_SHARE) {
                return found;
            }
            if found.map(|found| found.share) > best.map(|best| best.share) {
                best = found;
            }
        }
        best
    }

    /// The prefix of these lengths (IPv4, IPv6) that is at one end of the most packets.
    fn best_of(&self, lengths: [u8; 2]) -> Option<Proposal> {
        let mut nets: HashMap<IpNet, [u64; 2]> = HashMap::new();
        let mut all = 0;
        for (pair, &[packets, served_by_first]) in &self.pairs {
            all += packets;
            let [one, other] = pair.map(|address| prefix_of(address, lengths));
            if one == other {
                continue;
            }
            for (net, served) in [(one, served_by_first), (other, packets - served_by_first)] {
                let sums = nets.entry(net?).or_default();
                sums[0] += packets;
                sums[1] += served;
            }
        }
        let (net, [packets, _]) =
            nets.into_iter().max_by_key(|&(net, counts)| (counts, std::cmp::Reverse(net)))?;
        Some(Proposal { net, share: packets as f64 / all as f64 })
    }
}

fn prefix_of(address: [u8; 16], [v4, v6]: [u8; 2]) -> Option<IpNet> {
    let address = Ipv6Addr::from(address).to_canonical();
    let length = if address.is_ipv4() { v4 } else { v6 };
    IpNet::new(address, length).ok().map(|net| net.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::udp_between;
    use flows_common::parse::{Frame, parse};

    /// What packets between these show, where private addresses are home.
    fn side(packets: &[([u8; 4], u16, [u8; 4], u16)]) -> HomeSide {
        let mut side = HomeSide::default();
        for &(source, source_port, destination, port) in packets {
            let frame = udp_between((source, source_port), (destination, port));
            let length = u32::try_from(frame.len()).expect("short");
            let packet = parse(&frame[..], &Frame::of_length(length)).expect("a packet");
            side.add(&HomeNet::default(), &packet, None);
        }
        side
    }

    #[test]
    fn private_addresses_tell_a_capture_towards_the_internet() {
        let side = side(&[([10, 0, 0, 1], 50_000, [198, 51, 100, 9], 443); 5]);
        assert_eq!((side.packets, side.by_prefix, side.is_guessed()), (5, 5, false));
    }

    #[test]
    fn the_host_at_one_end_of_all_packets_is_proposed() {
        let host = [192, 0, 2, 1];
        let packets: Vec<_> =
            (1..100).map(|peer| ([198, 51, 100, peer], 40_000, host, 80)).collect();
        let side = side(&packets);
        assert!(side.is_guessed());
        assert_eq!(side.proposal().expect("one").to_string(), "--home-net=192.0.2.1");
    }

    #[test]
    fn of_two_hosts_the_one_that_serves_is_proposed() {
        let [client, server] = [[192, 0, 2, 7], [192, 0, 2, 200]];
        let side = side(&[(client, 50_000, server, 22), (server, 22, client, 50_000)]);
        assert_eq!(side.proposal().expect("one").to_string(), "--home-net=192.0.2.200");
    }

    #[test]
    fn a_network_is_proposed_where_no_host_is_at_one_end_of_all() {
        let packets: Vec<_> =
            (1..100).map(|host| ([198, 51, 100, host], 40_000, [192, 0, 2, host], 80)).collect();
        let net = side(&packets).proposal().expect("one");
        assert_eq!(net.to_string(), "--home-net=192.0.2.0/24");
        assert!(net.share > 0.99);
    }

    #[test]
    fn packets_to_groups_tell_nothing() {
        let side = side(&[([192, 0, 2, 5], 5_353, [224, 0, 0, 251], 5_353)]);
        assert_eq!((side.packets, side.is_guessed(), side.proposal()), (0, false, None));
    }
}
