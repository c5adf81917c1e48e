//! Counters of a peer (a remote address) within a window.

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
    /// Time of the first note.
    #[must_use]
    pub const fn first_note_ns(&self) -> Option<u64> {
        if self.notes > 0 { Some(self.first_ns) } else { None }
    }
}
