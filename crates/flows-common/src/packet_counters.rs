//! Packets seen and packets lost: the other side of the accounting identity.

use crate::{Direction, parse::Rejected};

/// Why a packet that was seen is in no flow.
///
/// Indexes [`PacketCounters::losses`]; the names are those of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Loss {
    /// Not IP: counted by [`EtherClass`] instead.
    NotIp,
    /// ICMPv6 that keeps the link itself going and cannot come from beyond it: neighbour discovery
    /// with hop limit 255 (RFC 4861), multicast listener discovery with hop limit 1 (RFC 3810).
    /// Neighbour discovery, IPv6's ARP: part of no flow.
    LinkControl,
    /// The frame ends within the Ethernet header.
    TruncatedEthernet,
    /// The frame ends within a VLAN tag.
    TruncatedVlan,
    /// More than two VLAN tags.
    TooManyVlans,
    /// The frame ends within the IPv4 header.
    TruncatedIpv4,
    /// An IPv4 header with a wrong version or a header length below 20.
    MalformedIpv4,
    /// The frame ends within the IPv6 header.
    TruncatedIpv6,
    /// An IPv6 header with a wrong version.
    MalformedIpv6,
    /// The frame ends within an IPv6 extension header.
    TruncatedExtension,
    /// More IPv6 extension headers than are followed.
    TooManyExtensions,
    /// The frame ends within the TCP, UDP or ICMP header.
    TruncatedTransport,
    /// A TCP header with a data offset below 20.
    MalformedTcp,
    /// The flow table refused the new flow.
    TableFull,
    /// No flow table for this CPU and buffer.
    NoTable,
}

impl Loss {
    /// Number of causes.
    pub const COUNT: usize = 15;

    /// Places in [`PacketCounters::losses`]: a power of two, so that a masked index needs no check.
    pub const SLOTS: usize = 16;

    /// All causes, in the order of [`PacketCounters::losses`].
    pub const ALL: [Self; Self::COUNT] = [
        Self::NotIp,
        Self::LinkControl,
        Self::TruncatedEthernet,
        Self::TruncatedVlan,
        Self::TooManyVlans,
        Self::TruncatedIpv4,
        Self::MalformedIpv4,
        Self::TruncatedIpv6,
        Self::MalformedIpv6,
        Self::TruncatedExtension,
        Self::TooManyExtensions,
        Self::TruncatedTransport,
        Self::MalformedTcp,
        Self::TableFull,
        Self::NoTable,
    ];

    /// The cause's place in [`PacketCounters::losses`].
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The frame, or the part of it at hand, ends within a header.
    #[inline(always)]
    #[must_use]
    pub const fn is_truncation(self) -> bool {
        matches!(
            self,
            Self::TruncatedEthernet
                | Self::TruncatedVlan
                | Self::TruncatedIpv4
                | Self::TruncatedIpv6
                | Self::TruncatedExtension
                | Self::TruncatedTransport
        )
    }

    /// The cause's name, as metrics and reports spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotIp => "not_ip",
            Self::LinkControl => "link_control",
            Self::TruncatedEthernet => "truncated_ethernet",
            Self::TruncatedVlan => "truncated_vlan",
            Self::TooManyVlans => "too_many_vlans",
            Self::TruncatedIpv4 => "truncated_ipv4",
            Self::MalformedIpv4 => "malformed_ipv4",
            Self::TruncatedIpv6 => "truncated_ipv6",
            Self::MalformedIpv6 => "malformed_ipv6",
            Self::TruncatedExtension => "truncated_extension",
            Self::TooManyExtensions => "too_many_extensions",
            Self::TruncatedTransport => "truncated_transport",
            Self::MalformedTcp => "malformed_tcp",
            Self::TableFull => "table_full",
            Self::NoTable => "no_table",
        }
    }
}

/// Payload of a frame that is not IP, by its EtherType.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EtherClass {
    /// Address resolution (0x0806).
    Arp,
    /// Link layer discovery (0x88cc).
    Lldp,
    /// Port authentication (0x888e).
    Eapol,
    /// MPLS (0x8847, 0x8848).
    Mpls,
    /// PPP over Ethernet (0x8863, 0x8864).
    Pppoe,
    /// IEEE 802.3 length field: LLC, spanning tree.
    Llc,
    /// Any other EtherType.
    Other,
}

impl EtherClass {
    /// Number of classes.
    pub const COUNT: usize = 7;

    /// Places in [`PacketCounters::not_ip`]: a power of two, so that a masked index needs no check.
    pub const SLOTS: usize = 8;

    /// All classes, in the order of [`PacketCounters::not_ip`].
    pub const ALL: [Self; Self::COUNT] =
        [Self::Arp, Self::Lldp, Self::Eapol, Self::Mpls, Self::Pppoe, Self::Llc, Self::Other];

