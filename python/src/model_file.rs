//! Model files.

use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf, sync::Arc};

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use features::{
    Horizon, SchemaId,
    schema::{SCHEMA_KEY, kind_of, schema_name},
};
use model::{Channel, Kind, ModelFile};
use numpy::IntoPyArray as _;
use pyo3::{exceptions::PyValueError, prelude::*, types::PyDict};

use crate::{
    detector::{Detector, Scored, Wanted},
    error::{ModelError, refused},
    rows::{self, Input},
    threads,
};

/// A model file: what is benign of peers and of the host's side, and how far a score lies from it.
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

    /// The detectors by the rows that they measure, as `peer-10s`: a dict. A horizon that training
    /// had too few rows of has none.
    #[getter]
    fn detectors(&self) -> BTreeMap<String, Detector> {
        let channels = self.0.detectors().keys();
        channels
            .map(|&channel| (channel.to_string(), Detector::new(Arc::clone(&self.0), channel)))
            .collect()
    }

    /// The detector of peers over the window, which every model has.
    #[getter]
    fn peer(&self) -> Detector {
        Detector::new(Arc::clone(&self.0), self.0.peers())
    }

    /// Measures each row of a table of peers, hosts, services or nets with the detector of its
    /// horizon.
    ///
    /// Returns a dict of arrays, ready for `polars.DataFrame` or `pandas.DataFrame`: `score`,
    /// `p_value` (conditional), `tail_score`, `tail_p_value`; NaN where the model has no detector
    /// of a row's horizon.
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
            let text =
                "expected an Arrow table; arrays are scored by a detector such as `model.peer`";
            return Err(PyValueError::new_err(text));
        }
        let Input::Table(batches) = Input::of(table)? else { unreachable!("it is an Arrow table") };
        let kind = self.kind_of(&batches.schema())?;
        rows::check_table(&batches.schema(), self.schema_of(kind)?)?;
        let mut measured = Measured::default();
        py.detach(|| {
            for batch in batches {
                let batch = batch.map_err(|error| refused(&error))?;
                measured.add(&self.0, kind, self.schema_of(kind)?, &batch, threads)?;
            }
            PyResult::Ok(())
        })?;
        let columns = PyDict::new(py);
        columns.set_item("score", measured.scores.into_pyarray(py))?;
        columns.set_item("p_value", measured.p_values.into_pyarray(py))?;
        columns.set_item("tail_score", measured.tail_scores.into_pyarray(py))?;
        columns.set_item("tail_p_value", measured.tail_p_values.into_pyarray(py))?;
        Ok(columns)
    }

    fn __repr__(&self) -> String {
        let digest = self.0.digest();
        format!("Model({}, made {})", &digest[..12], self.0.manifest().created)
    }
}

impl Model {
    /// The schema of a kind's rows, as the model was trained on it.
    fn schema_of(&self, kind: Kind) -> PyResult<&SchemaId> {
        let mut detectors = self.0.detectors().iter();
        let (_, detector) =
            detectors.find(|(channel, _)| channel.kind == kind).ok_or_else(|| {
                let text = format!("the model has no detector of {kind} rows: train again on more");
                ModelError::new_err(text)
            })?;
        Ok(detector.schema())
    }

    /// The kind of a table's rows.
    fn kind_of(&self, table: &Schema) -> PyResult<Kind> {
        let expected = || Kind::SCORED.map(schema_name).join("`, `");
        if let Some(name) = table.metadata().get(SCHEMA_KEY) {
            return kind_of(name).filter(|kind| kind.is_scored()).ok_or_else(|| {
                let text = format!(
                    "the table's schema is `{name}`, expected one of `{}`: make it with weir's own \
                     replay or capture",
                    expected()
                );
                ModelError::new_err(text)
            });
        }
        let has = |name: &str| table.column_with_name(name).is_some();
        let lacks = |kind: Kind| {
            let own = self.schema_of(kind).ok();
            own.is_none_or(|id| id.features.iter().any(|name| !has(name)))
        };
        let mut fitting = Kind::SCORED.into_iter().filter(|&kind| !lacks(kind));
        match fitting.next() {
            // These two have the same features.
            Some(Kind::Host) if !has("local_address") => Ok(Kind::Net),
            Some(kind) => Ok(kind),
            None => Err(ModelError::new_err(
                "the table has the features of none of the model's detectors: make it with weir's \
                 own replay or capture",
            )),
        }
    }
}

/// What a table's rows were measured to be, in their order.
#[derive(Default)]
struct Measured {
    scores: Vec<f32>,
    p_values: Vec<f64>,
    tail_scores: Vec<f32>,
    tail_p_values: Vec<f64>,
}

impl Measured {
    /// Adds a block of rows, those of each horizon by its detector.
    fn add(
        &mut self,
        model: &ModelFile,
        kind: Kind,
        schema: &SchemaId,
        batch: &RecordBatch,
        threads: NonZeroUsize,
    ) -> PyResult<()> {
        let before = self.scores.len();
        let all = before + batch.num_rows();
        self.scores.resize(all, f32::NAN);
        self.tail_scores.resize(all, f32::NAN);
        self.p_values.resize(all, f64::NAN);
        self.tail_p_values.resize(all, f64::NAN);
        let values = rows::of_batch(batch, schema).map_err(|error| refused(&error))?;
        let horizons = rows::horizons(batch)?.ok_or_else(|| {
            let text = format!("the table has no UInt32 column `{}`", rows::HORIZON);
            ModelError::new_err(text)
        })?;
        let mut by_horizon: BTreeMap<Horizon, Vec<usize>> = BTreeMap::new();
        for (row, horizon) in horizons.into_iter().enumerate() {
            by_horizon.entry(horizon).or_default().push(row);
        }
        let width = schema.features.len();
        for (horizon, of_it) in by_horizon {
            let Some(detector) = model.detector(Channel::new(kind, horizon)) else { continue };
            let own: Vec<f32> =
                of_it.iter().flat_map(|row| &values[row * width..][..width]).copied().collect();
            let mut scored = Scored::default();
            let wanted = Wanted { scores: true, tail_scores: true };
            scored.add(detector, &own, wanted, threads);
            for ((row, score), tail) in of_it.iter().zip(scored.scores).zip(scored.tail_scores) {
                let at = before + row;
                (self.scores[at], self.tail_scores[at]) = (score, tail);
                self.p_values[at] = detector.p_value(score).conditional;
                self.tail_p_values[at] = detector.tail_calibration().p_value(tail).conditional;
            }
        }
        Ok(())
    }
}
