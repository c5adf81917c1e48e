//! A sweep over the files that killed writers left: finished where whole, removed where not.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::file::sync_folder_of;
use crate::{DatasetError, TableKind, layout, reader};

/// Outcome of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Files that were whole and lacked only their name; under the name they now have.
    pub finished: Vec<PathBuf>,
    /// Unfinished files that were removed.
    pub removed: Vec<PathBuf>,
}

/// Sweeps a data set's folder; what a living writer has locked is left alone.
pub(super) fn sweep(root: &Path) -> Result<Sweep, DatasetError> {
    let mut dead = Vec::new();
    for table in TableKind::ALL {
        let folder = root.join(table.name());
        reader::walk(&folder, &mut |path| {
            let finished = layout::to_be(path);
            if let (Some(finished), Some(lock)) = (finished, lock(path)) {
                dead.push(Dead { table, unfinished: path.to_owned(), finished, _lock: lock });
            }
        })?;
    }
    let mut done = Sweep::default();
    reader::walk(&root.join(layout::CONNECTION), &mut |path| {
        // It is ended with the whole run, and would come again with it.
        if layout::to_be(path).is_some() && lock(path).is_some() && fs::remove_file(path).is_ok() {
            done.removed.push(path.to_owned());
        }
    })?;
    let whole: Vec<bool> = dead.iter().map(|file| file.is_whole(&dead)).collect();
    for (file, is_whole) in dead.iter().zip(whole) {
        if is_whole {
            fs::rename(&file.unfinished, &file.finished)
                .map_err(DatasetError::io("rename", &file.unfinished))?;
            sync_folder_of(&file.finished)?;
            done.finished.push(file.finished.clone());
        } else {
            match fs::remove_file(&file.unfinished) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(DatasetError::io("remove", &file.unfinished)(error));
                }
                _ => done.removed.push(file.unfinished.clone()),
            }
        }
    }
    Ok(done)
}

/// An unfinished file whose writer is gone.
struct Dead {
    table: TableKind,
    unfinished: PathBuf,
    finished: PathBuf,
    _lock: File,
}

impl Dead {
    /// True of a file that has all its rows, as its siblings have: the window table's file is ended
    /// last.
    fn is_whole(&self, all: &[Self]) -> bool {
        let window = layout::sibling(&self.finished, self.table, TableKind::Window);
        let is_sealed = window.is_some_and(|window| {
            window.exists() || all.iter().any(|other| other.finished == window && other.has_rows())
        });
        is_sealed && self.has_rows() && !self.finished.exists()
    }

    fn has_rows(&self) -> bool {
        reader::facts(&self.unfinished).is_ok_and(|facts| facts.rows > 0)
    }
}

/// The lock of a file whose writer is gone; none where it lives, or the file is gone, or the file
/// system cannot tell.
fn lock(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    file.try_lock().ok()?;
    Some(file)
}