    /// The class of an EtherType.
    #[inline(always)]
    #[must_use]
    pub const fn of(ether_type: u16) -> Self {
        match ether_type {
            0x0806 => Self::Arp,
            0x88cc => Self::Lldp,
            0x888e => Self::Eapol,
            0x8847 | 0x8848 => Self::Mpls,
            0x8863 | 0x8864 => Self::Pppoe,
            0..=1535 => Self::Llc,
            _ => Self::Other,
        }
    }

    /// The class's place in [`PacketCounters::not_ip`].
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The class's name, as metrics and reports spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arp => "arp",
            Self::Lldp => "lldp",
            Self::Eapol => "eapol",
            Self::Mpls => "mpls",
            Self::Pppoe => "pppoe",
            Self::Llc => "llc",
            Self::Other => "other",
        }
    }
}

/// Packets that the flow programs of one CPU saw within a window, and those they could not count.
///
/// Together with the window's flows it makes the accounting identity:
///
/// ```text
/// segments seen = counted + losses
/// counted       = packets in the drained flows + packets in evicted flows
/// frames seen   = what the interfaces count (a super-packet is one frame there)
/// ```
///
/// Evicted flows are `flow_inserts` less the flows drained, of a table that was full.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketCounters {
    /// Frames the hooks were called for, by [`crate::Direction::index`].
    pub frames: [u64; 2],
    /// Bytes of those frames as the interface counts them.
    pub frame_bytes: [u64; 2],
    /// Packets on the wire: frames, with super-packets counted as their segments.
    pub segments: [u64; 2],
    /// Packets in no flow, by [`Loss`].
    pub losses: [u64; Loss::SLOTS],
    /// Packets that are not IP, by [`EtherClass`]; they sum to `losses[NotIp]`.
    pub not_ip: [u64; EtherClass::SLOTS],
    /// Packets counted in flows.
    pub counted: u64,
    /// Flow entries made in this CPU's table.
    pub flow_inserts: u64,
    /// Peer entries made in this CPU's table.
    pub peer_inserts: u64,
    /// News of a peer that found no room in its table.
    pub peer_full: u64,
}

const _: () = assert!(size_of::<PacketCounters>() == (6 + 16 + 8 + 4) * 8);

impl PacketCounters {
    /// Counts a frame the hook was called for, as `segments` packets on the wire.
    #[inline(always)]
    pub fn see(&mut self, direction: Direction, frame_bytes: u64, segments: u64) {
        let direction = direction.index();
        self.frames[direction] += 1;
        self.frame_bytes[direction] += frame_bytes;
        self.segments[direction] += segments;
    }

    /// Counts packets that are in no flow for this cause.
    #[inline(always)]
    pub fn lose(&mut self, loss: Loss, segments: u64) {
        self.losses[loss.index() & (Loss::SLOTS - 1)] += segments;
    }

    /// Counts packets that parsing gave no flow, and why.
    #[inline(always)]
    pub fn reject(&mut self, rejected: Rejected, segments: u64) {
        self.lose(rejected.loss, segments);
        if matches!(rejected.loss, Loss::NotIp) {
            let class = EtherClass::of(rejected.ether_type);
            self.not_ip[class.index() & (EtherClass::SLOTS - 1)] += segments;
        }
    }

    /// Adds another CPU's ledger to this one.
    pub fn add(&mut self, other: &Self) {
        for direction in 0..2 {
            add(&mut self.frames[direction], other.frames[direction]);
            add(&mut self.frame_bytes[direction], other.frame_bytes[direction]);
            add(&mut self.segments[direction], other.segments[direction]);
        }
        for (sum, one) in self.losses.iter_mut().zip(other.losses) {
            add(sum, one);
        }
        for (sum, one) in self.not_ip.iter_mut().zip(other.not_ip) {
            add(sum, one);
        }
        add(&mut self.counted, other.counted);
        add(&mut self.flow_inserts, other.flow_inserts);
        add(&mut self.peer_inserts, other.peer_inserts);
        add(&mut self.peer_full, other.peer_full);
    }

    /// Packets seen that are in no flow, of any cause but eviction.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.losses.iter().fold(0, |sum, &one| sum.saturating_add(one))
    }

    /// Packets seen, both directions.
    #[must_use]
    pub fn segments_seen(&self) -> u64 {
        self.segments[0].saturating_add(self.segments[1])
    }
}

fn add(sum: &mut u64, one: u64) {
    *sum = sum.saturating_add(one);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_and_class_stands_at_its_own_index() {
        for (index, loss) in Loss::ALL.iter().enumerate() {
            assert_eq!(loss.index(), index, "{}", loss.name());
        }
        for (index, class) in EtherClass::ALL.iter().enumerate() {
            assert_eq!(class.index(), index, "{}", class.name());
        }
    }
}
