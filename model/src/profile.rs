//! Profile: what training rows had in each feature, gathered as they stream by.

use forest::RowSample;
use thiserror::Error;

use conformal::quantile_of;
use tail::{Column, ColumnTails, Tails, TailsError};

use crate::columns::columns;
use crate::inputs::Inputs;

/// Rows at most that quantiles and histograms are made from. The rank of a quantile `p` then has
/// a standard error of at most √(p (1 − p) / 65,536): 0.2 % of the rows for the median, 0.04 %
/// for the 1st and the 99th percentile. Memory: 4 bytes per feature and row, 10 MB for 40
/// features.
pub const PROFILE_ROWS: usize = 1 << 16;

/// Bins of a training histogram: few enough for a stable population stability index.
const BINS: usize = 16;

/// Range of a feature over the training rows, in the feature's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeatureRange {
    /// Least value.
    pub min: f32,
    /// Value that 1 % of the rows do not exceed.
    pub p01: f32,
    /// Middle value.
    pub median: f32,
    /// Value that 99 % of the rows do not exceed.
    pub p99: f32,
    /// Greatest value.
    pub max: f32,
}

/// Distribution of the training rows in one feature, against which later rows are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureHistogram {
    /// Upper edges of all bins but the last, strictly ascending, in the feature's unit. A
    /// value equal to an edge falls below it.
    pub edges: Vec<f32>,
    /// Rows per bin, of those that were [sampled](Profile::sampled); one more than edges.
    pub counts: Vec<u64>,
}

/// Where a value lies with respect to the training rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Below every training row.
    BelowAll,
    /// Below 99 % of the training rows.
    Low,
    /// Between the 1st and the 99th percentile.
    Usual,
    /// Above 99 % of the training rows.
    High,
    /// Above every training row.
    AboveAll,
}

/// Ranges, histograms and tails of a detector's inputs over the training rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    pub(crate) ranges: Vec<FeatureRange>,
    pub(crate) histograms: Vec<FeatureHistogram>,
    pub(crate) tails: Tails,
    pub(crate) rows: u64,
    pub(crate) sampled: u64,
}

/// There is nothing to make a profile of.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a profile needs at least one training row, got none: check what the selection leaves")]
pub struct EmptyProfile;

/// Gathers a [`Profile`] from rows that stream by.
///
/// Least and greatest values are exact, whatever the number of rows. Quantiles, histograms and
/// tails are those of a uniform sample of at most [`PROFILE_ROWS`] rows, so exact up to that number.
#[derive(Debug)]
pub struct ProfileBuilder {
    columns: Vec<Column>,
    extremes: Vec<(f32, f32)>,
    sample: RowSample,
}

impl FeatureRange {
    /// Where `value` lies.
    #[must_use]
    pub fn place(&self, value: f32) -> Place {
        if value < self.min {
            Place::BelowAll
        } else if value > self.max {
            Place::AboveAll
        } else if value < self.p01 {
            Place::Low
        } else if value > self.p99 {
            Place::High
        } else {
            Place::Usual
        }
    }
}

impl Profile {
    /// The range of each input.
    #[must_use]
    pub fn ranges(&self) -> &[FeatureRange] {
        &self.ranges
    }

    /// The histogram of each input.
    #[must_use]
    pub fn histograms(&self) -> &[FeatureHistogram] {
        &self.histograms
    }

    /// The tails of the inputs.
    #[must_use]
    pub fn tails(&self) -> &Tails {
        &self.tails
    }

    /// Mixes the tails of other rows in, which count as so many ([`Tails::with_prior`]).
    pub fn with_prior(self, prior: &Self, rows: f64) -> Result<Self, TailsError> {
        Ok(Self { tails: self.tails.with_prior(prior.tails.clone(), rows)?, ..self })
    }

    /// As of another network's rows, none of which is the own network's.
    #[must_use]
    pub fn of_elsewhere(self) -> Self {
        Self { rows: 0, ..self }
    }

    /// Rows of the own network that it was made from; none of a profile [of
    /// elsewhere](Self::of_elsewhere).
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows that its quantiles and histograms are made from: all, or a sample of them.
    #[must_use]
    pub fn sampled(&self) -> u64 {
        self.sampled
    }
}

impl ProfileBuilder {
    /// For rows of these inputs; the seed draws the sample.
    #[must_use]
    pub fn new(inputs: &Inputs, seed: u64) -> Self {
        // A stream that no tree of a forest has, so that the same seed may serve both.
        let sample = RowSample::new(PROFILE_ROWS, inputs.len(), seed, usize::MAX - 1);
        let columns = columns(inputs.names());
        Self { extremes: vec![(f32::MAX, f32::MIN); columns.len()], columns, sample }
    }

    /// Takes rows that lie side by side: the inputs only, in their order
    /// ([`Inputs::project`](crate::Inputs::project)).
    ///
    /// # Panics
    ///
    /// If `rows` does not divide into rows.
    pub fn extend(&mut self, rows: &[f32]) {
        self.sample.extend(rows);
        for row in rows.chunks_exact(self.extremes.len()) {
            for ((min, max), value) in self.extremes.iter_mut().zip(row) {
                let value = as_scored(*value);
                *min = min.min(value);
                *max = max.max(value);
            }
        }
    }

