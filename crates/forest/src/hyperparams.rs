use std::num::NonZeroUsize;

use linfa::ParamGuard;

use crate::algorithm::IsolationForest;
use crate::errors::IsolationForestError;
use crate::limits::{MAX_BEYOND, MAX_DEPTH, MAX_FEATURES, MAX_SAMPLES, MAX_TREES};

/// Hyper-parameters of an [`IsolationForest`], not yet checked.
///
/// | setter | default | bounds |
/// |---|---|---|
/// | [`n_trees`](Self::n_trees) | 100 | 1 to [`MAX_TREES`] |
/// | [`max_samples`](Self::max_samples) | 256 | 2 to [`MAX_SAMPLES`]; fewer rows than this use all rows |
/// | [`max_depth`](Self::max_depth) | ⌈log₂ of the sample⌉ | 1 to [`MAX_DEPTH`] |
/// | [`extension_level`](Self::extension_level) | 0 | 0 (standard) to features − 1 |
/// | [`beyond`](Self::beyond) | 0 | 0 to 0.9 |
/// | [`seed`](Self::seed) | 42 | any |
/// | [`threads`](Self::threads) | all CPUs | any; never changes the forest |
#[derive(Clone, Debug, PartialEq)]
pub struct IsolationForestParams(IsolationForestValidParams);

/// Hyper-parameters that passed [`ParamGuard::check`].
#[derive(Clone, Debug, PartialEq)]
pub struct IsolationForestValidParams {
    pub(crate) n_trees: usize,
    pub(crate) max_samples: usize,
    pub(crate) max_depth: Option<usize>,
    pub(crate) extension_level: usize,
    pub(crate) beyond: f64,
    pub(crate) seed: u64,
    pub(crate) threads: Option<NonZeroUsize>,
}

impl IsolationForest {
    /// Starts from the defaults of Liu et al. 2008: 100 trees of 256 rows each.
    #[must_use]
    pub fn params() -> IsolationForestParams {
        IsolationForestParams::default()
    }
}

impl Default for IsolationForestParams {
    fn default() -> Self {
        Self(IsolationForestValidParams {
            n_trees: 100,
            max_samples: 256,
            max_depth: None,
            extension_level: 0,
            beyond: 0.0,
            seed: 42,
            threads: None,
        })
    }
}

impl IsolationForestParams {
    /// Sets the number of trees. More trees steady the score and cost time in proportion.
    #[must_use]
    pub fn n_trees(mut self, n_trees: usize) -> Self {
        self.0.n_trees = n_trees;
        self
    }

    /// Sets how many rows each tree is grown from, drawn without replacement.
    #[must_use]
    pub fn max_samples(mut self, max_samples: usize) -> Self {
        self.0.max_samples = max_samples;
        self
    }

    /// Sets the depth at which growing stops; `None` means ⌈log₂ of the sample⌉.
    /// Trees of at most 8 levels have the fast scoring form.
    #[must_use]
    pub fn max_depth(mut self, max_depth: Option<usize>) -> Self {
        self.0.max_depth = max_depth;
        self
    }

    /// Sets along how many features beyond the first a split may lean: 0 cuts one feature
    /// (Liu et al. 2008), n cuts n + 1 features at once (Hariri et al. 2019).
    #[must_use]
    pub fn extension_level(mut self, extension_level: usize) -> Self {
        self.0.extension_level = extension_level;
        self
    }

    /// Sets the share of each tree's rows that are sent beyond the training rows: three of their
    /// features, drawn by lot, take a value above the 0.95-quantile, with an exponential tail
    /// three times as long as that of the training rows. A forest without cannot split on what was
    /// constant in training, nor tell apart what lies above every training row.
    #[must_use]
    pub fn beyond(mut self, share: f64) -> Self {
        self.0.beyond = share;
        self
    }

    /// Sets the seed. The same rows and seed give the same forest, to the bit.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.0.seed = seed;
        self
    }

    /// Sets how many threads grow trees; `None` means one per CPU.
    #[must_use]
    pub fn threads(mut self, threads: Option<NonZeroUsize>) -> Self {
        self.0.threads = threads;
        self
    }
}

impl ParamGuard for IsolationForestParams {
    type Checked = IsolationForestValidParams;
    type Error = IsolationForestError;

    fn check_ref(&self) -> Result<&Self::Checked, Self::Error> {
        let params = &self.0;
        within("n_trees", params.n_trees, 1, MAX_TREES)?;
        within("max_samples", params.max_samples, 2, MAX_SAMPLES)?;
        if let Some(depth) = params.max_depth {
            within("max_depth", depth, 1, MAX_DEPTH)?;
        }
        within("extension_level", params.extension_level, 0, MAX_FEATURES - 1)?;
        if !(0.0..=MAX_BEYOND).contains(&params.beyond) {
            return Err(IsolationForestError::Beyond { got: params.beyond });
        }
        Ok(params)
    }

    fn check(self) -> Result<Self::Checked, Self::Error> {
        self.check_ref()?;
        Ok(self.0)
    }
}

impl IsolationForestValidParams {
    /// Number of trees.
    #[must_use]
    pub fn n_trees(&self) -> usize {
        self.n_trees
    }

    /// Rows each tree is grown from.
    #[must_use]
    pub fn max_samples(&self) -> usize {
        self.max_samples
    }

    /// Depth at which growing stops, when it was set.
    #[must_use]
    pub fn max_depth(&self) -> Option<usize> {
        self.max_depth
    }

    /// Features beyond the first that a split may lean along.
    #[must_use]
    pub fn extension_level(&self) -> usize {
        self.extension_level
    }

    /// Share of each tree's rows that are sent beyond the training rows.
    #[must_use]
    pub fn beyond(&self) -> f64 {
        self.beyond
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }
}

fn within(
    name: &'static str,
    got: usize,
    min: usize,
    max: usize,
) -> Result<(), IsolationForestError> {
    if (min..=max).contains(&got) {
        Ok(())
    } else {
        Err(IsolationForestError::ParameterOutOfBounds { name, min, max, got })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_liu_2008s() {
        let params = IsolationForest::params().check().unwrap();
        assert_eq!((params.n_trees(), params.max_samples()), (100, 256));
        assert_eq!((params.max_depth(), params.extension_level(), params.seed()), (None, 0, 42));
    }

    #[test]
    fn a_parameter_out_of_bounds_is_refused_with_its_name_bound_and_value() {
        let error = |params: IsolationForestParams| params.check().unwrap_err().to_string();
        let params = IsolationForest::params;
        assert_eq!(error(params().n_trees(0)), "`n_trees` must be between 1 and 1000, got 0");
        assert_eq!(
            error(params().max_samples(1)),
            "`max_samples` must be between 2 and 1048576, got 1"
        );
        assert_eq!(
            error(params().max_depth(Some(25))),
            "`max_depth` must be between 1 and 24, got 25"
        );
        assert!(error(params().extension_level(256)).contains("`extension_level`"));
        for share in [-0.1, 0.95, f64::NAN] {
            let error = error(params().beyond(share));
            assert!(error.starts_with("`beyond` must be between 0 and 0.9, got"), "{error}");
        }
    }
}
