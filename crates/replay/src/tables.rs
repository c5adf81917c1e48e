//! Tables in memory that packets are counted in as the flow programs do it.

use flows_common::{
    Direction, FlowCounters, FlowKey, Loss, PacketCounters, PeerCounters, PeerKey, Window,
    metering::{Entry, FlowTables, Observation, meter},
    parse::{Frame, Packet, Rejected},
};

use super::table::LruTable;

/// Flows, peers and ledger of one window, as a CPU of the live collector holds them in its maps.
///
/// Unlike the kernel's tables these never refuse an entry, so that `Loss::TableFull` does not
/// occur; what they evict is counted exactly.
#[derive(Debug)]
pub struct Tables {
    entries: Entries,
    packet_counters: PacketCounters,
}

#[derive(Debug)]
struct Entries {
    flows: LruTable<FlowKey, FlowCounters>,
    peers: LruTable<PeerKey, PeerCounters>,
    evicted_flows: u64,
    evicted_packets: u64,
    evicted_peers: u64,
}

impl FlowTables for Entries {
    fn flow(&mut self, key: &FlowKey) -> Result<Entry<'_, FlowCounters>, Loss> {
        let flow = self.flows.look_up(key);
        if let Some(evicted) = flow.evicted {
            self.evicted_flows += 1;
            self.evicted_packets += evicted.packets();
        }
        Ok(flow.entry)
    }

    fn peer(&mut self, key: &PeerKey) -> Option<Entry<'_, PeerCounters>> {
        let peer = self.peers.look_up(key);
        self.evicted_peers += u64::from(peer.evicted.is_some());
        Some(peer.entry)
    }

    /// No service is limited in a replay.
    fn exempt(&mut self, _key: &FlowKey, _now_ns: u64) {}
}

impl Tables {
    /// Empty tables of at most `capacity` flows and as many peers.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let entries = Entries {
            flows: LruTable::new(capacity),
            peers: LruTable::new(capacity),
            evicted_flows: 0,
            evicted_packets: 0,
            evicted_peers: 0,
        };
        Self { entries, packet_counters: PacketCounters::default() }
    }

    /// Counts what parsing made of a frame, as the programs do: in its flow, its peer and the
    /// ledger, or in the ledger alone with the cause.
    pub fn count(
        &mut self,
        frame: &Frame,
        parsed: &Result<Packet, Rejected>,
        direction: Direction,
        ifindex: u32,
        now_ns: u64,
    ) {
        let parsed = parsed.as_ref().map_err(|rejected| *rejected);
        let observed = Observation { frame, parsed, direction, ifindex };
        meter(&mut self.entries, &mut self.packet_counters, &observed, || now_ns);
    }

    /// True where no frame was counted since the last [`Tables::take`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packet_counters.frames == [0; 2]
    }

    /// Takes what was counted, sorted by key, and starts anew.
    pub fn take(&mut self, start_ns: u64, end_ns: u64) -> Window {
        Window {
            start_ns,
            end_ns,
            flows: self.entries.flows.take_sorted(),
            peers: self.entries.peers.take_sorted(),
            packet_counters: std::mem::take(&mut self.packet_counters),
            evicted_flows: std::mem::take(&mut self.entries.evicted_flows),
            evicted_packets: std::mem::take(&mut self.entries.evicted_packets),
            unseen_packets: 0,
            evicted_peers: std::mem::take(&mut self.entries.evicted_peers),
        }
    }
}
