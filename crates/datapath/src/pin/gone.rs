//! Pins of network namespaces that are gone: nobody can take them over.

use std::{
    fs,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use super::{failed, folder::is_held, is_link, layout, list, open, remove_all, shared_guard};
use crate::{dispatcher, error::KernelError, netns, syscall};

/// The folders of network namespaces that are gone, and that no weir holds; none where that cannot be
/// told.
pub(super) fn gone(bpffs: &Path) -> Result<Vec<PathBuf>, KernelError> {
    let own = netns::cookie()?;
    let namespace = |folder: &Path| folder.file_name()?.to_str()?.parse::<u64>().ok();
    let mut folders = layout::namespaces(bpffs)?;
    folders.retain(|folder| namespace(folder) != Some(own) && !is_in_force(folder));
    if folders.is_empty() {
        return Ok(folders);
    }
    let Some(there) = netns::cookies() else { return Ok(Vec::new()) };
    folders.retain(|folder| namespace(folder).is_some_and(|number| !there.contains(&number)));
    folders.retain(|folder| is_held(folder).is_ok_and(|held| !held));
    Ok(folders)
}

/// Removes their pins, and tells of it.
pub(super) fn clear(bpffs: &Path) -> Result<(), KernelError> {
    for folder in gone(bpffs)? {
        for (ifindex, program) in list(&folder)?.iter().filter_map(|pin| shared_guard(pin)) {
            dispatcher::evict(bpffs, ifindex, program);
        }
        let pins = remove_all(&folder)?.len();
        fs::remove_dir(&folder).map_err(failed("remove", &folder))?;
        tracing::info!(folder = %folder.display(), pins, "its network namespace is gone: removed");
    }
    Ok(())
}

/// True where a pinned link is on an interface.
fn is_in_force(folder: &Path) -> bool {
    let pins = list(folder).unwrap_or_default();
    let links = pins.iter().filter(|pin| is_link(pin)).filter_map(|pin| open(pin).ok().flatten());
    links.filter_map(|link| syscall::link_facts(link.as_fd()).ok()).any(|facts| facts.ifindex != 0)
}
