//! Packet accounting: what one packet adds to its flow and tells of its peer.

use crate::{
    BITMAP_WORDS, Direction, DirectionCounters, Fact, FlowCounters, FlowKey, LENGTH_BUCKETS,
    PeerCounters, TCP_FLAGS, TcpFlag,
    parse::{ICMP, ICMPV6, Packet, UDP},
};

/// The first bucket of the length histogram ends at 2⁷ bytes.
const FIRST_BUCKET_BITS: u32 = 7;

/// Facts that a packet made known of its flow: a set of the constants below.
///
/// A word and not a flag each: the verifier follows every flag of its own through all that comes
/// after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News(u8);

impl News {
    /// The packet made the flow's entry.
    pub const FLOW: Self = Self(1);
    /// It is an opening ([`FlowCounters::openings`]).
    pub const SYN: Self = Self(1 << 1);
    /// It is a SYN-ACK that repeats no other ([`FlowCounters::syn_acks`]).
    pub const SYN_ACK: Self = Self(1 << 2);
    /// It is the first RST of its direction.
    pub const RESET: Self = Self(1 << 3);
    /// It completes an opening of the remote ([`FlowCounters::accepted`]), whose address is
    /// therefore not forged. It does not concern the peer's counters.
    pub const PROVEN: Self = Self(1 << 4);
    /// It comes in amid a TCP connection that its flow's entry knows nothing of: the entry is
    /// told whether this host holds that connection. It does not concern the peer's counters.
    pub const AMID: Self = Self(1 << 5);

    /// True where the fact is in the set.
    #[inline(always)]
    #[must_use]
    pub const fn has(self, fact: Self) -> bool {
        self.0 & fact.0 != 0
    }

    /// True where the set is empty.
    #[inline(always)]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True where a fact concerns the peer's counters.
    #[inline(always)]
    #[must_use]
    pub const fn concern_peer(self) -> bool {
        self.0 & !(Self::PROVEN.0 | Self::AMID.0) != 0
    }

    #[inline(always)]
    const fn add(&mut self, fact: Self) {
        self.0 |= fact.0;
    }
}

/// Bits of [`FlowCounters::memory`].
mod memory {
    /// A SYN-ACK of this host waits for its acknowledgement.
    pub(super) const AWAITED: u8 = 1;
    /// An RST came after the last opening of the remote (shifted by one: of this host).
    pub(super) const RESET: u8 = 1 << 1;
}

/// The lowest port that a Linux host gives its own sockets unasked (`ip_local_port_range`).
const FIRST_EPHEMERAL_PORT: u16 = 32_768;

/// Type of an ICMP message that asks for an echo (RFC 792).
const ICMP_ECHO: u8 = 8;
/// Type of an ICMPv6 message that asks for an echo (RFC 4443).
const ICMPV6_ECHO: u8 = 128;

/// Adds one packet to its flow's counters, which are all zero for a new flow.
///
/// `now_ns` should not run backwards within a direction; where it does, the time between the
/// two packets counts as 0.
///
/// [`Fact::Initiated`] is made by an opening of this host before any of the remote's, and by a
/// first packet of this host that is an ICMP echo request, or a UDP datagram that is not by its
/// ports a service's answer: from a port below 32,768 and below the remote's.
#[inline(always)]
pub fn update(flow: &mut FlowCounters, packet: &Packet, direction: Direction, now_ns: u64) -> News {
    let mut news = News::default();
    if flow.directions[0].packets | flow.directions[1].packets == 0 {
        news.add(News::FLOW);
        flow.first_direction = direction.index() as u8;
        if matches!(direction, Direction::Egress) && asks(packet) {
            flow.facts |= Fact::Initiated.bit();
        }
    }
    let one = &mut flow.directions[direction.index()];
    let first = one.packets == 0;
    count_lengths(one, packet, first);
    count_time(one, packet.segments, now_ns, first);
    count_ttl(one, packet.ttl, first);
    if packet.fragment {
        one.fragments = one.fragments.saturating_add(1);
    }
    if packet.tcp {
        if packet.tcp_flags & TcpFlag::Rst.bit() != 0 && one.flags[TcpFlag::Rst.index()] == 0 {
            news.add(News::RESET);
        }
        count_flags(one, packet.tcp_flags, packet.segments);
        count_window(one, packet, first);
        follow_sequence(one, packet, first);
        follow_handshake(flow, packet, direction, now_ns, &mut news);
    } else {
        one.icmp_type = packet.icmp_type;
        one.icmp_code = packet.icmp_code;
        if packet.icmp_error {
            one.icmp_errors = one.icmp_errors.saturating_add(1);
        }
    }
    news
}

