//! Assessment: the rows of a window, measured by both detectors, as what they say of each peer.
//!
//! Each of the two detectors measures a row twice: by its scorer, which knows unusual
//! combinations, and by its tails ([`tail::Tails`]), which know how far out the three oddest
//! features lie. Each of the four measures has a p-value from its own held-out benign rows, and a
//! surprise from their tail; those of a peer's flows are combined by Simes' rule, which holds under
//! positive dependence.
//!
//! - **The p-value** of a peer is that of the four by the same rule: what an error rate may be
//!   claimed by, and never below 1 in so many held-out rows.
//! - **The surprise** of a peer is −log10 of a chance too, and what a decision goes by. It tells
//!   apart what lies beyond every held-out row, and no single one of these decides over it.
//!
//! # Joint surprise
//!
//! Most of the budget of false alarms goes to the measures together: to e times the geometric mean
//! of their chances, weighted by [`WEIGHTS`], which is a chance whatever their dependence (Vovk and
//! Wang 2020, *Combining p-values via averaging*). Each measure by itself has [`ALONE`] of it, so
//! that what only one of them sees is seen: a combination by the forest, say. The surprise is the
//! greatest of the five.
//!
//! Found at 1 % and at 0.3 % of the benign remotes of three splits of captures, of 60 attacks
//! (`docs/detection.md`): the peers' tails alone 24 and 19, the greatest of four equal shares 24 and
//! 16, these 25 and 19, at thresholds that lie nearer to each other.
//!
//! Live scoring, `weir score`, `weir eval` and Python share this one definition.

mod measure;
mod reason;

use std::f64::consts::LOG10_E;
use std::ops::Range;

use crate::detector::DetectorModel;
use measure::{Measure, Rated};

pub use reason::{REASONS_LIMIT, Reason, Subject};

/// Peers of one window that are explained at most, the most anomalous first: a spoofed flood
/// must not buy time with explanations.
pub const EXPLAINED_LIMIT: usize = 32;

/// Weights of the measures in the joint surprise: the peer's tails and scorer, its flows' tails and
/// scorer. Of a peer without flows its own two share all.
pub const WEIGHTS: [f64; 4] = [0.6, 0.2, 0.15, 0.05];

/// Share of the budget of false alarms that each measure has by itself.
pub const ALONE: f64 = 0.004;

/// Surprise from which on a peer's features are named: one benign peer in a hundred.
pub const UNUSUAL: f64 = 2.0;

/// Assessment of a peer in a window by both detectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeerAssessment {
    /// The p-value of the peer and its flows together: the chance of a score as high in a
    /// benign window.
    pub p_value: f64,
    /// The same from calibration-conditional p-values, which hold for this calibration set
    /// ([`crate::PValue::conditional`]); never below `p_value`.
    pub conditional_p_value: f64,
    /// The peer detector's score, in [0, 1].
    pub peer_score: f32,
    /// The highest score among its flows, 0 with none.
    pub flow_score: f32,
    /// The highest tail score of the peer and its flows, in [0, 36].
    pub tail_score: f32,
    /// −log10 of the chance of all of these in a benign window, by the tails of their calibrations;
    /// at least 0. It claims no rate.
    pub surprise: f64,
    strongest: Measure,
}

/// A window's rows under both detectors; made by [`assess`].
#[derive(Debug)]
pub struct Assessment<'a> {
    flow: Rated<'a>,
    peer: Rated<'a>,
    peers: Vec<PeerAssessment>,
}

