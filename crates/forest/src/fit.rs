use std::borrow::Cow;

use linfa::DatasetBase;
use linfa::traits::Fit;
use ndarray::{ArrayBase, Data, Ix2};

use crate::algorithm::{IsolationForest, Kind, Origin};
use crate::beyond::{Beyond, TAIL_ROWS};
use crate::cuts::choose_cuts;
use crate::errors::IsolationForestError;
use crate::extended::{self, ExtendedForest, Spread, SpreadSum};
use crate::grow::{self, Sample};
use crate::hyperparams::IsolationForestValidParams;
use crate::limits::{MAX_DEPTH, MAX_FEATURES};
use crate::random::Draws;
use crate::sample::Reservoir;
use crate::standard::StandardForest;
use crate::tree::Trees;

/// Values of all trees' samples up to which they are drawn once and kept, 64 MB; more are drawn
/// again when the trees are grown a second time.
const KEPT_VALUES: usize = 1 << 24;

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
        self.check_width(n_features)?;
        let origin = self.origin(n_features, n_rows);
        let spread = || {
            let mut sum = SpreadSum::new(n_features);
            sum.extend(rows);
            sum.finish()
        };
        let beyond = self.beyond_of(&origin, |tree| draw(rows, &origin, tree).0);
        let draw = |tree| {
            let (mut values, mut rng) = draw(rows, &origin, tree);
            if let Some(beyond) = &beyond {
                beyond.send(&mut values, &mut rng);
            }
            (values, rng)
        };
        let values = self.n_trees * origin.max_samples * n_features;
        let kept = (values <= KEPT_VALUES).then(|| self.per_tree(draw));
        let sample = |tree: usize| {
            if let Some(kept) = &kept {
                (Cow::Borrowed(kept[tree].0.as_slice()), kept[tree].1.clone())
            } else {
                let (values, rng) = draw(tree);
                (Cow::Owned(values), rng)
            }
        };
        Ok(self.grow(origin, sample, spread))
    }

    /// Refuses numbers of features that a forest cannot have, or not with this extension level.
    pub(crate) fn check_width(&self, n_features: usize) -> Result<(), IsolationForestError> {
        if !(1..=MAX_FEATURES).contains(&n_features) {
            let max = MAX_FEATURES;
            return Err(IsolationForestError::FeatureCount { got: n_features, max });
        }
        if self.extension_level >= n_features {
            let got = self.extension_level;
            return Err(IsolationForestError::ExtensionLevel { got, n_features });
        }
        Ok(())
    }

    pub(crate) fn origin(&self, n_features: usize, n_rows: usize) -> Origin {
        let max_samples = self.max_samples.min(n_rows);
        Origin {
            n_features,
            max_samples,
            max_depth: self.max_depth.unwrap_or_else(|| ceil_log2(max_samples)).min(MAX_DEPTH),
            extension_level: self.extension_level,
            beyond: self.beyond,
            seed: self.seed,
        }
    }

    /// Draws rows beyond the training rows, by the tails of the first trees' samples; `None` where
    /// none are wanted.
    pub(crate) fn beyond_of<V: AsRef<[f32]>>(
        &self,
        origin: &Origin,
        sample: impl Fn(usize) -> V,
    ) -> Option<Beyond> {
        let trees = TAIL_ROWS.div_ceil(origin.max_samples).min(self.n_trees);
        (self.beyond > 0.0).then(|| {
            let samples: Vec<V> = (0..trees).map(sample).collect();
            let rows: Vec<&[f32]> = samples.iter().map(AsRef::as_ref).collect();
            let beyond = Beyond::new(self.beyond, &rows.concat(), origin.n_features);
            beyond.expect("training rows are there, and finite")
        })
    }

    /// Grows the trees. `sample` gives a tree's rows and its generator, the same each time.
    pub(crate) fn grow<V: AsRef<[f32]>>(
        &self,
        origin: Origin,
        sample: impl Fn(usize) -> (V, Draws) + Sync,
        spread: impl FnOnce() -> Spread,
    ) -> IsolationForest {
        let kind = if self.extension_level == 0 {
            Kind::Standard(self.standard(&origin, sample))
        } else {
            Kind::Extended(self.extended(&origin, sample, spread()))
        };
        IsolationForest::from_parts(origin, kind)
    }

    /// Grows each tree twice from the same draws: first to learn where thresholds fall, then
    /// with those cuts.
    fn standard<V: AsRef<[f32]>>(
        &self,
        origin: &Origin,
        sample: impl Fn(usize) -> (V, Draws) + Sync,
    ) -> StandardForest {
        let n_features = origin.n_features;
        let wishes = self.per_tree(|tree| {
            let (values, mut rng) = sample(tree);
            let mut wishes = Vec::new();
            let sample = Sample { values: values.as_ref(), n_features };
            grow::wish(&sample, origin.max_depth, &mut rng, &mut wishes);
            wishes
        });
        let cuts = choose_cuts(wishes.concat(), n_features);
        let sketches = self.per_tree(|tree| {
            let (values, mut rng) = sample(tree);
            let sample = Sample { values: values.as_ref(), n_features };
            grow::grow(&sample, &cuts, origin.max_depth, &mut rng)
        });
        let mut trees = Trees::default();
        for sketch in &sketches {
            trees.push(sketch);
        }
        StandardForest::new(cuts, trees)
    }

    fn extended<V: AsRef<[f32]>>(
        &self,
        origin: &Origin,
        sample: impl Fn(usize) -> (V, Draws) + Sync,
        spread: Spread,
    ) -> ExtendedForest {
        let Origin { n_features, extension_level, max_depth, .. } = *origin;
        let sketches = self.per_tree(|tree| {
            let (values, mut rng) = sample(tree);
            let sample = Sample { values: values.as_ref(), n_features };
            extended::grow(&sample, &spread, extension_level, max_depth, &mut rng)
        });
        ExtendedForest::new(spread, extension_level, &sketches)
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

/// A tree's rows, and its generator, which goes on to grow it.
fn draw(rows: &[f32], origin: &Origin, tree: usize) -> (Vec<f32>, Draws) {
    let Origin { n_features, max_samples, seed, .. } = *origin;
    let mut chosen = vec![0; max_samples];
    let mut reservoir = Reservoir::new(max_samples, seed, tree);
    reservoir.offer((rows.len() / n_features) as u64, |slot, row| {
        chosen[slot] = usize::try_from(row).expect("a row of this slice");
    });
    let mut values = Vec::with_capacity(max_samples * n_features);
    for row in chosen {
        values.extend_from_slice(&rows[row * n_features..][..n_features]);
    }
    (values, reservoir.into_draws())
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
    check_finite(rows, n_features, 0)?;
    Ok(n_rows)
}

/// Names the first value that is not finite; `first` is the number of the first of these rows.
pub(crate) fn check_finite(
    rows: &[f32],
    n_features: usize,
    first: usize,
) -> Result<(), IsolationForestError> {
    // Chunks without an early exit inside run at memory speed.
    for (chunk, values) in rows.chunks(CHUNK).enumerate() {
        if values.iter().fold(true, |all, value| all & value.is_finite()) {
            continue;
        }
        let within = values.iter().position(|value| !value.is_finite()).unwrap_or_default();
        let at = chunk * CHUNK + within;
        return Err(IsolationForestError::NonFinite {
            row: first + at / n_features,
            feature: at % n_features,
            value: rows[at],
        });
    }
    Ok(())
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
