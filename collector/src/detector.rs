//! Detector: a window joined with its past, measured by both models, as evidence per peer.
//!
//! Each of the two models measures a row twice: by its isolation forest, which knows unusual
//! combinations, and by its novelty ([`model::novelty`]), which knows what never was. Each of the
//! four measures has a p-value from its own held-out benign rows; those of a peer's flows are
//! combined, and then the four, by Simes' rule, which holds under positive dependence.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    ops::Range,
};

use flows_common::TcpFlag;
use model::{
    Context, DetectorModel, Explanation, Feature, FeatureRange, FlowFeature, FlowRecord, ModelFile,
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
struct Rated {
    rows: Vec<f32>,
    scores: Vec<f32>,
    novelties: Vec<f32>,
}

impl Rated {
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
        let flows = Rated::of(self.model.flow(), schema::feature_rows(&flow_table)?);
        let peers = Rated::of(self.model.peer(), schema::feature_rows(&peer_table)?);

        let views: Vec<View> = observed
            .peers
            .iter()
            .enumerate()
            .map(|(index, peer)| View::of(&self.model, &flows, peer.flows.clone(), &peers, index))
            .collect();
        let evidence: Vec<Evidence> = observed
            .peers
            .iter()
            .zip(&views)
            .map(|(peer, view)| view.evidence(peer, &observed.flows[peer.flows.clone()]))
            .collect();
        let reasons = self.explain(&evidence, &views, &flows, &peers);
        Ok(Assessed { peers: evidence.len(), evidence, reasons })
    }

    fn explain(
        &self,
        evidence: &[Evidence],
        views: &[View],
        flows: &Rated,
        peers: &Rated,
    ) -> HashMap<IpAddr, Vec<Reason>> {
        let mut unusual: Vec<usize> =
            (0..evidence.len()).filter(|&index| evidence[index].excess > 0.0).collect();
        unusual.sort_by(|&a, &b| evidence[b].excess.total_cmp(&evidence[a].excess));
        unusual.truncate(EXPLAINED_LIMIT);
        unusual
            .into_iter()
            .map(|index| {
                let strongest = views[index].strongest();
                let reasons = match strongest.subject {
                    Subject::Peer => {
                        let row = peers.row(strongest.row);
                        reasons::<PeerFeature>(strongest, self.model.peer(), row)
                    }
                    Subject::Flow => {
                        let row = flows.row(strongest.row);
                        reasons::<FlowFeature>(strongest, self.model.flow(), row)
                    }
                };
                (evidence[index].address, reasons)
            })
            .collect()
    }
}

/// What one of the four measures (forest or novelty, of the peer or of its flows) says.
#[derive(Clone, Copy, Debug)]
struct Measure {
    subject: Subject,
    /// By the novelty; by the forest otherwise.
    novel: bool,
    /// The row it is about: the peer's, or that of its most anomalous flow.
    row: usize,
    score: f32,
    p_value: f64,
    excess: f64,
}

/// All measures of one peer in one window.
#[derive(Debug)]
struct View(Vec<Measure>);

impl View {
    fn of(
        model: &ModelFile,
        flows: &Rated,
        its_flows: Range<usize>,
        peers: &Rated,
        index: usize,
    ) -> Self {
        let (flow, peer) = (model.flow(), model.peer());
        let measures = [
            (Subject::Peer, false, peer.calibration(), &peers.scores, index..index + 1),
            (Subject::Peer, true, peer.novelty_calibration(), &peers.novelties, index..index + 1),
            (Subject::Flow, false, flow.calibration(), &flows.scores, its_flows.clone()),
            (Subject::Flow, true, flow.novelty_calibration(), &flows.novelties, its_flows),
        ];
        Self(
            measures
                .into_iter()
                .filter_map(|(subject, novel, calibration, scores, rows)| {
                    let row = rows.clone().max_by(|&a, &b| scores[a].total_cmp(&scores[b]))?;
                    let mut p_values: Vec<f64> =
                        rows.map(|row| calibration.p_value(scores[row]).marginal).collect();
                    Some(Measure {
                        subject,
                        novel,
                        row,
                        score: scores[row],
                        p_value: simes(&mut p_values),
                        excess: excess(scores[row], calibration.max()),
                    })
                })
                .collect(),
        )
    }

    /// The measure that lies farthest above its calibration.
    fn strongest(&self) -> Measure {
        let strongest = self.0.iter().max_by(|a, b| a.excess.total_cmp(&b.excess));
        *strongest.expect("the peer's own measures are always there")
    }

    fn evidence(&self, peer: &PeerRecord, flows: &[FlowRecord]) -> Evidence {
        let mut p_values: Vec<f64> = self.0.iter().map(|measure| measure.p_value).collect();
        let highest = |wanted: fn(&Measure) -> bool| {
            self.0.iter().filter(|one| wanted(one)).map(|one| one.score).fold(0.0, f32::max)
        };
        Evidence {
            address: address(peer.key.address),
            p_value: simes(&mut p_values),
            peer_score: highest(|one| one.subject == Subject::Peer && !one.novel),
            flow_score: highest(|one| one.subject == Subject::Flow && !one.novel),
            novelty: highest(|one| one.novel),
            excess: self.strongest().excess,
            packets: peer
                .directions
                .iter()
                .fold(0, |sum, way| u64::saturating_add(sum, way.packets)),
            verified: is_verified(flows),
        }
    }
}

/// The features behind a measure, in their natural units.
fn reasons<F: Feature>(measure: Measure, model: &DetectorModel, row: &[f32]) -> Vec<Reason> {
    let reason = |index: usize, value: f32, range: FeatureRange, share: f64| {
        let feature = F::ALL[index];
        Reason {
            subject: measure.subject,
            feature: feature.name().to_owned(),
            unit: feature.natural_unit().to_owned(),
            value: feature.natural(value),
            benign_low: feature.natural(range.p01),
            benign_high: feature.natural(range.p99),
            share,
        }
    };
    if measure.novel {
        let parts = model.novel_features(row);
        let all: f64 = parts.iter().map(|part| part.distance).sum();
        parts
            .iter()
            .take(REASONS_LIMIT)
            .map(|part| reason(part.feature, part.value, part.range, part.distance / all))
            .collect()
    } else {
        let explanation: Explanation = model.explain(row);
        explanation
            .leading(REASONS_LIMIT)
            .map(|part| reason(part.feature, part.value, part.range, part.share))
            .collect()
    }
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
