//! Pins: what keeps the guard in force while no weir runs.
//!
//! `<bpffs>/weir/v1/` holds the guard's maps by name and one XDP link per interface,
//! `xdp_<mode>_<ifindex>`. The next weir takes both over: its program replaces the old one in
//! the link, in place, so that enforcement has no gap.

use std::{
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use aya::programs::{
    XdpMode,
    links::{FdLink, LinkError, PinnedLink},
    xdp::XdpLink,
};

use super::{
    attach::mode_name,
    error::KernelError,
    syscall::{self, MapFacts},
};

/// The layout of the pins. A change that an older weir could misread takes the next number.
const LAYOUT: &str = "v1";

/// Pinned maps that hold blocks: not to be thrown away without being asked.
const BLOCK_MAPS: [&str; 3] = ["BLOCK_V4", "BLOCK_V6", "BLOCK_PREFIX"];

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
        let root = root(bpffs);
        fs::create_dir_all(&root).map_err(failed("make the folder", &root))?;
        let lock = lock(&root)?;
        Ok(Self { root, _lock: lock })
    }

    /// Where a map is pinned.
    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Compares each pinned map with what the programs need. Where one differs, all pins go and
    /// are made anew; unless there are blocks in them: then it is an error.
    pub(super) fn check(&self, needed: &[(&'static str, MapFacts)]) -> Result<(), KernelError> {
        for (name, expected) in needed {
            let path = self.map(name);
            let Some(pinned) = open(&path)? else { continue };
            let found =
                syscall::map_facts(pinned.as_fd()).map_err(failed("read the facts of", &path))?;
            if found == *expected {
                continue;
            }
            if self.holds_blocks()? {
                return Err(KernelError::PinMismatch {
                    path,
                    found: found.to_string(),
                    expected: expected.to_string(),
                });
            }
            tracing::warn!(
                pin = %path.display(), %found, %expected,
                "the pinned map does not fit and holds no blocks: the pins are made anew"
            );
            return remove_all(&self.root).map(drop);
        }
        Ok(())
    }

    fn holds_blocks(&self) -> Result<bool, KernelError> {
        for name in BLOCK_MAPS {
            let path = self.map(name);
            if let Some(map) = open(&path)?
                && !syscall::is_empty(map.as_fd()).map_err(failed("look into", &path))?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The XDP link that an earlier weir left on the interface.
    pub(super) fn xdp_link(&self, ifindex: u32, mode: XdpMode) -> Option<XdpLink> {
        let link = FdLink::from(PinnedLink::from_pin(self.link(ifindex, mode)).ok()?);
        XdpLink::try_from(link).ok()
    }

    /// Removes the pin of an XDP link, and with it the program from the interface.
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
        let other = |error: &dyn std::error::Error| {
            failed("pin", &path)(io::Error::other(error.to_string()))
        };
        let link = link.map_err(|error| other(&error))?;
        if path.exists() {
            return PinnedLink::from_pin(&path).map_err(|error| other(&error));
        }
        link.pin(&path).map_err(|error| other(&error))
    }

    fn link(&self, ifindex: u32, mode: XdpMode) -> PathBuf {
        // By index: the kernel refuses dots in the names of pins, and interface names have them.
        self.root.join(format!("xdp_{}_{ifindex}", mode_name(mode)))
    }
}

/// The pinned guard, for who changes blocks by hand; a running weir may hold the pins meanwhile.
#[derive(Debug)]
pub(super) struct PinnedMaps {
    root: PathBuf,
    /// One change by hand at a time. Not the lock of [`Pins`], which a running weir has.
    turn: OwnedFd,
}

impl PinnedMaps {
    /// Finds the pins, and waits until nobody else changes blocks by hand.
    pub(super) fn open(bpffs: &Path) -> Result<Self, KernelError> {
        let none = || KernelError::NoPinnedGuard { path: bpffs.to_owned() };
        let root = root(bpffs);
        if !is_bpffs(bpffs) || !root.join(BLOCK_MAPS[0]).exists() {
            return Err(none());
        }
        let parent = bpffs.join("weir");
        let folder = fs::File::open(&parent).map_err(failed("open", &parent))?;
        // SAFETY: a descriptor of ours.
        if unsafe { libc::flock(folder.as_raw_fd(), libc::LOCK_EX) } != 0 {
            return Err(failed("lock", &parent)(io::Error::last_os_error()));
        }
        Ok(Self { root, turn: folder.into() })
    }

    /// A pinned map and its facts.
    pub(super) fn map(&self, name: &str) -> Result<(OwnedFd, MapFacts), KernelError> {
        let path = self.path(name);
        let map = open(&path)?
            .ok_or_else(|| failed("open", &path)(io::Error::from(io::ErrorKind::NotFound)))?;
        let facts = syscall::map_facts(map.as_fd()).map_err(failed("read the facts of", &path))?;
        Ok((map, facts))
    }

    /// Where a map is pinned.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// What ends the turn when it is dropped.
    pub(super) fn into_turn(self) -> OwnedFd {
        self.turn
    }
}

/// What weir left pinned on a BPF filesystem.
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
        self.links().filter_map(|(ifindex, _)| ifindex.parse().ok()).collect()
    }

    /// The pinned XDP links: interface index as written, and path.
    fn links(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.pins.iter().filter_map(|pin| {
            let name = pin.file_name()?.to_str()?;
            Some((name.strip_prefix("xdp_")?.rsplit_once('_')?.1, pin.as_path()))
        })
    }

    /// The programs in the pinned XDP links.
    pub(super) fn programs(&self) -> impl Iterator<Item = u32> {
        self.links().filter_map(|(_, pin)| {
            let link = FdLink::from(PinnedLink::from_pin(pin).ok()?);
            link.info().ok().map(|info| info.program_id())
        })
    }
}

