//! Programs of weir that are loaded without a holder: no process, no pin.
//!
//! A clsact filter of a killed weir is one, on kernels without TCX.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::Path,
};

use aya::{maps::loaded_maps, programs::loaded_programs};

use super::{error::KernelError, object::PROGRAMS, pin::leftovers};

/// Maps by which weir's programs are told from others of the same name.
const OWN_MAPS: [&str; 2] = ["BLOCK_V4", "FLOWS"];

/// A program of weir without a holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The kernel's number of it, as `bpftool prog` shows it.
    pub id: u32,
    /// Its name.
    pub name: String,
}

/// Looks through all loaded programs, whatever network namespace they are attached in.
///
/// Needs to read the descriptors of all processes (root); one that cannot be read could make a
/// held program look like an orphan.
///
/// # Errors
/// The programs cannot be listed: `CAP_SYS_ADMIN` is missing.
pub fn orphans(bpffs: &Path) -> Result<Vec<Orphan>, KernelError> {
    let mut own = own_programs()?;
    if own.is_empty() {
        return Ok(Vec::new());
    }
    for program in holders().into_keys().chain(leftovers(bpffs)?.programs()) {
        own.remove(&program);
    }
    Ok(own.into_iter().map(|(id, name)| Orphan { id, name }).collect())
}

/// weir's loaded programs, by the kernel's number, with their names.
pub(super) fn own_programs() -> Result<BTreeMap<u32, String>, KernelError> {
    let failed = |error: &dyn std::error::Error| KernelError::System {
        action: "list the loaded programs",
        source: std::io::Error::other(error.to_string()),
    };
    let own_maps: HashSet<u32> = loaded_maps()
        .filter_map(Result::ok)
        .filter(|map| map.name_as_str().is_some_and(|name| OWN_MAPS.contains(&name)))
        .map(|map| map.id())
        .collect();
    let mut found = BTreeMap::new();
    for program in loaded_programs() {
        let program = program.map_err(|error| failed(&error))?;
        let Some(name) = program.name_as_str().filter(|name| PROGRAMS.contains(name)) else {
            continue;
        };
        let maps = program.map_ids().map_err(|error| failed(&error))?.unwrap_or_default();
        if maps.iter().any(|map| own_maps.contains(map)) {
            found.insert(program.id(), name.to_owned());
        }
    }
    Ok(found)
}

/// The programs that some process has a descriptor of, or of a link with them, and one such
/// process each.
pub(super) fn holders() -> HashMap<u32, u32> {
    let folders = |path: &Path| {
        fs::read_dir(path).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path())
    };
    let process = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    folders(Path::new("/proc"))
        .filter_map(|path| Some((process(&path)?, path)))
        .flat_map(|(pid, path)| folders(&path.join("fdinfo")).map(move |fd| (pid, fd)))
        // A descriptor closed meanwhile holds nothing.
        .filter_map(|(pid, descriptor)| {
            Some((program_of(&fs::read_to_string(descriptor).ok()?)?, pid))
        })
        .collect()
}

/// The program in the text of `/proc/<pid>/fdinfo/<fd>`.
fn program_of(facts: &str) -> Option<u32> {
    facts.lines().find_map(|line| line.strip_prefix("prog_id:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_keeps_the_whole_name_of_a_program() {
        // BPF_OBJ_NAME_LEN less the final zero.
        assert!(PROGRAMS.iter().all(|name| name.len() <= 15));
    }

    #[test]
    fn the_program_of_a_descriptor_is_the_one_told() {
        let link = "pos:\t0\nlink_type:\txdp\nlink_id:\t7\nprog_tag:\tab\nprog_id:\t42\n";
        assert_eq!(program_of(link), Some(42));
        assert_eq!(program_of("pos:\t0\nflags:\t02\n"), None);
    }
}
