//! Joining a truth to a data set's rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::types::{UInt8Type, UInt16Type};
use arrow_array::{ArrayRef, RecordBatch, StringArray, new_null_array};
use arrow_schema::DataType;
use features::Span;
use parquet::file::metadata::KeyValue;

use crate::reader::{Decode, ParquetFile};
use crate::schema::{ATTACK, LABEL, SOURCE, labelled_schema};
use crate::truth::{Active, FlowEnds};
use crate::writer::TableWriter;
use crate::{
    BENIGN, DataFile, Dataset, DatasetError, Interval, Provenance, Rest, TableKind, Truth,
    WriterOptions, layout,
};

/// Rows that are labelled at once.
const BATCH_ROWS: usize = 65_536;

/// Options of a join with a truth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelOptions {
    /// Offset added to the truth's times to make them the data's, in ns.
    pub offset_ns: i64,
    /// The folder of the labelled files, which must not be there yet; in place of the unlabelled
    /// ones where there is none.
    pub out: Option<PathBuf>,
    /// Options of the written files; they are neither cut nor joined.
    pub writer: WriterOptions,
}

/// Rows of one class in one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassCount {
    /// The table.
    pub table: TableKind,
    /// The class; none for what is unlabelled.
    pub class: Option<String>,
    /// Its rows.
    pub rows: u64,
}

/// Outcome of labelling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labelled {
    /// Files written.
    pub files: u64,
    /// Rows by table and class; what is unlabelled first.
    pub classes: Vec<ClassCount>,
    /// Rows of each of the truth's intervals, in both tables, by its place in the truth.
    pub matched: Vec<u64>,
}

/// Labels every row of a data set's tables of features by a truth; see [`truth`](crate::truth)
/// for which interval a row is of.
///
/// Labels that were there before are replaced. Each file is written anew and takes the old one's
/// place when it is whole, so that a kill leaves some files labelled and all of them whole; a
/// second run labels the rest. With [`LabelOptions::out`], the window table is copied too.
/// Memory: one batch, and the labelled peers of one file: a peer's row of a horizon that began in
/// the file before has of that one the intervals alone that name its remote.
pub fn label(
    dataset: &Dataset,
    truth: &Truth,
    options: &LabelOptions,
) -> Result<Labelled, DatasetError> {
    let mut work = Work {
        truth,
        options,
        counts: BTreeMap::new(),
        matched: vec![0; truth.intervals.len()],
        files: 0,
    };
    for tables in written_together(dataset).into_values() {
        work.label(tables)?;
    }
    let classes = work
        .counts
        .into_iter()
        .map(|((table, class), rows)| ClassCount { table, class: class.map(Into::into), rows })
        .collect();
    Ok(Labelled { files: work.files, classes, matched: work.matched })
}

/// The files of one name, by [`TableKind::index`].
type Tables<'a> = [Option<&'a DataFile>; TableKind::ALL.len()];

/// Files that were written together, by the path of the window table's.
fn written_together(dataset: &Dataset) -> BTreeMap<PathBuf, Tables<'_>> {
    let mut together = BTreeMap::<PathBuf, Tables<'_>>::new();
    for (place, table) in TableKind::ALL.into_iter().enumerate() {
        for file in dataset.files(table) {
            let window = layout::sibling(&file.path, table, TableKind::Window);
            // A file outside of a data set's folders stands alone.
            let key = window.unwrap_or_else(|| file.path.clone());
            together.entry(key).or_default()[place] = Some(file);
        }
    }
    together
}

/// The intervals of a file's peers that only their flows tell, by address and window.
type ByFlow = BTreeMap<(IpAddr, u64), usize>;

/// The attacks that flows or peers of a file were found to be of, by window.
type Hits = BTreeSet<(u64, usize)>;

struct Work<'a> {
    truth: &'a Truth,
    options: &'a LabelOptions,
    counts: BTreeMap<(TableKind, Option<&'a str>), u64>,
    matched: Vec<u64>,
    files: u64,
}

