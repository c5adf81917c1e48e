//! Assessment: the rows that came with a window, measured by the detectors of their channels, as
//! what they say of each entity: a peer, or a part of the host's side.
//!
//! Each detector measures a row twice: by its scorer, which knows unusual combinations, and by its
//! tails ([`tail::Tails`]), which know how far out the three oddest features lie. Each measure has
//! a p-value from its own held-out benign rows, and a surprise from their tail.
//!
//! - **The p-value** of an entity is Simes' combination of those of all its rows, of each horizon
//!   that came, which holds under positive dependence: what an error rate may be claimed by, and
//!   never below 1 in so many held-out rows. A longer horizon with fewer than [`ENOUGH_HELD_OUT`]
//!   has no part in it: a [prior](conformal::Calibration::with_prior) claims nothing.
//! - **The surprise** of an entity is the greatest of its rows': −log10 of a chance too, and what a
//!   decision goes by. It tells apart what lies beyond every held-out row, and no single one of
//!   these decides over it.
//!
//! # Joint surprise of a row
//!
//! Most of the budget of false alarms goes to both measures together: to e times the geometric mean
//! of their chances, weighted by [`WEIGHTS`], which is a chance whatever their dependence (Vovk and
//! Wang 2020, *Combining p-values via averaging*). Each measure by itself has [`ALONE`] of it, so
//! that what only one of them sees is seen: a combination by the forest, say. The surprise is the
//! greatest of the three.
//!
//! Live scoring, `weir score`, `weir eval` and Python share this one definition.

mod measure;
mod reason;

use std::f64::consts::LOG10_E;

use features::{Horizon, Kind};

use crate::channel::Channel;
use crate::file::Detectors;
use measure::{Measure, Rated};

pub use reason::{REASONS_LIMIT, Reason, Subject};

/// Weights of the measures in the joint surprise of a row: the tails, the scorer.
pub const WEIGHTS: [f64; 2] = [0.75, 0.25];

/// Share of the budget of false alarms that each measure has by itself.
pub const ALONE: f64 = 0.004;

/// Held-out rows without which a longer horizon claims nothing.
pub const ENOUGH_HELD_OUT: usize = 100;

/// Surprise from which on an entity's features are named: one benign one in a hundred.
pub const UNUSUAL: f64 = 2.0;

/// Rows of one horizon, with whose they are.
#[derive(Clone, Debug, PartialEq)]
pub struct HorizonRows {
    /// The time that each covers.
    pub horizon: Horizon,
    /// Whole rows of the detector's schema, side by side.
    pub rows: Vec<f32>,
    /// The entity of each, by its number.
    pub of: Vec<usize>,
}

impl HorizonRows {
    /// Adds an entity's row to the block of its horizon, which is made where there is none.
    pub fn add(blocks: &mut Vec<Self>, horizon: Horizon, row: &[f32], entity: usize) {
        let known = blocks.iter().position(|block| block.horizon == horizon);
        let at = known.unwrap_or_else(|| {
            blocks.push(Self { horizon, rows: Vec::new(), of: Vec::new() });
            blocks.len() - 1
        });
        blocks[at].rows.extend_from_slice(row);
        blocks[at].of.push(entity);
    }
}

/// Assessment of an entity by the rows that came with a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EntityAssessment {
    /// The p-value of all its rows together: the chance of measures as high in a benign window; 1
    /// without a row that a detector knows.
    pub p_value: f64,
    /// The same from calibration-conditional p-values, which hold for this calibration set
    /// ([`crate::PValue::conditional`]); never below `p_value`.
    pub conditional_p_value: f64,
    /// The highest score of its rows, in [0, 1].
    pub score: f32,
    /// The highest tail score of its rows, in [0, 36].
    pub tail_score: f32,
    /// −log10 of the chance of its most surprising row, by the tails of the calibrations; at least
    /// 0. It claims no rate.
    pub surprise: f64,
    strongest: Option<Measure>,
}

/// Rows of one kind under their detectors; made by [`assess`].
#[derive(Debug)]
pub struct Assessment<'a> {
    kind: Kind,
    rated: Vec<Rated<'a>>,
    entities: Vec<EntityAssessment>,
}

