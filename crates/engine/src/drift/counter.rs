//! Rows counted into a detector's training bins.

use evaluation::{FeatureDrift, bin_of};
use model::{DetectorModel, FeatureHistogram, Horizon};

/// Counts of training and test rows over the same bins, feature by feature.
#[derive(Debug)]
pub struct DriftCounter {
    /// Values of a whole row.
    pub width: usize,
    features: Vec<FeatureCounts>,
    /// Test rows.
    counted: u64,
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
pub enum Side {
    /// Training rows, counted anew in place of those of the profile.
    Train,
    /// Rows of the traffic that is watched.
    Test,
}

impl DriftCounter {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new(detector: &DetectorModel) -> Self {
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
        Self { width: inputs.width(), features, counted: 0 }
    }

    /// Counts one whole row.
    pub fn count(&mut self, side: Side, row: &[f32]) {
        self.counted += u64::from(side == Side::Test);
        for feature in &mut self.features {
            let bin = bin_of(&feature.histogram.edges, row[feature.place]);
            let counts = match side {
                Side::Test => &mut feature.test,
                Side::Train => feature.train.get_or_insert_with(|| vec![0; feature.test.len()]),
            };
            counts[bin] += 1;
        }
    }

    /// Test rows counted, less those forgotten.
    #[must_use]
    pub const fn counted(&self) -> u64 {
        self.counted
    }

    /// Counts each test row half as much from now on.
    pub fn forget_half(&mut self) {
        self.counted /= 2;
        for count in self.features.iter_mut().flat_map(|feature| &mut feature.test) {
            *count /= 2;
        }
    }

    /// Where a feature's values moved: a share of the rows, and the values that so many of the training
    /// rows and of the test rows do not exceed. The middle, if it moved, else further out.
    #[must_use]
    pub fn where_moved(&self, feature: &str) -> (f64, [f32; 2]) {
        let Some(counts) = self.features.iter().find(|one| one.name == feature) else {
            return (0.0, [0.0; 2]);
        };
        let train = counts.train.as_ref().unwrap_or(&counts.histogram.counts);
        let values = |share: f64| {
            [train, &counts.test].map(|of| quantile(&counts.histogram.edges, of, share))
        };
        let shares = [0.5, 0.9, 0.1];
        let moved = |share: &f64| {
            let [before, now] = values(*share);
            before.total_cmp(&now).is_ne()
        };
        let share = shares.into_iter().find(moved).unwrap_or(shares[0]);
        (share, values(share))
    }

    /// The drift of each feature, whose name tells the horizon where one is given; none without rows
    /// on either side.
    #[must_use]
    pub fn finish(&self, over: Option<Horizon>) -> Vec<FeatureDrift> {
        self.features
            .iter()
            .filter_map(|feature| {
                let name = match over {
                    Some(horizon) => format!("{} over {horizon}", feature.name),
                    None => feature.name.clone(),
                };
                let train = feature.train.as_ref().unwrap_or(&feature.histogram.counts);
                FeatureDrift::of(&name, train, &feature.test).ok()
            })
            .collect()
    }
}

/// The upper edge of the bin that holds this share of the rows; beyond the last edge that one.
fn quantile(edges: &[f32], counts: &[u64], share: f64) -> f32 {
    let all = counts.iter().sum::<u64>() as f64;
    let mut below = 0;
    let at = counts.iter().position(|count| {
        below += count;
        below as f64 >= share * all
    });
    let last = edges.len().saturating_sub(1);
    edges.get(at.unwrap_or(last).min(last)).copied().unwrap_or(0.0)
}
