//! Counters of a peer (a remote address) within a window.

use crate::Direction;

/// Openings of [`PeerCounters::knocks_fast`].
pub const FAST_SYNS: u64 = 64;
/// Bits of its distinct ports: as many random ports set 56.
const FAST_PORTS: u32 = 40;

/// Words of 64 bits in a peer's bitmap of local ports.
pub const BITMAP_WORDS: usize = 4;

/// Counters of a remote address within a window, as the flow programs noticed it.
///
/// It is touched only where there is news of a flow (its first packet in the window on this CPU,
/// an opening, a SYN-ACK, its first RST), never on the way of a known flow, and it outlives the eviction
/// of those flows: a scan or a flood that overruns the flow table still shows here.
///
/// Pairs are by [`crate::Direction::index`]. The two directions of a flow may be handled by two
/// CPUs, each of which then notes its own first packet: `flow_inserts` counts those apart.
///
/// Distinct ports and hosts are linear-counting bitmaps (Whang et al. 1990): each value sets one
/// bit chosen by a hash, and `-m ln(zero bits / m)` estimates how many there were.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerCounters {
    /// Flow entries made by a packet of this direction.
    pub flow_inserts: [u64; 2],
    /// Openings that went this way ([`crate::FlowCounters::openings`]).
    pub syns: [u64; 2],
    /// SYN-ACKs that went this way, without those that repeat one.
    pub syn_acks: [u64; 2],
    /// Flows in which an RST went this way (each counted once).
    pub resets: [u64; 2],
    /// Notes.
    pub notes: u64,
    /// Time of the first note, in ns of the boot clock; valid where there is one.
    pub first_ns: u64,
    /// Time of the last note, in ns of the boot clock.
    pub last_ns: u64,
    /// Distinct local ports the peer sent to, as a bitmap of 256 bits.
    pub local_ports: [u64; BITMAP_WORDS],
    /// Distinct local addresses the peer sent to, as a bitmap of 64 bits.
    pub local_hosts: u64,
}

const _: () = assert!(size_of::<PeerCounters>() == 128 && align_of::<PeerCounters>() == 8);

impl PeerCounters {
    /// True of a remote that opened many flows at many ports in this window, of which hardly any was
    /// answered. It only becomes so while the window lasts, but for late answers.
    #[must_use]
    pub fn knocks_fast(&self) -> bool {
        let ports: u32 = self.local_ports.iter().map(|word| word.count_ones()).sum();
        let [incoming, outgoing] = [Direction::Ingress.index(), Direction::Egress.index()];
        self.syns[incoming] >= FAST_SYNS
            && ports >= FAST_PORTS
            && self.syn_acks[outgoing] <= self.syns[incoming] / 8
    }

    /// Time of the first note.
    #[must_use]
    pub const fn first_note_ns(&self) -> Option<u64> {
        if self.notes > 0 { Some(self.first_ns) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::port_bit;

    #[test]
    fn many_openings_at_as_many_ports_that_hardly_any_answers_are_fast_knocks() {
        let knocks = |ports: core::ops::Range<u16>, answers: u64| {
            let mut peer =
                PeerCounters { syns: [64, 0], syn_acks: [0, answers], ..PeerCounters::default() };
            for bit in ports.map(|port| port_bit(port, 6)) {
                peer.local_ports[bit / 64] |= 1 << (bit % 64);
            }
            peer.knocks_fast()
        };
        assert!(knocks(1..65, 0) && knocks(1..65, 8));
        assert!(!knocks(1..65, 9), "one in seven answers");
        assert!(!knocks(1..33, 0), "half as many ports");
        assert!(!PeerCounters { syns: [63, 0], ..PeerCounters::default() }.knocks_fast());
    }
}
