//! Ranking: rows by falling score, ties kept together, and what every threshold on it catches.

use serde::{Deserialize, Serialize};

/// Attack and benign scores in one order, with ties as one step: a threshold cannot part what
/// scored alike, so no measure here depends on the order in which rows came.
///
/// ```
/// use evaluation::Ranking;
///
/// let ranking = Ranking::new(&[0.9, 0.6, 0.6], &[0.6, 0.1]);
/// // Six pairs: four won, two tied, which count half.
/// assert_eq!(ranking.auroc(), Some(5.0 / 6.0));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// By falling score; counts are of all rows with this score or a higher one.
    steps: Vec<Step>,
}

/// Catch of the threshold "score ≥ this".
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The threshold.
    pub score: f64,
    /// Attack rows that reach it.
    pub attack: u64,
    /// Benign rows that reach it.
    pub benign: u64,
}

/// A point of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// False-positive rate for a ROC curve, recall for a precision-recall curve.
    pub x: f64,
    /// True-positive rate for a ROC curve, precision for a precision-recall curve.
    pub y: f64,
}

impl Ranking {
    /// Ranks the scores of attack and of benign rows; higher means more anomalous.
    ///
    /// O(n log n). Scores are compared by [`f64::total_cmp`] after −0 is made 0; NaN, which
    /// [`Observations`](crate::Observations) refuses, would rank above everything.
    #[must_use]
    pub fn new(attack: &[f64], benign: &[f64]) -> Self {
        let mut sorted = benign.to_vec();
        sort_falling(&mut sorted);
        Self::over_sorted(attack, &sorted)
    }

    /// A ranking as by [`Ranking::new`], with the benign scores in falling order already.
    pub(crate) fn over_sorted(attack: &[f64], benign: &[f64]) -> Self {
        let mut attack = attack.to_vec();
        sort_falling(&mut attack);
        let mut steps: Vec<Step> = Vec::new();
        let (mut a, mut b) = (0, 0);
        while a < attack.len() || b < benign.len() {
            let score = match (attack.get(a), benign.get(b)) {
                (Some(one), Some(other)) if one.total_cmp(other).is_ge() => *one,
                (_, Some(other)) => *other,
                (Some(one), None) => *one,
                (None, None) => break,
            };
            a += attack[a..].iter().take_while(|next| next.total_cmp(&score).is_eq()).count();
            b += benign[b..].iter().take_while(|next| next.total_cmp(&score).is_eq()).count();
            steps.push(Step { score, attack: a as u64, benign: b as u64 });
        }
        Self { steps }
    }

    /// The thresholds, by falling score.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Attack rows.
    #[must_use]
    pub fn attack(&self) -> u64 {
        self.steps.last().map_or(0, |step| step.attack)
    }

    /// Benign rows.
    #[must_use]
    pub fn benign(&self) -> u64 {
        self.steps.last().map_or(0, |step| step.benign)
    }

    /// The area under the ROC curve: the share of (attack, benign) pairs in which the attack
    /// scores higher, ties counting half (the Mann–Whitney statistic; Hanley and `McNeil` 1982,
    /// *Radiology* 143). Counted in integers, so the only rounding is the last division.
    ///
    /// None without attack or without benign rows.
    #[must_use]
    pub fn auroc(&self) -> Option<f64> {
        let (all_attack, all_benign) = (self.attack(), self.benign());
        if all_attack == 0 || all_benign == 0 {
            return None;
        }
        let mut twice_won = 0_u128;
        let mut before = (0, 0);
        for step in &self.steps {
            let attack = u128::from(step.attack - before.0);
            let tied = u128::from(step.benign - before.1);
            twice_won += attack * (2 * u128::from(all_benign - step.benign) + tied);
            before = (step.attack, step.benign);
        }
        let twice_pairs = 2 * u128::from(all_attack) * u128::from(all_benign);
        Some(twice_won as f64 / twice_pairs as f64)
    }

    /// Average precision, `Σ (Rₙ − Rₙ₋₁) Pₙ` over the thresholds: the area under the
    /// precision-recall curve as a step function.
    ///
    /// No straight line is drawn between its points: between two of them precision does not
    /// change linearly with recall, and a line would promise what no threshold reaches (Davis
    /// and Goadrich 2006, *The relationship between precision-recall and ROC curves*). A
    /// detector that ranks at random has the share of attack rows, not one half.
    ///
    /// None without attack or without benign rows.
    #[must_use]
    pub fn average_precision(&self) -> Option<f64> {
        if self.attack() == 0 || self.benign() == 0 {
            return None;
        }
        let all = self.attack() as f64;
        let mut area = 0.0;
        let mut before = 0;
        for step in &self.steps {
            let gained = (step.attack - before) as f64 / all;
            area += gained * precision(step);
            before = step.attack;
        }
        Some(area)
    }