/// Scores the rows of one window and combines them by peer.
///
/// `flow_rows` and `peer_rows` are whole rows of the detectors' schemas, side by side;
/// `flows_of` tells for each peer row which flow rows are its own, possibly none.
///
/// # Panics
///
/// If the rows are not whole, or `flows_of` does not have one range for each peer row, each
/// within the flow rows.
#[must_use]
pub fn assess<'a>(
    flow: &'a DetectorModel,
    peer: &'a DetectorModel,
    flow_rows: &'a [f32],
    peer_rows: &'a [f32],
    flows_of: impl IntoIterator<Item = Range<usize>>,
) -> Assessment<'a> {
    let (flow, peer) = (Rated::new(flow, flow_rows), Rated::new(peer, peer_rows));
    let peers: Vec<PeerAssessment> = flows_of
        .into_iter()
        .enumerate()
        .map(|(index, flows)| {
            let own = peer
                .measures(Subject::Peer, index..index + 1)
                .map(|measure| measure.expect("a peer has a row of its own"));
            PeerAssessment::of(own, flow.measures(Subject::Flow, flows))
        })
        .collect();
    assert_eq!(peers.len(), peer.len(), "there must be one range of flows for each peer row");
    Assessment { flow, peer, peers }
}

impl PeerAssessment {
    fn of(peer: [Measure; 2], flows: [Option<Measure>; 2]) -> Self {
        let [score, tail] = peer;
        let [flow_score, flow_tail] = flows.map(|measure| measure.map_or(0.0, |one| one.score));
        let measures = [Some(score), Some(tail), flows[0], flows[1]];
        let there = || measures.iter().flatten();
        let together = |of: fn(&Measure) -> f64| {
            let (mut p_values, mut count) = ([0.0; 4], 0);
            for measure in there() {
                p_values[count] = of(measure);
                count += 1;
            }
            simes(&mut p_values[..count])
        };
        let (surprise, strongest) = surprise(&measures);
        Self {
            p_value: together(|measure| measure.p_value.marginal),
            conditional_p_value: together(|measure| measure.p_value.conditional),
            peer_score: score.score,
            flow_score,
            tail_score: tail.score.max(flow_tail),
            surprise,
            strongest,
        }
    }
}

impl Assessment<'_> {
    /// An assessment per peer row, in the rows' order.
    #[must_use]
    pub fn peers(&self) -> &[PeerAssessment] {
        &self.peers
    }

    /// The score of each flow row.
    #[must_use]
    pub fn flow_scores(&self) -> &[f32] {
        &self.flow.scores
    }

    /// The tail score of each flow row.
    #[must_use]
    pub fn flow_tail_scores(&self) -> &[f32] {
        &self.flow.tails
    }

    /// The peers of at least [`UNUSUAL`] surprise, by index, the most anomalous first; at most
    /// [`EXPLAINED_LIMIT`].
    #[must_use]
    pub fn unusual(&self) -> Vec<usize> {
        let mut unusual: Vec<usize> =
            (0..self.peers.len()).filter(|&index| self.peers[index].surprise >= UNUSUAL).collect();
        unusual.sort_by(|&a, &b| self.peers[b].surprise.total_cmp(&self.peers[a].surprise));
        unusual.truncate(EXPLAINED_LIMIT);
        unusual
    }

    /// The features behind a peer's strongest measure, in their natural units; at most
    /// [`REASONS_LIMIT`].
    ///
    /// # Panics
    ///
    /// If there is no peer of that index.
    #[must_use]
    pub fn reasons(&self, peer: usize) -> Vec<Reason> {
        let strongest = self.peers[peer].strongest;
        let rated = match strongest.subject {
            Subject::Peer => &self.peer,
            Subject::Flow => &self.flow,
        };
        reason::reasons(strongest, rated.detector, rated.row(strongest.row))
    }
}

/// The greatest of the joint surprise and of each measure's own, and the measure that it owes most
/// to.
fn surprise(measures: &[Option<Measure>]) -> (f64, Measure) {
    let there = || measures.iter().flatten();
    let sum = |of: fn(&Measure) -> f64| -> f64 { there().map(of).sum() };
    let mean = sum(|one| one.weight() * one.surprise) / sum(Measure::weight);
    let together = mean - LOG10_E + (1.0 - 4.0 * ALONE).log10();
    let most = |of: fn(&Measure) -> f64| {
        let one = there().max_by(|a, b| of(a).total_cmp(&of(b)));
        *one.expect("the peer's own measures are always there")
    };
    let alone = most(|one| one.surprise);
    let by_itself = alone.surprise + ALONE.log10();
    if by_itself > together {
        (by_itself.max(0.0), alone)
    } else {
        (together.max(0.0), most(|one| one.weight() * one.surprise))
    }
}