/// Lists the pins, for `weir doctor`.
pub fn leftovers(bpffs: &Path) -> Result<Leftovers, KernelError> {
    let root = root(bpffs);
    if !root.is_dir() {
        return Ok(Leftovers { pins: Vec::new(), held: false });
    }
    let pins = list(&root)?;
    let held = matches!(lock(&root), Err(KernelError::PinsHeld { .. }));
    Ok(Leftovers { pins, held })
}

/// Removes every pin: the guard goes off all interfaces, and all blocks with it. Returns what
/// was removed.
///
/// # Errors
/// [`KernelError::PinsHeld`] while a weir runs on them.
pub fn unpin_all(bpffs: &Path) -> Result<Vec<PathBuf>, KernelError> {
    let root = root(bpffs);
    if !root.is_dir() {
        return Ok(Vec::new());
    }
    let _lock = lock(&root)?;
    let removed = remove_all(&root)?;
    fs::remove_dir(&root).map_err(failed("remove", &root))?;
    // Other layouts may lie beside it.
    let _ = fs::remove_dir(bpffs.join("weir"));
    Ok(removed)
}

/// Removes the pins that were not there before: what a start that failed half-way made.
///
/// # Errors
/// [`KernelError::PinsHeld`] while a weir runs on them.
pub fn unpin_since(bpffs: &Path, before: &Leftovers) -> Result<(), KernelError> {
    let root = root(bpffs);
    if !root.is_dir() {
        return Ok(());
    }
    let _lock = lock(&root)?;
    for pin in list(&root)?.iter().filter(|pin| !before.pins.contains(pin)) {
        fs::remove_file(pin).map_err(failed("remove", pin))?;
    }
    if before.pins.is_empty() {
        fs::remove_dir(&root).map_err(failed("remove", &root))?;
        let _ = fs::remove_dir(bpffs.join("weir"));
    }
    Ok(())
}

/// Mounts a BPF filesystem unless there is one; tells whether it did.
pub fn mount_bpffs(path: &Path) -> Result<bool, KernelError> {
    if is_bpffs(path) {
        return Ok(false);
    }
    let flags = nix::mount::MsFlags::MS_NOSUID | nix::mount::MsFlags::MS_NODEV;
    nix::mount::mount(Some("bpf"), path, Some("bpf"), flags, Some("mode=0700"))
        .map_err(|_| KernelError::NoBpfFs { path: path.to_owned() })?;
    Ok(true)
}

/// Whether a path lies on a BPF filesystem.
#[must_use]
pub fn is_bpffs(path: &Path) -> bool {
    nix::sys::statfs::statfs(path)
        .is_ok_and(|facts| facts.filesystem_type() == nix::sys::statfs::BPF_FS_MAGIC)
}

fn root(bpffs: &Path) -> PathBuf {
    bpffs.join("weir").join(LAYOUT)
}

fn list(root: &Path) -> Result<Vec<PathBuf>, KernelError> {
    let mut pins = Vec::new();
    for entry in fs::read_dir(root).map_err(failed("list", root))? {
        pins.push(entry.map_err(failed("list", root))?.path());
    }
    pins.sort();
    Ok(pins)
}

fn remove_all(root: &Path) -> Result<Vec<PathBuf>, KernelError> {
    let pins = list(root)?;
    for pin in &pins {
        fs::remove_file(pin).map_err(failed("remove", pin))?;
    }
    Ok(pins)
}

/// Opens a pinned map; `None` where there is none.
fn open(path: &Path) -> Result<Option<OwnedFd>, KernelError> {
    match syscall::open_pin(path) {
        Ok(map) => Ok(Some(map)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("open", path)(source)),
    }
}

/// Takes the folder for this process; the kernel lets go of it however the process ends.
fn lock(root: &Path) -> Result<OwnedFd, KernelError> {
    let folder = fs::File::open(root).map_err(failed("open", root))?;
    // SAFETY: a descriptor of ours.
    if unsafe { libc::flock(folder.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(folder.into());
    }
    Err(match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::EWOULDBLOCK) => {
            KernelError::PinsHeld { path: root.to_owned() }
        }
        source => failed("lock", root)(source),
    })
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KernelError {
    let path = path.to_owned();
    move |source| KernelError::Pin { action, path, source }
}
