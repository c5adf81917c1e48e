//! `<bpffs>/xdp`: where the programs behind dispatchers are pinned, and the lock on it.

use std::{
    fs, io,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use super::{Member, config::Config};
use crate::{
    error::KernelError,
    pin::{failed, folder},
    syscall,
};

/// libxdp's folder on a BPF filesystem.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

/// A program in its place in a dispatcher.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) program: OwnedFd,
    pub(super) link: OwnedFd,
}

impl Folder {
    /// The folder, whether it is there or not.
    pub(super) fn of(bpffs: &Path) -> Self {
        Self(bpffs.join("xdp"))
    }

    /// Makes the folder, or sees to it that the one which is there is this user's alone.
    pub(super) fn open(bpffs: &Path) -> Result<Self, KernelError> {
        let folder = Self::of(bpffs);
        folder::make(&folder.0)?;
        Ok(folder)
    }

    /// Excludes others' changes until the result is dropped.
    pub(super) fn lock(&self) -> Result<OwnedFd, KernelError> {
        folder::wait_for(&self.0, |path, holder, seconds| KernelError::HookHeld {
            path,
            holder,
            seconds,
        })
    }

    /// As [`Self::lock`]; `None` where there is nothing to lock.
    pub(super) fn lock_if_there(&self) -> Result<Option<OwnedFd>, KernelError> {
        self.0.is_dir().then(|| self.lock()).transpose()
    }

    /// The programs of a dispatcher.
    pub(super) fn members(
        &self,
        ifindex: u32,
        id: u32,
        config: &Config,
    ) -> io::Result<Vec<Member>> {
        let folder = self.dispatcher(ifindex, id);
        let member = |(at, &slot): (usize, _)| {
            let program = syscall::open_pin(&pins(&folder, at).program)?;
            let facts = syscall::program_facts(program.as_fd())?;
            Ok(Member { program, facts, slot })
        };
        config.slots.iter().enumerate().map(member).collect()
    }

    /// Pins the programs of a dispatcher.
    pub(super) fn pin(&self, ifindex: u32, id: u32, seats: &[Seat]) -> Result<(), KernelError> {
        let folder = self.dispatcher(ifindex, id);
        folder::make(&folder)?;
        seats.iter().enumerate().try_for_each(|(at, seat)| {
            let pins = pins(&folder, at);
            let pin = |object: &OwnedFd, path: &Path| {
                syscall::pin(object.as_fd(), path).map_err(failed("pin", path))
            };
            pin(&seat.link, &pins.link)?;
            pin(&seat.program, &pins.program)
        })
    }

    /// Unpins the programs of a dispatcher: they are off it, unless somebody else holds a link.
    pub(super) fn unpin(&self, ifindex: u32, id: u32) {
        let folder = self.dispatcher(ifindex, id);
        for pin in files(&folder) {
            // One that is gone is what was wanted.
            let _ = fs::remove_file(pin);
        }
        let _ = fs::remove_dir(&folder);
    }

    /// Unpins a program, whatever dispatcher it is behind; tells whether it was.
    pub(super) fn vacate(&self, program: u32) -> bool {
        let mut was_there = false;
        for (pin, link) in self.pairs() {
            let found = syscall::open_pin(&pin).and_then(|one| syscall::program_facts(one.as_fd()));
            if found.is_ok_and(|facts| facts.id == program) {
                was_there |= fs::remove_file(link).is_ok() & fs::remove_file(&pin).is_ok();
                // Where it was the only one.
                let _ = pin.parent().map(fs::remove_dir);
            }
        }
        was_there
    }

    /// The kernel's numbers of the pinned links.
    pub(super) fn links(&self) -> Vec<u32> {
        let id = |link: &PathBuf| {
            Some(syscall::link_facts(syscall::open_pin(link).ok()?.as_fd()).ok()?.id)
        };
        self.pairs().iter().filter_map(|(_, link)| id(link)).collect()
    }

    /// The pins of all programs, with those of their links.
    fn pairs(&self) -> Vec<(PathBuf, PathBuf)> {
        let pair = |pin: PathBuf| {
            let link = format!("{}-link", pin.to_str()?.strip_suffix("-prog")?);
            Some((pin, link.into()))
        };
        files(&self.0).iter().flat_map(|folder| files(folder)).filter_map(pair).collect()
    }

    fn dispatcher(&self, ifindex: u32, id: u32) -> PathBuf {
        self.0.join(format!("dispatch-{ifindex}-{id}"))
    }
}

/// The two pins of a program.
struct Names {
    program: PathBuf,
    link: PathBuf,
}

fn pins(folder: &Path, at: usize) -> Names {
    let name = |what: &str| folder.join(format!("prog{at}-{what}"));
    Names { program: name("prog"), link: name("link") }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
