//! Counters of a flow within a window.

use crate::Direction;

/// Buckets of the length histogram: below 128 bytes, then doubling, the last open at the top.
///
/// `<128, <256, <512, <1024, <2048, <4096, <8192, rest`.
pub const LENGTH_BUCKETS: usize = 8;

/// The number of TCP flags counted.
pub const TCP_FLAGS: usize = 8;

/// The TCP flags, in the order of their bits and of [`DirectionCounters::flags`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TcpFlag {
    /// No more data from the sender.
    Fin,
    /// Synchronise sequence numbers.
    Syn,
    /// Reset the connection.
    Rst,
    /// Push.
    Psh,
    /// Acknowledgement is significant.
    Ack,
    /// Urgent pointer is significant.
    Urg,
    /// ECN echo.
    Ece,
    /// Congestion window reduced.
    Cwr,
}

impl TcpFlag {
    /// All flags, in bit order.
    pub const ALL: [Self; TCP_FLAGS] =
        [Self::Fin, Self::Syn, Self::Rst, Self::Psh, Self::Ack, Self::Urg, Self::Ece, Self::Cwr];

    /// The flag's place in [`DirectionCounters::flags`].
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The flag's bit in byte 13 of a TCP header.
    #[inline(always)]
    #[must_use]
    pub const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Counters of one direction of a flow within a window.
///
/// Lengths are those of the frame on the wire as the interface counts it (Ethernet header
/// included, VLAN tags included wherever they sit, no FCS). A GRO or GSO super-packet counts as
/// its segments, each with its own headers. All sums saturate.
///
/// A direction with no packet is all zero, and the minima of one are then meaningless.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectionCounters {
    /// Packets.
    pub packets: u64,
    /// Bytes on the wire; also the sum of lengths.
    pub bytes: u64,
    /// Bytes above the transport header, from the IP length (so no Ethernet padding).
    pub payload_bytes: u64,
    /// Sum of squares of the lengths, in bytes².
    pub length_sum_sq: u64,
    /// Sum of the times between packets, in µs.
    pub iat_sum_us: u64,
    /// Sum of squares of the times between packets, in µs².
    pub iat_sum_sq: u64,
    /// Time of the first packet, in ns of the boot clock.
    pub first_ns: u64,
    /// Time of the last packet, in ns of the boot clock.
    pub last_ns: u64,
    /// Shortest packet, in bytes.
    pub length_min: u32,
    /// Longest packet, in bytes.
    pub length_max: u32,
    /// Shortest time between packets, in µs; `u32::MAX` until there are two.
    pub iat_min_us: u32,
    /// Longest time between packets, in µs.
    pub iat_max_us: u32,
    /// Packets by length; see [`LENGTH_BUCKETS`].
    pub length_histogram: [u32; LENGTH_BUCKETS],
    /// Packets with each TCP flag set; see [`TcpFlag`].
    pub flags: [u32; TCP_FLAGS],
    /// The TCP sequence number expected next; valid once a TCP packet was seen.
    pub next_seq: u32,
    /// TCP packets that announced a receive window of zero (SYN and RST excepted).
    pub zero_windows: u32,
    /// TCP segments that repeat bytes below `next_seq`.
    pub retransmissions: u32,
    /// TCP segments that leave a gap above `next_seq`.
    pub out_of_order: u32,
    /// Packets that are fragments, the first one of a datagram included.
    pub fragments: u32,
    /// ICMP and ICMPv6 error messages (unreachable, too big, time exceeded, parameter problem).
    pub icmp_errors: u32,
    /// The first TCP receive window, unscaled.
    pub window_first: u16,
    /// The smallest TCP receive window, unscaled.
    pub window_min: u16,
    /// The smallest TTL or hop limit.
    pub ttl_min: u8,
    /// The largest TTL or hop limit.
    pub ttl_max: u8,
    /// The type of the last ICMP or ICMPv6 message.
    pub icmp_type: u8,
    /// The code of the last ICMP or ICMPv6 message.
    pub icmp_code: u8,
}

const _: () = assert!(size_of::<DirectionCounters>() == 176);
const _: () = assert!(core::mem::offset_of!(DirectionCounters, length_histogram) == 80);
const _: () = assert!(core::mem::offset_of!(DirectionCounters, window_first) == 168);

impl DirectionCounters {
    /// Time of the first packet.
    #[must_use]
    pub const fn first_packet_ns(&self) -> Option<u64> {
        if self.packets > 0 { Some(self.first_ns) } else { None }
    }
}

/// A fact that the accounting of a flow established; a set of them is [`FlowCounters::facts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fact {
    /// This host asked first: its own SYN went out before any of the remote's came in, or the
    /// first packet is its own request ([`crate::account::update`] says which are). Neither an
    /// answer nor an RST of this host makes it, nor anything that the remote sends.
    Initiated,
    /// This host held a socket of exactly this tuple, past its handshake: its kernel was asked.
    /// Never in replay.
    Socket,
    /// [`FlowCounters::acknowledged`] holds a number.
    Acknowledged,
}