impl Work<'_> {
    fn label(&mut self, tables: Tables<'_>) -> Result<(), DatasetError> {
        let [flow, peer, host, service, net, window] = tables;
        let (truth, offset_ns) = (self.truth, self.options.offset_ns);
        let (mut by_flow, mut hits) = (ByFlow::new(), Hits::new());
        if let Some(file) = flow {
            self.rewrite(file, |decode| {
                let found = flow_intervals(decode, truth, offset_ns, &mut by_flow)?;
                note_hits(decode, truth, &found, &mut hits)?;
                Ok(found)
            })?;
        }
        if let Some(file) = peer {
            self.rewrite(file, |decode| {
                let found = peer_intervals(decode, truth, offset_ns, &by_flow)?;
                note_hits(decode, truth, &found, &mut hits)?;
                Ok(found)
            })?;
        }
        for file in [host, service, net].into_iter().flatten() {
            self.rewrite(file, |decode| site_intervals(decode, truth, &hits))?;
        }
        match window {
            Some(file) if self.options.out.is_some() => self.rewrite(file, |_| Ok(Vec::new())),
            _ => Ok(()),
        }
    }

    /// Writes a file anew, with the label of each row's interval.
    fn rewrite(
        &mut self,
        file: &DataFile,
        mut intervals_of: impl FnMut(Decode<'_>) -> Result<Vec<Option<usize>>, DatasetError>,
    ) -> Result<(), DatasetError> {
        let path = &file.path;
        let schema = labelled_schema(file.table);
        let source = ParquetFile::open(path)?;
        let metadata = metadata_of(&source);
        let mut writer = match &self.options.out {
            None => TableWriter::replace(path, &schema, &self.options.writer, &metadata)?,
            Some(out) => {
                let target = target(out, file)?;
                TableWriter::create_with(&target, &schema, &self.options.writer, &metadata)?
            }
        };
        let columns = 0..source.schema().fields().len();
        let groups = (0..source.footer().num_row_groups()).collect();
        let mut batches = source.read(file.table, columns, groups, BATCH_ROWS)?;
        while let Some(batch) = batches.next()? {
            let decode = Decode { path, batch: &batch };
            let intervals = intervals_of(decode)?;
            let [classes, names] = self.texts(file.table, &intervals);
            let columns = schema.fields().iter().map(|field| match field.name().as_str() {
                LABEL => Ok(Arc::clone(&classes)),
                ATTACK => Ok(Arc::clone(&names)),
                SOURCE => Ok(batch
                    .column_by_name(SOURCE)
                    .cloned()
                    .unwrap_or_else(|| new_null_array(&DataType::Utf8, batch.num_rows()))),
                name => batch
                    .column_by_name(name)
                    .cloned()
                    .ok_or_else(|| decode.corrupt(name, "is missing")),
            });
            let columns = columns.collect::<Result<Vec<ArrayRef>, _>>()?;
            let labelled = RecordBatch::try_new(schema.clone(), columns)
                .map_err(|error| DatasetError::corrupt(path, error.to_string()))?;
            writer.write(&labelled)?;
        }
        writer.close(Vec::new())?.commit()?;
        self.files += 1;
        Ok(())
    }

    /// The columns of labels, counted on the way.
    fn texts(&mut self, table: TableKind, intervals: &[Option<usize>]) -> [ArrayRef; 2] {
        let truth = self.truth;
        let rest = match truth.rest {
            Rest::Benign => Some(BENIGN),
            Rest::Unlabelled => None,
        };
        let class = |interval: Option<usize>| match interval {
            Some(index) => Some(truth.intervals[index].class.as_str()),
            None => rest,
        };
        for &interval in intervals {
            *self.counts.entry((table, class(interval))).or_default() += 1;
            if let Some(index) = interval {
                self.matched[index] += 1;
            }
        }
        let classes: StringArray = intervals.iter().map(|&interval| class(interval)).collect();
        let name = |interval: Option<usize>| {
            let interval = &truth.intervals[interval?];
            interval.name.as_deref().filter(|_| interval.is_attack())
        };
        let names: StringArray = intervals.iter().map(|&interval| name(interval)).collect();
        [Arc::new(classes), Arc::new(names)]
    }
}

fn flow_intervals(
    decode: Decode<'_>,
    truth: &Truth,
    offset_ns: i64,
    by_flow: &mut ByFlow,
) -> Result<Vec<Option<usize>>, DatasetError> {
    let remotes = decode.addresses("remote_address")?;
    let locals = decode.addresses("local_address")?;
    let remote_ports = decode.primitive::<UInt16Type>("remote_port")?.values();
    let local_ports = decode.primitive::<UInt16Type>("local_port")?.values();
    let protocols = decode.primitive::<UInt8Type>("protocol")?.values();
    by_window(decode, truth, offset_ns, |active, start, row| {
        let ends = FlowEnds {
            remote: remotes[row],
            local: locals[row],
            remote_port: remote_ports[row],
            local_port: local_ports[row],
            protocol: protocols[row],
        };
        let found = active.of_flow(&ends)?;
        let interval = &truth.intervals[found];
        if interval.remote.is_empty() && interval.is_attack() {
            let first = by_flow.entry((ends.remote, start)).or_insert(found);
            *first = found.min(*first);
        }
        Some(found)
    })
}

fn peer_intervals(
    decode: Decode<'_>,
    truth: &Truth,
    offset_ns: i64,
    by_flow: &ByFlow,
) -> Result<Vec<Option<usize>>, DatasetError> {
    let remotes = decode.addresses("remote_address")?;
    let covers = decode.covers()?;
    by_window(decode, truth, offset_ns, |active, _, row| {
        let own = active.of_peer(remotes[row]);
        let windows = (remotes[row], covers[row].start_ns)..(remotes[row], covers[row].end_ns);
        let by_flow = by_flow.range(windows).map(|(_, &interval)| interval).min();
        match (own, by_flow) {
            (Some(own), Some(flow)) if truth.intervals[own].is_attack() => Some(own.min(flow)),
            (_, Some(flow)) => Some(flow),
            (own, None) => own,
        }
    })
}

