//! Captures as streams of Arrow record batches, made as they are asked for.

use std::{
    ffi::CString,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arrow_array::{ArrayRef, RecordBatch, StructArray};
use arrow_schema::{ArrowError, Field, SchemaRef};
use dataset::{
    TableKind,
    schema::{self, WindowRows},
};
use features::{Context, Observed, Window};
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

/// Records, of whatever kind, from which on the rows of the windows so far are a batch.
const BATCH_RECORDS: usize = 65_536;

/// Windows that are a batch however few records they have.
const BATCH_WINDOWS: usize = 4_096;

/// The rows of one or more captures: an Arrow stream, which is read once.
///
/// polars, pandas, `DuckDB` and pyarrow take it as it is: `pl.DataFrame(capture)`,
/// `pa.table(capture)`. Windows are replayed as rows are asked for, a few ahead on a thread of
/// their own; memory is that of some windows and a batch of rows. A capture that turns out to be
/// damaged ends the stream with an error behind the rows before the damage; records that were
/// skipped are warned of at the end.
#[pyclass(frozen, module = "weir")]
pub(crate) struct Capture {
    table: TableKind,
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
    /// What ended it before its time, until that is told.
    failure: Option<ReadError>,
    read: Vec<ReadProgress>,
    context: Context,
    /// The window that comes next: the last one takes what is open of the longer horizons.
    ahead: Option<Window>,
    waiting: Waiting,
    report: Arc<Mutex<Report>>,
    progress: Option<Py<PyAny>>,
}

/// Windows whose rows wait to be a batch.
struct Waiting {
    table: TableKind,
    /// As many of these wait as there are times; the others are room.
    observed: Vec<Observed>,
    times_ns: Vec<i64>,
    records: usize,
    counts: WindowRows,
}

#[pymethods]
impl Capture {
    /// The kind of rows: `"flow"`, `"peer"`, `"host"`, `"service"`, `"net"` or `"window"`.
    #[getter]
    fn kind(&self) -> &'static str {
        self.table.name()
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

    #[pyo3(signature = (requested_schema=None))]
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
        let (kind, columns) = (self.table, self.schema.fields().len());
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
        let names = TableKind::ALL.map(|table| format!("\"{table}\"")).join(", ");
        PyValueError::new_err(format!("`kind` must be one of {names}, got \"{kind}\""))
    };
    let table = TableKind::ALL.into_iter().find(|table| table.name() == kind);
    let table = table.ok_or_else(unknown)?;
    let window = length(window)?;
    let home = home_net.map(|prefixes| home(&prefixes)).transpose()?;
    let (replay, doubt) = py.detach(|| open(&paths, home, window))?;
    if let Some(doubt) = doubt {
        warn(py, doubt)?;
    }
    let report = Arc::new(Mutex::new(Report::default()));
    let names: Vec<String> = paths.into_iter().map(|path| path.display().to_string()).collect();
    let rows = Rows {
        read: replay.captures().progress(),
        replay: Some(ThreadedReplay::start(replay)?),
        failure: None,
        context: Context::of_windows(window),
        ahead: None,
        waiting: Waiting {
            table,
            observed: Vec::new(),
            times_ns: Vec::new(),
            records: 0,
            counts: WindowRows::default(),
        },
        report: Arc::clone(&report),
        progress,
    };
    let schema = schema::stored_schema(table);
    Ok(Capture { table, schema, rows: Mutex::new(Some(rows)), report, title: names.join(", ") })
}

/// Looks through the captures and opens them. Refuses a home side that is a guess, or that none of
/// the packets has; doubts one that many of them do not have.
fn open(
    paths: &[PathBuf],
    told: Option<HomeNet>,
    window: Duration,
) -> PyResult<(Replay, Option<String>)> {
    let refused = |error: ReadError| CaptureError::new_err(text(&error));
    let is_told = told.is_some();
    let home = told.unwrap_or_default();
    let mut surveys = Vec::with_capacity(paths.len());
    let mut side = HomeSide::default();
    for path in paths {
        let survey = Survey::of(path, &home, false).map_err(refused)?;
        match &survey {
            Some(survey) => side.merge(&survey.home),
            None if is_told => {}
            None => {
                return Err(CaptureError::new_err(format!(
                    "`{}` cannot be looked through before it is replayed: pass your own prefixes \
                     as `home_net`, or a file",
                    path.display()
                )));
            }
        }
        surveys.push(survey);
    }
    let doubt = side_doubt(&side, is_told);
    if let Some(doubt) = &doubt
        && (!is_told || side.by_prefix == 0)
    {
        return Err(CaptureError::new_err(doubt.clone()));
    }
    let captures = Captures::surveyed(paths, &surveys).map_err(refused)?;
    Ok((Replay::new(captures, ReplayOptions::default().window(window).home(home)), doubt))
}

