//! Pins: what keeps the guard in force while no weir runs.
//!
//! `<bpffs>/weir/<layout>/<namespace>/` holds the guard's maps by name and one link per interface,
//! `xdp_<mode>_<ifindex>` or `tcx_guard_<ifindex>`, or the program, `shared_guard_<ifindex>`, where
//! the link is pinned behind a [`super::dispatcher`]; the namespace is the network namespace's own
//! number, for several of them may share the file system, and an index means an interface in one
//! of them only. The next weir takes both over: its program replaces the old one in the link, in
//! place, so that enforcement has no gap.
//!
//! A layout's number goes up with a change that an older weir could misread. A start next to an
//! older layout takes over what it can ([`super::takeover`]), replaces the program in the old
//! link, and only then removes the older pins.

pub(super) mod folder;
mod gone;
mod layout;
mod shared;

use std::{
    fs, io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use aya::programs::{
    XdpMode,
    links::{FdLink, PinnedLink},
};

use super::{
    dispatcher,
    error::KernelError,
    interfaces, netns,
    syscall::{self, MapFacts},
};
pub(super) use folder::failed;
use folder::{lock, turn};
use layout::LAYOUT;
pub(super) use shared::shared_guard;
use shared::shared_on;

/// Pinned maps that hold blocks: not to be thrown away without being asked.
pub(super) const BLOCK_MAPS: [&str; 4] =
    ["BLOCK_V4", "BLOCK_V6", "BLOCK_HOSTS", "BLOCK_PREFIX"];

/// Hook of a pinned guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GuardPin {
    /// An XDP link.
    Xdp(XdpMode),
    /// A TCX link at ingress.
    Tcx,
}

impl GuardPin {
    pub(super) const ALL: [Self; 3] =
        [Self::Xdp(XdpMode::Driver), Self::Xdp(XdpMode::Skb), Self::Tcx];

    fn name(self, ifindex: u32) -> String {
        // By index: the kernel refuses dots in the names of pins, and interface names have them.
        match self {
            Self::Xdp(mode) => format!("xdp_{}_{ifindex}", mode_name(mode)),
            Self::Tcx => format!("tcx_guard_{ifindex}"),
        }
    }
}

/// The interface, as written, in the name of a pinned link.
fn interface_of(pin: &Path) -> Option<&str> {
    let name = pin.file_name()?.to_str()?;
    let rest = name.strip_prefix("xdp_").or_else(|| name.strip_prefix("tcx_"))?;
    Some(rest.rsplit_once('_')?.1)
}

/// weir's folder on a BPF filesystem, held by this process alone.
#[derive(Debug)]
pub(super) struct Pins {
    /// The file system.
    pub(super) bpffs: PathBuf,
    root: PathBuf,
    /// The folders of older layouts, the newest first.
    older: Vec<PathBuf>,
    /// Of all those folders.
    _locks: Vec<OwnedFd>,
}

impl Pins {
    /// Makes the folder of this weir's layout and takes it for this process, the folders of
    /// older layouts as well.
    ///
    /// # Errors
    /// [`KernelError::PinsHeld`] where another weir has one of them, [`KernelError::PinLayout`]
    /// next to a newer layout, which this weir would enforce against,
    /// [`KernelError::PinsOpen`] where somebody else could change them.
    pub(super) fn open(bpffs: &Path) -> Result<Self, KernelError> {
        if !is_bpffs(bpffs) {
            return Err(KernelError::NoBpfFs { path: bpffs.to_owned() });
        }
        folder::check_mount(bpffs)?;
        let layouts = layout::Layouts::find(bpffs)?;
        if let Some(newer) = layouts.newer.into_iter().next() {
            let remedy = "start the weir that made it, or remove it with `weir detach`";
            return Err(KernelError::PinLayout { path: newer, remedy });
        }
        let root = root(bpffs)?;
        for path in folders_to(bpffs, &root) {
            folder::make(&path)?;
        }
        let mut locks = vec![lock(&root)?];
        let mut older = Vec::new();
        for layout in layouts.older {
            if is_of_this_namespace(&layout)? {
                locks.push(lock(&layout)?);
                older.push(layout);
            } else {
                tracing::info!(layout = %layout.display(), "another namespace's guard is left alone");
            }
        }
        if let Err(error) = gone::clear(bpffs) {
            tracing::warn!(%error, "pins of network namespaces that are gone stay");
        }
        Ok(Self { bpffs: bpffs.to_owned(), root, older, _locks: locks })
    }

