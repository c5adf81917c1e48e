//! Rows counted into a detector's training bins.

use ::model::{DetectorModel, FeatureHistogram};
use evaluation::{FeatureDrift, bin_of};

/// Counts of training and test rows over the same bins, feature by feature.
#[derive(Debug)]
pub(super) struct DriftCounter {
    /// `flow` or `peer`.
    pub(super) table: &'static str,
    /// Values of a whole row.
    pub(super) width: usize,
    features: Vec<FeatureCounts>,
}

#[derive(Debug)]
struct FeatureCounts {
    name: String,
    /// Its place in a whole row.
    place: usize,
    histogram: FeatureHistogram,
    /// Rows counted anew in place of those of the histogram; none yet.
    train: Option<Vec<u64>>,
    test: Vec<u64>,
}

/// Which rows are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Train,
    Test,
}

impl DriftCounter {
    pub(super) fn new(table: &'static str, detector: &DetectorModel) -> Self {
        let inputs = detector.inputs();
        let features = inputs
            .names()
            .iter()
            .zip(inputs.places())
            .zip(detector.histograms())
            .map(|((name, &place), histogram)| FeatureCounts {
                name: name.clone(),
                place,
                test: vec![0; histogram.counts.len()],
                histogram: histogram.clone(),
                train: None,
            })
            .collect();
        Self { table, width: inputs.width(), features }
    }

    /// Counts one whole row.
    pub(super) fn count(&mut self, side: Side, row: &[f32]) {
        for feature in &mut self.features {
            let bin = bin_of(&feature.histogram.edges, row[feature.place]);
            let counts = match side {
                Side::Test => &mut feature.test,
                Side::Train => feature.train.get_or_insert_with(|| vec![0; feature.test.len()]),
            };
            counts[bin] += 1;
        }
    }

    /// The drift of each feature; none without rows on either side.
    pub(super) fn finish(&self, with_table: bool) -> Vec<FeatureDrift> {
        self.features
            .iter()
            .filter_map(|feature| {
                let name = if with_table {
                    format!("{} {}", self.table, feature.name)
                } else {
                    feature.name.clone()
                };
                let train = feature.train.as_ref().unwrap_or(&feature.histogram.counts);
                FeatureDrift::of(&name, train, &feature.test).ok()
            })
            .collect()
    }
}