/// True of a first packet of this host that asks for something.
#[inline(always)]
const fn asks(packet: &Packet) -> bool {
    match packet.protocol {
        UDP => {
            packet.source_port >= FIRST_EPHEMERAL_PORT
                || packet.source_port >= packet.destination_port
        }
        ICMP => packet.icmp_type == ICMP_ECHO,
        ICMPV6 => packet.icmp_type == ICMPV6_ECHO,
        _ => false,
    }
}

#[inline(always)]
fn count_lengths(one: &mut DirectionCounters, packet: &Packet, first: bool) {
    one.packets = one.packets.saturating_add(u64::from(packet.segments));
    one.bytes = one.bytes.saturating_add(packet.wire_bytes());
    one.payload_bytes = one.payload_bytes.saturating_add(u64::from(packet.payload));
    if first {
        one.length_min = packet.last_length;
        one.length_max = packet.last_length;
    }
    count_length(one, packet.last_length, 1);
    if packet.segments > 1 {
        count_length(one, packet.segment_length, packet.segments - 1);
    }
}

/// Counts `times` packets of one length.
#[inline(always)]
fn count_length(one: &mut DirectionCounters, length: u32, times: u32) {
    if length < one.length_min {
        one.length_min = length;
    }
    if length > one.length_max {
        one.length_max = length;
    }
    let square = u64::from(length) * u64::from(length);
    one.length_sum_sq = one.length_sum_sq.saturating_add(saturating_product(square, times));
    let bucket = &mut one.length_histogram[length_bucket(length) & (LENGTH_BUCKETS - 1)];
    *bucket = bucket.saturating_add(times);
}

/// `one * times`, saturating, in 64-bit steps: BPF has no wider multiplication.
#[inline(always)]
const fn saturating_product(one: u64, times: u32) -> u64 {
    let high = (one >> 32) * times as u64;
    let low = (one & 0xffff_ffff) * times as u64;
    if high > u32::MAX as u64 {
        return u64::MAX;
    }
    (high << 32).saturating_add(low)
}

/// The place of a length in [`DirectionCounters::length_histogram`].
#[inline(always)]
#[must_use]
pub const fn length_bucket(length: u32) -> usize {
    let mut bucket = 0;
    let mut rest = length >> FIRST_BUCKET_BITS;
    // BPF has no instruction that counts leading zeros; most packets leave after one or two.
    while rest != 0 && bucket < LENGTH_BUCKETS - 1 {
        rest >>= 1;
        bucket += 1;
    }
    bucket
}

/// Counts the time since the last packet; the further segments of a super-packet came at once.
#[inline(always)]
fn count_time(one: &mut DirectionCounters, segments: u32, now_ns: u64, first: bool) {
    if first {
        one.first_ns = now_ns;
        one.iat_min_us = u32::MAX;
    } else {
        let apart_us = now_ns.saturating_sub(one.last_ns) / 1_000;
        let apart_us = if apart_us > u64::from(u32::MAX) { u32::MAX } else { apart_us as u32 };
        if apart_us < one.iat_min_us {
            one.iat_min_us = apart_us;
        }
        if apart_us > one.iat_max_us {
            one.iat_max_us = apart_us;
        }
        let wide = u64::from(apart_us);
        one.iat_sum_us = one.iat_sum_us.saturating_add(wide);
        one.iat_sum_sq = one.iat_sum_sq.saturating_add(wide * wide);
    }
    if segments > 1 {
        one.iat_min_us = 0;
    }
    if now_ns > one.last_ns {
        one.last_ns = now_ns;
    }
}

#[inline(always)]
fn count_ttl(one: &mut DirectionCounters, ttl: u8, first: bool) {
    if first || ttl < one.ttl_min {
        one.ttl_min = ttl;
    }
    if ttl > one.ttl_max {
        one.ttl_max = ttl;
    }
}

