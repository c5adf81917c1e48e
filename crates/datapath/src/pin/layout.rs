//! The layouts of pins that lie next to each other: this weir's, older and newer ones.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::failed;
use crate::KernelError;

/// The number of this weir's layout. A change that an older weir could misread takes the next.
///
/// 2: limits of services, known peers; the guard's ledger counts both. 3: a folder for each network
/// namespace; numbers of named lists among the reasons. 4: networks that are one host have a table.
const NUMBER: u32 = 4;

/// The name of its folder.
pub(super) const LAYOUT: &str = "v4";

/// The folders of layouts other than this weir's.
#[derive(Debug, Default)]
pub(super) struct Layouts {
    /// The newest first.
    pub(super) older: Vec<PathBuf>,
    /// The newest first.
    pub(super) newer: Vec<PathBuf>,
}

impl Layouts {
    /// Looks below a BPF filesystem; finds nothing where weir has no folder there.
    pub(super) fn find(bpffs: &Path) -> Result<Self, KernelError> {
        let parent = bpffs.join("weir");
        let entries = match fs::read_dir(&parent) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(failed("list", &parent)(source)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed("list", &parent))?.path();
            if let Some(number) = number(&path).filter(|_| path.is_dir()) {
                found.push((number, path));
            }
        }
        found.sort_by_key(|&(number, _)| std::cmp::Reverse(number));
        let mut layouts = Self::default();
        for (number, path) in found {
            match number.cmp(&NUMBER) {
                std::cmp::Ordering::Less => layouts.older.push(path),
                std::cmp::Ordering::Greater => layouts.newer.push(path),
                std::cmp::Ordering::Equal => {}
            }
        }
        Ok(layouts)
    }

    /// The folders of all layouts, those of this weir's first.
    pub(super) fn all(self, bpffs: &Path) -> Result<Vec<PathBuf>, KernelError> {
        Ok(namespaces(bpffs)?.into_iter().chain(self.newer).chain(self.older).collect())
    }
}

/// This layout's folders, one for each network namespace.
pub(super) fn namespaces(bpffs: &Path) -> Result<Vec<PathBuf>, KernelError> {
    let layout = bpffs.join("weir").join(LAYOUT);
    let entries = match fs::read_dir(&layout) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed("list", &layout)(source)),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed("list", &layout))?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

/// The number in the name of a layout's folder.
fn number(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.strip_prefix('v')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_named_by_the_number() {
        assert_eq!(number(Path::new(LAYOUT)), Some(NUMBER));
    }

    #[test]
    fn layouts_are_told_apart_by_number_and_not_by_spelling() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["v1", "v2", "v4/7", "v4/42", "v10", "v0", "vx", "other"] {
            fs::create_dir_all(folder.path().join("weir").join(name)).expect("a folder");
        }
        let names = |paths: &[PathBuf]| -> Vec<String> {
            let name = |path: &PathBuf| path.file_name()?.to_str().map(str::to_owned);
            paths.iter().filter_map(name).collect()
        };
        let found = Layouts::find(folder.path()).expect("a list");
        assert_eq!(
            (names(&found.older), names(&found.newer)),
            (["v2", "v1", "v0"].map(str::to_owned).to_vec(), vec!["v10".to_owned()])
        );
        let all = found.all(folder.path()).expect("a list");
        assert_eq!(names(&all), ["42", "7", "v10", "v2", "v1", "v0"]);
    }
}
