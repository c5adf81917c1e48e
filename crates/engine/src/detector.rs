//! Detector: a window joined with its past, measured by both models, as evidence per peer.
//!
//! What is measured and how it is combined is [`model::assess`]'s; here the rows come from live
//! windows, and the policy's questions are answered.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
};

use flows_common::{Direction, TcpFlag};
use model::{
    Context, Feature, FlowFeature, FlowRecord, Handshake, ModelFile, Observed, PeerFeature,
    PeerRecord, Window,
    assess::{PeerAssessment, assess},
    record::{PeerDirection, TCP, UDP},
};
use policy::{Evidence, Reason, Service, WindowFacts, statistics::Drift};

use crate::drift::{DriftSensor, Rows};

/// What a detector found in one window.
#[derive(Debug, Default)]
pub struct Assessed {
    /// Peers in the window.
    pub peers: usize,
    /// One per peer, in the order of address.
    pub evidence: Vec<Evidence>,
    /// Why, for those above the calibration's range.
    pub reasons: HashMap<IpAddr, Vec<Reason>>,
    /// Whether benign traffic still is as in training.
    pub drift: Drift,
    /// Blocking is suspended from this window on, or not any more.
    pub drift_changed: bool,
}

impl Assessed {
    /// What the policy is told of the window that was assessed.
    #[must_use]
    pub fn facts(&self, window: &Window) -> WindowFacts {
        WindowFacts { drifting: self.drift.suspended, ..window_facts(window) }
    }
}

/// Draws which p-values the drift watch bets on.
const DRIFT_SEED: u64 = 0;

/// Scores windows in their order; the past is part of the features.
pub struct Detector {
    context: Context,
    model: ModelFile,
    /// Kept between windows for its room only.
    observed: Observed,
    drift: DriftSensor,
}

impl std::fmt::Debug for Detector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detector").finish_non_exhaustive()
    }
}

impl Detector {
    /// A detector that starts from a context: an empty one, or the one that learning ended with.
    #[must_use]
    pub fn new(model: ModelFile, context: Context) -> Self {
        let drift = DriftSensor::new(&model, DRIFT_SEED);
        Self { context, model, observed: Observed::default(), drift }
    }

    /// The model it scores with.
    #[must_use]
    pub const fn model(&self) -> &ModelFile {
        &self.model
    }

    /// The records of the last window that was assessed.
    #[must_use]
    pub const fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Joins a window with the past and scores its flows and peers.
    ///
    /// The rows are filled by [`Feature::fill`], as the columns of a captured table are: one
    /// definition of a feature, with no table in between.
    pub fn assess(&mut self, window: &Window) -> Assessed {
        self.context.observe_into(window, &mut self.observed);
        let Observed { flows, peers } = &self.observed;
        let flow_rows = FlowFeature::rows(flows);
        let peer_rows = PeerFeature::rows(peers);
        let flows_of: Vec<_> = peers.iter().map(|peer| peer.flows.clone()).collect();
        let (flow, peer) = (self.model.flow(), self.model.peer());
        let assessment = assess(flow, peer, &flow_rows, &peer_rows, flows_of.iter().cloned());
        let mut drift_changed = false;
        if !window.is_lossy() {
            let rows = Rows {
                assessment: &assessment,
                flows: &flow_rows,
                peers: &peer_rows,
                flows_of: &flows_of,
            };
            drift_changed = self.drift.take(&self.model, rows);
        }
        let evidence: Vec<Evidence> = peers
            .iter()
            .zip(assessment.peers())
            .map(|(peer, assessed)| evidence(peer, *assessed, &flows[peer.flows.clone()]))
            .collect();
        let reasons = assessment
            .unusual()
            .into_iter()
            .map(|index| (evidence[index].address, assessment.reasons(index)))
            .collect();
        let drift = self.drift.drift().clone();
        Assessed { peers: evidence.len(), evidence, reasons, drift, drift_changed }
    }
}

fn evidence(peer: &PeerRecord, assessed: PeerAssessment, flows: &[FlowRecord]) -> Evidence {
    Evidence {
        address: address(peer.key.address),
        p_value: assessed.p_value,
        conditional_p_value: assessed.conditional_p_value,
        peer_score: assessed.peer_score,
        flow_score: assessed.flow_score,
        novelty: assessed.novelty,
        excess: assessed.excess,
        packets: both(peer, |way| way.packets),
        bytes: both(peer, |way| way.bytes),
        verified: is_verified(flows),
        initiated: flows.iter().any(is_initiated),
        service: attacked_service(flows),
    }
}

/// Whether the host itself opened a flow, and somebody there answered.
///
/// A TCP flow whose SYN was never seen may have been opened by either side, and an ICMP message to
/// a remote is most often the host's complaint about what that remote sent: neither is a choice.
fn is_initiated(flow: &FlowRecord) -> bool {
    let opened = match flow.key.protocol {
        TCP => flow.handshake != Handshake::Unseen,
        UDP => true,
        _ => false,
    };
    opened && flow.initiator == Direction::Egress && flow.ingress().packets > 0
}

fn both(peer: &PeerRecord, of: impl Fn(&PeerDirection) -> u64) -> u64 {
    peer.directions.iter().map(of).fold(0, u64::saturating_add)
}

/// The service that most packets of a peer went to, among the flows that it opened itself.
fn attacked_service(flows: &[FlowRecord]) -> Option<Service> {
    let mut packets: BTreeMap<Service, u64> = BTreeMap::new();
    for flow in flows.iter().filter(|flow| flow.initiator == Direction::Ingress) {
        let service = Service { protocol: flow.key.protocol, port: flow.key.local_port };
        let sum = packets.entry(service).or_default();
        *sum = sum.saturating_add(flow.ingress().packets);
    }
    // Of equals the lowest: the same window gives the same service.
    packets.into_iter().rev().max_by_key(|&(_, packets)| packets).map(|(service, _)| service)
}

/// Whether most of what a peer sent belongs to TCP connections that it took part in.
///
/// A forged source never sees the host's SYN-ACK, so it can neither acknowledge it nor make the
/// host go on; the owner of the forged address answers a stray SYN-ACK with an RST that has no
/// ACK. A blind ACK makes the host answer with an RST.
fn is_verified(flows: &[FlowRecord]) -> bool {
    let packets = |flow: &FlowRecord| flow.ingress().packets;
    let sent = flows.iter().map(packets).fold(0, u64::saturating_add);
    let verified = flows
        .iter()
        .filter(|flow| {
            flow.ingress().flags[TcpFlag::Ack.index()] > 0
                && flow.egress().packets > 0
                && flow.egress().flags[TcpFlag::Rst.index()] == 0
        })
        .map(packets)
        .fold(0, u64::saturating_add);
    sent > 0 && verified >= sent.div_ceil(2)
}

/// The address of a 16-byte form.
#[must_use]
pub fn address(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}

/// What a window tells of itself; [`Assessed::facts`] adds what its rows tell.
#[must_use]
pub fn window_facts(window: &Window) -> WindowFacts {
    WindowFacts {
        start_ns: window.start_ns,
        end_ns: window.end_ns,
        lossy: window.is_lossy(),
        interrupted: false,
        drifting: false,
        warming_up: false,
    }
}
