//! Captures as streams of Arrow record batches, made as they are asked for.

use std::{
    ffi::CString,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arrow_array::{ArrayRef, RecordBatch, StructArray};
use arrow_schema::{ArrowError, Field, SchemaRef};
use arrow_select::concat::concat_batches;
use dataset::{TableKind, schema};
use features::{Context, Kind, Observed};
use pyo3::{
    exceptions::{PyRuntimeError, PyUserWarning, PyValueError},
    prelude::*,
    types::{PyCapsule, PyDict},
};
use pyo3_arrow::ffi::{ArrayIterator, to_stream_pycapsule};
use replay::{
    CaptureError as ReadError, CaptureLoss, CaptureReport, Captures, HomeNet, HomeSide,
    ReadProgress, Replay, ReplayOptions, Survey, ThreadedReplay,
};

use crate::error::{CaptureError, text};

/// Rows from which on a batch is handed over.
const BATCH_ROWS: usize = 65_536;

/// The rows of one or more captures: an Arrow stream, which is read once.
///
/// polars, pandas, DuckDB and pyarrow take it as it is: `pl.DataFrame(capture)`,
/// `pa.table(capture)`. Windows are replayed as rows are asked for, a few ahead on a thread of
/// their own; memory is that of some windows and a batch of rows. A capture that turns out to be
/// damaged ends the stream with an error behind the rows before the damage; records that were
/// skipped are warned of at the end.
#[pyclass(frozen, module = "weir")]
pub(crate) struct Capture {
    kind: Kind,
    schema: SchemaRef,
    rows: Mutex<Option<Rows>>,
    report: Arc<Mutex<Report>>,
    title: String,
}

/// Counts of what was read so far.
#[derive(Clone, Copy, Debug, Default)]
struct Report {
    windows: u64,
    rows: u64,
    capture: CaptureReport,
}

/// Rows that are still to be made.
struct Rows {
    /// Taken when it is over.
    replay: Option<ThreadedReplay>,
    read: Vec<ReadProgress>,
    context: Context,
    kind: Kind,
    schema: SchemaRef,
    report: Arc<Mutex<Report>>,
    progress: Option<Py<PyAny>>,
}

#[pymethods]
impl Capture {
    /// The kind of rows: `"flow"`, `"peer"`, `"host"`, `"service"` or `"net"`.
    #[getter]
    fn kind(&self) -> &'static str {
        self.kind.name()
    }

    /// The columns' names, in their order.
    #[getter]
    fn columns(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// Counts of what was read so far: `windows`, `rows`, `frames`, and `lost`, a dict of the
    /// records that gave no frame, by cause.
    #[getter]
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let report = *locked(&self.report);
        let lost = PyDict::new(py);
        for loss in CaptureLoss::ALL {
            lost.set_item(loss.name(), report.capture.losses[loss.index()])?;
        }
        let dict = PyDict::new(py);
        dict.set_item("windows", report.windows)?;
        dict.set_item("rows", report.rows)?;
        dict.set_item("frames", report.capture.frames)?;
        dict.set_item("lost", lost)?;
        Ok(dict)
    }

    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).take();
        let rows = rows.ok_or_else(|| {
            PyRuntimeError::new_err("the stream was read already: call weir.read_capture again")
        })?;
        let whole = Field::new_struct("", self.schema.fields().clone(), false);
        let whole = whole.with_metadata(self.schema.metadata().clone());
        let arrays =
            rows.map(|batch| batch.map(|rows| Arc::new(StructArray::from(rows)) as ArrayRef));
        let stream = ArrayIterator::new(arrays, Arc::new(whole));
        Ok(to_stream_pycapsule(py, Box::new(stream), requested_schema)?)
    }

    fn __repr__(&self) -> String {
        let unread = self.rows.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let state = if unread { "not read yet" } else { "read" };
        let (kind, columns) = (self.kind, self.schema.fields().len());
        format!("<weir.Capture of {}: {kind} rows of {columns} columns, {state}>", self.title)
    }
}

/// The rows of captures, merged by time. `weir.read_capture` has the defaults.
#[pyfunction]
pub(crate) fn open_capture(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    home_net: Option<Vec<String>>,
    kind: &str,
    window: &str,
    progress: Option<Py<PyAny>>,
) -> PyResult<Capture> {
    let unknown = || {
        let names = Kind::ALL.map(|kind| format!("\"{kind}\"")).join(", ");
        PyValueError::new_err(format!("`kind` must be one of {names}, got \"{kind}\""))
    };
    let kind = Kind::from_name(kind).ok_or_else(unknown)?;
    let window = length(window)?;
    let home = home_net.as_deref().map(home).transpose()?;
    let is_told = home.is_some();
    let replay = py.detach(|| open(&paths, home.unwrap_or_default(), window, is_told))?;
    let schema = schema::stored_schema(TableKind::from(kind));
    let report = Arc::new(Mutex::new(Report::default()));
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let rows = Rows {
        read: replay.captures().progress(),
        replay: Some(ThreadedReplay::start(replay)?),
        context: Context::of_windows(window),
        kind,
        schema: Arc::clone(&schema),
        report: Arc::clone(&report),
        progress,
    };
    Ok(Capture { kind, schema, rows: Mutex::new(Some(rows)), report, title: names.join(", ") })
}

