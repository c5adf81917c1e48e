use conformal::{Tail, TailError};
use serde::{Deserialize, Serialize};

/// Column of a table: how its values are taken.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Low values are odd as well as high ones, as of a ratio of two quantities.
    pub two_sided: bool,
    /// Least scale of its tail, in its unit: what a value has to lie beyond the usual ones to be
    /// e times rarer, where these tell nothing of it. Finite and above 0.
    pub floor: f64,
}

/// Tails of one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnTails {
    upper: Tail,
    /// The upper tail of the negated values, of a two-sided column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lower: Option<Tail>,
}

impl Default for Column {
    /// One-sided, with a floor of 0.15: a seventh of a natural logarithm or of a ratio.
    fn default() -> Self {
        Self { two_sided: false, floor: 0.15 }
    }
}

impl ColumnTails {
    /// Tails of a column's finite values, which ascend.
    ///
    /// # Panics
    /// Where debug assertions are on and the values do not ascend.
    pub fn of_sorted(column: &Column, ascending: &[f32]) -> Result<Self, TailError> {
        let lower = column.two_sided.then(|| {
            let negated: Vec<f32> = ascending.iter().rev().map(|value| -value).collect();
            Tail::of_sorted(&negated, column.floor)
        });
        Ok(Self { upper: Tail::of_sorted(ascending, column.floor)?, lower: lower.transpose()? })
    }

    /// Low values count as odd too.
    #[must_use]
    pub const fn is_two_sided(&self) -> bool {
        self.lower.is_some()
    }

    /// The tail of high values.
    #[must_use]
    pub const fn upper(&self) -> &Tail {
        &self.upper
    }

    /// Chance of a value as far out; on two sides twice the smaller, 1 at most. Low values are
    /// told apart as far as the training rows reach, and no farther: less than ever is what
    /// anybody shows who falls silent.
    pub(crate) fn p_value(&self, prior: Option<(&Self, f64)>, value: f32) -> f64 {
        let of = |tails: &Self| {
            let low = tails.lower.as_ref().map(|tail| tail.empirical(-value));
            (tails.upper.p_value(value), low)
        };
        let (mut high, mut low) = of(self);
        if let Some((prior, rows)) = prior {
            let own = self.upper.values() as f64;
            let mixed = |one: f64, other: f64| (rows * other + own * one) / (rows + own);
            let (prior_high, prior_low) = of(prior);
            high = mixed(high, prior_high);
            low = low.zip(prior_low).map(|(own, prior)| mixed(own, prior));
        }
        match low {
            // NaN lies on no side.
            Some(low) if !value.is_nan() => (2.0 * high.min(low)).min(1.0),
            _ => high,
        }
    }
}
