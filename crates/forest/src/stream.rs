use crate::algorithm::IsolationForest;
use crate::errors::IsolationForestError;
use crate::extended::SpreadSum;
use crate::fit::check_finite;
use crate::hyperparams::IsolationForestValidParams;
use crate::random::Draws;
use crate::sample::RowSample;

/// A forest being fitted to a stream of rows, in one pass.
///
/// Each tree keeps a uniform sample of the stream of its own, by a seeded
/// [`Reservoir`](crate::Reservoir); the trees are grown at the end. Memory is trees ×
/// sample × features × 4 bytes, however long the stream is. The forest is that of
/// [`fit_rows`](IsolationForestValidParams::fit_rows) over the same rows, to the bit, however the
/// stream is cut into blocks.
///
/// ```
/// use linfa::ParamGuard;
/// use weir_forest::IsolationForest;
///
/// let rows: Vec<f32> = (0..4_000_u32).map(|i| (i * 37 % 101) as f32).collect();
/// let params = IsolationForest::params().seed(7).check()?;
/// let mut stream = params.stream(2)?;
/// for block in rows.chunks(600) {
///     stream.extend(block)?;
/// }
/// assert_eq!(stream.finish()?, params.fit_rows(&rows, 2)?);
/// # Ok::<(), weir_forest::IsolationForestError>(())
/// ```
#[derive(Debug)]
pub struct ForestStream {
    params: IsolationForestValidParams,
    n_features: usize,
    rows: usize,
    samples: Vec<RowSample>,
    /// Needed by extended forests alone.
    spread: Option<SpreadSum>,
}

impl IsolationForestValidParams {
    /// Begins to fit a forest to rows of `n_features` values that come block by block.
    pub fn stream(&self, n_features: usize) -> Result<ForestStream, IsolationForestError> {
        self.check_width(n_features)?;
        let sample = |tree| RowSample::new(self.max_samples, n_features, self.seed, tree);
        Ok(ForestStream {
            params: self.clone(),
            n_features,
            rows: 0,
            samples: (0..self.n_trees).map(sample).collect(),
            spread: (self.extension_level > 0).then(|| SpreadSum::new(n_features)),
        })
    }
}

impl ForestStream {
    /// Takes the stream's next rows, side by side. A row that is not whole or not finite is
    /// refused, and with it the block; the stream stands where it stood before.
    pub fn extend(&mut self, rows: &[f32]) -> Result<(), IsolationForestError> {
        let (values, n_features) = (rows.len(), self.n_features);
        if !values.is_multiple_of(n_features) {
            return Err(IsolationForestError::PartialRow { values, n_features });
        }
        check_finite(rows, n_features, self.rows)?;
        for sample in &mut self.samples {
            sample.extend(rows);
        }
        if let Some(spread) = &mut self.spread {
            spread.extend(rows);
        }
        self.rows += values / n_features;
        Ok(())
    }

    /// Rows taken so far.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Grows the trees.
    #[expect(clippy::missing_panics_doc, reason = "`stream` sums the spread up where it is needed")]
    pub fn finish(self) -> Result<IsolationForest, IsolationForestError> {
        if self.rows < 2 {
            return Err(IsolationForestError::TooFewRows { got: self.rows });
        }
        let origin = self.params.origin(self.n_features, self.rows);
        let beyond = self.params.beyond_of(&origin, |tree| self.samples[tree].rows());
        let mut samples: Vec<(Vec<f32>, Draws)> =
            self.samples.into_iter().map(RowSample::into_parts).collect();
        if let Some(beyond) = &beyond {
            for (values, rng) in &mut samples {
                beyond.send(values, rng);
            }
        }
        let sample = |tree: usize| (&samples[tree].0, samples[tree].1.clone());
        let spread = || self.spread.expect("extended forests sum their spread up").finish();
        Ok(self.params.grow(origin, sample, spread))
    }
}

#[cfg(test)]
mod tests {
    use linfa::ParamGuard;
    use proptest::prelude::*;

    use super::*;

    fn rows(n_values: u16) -> Vec<f32> {
        (0..n_values).map(|i| f32::from(i.wrapping_mul(40_503) >> 3)).collect()
    }

    #[test]
    fn a_bad_row_is_refused_by_its_number_in_the_stream_and_leaves_no_trace() {
        let params = IsolationForest::params().n_trees(3).check().unwrap();
        let mut stream = params.stream(3).unwrap();
        stream.extend(&rows(300)).unwrap();
        let error = stream.extend(&[1.0, 2.0, 3.0, 4.0, f32::NAN, 6.0]).unwrap_err();
        assert!(error.to_string().starts_with("training row 101 has NaN in feature 1"), "{error}");
        let error = stream.extend(&[1.0, 2.0]).unwrap_err();
        assert!(error.to_string().contains("2 values do not divide"), "{error}");
        assert_eq!(stream.finish().unwrap(), params.fit_rows(&rows(300), 3).unwrap());
    }

    #[test]
    fn a_stream_of_one_row_is_refused() {
        let params = IsolationForest::params().check().unwrap();
        let mut stream = params.stream(3).unwrap();
        stream.extend(&[1.0, 2.0, 3.0]).unwrap();
        assert!(matches!(
            stream.finish().unwrap_err(),
            IsolationForestError::TooFewRows { got: 1 }
        ));
        assert!(params.stream(257).unwrap_err().to_string().contains("got 257"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_stream_in_any_blocks_gives_the_forest_of_the_whole(
            blocks in prop::collection::vec(0_usize..200, 1..12),
            extension_level in 0_usize..3,
            beyond in prop::sample::select(vec![0.0, 0.3]),
        ) {
            let params = IsolationForest::params().n_trees(5).max_samples(64);
            let params = params.extension_level(extension_level).beyond(beyond);
            let params = params.check().unwrap();
            let rows = rows(3_000);
            let mut stream = params.stream(3).unwrap();
            let mut rest = rows.as_slice();
            for block in blocks {
                let (now, later) = rest.split_at((block * 3).min(rest.len()));
                stream.extend(now).unwrap();
                rest = later;
            }
            stream.extend(rest).unwrap();
            prop_assert_eq!(stream.finish().unwrap(), params.fit_rows(&rows, 3).unwrap());
        }
    }
}
