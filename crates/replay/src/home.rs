//! Local addresses, from which a capture's frames get their direction.

use flows_common::{
    Direction,
    group::{broadcast_of, is_group},
    map_v4,
    parse::{Address, Packet},
    unmap_v4,
};
use ipnet::IpNet;

/// The prefixes whose addresses are local.
///
/// A live interface tells ingress from egress; a capture does not. The way of a frame is decided
/// by the first of these that applies:
///
/// 1. exactly one of its two addresses is in a home prefix, whose broadcast address is in none:
///    that side is local;
/// 2. the capture marks it as sent or received (Linux cooked headers, pcapng packet flags);
/// 3. it goes to a group, by its address: its sender is remote, as it is to
///    every other host on the link;
/// 4. the side with the smaller port is local, and where the ports are equal the side with the
///    smaller address: both directions of a flow agree, and of most flows the server is local, so
///    that the client is the one that could be blocked.
///
/// Rules 2 to 4 are for flows within the home prefixes and for flows that pass by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeNet {
    prefixes: Vec<Prefix>,
    /// Broadcast addresses of the prefixes.
    broadcasts: Vec<[u8; 16]>,
}

/// A prefix of the 16-byte form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Prefix {
    address: u128,
    mask: u128,
}

/// Private (RFC 1918), shared (RFC 6598), link-local, unique local (RFC 4193) and loopback.
const PRIVATE: [&str; 9] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

impl Default for HomeNet {
    /// The private prefixes: RFC 1918, RFC 6598, link-local, unique local and loopback.
    fn default() -> Self {
        Self::new(PRIVATE.map(|prefix| prefix.parse().expect("the constant is a prefix")))
    }
}

impl HomeNet {
    /// Makes the addresses of these prefixes local, and no other.
    #[must_use]
    pub fn new(prefixes: impl IntoIterator<Item = IpNet>) -> Self {
        let mut home = Self { prefixes: Vec::new(), broadcasts: Vec::new() };
        for net in prefixes {
            home.prefixes.push(Prefix::of(net));
            if let IpNet::V4(v4) = net {
                home.broadcasts
                    .extend(broadcast_of(&map_v4(v4.network().octets()), v4.prefix_len()));
            }
        }
        home
    }

    /// True for a local address, in the 16-byte form.
    #[must_use]
    pub fn contains(&self, address: &[u8; 16]) -> bool {
        let bits = u128::from_be_bytes(*address);
        self.prefixes.iter().any(|prefix| bits & prefix.mask == prefix.address)
            && !self.broadcasts.contains(address)
    }

    /// The way a packet went; `marked` is what the capture says of it.
    #[must_use]
    pub fn direction(&self, packet: &Packet, marked: Option<Direction>) -> Direction {
        let [source, destination] = endpoints(packet);
        self.between(source, destination, marked)
    }

    /// What tells the way of a packet.
    #[must_use]
    pub fn told_by(&self, packet: &Packet, marked: Option<Direction>) -> ToldBy {
        let [source, destination] = endpoints(packet);
        if self.is_group(&source.address) || self.is_group(&destination.address) {
            ToldBy::Group
        } else if self.contains(&source.address) != self.contains(&destination.address) {
            ToldBy::Prefix
        } else if marked.is_some() {
            ToldBy::Mark
        } else {
            ToldBy::Ports
        }
    }

    /// The way of a frame of which only the addresses could be read.
    pub(super) fn direction_of_addresses(
        &self,
        [source, destination]: [Address; 2],
        marked: Option<Direction>,
    ) -> Direction {
        let end = |address: Address| Endpoint { address: address.to_16(), port: 0 };
        self.between(end(source), end(destination), marked)
    }

    fn between(
        &self,
        source: Endpoint,
        destination: Endpoint,
        marked: Option<Direction>,
    ) -> Direction {
        match (self.contains(&source.address), self.contains(&destination.address)) {
            (true, false) => Direction::Egress,
            (false, true) => Direction::Ingress,
            _ => marked.unwrap_or({
                if self.rank(source) < self.rank(destination) {
                    Direction::Egress
                } else {
                    Direction::Ingress
                }
            }),
        }
    }

    /// The local one of two endpoints ranks first: a group, then the smaller port and address.
    fn rank(&self, end: Endpoint) -> (bool, u16, u128) {
        (!self.is_group(&end.address), end.port, u128::from_be_bytes(end.address))
    }

    /// True for a group, and for the broadcast address of a home prefix or, as it seems, of
    /// somebody else's: the last of 256 addresses.
    fn is_group(&self, address: &[u8; 16]) -> bool {
        is_group(address)
            || self.broadcasts.contains(address)
            || unmap_v4(address).is_some_and(|v4| v4[3] == 255)
    }
}

