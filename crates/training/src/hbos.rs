//! HBOS: Goldstein, Dengel 2012, *Histogram-based Outlier Score (HBOS): A fast unsupervised
//! anomaly detection algorithm*.

use onnx::write::Steps;

use crate::error::TrainingError;
use crate::features::Extremes;

/// Most bins: their edges and the two places beyond them make 255 edges.
const MAX_BINS: usize = 252;

/// Histograms of equal width, one per feature: a row's score is the sum over its features of
/// −log₂ of the height of the bin that the value falls in. Features are taken one by one, so it
/// is blind to unusual combinations; it costs one look-up per feature.
///
/// A value beyond the outermost bins by no more than half a bin's width counts as inside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hbos {
    /// Bins of each histogram, 2 to 252.
    pub bins: usize,
    /// Measure of a bin's height.
    pub heights: Heights,
}

/// Measure of a bin's height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heights {
    /// Shares of the highest bin, as in the paper, so that all features weigh the same; but at
    /// least 1/100, so that one alone adds at most 6.6. Outside of all bins the height is 0.
    Relative,
    /// Probability per unit of the feature, plus 0.1, and outside of all bins that of the
    /// rarest bin: what `PyOD` 2 does (`alpha = 0.1`, `tol = 0.5`). A feature in a small unit
    /// then hardly counts, and a value far outside may be as good as one inside.
    Density,
}

/// A share of the highest bin below which heights do not count.
const FLOOR: f64 = 0.01;
/// `PyOD`'s `alpha`.
const ALPHA: f64 = 0.1;
/// Widths of a bin by which a value may lie outside of the last one.
const TOLERANCE: f64 = 0.5;

impl Default for Hbos {
    fn default() -> Self {
        Self { bins: 32, heights: Heights::Relative }
    }
}

impl Hbos {
    pub(crate) fn check(&self) -> Result<(), TrainingError> {
        if (2..=MAX_BINS).contains(&self.bins) {
            return Ok(());
        }
        let got = self.bins.to_string();
        Err(TrainingError::Parameter { name: "bins", bounds: "between 2 and 252", got })
    }

    /// Fits to rows that lie side by side.
    ///
    /// # Errors
    /// [`bins`](Self::bins) is out of bounds.
    ///
    /// # Panics
    /// If `rows` is empty or does not hold whole rows.
    pub fn fit_rows(&self, rows: &[f32], width: usize) -> Result<Vec<Steps>, TrainingError> {
        self.check()?;
        let mut extremes = Extremes::new(width);
        extremes.extend(rows);
        let mut counts = self.counts(&extremes);
        counts.extend(rows);
        Ok(counts.finish())
    }

    pub(crate) fn counts(&self, extremes: &Extremes) -> HbosCounts {
        let histogram = |&(low, high): &(f32, f32)| Histogram::new(low, high, self.bins);
        HbosCounts { of: *self, histograms: extremes.0.iter().map(histogram).collect() }
    }

    fn steps(&self, histogram: &Histogram) -> Steps {
        let rows: u64 = histogram.counts.iter().sum();
        let highest = histogram.counts.iter().max().copied().unwrap_or_default().max(1);
        let width = histogram.width;
        let surprise = |count: u64| match self.heights {
            Heights::Relative => -(count as f64 / highest as f64).max(FLOOR).log2(),
            Heights::Density => -(count as f64 / (rows.max(1) as f64 * width) + ALPHA).log2(),
        };
        let inside: Vec<f64> = histogram.counts.iter().map(|count| surprise(*count)).collect();
        let outside = match self.heights {
            Heights::Relative => surprise(0),
            Heights::Density => inside.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        };
        let mut steps = Steps::default();
        let mut add = |edge: f32, value: f64| {
            // Edges so near that an f32 cannot tell them apart leave a bin empty, and below the
            // least f32 there is nothing.
            if edge.is_finite() && steps.edges.last().is_none_or(|last| *last < edge) {
                steps.edges.push(edge);
                steps.values.push(value);
            }
        };
        let slack = if histogram.is_constant() { 0.0 } else { width * TOLERANCE };
        add(narrow(f64::from(histogram.edges[0]) - slack).next_down(), outside);
        let last = histogram.edges.len() - 1;
        for (bin, value) in inside.iter().enumerate() {
            let upper = histogram.edges[bin + 1];
            let upper = if bin + 1 == last { narrow(f64::from(upper) + slack) } else { upper };
            add(upper, *value);
        }
        steps.values.push(outside);
        steps
    }
}

