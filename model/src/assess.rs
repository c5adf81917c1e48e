//! Assessment: the rows of a window, measured by both detectors, as what they say of each peer.
//!
//! Each of the two detectors measures a row twice: by its scorer, which knows unusual
//! combinations, and by its novelty ([`crate::novelty`]), which knows what never was. Each of the
//! four measures has a p-value from its own held-out benign rows; those of a peer's flows are
//! combined, and then the four, by Simes' rule, which holds under positive dependence.
//!
//! Live scoring, `weir score`, `weir eval` and Python share this one definition.

mod measure;
mod reason;

use std::ops::Range;

use crate::detector::DetectorModel;
use measure::{Measure, Rated};

pub use reason::{REASONS_LIMIT, Reason, Subject};

/// Peers of one window that are explained at most, the most anomalous first: a spoofed flood
/// must not buy time with explanations.
pub const EXPLAINED_LIMIT: usize = 32;

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
    /// The highest novelty of the peer and its flows, in [0, 1).
    pub novelty: f32,
    /// Excess of the most excessive of these over its highest calibration score, as a share of the
    /// way from there to 1; below 0 within the calibration's range. A novelty is held against 0.62
    /// at least, so that one feature alone never reaches one half.
    pub excess: f64,
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
            let [peer_score, peer_novelty] = peer
                .measures(Subject::Peer, index..index + 1)
                .map(|measure| measure.expect("a peer has a row of its own"));
            let [flow_score, flow_novelty] = flow.measures(Subject::Flow, flows);
            PeerAssessment::of(peer_score, peer_novelty, flow_score, flow_novelty)
        })
        .collect();
    assert_eq!(peers.len(), peer.len(), "there must be one range of flows for each peer row");
    Assessment { flow, peer, peers }
}

impl PeerAssessment {
    fn of(
        peer_score: Measure,
        peer_novelty: Measure,
        flow_score: Option<Measure>,
        flow_novelty: Option<Measure>,
    ) -> Self {
        let measures = [Some(peer_score), Some(peer_novelty), flow_score, flow_novelty];
        let measures = || measures.iter().flatten();
        let together = |of: fn(&Measure) -> f64| {
            let (mut p_values, mut count) = ([0.0; 4], 0);
            for measure in measures() {
                p_values[count] = of(measure);
                count += 1;
            }
            simes(&mut p_values[..count])
        };
        let strongest = measures().max_by(|a, b| a.excess.total_cmp(&b.excess));
        let strongest = *strongest.expect("the peer's own measures are always there");
        Self {
            p_value: together(|measure| measure.p_value.marginal),
            conditional_p_value: together(|measure| measure.p_value.conditional),
            peer_score: peer_score.score,
            flow_score: flow_score.map_or(0.0, |measure| measure.score),
            novelty: peer_novelty.score.max(flow_novelty.map_or(0.0, |measure| measure.score)),
            excess: strongest.excess,
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

    /// The novelty of each flow row.
    #[must_use]
    pub fn flow_novelties(&self) -> &[f32] {
        &self.flow.novelties
    }

    /// The peers above the calibration's range, by index, the most anomalous first; at most
    /// [`EXPLAINED_LIMIT`].
    #[must_use]
    pub fn unusual(&self) -> Vec<usize> {
        let mut unusual: Vec<usize> =
            (0..self.peers.len()).filter(|&index| self.peers[index].excess > 0.0).collect();
        unusual.sort_by(|&a, &b| self.peers[b].excess.total_cmp(&self.peers[a].excess));
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
        assert!(odd.p_value < assessment.peers()[0].p_value && odd.novelty > 0.5, "{odd:?}");
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
