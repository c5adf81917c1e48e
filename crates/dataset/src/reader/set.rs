//! The files of a data set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use features::HomeNets;

use super::blocks::Blocks;
use super::facts::facts;
use super::selection::{Columns, Selection};
use super::walk::walk;
use crate::{DatasetError, Provenance, Sums, TableKind, layout};

/// A file, as its footer describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Table whose rows it has.
    pub table: TableKind,
    /// Number of rows.
    pub rows: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// The unix time of its first and of its last window's start, in ns; none where it has no
    /// rows or does not tell.
    pub time_ns: Option<(i64, i64)>,
    /// True of a file with the columns of labels.
    pub is_labelled: bool,
    /// Sums over its windows.
    pub sums: Sums,
    /// How its rows came about, as far as it tells.
    pub provenance: Provenance,
}

impl DataFile {
    /// Place of the file of another table that was written together with this one; none where no
    /// folder is called after its table.
    #[must_use]
    pub fn sibling(&self, table: TableKind) -> Option<PathBuf> {
        layout::sibling(&self.path, self.table, table)
    }
}

/// Files and folders of Parquet, opened.
///
/// Holds what the footers say and no rows; [`Self::blocks`] reads the files anew each time.
#[derive(Clone, Debug)]
pub struct Dataset {
    files: Vec<DataFile>,
    paths: Vec<PathBuf>,
}

impl Dataset {
    /// Reads the footers of the files, and of all `*.parquet` files below the folders.
    ///
    /// Labelled and unlabelled files may be mixed. A file that is named twice is taken once;
    /// hidden files, among them those that are still being written, and tables of whole flows are
    /// left out. Fails where a file is damaged or foreign, where rows of one capture are there
    /// twice, windows are of several lengths or home sides contradict each other, and where there is no
    /// file at all.
    pub fn open(paths: &[impl AsRef<Path>]) -> Result<Self, DatasetError> {
        let mut found = BTreeSet::new();
        for path in paths {
            let path = path.as_ref();
            let path = path.canonicalize().map_err(DatasetError::io("read", path))?;
            if path.is_dir() {
                walk(&path, &mut |file| {
                    if layout::is_table(file) && !layout::is_connection(file) {
                        found.insert(file.to_owned());
                    }
                })?;
            } else {
                found.insert(path);
            }
        }
        let mut files =
            found.iter().map(|path| facts(path)).collect::<Result<Vec<DataFile>, _>>()?;
        files.sort_by(|one, other| {
            (one.table, one.time_ns, &one.path).cmp(&(other.table, other.time_ns, &other.path))
        });
        let paths = paths.iter().map(|path| path.as_ref().to_owned()).collect();
        let dataset = Self { files, paths };
        if dataset.files.is_empty() {
            return Err(dataset.nothing("Parquet file"));
        }
        dataset.check_origins()?;
        dataset.window_ns()?;
        dataset.homes()?;
        Ok(dataset)
    }

    /// Length of the windows in ns: as their writer had it configured, else as most of a file's
    /// first rows show; none where there are no rows.
    ///
    /// # Errors
    /// [`DatasetError::WindowLengths`]
    pub fn window_ns(&self) -> Result<Option<u64>, DatasetError> {
        let mut known: Option<(u64, &DataFile)> = None;
        for file in self.files.iter().filter(|file| file.rows > 0) {
            let own = match file.provenance.window_ns {
                Some(length) => Some(length),
                // One table tells for those that were written together with it.
                None if file.table == TableKind::Flow => continue,
                None => usual_length(file)?,
            };
            match (own, known) {
                (Some(own), None) => known = Some((own, file)),
                (Some(own), Some((length, other))) if !are_alike(own, length) => {
                    return Err(DatasetError::WindowLengths {
                        lengths: [length, own],
                        paths: [other.path.clone(), file.path.clone()],
                    });
                }
                _ => {}
            }
        }
        Ok(known.map(|(length, _)| length))
    }

    /// The home sides of the captures that the rows are of; a live node's rows have none.
    ///
    /// # Errors
    /// [`DatasetError::HomeSides`]
    pub fn homes(&self) -> Result<Vec<HomeNets>, DatasetError> {
        let mut known: BTreeMap<HomeNets, &DataFile> = BTreeMap::new();
        for file in &self.files {
            let told = file.provenance.home.as_deref().and_then(|home| home.parse().ok());
            let Some(home) = told.filter(|home| !known.contains_key(home)) else { continue };
            for (other, of) in &known {
                if let Some((one, two)) = other.contradiction(&home) {
                    let paths = [of.path.clone(), file.path.clone()];
                    return Err(DatasetError::HomeSides { homes: [one, two], paths });
                }
            }
            known.insert(home, file);
        }
        Ok(known.into_keys().collect())
    }

