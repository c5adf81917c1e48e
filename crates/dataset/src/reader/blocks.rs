//! Streaming a table's wanted rows.

use std::collections::{HashMap, VecDeque};

use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use arrow_select::interleave::interleave_record_batch;
use features::schema::{ROLE_FEATURE, ROLE_KEY, ROLE_STUDY};

use super::block::{Block, StoredWindow};
use super::decode::{Decode, SERVICE};
use super::facts::describe;
use super::parquet_file::{Batches, ParquetFile, guarded};
use super::selection::{Columns, ReadCounts, Selection};
use super::set::DataFile;
use crate::schema::{ATTACK, LABEL, TIME, schema_id};
use crate::{DatasetError, Label, TableKind, layout};

/// The blocks of a table; see [`Dataset::blocks`](crate::Dataset::blocks). Ends after an error.
pub struct Blocks {
    table: TableKind,
    features: Vec<String>,
    selection: Selection,
    files: VecDeque<DataFile>,
    current: Option<Current>,
    read_counts: ReadCounts,
}

/// The file that is being read.
struct Current {
    batches: Batches,
    /// Windows by their start, where the selection depends on what they were.
    windows: Option<HashMap<u64, StoredWindow>>,
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { table, files, read_counts, .. } = self;
        f.debug_struct("Blocks")
            .field("table", table)
            .field("files_left", &files.len())
            .field("read_counts", read_counts)
            .finish_non_exhaustive()
    }
}

impl Blocks {
    pub(super) fn new(table: TableKind, files: VecDeque<DataFile>, selection: Selection) -> Self {
        Self {
            table,
            features: schema_id(table).features,
            selection,
            files,
            current: None,
            read_counts: ReadCounts::default(),
        }
    }

    /// Counts of the rows read so far, and of those left out, by cause.
    #[must_use]
    pub const fn read_counts(&self) -> ReadCounts {
        self.read_counts
    }

    fn advance(&mut self) -> Result<Option<Block>, DatasetError> {
        loop {
            if let Some(current) = &mut self.current {
                match current.batches.next()? {
                    Some(batch) => {
                        if let Some(block) = self.select(batch)? {
                            self.read_counts.selected += block.len() as u64;
                            return Ok(Some(block));
                        }
                    }
                    None => self.current = None,
                }
            } else if let Some(file) = self.files.pop_front() {
                self.current = self.open(&file)?;
            } else {
                return Ok(None);
            }
        }
    }