    /// Path of a map's pin.
    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The pinned map of a name, and where: in this layout, else in the newest older one.
    pub(super) fn find_map(&self, name: &str) -> Result<Option<(PathBuf, OwnedFd)>, KernelError> {
        for folder in std::iter::once(&self.root).chain(&self.older) {
            let path = folder.join(name);
            if let Some(map) = open(&path)? {
                return Ok(Some((path, map)));
            }
        }
        Ok(None)
    }

    /// True for a path in this layout.
    pub(super) fn owns(&self, path: &Path) -> bool {
        path.starts_with(&self.root)
    }

    /// Pins a map in this layout, in the place of the one that may be there.
    pub(super) fn put_map(&self, name: &str, map: BorrowedFd<'_>) -> Result<(), KernelError> {
        let (path, next) = (self.map(name), self.map(&format!("{name}_next")));
        if next.exists() {
            // A start that was cut off left it.
            fs::remove_file(&next).map_err(failed("remove", &next))?;
        }
        syscall::pin(map, &next).map_err(failed("pin", &next))?;
        fs::rename(&next, &path).map_err(failed("replace", &path))
    }

    /// Lock against changes of blocks by hand, held until the result is dropped.
    pub(super) fn turn(&self) -> Result<OwnedFd, KernelError> {
        turn(folder_of_turns(&self.root))
    }

    /// The kernel's numbers of the links that are pinned for the interface.
    pub(super) fn links(&self, ifindex: u32) -> Vec<u32> {
        let pinned = GuardPin::ALL.iter().filter_map(|&place| self.link(ifindex, place));
        pinned.filter_map(|link| Some(link.info().ok()?.id())).collect()
    }

    /// Pins a link in this layout.
    pub(super) fn put_link(
        &self,
        link: BorrowedFd<'_>,
        ifindex: u32,
        place: GuardPin,
    ) -> Result<(), KernelError> {
        let path = self.root.join(place.name(ifindex));
        syscall::pin(link, &path).map_err(failed("pin", &path))
    }

    /// The link that an earlier weir left on the interface, of this layout or an older one.
    pub(super) fn link(&self, ifindex: u32, place: GuardPin) -> Option<FdLink> {
        let name = place.name(ifindex);
        std::iter::once(&self.root)
            .chain(&self.older)
            .find_map(|folder| PinnedLink::from_pin(folder.join(&name)).ok())
            .map(FdLink::from)
    }

    /// Removes the pins of a link, of all layouts, and with them the program from the interface.
    pub(super) fn forget_link(&self, ifindex: u32, place: GuardPin) {
        let name = place.name(ifindex);
        for folder in std::iter::once(&self.root).chain(&self.older) {
            // A pin that is gone already is what was wanted.
            let _ = fs::remove_file(folder.join(&name));
        }
    }

    /// Pins a link in this layout, unless it is.
    pub(super) fn keep_link(
        &self,
        link: FdLink,
        ifindex: u32,
        place: GuardPin,
    ) -> Result<PinnedLink, KernelError> {
        let path = self.root.join(place.name(ifindex));
        let other = |error: &dyn std::error::Error| {
            failed("pin", &path)(io::Error::other(error.to_string()))
        };
        if path.exists() {
            return PinnedLink::from_pin(&path).map_err(|error| other(&error));
        }
        link.pin(&path).map_err(|error| other(&error))
    }