    /// The lowest threshold that at most `allowed` benign rows reach; `None` when even the
    /// highest score is reached by more.
    #[must_use]
    pub fn threshold_for(&self, allowed: u64) -> Option<Step> {
        let within = self.steps.partition_point(|step| step.benign <= allowed);
        within.checked_sub(1).map(|last| self.steps[last])
    }

    /// The ROC curve from (0, 0) to (1, 1), thinned to what an eye can tell apart on a linear
    /// and on a logarithmic axis; empty without attack or without benign rows.
    #[must_use]
    pub fn roc(&self) -> Vec<Point> {
        let (attack, benign) = (self.attack() as f64, self.benign() as f64);
        if attack == 0.0 || benign == 0.0 {
            return Vec::new();
        }
        let start = std::iter::once(Point { x: 0.0, y: 0.0 });
        let points = self
            .steps
            .iter()
            .map(|step| Point { x: step.benign as f64 / benign, y: step.attack as f64 / attack });
        thin(start.chain(points))
    }

    /// The precision-recall curve by rising recall, thinned likewise; a step function whose
    /// precision holds from the point before. Empty without attack or without benign rows.
    #[must_use]
    pub fn precision_recall(&self) -> Vec<Point> {
        let (attack, benign) = (self.attack() as f64, self.benign() as f64);
        if attack == 0.0 || benign == 0.0 {
            return Vec::new();
        }
        let reaching = self.steps.iter().filter(|step| step.attack > 0);
        thin(reaching.map(|step| Point { x: step.attack as f64 / attack, y: precision(step) }))
    }
}

/// The share of attack rows among those that reach a threshold.
fn precision(step: &Step) -> f64 {
    step.attack as f64 / (step.attack + step.benign) as f64
}

pub(crate) fn sort_falling(scores: &mut [f64]) {
    for score in scores.iter_mut() {
        // −0 and 0 are one score; `total_cmp` would part them.
        *score += 0.0;
    }
    scores.sort_unstable_by(|a, b| b.total_cmp(a));
}

/// Steps that a plot of this many pixels a side can show.
const VISIBLE: f64 = 1.0 / 400.0;
/// The same on a logarithmic axis, as a ratio.
const VISIBLE_RATIO: f64 = 1.03;

/// Leaves out points that lie within a pixel of the last one kept, and those on a straight run
/// along an axis. The point before a jump is kept, so that a step stays a step; the first and
/// the last are.
fn thin(points: impl Iterator<Item = Point>) -> Vec<Point> {
    let mut kept: Vec<Point> = Vec::new();
    let mut skipped: Option<Point> = None;
    let far = |a: &Point, b: &Point| {
        let moved = (a.x - b.x).abs().max((a.y - b.y).abs()) >= VISIBLE;
        // At the low end of a logarithmic axis single benign rows count.
        moved || (b.x > a.x * VISIBLE_RATIO && b.x < 0.1)
    };
    for point in points {
        if kept.last().is_some_and(|last| !far(last, &point)) {
            skipped = Some(point);
            continue;
        }
        if let Some(before) = skipped.take().filter(|before| far(before, &point)) {
            keep(&mut kept, before);
        }
        keep(&mut kept, point);
    }
    if let Some(last) = skipped {
        keep(&mut kept, last);
    }
    kept
}

