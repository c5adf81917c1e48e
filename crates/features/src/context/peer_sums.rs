//! Counts of a peer in a window and standing, flow by flow.

use flows_common::{Direction, PeerCounters, Span, Standing, TcpFlag};

use crate::context::entities::service_of;
use crate::context::news::FlowNews;
use crate::context::tally::At;
use crate::counts::sketch::{hash, of_bitmap, words};
use crate::counts::{NewOfFlow, Outcomes, Part as _, PeerCounts, ServiceUse, narrow};
use crate::facts::PeerFacts;
use crate::flow_record::{FlowRecord, TCP};
use crate::kind::Horizons;

const IN: usize = Direction::Ingress.index();
const OUT: usize = Direction::Egress.index();

/// The counts of one peer in one window, filled flow by flow.
///
/// It is reused from peer to peer, so that a window of many small peers does not allocate.
#[derive(Default)]
pub(crate) struct PeerSums {
    counts: PeerCounts,
    /// Service, start, and flows opened, of each flow that started.
    starts: Vec<(u64, u64, u32)>,
    /// What is known of flows, by opener and service.
    known: Vec<(Direction, u64, Outcomes, f32)>,
    flows: u32,
    tcp_flows: u32,
    flows_with_ingress: u64,
    is_pending: bool,
}

impl PeerSums {
    /// Starts the next peer.
    pub(crate) fn clear(&mut self) {
        self.counts = PeerCounts::default();
        self.starts.clear();
        self.known.clear();
        (self.flows, self.tcp_flows, self.flows_with_ingress) = (0, 0, 0);
        self.is_pending = false;
    }

    /// Adds a flow.
    pub(crate) fn add(
        &mut self,
        flow: &FlowRecord,
        news: &FlowNews,
        new: NewOfFlow,
        at: &At,
        horizons: Horizons,
    ) {
        let opener = news.initiator;
        let service = service_of(&flow.key, opener);
        self.flows += 1;
        self.tcp_flows += u32::from(flow.key.protocol == TCP);
        self.flows_with_ingress += u64::from(flow.ingress().packets > 0);
        self.is_pending |= news.is_pending;
        let counts = &mut self.counts;
        counts.traffic.add_flow(flow);
        let active = at.newly_active(news, horizons);
        counts.active.iter_mut().zip(active).for_each(|(sum, one)| *sum = sum.saturating_add(one));
        if news.opened > 0 {
            counts.flows[opener.index()] = counts.flows[opener.index()].saturating_add(news.opened);
            counts.new_targets[opener.index()] += new.target;
            match opener {
                Direction::Ingress => {
                    let [upper, lower] = words(flow.key.local);
                    counts.targets.note(hash([upper, lower, service]));
                    counts.hosts.note(hash([upper, lower]));
                }
                Direction::Egress => counts.services.note(hash([service])),
            }
        }
        if let Some(start_ns) = news.start_ns {
            self.starts.push((service, start_ns, news.opened));
        }
        if !news.outcomes.is_none() {
            self.known.push((opener, service, news.outcomes, new.target));
        }
        self.add_unscored(flow, news);
    }

    fn add_unscored(&mut self, flow: &FlowRecord, news: &FlowNews) {
        let unscored = &mut self.counts.unscored;
        if flow.ingress().packets > 0 {
            unscored.note_ttl((flow.ingress().ttl_min, flow.ingress().ttl_max));
        }
        if let Some(handshake_ns) = news.handshake_ns.filter(|_| news.newly_timed) {
            unscored.handshakes += 1;
            unscored.handshake_us = unscored.handshake_us.saturating_add(handshake_ns / 1_000);
        }
        for one in &flow.counters.directions {
            if flow.key.protocol == TCP {
                unscored.tcp_packets = unscored.tcp_packets.saturating_add(one.packets);
            }
            unscored.retransmissions = unscored.retransmissions.saturating_add(one.retransmissions);
            unscored.zero_windows = unscored.zero_windows.saturating_add(one.zero_windows);
            unscored.fragments = unscored.fragments.saturating_add(one.fragments);
            unscored.icmp_errors = unscored.icmp_errors.saturating_add(one.icmp_errors);
        }
    }

    /// True once it has a flow.
    pub(crate) const fn has_flows(&self) -> bool {
        self.flows > 0
    }

    /// True where outcomes of its flows are to come.
    pub(crate) const fn is_pending(&self) -> bool {
        self.is_pending
    }

