//! Counters of a flow within a window.

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

/// Counters of a flow within a window, both directions.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounters {
    /// By [`crate::Direction::index`].
    pub directions: [DirectionCounters; 2],
    /// Time of the first SYN without ACK, 0 for none.
    pub syn_ns: u64,
    /// Time of the first SYN with ACK, 0 for none.
    pub syn_ack_ns: u64,
    /// [`crate::Direction::index`] of the window's first packet.
    pub first_direction: u8,
    /// [`crate::Direction::index`] of the side that opened the flow, as this window shows it:
    /// the sender of a SYN, the receiver of a SYN-ACK, else the first packet's sender.
    pub initiator: u8,
    /// Always zero.
    pub reserved: [u8; 6],
}

const _: () = assert!(size_of::<FlowCounters>() == 376 && align_of::<FlowCounters>() == 8);

impl FlowCounters {
    /// Packets in both directions.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.directions[0].packets.saturating_add(self.directions[1].packets)
    }

    /// Bytes in both directions.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.directions[0].bytes.saturating_add(self.directions[1].bytes)
    }
}