/// Counts the flags of a packet. Segments of a super-packet carry ACK; the others it shows once.
#[inline(always)]
fn count_flags(one: &mut DirectionCounters, flags: u8, segments: u32) {
    let mut add = |flag: TcpFlag, times: u32| {
        let count = &mut one.flags[flag.index() & (TCP_FLAGS - 1)];
        *count = count.saturating_add(times);
    };
    if flags & TcpFlag::Ack.bit() != 0 {
        add(TcpFlag::Ack, segments);
    }
    if flags & TcpFlag::Psh.bit() != 0 {
        add(TcpFlag::Psh, 1);
    }
    // The everyday packet carries no other flag.
    if flags & !(TcpFlag::Ack.bit() | TcpFlag::Psh.bit()) != 0 {
        for flag in
            [TcpFlag::Fin, TcpFlag::Syn, TcpFlag::Rst, TcpFlag::Urg, TcpFlag::Ece, TcpFlag::Cwr]
        {
            add(flag, u32::from(flags & flag.bit() != 0));
        }
    }
}

#[inline(always)]
fn count_window(one: &mut DirectionCounters, packet: &Packet, first: bool) {
    if first {
        one.window_first = packet.window;
        one.window_min = packet.window;
    } else if packet.window < one.window_min {
        one.window_min = packet.window;
    }
    let opening_or_reset = TcpFlag::Syn.bit() | TcpFlag::Rst.bit();
    if packet.window == 0 && packet.tcp_flags & opening_or_reset == 0 {
        one.zero_windows = one.zero_windows.saturating_add(1);
    }
}

/// Compares the sequence number with the one expected (modulo 2³², RFC 9293 §3.4).
///
/// A segment below it counts as a retransmission and one above it as out of order; which of the
/// two a late segment is cannot be told without its history.
#[inline(always)]
fn follow_sequence(one: &mut DirectionCounters, packet: &Packet, first: bool) {
    let syn = u32::from(packet.tcp_flags & TcpFlag::Syn.bit() != 0);
    let fin = u32::from(packet.tcp_flags & TcpFlag::Fin.bit() != 0);
    let occupied = packet.payload.wrapping_add(syn).wrapping_add(fin);
    let next = packet.sequence.wrapping_add(occupied);
    // A SYN that does not repeat the last one starts over: the ports are used again.
    if first || (syn != 0 && next != one.next_seq) {
        one.next_seq = next;
    } else if occupied != 0 && packet.tcp_flags & TcpFlag::Rst.bit() == 0 {
        let ahead = packet.sequence.wrapping_sub(one.next_seq).cast_signed();
        if ahead > 0 {
            one.out_of_order = one.out_of_order.saturating_add(1);
        } else if ahead < 0 {
            one.retransmissions = one.retransmissions.saturating_add(1);
        }
        if next.wrapping_sub(one.next_seq).cast_signed() > 0 {
            one.next_seq = next;
        }
    }
}

/// Follows openings, their answers and the acknowledgement that proves a remote.
#[inline(always)]
fn follow_handshake(
    flow: &mut FlowCounters,
    packet: &Packet,
    direction: Direction,
    now_ns: u64,
    news: &mut News,
) {
    const SYN: u8 = TcpFlag::Syn.bit();
    const ACK: u8 = TcpFlag::Ack.bit();
    const RST: u8 = TcpFlag::Rst.bit();
    const SYN_ACK: u8 = SYN | ACK;
    match packet.tcp_flags & (SYN | ACK | RST) {
        ACK => {
            if matches!(direction, Direction::Ingress) {
                acknowledge(flow, packet.acknowledged, news);
            }
        }
        SYN => open(flow, packet.sequence, direction, now_ns, news),
        SYN_ACK => answer(flow, packet.sequence, direction, now_ns, news),
        flags if flags & RST != 0 => flow.memory |= memory::RESET | memory::RESET << 1,
        _ => {}
    }
}

/// Takes an opening, or its retransmission: a SYN of the last one's number that no RST ended.
#[inline(always)]
fn open(flow: &mut FlowCounters, isn: u32, sender: Direction, now_ns: u64, news: &mut News) {
    let way = sender.index();
    let ended = memory::RESET << way;
    if flow.openings[way] == 0 {
        flow.syn_ns[way] = now_ns;
        if matches!(sender, Direction::Egress) && flow.openings[sender.opposite().index()] == 0 {
            flow.facts |= Fact::Initiated.bit();
        }
    } else if flow.syn_isn[way] == isn && flow.memory & ended == 0 {
        return;
    }
    flow.openings[way] = flow.openings[way].saturating_add(1);
    flow.syn_isn[way] = isn;
    flow.memory &= !ended;
    news.add(News::SYN);
}