    /// Where the window lost flows, which count as nobody's in particular: takes the larger of what
    /// the flows say and what the peer's own counters say.
    ///
    /// A flow evicted and made again counts twice in `flow_inserts`, so that the flows are then an
    /// upper bound. Only inserts by ingress packets are compared: egress packets of one flow may
    /// come from several CPUs, each of which makes an entry.
    pub(crate) fn take_larger(&mut self, lost: &Lost) {
        let Lost { counters: noted, vouched_ports } = lost;
        let counts = &mut self.counts;
        let lost_flows = narrow(noted.flow_inserts[IN].saturating_sub(self.flows_with_ingress));
        let lost =
            [lost_flows, narrow(noted.syns[OUT]).saturating_sub(counts.traffic.openings[OUT])];
        for (side, other) in [(IN, OUT), (OUT, IN)] {
            counts.flows[side] = counts.flows[side].saturating_add(lost[side]);
            for active in &mut counts.active {
                *active = active.saturating_add(lost[side]);
            }
            let failed = narrow(noted.syns[side].saturating_sub(noted.syn_acks[other]));
            let openings = &mut counts.traffic.openings[side];
            *openings = (*openings).max(narrow(noted.syns[side]));
            counts.traffic.resets[side] =
                counts.traffic.resets[side].max(narrow(noted.resets[side]));
            counts.outcomes[side].failed = counts.outcomes[side].failed.max(failed);
        }
        // Ports of flows that the host opened are in the bitmap, too, and those of vouched ones.
        let vouched = counts.flows[OUT].saturating_add(*vouched_ports);
        let ports = of_bitmap(noted.local_ports) - f64::from(vouched);
        let unseen = (ports - counts.targets.count()).max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 256 ln 512, about 1597"
        )]
        let unseen = unseen as u32;
        counts.unseen_targets = unseen;
        counts.new_targets[IN] += unseen as f32;
    }

    /// The counts of a standing, once all its flows are in; the peer has so many open TCP flows.
    pub(crate) fn finish(
        &mut self,
        standing: Standing,
        flows: &[FlowRecord],
        open: u32,
        window: Span,
    ) -> PeerCounts {
        self.starts.sort_unstable();
        for run in self.starts.chunk_by(|one, next| one.0 == next.0) {
            let mut used = ServiceUse::default();
            for &(_, start_ns, opened) in run {
                used.merge(&ServiceUse::started(opened, start_ns));
            }
            self.counts.busiest.add(run[0].0, &used);
        }
        for (opener, service, outcomes, new) in self.known.drain(..) {
            self.counts.judge(opener, service, &outcomes, new);
        }
        self.counts.idle_open_flows = open.saturating_sub(self.tcp_flows);
        self.counts.facts = PeerFacts::of(standing, flows, window);
        self.counts
    }
}

/// A peer's own counters without what its vouched flows brought them: what is left are its unproven
/// flows and those that were lost.
pub(crate) struct Lost {
    counters: PeerCounters,
    /// Local ports of its vouched flows.
    vouched_ports: u32,
}

impl Lost {
    /// From the counters of a peer with these flows, ordered by standing and local port.
    pub(crate) fn of(noted: &PeerCounters, flows: &[FlowRecord]) -> Self {
        let vouched = || flows.iter().filter(|flow| flow.standing != Standing::Unproven);
        let mut counters = *noted;
        let take = |count: &mut u64, part: u64| *count = count.saturating_sub(part);
        for flow in vouched() {
            for (way, one) in flow.counters.directions.iter().enumerate() {
                let has_reset = one.flags[TcpFlag::Rst.index()] > 0;
                take(&mut counters.flow_inserts[way], u64::from(one.packets > 0));
                take(&mut counters.syns[way], u64::from(flow.counters.openings[way]));
                take(&mut counters.syn_acks[way], u64::from(flow.counters.syn_acks[way]));
                take(&mut counters.resets[way], u64::from(has_reset));
            }
        }
        let mut ports: Vec<(Standing, u16)> =
            vouched().map(|flow| (flow.standing, flow.key.local_port)).collect();
        ports.dedup();
        Self { counters, vouched_ports: narrow(ports.len() as u64) }
    }

    /// True where something is left.
    pub(crate) const fn has_any(&self) -> bool {
        let PeerCounters { flow_inserts, syns, .. } = &self.counters;
        flow_inserts[IN] > 0 || syns[IN] > 0 || syns[OUT] > 0
    }
}
