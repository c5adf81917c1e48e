//! Claims on captures: a capture's rows are in a data set once, whoever writes them and however
//! often.
//!
//! Each capture that a data set's rows come from has a file in its folder `.origins`, named by the
//! capture's digest. Its first line names the captures that were replayed as one with it, the
//! others the files of their rows, each written before the file gets its name. Whoever writes
//! holds a lock on it.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::file::sync_folder_of;
use crate::{DatasetError, Origin, reader};

const FOLDER: &str = ".origins";

/// The claims of one writer. Dropped, they are released; what was written stays recorded.
#[derive(Debug, Default)]
pub(super) struct Claims {
    root: PathBuf,
    held: Vec<(PathBuf, File)>,
    /// Files of an earlier run of the same captures.
    before: BTreeSet<PathBuf>,
    header: String,
}

impl Claims {
    /// Claims captures.
    ///
    /// # Errors
    /// Another writer holds one; rows of one are there together with rows of other captures.
    pub(super) fn take(root: &Path, origins: &[Origin]) -> Result<Self, DatasetError> {
        if origins.is_empty() {
            return Ok(Self::default());
        }
        let folder = root.join(FOLDER);
        fs::create_dir_all(&folder).map_err(DatasetError::io("make the folder", &folder))?;
        let mut names: Vec<String> = origins.iter().map(Origin::hex).collect();
        names.sort_unstable();
        names.dedup();
        let header = names.join(" ");
        let mut claims =
            Self { root: root.to_owned(), held: Vec::new(), before: BTreeSet::new(), header };
        for name in &names {
            let origin = origins.iter().find(|origin| origin.hex() == *name);
            let capture = origin.map_or_else(|| name.clone(), |origin| origin.name.clone());
            claims.claim(name, capture)?;
        }
        Ok(claims)
    }

    fn claim(&mut self, name: &str, capture: String) -> Result<(), DatasetError> {
        let path = self.root.join(FOLDER).join(name);
        let failed = |error| DatasetError::io("write", &path)(error);
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DatasetError::Claimed { root: self.root.clone(), capture });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        let mut lines = text.lines();
        let header = lines.next();
        // A name may have been taken by another capture's file since: the footer tells.
        let is_own = |file: &PathBuf| {
            let provenance = reader::provenance(file).unwrap_or_default();
            provenance.origins.iter().any(|origin| origin.hex() == name)
        };
        let rows: Vec<PathBuf> =
            lines.map(|line| self.root.join(line)).filter(|file| is_own(file)).collect();
        if header.is_some_and(|header| header != self.header) && !rows.is_empty() {
            return Err(DatasetError::Together { root: self.root.clone(), capture });
        }
        self.before.extend(rows);
        if header != Some(self.header.as_str()) {
            file.set_len(0).map_err(failed)?;
            writeln!(file, "{}", self.header).map_err(failed)?;
        }
        self.held.push((path, file));
        Ok(())
    }

    /// Records a file that is about to get its name.
    pub(super) fn record(&mut self, file: &Path) -> Result<(), DatasetError> {
        let below = file.strip_prefix(&self.root).unwrap_or(file).to_owned();
        for (path, claim) in &mut self.held {
            writeln!(claim, "{}", below.display())
                .and_then(|()| claim.sync_data())
                .map_err(DatasetError::io("write", path))?;
        }
        self.before.remove(file);
        Ok(())
    }

    /// Removes what an earlier run of the same captures wrote; returns these files.
    pub(super) fn replace(mut self) -> Result<Vec<PathBuf>, DatasetError> {
        let before: Vec<PathBuf> = std::mem::take(&mut self.before).into_iter().collect();
        for file in &before {
            match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(DatasetError::io("remove", file)(error));
                }
                _ => sync_folder_of(file)?,
            }
        }
        Ok(before)
    }
}