/// Scores rows of one kind and combines them by entity, of which there are so many.
///
/// Rows of a horizon that has no detector are left out.
///
/// # Panics
///
/// If the rows are not whole, or not one of an entity below that number each.
#[must_use]
pub fn assess<'a>(
    detectors: &'a Detectors,
    kind: Kind,
    rows: &'a [HorizonRows],
    entities: usize,
) -> Assessment<'a> {
    let known = rows.iter().filter_map(|block| {
        Some(Rated::new(detectors.get(&Channel::new(kind, block.horizon))?, block))
    });
    let rated: Vec<Rated<'a>> = known.collect();
    let shortest = rated.iter().map(Rated::horizon).min();
    let claims: Vec<bool> = rated
        .iter()
        .map(|one| {
            Some(one.horizon()) == shortest
                || one.detector().calibration().held_out() >= ENOUGH_HELD_OUT
        })
        .collect();
    let mut rows_of: Vec<Vec<(usize, usize)>> = vec![Vec::new(); entities];
    for (block, rated) in rated.iter().enumerate() {
        for (row, &entity) in rated.of().iter().enumerate() {
            rows_of[entity].push((block, row));
        }
    }
    let entities =
        rows_of.into_iter().map(|rows| EntityAssessment::of(&rated, &claims, &rows)).collect();
    Assessment { kind, rated, entities }
}

impl EntityAssessment {
    fn of(rated: &[Rated<'_>], claims: &[bool], rows: &[(usize, usize)]) -> Self {
        let mut found = Self {
            p_value: 1.0,
            conditional_p_value: 1.0,
            score: 0.0,
            tail_score: 0.0,
            surprise: 0.0,
            strongest: None,
        };
        // One row of two measures is what most entities have: no list for it.
        let (mut few, mut many) = ([[0.0; 2]; 2], [Vec::new(), Vec::new()]);
        let mut claiming = 0;
        for &(block, row) in rows {
            let measures = rated[block].measures(block, row);
            let [tails, scorer] = measures;
            found.tail_score = found.tail_score.max(tails.score);
            found.score = found.score.max(scorer.score);
            let (surprise, strongest) = surprise(&measures);
            if found.strongest.is_none() || surprise > found.surprise {
                (found.surprise, found.strongest) = (surprise, Some(strongest));
            }
            if !claims[block] {
                continue;
            }
            claiming += 1;
            let marginal = measures.map(|one| one.p_value.marginal);
            let conditional = measures.map(|one| one.p_value.conditional);
            if claiming == 1 {
                few = [marginal, conditional];
            } else {
                many[0].extend(marginal);
                many[1].extend(conditional);
            }
        }
        if claiming > 0 {
            let together = |few: [f64; 2], many: &mut Vec<f64>| {
                if many.is_empty() {
                    return simes(&mut few.clone());
                }
                many.extend(few);
                simes(many)
            };
            found.p_value = together(few[0], &mut many[0]);
            found.conditional_p_value = together(few[1], &mut many[1]);
        }
        found
    }
}

impl Assessment<'_> {
    /// An assessment per entity, in the order of their numbers.
    #[must_use]
    pub fn entities(&self) -> &[EntityAssessment] {
        &self.entities
    }

    /// The entities of at least [`UNUSUAL`] surprise, by number, the most anomalous first.
    #[must_use]
    pub fn unusual(&self) -> Vec<usize> {
        let surprise = |index: usize| self.entities[index].surprise;
        let mut unusual: Vec<usize> =
            (0..self.entities.len()).filter(|&index| surprise(index) >= UNUSUAL).collect();
        unusual.sort_by(|&a, &b| surprise(b).total_cmp(&surprise(a)));
        unusual
    }

    /// The horizon of an entity's most surprising row; none without a row that a detector knows.
    ///
    /// # Panics
    ///
    /// If there is no entity of that number.
    #[must_use]
    pub fn horizon(&self, entity: usize) -> Option<Horizon> {
        let strongest = self.entities[entity].strongest?;
        Some(self.rated[strongest.block].horizon())
    }

    /// The value of a feature in an entity's most surprising row; none without such a row.
    ///
    /// # Panics
    ///
    /// If there is no entity of that number.
    #[must_use]
    pub fn value(&self, entity: usize, feature: &str) -> Option<f32> {
        let strongest = self.entities[entity].strongest?;
        let rated = &self.rated[strongest.block];
        let features = &rated.detector().schema().features;
        let place = features.iter().position(|name| name == feature)?;
        rated.row(strongest.row).get(place).copied()
    }

    /// The features behind an entity's strongest measure, in their natural units; at most
    /// [`REASONS_LIMIT`].
    ///
    /// # Panics
    ///
    /// If there is no entity of that number.
    #[must_use]
    pub fn reasons(&self, entity: usize) -> Vec<Reason> {
        let Some(strongest) = self.entities[entity].strongest else { return Vec::new() };
        let rated = &self.rated[strongest.block];
        reason::reasons(self.kind, strongest, rated.detector(), rated.row(strongest.row))
    }
}

