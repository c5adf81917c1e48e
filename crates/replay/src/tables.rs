//! The host's side of what the flow programs do with a packet: the same parsing and the same
//! counters, over tables in memory.

use flows_common::{
    Direction, FlowCounters, FlowKey, Ledger, PeerCounters, PeerKey,
    account::{note_peer, update},
    parse::{Frame, Packet, Rejected},
};
use model::Window;

use super::table::LruTable;

/// One window's flows, peers and ledger: what a CPU of the live collector holds in its maps.
///
/// Unlike the kernel's tables these never refuse an entry, so that `Loss::TableFull` does not
/// occur; what they evict is counted exactly.
#[derive(Debug)]
pub struct Tables {
    flows: LruTable<FlowKey, FlowCounters>,
    peers: LruTable<PeerKey, PeerCounters>,
    ledger: Ledger,
    evicted_flows: u64,
    evicted_packets: u64,
}

impl Tables {
    /// Empty tables of at most `capacity` flows and as many peers.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            flows: LruTable::new(capacity),
            peers: LruTable::new(capacity),
            ledger: Ledger::default(),
            evicted_flows: 0,
            evicted_packets: 0,
        }
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
        let packet = match parsed {
            Ok(packet) => packet,
            Err(rejected) => {
                self.ledger.see(direction, u64::from(frame.length), frame.segments());
                self.ledger.lose(*rejected, frame.segments());
                return;
            }
        };
        self.ledger.see(direction, u64::from(frame.length), u64::from(packet.segments));
        let key = FlowKey::of(packet, direction, ifindex);
        let flow = self.flows.look_up(&key);
        self.ledger.flow_inserts += u64::from(flow.inserted);
        if let Some(evicted) = flow.evicted {
            self.evicted_flows += 1;
            self.evicted_packets += evicted.packets();
        }
        let news = update(flow.value, packet, direction, now_ns);
        if news.any() {
            let peer = self.peers.look_up(&PeerKey { address: key.remote });
            self.ledger.peer_inserts += u64::from(peer.inserted);
            note_peer(peer.value, &key, news, direction, now_ns);
        }
    }

    /// Whether no frame was counted since the last [`Tables::take`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ledger.frames == [0; 2]
    }

    /// Takes what was counted, sorted by key, and starts anew.
    pub fn take(&mut self, start_ns: u64, end_ns: u64) -> Window {
        Window {
            start_ns,
            end_ns,
            flows: self.flows.take_sorted(),
            peers: self.peers.take_sorted(),
            ledger: std::mem::take(&mut self.ledger),
            evicted_flows: std::mem::take(&mut self.evicted_flows),
            evicted_packets: std::mem::take(&mut self.evicted_packets),
        }
    }
}
