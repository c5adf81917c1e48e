use linfa::traits::PredictInplace;
use ndarray::{Array1, ArrayBase, Data, Ix2};

use crate::extended::ExtendedForest;
use crate::path_length::{FixedPath, ScoreScale, to_levels};
use crate::standard::StandardForest;

/// An isolation forest: scores how easily a row is set apart from the rows it was fitted on.
///
/// Trees cut the training rows at random until each stands alone; a row that needs few cuts is
/// unlike the others. The score is 2^(−E\[h\] / c(ψ)), with E\[h\] the mean path length over the
/// trees and c(ψ) the average path length for a sample of ψ rows (Liu, Ting, Zhou 2008,
/// *Isolation Forest*): in (0, 1], **higher is more anomalous**, 0.5 is the average row's.
/// scikit-learn's `score_samples` is its negative.
///
/// With [`extension_level`](crate::IsolationForestParams::extension_level) 0 a split cuts one
/// feature; with more it cuts along a random direction (Hariri, Carrasco Kind, Brunner 2019,
/// *Extended Isolation Forest*), of features divided by their standard deviation.
///
/// # Shapes
///
/// Rows are `f32`, `n_features` of them side by side: `rows[row * n_features + feature]`.
///
/// # Values that are not finite
///
/// [`fit_rows`](crate::IsolationForestValidParams::fit_rows) refuses them. Scoring is total:
/// +∞ counts as [`f32::MAX`], −∞ as [`f32::MIN`], and NaN, like −∞, as less than any value.
///
/// # Thresholds
///
/// A standard forest has at most 255 distinct thresholds per feature, chosen while training.
/// A value is therefore fully described by its rank among them, one byte; all scoring paths
/// compare ranks, add path lengths in fixed point (2⁻¹⁶ levels), and agree to the bit.
///
/// # Example
///
/// ```
/// use linfa::ParamGuard;
/// use weir_forest::IsolationForest;
///
/// // 200 rows of two features around the origin, and one far away.
/// let mut rows: Vec<f32> = (0..400_u16).map(|i| f32::from(i * 37 % 101) / 101.0).collect();
/// rows.extend([9.0, 9.0]);
///
/// let forest = IsolationForest::params().seed(7).check()?.fit_rows(&rows, 2)?;
/// assert!(forest.score_row(&[9.0, 9.0]) > forest.score_row(&[0.5, 0.5]));
/// # Ok::<(), weir_forest::IsolationForestError>(())
/// ```
#[derive(Clone, Debug)]
pub struct IsolationForest {
    kind: Kind,
    origin: Origin,
    scale: ScoreScale,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Standard(StandardForest),
    Extended(ExtendedForest),
}

/// Origin of a forest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Origin {
    pub(crate) n_features: usize,
    /// ψ: rows each tree was grown from.
    pub(crate) max_samples: usize,
    pub(crate) max_depth: usize,
    pub(crate) extension_level: usize,
    pub(crate) beyond: f64,
    pub(crate) seed: u64,
}

/// By how much each feature shortened a row's path, on average over the trees.
#[derive(Clone, Debug, PartialEq)]
pub struct PathShortening {
    /// Mean path length of the training rows, in levels.
    pub expected: f64,
    /// Mean path length of this row, in levels.
    pub path: f64,
    /// Per feature, the levels its splits took off (above 0) or added (below 0). They sum to
    /// `expected - path`, up to 2⁻¹⁶ levels.
    pub by_feature: Vec<f64>,
}

/// Rows whose sums pass through the buffer of `score_rows` at once.
const BATCH: usize = 1_024;

impl PartialEq for IsolationForest {
    fn eq(&self, other: &Self) -> bool {
        self.origin == other.origin && self.kind == other.kind
    }
}

impl IsolationForest {
    pub(crate) fn from_parts(origin: Origin, kind: Kind) -> Self {
        let n_trees = match &kind {
            Kind::Standard(forest) => forest.trees().n_trees(),
            Kind::Extended(forest) => forest.n_trees(),
        };
        Self { kind, origin, scale: ScoreScale::new(n_trees, origin.max_samples) }
    }

    pub(crate) fn parts(&self) -> (&Origin, &Kind) {
        (&self.origin, &self.kind)
    }

