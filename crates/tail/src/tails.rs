use serde::{Deserialize, Serialize};

use crate::column::ColumnTails;
use crate::errors::TailsError;

/// Features that make a row's score.
pub const PARTS: usize = 3;

/// Surprise that a feature counts at most.
pub const CAP: f32 = 12.0;

/// Rows that pass through one column after the other at once.
const BLOCK: usize = 256;

/// Tails of each feature of a table, and of what may stand behind them.
///
/// The surprise of a feature is −log10 of the chance of a value as far out, 12 at most; the score
/// of a row is the sum of its three largest, in [0, 36], **higher is more anomalous**. Rows are
/// `f32`, side by side. NaN is no surprise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Tails {
    columns: Vec<ColumnTails>,
    prior: Option<Prior>,
}

/// Tails of other rows, and the number of rows that they count as.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prior {
    rows: f64,
    columns: Vec<ColumnTails>,
}

/// [`Tails`] as they are written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    columns: Vec<ColumnTails>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prior: Option<Prior>,
}

/// A feature's part in a row's score.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Part {
    /// Feature index, from 0.
    pub feature: usize,
    /// −log10 of the chance of its value, 0 to [`CAP`].
    pub surprise: f32,
}

impl Tails {
    /// Joins the tails of columns.
    pub fn new(columns: Vec<ColumnTails>) -> Result<Self, TailsError> {
        if columns.is_empty() {
            return Err(TailsError::NoFeatures);
        }
        Ok(Self { columns, prior: None })
    }

    /// Mixes in the tails of other rows, which count as `rows` rows: each chance becomes
    /// (rows · p of the prior + n · p) / (rows + n) of n rows of one's own. Tails of few rows are
    /// far too sure; ten pseudo-rows keep them from it, and vanish as rows grow.
    pub fn with_prior(self, prior: Self, rows: f64) -> Result<Self, TailsError> {
        if prior.prior.is_some() {
            return Err(TailsError::PriorOfPrior);
        }
        Self::mixed(self.columns, Prior { rows, columns: prior.columns })
    }

    fn mixed(columns: Vec<ColumnTails>, prior: Prior) -> Result<Self, TailsError> {
        let (got, n_features) = (prior.columns.len(), columns.len());
        let sides = |columns: &[ColumnTails]| -> Vec<bool> {
            columns.iter().map(ColumnTails::is_two_sided).collect()
        };
        if sides(&prior.columns) != sides(&columns) {
            return Err(TailsError::PriorWidth { got, n_features });
        }
        if !(prior.rows.is_finite() && prior.rows > 0.0) {
            return Err(TailsError::PriorRows { got: prior.rows });
        }
        Ok(Self { prior: Some(prior), ..Self::new(columns)? })
    }

    /// Features per row.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.columns.len()
    }

    /// The tails of each column.
    #[must_use]
    pub fn columns(&self) -> &[ColumnTails] {
        &self.columns
    }

    /// Scores one row.
    ///
    /// # Panics
    /// If `row` does not have [`n_features`](Self::n_features) values.
    #[must_use]
    pub fn score_row(&self, row: &[f32]) -> f32 {
        let mut score = [0.0];
        self.score_rows(row, &mut score);
        score[0]
    }

    /// Scores rows that lie side by side, on the calling thread.
    ///
    /// # Panics
    /// If `rows` does not hold exactly `scores.len()` rows.
    pub fn score_rows(&self, rows: &[f32], scores: &mut [f32]) {
        let width = self.columns.len();
        assert_eq!(rows.len(), scores.len() * width, "a score for each whole row");
        for (rows, scores) in rows.chunks(BLOCK * width).zip(scores.chunks_mut(BLOCK)) {
            let mut largest = [[Part::default(); PARTS]; BLOCK];
            for feature in 0..width {
                let values = rows.iter().skip(feature).step_by(width);
                for (value, largest) in values.zip(&mut largest) {
                    place(largest, Part { feature, surprise: self.surprise(feature, *value) });
                }
            }
            for (score, largest) in scores.iter_mut().zip(&largest) {
                *score = sum(largest);
            }
        }
    }

    /// The features that make a row's score, the largest first, ties by index; none without
    /// surprise. They add up to the score, to the bit.
    ///
    /// # Panics
    /// If `row` does not have [`n_features`](Self::n_features) values.
    #[must_use]
    pub fn parts(&self, row: &[f32]) -> Vec<Part> {
        assert_eq!(row.len(), self.columns.len(), "a value for each feature");
        let mut largest = [Part::default(); PARTS];
        for (feature, value) in row.iter().enumerate() {
            place(&mut largest, Part { feature, surprise: self.surprise(feature, *value) });
        }
        largest.into_iter().filter(|part| part.surprise > 0.0).collect()
    }

    /// The surprise of a value of a feature, 0 to [`CAP`].
    ///
    /// # Panics
    /// If there is no such feature.
    #[must_use]
    pub fn surprise(&self, feature: usize, value: f32) -> f32 {
        let prior = self.prior.as_ref().map(|prior| (&prior.columns[feature], prior.rows));
        let p_value = self.columns[feature].p_value(prior, value);
        #[expect(clippy::cast_possible_truncation, reason = "a score needs no more digits")]
        let surprise = -p_value.log10() as f32;
        // Not −0.
        (surprise + 0.0).min(CAP)
    }
}