    /// Opens a file's wanted row groups; none where none is wanted.
    fn open(&mut self, file: &DataFile) -> Result<Option<Current>, DatasetError> {
        if file.time_ns.is_some_and(|bounds| !self.selection.admits_any(bounds)) {
            self.read_counts.skipped_files += 1;
            self.read_counts.outside_time += file.rows;
            return Ok(None);
        }
        let parquet = ParquetFile::open(&file.path)?;
        // Again, for the file may be another one by now.
        describe(&parquet)?;
        self.read_counts.files += 1;
        let schema = parquet.schema();
        let mut wanted = Vec::new();
        for (number, group) in parquet.footer().row_groups().iter().enumerate() {
            let bounds = parquet.times(group);
            if bounds.is_some_and(|bounds| !self.selection.admits_any(bounds)) {
                self.read_counts.skipped_row_groups += 1;
                self.read_counts.outside_time +=
                    u64::try_from(group.num_rows()).unwrap_or_default();
            } else {
                self.read_counts.row_groups += 1;
                wanted.push(number);
            }
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        let columns: Vec<usize> = schema
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, field)| {
                let role = field.metadata().get(ROLE_KEY).map(String::as_str);
                let is_feature = matches!(role, Some(ROLE_FEATURE | ROLE_STUDY));
                self.wants(field.name(), is_feature)
            })
            .map(|(index, _)| index)
            .collect();
        let windows = self.windows_of(file)?;
        let batches =
            parquet.read(self.table, columns, wanted, self.selection.block_rows.max(1))?;
        Ok(Some(Current { batches, windows }))
    }

    fn wants(&self, name: &str, is_feature: bool) -> bool {
        const OWN: [&str; 10] = [
            TIME,
            "window_start",
            "window_end",
            "horizon",
            "covers_start",
            "covers_end",
            "lossy",
            "remote_address",
            LABEL,
            ATTACK,
        ];
        match self.selection.columns {
            Columns::All => true,
            // The window table has no features, and its counts are what it is read for.
            Columns::Features if self.table == TableKind::Window => true,
            Columns::Features if name == "local_address" => self.table == TableKind::Host,
            Columns::Features if SERVICE.contains(&name) => self.table == TableKind::Service,
            Columns::Features => self.is_feature(name) || OWN.contains(&name),
            Columns::Identity => !self.is_feature(name) && !is_feature,
        }
    }

    fn is_feature(&self, name: &str) -> bool {
        self.features.iter().any(|feature| feature == name)
    }

    /// Facts of the sibling in the window table, where the selection depends on it.
    fn windows_of(
        &mut self,
        file: &DataFile,
    ) -> Result<Option<HashMap<u64, StoredWindow>>, DatasetError> {
        if !self.selection.asks_for_windows() {
            return Ok(None);
        }
        let sibling = match self.table {
            TableKind::Window => Some(file.path.clone()),
            table => layout::sibling(&file.path, table, TableKind::Window),
        };
        let Some(path) = sibling.filter(|path| path.exists()) else {
            self.read_counts.files_without_windows += 1;
            return Ok(None);
        };
        let parquet = ParquetFile::open(&path)?;
        describe(&parquet)?;
        let names = ["window_start", "window_index", "lossy"];
        let columns: Vec<usize> =
            names.iter().filter_map(|name| parquet.schema().index_of(name).ok()).collect();
        let groups = (0..parquet.footer().num_row_groups()).collect();
        let rows = self.selection.block_rows.max(1);
        let mut batches = parquet.read(TableKind::Window, columns, groups, rows)?;
        let mut windows = HashMap::new();
        while let Some(batch) = batches.next()? {
            let decode = Decode { path: &path, batch: &batch };
            let starts = decode.unsigned("window_start")?;
            windows.extend(starts.iter().copied().zip(decode.windows()?));
        }
        Ok(Some(windows))
    }

    /// The wanted rows of a batch; none where none is.
    fn select(&mut self, batch: RecordBatch) -> Result<Option<Block>, DatasetError> {
        let Some(current) = &self.current else { return Ok(None) };
        let path = current.batches.path();
        let wanted = self.selection.mask(
            Decode { path, batch: &batch },
            self.table,
            current.windows.as_ref(),
            &mut self.read_counts,
        )?;
        let batch = match wanted {
            Some(mask) if mask.true_count() < batch.num_rows() => {
                guarded(path, || filter_record_batch(&batch, &mask))?
            }
            _ => batch,
        };
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        let decode = Decode { path, batch: &batch };
        let address = match self.table {
            TableKind::Flow | TableKind::Peer => Some("remote_address"),
            TableKind::Host => Some("local_address"),
            TableKind::Service | TableKind::Net | TableKind::Window => None,
        };
        let is_window = self.table == TableKind::Window;
        let has_rows = !is_window && self.selection.columns != Columns::Identity;
        let has_horizons = self.table.has_horizons();
        let has_facts =
            self.table == TableKind::Peer && self.selection.columns != Columns::Features;
        Ok(Some(Block {
            table: self.table,
            time_ns: decode.time_ns()?.to_vec(),
            window_start_ns: decode.unsigned("window_start")?.to_vec(),
            window_end_ns: decode.unsigned("window_end")?.to_vec(),
            remote: address.map_or(Ok(Vec::new()), |name| decode.addresses(name))?,
            services: if self.table == TableKind::Service {
                decode.services()?
            } else {
                Vec::new()
            },
            rows: if has_rows { decode.rows(&self.features)? } else { Vec::new() },
            facts: if has_facts { decode.facts()? } else { Vec::new() },
            horizon: if has_horizons { decode.horizons()? } else { Vec::new() },
            covers: if has_horizons { decode.covers()? } else { Vec::new() },
            is_lossy: if has_horizons {
                decode.flags("lossy")?.values().iter().collect()
            } else {
                Vec::new()
            },
            windows: if is_window { decode.windows()? } else { Vec::new() },
            width: self.features.len(),
            labels: decode.labels()?,
            batch,
        }))
    }
}

