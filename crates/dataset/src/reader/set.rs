//! The files of a data set.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::blocks::Blocks;
use super::facts::facts;
use super::selection::Selection;
use super::walk::walk;
use crate::{DatasetError, Sums, TableKind, layout};

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
    /// hidden files, among them those that are still being written, are left out. Fails where a
    /// file is damaged or foreign, and where there is none at all.
    pub fn open(paths: &[impl AsRef<Path>]) -> Result<Self, DatasetError> {
        let mut found = BTreeSet::new();
        for path in paths {
            let path = path.as_ref();
            let path = path.canonicalize().map_err(DatasetError::io("read", path))?;
            if path.is_dir() {
                walk(&path, &mut |file| {
                    if layout::is_table(file) {
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
        if dataset.files.is_empty() { Err(dataset.nothing("Parquet file")) } else { Ok(dataset) }
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