/// Keeps the largest parts, in falling order; of equal ones those that came first.
fn place(largest: &mut [Part; PARTS], part: Part) {
    let at = largest.partition_point(|kept| kept.surprise >= part.surprise);
    if at < PARTS {
        largest[at..].rotate_right(1);
        largest[at] = part;
    }
}

fn sum(parts: &[Part]) -> f32 {
    parts.iter().map(|part| part.surprise).sum()
}

impl TryFrom<Parts> for Tails {
    type Error = TailsError;

    fn try_from(Parts { columns, prior }: Parts) -> Result<Self, TailsError> {
        match prior {
            Some(prior) => Self::mixed(columns, prior),
            None => Self::new(columns),
        }
    }
}

impl From<Tails> for Parts {
    fn from(Tails { columns, prior }: Tails) -> Self {
        Self { columns, prior }
    }
}

#[cfg(test)]
mod tests {
    use linfa::ParamGuard;
    use linfa::prelude::*;
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;
    use crate::Column;

    const TWO_SIDED: Column = Column { two_sided: true, floor: 0.15 };

    /// 300 rows of four features: two that vary, a constant one, and a two-sided one.
    fn rows() -> Vec<f32> {
        (0..300_u16)
            .flat_map(|i| {
                let at = f32::from(i * 7 % 101) / 101.0;
                [at, at * 8.0, 0.0, f32::from(i * 13 % 89) / 89.0]
            })
            .collect()
    }

    fn fit(rows: &[f32]) -> Tails {
        let columns = vec![Column::default(), Column::default(), Column::default(), TWO_SIDED];
        Tails::params(columns).check().unwrap().fit_rows(rows).unwrap()
    }

    #[test]
    fn a_made_up_table_scores_as_the_formula_says() {
        // Ten rows of two features: 0.0 to 0.9, and nine zeros before a 1.
        let rows: Vec<f32> =
            (0..10_u8).flat_map(|i| [f32::from(i) / 10.0, f32::from(u8::from(i == 9))]).collect();
        let columns = vec![Column::default(), TWO_SIDED];
        let tails = Tails::params(columns).check().unwrap().fit_rows(&rows).unwrap();
        let (scale, least) = (0.15_f64, 1.0 / 11.0);
        // q95 = 0.855, above it one value, whose excess of 0.045 is below the floor.
        let first = (2.0 / 11.0 * (-(1.5 - 0.855) / scale).exp()).min(least);
        // q95 = 0.55, mean excess 0.45; twice, for it has two sides.
        let second = 2.0 * (2.0 / 11.0 * (-(2.0 - 0.55) / 0.45_f64).exp()).min(least);
        let expected = -first.log10() - second.log10();
        let found = f64::from(tails.score_row(&[1.5, 2.0]));
        assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
        assert!((found - 4.446_555).abs() < 1e-5, "{found}: computed elsewhere, with numpy");
        // Below everything: 2/11 on the low side, as far as the rows tell.
        let low = f64::from(tails.score_row(&[0.0, -50.0]));
        assert!((low + (2.0 / 11.0_f64).log10()).abs() < 1e-6, "{low}");
    }

