//! The forest itself; `weir.IsolationForest` makes an estimator of it.

use std::num::NonZeroUsize;

use forest::IsolationForest;
use linfa::ParamGuard as _;
use numpy::{IntoPyArray as _, PyArray1, PyArray2, PyArrayMethods as _, PyReadonlyArray2};
use pyo3::{exceptions::PyValueError, prelude::*, types::PyBytes};

use crate::{
    error::{refused, unfit},
    rows, threads,
};

/// A fitted isolation forest: rows of float32 in, scores in (0, 1] out, higher is more anomalous.
///
/// `weir.IsolationForest` is the scikit-learn estimator made of it; this class has neither
/// parameters to tune nor scikit-learn's sign.
#[pyclass(frozen, eq, module = "weir._weir")]
#[derive(Debug, PartialEq)]
pub(crate) struct Forest(IsolationForest);

#[pymethods]
impl Forest {
    /// Fits a forest to a two-dimensional float32 array, without copying it.
    ///
    /// The same rows and seed give the same forest, to the bit, whatever `threads` is.
    #[staticmethod]
    #[pyo3(signature = (rows, *, n_trees, max_samples, max_depth, extension_level, seed, n_jobs=None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    #[expect(clippy::needless_pass_by_value, reason = "the array's borrow is the argument")]
    fn fit(
        py: Python<'_>,
        rows: PyReadonlyArray2<'_, f32>,
        n_trees: usize,
        max_samples: usize,
        max_depth: Option<usize>,
        extension_level: usize,
        seed: u64,
        n_jobs: Option<i64>,
    ) -> PyResult<Self> {
        let params = IsolationForest::params()
            .n_trees(n_trees)
            .max_samples(max_samples)
            .max_depth(max_depth)
            .extension_level(extension_level)
            .seed(seed)
            .threads(Some(jobs(n_jobs)?))
            .check()
            .map_err(|error| unfit(&error))?;
        let (rows, width) = rows::of_array(&rows)?;
        let fitted = py.detach(|| params.fit_rows(rows, width));
        fitted.map(Self).map_err(|error| unfit(&error))
    }

    /// Scores the rows of a two-dimensional float32 array, without copying it.
    #[pyo3(signature = (rows, *, n_jobs=None))]
    #[expect(clippy::needless_pass_by_value, reason = "the array's borrow is the argument")]
    fn score<'py>(
        &self,
        py: Python<'py>,
        rows: PyReadonlyArray2<'py, f32>,
        n_jobs: Option<i64>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let threads = jobs(n_jobs)?;
        let (rows, width) = rows::of_array(&rows)?;
        rows::check_width(width, self.0.n_features())?;
        let mut scores = vec![0.0; rows.len() / width];
        py.detach(|| {
            threads::share_out(rows, width, &mut scores, threads, |rows, scores| {
                self.0.score_rows(rows, scores);
            });
        });
        Ok(scores.into_pyarray(py))
    }

    /// By how many levels each feature shortened each row's mean path: an array of rows by
    /// features. A row's values add up to the usual path less the row's; above 0 is what set the
    /// row apart.
    #[expect(clippy::needless_pass_by_value, reason = "the array's borrow is the argument")]
    fn path_shortening<'py>(
        &self,
        py: Python<'py>,
        rows: PyReadonlyArray2<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let (rows, width) = rows::of_array(&rows)?;
        rows::check_width(width, self.0.n_features())?;
        let levels: Vec<f64> = py.detach(|| {
            rows.chunks_exact(width)
                .flat_map(|row| self.0.path_shortening(row).by_feature)
                .collect()
        });
        levels.into_pyarray(py).reshape([rows.len() / width, width])
    }

    /// The forest as bytes, as a model file holds it.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.to_bytes())
    }

    /// Reads what `to_bytes` wrote, and checks every node.
    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> PyResult<Self> {
        IsolationForest::from_bytes(bytes).map(Self).map_err(|error| refused(&error))
    }

    /// The forest as an ONNX model: float32 rows in, scores out, higher is more anomalous.
    #[pyo3(signature = (feature_names=None))]
    fn to_onnx<'py>(
        &self,
        py: Python<'py>,
        feature_names: Option<Vec<String>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let names = feature_names.unwrap_or_default();
        let written = self.0.to_onnx(&names, &[]).map_err(|error| unfit(&error))?;
        Ok(PyBytes::new(py, &written))
    }

    /// Features of a row.
    #[getter]
    fn n_features(&self) -> usize {
        self.0.n_features()
    }

    /// Number of trees.
    #[getter]
    fn n_trees(&self) -> usize {
        self.0.n_trees()
    }

    /// Rows each tree was grown from.
    #[getter]
    fn max_samples(&self) -> usize {
        self.0.max_samples()
    }

    /// Depth at which growing stopped.
    #[getter]
    fn max_depth(&self) -> usize {
        self.0.max_depth()
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let from_bytes = slf.get_type().getattr("from_bytes")?;
        Ok((from_bytes, (slf.get().to_bytes(slf.py()),)))
    }

    fn __repr__(&self) -> String {
        format!("Forest({} trees over {} features)", self.0.n_trees(), self.0.n_features())
    }
}

fn jobs(n_jobs: Option<i64>) -> PyResult<NonZeroUsize> {
    threads::of_jobs(n_jobs).map_err(PyValueError::new_err)
}
