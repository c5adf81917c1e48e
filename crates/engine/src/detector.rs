//! Detector: a window joined with its past, measured by both models, as evidence per peer.
//!
//! What is measured and how it is combined is [`model::assess`]'s; here the rows come from live
//! windows, and the policy's questions are answered.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use flows_common::{Direction, TcpFlag};
use model::{
    CALIBRATION_ROWS, Calibration, Context, ContextCount, Feature, FlowFeature, FlowRecord,
    Handshake, ModelFile, Observed, PeerFeature, PeerRecord, WARM_UP, Window,
    assess::{PeerAssessment, assess},
    record::{PeerDirection, TCP, UDP},
};
use policy::{
    Evidence, Reason, Service, WindowFacts,
    statistics::{Basis, Drift, HeldOut},
};

use crate::drift::{DriftSensor, Rows};

/// A window of more than so many times its configured length is no measure of a rate.
const LONGEST_WINDOW: u32 = 3;

/// Facts of a window's arrival, which its counters do not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// The machine was suspended while the window ran.
    pub slept: bool,
}

/// Evidence of one window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assessed {
    /// Number of the window, from 1.
    pub number: u64,
    /// Facts of the window that the policy goes by.
    pub facts: WindowFacts,
    /// One per peer, in the order of address.
    pub evidence: Vec<Evidence>,
    /// Why, for those above the calibration's range.
    pub reasons: HashMap<IpAddr, Vec<Reason>>,
    /// Whether benign traffic still is as in training.
    pub drift: Drift,
    /// Blocking is suspended from this window on, or not any more.
    pub drift_changed: bool,
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
    longest: Duration,
    /// Windows at the start in which nobody is blocked anew.
    warm_up: u64,
    number: u64,
}

impl std::fmt::Debug for Detector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detector").finish_non_exhaustive()
    }
}

impl Detector {
    /// A detector of windows of a configured length that starts from a context: an empty one, or
    /// the one that learning ended with. An empty one takes every flow for new, so that its first
    /// [`WARM_UP`] windows are told as warming up.
    #[must_use]
    pub fn new(model: ModelFile, context: Context, window: Duration) -> Self {
        let drift = DriftSensor::new(&model, DRIFT_SEED);
        let warm_up = if context.size() == ContextCount::default() { WARM_UP } else { 0 };
        Self {
            context,
            model,
            observed: Observed::default(),
            drift,
            longest: window * LONGEST_WINDOW,
            warm_up,
            number: 0,
        }
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
    pub fn assess(&mut self, window: &Window, arrival: Arrival) -> Assessed {
        self.number += 1;
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
        let length = Duration::from_nanos(window.end_ns.saturating_sub(window.start_ns));
        let facts = WindowFacts {
            start_ns: window.start_ns,
            end_ns: window.end_ns,
            lossy: window.is_lossy(),
            interrupted: arrival.slept || length > self.longest,
            drifting: drift.suspended,
            warming_up: self.number <= self.warm_up,
        };
        Assessed { number: self.number, facts, evidence, reasons, drift, drift_changed }
    }
}

/// Facts of a model file's calibration that the policy's claims rest on.
#[must_use]
pub fn basis(model: &ModelFile) -> Basis {
    let held_out = |calibration: &Calibration| calibration.held_out() as u64;
    let (flow, peer) = (model.flow(), model.peer());
    let of_peers = &model.manifest().peer;
    let rows = (of_peers.training_rows + of_peers.held_out_rows) as f64;
    let windows = of_peers.training.windows.filter(|windows| *windows > 0);
    Basis {
        held_out: HeldOut {
            flow_scores: held_out(flow.calibration()),
            flow_novelties: held_out(flow.novelty_calibration()),
            peer_scores: held_out(peer.calibration()),
            peer_novelties: held_out(peer.novelty_calibration()),
        },
        peers_per_window: windows.map(|windows| rows / windows as f64),
        held_out_share: of_peers.held_out_rows as f64 / rows.max(1.0),
        most_rows: CALIBRATION_ROWS as u64,
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
