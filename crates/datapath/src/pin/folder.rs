//! weir's folders on a BPF filesystem: made, checked, locked.

use std::{
    fs, io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::error::KernelError;

/// Mode of weir's folders: nobody else may as much as lock them.
const MODE: u32 = 0o700;
/// Bits that let others write.
const OTHERS_WRITE: u32 = 0o022;
/// Only its owner removes a file from a folder with this bit.
const STICKY: u32 = 0o1000;
/// Longest wait for another change of blocks by hand; a million entries take a few seconds.
const TURN_WITHIN: Duration = Duration::from_secs(20);
/// Longest wait for a process that only looks whether a folder is held.
const LOOKED_AT: Duration = Duration::from_millis(300);
/// Interval at which it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Refuses a file system in which others may replace weir's folder.
pub(super) fn check_mount(bpffs: &Path) -> Result<(), KernelError> {
    let facts = fs::metadata(bpffs).map_err(failed("look at", bpffs))?;
    let closed = facts.mode() & OTHERS_WRITE == 0 || facts.mode() & STICKY != 0;
    if closed { Ok(()) } else { Err(open_to_others(bpffs, &facts)) }
}

/// Makes a folder that is this user's alone, or sees to it that one which is there is.
pub(crate) fn make(path: &Path) -> Result<(), KernelError> {
    match fs::DirBuilder::new().mode(MODE).create(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(failed("make the folder", path)(source)),
    }
    let facts = fs::symlink_metadata(path).map_err(failed("look at", path))?;
    if !facts.is_dir()
        || facts.uid() != nix::unistd::geteuid().as_raw()
        || facts.mode() & OTHERS_WRITE != 0
    {
        return Err(open_to_others(path, &facts));
    }
    if facts.mode() & 0o777 != MODE {
        // An earlier weir left it for others to read, and to lock.
        fs::set_permissions(path, fs::Permissions::from_mode(MODE))
            .map_err(failed("close to others", path))?;
    }
    Ok(())
}

fn open_to_others(path: &Path, facts: &fs::Metadata) -> KernelError {
    KernelError::PinsOpen { path: path.to_owned(), owner: facts.uid(), mode: facts.mode() & 0o7777 }
}

/// Waits for other changes of blocks by hand to end, and excludes them until the result is dropped.
///
/// # Errors
/// [`KernelError::TurnHeld`], with the process that does not end.
pub(super) fn turn(parent: &Path) -> Result<OwnedFd, KernelError> {
    wait_for(parent, |path, holder, seconds| KernelError::TurnHeld { path, holder, seconds })
}

/// Waits for the lock of a folder, for a while; `held` makes the error, of the folder, of who has
/// it, and of the seconds waited.
pub(crate) fn wait_for(
    path: &Path,
    held: impl FnOnce(PathBuf, String, u64) -> KernelError,
) -> Result<OwnedFd, KernelError> {
    wait_at_most(TURN_WITHIN, path, held)
}

fn wait_at_most(
    within: Duration,
    path: &Path,
    held: impl FnOnce(PathBuf, String, u64) -> KernelError,
) -> Result<OwnedFd, KernelError> {
    let until = Instant::now() + within;
    let folder = fs::File::open(path).map_err(failed("open", path))?;
    loop {
        if try_lock(&folder).map_err(failed("lock", path))? {
            return Ok(folder.into());
        }
        if Instant::now() >= until {
            return Err(held(path.to_owned(), holder(&folder), within.as_secs()));
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Takes the folder for this process; the kernel lets go of it however the process ends.
pub(super) fn lock(root: &Path) -> Result<OwnedFd, KernelError> {
    wait_at_most(LOOKED_AT, root, |path, holder, _| KernelError::PinsHeld { path, holder })
}

/// True where a process has the folder.
pub(super) fn is_held(root: &Path) -> Result<bool, KernelError> {
    let folder = fs::File::open(root).map_err(failed("open", root))?;
    try_lock(&folder).map(|free| !free).map_err(failed("lock", root))
}

fn try_lock(folder: &fs::File) -> io::Result<bool> {
    // SAFETY: a descriptor of ours.
    if unsafe { libc::flock(folder.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::EWOULDBLOCK) => Ok(false),
        error => Err(error),
    }
}

/// The process that has a lock on a folder, as `/proc/locks` tells.
fn holder(folder: &fs::File) -> String {
    let unknown = || "a process".to_owned();
    let Ok(inode) = folder.metadata().map(|facts| facts.ino()) else { return unknown() };
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let Some(pid) = holder_in(&locks, inode) else { return unknown() };
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("process {pid} ({})", name.trim_end()),
        Err(_) => format!("process {pid}"),
    }
}

/// The process in the line of a lock on this inode: `1: FLOCK  ADVISORY  WRITE 4242 00:2d:77 0 EOF`.
fn holder_in(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let of = words.get(5)?.rsplit(':').next()?.parse::<u64>().ok()?;
        (of == inode && words.get(1) == Some(&"FLOCK")).then(|| words[4].parse().ok())?
    })
}

pub(in super::super) fn failed(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> KernelError + use<> {
    let path = path.to_owned();
    move |source| KernelError::Pin { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_lock_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let held = lock(folder.path()).expect("nobody has it");
        let Err(error) = lock(folder.path()) else { panic!("two have it") };
        let own = std::process::id().to_string();
        assert!(error.to_string().contains(&format!("process {own} (")), "{error}");
        let turn = |path, holder, seconds| KernelError::TurnHeld { path, holder, seconds };
        let error = wait_at_most(Duration::from_secs(1), folder.path(), turn).expect_err("held");
        let waited = format!("process {own} (");
        assert!(error.to_string().starts_with(&waited), "{error}");
        assert!(error.to_string().contains("for 1 s; end it"), "{error}");
        drop(held);
        assert!(lock(folder.path()).is_ok());
        assert_eq!(holder_in("1: POSIX  ADVISORY  WRITE 7 00:2d:77 0 EOF\n", 77), None);
        assert_eq!(holder_in("1: FLOCK  ADVISORY  WRITE 7 00:2d:77 0 EOF\n", 77), Some(7));
    }

    #[test]
    fn a_folder_is_its_owners_alone_or_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("weir");
        let bits = || fs::metadata(&path).expect("it is there").mode() & 0o777;
        make(&path).expect("made");
        assert_eq!(bits(), MODE);
        for (left, then) in [(0o755, Some(MODE)), (0o770, None), (0o702, None)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(left)).expect("ours");
            let made = make(&path);
            assert_eq!(made.is_ok().then(bits), then, "{left:o}");
            if let Err(error) = made {
                assert!(error.to_string().contains(&format!("mode {left:o}")), "{error}");
            }
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o1777)).expect("ours");
        assert!(check_mount(&path).is_ok(), "nobody else removes what is in it");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("ours");
        let error = check_mount(&path).expect_err("open to all").to_string();
        assert!(error.contains("mount -t bpf bpf -o mode=0700"), "{error}");
    }
}
