//! Explanation: which features made a score, each beside what is usual for it.

use crate::calibration::quantile_of;
use crate::forest::IsolationForest;

/// What training rows had in one feature, in the feature's unit.
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

/// How the training rows of one feature are spread, to tell later whether they still are.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureHistogram {
    /// Upper edges of all bins but the last, strictly ascending, in the feature's unit. A
    /// value equal to an edge falls below it.
    pub edges: Vec<f32>,
    /// Training rows per bin; one more than edges.
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

/// One feature's part in a score.
#[derive(Clone, Debug, PartialEq)]
pub struct Contribution {
    /// Feature index, from 0.
    pub feature: usize,
    /// The feature's name in the model's schema.
    pub name: String,
    /// The row's value; finite, as the forest saw it (see [`IsolationForest`]).
    pub value: f32,
    /// What is usual for the feature.
    pub range: FeatureRange,
    /// Where the value lies in that range.
    pub place: Place,
    /// Levels by which the feature shortened the row's mean path; below 0 where it made the
    /// row look more usual.
    pub shortening: f64,
    /// Its share in all that shortened the path, 0 to 1.
    pub share: f64,
}

/// Why a row scored as it did: its features, the one that set it apart most first.
///
/// For a forest, the path-based contributions of
/// [`IsolationForest::path_shortening`]: total and finite for any row, and adding up to the
/// difference between the usual path and this row's.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The row's score.
    pub score: f32,
    /// Mean path length of the training rows, in levels.
    pub expected_path: f64,
    /// Mean path length of this row, in levels.
    pub path: f64,
    /// One per feature, by falling [`shortening`](Contribution::shortening); ties by index.
    pub contributions: Vec<Contribution>,
}

impl Explanation {
    /// Explains one row. Costs tens of microseconds and allocates: meant for alerts.
    ///
    /// # Panics
    ///
    /// If `row`, `names` and `ranges` do not each have the forest's number of features.
    #[must_use]
    pub fn of(
        forest: &IsolationForest,
        names: &[String],
        ranges: &[FeatureRange],
        row: &[f32],
    ) -> Self {
        assert_eq!(names.len(), forest.n_features(), "each feature must have a name");
        assert_eq!(ranges.len(), forest.n_features(), "each feature must have a range");
        let paths = forest.path_shortening(row);
        let all: f64 = paths.by_feature.iter().filter(|levels| **levels > 0.0).sum();
        let mut contributions: Vec<Contribution> = paths
            .by_feature
            .iter()
            .enumerate()
            .map(|(feature, shortening)| {
                let value = as_scored(row[feature]);
                Contribution {
                    feature,
                    name: names[feature].clone(),
                    value,
                    range: ranges[feature],
                    place: ranges[feature].place(value),
                    shortening: *shortening,
                    share: if *shortening > 0.0 { shortening / all } else { 0.0 },
                }
            })
            .collect();
        // A stable sort, so that ties stay in the order of the features.
        contributions.sort_by(|a, b| b.shortening.total_cmp(&a.shortening));
        Self {
            score: forest.score_row(row),
            expected_path: paths.expected,
            path: paths.path,
            contributions,
        }
    }

    /// The features that set the row apart most, at most `count`, none that did not.
    pub fn leading(&self, count: usize) -> impl Iterator<Item = &Contribution> {
        self.contributions.iter().take_while(|part| part.shortening > 0.0).take(count)
    }
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

/// Bins of a training histogram: few enough for a stable population stability index.
const BINS: usize = 16;

/// The range and the histogram of each feature over rows that lie side by side. Sorts one
/// column at a time.
///
/// # Panics
///
/// If there are no rows, or `rows` does not divide into rows.
pub(crate) fn profile(
    rows: &[f32],
    n_features: usize,
) -> (Vec<FeatureRange>, Vec<FeatureHistogram>) {
    assert!(!rows.is_empty() && rows.len().is_multiple_of(n_features), "whole rows, at least one");
    let mut column = Vec::with_capacity(rows.len() / n_features);
    (0..n_features)
        .map(|feature| {
            column.clear();
            column.extend(rows.iter().skip(feature).step_by(n_features).map(|v| as_scored(*v)));
            column.sort_unstable_by(f32::total_cmp);
            (range_of(&column), histogram_of(&column))
        })
        .unzip()
}

fn range_of(ascending: &[f32]) -> FeatureRange {
    let at = |fraction| quantile_of(ascending, fraction);
    FeatureRange { min: at(0.0), p01: at(0.01), median: at(0.5), p99: at(0.99), max: at(1.0) }
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
fn as_scored(value: f32) -> f32 {
    if value.is_nan() { f32::MIN } else { value.clamp(f32::MIN, f32::MAX) }
}

#[cfg(test)]
mod tests {
    use linfa::ParamGuard;
    use proptest::prelude::*;

    use super::*;

    /// 500 rows of four features; only the first two vary together.
    fn rows() -> Vec<f32> {
        (0..500_u16)
            .flat_map(|i| {
                let at = f32::from(i * 7 % 101) / 101.0;
                [at, at * 2.0, f32::from(i * 13 % 89) / 89.0, 5.0]
            })
            .collect()
    }

    fn names() -> Vec<String> {
        ["a", "b", "c", "d"].map(String::from).to_vec()
    }

    fn forest(extension_level: usize) -> IsolationForest {
        let params = IsolationForest::params().n_trees(30).extension_level(extension_level);
        params.check().unwrap().fit_rows(&rows(), 4).unwrap()
    }

    #[test]
    fn the_feature_that_is_out_of_range_leads() {
        let (ranges, _) = profile(&rows(), 4);
        for extension_level in [0, 1, 3] {
            let forest = forest(extension_level);
            for (feature, name) in ["a", "b", "c"].into_iter().enumerate() {
                let mut row = [0.5, 1.0, 0.5, 5.0];
                row[feature] = 40.0;
                let explanation = Explanation::of(&forest, &names(), &ranges, &row);
                let leader = explanation.leading(1).next().unwrap();
                assert_eq!(leader.name, name, "extension level {extension_level}");
                assert_eq!((leader.value, leader.place), (40.0, Place::AboveAll));
                assert!(leader.share > 0.5, "{leader:?}");
            }
        }
    }

    #[test]
    fn a_histogram_counts_every_row_once() {
        let (ranges, histograms) = profile(&rows(), 4);
        for histogram in &histograms {
            assert_eq!(histogram.counts.len(), histogram.edges.len() + 1);
            assert_eq!(histogram.counts.iter().sum::<u64>(), 500);
        }
        assert_eq!(histograms[3].edges, [5.0], "a constant feature has one edge");
        assert_eq!((ranges[3].min, ranges[3].max), (5.0, 5.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn contributions_are_finite_and_add_up_for_any_row(
            row in prop::array::uniform4(any::<f32>()),
            extension_level in 0_usize..4,
        ) {
            let (ranges, _) = profile(&rows(), 4);
            let explanation = Explanation::of(&forest(extension_level), &names(), &ranges, &row);
            let sum: f64 = explanation.contributions.iter().map(|part| part.shortening).sum();
            let shortened = explanation.expected_path - explanation.path;
            prop_assert!((sum - shortened).abs() < 1e-4, "{} {}", sum, shortened);
            prop_assert!(explanation.score > 0.0 && explanation.score <= 1.0);
            for part in &explanation.contributions {
                prop_assert!(part.value.is_finite() && part.shortening.is_finite());
                prop_assert!((0.0..=1.0).contains(&part.share));
            }
        }
    }
}
