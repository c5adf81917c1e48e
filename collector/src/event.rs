//! Events: [`events`], and how a window of this process becomes one.

pub use events::{
    ActEvent, ActionTaken, ClosedEvent, DecisionRecord, DifferenceEvent, DriftEvent, Event,
    ExpiredEvent, FailureEvent, NoticeEvent, OutageEvent, ServiceEvent, SiteEvent, WindowEvent,
};
use flows_common::{EtherClass, Loss};
use model::Window;

/// Describes a window; the caller fills in what it alone knows.
#[must_use]
pub fn window_event(number: u64, window: &Window) -> WindowEvent {
    let ledger = &window.packet_counters;
    let losses = Loss::ALL.iter().map(|loss| (loss.name().into(), ledger.losses[loss.index()]));
    let not_ip =
        EtherClass::ALL.iter().map(|class| (class.name().into(), ledger.not_ip[class.index()]));
    WindowEvent {
        number,
        start_ns: window.start_ns,
        end_ns: window.end_ns,
        flows: window.flows.len(),
        peers: 0,
        packets: ledger.segments,
        frames: ledger.frames,
        packets_in_flows: window.drained_packets(),
        losses: losses.filter(|&(_, packets)| packets > 0).collect(),
        not_ip: not_ip.filter(|&(_, packets)| packets > 0).collect(),
        evicted: [window.evicted_flows, window.evicted_packets],
        unseen: window.unseen_packets,
        evicted_peers: window.evicted_peers,
        untold: 0,
        imbalance: i64::try_from(window.imbalance()).unwrap_or(i64::MAX),
        decided_after_us: 0,
        late: 0,
    }
}
