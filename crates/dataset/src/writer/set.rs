//! The tables of a data set, rotated together.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use features::{Kind, Observed, Window};

use super::claim::Claims;
use super::file::{Closed, FinishedFile, TableWriter};
use super::flows::FlowFiles;
use super::options::WriterOptions;
use super::sweep::{Sweep, sweep};
use crate::schema::{WindowRows, batch, sourced_schema, stored_schema};
use crate::{DatasetError, Provenance, Sums, TableKind, layout};

/// Rows that are made into columns at once: of a window by itself that costs more than counting it.
const WAITING_ROWS: usize = 2_048;
/// Bytes that a waiting row takes as columns.
const ROW_BYTES: usize = 200;

/// Counts of a writer so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The finished files, in the order in which they were finished.
    pub files: Vec<FinishedFile>,
    /// Rows handed over, by [`TableKind::index`].
    pub rows: [u64; TableKind::ALL.len()],
    /// Sums over the windows of finished files.
    pub sums: Sums,
    /// Files of an earlier run of the same captures, which were removed.
    pub replaced: Vec<PathBuf>,
}

/// Writes windows as a data set; see the [crate] for its layout.
///
/// - A window's rows are never split over files; those of each table, and its own row, go to files
///   of one name.
/// - Files are cut by time, size and hour of UTC, by the windows' times and not by a clock: the
///   same windows make the same files. A window that begins before its predecessor begins a new
///   file, so that every file is in order of time.
/// - An unfinished file is hidden, and locked while its writer lives. Killed, a writer leaves only
///   whole files and hidden ones, which [`Self::create`] sweeps up: what is whole gets its name,
///   the rest is removed.
/// - After an error nothing unfinished is left, and every further call fails.
#[derive(Debug)]
pub struct DatasetWriter {
    root: PathBuf,
    options: WriterOptions,
    open: Option<Open>,
    /// Whole flows, of what comes from captures.
    flows: Option<FlowFiles>,
    swept: Sweep,
    written: Written,
    provenance: Provenance,
    claims: Claims,
    has_failed: bool,
}

/// The files that are being written, and the rows that wait for them.
#[derive(Debug)]
struct Open {
    /// By [`Kind::ALL`].
    rows: [TableWriter; Kind::ALL.len()],
    window: TableWriter,
    /// What waits, with the times of its windows.
    observed: Vec<Observed>,
    times_ns: Vec<i64>,
    /// Rows of it, by [`TableKind::index`].
    waiting: [usize; TableKind::ALL.len()],
    windows: WindowRows,
    /// What the column of sources says.
    source: Option<String>,
    first_ns: i64,
    last_ns: i64,
    sums: Sums,
}

impl DatasetWriter {
    /// Makes the folder, and sweeps up what killed writers left in it.
    pub fn create(root: &Path, options: WriterOptions) -> Result<Self, DatasetError> {
        Self::create_from(root, options, Provenance::default())
    }

    /// As [`Self::create`], for rows that came about like this.
    ///
    /// Where it names captures, rows that an earlier run made of the same captures are replaced
    /// when this one is finished, and the rows have the column of sources.
    ///
    /// # Errors
    /// [`DatasetError::Claimed`], [`DatasetError::Together`]
    pub fn create_from(
        root: &Path,
        options: WriterOptions,
        provenance: Provenance,
    ) -> Result<Self, DatasetError> {
        options.check()?;
        fs::create_dir_all(root).map_err(DatasetError::io("make the folder", root))?;
        let claims = Claims::take(root, &provenance.origins)?;
        let swept = sweep(root)?;
        let flows = provenance
            .source()
            .map(|source| FlowFiles::new(root, options, source, provenance.to_metadata()));
        Ok(Self {
            provenance,
            claims,
            root: root.to_owned(),
            flows,
            options,
            open: None,
            swept,
            written: Written::default(),
            has_failed: false,
        })
    }

