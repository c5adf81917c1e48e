//! Pins of guards that are behind dispatchers.

use std::{
    fs,
    os::fd::{AsFd as _, BorrowedFd},
    path::{Path, PathBuf},
};

use super::Pins;
use crate::{dispatcher, error::KernelError, syscall};

/// Start of the name of the pin of a guard behind a dispatcher: the program, for its link is pinned
/// where libxdp looks for it.
const SHARED: &str = "shared_guard_";

/// The interface in the name of the pin of a guard behind a dispatcher.
pub(super) fn shared_on(pin: &Path) -> Option<u32> {
    pin.file_name()?.to_str()?.strip_prefix(SHARED)?.parse().ok()
}

/// The interface and the program in the pin of a guard behind a dispatcher.
pub(crate) fn shared_guard(pin: &Path) -> Option<(u32, u32)> {
    let ifindex = shared_on(pin)?;
    let program = syscall::program_facts(syscall::open_pin(pin).ok()?.as_fd()).ok()?;
    Some((ifindex, program.id))
}

impl Pins {
    /// Pins a guard behind the dispatcher of an interface.
    pub(crate) fn put_shared(
        &self,
        guard: BorrowedFd<'_>,
        ifindex: u32,
    ) -> Result<(), KernelError> {
        self.put_map(&format!("{SHARED}{ifindex}"), guard)
    }

    /// Path of that pin.
    pub(crate) fn shared(&self, ifindex: u32) -> PathBuf {
        self.root.join(format!("{SHARED}{ifindex}"))
    }

    /// Takes the guard that is pinned for an interface off its dispatcher.
    pub(crate) fn forget_shared(&self, ifindex: u32) {
        let pin = self.shared(ifindex);
        if let Some((_, program)) = shared_guard(&pin) {
            dispatcher::evict(&self.bpffs, ifindex, program);
            // A pin that is gone already is what was wanted.
            let _ = fs::remove_file(pin);
        }
    }
}