    #[test]
    fn the_three_largest_are_the_score_and_the_fourth_is_not_in_it() {
        let tails = fit(&rows());
        let row = [9.0, 1e9, 5.0, 30.0];
        let parts = tails.parts(&row);
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[0], Part { feature: 0, surprise: CAP });
        assert!(tails.score_row(&row) <= 3.0 * CAP);
        let one_more = tails.surprise(3, 30.0);
        assert!(parts.iter().all(|part| part.surprise >= one_more));
    }

    #[test]
    fn a_prior_holds_back_tails_of_few_rows_and_vanishes_as_they_grow() {
        let wide: Vec<f32> = rows().iter().map(|value| value * 40.0).collect();
        let row = [3.0, 3.0, 0.0, 0.5];
        let surprise = |rows: &[f32], prior: bool| {
            let tails = fit(rows);
            let tails = if prior { tails.with_prior(fit(&wide), 10.0).unwrap() } else { tails };
            tails.surprise(0, row[0])
        };
        let few = &rows()[..80];
        assert!(surprise(few, false) > 5.0 && surprise(few, true) < 1.0);
        let many = rows().repeat(100);
        assert!(surprise(&many, true) > 3.0);
    }

    #[test]
    fn what_does_not_fit_together_is_refused_with_the_remedy() {
        let error = Tails::params(vec![]).check().unwrap_err().to_string();
        assert!(error.contains("at least one feature"), "{error}");
        let error = Tails::params(vec![Column { two_sided: false, floor: 0.0 }]).check();
        assert!(error.unwrap_err().to_string().starts_with("feature 0: the floor"));
        let params = Tails::params(vec![Column::default(); 2]).check().unwrap();
        assert!(params.fit_rows(&[1.0]).unwrap_err().to_string().contains("pass whole rows"));
        assert!(params.fit_rows(&[]).unwrap_err().to_string().contains("at least one value"));
        let error = params.fit_rows(&[1.0, 2.0, 3.0, f32::INFINITY]).unwrap_err().to_string();
        assert!(error.starts_with("feature 1: value 1 is inf"), "{error}");
        let two = params.fit_rows(&[1.0, 2.0]).unwrap();
        let error = fit(&rows()).with_prior(two.clone(), 10.0).unwrap_err().to_string();
        assert!(error.contains("2 features where 4 are needed"), "{error}");
        assert!(matches!(two.clone().with_prior(two, f64::NAN), Err(TailsError::PriorRows { .. })));
    }

    #[test]
    fn a_dataset_gives_the_same_tails() {
        let records = Array2::from_shape_vec((300, 4), rows()).unwrap();
        let columns = vec![Column::default(), Column::default(), Column::default(), TWO_SIDED];
        let params = Tails::params(columns).check().unwrap();
        assert_eq!(params.fit(&Dataset::from(records)).unwrap(), fit(&rows()));
    }

    proptest! {
        #[test]
        fn any_row_has_a_score_and_it_is_the_sum_of_its_parts(
            row in prop::array::uniform4(any::<f32>()),
        ) {
            let tails = fit(&rows());
            let score = tails.score_row(&row);
            prop_assert!((0.0..=3.0 * CAP).contains(&score));
            let parts = tails.parts(&row);
            prop_assert_eq!(sum(&parts).to_bits(), score.to_bits());
            prop_assert!(parts.is_sorted_by(|a, b| a.surprise >= b.surprise));
        }

        #[test]
        fn more_of_a_feature_is_never_less_odd(
            row in prop::array::uniform4(-2.0_f32..9.0),
            more in 0.0_f32..9.0,
            feature in 0_usize..3,
        ) {
            let tails = fit(&rows());
            let mut higher = row;
            higher[feature] += more;
            prop_assert!(tails.score_row(&higher) >= tails.score_row(&row));
        }

        #[test]
        fn rows_side_by_side_score_as_each_alone(
            rows_of in prop::collection::vec(prop::array::uniform4(-2.0_f32..9.0), 0..600),
        ) {
            let tails = fit(&rows());
            let mut scores = vec![0.0; rows_of.len()];
            tails.score_rows(rows_of.as_flattened(), &mut scores);
            for (row, score) in rows_of.iter().zip(scores) {
                prop_assert_eq!(tails.score_row(row).to_bits(), score.to_bits());
            }
        }
    }

    #[test]
    fn tails_read_back_as_they_were_written() {
        let tails = fit(&rows()).with_prior(fit(&rows()[..40]), 10.0).unwrap();
        let json = serde_json::to_string(&tails).unwrap();
        assert_eq!(serde_json::from_str::<Tails>(&json).unwrap(), tails);
        assert!(serde_json::from_str::<Tails>(r#"{"columns":[]}"#).is_err());
    }
}
