//! Registry of labs, of their owners, and of what dead owners left behind.
//!
//! A lab is registered in `/run/weir-lab/<id>.json` before its first namespace is made and
//! until its last one is gone, so a lab whose owner was killed can always be found and removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::net::namespace;
use crate::{LabError, topology};

const FOLDER: &str = "/run/weir-lab";

/// A registered lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The lab's id.
    pub id: String,
    /// The process that built it.
    pub pid: u32,
    /// Start of that process, in clock ticks since boot: pids are used again.
    pub pid_started: u64,
    /// The names of its namespaces.
    pub namespaces: Vec<String>,
}

impl Registration {
    pub(crate) fn of_this_process(id: &str) -> Result<Self, LabError> {
        let pid = std::process::id();
        let pid_started = start_of(pid).ok_or_else(|| {
            LabError::system("read /proc/self/stat", io::Error::from(io::ErrorKind::NotFound))
        })?;
        Ok(Self { id: id.to_owned(), pid, pid_started, namespaces: Vec::new() })
    }

    /// True while the process that built the lab runs.
    #[must_use]
    pub fn owner_is_alive(&self) -> bool {
        start_of(self.pid) == Some(self.pid_started)
    }

    /// Claims the id: fails where another lab has it.
    pub(crate) fn claim(&self) -> Result<(), LabError> {
        fs::create_dir_all(FOLDER)
            .map_err(|error| LabError::system(format!("create {FOLDER}"), error))?;
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        // Written aside and linked into place, so that no one ever reads half a registration.
        let draft = Path::new(FOLDER).join(format!(".{}-{}", self.id, self.pid));
        let place = path_of(&self.id);
        let linked = write_all(&draft, &text).and_then(|()| fs::hard_link(&draft, &place));
        let _ = fs::remove_file(&draft);
        linked.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => LabError::IdTaken { id: self.id.clone() },
            _ => LabError::system(format!("write {}", place.display()), error),
        })
    }

    /// Removes the lab's namespaces, then its registration. All namespaces are tried; the first
    /// failure is reported and keeps the registration, so that removal can be tried again.
    pub(crate) fn remove(&self) -> Result<(), LabError> {
        let results: Vec<_> = self.namespaces.iter().map(|name| namespace::remove(name)).collect();
        results.into_iter().collect::<Result<(), _>>()?;
        let path = path_of(&self.id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(LabError::system(format!("remove {}", path.display()), error))
            }
            _ => Ok(()),
        }
    }
}

/// All registered labs, by id. Files that are no registration are passed over.
pub(crate) fn all() -> Vec<Registration> {
    let Ok(entries) = fs::read_dir(FOLDER) else { return Vec::new() };
    let mut found: Vec<Registration> =
        entries.filter_map(|entry| read(&entry.ok()?.path())).collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found
}

/// The registration of an id.
pub(crate) fn find(id: &str) -> Result<Registration, LabError> {
    let unknown = || LabError::UnknownLab { id: id.to_owned() };
    if !topology::is_id(id) {
        return Err(unknown());
    }
    read(&path_of(id)).ok_or_else(unknown)
}

/// Reads a registration, and believes it only as far as it names a lab's own namespaces: what
/// is removed later must never be anyone else's.
fn read(path: &Path) -> Option<Registration> {
    let registration: Registration = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let prefix = format!("weir-{}-", registration.id);
    let sound = topology::is_id(&registration.id)
        && path == path_of(&registration.id)
        && registration
            .namespaces
            .iter()
            .all(|name| name.starts_with(&prefix) && !name.contains('/'));
    sound.then_some(registration)
}

fn path_of(id: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{id}.json"))
}

fn write_all(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all(text)
}

/// The start time of a process, field 22 of `/proc/<pid>/stat`; none if it does not run.
fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command in brackets and may hold anything, brackets included.
    let mut fields = stat.get(stat.rfind(')')? + 2..)?.split_ascii_whitespace();
    // A zombie holds its pid but owns nothing any more.
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_a_pid_used_again_is_not_the_same_owner() {
        let mut own = Registration::of_this_process("t").unwrap();
        assert!(own.owner_is_alive());
        own.pid_started += 1;
        assert!(!own.owner_is_alive());
    }

    #[test]
    fn an_id_with_a_path_in_it_finds_nothing() {
        assert!(matches!(find("../../etc"), Err(LabError::UnknownLab { .. })));
    }
}