    /// Features per row.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.origin.n_features
    }

    /// Number of trees.
    #[must_use]
    pub fn n_trees(&self) -> usize {
        match &self.kind {
            Kind::Standard(forest) => forest.trees().n_trees(),
            Kind::Extended(forest) => forest.n_trees(),
        }
    }

    /// ψ: rows each tree was grown from, the number of training rows where they were fewer
    /// than asked for.
    #[must_use]
    pub fn max_samples(&self) -> usize {
        self.origin.max_samples
    }

    /// Depth at which growing stopped.
    #[must_use]
    pub fn max_depth(&self) -> usize {
        self.origin.max_depth
    }

    /// Features beyond the first that a split may lean along; 0 for a standard forest.
    #[must_use]
    pub fn extension_level(&self) -> usize {
        self.origin.extension_level
    }

    /// Share of each tree's rows that were sent beyond the training rows.
    #[must_use]
    pub fn beyond(&self) -> f64 {
        self.origin.beyond
    }

    /// The seed it was grown with.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.origin.seed
    }

    /// Scores one row, in (0, 1], higher is more anomalous. Allocates nothing for a standard
    /// forest.
    ///
    /// # Panics
    ///
    /// If `row` does not have [`n_features`](Self::n_features) values.
    #[must_use]
    pub fn score_row(&self, row: &[f32]) -> f32 {
        self.assert_width(row);
        let sum = match &self.kind {
            Kind::Standard(forest) => forest.path_sum(row),
            Kind::Extended(forest) => forest.path_sum(row),
        };
        self.scale.score(sum)
    }

    /// Scores rows that lie side by side, on the calling thread. Standard forests of at most
    /// 8 levels run on AVX-512 where the CPU has VBMI, with identical results.
    ///
    /// # Panics
    ///
    /// If `rows` does not hold exactly `scores.len()` rows of
    /// [`n_features`](Self::n_features) values.
    pub fn score_rows(&self, rows: &[f32], scores: &mut [f32]) {
        assert_eq!(
            rows.len(),
            scores.len() * self.n_features(),
            "rows must hold one row of {} features per score",
            self.n_features()
        );
        // A small buffer, so that scoring needs no allocation.
        let mut sums: [FixedPath; BATCH] = [0; BATCH];
        let batches = rows.chunks(BATCH * self.n_features()).zip(scores.chunks_mut(BATCH));
        for (rows, scores) in batches {
            let sums = &mut sums[..scores.len()];
            match &self.kind {
                Kind::Standard(forest) => forest.path_sums(rows, sums),
                Kind::Extended(forest) => forest.path_sums(rows, sums),
            }
            for (score, sum) in scores.iter_mut().zip(sums) {
                *score = self.scale.score(*sum);
            }
        }
    }

    /// Attribution of a row's score to features: for every split on the row's way through every
    /// tree, the difference between the mean path length before and after it, credited to the
    /// feature that was cut (Saabas 2014, *Interpreting random forests*, with path length in the
    /// place of the prediction). A split of an extended forest is credited to its features in
    /// proportion to |weight × standardised value|.
    ///
    /// Costs about as much as [`score_row`](Self::score_row) without SIMD: meant for alerts.
    ///
    /// # Panics
    ///
    /// If `row` does not have [`n_features`](Self::n_features) values.
    #[must_use]
    pub fn path_shortening(&self, row: &[f32]) -> PathShortening {
        self.assert_width(row);
        let mut by_feature = vec![0.0; self.n_features()];
        let (expected, path) = match &self.kind {
            Kind::Standard(forest) => forest.credit(row, &mut by_feature),
            Kind::Extended(forest) => forest.credit(row, &mut by_feature),
        };
        let trees = self.n_trees() as f64;
        for levels in &mut by_feature {
            *levels /= trees;
        }
        PathShortening {
            expected: to_levels(expected) / trees,
            path: to_levels(path) / trees,
            by_feature,
        }
    }

    fn assert_width(&self, row: &[f32]) {
        assert_eq!(row.len(), self.n_features(), "a row must have the forest's features");
    }
}

impl<D: Data<Elem = f32>> PredictInplace<ArrayBase<D, Ix2>, Array1<f32>> for IsolationForest {
    /// Scores the rows of `x` into `y`.
    ///
    /// # Panics
    ///
    /// If `x` does not have the forest's features, or `y` not one element per row.
    fn predict_inplace<'a>(&'a self, x: &'a ArrayBase<D, Ix2>, y: &mut Array1<f32>) {
        assert_eq!(x.ncols(), self.n_features(), "a row must have the forest's features");
        assert_eq!(x.nrows(), y.len(), "there must be one score per row");
        let x = x.as_standard_layout();
        let rows = x.as_slice().expect("the standard layout is one slice");
        if let Some(scores) = y.as_slice_mut() {
            self.score_rows(rows, scores);
        } else {
            let mut scores = vec![0.0; x.nrows()];
            self.score_rows(rows, &mut scores);
            y.assign(&Array1::from(scores));
        }
    }

    fn default_target(&self, x: &ArrayBase<D, Ix2>) -> Array1<f32> {
        Array1::zeros(x.nrows())
    }
}