/// Notes the attacks that rows were found to be of; those of horizons, by the window they begin in.
fn note_hits(
    decode: Decode<'_>,
    truth: &Truth,
    found: &[Option<usize>],
    hits: &mut Hits,
) -> Result<(), DatasetError> {
    let has_horizons = decode.batch.column_by_name("covers_start").is_some();
    let starts = decode.unsigned(if has_horizons { "covers_start" } else { "window_start" })?;
    let rows = starts.iter().zip(found).filter_map(|(&start, found)| Some((start, (*found)?)));
    hits.extend(rows.filter(|(_, found)| truth.intervals[*found].is_attack()));
    Ok(())
}

/// A part of the host's side is of the first attack that flows or peers of the time are of and
/// that is on it: on an address, on a service, or on any.
fn site_intervals(
    decode: Decode<'_>,
    truth: &Truth,
    hits: &Hits,
) -> Result<Vec<Option<usize>>, DatasetError> {
    let is_there = |name: &str| decode.batch.column_by_name(name).is_some();
    let hosts =
        if is_there("local_address") { Some(decode.addresses("local_address")?) } else { None };
    let services = if is_there("local_port") {
        let ports = decode.primitive::<UInt16Type>("local_port")?.values();
        Some((decode.primitive::<UInt8Type>("protocol")?.values(), ports))
    } else {
        None
    };
    let is_of = |row: usize, interval: &Interval| {
        let on_host = hosts.as_ref().is_none_or(|hosts| {
            interval.local.is_empty() || interval.local.iter().any(|net| net.contains(&hosts[row]))
        });
        let on_service = services.is_none_or(|(protocols, ports)| {
            interval.local_ports.contains(&ports[row])
                && interval.protocol.is_none_or(|one| one == protocols[row])
        });
        on_host && on_service
    };
    let first = |(row, span): (usize, &Span)| {
        let found = hits.range((span.start_ns, 0)..(span.end_ns, 0)).map(|&(_, found)| found);
        found.filter(|&found| is_of(row, &truth.intervals[found])).min()
    };
    Ok(decode.covers()?.iter().enumerate().map(first).collect())
}

/// Finds each row's interval among those that the time that it covers overlaps. Rows of one time
/// are neighbours.
fn by_window(
    decode: Decode<'_>,
    truth: &Truth,
    offset_ns: i64,
    mut find: impl FnMut(&Active<'_>, u64, usize) -> Option<usize>,
) -> Result<Vec<Option<usize>>, DatasetError> {
    let times = decode.time_ns()?;
    let starts = decode.unsigned("window_start")?;
    let has_horizons = decode.batch.column_by_name("covers_start").is_some();
    let names =
        if has_horizons { ["covers_start", "covers_end"] } else { ["window_start", "window_end"] };
    let [covers, ends] = [decode.unsigned(names[0])?, decode.unsigned(names[1])?];
    let mut active: Option<((i64, u64), Active<'_>)> = None;
    let mut intervals = Vec::with_capacity(times.len());
    for row in 0..times.len() {
        let length = ends[row].saturating_sub(covers[row]);
        let before = i128::from(covers[row]) - i128::from(starts[row]);
        let time = i64::try_from(i128::from(times[row]) + before).unwrap_or(times[row]);
        if active.as_ref().is_none_or(|(window, _)| *window != (time, length)) {
            let end = time.saturating_add_unsigned(length);
            active = Some(((time, length), Active::of(truth, time, end, offset_ns)));
        }
        let (_, active) = active.as_ref().expect("set above");
        intervals.push(find(active, starts[row], row));
    }
    Ok(intervals)
}

/// Place of a file's labelled copy.
fn target(out: &Path, file: &DataFile) -> Result<PathBuf, DatasetError> {
    let (first_ns, _) = file
        .time_ns
        .ok_or_else(|| DatasetError::corrupt(&file.path, "its footer does not tell its times"))?;
    let folder = layout::folder(out, file.table, first_ns);
    fs::create_dir_all(&folder).map_err(DatasetError::io("make the folder", &folder))?;
    Ok(folder.join(file.path.file_name().unwrap_or_default()))
}

/// A file's own metadata, without what a writer says by itself.
fn metadata_of(file: &ParquetFile) -> Vec<KeyValue> {
    let own = |pair: &&KeyValue| {
        ["weir.file.", "weir.window.", "weir.ledger."]
            .iter()
            .any(|prefix| pair.key.starts_with(prefix))
            || Provenance::is_own(&pair.key)
    };
    let pairs = file.footer().file_metadata().key_value_metadata();
    pairs.into_iter().flatten().filter(own).cloned().collect()
}
