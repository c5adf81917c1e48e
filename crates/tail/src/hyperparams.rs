use conformal::TailError;
use linfa::traits::Fit;
use linfa::{DatasetBase, ParamGuard};
use ndarray::{ArrayBase, Data, Ix2};

use crate::column::{Column, ColumnTails};
use crate::errors::TailsError;
use crate::tails::Tails;

/// Columns of [`Tails`], not yet checked.
#[derive(Clone, Debug, PartialEq)]
pub struct TailsParams(TailsValidParams);

/// Columns that passed [`ParamGuard::check`].
#[derive(Clone, Debug, PartialEq)]
pub struct TailsValidParams {
    columns: Vec<Column>,
}

impl Tails {
    /// Starts from a column for each feature.
    #[must_use]
    pub fn params(columns: Vec<Column>) -> TailsParams {
        TailsParams(TailsValidParams { columns })
    }
}

impl ParamGuard for TailsParams {
    type Checked = TailsValidParams;
    type Error = TailsError;

    fn check_ref(&self) -> Result<&Self::Checked, TailsError> {
        if self.0.columns.is_empty() {
            return Err(TailsError::NoFeatures);
        }
        for (feature, Column { floor, .. }) in self.0.columns.iter().enumerate() {
            if !(floor.is_finite() && *floor > 0.0) {
                let source = TailError::Floor { got: *floor };
                return Err(TailsError::Feature { feature, source });
            }
        }
        Ok(&self.0)
    }

    fn check(self) -> Result<Self::Checked, TailsError> {
        self.check_ref()?;
        Ok(self.0)
    }
}

impl TailsValidParams {
    /// Fits tails to finite rows that lie side by side. Sorts a column at a time.
    pub fn fit_rows(&self, rows: &[f32]) -> Result<Tails, TailsError> {
        let (values, n_features) = (rows.len(), self.columns.len());
        if !values.is_multiple_of(n_features) {
            return Err(TailsError::PartialRow { values, n_features });
        }
        let mut values: Vec<f32> = Vec::with_capacity(values / n_features);
        let columns = self.columns.iter().enumerate().map(|(feature, column)| {
            values.clear();
            values.extend(rows.iter().skip(feature).step_by(n_features));
            let tails = if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                Err(TailError::NonFinite { at, value: values[at] })
            } else {
                values.sort_unstable_by(f32::total_cmp);
                ColumnTails::of_sorted(column, &values)
            };
            tails.map_err(|source| TailsError::Feature { feature, source })
        });
        Tails::new(columns.collect::<Result<_, _>>()?)
    }
}

impl<D: Data<Elem = f32>, T> Fit<ArrayBase<D, Ix2>, T, TailsError> for TailsValidParams {
    type Object = Tails;

    /// Fits to the records; targets are ignored.
    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<Tails, TailsError> {
        let records = dataset.records.as_standard_layout();
        self.fit_rows(records.as_slice().expect("the standard layout is one slice"))
    }
}
