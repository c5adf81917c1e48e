//! What an earlier weir left pinned, and how it goes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aya::programs::links::{FdLink, PinnedLink};

use super::{
    LAYOUT, failed, folder, gone, interface_of, is_of_this_namespace, layout, list, lock,
    remove_all, root, shared::shared_on, shared_guard, the_only_one,
};
use crate::{dispatcher, error::KernelError};

/// Pins that weir left on a BPF filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftovers {
    /// The pins.
    pub pins: Vec<PathBuf>,
    /// A running weir holds them.
    pub held: bool,
}

impl Leftovers {
    /// Interfaces that the pinned guard drops on, whether or not a weir runs.
    #[must_use]
    pub fn guarded_interfaces(&self) -> Vec<u32> {
        let mut interfaces: Vec<u32> =
            self.links().filter_map(|(ifindex, _)| ifindex.parse().ok()).collect();
        interfaces.extend(self.pins.iter().filter_map(|pin| shared_on(pin)));
        interfaces.sort_unstable();
        interfaces.dedup();
        interfaces
    }

    /// The pinned links: interface index as written, and path.
    fn links(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.pins.iter().filter_map(|pin| Some((interface_of(pin)?, pin.as_path())))
    }

    /// The pinned programs, and those in the pinned links.
    pub(crate) fn programs(&self) -> impl Iterator<Item = u32> {
        let linked = self.links().filter_map(|(_, pin)| {
            let link = FdLink::from(PinnedLink::from_pin(pin).ok()?);
            link.info().ok().map(|info| info.program_id())
        });
        linked.chain(self.pins.iter().filter_map(|pin| Some(shared_guard(pin)?.1)))
    }
}

/// Lists the pins of all layouts and network namespaces.
pub fn leftovers(bpffs: &Path) -> Result<Leftovers, KernelError> {
    left_in(&layout::Layouts::find(bpffs)?.all(bpffs)?)
}

/// Lists the pins of all layouts that are of the calling thread's network namespace.
pub fn leftovers_here(bpffs: &Path) -> Result<Leftovers, KernelError> {
    left_in(&here(bpffs)?)
}

fn left_in(folders: &[PathBuf]) -> Result<Leftovers, KernelError> {
    let mut left = Leftovers { pins: Vec::new(), held: false };
    for folder in folders {
        left.pins.extend(list(folder)?);
        left.held |= folder::is_held(folder)?;
    }
    Ok(left)
}

/// This network namespace's folders, of all layouts.
fn here(bpffs: &Path) -> Result<Vec<PathBuf>, KernelError> {
    let own = root(bpffs)?;
    let layout::Layouts { older, newer } = layout::Layouts::find(bpffs)?;
    let mut folders: Vec<PathBuf> = own.is_dir().then_some(own).into_iter().chain(newer).collect();
    for layout in older {
        if is_of_this_namespace(&layout)? {
            folders.push(layout);
        }
    }
    Ok(folders)
}

/// Counts the network namespaces that are gone and whose pins stay until the next start; none where
/// that cannot be told.
pub fn gone_namespaces(bpffs: &Path) -> Result<usize, KernelError> {
    gone::gone(bpffs).map(|folders| folders.len())
}

/// Removes the pins of the calling thread's network namespace, or the only ones there are, of all
/// layouts: the guard goes off its interfaces, and its blocks with it. Returns what was removed.
///
/// # Errors
/// [`KernelError::PinsHeld`] while a weir runs on them, [`KernelError::PinsOfOthers`] where several
/// other namespaces have some.
pub fn unpin(bpffs: &Path) -> Result<Leftovers, KernelError> {
    let mut folders = here(bpffs)?;
    if folders.is_empty() {
        folders.extend(the_only_one(bpffs)?);
    }
    Ok(Leftovers { pins: unpin_folders(bpffs, &folders)?, held: false })
}

/// Removes every pin, of all layouts and network namespaces: the guard goes off all interfaces, and
/// all blocks with it. Returns what was removed.
///
/// # Errors
/// [`KernelError::PinsHeld`] while a weir runs on them.
pub fn unpin_all(bpffs: &Path) -> Result<Vec<PathBuf>, KernelError> {
    unpin_folders(bpffs, &layout::Layouts::find(bpffs)?.all(bpffs)?)
}

fn unpin_folders(bpffs: &Path, folders: &[PathBuf]) -> Result<Vec<PathBuf>, KernelError> {
    let _locks = folders.iter().map(|folder| lock(folder)).collect::<Result<Vec<_>, _>>()?;
    let mut removed = Vec::new();
    for folder in folders {
        for (ifindex, program) in list(folder)?.iter().filter_map(|pin| shared_guard(pin)) {
            dispatcher::evict(bpffs, ifindex, program);
        }
        removed.extend(remove_all(folder)?);
        fs::remove_dir(folder).map_err(failed("remove", folder))?;
    }
    remove_folders(bpffs);
    Ok(removed)
}

/// Every pin, of all layouts and network namespaces, whoever holds them.
pub(crate) fn every_pin(bpffs: &Path) -> Result<Vec<PathBuf>, KernelError> {
    let folders = layout::Layouts::find(bpffs)?.all(bpffs)?;
    folders.iter().map(|folder| list(folder)).collect::<Result<Vec<_>, _>>().map(|all| all.concat())
}

/// Removes the folders that are empty.
pub(crate) fn remove_folders(bpffs: &Path) {
    // Those of this layout, the layouts, then their parent; one that holds something stays.
    for folder in
        layout::Layouts::find(bpffs).and_then(|found| found.all(bpffs)).unwrap_or_default()
    {
        let _ = fs::remove_dir(folder);
    }
    let _ = fs::remove_dir(bpffs.join("weir").join(LAYOUT));
    let _ = fs::remove_dir(bpffs.join("weir"));
}

/// Removes the pins that were not there before: what a start that failed half-way made.
///
/// # Errors
/// [`KernelError::PinsHeld`] while a weir runs on them.
pub fn unpin_since(bpffs: &Path, before: &Leftovers) -> Result<(), KernelError> {
    let root = root(bpffs)?;
    if !root.is_dir() {
        return Ok(());
    }
    let _lock = lock(&root)?;
    if before.pins.iter().any(|pin| !pin.exists()) {
        // An older layout has been taken over already: what is pinned now was in force before.
        return Ok(());
    }
    for pin in list(&root)?.iter().filter(|pin| !before.pins.contains(pin)) {
        if let Some((ifindex, program)) = shared_guard(pin) {
            dispatcher::evict(bpffs, ifindex, program);
        }
        fs::remove_file(pin).map_err(failed("remove", pin))?;
    }
    if list(&root)?.is_empty() {
        fs::remove_dir(&root).map_err(failed("remove", &root))?;
        remove_folders(bpffs);
    }
    Ok(())
}
