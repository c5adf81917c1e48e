//! Detector: a window joined with its past, scored by both models, as evidence per peer.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
};

use flows_common::{Direction, TcpFlag};
use model::{
    Context, DetectorModel, Explanation, Feature, FlowFeature, FlowRecord, ModelFile, Observed,
    PeerFeature, PeerRecord, Window, schema,
};

use crate::policy::{Evidence, Reason, Subject, simes};

/// Peers of one window that are explained at most, the most anomalous first: a spoofed flood
/// must not buy time with explanations.
pub const EXPLAINED_LIMIT: usize = 32;
/// Features named at most in one explanation.
pub const REASONS_LIMIT: usize = 4;

/// What a detector found in one window.
#[derive(Debug, Default)]
pub struct Assessed {
    /// Peers in the window.
    pub peers: usize,
    /// One per peer, in the order of address.
    pub evidence: Vec<Evidence>,
    /// Why, for those above the calibration's range.
    pub reasons: HashMap<IpAddr, Vec<Reason>>,
}

/// Scores windows in their order; the past is part of the features.
pub struct Detector {
    context: Context,
    model: ModelFile,
}

impl std::fmt::Debug for Detector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detector").finish_non_exhaustive()
    }
}

/// A window's rows under one model, with their scores and novelties.
struct Scores {
    rows: Vec<f32>,
    scores: Vec<f32>,
    novelties: Vec<f32>,
}

impl Scores {
    fn of(model: &DetectorModel, rows: Vec<f32>) -> Self {
        let width = model.forest().n_features();
        let mut scores = vec![0.0; rows.len() / width];
        model.forest().score_rows(&rows, &mut scores);
        let novelties = rows.chunks_exact(width).map(|row| model.novelty(row)).collect();
        Self { rows, scores, novelties }
    }

    fn row(&self, index: usize) -> &[f32] {
        let width = self.rows.len() / self.scores.len();
        &self.rows[index * width..][..width]
    }
}

impl Detector {
    /// A detector that starts from a context: an empty one, or the one that learning ended with.
    #[must_use]
    pub const fn new(model: ModelFile, context: Context) -> Self {
        Self { context, model }
    }

    /// The model it scores with.
    #[must_use]
    pub const fn model(&self) -> &ModelFile {
        &self.model
    }

    /// Joins a window with the past and scores its flows and peers.
    ///
    /// # Errors
    /// The feature table and the model do not fit, which loading the model excludes.
    pub fn assess(&mut self, window: &Window) -> anyhow::Result<Assessed> {
        let observed = self.context.observe(window);
        // The same table that is captured, trained on and shown: there is no second way in.
        let flow_table = schema::flow_batch(&observed.flows, window);
        let peer_table = schema::peer_batch(&observed.peers, window);
        let flows = Scores::of(self.model.flow(), schema::feature_rows(&flow_table)?);
        let peers = Scores::of(self.model.peer(), schema::feature_rows(&peer_table)?);

        let evidence: Vec<Evidence> = observed
            .peers
            .iter()
            .enumerate()
            .map(|(index, peer)| {
                self.weigh(peer, &observed.flows[peer.flows.clone()], peers.scores[index], {
                    &flows.scores[peer.flows.clone()]
                })
            })
            .collect();
        let reasons = self.explain(&observed, &evidence, &flows, &peers);
        Ok(Assessed { peers: evidence.len(), evidence, reasons })
    }

    fn weigh(
        &self,
        peer: &PeerRecord,
        flows: &[FlowRecord],
        peer_score: f32,
        flow_scores: &[f32],
    ) -> Evidence {
        let flow_calibration = self.model.flow().calibration();
        let peer_calibration = self.model.peer().calibration();
        let mut flow_p: Vec<f64> =
            flow_scores.iter().map(|&score| flow_calibration.p_value(score).marginal).collect();
        let peer_p = peer_calibration.p_value(peer_score).marginal;
        let p_value = if flow_p.is_empty() {
            peer_p
        } else {
            simes(&mut [peer_p, simes(&mut flow_p)])
        };
        let flow_score = flow_scores.iter().copied().fold(0.0, f32::max);
        let locally_opened =
            flows.iter().filter(|flow| flow.initiator == Direction::Egress).count();
        Evidence {
            address: address(peer.key.address),
            p_value,
            peer_score,
            flow_score,
            excess: excess(peer_score, peer_calibration.max())
                .max(excess(flow_score, flow_calibration.max())),
            packets: peer
                .directions
                .iter()
                .fold(0, |sum, way| u64::saturating_add(sum, way.packets)),
            verified: is_verified(flows),
            locally_initiated: !flows.is_empty() && locally_opened * 2 >= flows.len(),
        }
    }

    fn explain(
        &self,
        observed: &Observed,
        evidence: &[Evidence],
        flows: &Scores,
        peers: &Scores,
    ) -> HashMap<IpAddr, Vec<Reason>> {
        let mut unusual: Vec<usize> =
            (0..evidence.len()).filter(|&index| evidence[index].excess > 0.0).collect();
        unusual.sort_by(|&a, &b| evidence[b].excess.total_cmp(&evidence[a].excess));
        unusual.truncate(EXPLAINED_LIMIT);
        unusual
            .into_iter()
            .map(|index| {
                let (flow, peer) = (self.model.flow(), self.model.peer());
                let of_peer = excess(evidence[index].peer_score, peer.calibration().max());
                let of_flow = excess(evidence[index].flow_score, flow.calibration().max());
                let worst = observed.peers[index]
                    .flows
                    .clone()
                    .max_by(|&a, &b| flows.scores[a].total_cmp(&flows.scores[b]));
                let reasons = match worst {
                    Some(worst) if of_flow > of_peer => {
                        reasons::<FlowFeature>(Subject::Flow, flow, flows.row(worst))
                    }
                    _ => reasons::<PeerFeature>(Subject::Peer, peer, peers.row(index)),
                };
                (evidence[index].address, reasons)
            })
            .collect()
    }
}

fn reasons<F: Feature>(subject: Subject, model: &DetectorModel, row: &[f32]) -> Vec<Reason> {
    let explanation: Explanation = model.explain(row);
    explanation
        .leading(REASONS_LIMIT)
        .map(|part| {
            let feature = F::from_name(&part.name);
            let natural = |value| feature.map_or(value, |feature| feature.natural(value));
            Reason {
                subject,
                feature: part.name.clone(),
                unit: feature.map_or("", F::natural_unit).to_owned(),
                value: natural(part.value),
                benign_low: natural(part.range.p01),
                benign_high: natural(part.range.p99),
                share: part.share as f32,
            }
        })
        .collect()
}

/// How far a score lies above the highest calibration score, as a share of the way to 1.
fn excess(score: f32, highest: f32) -> f64 {
    (f64::from(score) - f64::from(highest)) / (1.0 - f64::from(highest)).max(f64::EPSILON)
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