/// What tells the way of a packet, by the rules of [`HomeNet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldBy {
    /// One side is in a home prefix.
    Prefix,
    /// The capture marks it.
    Mark,
    /// One side is a group, whose other side is the one that acts.
    Group,
    /// Its ports alone, which is a guess.
    Ports,
}

fn endpoints(packet: &Packet) -> [Endpoint; 2] {
    [(packet.source, packet.source_port), (packet.destination, packet.destination_port)]
        .map(|(address, port)| Endpoint { address: address.to_16(), port })
}

#[derive(Clone, Copy)]
struct Endpoint {
    address: [u8; 16],
    port: u16,
}

impl Prefix {
    fn of(net: IpNet) -> Self {
        let (address, length) = match net {
            IpNet::V4(v4) => (map_v4(v4.network().octets()), 96 + u32::from(v4.prefix_len())),
            IpNet::V6(v6) => (v6.network().octets(), u32::from(v6.prefix_len())),
        };
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
        Self { address: u128::from_be_bytes(address) & mask, mask }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: [u8; 4] = [192, 0, 2, 1];
    const ELSEWHERE: [u8; 4] = [198, 51, 100, 9];
    const THIRD: [u8; 4] = [203, 0, 113, 5];

    fn home() -> HomeNet {
        HomeNet::new(["192.0.2.0/24", "2001:db8::/32"].map(|net| net.parse().expect("a prefix")))
    }

    fn way(source: ([u8; 4], u16), destination: ([u8; 4], u16)) -> Direction {
        let end = |(address, port)| Endpoint { address: map_v4(address), port };
        home().between(end(source), end(destination), None)
    }

    #[test]
    fn the_side_in_a_home_prefix_is_local() {
        assert_eq!(way((HOME, 50_000), (ELSEWHERE, 443)), Direction::Egress);
        assert_eq!(way((ELSEWHERE, 443), (HOME, 50_000)), Direction::Ingress);
    }

    #[test]
    fn where_both_or_neither_are_at_home_the_smaller_port_is_local() {
        for (one, other) in [(HOME, HOME), (ELSEWHERE, THIRD), (THIRD, ELSEWHERE)] {
            assert_eq!(way((one, 50_000), (other, 443)), Direction::Ingress);
            assert_eq!(way((other, 443), (one, 50_000)), Direction::Egress);
        }
    }

    #[test]
    fn where_the_ports_are_equal_both_directions_still_agree() {
        let there = way((ELSEWHERE, 123), (THIRD, 123));
        let back = way((THIRD, 123), (ELSEWHERE, 123));
        assert_eq!(there, back.opposite());
    }

    #[test]
    fn whoever_sends_to_a_group_is_remote_unless_it_is_at_home() {
        let port = 5_353;
        for group in [[224, 0, 0, 251], [255; 4], [192, 0, 2, 255], [203, 0, 113, 255]] {
            assert_eq!(way((ELSEWHERE, port), (group, port)), Direction::Ingress, "{group:?}");
            // Both directions of what passes by still agree.
            assert_eq!(way((group, port), (ELSEWHERE, port)), Direction::Egress, "{group:?}");
        }
        assert_eq!(way((HOME, port), ([224, 0, 0, 251], port)), Direction::Egress);
        assert_eq!(way((HOME, port), ([192, 0, 2, 255], port)), Direction::Egress);
    }

    #[test]
    fn a_mark_in_the_capture_counts_where_the_addresses_do_not_tell() {
        let net = home();
        let [local, one, other] = [HOME, ELSEWHERE, THIRD].map(Address::of_v4);
        for marked in Direction::ALL {
            assert_eq!(net.direction_of_addresses([one, other], Some(marked)), marked);
        }
        let marked = Some(Direction::Ingress);
        assert_eq!(net.direction_of_addresses([local, other], marked), Direction::Egress);
    }

    #[test]
    fn a_prefix_of_any_length_holds_its_own_addresses() {
        for prefix in ["0.0.0.0/0", "192.0.2.1/32", "::/0", "2001:db8::1/128"] {
            let net: IpNet = prefix.parse().expect("a prefix");
            let home = HomeNet::new([net]);
            let address = match net {
                IpNet::V4(v4) => map_v4(v4.addr().octets()),
                IpNet::V6(v6) => v6.addr().octets(),
            };
            assert!(home.contains(&address), "{prefix}");
        }
        assert!(!HomeNet::default().contains(&map_v4(ELSEWHERE)));
    }
}
