//! Detectors of a model.

use std::{num::NonZeroUsize, sync::Arc};

use arrow_array::RecordBatch;
use features::{Feature, HostFeature, PeerFeature, ServiceFeature};
use model::{Calibration, Channel, DetectorModel, FeatureRange, Kind, ModelFile, PValue, Place};
use numpy::{IntoPyArray as _, PyArray1};
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    types::{PyDict, PyList},
};

use crate::{
    error::{ModelError, refused, unfit},
    rows::{self, Input},
    threads,
};

/// A detector: what a model learnt of rows of one kind over one horizon.
///
/// Rows have a value for each of `features`, in that order, as weir's tables have them (scaled:
/// see `weir.schema`). Where an Arrow table is taken, its columns are found by name, and rows over
/// another horizon are refused.
#[pyclass(frozen, module = "weir._weir")]
#[derive(Debug)]
pub(crate) struct Detector {
    model: Arc<ModelFile>,
    channel: Channel,
}

/// Scores and tail scores of rows, one each.
#[derive(Debug, Default)]
pub(crate) struct Scored {
    pub(crate) scores: Vec<f32>,
    pub(crate) tail_scores: Vec<f32>,
}

impl Detector {
    /// Of a channel that the model has.
    pub(crate) const fn new(model: Arc<ModelFile>, channel: Channel) -> Self {
        Self { model, channel }
    }

    pub(crate) fn model(&self) -> &DetectorModel {
        self.model.detector(self.channel).expect("made of a channel that the model has")
    }

    /// Goes over the rows once, a block at a time, without the interpreter's lock.
    pub(crate) fn measure(
        &self,
        py: Python<'_>,
        data: Input<'_>,
        wanted: Wanted,
        threads: NonZeroUsize,
    ) -> PyResult<Scored> {
        let model = self.model();
        let mut scored = Scored::default();
        match data {
            Input::Array(array) => {
                let (rows, width) = rows::of_array(&array)?;
                rows::check_width(width, model.schema().features.len())?;
                py.detach(|| scored.add(model, rows, wanted, threads));
                Ok(scored)
            }
            Input::Table(batches) => {
                rows::check_table(&batches.schema(), model.schema())?;
                py.detach(|| {
                    for batch in batches {
                        let batch = batch.map_err(|error| refused(&error))?;
                        self.check_horizons(&batch)?;
                        let rows = rows::of_batch(&batch, model.schema())
                            .map_err(|error| refused(&error))?;
                        scored.add(model, &rows, wanted, threads);
                    }
                    Ok(scored)
                })
            }
        }
    }

    /// Refuses rows over another horizon, where the table says what its rows cover.
    fn check_horizons(&self, batch: &RecordBatch) -> PyResult<()> {
        let Some(horizons) = rows::horizons(batch)? else { return Ok(()) };
        let own = self.channel.horizon;
        let Some(other) = horizons.into_iter().find(|&one| one != own) else { return Ok(()) };
        let text = format!(
            "the table has rows over {other}, this detector measures rows over {own}: leave them \
             out, or call `Model.score`, which measures each row by its own detector"
        );
        Err(ModelError::new_err(text))
    }
}

/// Quantities to compute for rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) scores: bool,
    pub(crate) tail_scores: bool,
}

impl Scored {
    pub(crate) fn add(
        &mut self,
        model: &DetectorModel,
        rows: &[f32],
        wanted: Wanted,
        threads: NonZeroUsize,
    ) {
        let width = model.schema().features.len();
        let more = rows.len() / width;
        if wanted.scores {
            let before = self.scores.len();
            self.scores.resize(before + more, 0.0);
            let scores = &mut self.scores[before..];
            threads::share_out(rows, width, scores, threads, |rows, scores| {
                model.score_rows(rows, scores);
            });
        }
        if wanted.tail_scores {
            let before = self.tail_scores.len();
            self.tail_scores.resize(before + more, 0.0);
            model.tail_scores(rows, &mut self.tail_scores[before..]);
        }
    }
}

#[pymethods]
impl Detector {
    /// The rows that it measures, as `peer-10s`.
    #[getter]
    fn rows(&self) -> String {
        self.channel.to_string()
    }

    /// The name of the schema of its rows, as `weir.peer.v4`.
    #[getter]
    fn schema(&self) -> &str {
        &self.model().schema().name
    }

    /// The hash of that schema: tables with another one are refused.
    #[getter]
    fn schema_hash(&self) -> &str {
        &self.model().schema().hash
    }

    /// The names of the features, in the order of a row's values.
    #[getter]
    fn features(&self) -> Vec<String> {
        self.model().schema().features.clone()
    }

    /// The names of the features that the score depends on.
    #[getter]
    fn inputs(&self) -> Vec<String> {
        self.model().inputs().names().to_vec()
    }

    /// What scores, in words, as `isolation forest`.
    #[getter]
    fn kind(&self) -> String {
        self.model().scorer().kind()
    }