/// Adds a point; on a run along an axis it takes the place of the last one.
fn keep(kept: &mut Vec<Point>, point: Point) {
    let same = |a: f64, b: f64| a.total_cmp(&b).is_eq();
    if let [.., before, last] = &mut kept[..]
        && (same(before.x, last.x) && same(last.x, point.x)
            || same(before.y, last.y) && same(last.y, point.y))
    {
        *last = point;
    } else {
        kept.push(point);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Scores on a coarse grid, so that ties are common.
    fn scores() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec((0_u8..20).prop_map(|step| f64::from(step) / 20.0), 1..80)
    }

    #[test]
    fn a_perfect_ranking_has_both_areas_one_and_a_reversed_one_none() {
        let perfect = Ranking::new(&[0.9, 0.8], &[0.1, 0.2]);
        assert_eq!((perfect.auroc(), perfect.average_precision()), (Some(1.0), Some(1.0)));
        let reversed = Ranking::new(&[0.1, 0.2], &[0.9, 0.8]);
        assert_eq!(reversed.auroc(), Some(0.0));
        assert_eq!(reversed.average_precision(), Some(f64::midpoint(1.0 / 3.0, 0.5)));
    }

    #[test]
    fn all_tied_is_a_coin_flip() {
        let tied = Ranking::new(&[0.5; 3], &[0.5; 9]);
        assert_eq!((tied.auroc(), tied.average_precision()), (Some(0.5), Some(0.25)));
        assert_eq!(tied.threshold_for(8), None, "one score that all reach allows no threshold");
    }

    #[test]
    fn one_sided_data_has_no_area() {
        for ranking in
            [Ranking::new(&[], &[0.5]), Ranking::new(&[0.5], &[]), Ranking::new(&[], &[])]
        {
            assert_eq!((ranking.auroc(), ranking.average_precision()), (None, None));
            assert!(ranking.roc().is_empty() && ranking.precision_recall().is_empty());
        }
    }

    #[test]
    fn zero_and_minus_zero_tie() {
        assert_eq!(Ranking::new(&[0.0], &[-0.0]).auroc(), Some(0.5));
    }

    proptest! {
        #[test]
        fn the_area_is_the_share_of_pairs_won(attack in scores(), benign in scores()) {
            let mut won = 0.0;
            for a in &attack {
                for b in &benign {
                    won += if a > b { 1.0 } else if a < b { 0.0 } else { 0.5 };
                }
            }
            let pairs = (attack.len() * benign.len()) as f64;
            let area = Ranking::new(&attack, &benign).auroc().unwrap();
            prop_assert!((area - won / pairs).abs() < 1e-12);
        }

        #[test]
        fn a_monotone_map_changes_no_measure(attack in scores(), benign in scores()) {
            let map = |scores: &[f64]| -> Vec<f64> {
                scores.iter().map(|score| (3.0 * score).exp() - 7.0).collect()
            };
            let (one, other) =
                (Ranking::new(&attack, &benign), Ranking::new(&map(&attack), &map(&benign)));
            prop_assert_eq!(one.auroc(), other.auroc());
            prop_assert_eq!(one.average_precision(), other.average_precision());
            prop_assert_eq!(one.roc(), other.roc());
        }

        #[test]
        fn negated_scores_or_exchanged_sides_give_the_complement(
            attack in scores(),
            benign in scores(),
        ) {
            let negated =
                |scores: &[f64]| -> Vec<f64> { scores.iter().map(|score| -score).collect() };
            let area = Ranking::new(&attack, &benign).auroc().unwrap();
            let turned = Ranking::new(&negated(&attack), &negated(&benign)).auroc().unwrap();
            let exchanged = Ranking::new(&benign, &attack).auroc().unwrap();
            prop_assert!((area + turned - 1.0).abs() < 1e-12);
            prop_assert!((area + exchanged - 1.0).abs() < 1e-12);
        }

        #[test]
        fn the_order_of_rows_does_not_matter(attack in scores(), benign in scores()) {
            let reversed = |scores: &[f64]| -> Vec<f64> { scores.iter().rev().copied().collect() };
            prop_assert_eq!(
                Ranking::new(&attack, &benign),
                Ranking::new(&reversed(&attack), &reversed(&benign))
            );
        }

        #[test]
        fn no_threshold_lets_more_benign_rows_through_than_allowed(
            attack in scores(),
            benign in scores(),
            allowed in 0_u64..90,
        ) {
            let ranking = Ranking::new(&attack, &benign);
            let reaching = |limit: f64| benign.iter().filter(|score| **score >= limit).count();
            if let Some(step) = ranking.threshold_for(allowed) {
                prop_assert!(reaching(step.score) as u64 <= allowed);
                prop_assert_eq!(reaching(step.score) as u64, step.benign);
            } else {
                let highest = attack.iter().chain(&benign).copied().fold(f64::MIN, f64::max);
                prop_assert!(reaching(highest) as u64 > allowed);
            }
        }

        #[test]
        fn curves_stay_in_the_unit_square_and_end_at_full_recall(
            attack in scores(),
            benign in scores(),
        ) {
            let ranking = Ranking::new(&attack, &benign);
            let (roc, recall) = (ranking.roc(), ranking.precision_recall());
            for point in roc.iter().chain(&recall) {
                prop_assert!((0.0..=1.0).contains(&point.x) && (0.0..=1.0).contains(&point.y));
            }
            prop_assert_eq!(roc.last(), Some(&Point { x: 1.0, y: 1.0 }));
            prop_assert_eq!(recall.last().unwrap().x.to_bits(), 1.0_f64.to_bits());
            prop_assert!(roc.windows(2).all(|two| two[0].x <= two[1].x && two[0].y <= two[1].y));
        }
    }

    #[test]
    fn a_long_curve_is_thinned_without_moving_its_area() {
        let benign: Vec<f64> = (0..200_000_u32).map(|i| f64::from(i * 7919 % 200_000)).collect();
        let attack: Vec<f64> =
            (0..50_000_u32).map(|i| 100_000.0 + f64::from(i * 31 % 150_000)).collect();
        let ranking = Ranking::new(&attack, &benign);
        let roc = ranking.roc();
        assert!(roc.len() < 2_000, "{} points", roc.len());
        let area: f64 = roc
            .windows(2)
            .map(|two| (two[1].x - two[0].x) * f64::midpoint(two[0].y, two[1].y))
            .sum();
        assert!((area - ranking.auroc().unwrap()).abs() < 2e-3, "{area}");
    }
}