    /// Files that killed writers had left.
    #[must_use]
    pub const fn swept(&self) -> &Sweep {
        &self.swept
    }

    /// Counts so far.
    #[must_use]
    pub const fn written(&self) -> &Written {
        &self.written
    }

    /// Appends a window that began at `unix_start_ns` of unix time, with its records.
    pub fn write(
        &mut self,
        window: &Window,
        unix_start_ns: i64,
        observed: &Observed,
    ) -> Result<(), DatasetError> {
        self.guarded(|writer| {
            if writer.must_rotate(unix_start_ns) {
                writer.rotate()?;
            }
            writer.append(window, unix_start_ns, observed)?;
            writer.flows.as_mut().map_or(Ok(()), |flows| flows.take(window))
        })
    }

    /// Finishes the files that are being written; the next window begins new ones.
    pub fn rotate(&mut self) -> Result<(), DatasetError> {
        self.guarded(|writer| match writer.open.take() {
            Some(open) => open.finish(&mut writer.written, &mut writer.claims),
            None => Ok(()),
        })
    }

    /// Finishes everything, and removes what an earlier run wrote of the same captures.
    pub fn finish(mut self) -> Result<Written, DatasetError> {
        self.rotate()?;
        self.guarded(|writer| {
            let Some(flows) = writer.flows.take() else { return Ok(()) };
            if let Some(closed) = flows.finish()? {
                writer.claims.record(closed.path())?;
                writer.written.files.push(closed.commit()?);
            }
            Ok(())
        })?;
        let mut written = std::mem::take(&mut self.written);
        written.replaced = std::mem::take(&mut self.claims).replace()?;
        Ok(written)
    }

    fn guarded(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<(), DatasetError>,
    ) -> Result<(), DatasetError> {
        if self.has_failed {
            return Err(DatasetError::Failed { root: self.root.clone() });
        }
        let outcome = act(self);
        if outcome.is_err() {
            self.has_failed = true;
            // Dropped, the unfinished files are removed.
            self.open = None;
            self.flows = None;
        }
        outcome
    }

    fn must_rotate(&self, time_ns: i64) -> bool {
        self.open.as_ref().is_some_and(|open| {
            let every = i64::try_from(self.options.rotate_every.as_nanos()).unwrap_or(i64::MAX);
            time_ns < open.last_ns
                || layout::hour_of(time_ns) != layout::hour_of(open.first_ns)
                || time_ns.saturating_sub(open.first_ns) >= every
                || open.size() >= self.options.rotate_bytes
        })
    }

    fn append(
        &mut self,
        window: &Window,
        time_ns: i64,
        observed: &Observed,
    ) -> Result<(), DatasetError> {
        if self.open.is_none() {
            self.open = Some(Open::start(&self.root, time_ns, &self.options, &self.provenance)?);
        }
        let open = self.open.as_mut().expect("opened above");
        for kind in Kind::ALL {
            let rows = observed.rows(kind);
            open.waiting[TableKind::from(kind).index()] += rows;
            self.written.rows[TableKind::from(kind).index()] += rows as u64;
        }
        open.observed.push(observed.clone());
        open.times_ns.push(time_ns);
        let written = &mut self.written.rows[TableKind::Window.index()];
        open.windows.add(observed, window, time_ns, *written);
        *written += 1;
        let waiting = open.waiting.into_iter().chain([open.windows.len()]);
        if waiting.max() >= Some(WAITING_ROWS) {
            open.hand_over()?;
        }
        open.last_ns = time_ns;
        open.sums.add(window);
        Ok(())
    }
}

