use linfa::DatasetBase;
use linfa::traits::Fit;
use ndarray::{ArrayBase, Data, Ix2};

use super::algorithm::{IsolationForest, Kind, Origin};
use super::cuts::choose_cuts;
use super::errors::IsolationForestError;
use super::extended::{self, ExtendedForest, Spread};
use super::grow::{self, Sample};
use super::hyperparams::{IsolationForestValidParams, MAX_DEPTH, MAX_FEATURES};
use super::random::TreeRng;
use super::standard::StandardForest;
use super::tree::Trees;

/// Values checked between two looks at the result.
const CHUNK: usize = 4_096;

impl IsolationForestValidParams {
    /// Fits a forest to rows that lie side by side, `rows.len() / n_features` of them.
    ///
    /// Trees grow in parallel; the result depends on the rows and the seed alone. Time is that
    /// of checking every value once, plus trees × sample.
    pub fn fit_rows(
        &self,
        rows: &[f32],
        n_features: usize,
    ) -> Result<IsolationForest, IsolationForestError> {
        let n_rows = check_rows(rows, n_features)?;
        if self.extension_level >= n_features {
            let got = self.extension_level;
            return Err(IsolationForestError::ExtensionLevel { got, n_features });
        }
        let max_samples = self.max_samples.min(n_rows);
        let origin = Origin {
            n_features,
            max_samples,
            max_depth: self.max_depth.unwrap_or_else(|| ceil_log2(max_samples)).min(MAX_DEPTH),
            extension_level: self.extension_level,
            seed: self.seed,
        };
        let kind = if self.extension_level == 0 {
            Kind::Standard(self.standard(rows, &origin))
        } else {
            Kind::Extended(self.extended(rows, &origin))
        };
        Ok(IsolationForest::from_parts(origin, kind))
    }

    /// Grows each tree twice from the same draws: first to learn where thresholds fall, then
    /// with those cuts.
    fn standard(&self, rows: &[f32], origin: &Origin) -> StandardForest {
        let wishes = self.per_tree(|tree| {
            let (values, mut rng) = draw(rows, origin, tree);
            let sample = Sample { values: &values, n_features: origin.n_features };
            let mut wishes = Vec::new();
            grow::wish(&sample, origin.max_depth, &mut rng, &mut wishes);
            wishes
        });
        let cuts = choose_cuts(wishes.concat(), origin.n_features);
        let sketches = self.per_tree(|tree| {
            let (values, mut rng) = draw(rows, origin, tree);
            let sample = Sample { values: &values, n_features: origin.n_features };
            grow::grow(&sample, &cuts, origin.max_depth, &mut rng)
        });
        let mut trees = Trees::default();
        for sketch in &sketches {
            trees.push(sketch);
        }
        StandardForest::new(cuts, trees)
    }

    fn extended(&self, rows: &[f32], origin: &Origin) -> ExtendedForest {
        let spread = Spread::of(rows, origin.n_features);
        let sketches = self.per_tree(|tree| {
            let (values, mut rng) = draw(rows, origin, tree);
            let sample = Sample { values: &values, n_features: origin.n_features };
            extended::grow(&sample, &spread, origin.extension_level, origin.max_depth, &mut rng)
        });
        ExtendedForest::new(spread, origin.extension_level, &sketches)
    }

    /// Runs `grow` for each tree over the threads, and returns the results in tree order.
    fn per_tree<T: Send>(&self, grow: impl Fn(usize) -> T + Sync) -> Vec<T> {
        let threads = self
            .threads
            .or_else(|| std::thread::available_parallelism().ok())
            .map_or(1, |threads| threads.get().min(self.n_trees));
        let share = self.n_trees.div_ceil(threads);
        let mut results: Vec<Option<T>> = (0..self.n_trees).map(|_| None).collect();
        std::thread::scope(|scope| {
            for (part, results) in results.chunks_mut(share).enumerate() {
                let grow = &grow;
                scope.spawn(move || {
                    for (at, result) in results.iter_mut().enumerate() {
                        *result = Some(grow(part * share + at));
                    }
                });
            }
        });
        results.into_iter().map(|result| result.expect("every tree has grown")).collect()
    }
}

/// One tree's rows, and its generator, which goes on to grow it.
fn draw(rows: &[f32], origin: &Origin, tree: usize) -> (Vec<f32>, TreeRng) {
    let mut rng = TreeRng::new(origin.seed, tree);
    let mut values = Vec::with_capacity(origin.max_samples * origin.n_features);
    for row in rng.sample(rows.len() / origin.n_features, origin.max_samples) {
        values.extend_from_slice(&rows[row * origin.n_features..][..origin.n_features]);
    }
    (values, rng)
}

/// Checks shape and values; returns the number of rows.
fn check_rows(rows: &[f32], n_features: usize) -> Result<usize, IsolationForestError> {
    if !(1..=MAX_FEATURES).contains(&n_features) {
        let max = MAX_FEATURES;
        return Err(IsolationForestError::FeatureCount { got: n_features, max });
    }
    let values = rows.len();
    if !values.is_multiple_of(n_features) {
        return Err(IsolationForestError::PartialRow { values, n_features });
    }
    let n_rows = values / n_features;
    if n_rows < 2 {
        return Err(IsolationForestError::TooFewRows { got: n_rows });
    }
    // Chunks without an early exit inside run at memory speed.
    for (chunk, values) in rows.chunks(CHUNK).enumerate() {
        if values.iter().fold(true, |all, value| all & value.is_finite()) {
            continue;
        }
        let within = values.iter().position(|value| !value.is_finite()).unwrap_or_default();
        let at = chunk * CHUNK + within;
        return Err(IsolationForestError::NonFinite {
            row: at / n_features,
            feature: at % n_features,
            value: rows[at],
        });
    }
    Ok(n_rows)
}

fn ceil_log2(n: usize) -> usize {
    n.next_power_of_two().trailing_zeros().max(1) as usize
}

impl<D: Data<Elem = f32>, T> Fit<ArrayBase<D, Ix2>, T, IsolationForestError>
    for IsolationForestValidParams
{
    type Object = IsolationForest;

    /// Fits to the records; targets are ignored.
    fn fit(
        &self,
        dataset: &DatasetBase<ArrayBase<D, Ix2>, T>,
    ) -> Result<IsolationForest, IsolationForestError> {
        let records = dataset.records.as_standard_layout();
        let rows = records.as_slice().expect("the standard layout is one slice");
        self.fit_rows(rows, records.ncols())
    }
}