    /// Refuses rows of a capture that are there twice.
    fn check_origins(&self) -> Result<(), DatasetError> {
        let mut seen: BTreeMap<(TableKind, [u8; 32]), Vec<&DataFile>> = BTreeMap::new();
        for file in &self.files {
            for origin in &file.provenance.origins {
                let others = seen.entry((file.table, origin.digest)).or_default();
                // Files of one table are in the order of time, so that the last is the nearest.
                let overlaps = |other: &&DataFile| match (other.time_ns, file.time_ns) {
                    (Some((_, last)), Some((first, _))) => first <= last,
                    _ => false,
                };
                if let Some(other) = others.last().copied().filter(overlaps) {
                    return Err(DatasetError::Doubled {
                        capture: origin.name.clone(),
                        paths: [other.path.clone(), file.path.clone()],
                    });
                }
                others.push(file);
            }
        }
        Ok(())
    }

    /// A table's files, in the order of their first windows.
    pub fn files(&self, table: TableKind) -> impl Iterator<Item = &DataFile> {
        self.files.iter().filter(move |file| file.table == table)
    }

    /// A table's rows, labelled or not.
    #[must_use]
    pub fn rows(&self, table: TableKind) -> u64 {
        self.files(table).map(|file| file.rows).sum()
    }

    /// Makes sure that a table is there.
    pub fn require(&self, table: TableKind) -> Result<(), DatasetError> {
        if self.files(table).next().is_some() {
            return Ok(());
        }
        Err(self.nothing(match table {
            TableKind::Flow => "flow table",
            TableKind::Peer => "peer table",
            TableKind::Host => "host table",
            TableKind::Service => "service table",
            TableKind::Net => "net table",
            TableKind::Window => "window table",
        }))
    }

    /// True where any file of a table has labels.
    #[must_use]
    pub fn is_labelled(&self, table: TableKind) -> bool {
        self.files(table).any(|file| file.is_labelled)
    }

    /// The unix time of the first and of the last window's start, in ns.
    #[must_use]
    pub fn time_ns(&self) -> Option<(i64, i64)> {
        let times = self.files.iter().filter_map(|file| file.time_ns);
        times.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)))
    }

    /// Sums over the windows, from the window table's footers.
    #[must_use]
    pub fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        self.files(TableKind::Window).for_each(|file| sums.merge(&file.sums));
        sums
    }

    /// A table's rows that are wanted, in blocks, file by file in the order of [`Self::files`].
    ///
    /// Files and row groups that lie outside of the wanted times are not read. Memory: one row
    /// group's pages and one block. Empty where there is no such table; see [`Self::require`].
    #[must_use]
    pub fn blocks(&self, table: TableKind, selection: &Selection) -> Blocks {
        Blocks::new(table, self.files(table).cloned().collect(), selection.clone())
    }

    fn nothing(&self, what: &'static str) -> DatasetError {
        DatasetError::Empty { what, paths: self.paths.clone() }
    }
}

/// Rows that are looked at for the usual length of a file's windows.
const LENGTH_ROWS: usize = 4_096;

/// The middle of the lengths of a file's first windows.
fn usual_length(file: &DataFile) -> Result<Option<u64>, DatasetError> {
    let selection =
        Selection { columns: Columns::Identity, block_rows: LENGTH_ROWS, ..Selection::default() };
    let mut blocks = Blocks::new(file.table, [file.clone()].into(), selection);
    let Some(block) = blocks.next().transpose()? else { return Ok(None) };
    let bounds = block.window_start_ns.iter().zip(&block.window_end_ns);
    let mut lengths: Vec<u64> = bounds.map(|(start, end)| end.saturating_sub(*start)).collect();
    lengths.sort_unstable();
    Ok(lengths.get(lengths.len() / 2).copied())
}

/// True of lengths that differ as live windows do, which end when the drain comes to it.
pub(crate) const fn are_alike(one: u64, other: u64) -> bool {
    let (short, long) = if one < other { (one, other) } else { (other, one) };
    long - short <= long / 5
}
