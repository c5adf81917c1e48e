//! Drift: whether the rows are still spread as those of the training were.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The share that an empty bin counts as: a logarithm of 0 is none. An empty bin facing a
/// tenth of the rows thus adds 0.69, far beyond any reading.
pub const SHARE_FLOOR: f64 = 1e-4;

/// Conventional readings: below the first value nothing changed, from the second on much did.
/// They come from credit scoring (Siddiqi 2006, *Credit Risk Scorecards*), not from theory; see
/// [`FeatureDrift::by_chance`] for what theory says.
pub const READINGS: [f64; 2] = [0.1, 0.25];

/// Shift of a feature between training and test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureDrift {
    /// The feature's name.
    pub feature: String,
    /// Population stability index: `Σ (tᵢ − rᵢ) ln(tᵢ / rᵢ)` over the bins' shares in test and
    /// training, the symmetric divergence of Kullback and Leibler 1951.
    pub index: f64,
    /// Index that samples of these sizes from one and the same distribution stay below 19 times of
    /// 20: χ² with bins − 1 degrees of freedom, times `1/n + 1/m` (Yurdakul and Naranjo 2020,
    /// *Statistical properties of the population stability index*). Rows that resemble each other,
    /// as a peer's do, make for more.
    pub by_chance: f64,
    /// Training rows.
    pub train_rows: u64,
    /// Test rows.
    pub test_rows: u64,
    /// Reading of the index.
    pub reading: Reading,
}

/// Reading of a population stability index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// Below 0.1, or no more than chance.
    Stable,
    /// From 0.1.
    Shifted,
    /// From 0.25.
    Moved,
}

impl Reading {
    /// The reading as a person reads it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Stable => "as in training",
            Self::Shifted => "shifted",
            Self::Moved => "not the training's distribution any more",
        }
    }
}

/// Histograms that cannot be compared.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DriftError {
    /// Bins differ in number.
    #[error(
        "`{feature}` has {train} training bins but {test} test bins: \
         count both over the same edges"
    )]
    Bins {
        /// The feature's name.
        feature: String,
        /// Training bins.
        train: usize,
        /// Test bins.
        test: usize,
    },
    /// Nothing to compare.
    #[error("`{feature}` has no {side} rows: drift needs some of both")]
    Empty {
        /// The feature's name.
        feature: String,
        /// `training` or `test`.
        side: &'static str,
    },
}

impl FeatureDrift {
    /// Compares counts of training and test rows over the same bins.
    pub fn of(feature: &str, train: &[u64], test: &[u64]) -> Result<Self, DriftError> {
        if train.len() != test.len() {
            let (train, test) = (train.len(), test.len());
            return Err(DriftError::Bins { feature: feature.to_owned(), train, test });
        }
        let total = |counts: &[u64], side| match counts.iter().sum::<u64>() {
            0 => Err(DriftError::Empty { feature: feature.to_owned(), side }),
            rows => Ok(rows),
        };
        let (train_rows, test_rows) = (total(train, "training")?, total(test, "test")?);
        let share = |count: u64, rows: u64| (count as f64 / rows as f64).max(SHARE_FLOOR);
        let index = train.iter().zip(test).map(|(train, test)| {
            let (train, test) = (share(*train, train_rows), share(*test, test_rows));
            (test - train) * (test / train).ln()
        });
        let index: f64 = index.sum();
        let sizes = 1.0 / train_rows as f64 + 1.0 / test_rows as f64;
        let by_chance = chi_squared_95(train.len().saturating_sub(1)) * sizes;
        let reading = if index < READINGS[0] || index <= by_chance {
            Reading::Stable
        } else if index < READINGS[1] {
            Reading::Shifted
        } else {
            Reading::Moved
        };
        let feature = feature.to_owned();
        Ok(Self { feature, index, by_chance, train_rows, test_rows, reading })
    }
}

/// The bin of a value among bins that end at ascending `edges`: a value equal to an edge falls
/// below it, one above all edges into the last bin, NaN into the first.
#[must_use]
pub fn bin_of(edges: &[f32], value: f32) -> usize {
    edges.partition_point(|edge| *edge < value)
}

/// The 95 % quantile of χ², by Wilson and Hilferty's cube root (1931); within 1 % from two
/// degrees of freedom on.
fn chi_squared_95(degrees: usize) -> f64 {
    if degrees == 0 {
        return 0.0;
    }
    let degrees = degrees as f64;
    let spread = 2.0 / (9.0 * degrees);
    degrees * (1.0 - spread + 1.644_853_627 * spread.sqrt()).powi(3)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_index_is_the_formulas() {
        let drift = FeatureDrift::of("rate", &[50, 30, 20], &[20, 30, 50]).unwrap();
        let expected = 2.0 * 0.3 * (0.5_f64 / 0.2).ln();
        assert!((drift.index - expected).abs() < 1e-12, "{drift:?}");
        assert_eq!(drift.reading, Reading::Moved);
    }

    #[test]
    fn a_difference_that_chance_makes_is_no_drift() {
        let drift = FeatureDrift::of("rate", &[3, 4, 3, 4], &[5, 3, 3, 3]).unwrap();
        assert!(drift.index > 0.1 && drift.by_chance > drift.index, "{drift:?}");
        assert_eq!(drift.reading, Reading::Stable);
    }

    #[test]
    fn an_empty_bin_counts_at_the_floor() {
        let drift = FeatureDrift::of("rate", &[90, 10], &[100, 0]).unwrap();
        let expected = 0.1 * (1.0_f64 / 0.9).ln() + (1e-4 - 0.1) * (1e-4_f64 / 0.1).ln();
        assert!((drift.index - expected).abs() < 1e-12, "{drift:?}");
    }

    #[test]
    fn histograms_that_cannot_be_compared_are_refused_by_name() {
        let error = FeatureDrift::of("rate", &[1, 2], &[1]).unwrap_err();
        assert!(error.to_string().starts_with("`rate` has 2 training bins but 1 test bins"));
        let error = FeatureDrift::of("rate", &[1, 2], &[0, 0]).unwrap_err();
        assert_eq!(error.to_string(), "`rate` has no test rows: drift needs some of both");
    }

    #[test]
    fn the_quantile_is_that_of_the_tables() {
        for (degrees, tabled) in [(2, 5.991), (9, 16.919), (15, 24.996)] {
            assert!((chi_squared_95(degrees) / tabled - 1.0).abs() < 0.01, "{degrees}");
        }
    }

    #[test]
    fn a_value_on_an_edge_falls_below_it() {
        let bins = [-1.0, 0.0, 0.5, 1.0, 2.0, f32::NAN].map(|value| bin_of(&[0.0, 1.0], value));
        assert_eq!(bins, [0, 0, 1, 1, 2, 0]);
    }

    proptest! {
        #[test]
        fn the_index_is_never_negative_and_knows_no_direction(
            bins in prop::collection::vec((1_u64..1_000, 1_u64..1_000), 2..20),
        ) {
            let (train, test): (Vec<u64>, Vec<u64>) = bins.into_iter().unzip();
            let forth = FeatureDrift::of("x", &train, &test).unwrap();
            let back = FeatureDrift::of("x", &test, &train).unwrap();
            prop_assert!(forth.index >= -1e-12);
            prop_assert!((forth.index - back.index).abs() < 1e-9);
            let same = FeatureDrift::of("x", &train, &train).unwrap();
            prop_assert!(same.index.abs() < 1e-12 && same.reading == Reading::Stable);
        }
    }
}