/// Some rows of batches of one schema, by their places in all of them, in the order asked for.
///
/// # Panics
///
/// If there are not so many rows, or the batches differ in schema.
#[must_use]
pub fn take_rows(batches: &[RecordBatch], rows: &[usize]) -> RecordBatch {
    let ends: Vec<usize> = batches
        .iter()
        .scan(0, |sum, batch| {
            *sum += batch.num_rows();
            Some(*sum)
        })
        .collect();
    let place = |&row: &usize| {
        let batch = ends.partition_point(|end| *end <= row);
        (batch, row - batch.checked_sub(1).map_or(0, |before| ends[before]))
    };
    let places: Vec<(usize, usize)> = rows.iter().map(place).collect();
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    interleave_record_batch(&batches, &places).expect("batches of one schema, and rows of theirs")
}

impl Selection {
    /// Mask of the wanted rows, those that are not counted by cause; none where all are, unseen.
    fn mask(
        &self,
        decode: Decode<'_>,
        table: TableKind,
        windows: Option<&HashMap<u64, StoredWindow>>,
        read_counts: &mut ReadCounts,
    ) -> Result<Option<BooleanArray>, DatasetError> {
        let asks_for_remotes = self.asks_for_remotes() && table.has_remotes();
        let horizon = self.horizon.filter(|_| table.has_horizons());
        let asks_for_losses = self.skip_lossy && table.has_horizons();
        let asks_for_labels = self.labels != crate::LabelFilter::Any;
        if self.from_ns.is_none()
            && self.to_ns.is_none()
            && windows.is_none()
            && horizon.is_none()
            && !asks_for_losses
            && !asks_for_remotes
            && !asks_for_labels
        {
            return Ok(None);
        }
        let times = decode.time_ns()?;
        let starts = decode.unsigned("window_start")?;
        let remotes =
            if asks_for_remotes { decode.addresses("remote_address")? } else { Vec::new() };
        let labels = if asks_for_labels { decode.labels()? } else { None };
        let horizons = if horizon.is_some() { decode.horizons()? } else { Vec::new() };
        let losses = if asks_for_losses { Some(decode.flags("lossy")?) } else { None };
        let admits = |index: usize| {
            let window = windows.and_then(|windows| windows.get(&starts[index]));
            let is_lossy = losses.is_some_and(|losses| losses.value(index))
                || self.skip_lossy && window.is_some_and(|window| window.is_lossy);
            let cause = if !self.admits_time(times[index]) {
                &mut read_counts.outside_time
            } else if horizon.is_some_and(|wanted| horizons[index] != wanted) {
                &mut read_counts.other_horizon
            } else if is_lossy {
                &mut read_counts.lossy
            } else if window.is_some_and(|window| window.index < self.skip_first_windows) {
                &mut read_counts.warm_up
            } else if remotes.get(index).is_some_and(|&remote| !self.admits_remote(remote)) {
                &mut read_counts.unwanted_remote
            } else if asks_for_labels
                && !self
                    .labels
                    .admits(labels.as_ref().map_or(&Label::Unlabelled, |labels| &labels[index]))
            {
                &mut read_counts.unwanted_label
            } else {
                return true;
            };
            *cause += 1;
            false
        };
        Ok(Some((0..times.len()).map(admits).map(Some).collect()))
    }
}

impl Iterator for Blocks {
    type Item = Result<Block, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.current = None;
            self.files.clear();
        }
        next
    }
}