    /// Rows taken.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.sample.seen()
    }

    /// The profile of all rows taken. Sorts one column at a time.
    #[expect(clippy::missing_panics_doc, reason = "a sampled value is finite, a floor above 0")]
    pub fn finish(self) -> Result<Profile, EmptyProfile> {
        let width = self.extremes.len();
        let sampled = self.sample.rows().len() / width;
        if sampled == 0 {
            return Err(EmptyProfile);
        }
        let mut column = Vec::with_capacity(sampled);
        let (mut ranges, mut histograms, mut tails) = (Vec::new(), Vec::new(), Vec::new());
        for (feature, (extremes, form)) in self.extremes.iter().zip(&self.columns).enumerate() {
            column.clear();
            let values = self.sample.rows().iter().skip(feature).step_by(width);
            column.extend(values.map(|value| as_scored(*value)));
            column.sort_unstable_by(f32::total_cmp);
            ranges.push(range_of(&column, *extremes));
            histograms.push(histogram_of(&column));
            tails.push(ColumnTails::of_sorted(form, &column).expect("a column of finite values"));
        }
        let tails = Tails::new(tails).expect("at least one input");
        let (rows, sampled) = (self.sample.seen(), sampled as u64);
        Ok(Profile { ranges, histograms, tails, rows, sampled })
    }
}

fn range_of(ascending: &[f32], (min, max): (f32, f32)) -> FeatureRange {
    let at = |fraction| quantile_of(ascending, fraction);
    FeatureRange { min, p01: at(0.01), median: at(0.5), p99: at(0.99), max }
}

fn histogram_of(ascending: &[f32]) -> FeatureHistogram {
    let mut edges: Vec<f32> =
        (1..BINS).map(|bin| quantile_of(ascending, bin as f64 / BINS as f64) + 0.0).collect();
    edges.dedup();
    let mut counts = Vec::with_capacity(edges.len() + 1);
    let mut counted = 0;
    for edge in &edges {
        let below = ascending.partition_point(|value| value <= edge);
        counts.push((below - counted) as u64);
        counted = below;
    }
    counts.push((ascending.len() - counted) as u64);
    FeatureHistogram { edges, counts }
}

/// The finite value that a forest takes a value for.
pub(crate) fn as_scored(value: f32) -> f32 {
    if value.is_nan() { f32::MIN } else { value.clamp(f32::MIN, f32::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use features::SchemaId;

    fn builder(n_inputs: usize) -> ProfileBuilder {
        let features = (0..n_inputs).map(|feature| format!("f{feature}")).collect();
        let schema = SchemaId { name: "test.v1".into(), hash: "00".into(), features };
        ProfileBuilder::new(&Inputs::all(&schema), 1)
    }

    fn profile(rows: &[f32], n_inputs: usize) -> Profile {
        let mut builder = builder(n_inputs);
        builder.extend(rows);
        builder.finish().unwrap()
    }

    #[test]
    fn a_histogram_counts_every_row_once() {
        let rows: Vec<f32> =
            (0..500_u16).flat_map(|i| [f32::from(i * 7 % 101) / 101.0, 5.0]).collect();
        let profile = profile(&rows, 2);
        for histogram in profile.histograms() {
            assert_eq!(histogram.counts.len(), histogram.edges.len() + 1);
            assert_eq!(histogram.counts.iter().sum::<u64>(), 500);
        }
        assert_eq!(profile.histograms()[1].edges, [5.0], "a constant feature has one edge");
        assert_eq!((profile.ranges()[1].min, profile.ranges()[1].max), (5.0, 5.0));
    }

    #[test]
    fn beyond_the_sample_extremes_stay_exact_and_quantiles_near() {
        let rows = 4 * PROFILE_ROWS;
        let mut builder = builder(1);
        for row in 0..rows {
            // A permutation of 0..rows, so that the order of the stream says nothing.
            builder.extend(&[(row * 7_919 % rows) as f32]);
        }
        let profile = builder.finish().unwrap();
        assert_eq!((profile.rows(), profile.sampled()), (rows as u64, PROFILE_ROWS as u64));
        let range = profile.ranges()[0];
        let share = |value: f32| f64::from(value) / rows as f64;
        assert!(range.min.abs() < f32::EPSILON && share(range.max) > 0.999_99, "{range:?}");
        assert!((share(range.median) - 0.5).abs() < 0.01, "{range:?}");
        assert!((share(range.p99) - 0.99).abs() < 0.002, "{range:?}");
        assert_eq!(profile.histograms()[0].counts.iter().sum::<u64>(), PROFILE_ROWS as u64);
    }

    #[test]
    fn no_rows_make_no_profile() {
        assert_eq!(builder(3).finish(), Err(EmptyProfile));
    }

    #[test]
    fn what_is_not_finite_counts_as_a_forest_counts_it() {
        let range = profile(&[f32::NAN, 1.0, f32::INFINITY], 1).ranges()[0];
        assert_eq!((range.min, range.max), (f32::MIN, f32::MAX));
    }
}