/// What is wrong with the home side; none where prefixes or the capture tell it.
fn side_doubt(side: &HomeSide, is_told: bool) -> Option<String> {
    let problem = if is_told && side.packets > 0 && side.by_prefix == 0 {
        format!("no address of `home_net` is at one end of the {} packets", side.packets)
    } else if side.is_guessed() {
        let guessed = 100.0 * side.guessed_share();
        format!("which side is local is a guess for {guessed:.0} % of the packets")
    } else {
        return None;
    };
    let proposal = side.proposal().map_or_else(String::new, |one| {
        format!("\"{}\" (at one end of {:.0} % of them), or ", one.net, 100.0 * one.share)
    });
    Some(format!("{problem}: pass {proposal}all your own prefixes as `home_net`"))
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
    /// The next windows' rows; none after the last.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        loop {
            self.fill()?;
            let batch = self.waiting.take();
            locked(&self.report).rows += batch.num_rows() as u64;
            self.tell_progress()?;
            if batch.num_rows() > 0 {
                return Ok(Some(batch));
            }
            if self.replay.is_none() {
                let failure = self.failure.take();
                return failure
                    .map_or(Ok(None), |error| Err(ArrowError::ExternalError(text(&error).into())));
            }
        }
    }

    /// Joins windows with their past until they make a batch, or there are no more.
    fn fill(&mut self) -> Result<(), ArrowError> {
        while !self.waiting.is_full()
            && let Some(replay) = &mut self.replay
        {
            let next = replay.next_window().unwrap_or_else(|error| {
                self.failure = Some(error);
                None
            });
            let is_over = next.is_none();
            if let Some(window) = std::mem::replace(&mut self.ahead, next) {
                let observed = self.waiting.room();
                self.context.observe_into(&window, observed);
                if is_over && self.failure.is_none() {
                    self.context.finish_into(observed);
                }
                let mut report = locked(&self.report);
                self.waiting.add(&window, report.windows);
                report.windows += 1;
            }
            if is_over {
                self.end()?;
            }
        }
        Ok(())
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
        Python::attach(|py| warn(py, text))
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

impl Waiting {
    /// Where the records of the next window go.
    fn room(&mut self) -> &mut Observed {
        let at = self.times_ns.len();
        if at == self.observed.len() {
            self.observed.push(Observed::default());
        }
        &mut self.observed[at]
    }

    /// Adds the window whose records are in that room, the `index`th of all.
    fn add(&mut self, window: &Window, index: u64) {
        let observed = &self.observed[self.times_ns.len()];
        let time_ns = i64::try_from(window.start_ns).unwrap_or(i64::MAX);
        self.times_ns.push(time_ns);
        self.records += observed.flows.len() + observed.peers.len() + observed.sites.len();
        if self.table == TableKind::Window {
            self.counts.add(observed, window, time_ns, index);
        }
    }

    fn is_full(&self) -> bool {
        self.records >= BATCH_RECORDS || self.times_ns.len() >= BATCH_WINDOWS
    }

    /// The rows as a batch, which leaves none.
    fn take(&mut self) -> RecordBatch {
        self.records = 0;
        let times_ns = std::mem::take(&mut self.times_ns);
        match self.table.kind() {
            Some(kind) => schema::batch(kind, &self.observed[..times_ns.len()], &times_ns),
            None => self.counts.take(),
        }
    }
}

fn warn(py: Python<'_>, text: String) -> PyResult<()> {
    let category = py.get_type::<PyUserWarning>();
    PyErr::warn(py, &category, &CString::new(text).unwrap_or_default(), 2)
}

fn locked(report: &Mutex<Report>) -> MutexGuard<'_, Report> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}