/// The greatest of a row's joint surprise and of each measure's own, and the measure that it owes
/// most to.
fn surprise(measures: &[Measure; 2]) -> (f64, Measure) {
    let weighted = |one: &Measure| one.weight() * one.surprise;
    let mean: f64 = measures.iter().map(weighted).sum();
    let together = mean - LOG10_E + (1.0 - 2.0 * ALONE).log10();
    let most = |of: &dyn Fn(&Measure) -> f64| {
        let [one, other] = measures;
        if of(other) > of(one) { *other } else { *one }
    };
    let alone = most(&|one| one.surprise);
    let by_itself = alone.surprise + ALONE.log10();
    if by_itself > together {
        (by_itself.max(0.0), alone)
    } else {
        (together.max(0.0), most(&weighted))
    }
}

/// Simes' combination of p-values: `min over k of n p₍ₖ₎ / k` (Simes 1986).
///
/// It is a p-value for "none of them is anomalous" where they are independent or positively
/// dependent, as those of one entity's rows are. 1 for none; sorts `p_values`.
#[must_use]
pub fn simes(p_values: &mut [f64]) -> f64 {
    p_values.sort_unstable_by(f64::total_cmp);
    let n = p_values.len() as f64;
    p_values.iter().enumerate().map(|(index, p)| p * n / (index + 1) as f64).fold(1.0, f64::min)
}

#[cfg(test)]
mod tests {
    use features::schema::schema_id;
    use features::{Feature, HostFeature, PeerFeature};
    use forest::IsolationForest;
    use linfa::ParamGuard;

    use super::*;
    use crate::detector::DetectorModel;

    const SECOND: Horizon = Horizon::from_ms(1_000);
    const TEN: Horizon = Horizon::from_ms(10_000);

    /// Rows of a pattern that comes back after 101 of them.
    fn rows(count: usize, width: usize) -> Vec<f32> {
        (0..count * width).map(|i| (i * 7 % 101) as f32 / 101.0).collect()
    }

    fn detectors() -> Detectors {
        let detector = |(kind, horizon)| {
            let schema = schema_id(kind);
            let width = schema.features.len();
            let rows = rows(400, width);
            let params = IsolationForest::params().n_trees(20).check().unwrap();
            let (train, held_out) = rows.split_at(200 * width);
            let detector = DetectorModel::fit(schema, train, held_out, &params).unwrap();
            (Channel::new(kind, horizon), detector)
        };
        let channels = [(Kind::Peer, SECOND), (Kind::Peer, TEN), (Kind::Host, SECOND)];
        channels.map(detector).into()
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
    fn the_entity_whose_longer_row_is_odd_is_unusual_and_its_feature_the_reason() {
        let detectors = detectors();
        let width = PeerFeature::scored().count();
        let mut longer = rows(2, width);
        longer[width + 4] = 50.0;
        let rows = [
            HorizonRows { horizon: SECOND, rows: rows(3, width), of: vec![0, 1, 2] },
            HorizonRows { horizon: TEN, rows: longer, of: vec![0, 2] },
            HorizonRows { horizon: Horizon::from_ms(60_000), rows: vec![9e9; width], of: vec![1] },
        ];
        let assessment = assess(&detectors, Kind::Peer, &rows, 4);
        assert_eq!(assessment.unusual(), [2]);
        assert_eq!([2, 3].map(|entity| assessment.horizon(entity)), [Some(TEN), None]);
        let [first, _, odd, nobody] = assessment.entities() else { panic!("four entities") };
        assert!(odd.p_value < first.p_value && odd.surprise > 4.0, "{odd:?}");
        assert!((nobody.p_value - 1.0).abs() < f64::EPSILON && nobody.surprise.abs() < 1e-9);
        let reason = &assessment.reasons(2)[0];
        assert_eq!((reason.subject, &*reason.feature), (Subject::Peer, PeerFeature::ALL[4].name()));
        assert_eq!(reason.unit, PeerFeature::ALL[4].natural_unit());
        let value = assessment.value(2, PeerFeature::ALL[4].name());
        assert_eq!(value.map(f32::to_bits), Some(50.0_f32.to_bits()));
        assert!(assessment.reasons(3).is_empty());
    }

    #[test]
    fn a_host_is_assessed_by_its_own_detector_and_a_kind_without_one_by_none() {
        let detectors = detectors();
        let width = HostFeature::scored().count();
        let mut odd = rows(1, width);
        odd[11] = 60.0;
        let rows = [HorizonRows { horizon: SECOND, rows: odd, of: vec![0] }];
        let assessment = assess(&detectors, Kind::Host, &rows, 1);
        let reason = &assessment.reasons(0)[0];
        assert_eq!(
            (reason.subject, &*reason.feature),
            (Subject::Host, HostFeature::ALL[11].name())
        );
        let nobody = assess(&detectors, Kind::Net, &rows, 1).entities()[0];
        assert!((nobody.p_value - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_window_without_peers_says_nothing() {
        let detectors = detectors();
        let assessment = assess(&detectors, Kind::Peer, &[], 0);
        assert!(assessment.entities().is_empty() && assessment.unusual().is_empty());
    }
}