/// Looks through the captures and opens them; refuses a home side that is mostly guessed.
fn open(paths: &[PathBuf], home: HomeNet, window: Duration, is_told: bool) -> PyResult<Replay> {
    let refused = |error: ReadError| CaptureError::new_err(text(&error));
    let mut surveys = Vec::with_capacity(paths.len());
    let mut side = HomeSide::default();
    for path in paths {
        let survey = Survey::of(path, &home, false).map_err(refused)?;
        survey.iter().for_each(|survey| side.merge(&survey.home));
        surveys.push(survey);
    }
    if !is_told && side.is_guessed() {
        let proposal = side.proposal().map_or_else(String::new, |one| {
            let share = 100.0 * one.share;
            format!("home_net=[\"{}\"] (at one end of {share:.0} % of them), or ", one.net)
        });
        return Err(CaptureError::new_err(format!(
            "which side is local is a guess for {:.0} % of the packets: pass {proposal}your own \
             prefixes as `home_net`",
            100.0 * side.guessed_share()
        )));
    }
    let captures = Captures::surveyed(paths, &surveys).map_err(refused)?;
    Ok(Replay::new(captures, ReplayOptions::default().window(window).home(home)))
}

fn home(prefixes: &[String]) -> PyResult<HomeNet> {
    let nets: Result<Vec<_>, _> =
        prefixes.iter().map(|text| address_list::parse_net(text)).collect();
    let nets = nets.map_err(|error| PyValueError::new_err(format!("`home_net`: {error}")))?;
    Ok(HomeNet::new(nets))
}

/// A window's length, as `10s` or `100ms`.
fn length(text: &str) -> PyResult<Duration> {
    let refused = |why: String| PyValueError::new_err(format!("`window`: {why}"));
    let length = humantime::parse_duration(text)
        .map_err(|error| refused(format!("{error}, got \"{text}\"; a length is like \"1s\"")))?;
    let (least, most) = (Duration::from_millis(100), Duration::from_mins(1));
    if !(least..=most).contains(&length) {
        return Err(refused(format!("must be between 100ms and 60s, got {text}")));
    }
    Ok(length)
}

impl Rows {
    /// The next windows' rows, until they make a batch; none after the last.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let (mut batches, mut rows) = (Vec::new(), 0);
        let mut observed = Observed::default();
        while let Some(replay) = &mut self.replay {
            let window = match replay.next_window() {
                Ok(window) => window,
                Err(error) => {
                    self.replay = None;
                    return Err(ArrowError::ExternalError(Box::new(error)));
                }
            };
            let begun = window.as_ref().map(|window| window.start_ns);
            match &window {
                Some(window) => self.context.observe_into(window, &mut observed),
                // What is open of the longer horizons ends with the capture.
                None => {
                    observed.flows.clear();
                    observed.peers.clear();
                    observed.sites.clear();
                    self.context.finish_into(&mut observed);
                    self.end()?;
                }
            }
            let start_ns = begun.unwrap_or(observed.window.start_ns);
            let time_ns = i64::try_from(start_ns).unwrap_or(i64::MAX);
            let batch = schema::batch(self.kind, &observed, time_ns);
            rows += batch.num_rows();
            batches.push(batch);
            let mut report = locked(&self.report);
            report.windows += u64::from(begun.is_some());
            if rows >= BATCH_ROWS {
                break;
            }
        }
        if rows == 0 {
            return Ok(None);
        }
        locked(&self.report).rows += rows as u64;
        self.tell_progress()?;
        concat_batches(&self.schema, &batches).map(Some)
    }

    /// Notes what was read, and warns of records that were skipped.
    fn end(&mut self) -> Result<(), ArrowError> {
        let Some(replay) = self.replay.take() else { return Ok(()) };
        let capture = replay.finish().report();
        locked(&self.report).capture = capture;
        let causes: Vec<String> = CaptureLoss::ALL
            .into_iter()
            .map(|loss| (loss.name(), capture.losses[loss.index()]))
            .filter(|(_, lost)| *lost > 0)
            .map(|(name, lost)| format!("{lost} {name}"))
            .collect();
        if causes.is_empty() {
            return Ok(());
        }
        let text = format!("records of the capture gave no frame: {}", causes.join(", "));
        Python::attach(|py| {
            let category = py.get_type::<PyUserWarning>();
            PyErr::warn(py, &category, &CString::new(text).unwrap_or_default(), 1)
        })
        .map_err(|error| ArrowError::ExternalError(Box::new(error)))
    }

    /// Calls `progress` with the bytes read and all bytes, where these are known.
    fn tell_progress(&self) -> Result<(), ArrowError> {
        let Some(progress) = &self.progress else { return Ok(()) };
        let read: u64 = self.read.iter().map(ReadProgress::read).sum();
        let all: Option<u64> = self.read.iter().map(ReadProgress::size).sum();
        Python::attach(|py| progress.call1(py, (read, all)).map(drop))
            .map_err(|error| ArrowError::ExternalError(Box::new(error)))
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}

fn locked(report: &Mutex<Report>) -> MutexGuard<'_, Report> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}
