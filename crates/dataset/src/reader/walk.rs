//! Listing the files of a folder.

use std::fs;
use std::io;
use std::path::Path;

use crate::DatasetError;

/// Folders within folders that are looked into; a data set has three.
const DEPTH: u32 = 16;

/// Calls for each file below a folder, in the order of their paths. A folder that is not there
/// has none; symbolic links to folders are not followed.
pub(crate) fn walk(folder: &Path, take: &mut impl FnMut(&Path)) -> Result<(), DatasetError> {
    walk_to(folder, DEPTH, take)
}

fn walk_to(folder: &Path, depth: u32, take: &mut impl FnMut(&Path)) -> Result<(), DatasetError> {
    let failed = |error| DatasetError::io("list", folder)(error);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_type().map_err(failed)?.is_dir() {
            if depth > 0 {
                walk_to(&path, depth - 1, take)?;
            }
        } else {
            take(&path);
        }
    }
    Ok(())
}
