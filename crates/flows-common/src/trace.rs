//! Packets followed through the kernel: where one was seen, and where and why it ended.
//!
//! The programs `trace_arrived`, `trace_left` and `trace_dropped` count what a [`TraceSettings`] asks
//! for, each by its own [`TracePoint`]; nothing of it is loaded while nobody asks.

/// Where a packet was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TracePoint {
    /// It came up from an interface (tracepoint `net:netif_receive_skb`).
    Arrived,
    /// It was handed to an interface (`net:net_dev_start_xmit`).
    Left,
    /// The kernel let go of it (`skb:kfree_skb`).
    Dropped,
}

impl TracePoint {
    /// All of them, by [`Self::index`].
    pub const ALL: [Self; 3] = [Self::Arrived, Self::Left, Self::Dropped];

    /// The code in [`TraceKey::point`], and the place of its [`TraceLedger`].
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> u32 {
        self as u32
    }
}

/// Packets that are counted together.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceKey {
    /// Source address, 16 bytes, IPv4 as `::ffff:a.b.c.d`.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
    /// Source port, 0 for none.
    pub source_port: u16,
    /// Destination port, 0 for none.
    pub destination_port: u16,
    /// The IP protocol number.
    pub protocol: u16,
    /// [`TracePoint::index`].
    pub point: u16,
    /// The kernel's reason (`enum skb_drop_reason`) where it was dropped, else 0.
    pub reason: u32,
    /// Always zero: the kernel compares keys byte by byte.
    pub reserved: u32,
}

const _: () = assert!(size_of::<TraceKey>() == 48);

/// What one CPU counted of a key.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceCounters {
    /// Packets on the wire: of a super-packet all segments.
    pub packets: u64,
    /// Bytes from the IP header on.
    pub bytes: u64,
    /// Time of the first one, in ns of the boot clock.
    pub first_ns: u64,
    /// Time of the last one.
    pub last_ns: u64,
}

const _: () = assert!(size_of::<TraceCounters>() == 32);

impl TraceCounters {
    /// Adds what another CPU counted.
    pub fn merge(&mut self, other: &Self) {
        if other.packets == 0 {
            return;
        }
        let is_first = self.packets == 0 || other.first_ns < self.first_ns;
        self.first_ns = if is_first { other.first_ns } else { self.first_ns };
        self.last_ns = self.last_ns.max(other.last_ns);
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// What one CPU saw at one point, and what became of it here.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceLedger {
    /// Buffers that the program was called for.
    pub seen: u64,
    /// Those of other network namespaces.
    pub elsewhere: u64,
    /// Packets of the question whose namespace cannot be told: no interface, no socket, no route.
    pub unplaced: u64,
    /// Those without an IP header to read.
    pub unread: u64,
    /// Those that the question is not about.
    pub others: u64,
    /// Packets of the question that the table had no room for.
    pub no_room: u64,
}

const _: () = assert!(size_of::<TraceLedger>() == 48);

impl TraceLedger {
    /// Adds what another CPU saw.
    pub const fn merge(&mut self, other: &Self) {
        self.seen += other.seen;
        self.elsewhere += other.elsewhere;
        self.unplaced += other.unplaced;
        self.unread += other.unread;
        self.others += other.others;
        self.no_room += other.no_room;
    }
}

/// Places of fields in the running kernel's structures, in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceLayout {
    /// Bytes of a `struct sk_buff` that hold all the fields below, at most [`Self::BUFFER_LIMIT`].
    pub buffer: u32,
    /// `sk_buff.head`.
    pub head: u32,
    /// `sk_buff.data`.
    pub data: u32,
    /// `sk_buff.tail`, an offset from the head.
    pub tail: u32,
    /// `sk_buff.end`, an offset from the head.
    pub end: u32,
    /// `sk_buff.len`.
    pub len: u32,
    /// `sk_buff.network_header`, an offset from the head.
    pub network_header: u32,
    /// `sk_buff.protocol`.
    pub protocol: u32,
    /// `sk_buff.dev`.
    pub device: u32,
    /// `sk_buff.sk`.
    pub socket: u32,
    /// `sk_buff._skb_refdst`.
    pub route: u32,
    /// `skb_shared_info.gso_segs`, behind the end.
    pub segments: u32,
    /// `net_device.nd_net`.
    pub device_net: u32,
    /// `sock_common.skc_net`.
    pub socket_net: u32,
    /// `dst_entry.dev`.
    pub route_device: u32,
    /// `net.net_cookie`.
    pub cookie: u32,
}

impl TraceLayout {
    /// Most bytes of a `struct sk_buff` that are looked at.
    pub const BUFFER_LIMIT: u32 = 255;
}

/// One end of what is followed; all zero is any.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceEnd {
    /// The address in the 16-byte form, as two words in the order of memory, without the bits that
    /// the mask leaves out.
    pub address: [u64; 2],
    /// Bits of it that are compared.
    pub mask: [u64; 2],
    /// The port, 0 for any.
    pub port: u64,
}

impl TraceEnd {
    /// True where this end's address and port are those.
    #[inline(always)]
    #[must_use]
    pub const fn is(&self, address: [u64; 2], port: u16) -> bool {
        (address[0] & self.mask[0]) ^ self.address[0]
            | (address[1] & self.mask[1]) ^ self.address[1]
            == 0
            && (self.port == 0 || self.port == port as u64)
    }
}

/// What the programs follow, as constants of theirs (`.rodata`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceSettings {
    /// Places of fields.
    pub layout: TraceLayout,
    /// The network namespace, by its cookie.
    pub namespace: u64,
    /// Both ends: one is the packet's source, the other its destination.
    pub ends: [TraceEnd; 2],
    /// The IP protocol, 0 for any.
    pub protocol: u32,
    /// 1 where the tracepoint of drops tells the receiving socket (Linux 6.11).
    pub tells_socket: u32,
}

const _: () = assert!(size_of::<TraceSettings>() == 64 + 8 + 80 + 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_without_a_mask_is_any_and_one_with_it_is_that_address() {
        let any = TraceEnd::default();
        assert!(any.is([1, 2], 3));
        let one = TraceEnd { address: [0, 0xf0], mask: [!0, 0xf0], port: 80 };
        assert!(one.is([0, 0xff], 80));
        assert!(!one.is([0, 0xff], 81) && !one.is([1, 0xff], 80) && !one.is([0, 0x0f], 80));
    }

    #[test]
    fn what_cpus_counted_is_added_and_the_first_time_is_the_first() {
        let mut sum = TraceCounters::default();
        for (packets, first_ns, last_ns) in [(1, 9, 9), (0, 0, 0), (2, 5, 7)] {
            sum.merge(&TraceCounters { packets, bytes: 10 * packets, first_ns, last_ns });
        }
        assert_eq!(sum, TraceCounters { packets: 3, bytes: 30, first_ns: 5, last_ns: 9 });
    }
}