/// Histograms being counted.
#[derive(Clone, Debug)]
pub struct HbosCounts {
    of: Hbos,
    histograms: Vec<Histogram>,
}

impl HbosCounts {
    /// Counts rows that lie side by side.
    pub fn extend(&mut self, rows: &[f32]) {
        for row in rows.chunks_exact(self.histograms.len()) {
            for (histogram, value) in self.histograms.iter_mut().zip(row) {
                histogram.add(*value);
            }
        }
    }

    /// Bins asked for.
    pub(crate) const fn bins(&self) -> usize {
        self.of.bins
    }

    /// The step function of each feature.
    #[must_use]
    pub fn finish(&self) -> Vec<Steps> {
        self.histograms.iter().map(|histogram| self.of.steps(histogram)).collect()
    }
}

/// Bins between the extremes of one feature. A value on an edge belongs to the bin below it, but
/// for the least of all.
#[derive(Clone, Debug)]
struct Histogram {
    /// Edges, one more than bins.
    edges: Vec<f32>,
    counts: Vec<u64>,
    width: f64,
}

impl Histogram {
    fn new(low: f32, high: f32, bins: usize) -> Self {
        let (from, to) = (f64::from(low), f64::from(high));
        if low >= high {
            // A single value: a bin of no width, which counts as one unit wide.
            return Self { edges: vec![low, low], counts: vec![0], width: 1.0 };
        }
        let width = (to - from) / bins as f64;
        let edge = |bin: usize| if bin == bins { high } else { narrow(from + width * bin as f64) };
        Self { edges: (0..=bins).map(edge).collect(), counts: vec![0; bins], width }
    }

    fn is_constant(&self) -> bool {
        self.edges[0] >= self.edges[self.edges.len() - 1]
    }

    fn add(&mut self, value: f32) {
        let below = self.edges[1..].partition_point(|edge| *edge < value);
        let last = self.counts.len() - 1;
        self.counts[below.min(last)] += 1;
    }
}

/// To an f32, kept finite.
#[expect(clippy::cast_possible_truncation, reason = "rounding to the feature's own type")]
fn narrow(value: f64) -> f32 {
    (value as f32).clamp(f32::MIN, f32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::value_at;

    #[test]
    fn rare_values_score_more_than_common_ones_and_values_outside_most() {
        let rows: Vec<f32> = (0..900_u16).map(|i| f32::from(i % 30)).chain([99.0]).collect();
        let steps = &Hbos::default().fit_rows(&rows, 1).unwrap()[0];
        let score = |x| value_at(steps, x);
        assert!(score(10.0) < score(99.0) && score(99.0) <= score(500.0));
        assert!((score(500.0) - 100_f64.log2()).abs() < 1e-9);
        assert!((score(-500.0) - score(500.0)).abs() < 1e-9);
        assert!((score(f32::NAN) - score(500.0)).abs() < 1e-9);
    }

    #[test]
    fn a_constant_feature_tells_only_whether_it_still_is_so() {
        for heights in [Heights::Relative, Heights::Density] {
            let hbos = Hbos { bins: 10, heights };
            let steps = &hbos.fit_rows(&[3.0; 50], 1).unwrap()[0];
            assert!(steps.edges.is_sorted_by(|a, b| a < b), "{steps:?}");
            let usual = value_at(steps, 3.0);
            assert!(usual.abs() < 0.2, "{usual}");
        }
        let steps = &Hbos::default().fit_rows(&[3.0; 50], 1).unwrap()[0];
        assert!(value_at(steps, 3.1) > 6.0 && value_at(steps, 2.9) > 6.0);
    }

    #[test]
    fn the_widest_values_there_are_give_finite_steps() {
        for bins in [2, 252] {
            let rows = [f32::MIN, f32::MAX, 0.0, 1e-40];
            let hbos = Hbos { bins, ..Hbos::default() };
            let steps = &hbos.fit_rows(&rows, 1).unwrap()[0];
            assert!(steps.edges.len() <= 255 && steps.edges.is_sorted_by(|a, b| a < b));
            assert!(steps.values.iter().all(|value| value.is_finite()));
        }
        assert!(Hbos { bins: 253, ..Hbos::default() }.fit_rows(&[1.0], 1).is_err());
    }
}