impl Fact {
    /// The fact's bit in [`FlowCounters::facts`].
    #[inline(always)]
    #[must_use]
    pub const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Counters of a flow within a window, both directions.
///
/// Pairs are by [`crate::Direction::index`] of the packet's sender: `[0]` the remote's, `[1]` this
/// host's. A time is valid where its count is above 0, for 0 is a time: [`Self::first_syn_ns`] and
/// its like say so.
///
/// An *opening* is an attempt to connect: a SYN without ACK and RST. One that repeats the last
/// opening's sequence number is its retransmission, unless an RST ended that one; any other is an
/// opening of its own, also on a tuple that is open or was closed: fixed source ports hide none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounters {
    /// Packets each way.
    pub directions: [DirectionCounters; 2],
    /// Time of the first opening, in ns of the boot clock; valid where `openings` is above 0.
    pub syn_ns: [u64; 2],
    /// Time of the first SYN-ACK, in ns of the boot clock; valid where `syn_acks` is above 0.
    pub syn_ack_ns: [u64; 2],
    /// Openings.
    pub openings: [u32; 2],
    /// SYN-ACKs, those that repeat the last one's sequence number left out.
    pub syn_acks: [u32; 2],
    /// Sequence number of the last opening's SYN; valid where `openings` is above 0.
    pub syn_isn: [u32; 2],
    /// Sequence number of the last SYN-ACK; valid where `syn_acks` is above 0.
    pub syn_ack_isn: [u32; 2],
    /// Number that the remote's first segment with ACK and without SYN and RST acknowledges; valid
    /// with [`Fact::Acknowledged`]. The proof of a handshake that several CPUs or windows saw.
    pub acknowledged: u32,
    /// Openings of the remote that it completed: it acknowledged this host's SYN-ACK's sequence
    /// number + 1, which whoever forges an address does not see.
    pub accepted: u32,
    /// [`crate::Direction::index`] of the window's first packet: which way that went proves
    /// nothing of who asked.
    pub first_direction: u8,
    /// Set of [`Fact`]s, by their bits.
    pub facts: u8,
    /// Memory of accounting between packets; nothing to read in a window.
    pub memory: u8,
    /// Always zero.
    pub reserved: [u8; 5],
}

const _: () = assert!(size_of::<FlowCounters>() == 432 && align_of::<FlowCounters>() == 8);

const IN: usize = Direction::Ingress.index();
const OUT: usize = Direction::Egress.index();

impl FlowCounters {
    /// Packets in both directions.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.directions[IN].packets.saturating_add(self.directions[OUT].packets)
    }

    /// Bytes in both directions.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.directions[IN].bytes.saturating_add(self.directions[OUT].bytes)
    }

    /// True where accounting established the fact.
    #[inline(always)]
    #[must_use]
    pub const fn has(&self, fact: Fact) -> bool {
        self.facts & fact.bit() != 0
    }

    /// True where this window proves the remote's address: it completed a handshake, or this host
    /// holds its connection.
    #[must_use]
    pub const fn is_proven(&self) -> bool {
        self.accepted > 0 || self.has(Fact::Socket)
    }

    /// Time of the first packet either way.
    #[must_use]
    pub fn first_ns(&self) -> Option<u64> {
        self.directions.iter().filter_map(DirectionCounters::first_packet_ns).min()
    }

    /// Time of a side's first opening.
    #[must_use]
    pub const fn first_syn_ns(&self, sender: Direction) -> Option<u64> {
        let sender = sender.index();
        if self.openings[sender] > 0 { Some(self.syn_ns[sender]) } else { None }
    }

    /// Time of a side's first SYN-ACK.
    #[must_use]
    pub const fn first_syn_ack_ns(&self, sender: Direction) -> Option<u64> {
        let sender = sender.index();
        if self.syn_acks[sender] > 0 { Some(self.syn_ack_ns[sender]) } else { None }
    }

    /// Openings of a side that the other one answered with a SYN-ACK, as far as this window shows
    /// both: never more than its openings.
    #[must_use]
    pub const fn answered(&self, opener: Direction) -> u32 {
        let (asked, answers) =
            (self.openings[opener.index()], self.syn_acks[opener.opposite().index()]);
        if answers < asked { answers } else { asked }
    }

    /// The side that opened the flow, as this window shows it: whose SYN came first; else this
    /// host where it asked ([`Fact::Initiated`]), and the remote otherwise, so that the same packets
    /// have the same opener whether or not the first of them was seen.
    ///
    /// For features. Whether a remote deserves trust is told by [`Self::is_proven`] and
    /// [`Fact::Initiated`].
    #[must_use]
    pub fn opener(&self) -> Direction {
        let [ingress, egress] = Direction::ALL.map(|sender| self.first_syn_ns(sender));
        match (ingress, egress) {
            (Some(ingress), Some(egress)) if egress < ingress => Direction::Egress,
            (None, Some(_)) => Direction::Egress,
            (None, None) if self.has(Fact::Initiated) => Direction::Egress,
            (Some(_) | None, _) => Direction::Ingress,
        }
    }
}