/// Takes a SYN-ACK, or its retransmission.
#[inline(always)]
fn answer(flow: &mut FlowCounters, isn: u32, sender: Direction, now_ns: u64, news: &mut News) {
    let way = sender.index();
    if flow.syn_acks[way] == 0 {
        flow.syn_ack_ns[way] = now_ns;
    } else if flow.syn_ack_isn[way] == isn {
        return;
    }
    flow.syn_acks[way] = flow.syn_acks[way].saturating_add(1);
    flow.syn_ack_isn[way] = isn;
    if matches!(sender, Direction::Egress) {
        flow.memory |= memory::AWAITED;
    }
    news.add(News::SYN_ACK);
}

/// Takes an acknowledgement of the remote, and holds it against this host's SYN-ACK.
#[inline(always)]
fn acknowledge(flow: &mut FlowCounters, acknowledged: u32, news: &mut News) {
    if !flow.has(Fact::Acknowledged) {
        flow.facts |= Fact::Acknowledged.bit();
        flow.acknowledged = acknowledged;
        if flow.openings[Direction::Ingress.index()] == 0 && !flow.has(Fact::Initiated) {
            news.add(News::AMID);
        }
    }
    if flow.awaited() == Some(acknowledged) {
        flow.memory &= !memory::AWAITED;
        flow.accepted = flow.accepted.saturating_add(1);
        news.add(News::PROVEN);
    }
}

impl FlowCounters {
    /// Number that would complete the opening that this host answered last, while none has.
    #[inline(always)]
    #[must_use]
    pub const fn awaited(&self) -> Option<u32> {
        if self.memory & memory::AWAITED == 0 {
            return None;
        }
        Some(self.syn_ack_isn[Direction::Egress.index()].wrapping_add(1))
    }

    /// Number that the remote acknowledged first: where another CPU or an earlier window awaits it
    /// ([`Self::awaited`]), it completes that opening.
    #[must_use]
    pub const fn first_acknowledged(&self) -> Option<u32> {
        if self.has(Fact::Acknowledged) { Some(self.acknowledged) } else { None }
    }

    /// Notes that the opening that waits was completed elsewhere.
    pub(crate) const fn complete(&mut self) {
        self.memory &= !memory::AWAITED;
        self.accepted = self.accepted.saturating_add(1);
    }
}

/// Adds the news of a flow to its peer's counters.
#[inline(always)]
pub fn note_peer(
    peer: &mut PeerCounters,
    key: &FlowKey,
    news: News,
    direction: Direction,
    now_ns: u64,
) {
    let way = direction.index();
    if peer.notes == 0 {
        peer.first_ns = now_ns;
    }
    peer.notes += 1;
    peer.last_ns = now_ns;
    peer.syns[way] += u64::from(news.has(News::SYN));
    peer.syn_acks[way] += u64::from(news.has(News::SYN_ACK));
    peer.resets[way] += u64::from(news.has(News::RESET));
    if news.has(News::FLOW) {
        peer.flow_inserts[way] += 1;
        if matches!(direction, Direction::Ingress) {
            if key.local_port != 0 {
                let bit = port_bit(key.local_port, key.protocol);
                peer.local_ports[(bit >> 6) & (BITMAP_WORDS - 1)] |= 1 << (bit & 63);
            }
            peer.local_hosts |= 1 << (host_bit(&key.local) & 63);
        }
    }
}

/// Knuth's multiplicative hash: the high bits are the well-mixed ones.
const GOLDEN_RATIO: u32 = 0x9e37_79b1;

/// The bit of a local port among the 256 of [`PeerCounters::local_ports`].
#[inline(always)]
#[must_use]
pub const fn port_bit(port: u16, protocol: u8) -> usize {
    let value = (port as u32) | ((protocol as u32) << 16);
    (value.wrapping_mul(GOLDEN_RATIO) >> 24) as usize
}

/// The bit of a local address among the 64 of [`PeerCounters::local_hosts`].
#[inline(always)]
#[must_use]
pub const fn host_bit(address: &[u8; 16]) -> usize {
    let address = u128::from_be_bytes(*address);
    let value = (address as u32)
        ^ ((address >> 32) as u32).rotate_left(7)
        ^ ((address >> 64) as u32).rotate_left(13)
        ^ ((address >> 96) as u32).rotate_left(19);
    (value.wrapping_mul(GOLDEN_RATIO) >> 26) as usize
}
