//! Growing one standard tree: Liu et al. 2008, *Isolation Forest*, algorithm 2.

use crate::cuts::{Cuts, Wish};
use crate::random::Draws;
use crate::tree::Sketch;

/// The rows that one tree is grown from, row after row.
pub(crate) struct Sample<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) n_features: usize,
}

impl Sample<'_> {
    fn value(&self, row: u32, feature: usize) -> f32 {
        self.values[row as usize * self.n_features + feature]
    }

    fn rows(&self) -> Vec<u32> {
        (0..).take(self.values.len() / self.n_features).collect()
    }
}

/// Grows the tree with thresholds wherever they fall and reports them: the first of two
/// passes, which shows where cuts are worth having.
pub(crate) fn wish(sample: &Sample<'_>, max_depth: usize, rng: &mut Draws, out: &mut Vec<Wish>) {
    let mut grower = Grower::new(sample, max_depth, rng, |feature, low, high, threshold, rows| {
        debug_assert!(low <= threshold && threshold < high);
        out.push(Wish { feature, threshold, rows });
        Some((threshold, 0))
    });
    let mut rows = sample.rows();
    grower.grow(&mut rows, 0);
}

/// Grows the tree with each threshold moved to the nearest cut that divides the node's rows.
pub(crate) fn grow(sample: &Sample<'_>, cuts: &Cuts, max_depth: usize, rng: &mut Draws) -> Sketch {
    let mut grower = Grower::new(sample, max_depth, rng, |feature, low, high, threshold, _| {
        nearest_cut(cuts.of(feature), low, high, threshold)
    });
    let mut rows = sample.rows();
    grower.grow(&mut rows, 0)
}

/// The cut nearest to `threshold` among those in [`low`, `high`), with its index.
#[expect(clippy::cast_possible_truncation, reason = "a feature has at most 255 cuts")]
fn nearest_cut(cuts: &[f32], low: f32, high: f32, threshold: f32) -> Option<(f32, u8)> {
    let first = cuts.partition_point(|cut| *cut < low);
    let end = cuts.partition_point(|cut| *cut < high);
    if first == end {
        return None;
    }
    let above = cuts.partition_point(|cut| *cut < threshold).clamp(first, end - 1);
    let distance = |at: usize| (f64::from(cuts[at]) - f64::from(threshold)).abs();
    let nearest =
        if above > first && distance(above - 1) <= distance(above) { above - 1 } else { above };
    Some((cuts[nearest], nearest as u8))
}

/// `snap(feature, low, high, drawn, rows)` turns a drawn threshold into one that may be used
/// and its index, or says that nothing between `low` and `high` may.
struct Grower<'a, S> {
    sample: &'a Sample<'a>,
    max_depth: usize,
    rng: &'a mut Draws,
    snap: S,
    /// Reused by every node: the features not yet found constant there.
    candidates: Vec<usize>,
}

impl<'a, S> Grower<'a, S>
where
    S: FnMut(usize, f32, f32, f32, usize) -> Option<(f32, u8)>,
{
    fn new(sample: &'a Sample<'a>, max_depth: usize, rng: &'a mut Draws, snap: S) -> Self {
        Self { sample, max_depth, rng, snap, candidates: Vec::new() }
    }

    fn grow(&mut self, rows: &mut [u32], depth: usize) -> Sketch {
        let split = if rows.len() > 1 && depth < self.max_depth { self.split(rows) } else { None };
        let Some((feature, threshold, cut)) = split else {
            let samples = u32::try_from(rows.len()).expect("a sample has at most 2²⁰ rows");
            return Sketch::Leaf { samples };
        };
        let (left, right) = self.divide(rows, feature, threshold);
        Sketch::Split {
            feature: u8::try_from(feature).expect("a row has at most 256 features"),
            cut,
            left: Box::new(self.grow(left, depth + 1)),
            right: Box::new(self.grow(right, depth + 1)),
        }
    }

    /// Draws a feature that varies among `rows`, and a threshold uniformly in its range.
    fn split(&mut self, rows: &[u32]) -> Option<(usize, f32, u8)> {
        self.candidates.clear();
        self.candidates.extend(0..self.sample.n_features);
        while !self.candidates.is_empty() {
            let drawn = self.rng.below(self.candidates.len());
            let feature = self.candidates[drawn];
            let (low, high) = self.range(rows, feature);
            if low < high {
                let threshold = self.rng.between(low, high);
                if let Some((threshold, cut)) =
                    (self.snap)(feature, low, high, threshold, rows.len())
                {
                    return Some((feature, threshold, cut));
                }
            }
            self.candidates.swap_remove(drawn);
        }
        None
    }

    fn range(&self, rows: &[u32], feature: usize) -> (f32, f32) {
        rows.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), row| {
            let value = self.sample.value(*row, feature);
            (low.min(value), high.max(value))
        })
    }

    /// Reorders `rows` so that those at most `threshold` come first.
    fn divide<'r>(
        &self,
        rows: &'r mut [u32],
        feature: usize,
        threshold: f32,
    ) -> (&'r mut [u32], &'r mut [u32]) {
        let mut left = 0;
        for at in 0..rows.len() {
            if self.sample.value(rows[at], feature) <= threshold {
                rows.swap(left, at);
                left += 1;
            }
        }
        rows.split_at_mut(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_moves_to_the_nearest_cut_that_divides_the_rows() {
        let cuts = [0.0, 1.0, 5.0, 9.0];
        assert_eq!(nearest_cut(&cuts, 0.5, 9.0, 2.0), Some((1.0, 1)));
        assert_eq!(nearest_cut(&cuts, 0.5, 9.0, 8.9), Some((5.0, 2)), "9 divides nothing");
        assert_eq!(nearest_cut(&cuts, 1.5, 4.0, 2.0), None);
        assert_eq!(nearest_cut(&cuts, 1.0, 1.5, 1.2), Some((1.0, 1)));
    }

    #[test]
    fn an_outlier_is_cut_off_first() {
        // 63 rows near 0 and one at 1,000: a uniform threshold nearly always falls between.
        let values: Vec<f32> = (0..63_u16).map(|i| f32::from(i) / 63.0).chain([1_000.0]).collect();
        let sample = Sample { values: &values, n_features: 1 };
        let mut wishes = Vec::new();
        for tree in 0..50 {
            wish(&sample, 6, &mut Draws::new(5, tree), &mut wishes);
        }
        let cuts = crate::cuts::choose_cuts(wishes, 1);
        let at_root = (0..50).filter(|tree| {
            let tree = grow(&sample, &cuts, 6, &mut Draws::new(5, *tree));
            matches!(tree, Sketch::Split { right, .. } if *right == Sketch::Leaf { samples: 1 })
        });
        assert!(at_root.count() >= 48);
    }
}