/// Simes' combination of p-values: `min over k of n p₍ₖ₎ / k` (Simes 1986).
///
/// It is a p-value for "none of them is anomalous" where they are independent or positively
/// dependent, as those of one peer's flows are. 1 for none; sorts `p_values`.
#[must_use]
pub fn simes(p_values: &mut [f64]) -> f64 {
    p_values.sort_unstable_by(f64::total_cmp);
    let n = p_values.len() as f64;
    p_values.iter().enumerate().map(|(index, p)| p * n / (index + 1) as f64).fold(1.0, f64::min)
}

#[cfg(test)]
mod tests {
    use linfa::ParamGuard;

    use super::*;
    use features::schema::{SchemaId, flow_schema_id, peer_schema_id};
    use features::{Feature, FlowFeature, PeerFeature};
    use forest::IsolationForest;

    /// Rows of a pattern that comes back after 101 of them.
    fn rows(count: usize, width: usize) -> Vec<f32> {
        (0..count * width).map(|i| (i * 7 % 101) as f32 / 101.0).collect()
    }

    fn detector(schema: SchemaId) -> DetectorModel {
        let width = schema.features.len();
        let rows = rows(400, width);
        let params = IsolationForest::params().n_trees(20).check().unwrap();
        let (train, held_out) = rows.split_at(200 * width);
        DetectorModel::fit(schema, train, held_out, &params).unwrap()
    }

    #[test]
    fn simes_of_one_is_itself_and_of_none_is_one() {
        assert_eq!(simes(&mut [0.03]).to_bits(), 0.03_f64.to_bits());
        assert_eq!(simes(&mut []).to_bits(), 1.0_f64.to_bits());
    }

    #[test]
    fn simes_takes_the_best_of_the_scaled_order_statistics() {
        // 0.04 * 3 / 1 = 0.12, 0.04 * 3 / 2 = 0.06, 0.9 * 3 / 3 = 0.9
        assert!((simes(&mut [0.9, 0.04, 0.04]) - 0.06).abs() < 1e-12);
    }

    #[test]
    fn the_peer_whose_flow_is_odd_is_unusual_and_its_feature_the_reason() {
        let (flow, peer) = (detector(flow_schema_id()), detector(peer_schema_id()));
        let (flows, peers) = (FlowFeature::ALL.len(), PeerFeature::ALL.len());
        let (mut flow_rows, peer_rows) = (rows(3, flows), rows(3, peers));
        flow_rows[2 * flows + 4] = 50.0;
        let assessment = assess(&flow, &peer, &flow_rows, &peer_rows, [0..1, 1..1, 1..3]);
        assert_eq!(assessment.unusual(), [2]);
        let odd = assessment.peers()[2];
        assert!(odd.p_value < assessment.peers()[0].p_value && odd.surprise > 4.0, "{odd:?}");
        assert!(assessment.peers()[1].flow_score.abs() < f32::EPSILON, "it has no flow");
        let reason = &assessment.reasons(2)[0];
        assert_eq!((reason.subject, &*reason.feature), (Subject::Flow, FlowFeature::ALL[4].name()));
        assert_eq!(reason.unit, FlowFeature::ALL[4].natural_unit());
    }

    #[test]
    fn a_window_without_peers_says_nothing() {
        let (flow, peer) = (detector(flow_schema_id()), detector(peer_schema_id()));
        let assessment = assess(&flow, &peer, &[], &[], []);
        assert!(assessment.peers().is_empty() && assessment.unusual().is_empty());
    }
}
