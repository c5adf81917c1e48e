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
mod leftovers;
mod mount;
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
    error::KernelError,
    interfaces, netns,
    syscall::{self, MapFacts},
};
pub(super) use folder::failed;
use folder::{lock, turn};
use layout::LAYOUT;
pub use leftovers::{
    Leftovers, gone_namespaces, leftovers, leftovers_here, unpin, unpin_all, unpin_since,
};
pub(super) use leftovers::{every_pin, remove_folders};
pub(super) use mount::mount_remedy;
use mount::no_bpffs;
pub use mount::{is_bpffs, mount_bpffs};
pub(super) use shared::shared_guard;

/// Pinned maps that hold blocks: not to be thrown away without being asked.
pub(super) const BLOCK_MAPS: [&str; 3] = ["BLOCK_V4", "BLOCK_V6", "BLOCK_PREFIX"];

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
            return Err(no_bpffs(bpffs));
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
    turn: Option<OwnedFd>,
}

impl PinnedMaps {
    /// Finds the pins of this network namespace, to read them; `None` where there are none.
    pub(super) fn look(bpffs: &Path) -> Result<Option<Self>, KernelError> {
        if !is_bpffs(bpffs) {
            return Ok(None);
        }
        let root = root(bpffs)?;
        Ok(root.join(BLOCK_MAPS[0]).exists().then_some(Self { root, turn: None }))
    }

    /// Finds the pins, and waits for other changes of blocks by hand to end.
    pub(super) fn open(bpffs: &Path) -> Result<Self, KernelError> {
        let none = || KernelError::NoPinnedGuard { path: bpffs.to_owned() };
        if !is_bpffs(bpffs) {
            return Err(none());
        }
        let mut root = root(bpffs)?;
        let is_pinned = |root: &Path| root.join(BLOCK_MAPS[0]).exists();
        if !is_pinned(&root) {
            root = the_only_one(bpffs)?.unwrap_or(root);
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
        let turn = Some(turn(folder_of_turns(&root))?);
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
    pub(super) fn into_turn(self) -> Option<OwnedFd> {
        self.turn
    }
}

/// True of the pin of a link.
pub(super) fn is_link(pin: &Path) -> bool {
    interface_of(pin).is_some()
}

/// From elsewhere the only network namespace can be meant that has a pinned guard.
fn the_only_one(bpffs: &Path) -> Result<Option<PathBuf>, KernelError> {
    let mut others = layout::namespaces(bpffs)?;
    others.retain(|one| one.join(BLOCK_MAPS[0]).exists());
    if others.len() > 1 {
        return Err(KernelError::PinsOfOthers { path: bpffs.to_owned(), count: others.len() });
    }
    Ok(others.pop())
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
