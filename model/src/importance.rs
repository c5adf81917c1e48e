//! Global importance: what scores are made of, over many rows.

use crate::detector::DetectorModel;
use crate::scorer::Attribution;

/// A feature's mean part in the scores of many rows.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureImportance {
    /// The feature's index in a whole row of the model's schema, from 0.
    pub feature: usize,
    /// Its name.
    pub name: String,
    /// Mean [`Contribution::amount`](crate::Contribution::amount), in [`Importance::unit`];
    /// below 0 where it made rows look more usual.
    pub mean_amount: f64,
    /// Mean [`Contribution::share`](crate::Contribution::share), 0 to 1. What a detector looks
    /// at first; over all features it sums to at most 1.
    pub mean_share: f64,
}

/// Gathers the mean contribution of each feature over rows that stream by.
///
/// Each row costs as much as its [explanation](DetectorModel::explain): of very many, pass a
/// sample.
#[derive(Clone, Debug)]
pub struct Importance<'a> {
    detector: &'a DetectorModel,
    /// Amount and share of each feature of a whole row.
    sums: Vec<(f64, f64)>,
    rows: u64,
    unit: &'static str,
}

impl<'a> Importance<'a> {
    /// Over no rows yet.
    #[must_use]
    pub fn new(detector: &'a DetectorModel) -> Self {
        let sums = vec![(0.0, 0.0); detector.schema().features.len()];
        Self { detector, sums, rows: 0, unit: "" }
    }

    /// Takes whole rows that lie side by side.
    ///
    /// # Panics
    ///
    /// If `rows` does not divide into rows of the schema's width.
    pub fn extend(&mut self, rows: &[f32]) {
        assert!(rows.len().is_multiple_of(self.sums.len()), "rows must be whole");
        for row in rows.chunks_exact(self.sums.len()) {
            let explanation = self.detector.explain(row);
            for part in &explanation.contributions {
                let (amount, share) = &mut self.sums[part.feature];
                *amount += part.amount;
                *share += part.share;
            }
            self.unit = Attribution::unit(&explanation.attribution);
            self.rows += 1;
        }
    }

    /// Rows taken.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The unit of amounts, empty before the first row.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        self.unit
    }

    /// A part per input of the detector, by falling mean share, then by falling mean amount; all 0
    /// without rows.
    #[must_use]
    pub fn finish(self) -> Vec<FeatureImportance> {
        let rows = self.rows.max(1) as f64;
        let inputs = self.detector.inputs();
        let mut features: Vec<FeatureImportance> = inputs
            .places()
            .iter()
            .zip(inputs.names())
            .map(|(&feature, name)| {
                let (amount, share) = self.sums[feature];
                FeatureImportance {
                    feature,
                    name: name.clone(),
                    mean_amount: amount / rows,
                    mean_share: share / rows,
                }
            })
            .collect();
        features.sort_by(|a, b| {
            b.mean_share.total_cmp(&a.mean_share).then(b.mean_amount.total_cmp(&a.mean_amount))
        });
        features
    }
}

#[cfg(test)]
mod tests {
    use linfa::ParamGuard;

    use super::*;
    use features::SchemaId;
    use forest::IsolationForest;

    fn detector() -> DetectorModel {
        let features = ["a", "b", "c"].map(String::from).to_vec();
        let schema = SchemaId { name: "test.v1".into(), hash: "00".into(), features };
        let rows: Vec<f32> = (0..3_000_u32).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
        let params = IsolationForest::params().n_trees(30).check().unwrap();
        DetectorModel::fit(schema, &rows[..1_500], &rows[1_500..], &params).unwrap()
    }

    #[test]
    fn the_feature_that_sets_rows_apart_leads() {
        let detector = detector();
        let mut importance = Importance::new(&detector);
        importance.extend(&[0.5, 40.0, 0.5, 0.4, 30.0, 0.6]);
        importance.extend(&[0.3, 50.0, 0.5]);
        assert_eq!((importance.rows(), importance.unit()), (3, "levels off the path"));
        let features = importance.finish();
        assert_eq!((features[0].feature, &*features[0].name), (1, "b"));
        assert!(features[0].mean_share > 0.5, "{features:?}");
        let all: f64 = features.iter().map(|feature| feature.mean_share).sum();
        assert!((all - 1.0).abs() < 1e-9, "each row was set apart by something: {all}");
    }

    #[test]
    fn no_rows_say_nothing() {
        let detector = detector();
        let features = Importance::new(&detector).finish();
        assert!(features.iter().all(|one| one.mean_amount.abs() + one.mean_share < 1e-12));
    }
}
