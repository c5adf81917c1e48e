//! Pins: what keeps the guard in force while no weir runs.

use std::{
    fs, io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use aya::programs::{
    XdpMode,
    links::{FdLink, LinkError, PinnedLink},
    xdp::XdpLink,
};

use super::{attach::mode_name, error::KernelError, syscall};

/// The layout of the pins. A change that an older weir could misread takes the next number.
const LAYOUT: &str = "v1";

/// weir's folder on a BPF filesystem, held by this process alone.
#[derive(Debug)]
pub(super) struct Pins {
    root: PathBuf,
    _lock: OwnedFd,
}

impl Pins {
    /// Makes `<bpffs>/weir/v1` and takes it for this process.
    pub(super) fn open(bpffs: &Path) -> Result<Self, KernelError> {
        if !is_bpffs(bpffs) {
            return Err(KernelError::NoBpfFs { path: bpffs.to_owned() });
        }
        let root = bpffs.join("weir").join(LAYOUT);
        fs::create_dir_all(&root).map_err(|source| KernelError::Pin {
            action: "make the folder",
            path: root.clone(),
            source,
        })?;
        let lock = lock(&root)?;
        Ok(Self { root, _lock: lock })
    }

    /// Where a map is pinned.
    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn link(&self, ifindex: u32, mode: XdpMode) -> PathBuf {
        // The kernel refuses dots in the names of pins, and interface names may have them.
        self.root.join(format!("xdp_{}_{ifindex}", mode_name(mode)))
    }

    /// The XDP link that an earlier weir left on the interface.
    pub(super) fn xdp_link(&self, ifindex: u32, mode: XdpMode) -> Option<XdpLink> {
        let link = FdLink::from(PinnedLink::from_pin(self.link(ifindex, mode)).ok()?);
        XdpLink::try_from(link).ok()
    }

    /// Removes the pin of an XDP link.
    pub(super) fn forget_xdp_link(&self, ifindex: u32, mode: XdpMode) {
        // A pin that is gone already is what was wanted.
        let _ = fs::remove_file(self.link(ifindex, mode));
    }

    /// Pins an XDP link, unless it came from its pin.
    pub(super) fn keep_xdp_link(
        &self,
        link: Result<FdLink, LinkError>,
        ifindex: u32,
        mode: XdpMode,
    ) -> Result<PinnedLink, KernelError> {
        let path = self.link(ifindex, mode);
        let failed = |source| KernelError::Pin { action: "pin", path: path.clone(), source };
        let link = link.map_err(|error| failed(io::Error::other(error)))?;
        if path.exists() {
            return PinnedLink::from_pin(&path).map_err(|error| failed(io::Error::other(error)));
        }
        link.pin(&path).map_err(|error| failed(io::Error::other(error)))
    }
}

/// Whether a path lies on a BPF filesystem.
#[must_use]
pub fn is_bpffs(path: &Path) -> bool {
    let Ok(path) = syscall::c_path(path) else { return false };
    let mut facts = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the path ends in zero and `facts` is ours; zeroed, it is a value anyway.
    let facts = unsafe {
        if libc::statfs(path.as_ptr(), facts.as_mut_ptr()) != 0 {
            return false;
        }
        facts.assume_init()
    };
    facts.f_type == libc::BPF_FS_MAGIC as libc::__fsword_t
}

/// Takes the folder for this process; the kernel lets go of it however the process ends.
fn lock(root: &Path) -> Result<OwnedFd, KernelError> {
    let folder = fs::File::open(root).map_err(|source| KernelError::Pin {
        action: "open",
        path: root.to_owned(),
        source,
    })?;
    // SAFETY: a descriptor of ours.
    if unsafe { libc::flock(folder.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(folder.into());
    }
    Err(match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::EWOULDBLOCK) => {
            KernelError::PinsHeld { path: root.to_owned() }
        }
        source => KernelError::Pin { action: "lock", path: root.to_owned(), source },
    })
}
