//! Novelty: how far a row lies outside of what training rows had, feature by feature.
//!
//! An isolation forest cannot split on a feature that was constant in training, nor beyond the
//! extremes that it saw: it is blind to "never before", which is just what many attacks are. The
//! novelty of a row is the sum over its features of the distance above the greatest training
//! value, in units of that feature's usual width. Only above: less of something than ever is
//! what anybody shows who falls silent. It is calibrated like the forest's
//! score, and explains itself.

use crate::profile::FeatureRange;

/// A feature counts at most this much, so that one alone cannot carry a row far.
const FEATURE_LIMIT: f64 = 4.0;

/// A row's novelty lies above the calibration's by as much as it exceeds the calibration's
/// highest, or this where that is less: `N / (1 + N)` of `N` = 1.6.
///
/// Where every held-out row lies within the training ranges their highest novelty is 0, and one
/// feature a little beyond its range would stand as far above it as an attack does. From here a
/// feature that counts its limit of 4 stands at (4 - 1.6) / (1 + 4) = 0.48 of the way to 1, so
/// that one alone is reported and not acted on (`policy.expert.margin` is one half). Measured on captures
/// of other networks: `docs/detection.md`.
pub(crate) const LEAST_HIGHEST: f32 = 1.6 / 2.6;

/// Added to each feature's width: a tenth of a ratio, or of a doubling on a logarithmic scale.
/// A feature that was constant in training has no width of its own.
const WIDTH_FLOOR: f64 = 0.1;

/// The usual width of a feature: a quarter of the way from its 1st to its 99th percentile, about
/// one standard deviation where it is spread normally.
const WIDTH_SHARE: f64 = 0.25;

/// A feature's part in a row's novelty.
#[derive(Clone, Debug, PartialEq)]
pub struct NoveltyPart {
    /// Feature index, from 0.
    pub feature: usize,
    /// The row's value.
    pub value: f32,
    /// The feature's range in training.
    pub range: FeatureRange,
    /// Widths above the training rows, 0 to 4.
    pub distance: f64,
}

/// The novelty of a row as a score in [0, 1): `N / (1 + N)` of the summed distances `N`. 0 for a
/// row within all ranges. NaN is below everything, like in the forest.
///
/// # Panics
/// Where `ranges` and `row` differ in length.
#[must_use]
pub fn novelty(ranges: &[FeatureRange], row: &[f32]) -> f32 {
    assert_eq!(ranges.len(), row.len(), "a row has a value for each range");
    let sum: f64 = ranges.iter().zip(row).map(|(range, value)| distance(range, *value)).sum();
    #[expect(clippy::cast_possible_truncation, reason = "a score needs no more digits")]
    let score = (sum / (1.0 + sum)) as f32;
    // So near to 1 that an f32 would round it up.
    score.min(1.0 - f32::EPSILON)
}

/// The features that lie above their ranges, the farthest first; ties by index.
#[must_use]
pub fn novel_features(ranges: &[FeatureRange], row: &[f32]) -> Vec<NoveltyPart> {
    let mut parts: Vec<NoveltyPart> = ranges
        .iter()
        .zip(row)
        .enumerate()
        .map(|(feature, (range, &value))| NoveltyPart {
            feature,
            value,
            range: *range,
            distance: distance(range, value),
        })
        .filter(|part| part.distance > 0.0)
        .collect();
    parts.sort_by(|a, b| b.distance.total_cmp(&a.distance));
    parts
}

fn distance(range: &FeatureRange, value: f32) -> f64 {
    if value.is_nan() || value <= range.max {
        return 0.0;
    }
    let beyond = f64::from(value) - f64::from(range.max);
    let width = (f64::from(range.p99) - f64::from(range.p01)) * WIDTH_SHARE + WIDTH_FLOOR;
    (beyond / width).min(FEATURE_LIMIT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONSTANT: FeatureRange =
        FeatureRange { min: 0.0, p01: 0.0, median: 0.0, p99: 0.0, max: 0.0 };
    const WIDE: FeatureRange =
        FeatureRange { min: -1.0, p01: 0.0, median: 2.0, p99: 4.0, max: 5.0 };

    #[test]
    fn a_row_within_all_ranges_has_none() {
        assert!(novelty(&[CONSTANT, WIDE], &[0.0, 4.9]).abs() < f32::EPSILON);
        assert_eq!(novel_features(&[CONSTANT, WIDE], &[-7.0, f32::NAN]), []);
    }

    #[test]
    fn what_never_was_counts_in_widths_up_to_the_limit() {
        let parts = novel_features(&[CONSTANT, WIDE], &[1.0, 7.2]);
        let found: Vec<_> = parts.iter().map(|part| (part.feature, part.distance)).collect();
        assert_eq!(found[0], (0, FEATURE_LIMIT));
        assert!((found[1].1 - 2.0).abs() < 1e-6, "2.2 beyond 5, in widths of 1.1: {found:?}");
        assert!((novelty(&[CONSTANT, WIDE], &[1.0, 7.2]) - 6.0 / 7.0).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn it_is_finite_and_below_one_for_any_row(row in prop::array::uniform2(any::<f32>())) {
            let score = novelty(&[CONSTANT, WIDE], &row);
            prop_assert!((0.0..1.0).contains(&score));
        }
    }
}
