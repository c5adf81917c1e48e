//! The BPF filesystem that pins are on.

use std::{fs, path::Path};

use crate::error::KernelError;

/// Where the packaged unit mounts one.
const ELSEWHERE: &str = "/run/weir-bpf";

/// Mounts a BPF filesystem unless there is one; tells whether it did.
pub fn mount_bpffs(path: &Path) -> Result<bool, KernelError> {
    if is_bpffs(path) {
        return Ok(false);
    }
    let flags = nix::mount::MsFlags::MS_NOSUID | nix::mount::MsFlags::MS_NODEV;
    nix::mount::mount(Some("bpf"), path, Some("bpf"), flags, Some("mode=0700"))
        .map_err(|_| no_bpffs(path))?;
    Ok(true)
}

pub(super) fn no_bpffs(path: &Path) -> KernelError {
    KernelError::NoBpfFs { path: path.to_owned(), remedy: mount_remedy(path) }
}

/// How a BPF filesystem comes to a path.
pub(crate) fn mount_remedy(bpffs: &Path) -> String {
    mount_remedy_in(is_a_part(), bpffs)
}

/// True where a process that this one descends from has other mounts.
fn is_a_part() -> bool {
    let mounts = |process: &str| fs::read_link(format!("/proc/{process}/ns/mnt"));
    let parent = |process: &str| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        Some(line.trim().to_owned()).filter(|parent| parent != "0")
    };
    let Ok(own) = mounts("thread-self") else { return false };
    // One that may not be asked is passed over.
    std::iter::successors(parent("self"), |process| parent(process))
        .any(|process| mounts(&process).is_ok_and(|other| other != own))
}

fn mount_remedy_in(is_a_part: bool, bpffs: &Path) -> String {
    let mount = "mount -t bpf bpf -o mode=0700";
    if is_a_part {
        return format!(
            "`mkdir -p {ELSEWHERE} && {mount} {ELSEWHERE}` outside of this mount namespace, in which a \
             mount may end with the command (`ip netns exec` makes one for each), and \
             `WEIR__GUARD__BPFFS={ELSEWHERE}` here"
        );
    }
    format!("`{mount} {}`", bpffs.display())
}

/// True for a path on a BPF filesystem.
#[must_use]
pub fn is_bpffs(path: &Path) -> bool {
    nix::sys::statfs::statfs(path)
        .is_ok_and(|facts| facts.filesystem_type() == nix::sys::statfs::BPF_FS_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_advised_is_seen_by_the_next_command() {
        let path = Path::new("/sys/fs/bpf");
        let advice = mount_remedy_in(false, path);
        assert_eq!(advice, "`mount -t bpf bpf -o mode=0700 /sys/fs/bpf`");
        let advice = mount_remedy_in(true, path);
        assert!(!advice.contains("/sys/fs/bpf") && advice.contains("outside"), "{advice}");
    }
}