    /// Scores rows: an array in [0, 1], higher is more anomalous.
    ///
    /// `data` is an Arrow table of any library (polars, pyarrow, pandas and others) with a column for
    /// each feature, or a two-dimensional array; float32 in C order is not copied.
    #[pyo3(signature = (data, *, n_jobs=None))]
    fn score<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
        n_jobs: Option<i64>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let threads = threads::of_jobs(n_jobs).map_err(PyValueError::new_err)?;
        let wanted = Wanted { scores: true, tail_scores: false };
        Ok(self.measure(py, Input::of(data)?, wanted, threads)?.scores.into_pyarray(py))
    }

    /// How far out the three oddest features of rows lie: an array in [0, 36], the sum of their
    /// surprises, each −log10 of the chance of a value as far out.
    fn tail_score<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let wanted = Wanted { scores: false, tail_scores: true };
        let scored = self.measure(py, Input::of(data)?, wanted, NonZeroUsize::MIN)?;
        Ok(scored.tail_scores.into_pyarray(py))
    }

    /// The p-values of scores: how likely a benign row is to score as high.
    ///
    /// `"conditional"` holds for this model's own calibration rows with probability 0.9 and is
    /// what to decide by; `"marginal"` holds on average over calibration sets.
    #[pyo3(signature = (scores, *, kind="conditional"))]
    fn p_value<'py>(
        &self,
        py: Python<'py>,
        scores: &Bound<'py, PyAny>,
        kind: &str,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        p_values(py, self.model().calibration(), scores, kind)
    }

    /// As `p_value`, of tail scores.
    #[pyo3(signature = (tail_scores, *, kind="conditional"))]
    fn tail_p_value<'py>(
        &self,
        py: Python<'py>,
        tail_scores: &Bound<'py, PyAny>,
        kind: &str,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        p_values(py, self.model().tail_calibration(), tail_scores, kind)
    }

    /// The score above which, and only above which, the conditional p-value is at most `rate`;
    /// a `ValueError` says how many held-out rows it would take where there are too few.
    fn threshold(&self, rate: f64) -> PyResult<f32> {
        self.model().calibration().threshold(rate).map_err(|error| unfit(&error))
    }

    /// The smallest conditional p-value that any score can have.
    #[getter]
    fn smallest_p_value(&self) -> f64 {
        self.model().calibration().smallest_p()
    }

    /// The held-out benign scores that it was calibrated on, ascending.
    #[getter]
    fn calibration<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f32>> {
        PyArray1::from_slice(py, self.model().calibration().scores())
    }

    /// Why a row scores as it does: a dict per input, the one that set the row apart most first.
    ///
    /// Values and ranges are in the feature's natural unit; `amount` is by how much the feature
    /// set the row apart (levels of the mean path for a forest, below 0 where it made the row
    /// look more usual), `share` its part in all that did.
    ///
    /// `row` has a value per feature, or is a dict from the features' names.
    #[pyo3(signature = (row, *, top=None))]
    fn explain<'py>(
        &self,
        py: Python<'py>,
        row: &Bound<'py, PyAny>,
        top: Option<usize>,
    ) -> PyResult<Bound<'py, PyList>> {
        let row = rows::one(row, self.model().schema())?;
        match self.channel.kind {
            Kind::Peer => explained::<PeerFeature>(py, self.model(), &row, top),
            Kind::Service => explained::<ServiceFeature>(py, self.model(), &row, top),
            Kind::Flow | Kind::Host | Kind::Net => {
                explained::<HostFeature>(py, self.model(), &row, top)
            }
        }
    }

    fn __repr__(&self) -> String {
        format!("Detector({}, {} features)", self.channel, self.model().schema().features.len())
    }
}

/// The p-values of an array of scores.
fn p_values<'py>(
    py: Python<'py>,
    calibration: &Calibration,
    scores: &Bound<'py, PyAny>,
    kind: &str,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let of: fn(PValue) -> f64 = match kind {
        "conditional" => |p| p.conditional,
        "marginal" => |p| p.marginal,
        other => {
            let text = format!("`kind` must be \"conditional\" or \"marginal\", got \"{other}\"");
            return Err(PyValueError::new_err(text));
        }
    };
    let scores = rows::scores(scores)?;
    let p_values: Vec<f64> =
        scores.as_array().iter().map(|score| of(calibration.p_value(*score))).collect();
    Ok(p_values.into_pyarray(py))
}

fn explained<'py, F: Feature>(
    py: Python<'py>,
    model: &DetectorModel,
    row: &[f32],
    top: Option<usize>,
) -> PyResult<Bound<'py, PyList>> {
    let explanation = model.explain(row);
    let parts = PyList::empty(py);
    for part in explanation.contributions.iter().take(top.unwrap_or(usize::MAX)) {
        // A model of this schema has this build's features; another is shown as it is.
        let feature = F::from_name(&part.name);
        let natural = |value: f32| feature.map_or(value, |feature| feature.natural(value));
        let FeatureRange { p01, median, p99, .. } = part.range;
        let dict = PyDict::new(py);
        dict.set_item("feature", &part.name)?;
        dict.set_item("value", natural(part.value))?;
        dict.set_item("unit", feature.map(Feature::natural_unit))?;
        dict.set_item("benign_low", natural(p01))?;
        dict.set_item("benign_median", natural(median))?;
        dict.set_item("benign_high", natural(p99))?;
        dict.set_item("place", place(part.place))?;
        dict.set_item("amount", part.amount)?;
        dict.set_item("share", part.share)?;
        parts.append(dict)?;
    }
    Ok(parts)
}

fn place(place: Place) -> &'static str {
    match place {
        Place::BelowAll => "below all",
        Place::Low => "low",
        Place::Usual => "usual",
        Place::High => "high",
        Place::AboveAll => "above all",
    }
}
