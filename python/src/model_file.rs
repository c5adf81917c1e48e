//! Model files.

use std::{path::PathBuf, sync::Arc};

use features::schema::{FLOW_SCHEMA, PEER_SCHEMA, SCHEMA_KEY};
use model::ModelFile;
use numpy::IntoPyArray as _;
use pyo3::{exceptions::PyValueError, prelude::*, types::PyDict};

use crate::{
    detector::{Detector, Subject, Wanted},
    error::{ModelError, refused},
    rows::{self, Input},
    threads,
};

/// A model file: what is benign of flows and of peers, and how far a score lies from it.
///
/// `Model.load` checks the whole file; what it refuses is a `weir.ModelError`.
#[pyclass(frozen, module = "weir._weir")]
#[derive(Debug)]
pub(crate) struct Model(Arc<ModelFile>);

#[pymethods]
impl Model {
    /// Reads and checks a `.weir` file.
    #[staticmethod]
    #[expect(clippy::needless_pass_by_value, reason = "what Python's argument turns into")]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let loaded = py.detach(|| ModelFile::load(&path));
        Ok(Self(Arc::new(loaded.map_err(|error| refused(&error))?)))
    }

    /// What the file says of itself, as a dict.
    #[getter]
    fn manifest<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let json = serde_json::to_string(self.0.manifest()).map_err(|error| refused(&error))?;
        py.import("json")?.call_method1("loads", (json,))
    }

    /// SHA-256 of the file's content, hexadecimal: the name under which decisions are recorded.
    #[getter]
    fn digest(&self) -> &str {
        self.0.digest()
    }

    /// The detector over flows.
    #[getter]
    fn flow(&self) -> Detector {
        Detector::new(Arc::clone(&self.0), Subject::Flow)
    }

    /// The detector over peers.
    #[getter]
    fn peer(&self) -> Detector {
        Detector::new(Arc::clone(&self.0), Subject::Peer)
    }

    /// Measures each row of a flow or a peer table with the detector it belongs to.
    ///
    /// Returns a dict of arrays, ready for `polars.DataFrame` or `pandas.DataFrame`: `score`,
    /// `p_value` (conditional), `tail_score`, `tail_p_value`.
    ///
    /// The table is an Arrow table of any library. Which table it is, is read from its metadata
    /// (`weir.schema`, and its hash must fit), or where it has none from its columns.
    #[pyo3(signature = (table, *, n_jobs=None))]
    fn score<'py>(
        &self,
        py: Python<'py>,
        table: &Bound<'py, PyAny>,
        n_jobs: Option<i64>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let threads = threads::of_jobs(n_jobs).map_err(PyValueError::new_err)?;
        if !rows::is_arrow(table)? {
            let text = "expected an Arrow table; arrays are scored by `model.flow` or `model.peer`";
            return Err(PyValueError::new_err(text));
        }
        let data = Input::of(table)?;
        let detector = self.detector_for(&data)?;
        let wanted = Wanted { scores: true, tail_scores: true };
        let scored = detector.measure(py, data, wanted, threads)?;
        let model = detector.model();
        let p_values: Vec<f64> =
            scored.scores.iter().map(|score| model.p_value(*score).conditional).collect();
        let tail = model.tail_calibration();
        let tail_p_values: Vec<f64> =
            scored.tail_scores.iter().map(|score| tail.p_value(*score).conditional).collect();
        let columns = PyDict::new(py);
        columns.set_item("score", scored.scores.into_pyarray(py))?;
        columns.set_item("p_value", p_values.into_pyarray(py))?;
        columns.set_item("tail_score", scored.tail_scores.into_pyarray(py))?;
        columns.set_item("tail_p_value", tail_p_values.into_pyarray(py))?;
        Ok(columns)
    }

    fn __repr__(&self) -> String {
        let digest = self.0.digest();
        format!("Model({}, made {})", &digest[..12], self.0.manifest().created)
    }
}

impl Model {
    /// The detector that a table is for.
    fn detector_for(&self, data: &Input<'_>) -> PyResult<Detector> {
        let Input::Table(table) = data else { unreachable!("only tables come here") };
        let schema = table.schema();
        match schema.metadata().get(SCHEMA_KEY).map(String::as_str) {
            Some(FLOW_SCHEMA) => return Ok(self.flow()),
            Some(PEER_SCHEMA) => return Ok(self.peer()),
            Some(other) => {
                let text = format!(
                    "the table's schema is `{other}`, expected `{FLOW_SCHEMA}` or `{PEER_SCHEMA}`: \
                     make it with weir's own replay or capture"
                );
                return Err(ModelError::new_err(text));
            }
            None => {}
        }
        let lacks = |detector: &Detector| {
            let features = &detector.model().schema().features;
            features.iter().find(|name| schema.column_with_name(name).is_none()).cloned()
        };
        let (flow, peer) = (self.flow(), self.peer());
        match (lacks(&flow), lacks(&peer)) {
            (None, _) => Ok(flow),
            (_, None) => Ok(peer),
            (Some(for_flow), Some(for_peer)) => Err(ModelError::new_err(format!(
                "the table is neither of flows, for it has no column `{for_flow}`, nor of peers, \
                 for it has no column `{for_peer}`: make it with weir's own replay or capture"
            ))),
        }
    }
}
