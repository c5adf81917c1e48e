//! Proportions: how many of how many, and how sure one can be of it.

use serde::{Deserialize, Serialize};

/// The 97.5 % quantile of the standard normal distribution: intervals here are of 95 %.
pub(crate) const Z: f64 = 1.959_963_984_540_054;

/// A count out of a total, with Wilson's 95 % score interval (Wilson 1927, *JASA* 22; the one
/// that Brown, Cai and `DasGupta` 2001, *Statistical Science* 16, recommend for small counts).
///
/// The interval takes rows as independent. Rows of one peer or one attack are not quite, so it
/// is narrower than it should be.
///
/// ```
/// let none = evaluation::Proportion::new(0, 100);
/// assert_eq!(none.share, 0.0);
/// assert!((none.high - 0.0370).abs() < 1e-4, "nothing in 100 may still be 3.7 %");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proportion {
    /// Number of cases that count.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// `count / of`; 0 of none is 0.
    pub share: f64,
    /// Lower end of the interval; 0 of none has 0 to 1.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Proportion {
    /// `count` of `of`.
    ///
    /// # Panics
    /// If `count` is above `of`.
    #[must_use]
    pub fn new(count: u64, of: u64) -> Self {
        assert!(count <= of, "{count} cannot be counted among {of}");
        if of == 0 {
            return Self { count, of, share: 0.0, low: 0.0, high: 1.0 };
        }
        let n = of as f64;
        let share = count as f64 / n;
        let spread = Z * Z / n;
        let middle = (share + spread / 2.0) / (1.0 + spread);
        let half = Z / (1.0 + spread) * (share * (1.0 - share) / n + spread / (4.0 * n)).sqrt();
        Self {
            count,
            of,
            share,
            low: if count == 0 { 0.0 } else { (middle - half).max(0.0) },
            high: if count == of { 1.0 } else { (middle + half).min(1.0) },
        }
    }
}

/// A number between two that it lies between with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wilsons_interval_is_scipys() {
        // scipy 1.17: binomtest(7, 50).proportion_ci(method="wilson")
        let seven = Proportion::new(7, 50);
        assert!((seven.low - 0.069_508_334_270_162_94).abs() < 1e-12, "{seven:?}");
        assert!((seven.high - 0.261_861_937_105_855_4).abs() < 1e-12, "{seven:?}");
    }

    #[test]
    fn none_of_none_says_nothing() {
        let none = Proportion::new(0, 0);
        assert_eq!((none.share, none.low, none.high), (0.0, 0.0, 1.0));
    }

    proptest! {
        #[test]
        fn the_share_lies_within_its_interval_and_more_rows_narrow_it(
            count in 0_u64..100,
            more in 0_u64..100,
        ) {
            let few = Proportion::new(count, count + more);
            prop_assert!(few.low <= few.share && few.share <= few.high);
            prop_assert!((0.0..=1.0).contains(&few.low) && (0.0..=1.0).contains(&few.high));
            if count + more > 0 {
                let many = Proportion::new(count * 10, (count + more) * 10);
                prop_assert!(many.high - many.low <= few.high - few.low);
            }
        }
    }
}