    /// Removes the older layouts whose links are all pinned in this one, or gone.
    pub(super) fn retire_older(&self) -> Result<(), KernelError> {
        for older in self.older.iter().filter(|older| older.is_dir()) {
            let in_force = list(older)?
                .iter()
                .filter(|pin| interface_of(pin).is_some())
                .filter(|pin| !pin.file_name().is_some_and(|name| self.root.join(name).exists()))
                .filter_map(|pin| open(pin).ok().flatten())
                // That of an interface which is gone has none.
                .any(|link| syscall::link_facts(link.as_fd()).is_ok_and(|one| one.ifindex != 0));
            if !in_force {
                remove_all(older)?;
                fs::remove_dir(older).map_err(failed("remove", older))?;
                tracing::info!(layout = %older.display(), "the older layout's pins are taken over");
            }
        }
        Ok(())
    }
}

/// The pinned guard, for changes of blocks by hand; a running weir may hold the pins meanwhile.
#[derive(Debug)]
pub(super) struct PinnedMaps {
    root: PathBuf,
    /// Lock held while blocks are changed by hand. Not the lock of [`Pins`], which a running weir
    /// has.
    turn: OwnedFd,
}

impl PinnedMaps {
    /// Finds the pins, and waits for other changes of blocks by hand to end.
    pub(super) fn open(bpffs: &Path) -> Result<Self, KernelError> {
        let none = || KernelError::NoPinnedGuard { path: bpffs.to_owned() };
        if !is_bpffs(bpffs) {
            return Err(none());
        }
        let mut root = root(bpffs)?;
        let is_pinned = |root: &Path| root.join(BLOCK_MAPS[0]).exists();
        if !is_pinned(&root) {
            // From elsewhere the only one there is can be meant.
            let others: Vec<PathBuf> =
                layout::namespaces(bpffs)?.into_iter().filter(|one| is_pinned(one)).collect();
            match <[PathBuf; 1]>::try_from(others) {
                Ok([other]) => root = other,
                Err(others) if others.is_empty() => {}
                Err(others) => {
                    let (path, count) = (bpffs.to_owned(), others.len());
                    return Err(KernelError::PinsOfOthers { path, count });
                }
            }
        }
        if !is_pinned(&root) {
            let layouts = layout::Layouts::find(bpffs)?;
            let other = layouts.newer.into_iter().next().map_or_else(
                || layouts.older.into_iter().next().map(|path| (path, "`weir run` takes it over")),
                |path| Some((path, "use the weir that made it")),
            );
            return Err(
                other.map_or_else(none, |(path, remedy)| KernelError::PinLayout { path, remedy })
            );
        }
        let turn = turn(folder_of_turns(&root))?;
        Ok(Self { root, turn })
    }

    /// A pinned map and its facts.
    pub(super) fn map(&self, name: &str) -> Result<(OwnedFd, MapFacts), KernelError> {
        let path = self.path(name);
        let map = open(&path)?
            .ok_or_else(|| failed("open", &path)(io::Error::from(io::ErrorKind::NotFound)))?;
        let facts = syscall::map_facts(map.as_fd()).map_err(failed("read the facts of", &path))?;
        Ok((map, facts))
    }

    /// Path of a map's pin.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Lock that ends the turn when it is dropped.
    pub(super) fn into_turn(self) -> OwnedFd {
        self.turn
    }
}

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
    pub(super) fn programs(&self) -> impl Iterator<Item = u32> {
        let linked = self.links().filter_map(|(_, pin)| {
            let link = FdLink::from(PinnedLink::from_pin(pin).ok()?);
            link.info().ok().map(|info| info.program_id())
        });
        linked.chain(self.pins.iter().filter_map(|pin| Some(shared_guard(pin)?.1)))
    }
}