impl Open {
    /// Begins the files under the first name that is free. The window table's file is the one
    /// that takes the name, for it is the one that always has rows.
    fn start(
        root: &Path,
        time_ns: i64,
        options: &WriterOptions,
        provenance: &Provenance,
    ) -> Result<Self, DatasetError> {
        for table in TableKind::ALL {
            let folder = layout::folder(root, table, time_ns);
            fs::create_dir_all(&folder).map_err(DatasetError::io("make the folder", &folder))?;
        }
        let mut number = 0;
        loop {
            let begun = Self::start_as(root, time_ns, number, options, provenance);
            match begun {
                Err(DatasetError::Io { source, .. })
                    if source.kind() == io::ErrorKind::AlreadyExists
                        && number < layout::NAMESAKES =>
                {
                    number += 1;
                }
                begun => return begun,
            }
        }
    }

    fn start_as(
        root: &Path,
        time_ns: i64,
        number: u32,
        options: &WriterOptions,
        provenance: &Provenance,
    ) -> Result<Self, DatasetError> {
        let stem = layout::stem(time_ns, number);
        let metadata = provenance.to_metadata();
        let begin = |table| {
            let path = layout::finished(&layout::folder(root, table, time_ns), &stem);
            let has_source = !provenance.origins.is_empty();
            let schema = if has_source { sourced_schema(table) } else { stored_schema(table) };
            TableWriter::create_with(&path, &schema, options, &metadata)
        };
        Ok(Self {
            window: begin(TableKind::Window)?,
            rows: [
                begin(TableKind::Flow)?,
                begin(TableKind::Peer)?,
                begin(TableKind::Host)?,
                begin(TableKind::Service)?,
                begin(TableKind::Net)?,
            ],
            observed: Vec::new(),
            times_ns: Vec::new(),
            waiting: [0; TableKind::ALL.len()],
            windows: WindowRows::default(),
            source: provenance.source(),
            first_ns: time_ns,
            last_ns: time_ns,
            sums: Sums::default(),
        })
    }

    /// Ends all files before any gets its name, the window table's last: where that one is whole,
    /// the others are, and a sweep can finish what a kill cut short.
    fn finish(mut self, written: &mut Written, claims: &mut Claims) -> Result<(), DatasetError> {
        self.hand_over()?;
        written.sums.merge(&self.sums);
        let metadata = self.sums.to_metadata();
        let mut all = Vec::with_capacity(TableKind::ALL.len());
        for file in self.rows {
            all.push(file.close(metadata.clone())?);
        }
        all.push(self.window.close(metadata)?);
        for closed in all.into_iter().filter(|closed| closed.rows() > 0) {
            claims.record(closed.path())?;
            written.files.push(Closed::commit(closed)?);
        }
        Ok(())
    }

    /// Hands the rows that wait to their files.
    fn hand_over(&mut self) -> Result<(), DatasetError> {
        let source = self.source.as_deref();
        for (writer, kind) in self.rows.iter_mut().zip(Kind::ALL) {
            let batch = batch(kind, &self.observed, &self.times_ns);
            if batch.num_rows() > 0 {
                writer.write(&sourced(batch, source, writer.schema()))?;
            }
        }
        self.window.write(&sourced(self.windows.take(), source, self.window.schema()))?;
        self.observed.clear();
        self.times_ns.clear();
        self.waiting = [0; TableKind::ALL.len()];
        Ok(())
    }

    /// About how long the longest file would be if it were finished now, in bytes.
    fn size(&self) -> u64 {
        let waiting = |kind: Kind| (self.waiting[TableKind::from(kind).index()] * ROW_BYTES) as u64;
        let sizes = self.rows.iter().zip(Kind::ALL).map(|(file, kind)| file.size() + waiting(kind));
        sizes.max().unwrap_or_default()
    }
}

/// The rows with the column of sources, where there are any.
fn sourced(batch: RecordBatch, source: Option<&str>, schema: &SchemaRef) -> RecordBatch {
    let Some(source) = source else { return batch };
    let sources = StringArray::from_iter_values(std::iter::repeat_n(source, batch.num_rows()));
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(sources));
    RecordBatch::try_new(Arc::clone(schema), columns).expect("the schema has this column more")
}