/// Lists the pins of all layouts, for `weir doctor`.
pub fn leftovers(bpffs: &Path) -> Result<Leftovers, KernelError> {
    let mut left = Leftovers { pins: Vec::new(), held: false };
    for folder in layout::Layouts::find(bpffs)?.all(bpffs)? {
        left.pins.extend(list(&folder)?);
        left.held |= matches!(lock(&folder), Err(KernelError::PinsHeld { .. }));
    }
    Ok(left)
}

/// Counts the network namespaces that are gone and whose pins stay until the next start; none where
/// that cannot be told.
pub fn gone_namespaces(bpffs: &Path) -> Result<usize, KernelError> {
    gone::gone(bpffs).map(|folders| folders.len())
}

/// Removes every pin, of all layouts and network namespaces: the guard goes off all interfaces, and
/// all blocks with it. Returns what was removed.
///
/// # Errors
/// [`KernelError::PinsHeld`] while a weir runs on them.
pub fn unpin_all(bpffs: &Path) -> Result<Vec<PathBuf>, KernelError> {
    let folders = layout::Layouts::find(bpffs)?.all(bpffs)?;
    let _locks = folders.iter().map(|folder| lock(folder)).collect::<Result<Vec<_>, _>>()?;
    let mut removed = Vec::new();
    for folder in &folders {
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
pub(super) fn every_pin(bpffs: &Path) -> Result<Vec<PathBuf>, KernelError> {
    let folders = layout::Layouts::find(bpffs)?.all(bpffs)?;
    folders.iter().map(|folder| list(folder)).collect::<Result<Vec<_>, _>>().map(|all| all.concat())
}

/// True of the pin of a link.
pub(super) fn is_link(pin: &Path) -> bool {
    interface_of(pin).is_some()
}

/// Removes the folders that are empty.
pub(super) fn remove_folders(bpffs: &Path) {
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

/// True for a path on a BPF filesystem.
#[must_use]
pub fn is_bpffs(path: &Path) -> bool {
    nix::sys::statfs::statfs(path)
        .is_ok_and(|facts| facts.filesystem_type() == nix::sys::statfs::BPF_FS_MAGIC)
}

/// This layout's folder of the calling thread's network namespace.
fn root(bpffs: &Path) -> Result<PathBuf, KernelError> {
    Ok(bpffs.join("weir").join(LAYOUT).join(netns::cookie()?.to_string()))
}

/// The folders from weir's own to this one.
fn folders_to(bpffs: &Path, root: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        root.ancestors().take_while(|one| *one != bpffs).map(Path::to_owned).collect();
    folders.reverse();
    folders
}

/// weir's folder, whose lock is that of changes by hand, so that one of an older weir counts.
fn folder_of_turns(root: &Path) -> &Path {
    root.ancestors().nth(2).unwrap_or(root)
}

/// False of an older layout with a link to an interface of another network namespace.
fn is_of_this_namespace(layout: &Path) -> Result<bool, KernelError> {
    let interfaces = interfaces::list()?;
    for pin in list(layout)?.iter().filter(|pin| is_link(pin)) {
        let Some(link) = open(pin)? else { continue };
        let facts = syscall::link_facts(link.as_fd()).map_err(failed("ask", pin))?;
        if facts.ifindex == 0 {
            continue;
        }
        let interface = interfaces.iter().find(|(_, index)| **index == facts.ifindex);
        let Some((interface, &ifindex)) = interface else { return Ok(false) };
        if !netns::programs_on(interface, ifindex)?.contains(&facts.program) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn list(root: &Path) -> Result<Vec<PathBuf>, KernelError> {
    let mut pins = Vec::new();
    for entry in fs::read_dir(root).map_err(failed("list", root))? {
        let path = entry.map_err(failed("list", root))?.path();
        // A newer layout may have folders too.
        if path.is_dir() {
            pins.extend(list(&path)?);
        } else {
            pins.push(path);
        }
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

/// `native` or `generic`, as the documentation says.
pub(super) const fn mode_name(mode: XdpMode) -> &'static str {
    match mode {
        XdpMode::Skb => "generic",
        _ => "native",
    }
}
