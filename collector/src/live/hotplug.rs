//! Interfaces that come and go while weir runs.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{describe, lock, own_addresses};
use crate::config::Mode;
use datapath::{
    AttachOptions, Blocklist, InterfaceChange, InterfaceName, InterfaceWatch, Kernel, KernelError,
};

/// How long an interface is waited for before a look at whether to stop.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often the host's own addresses are read anew: one given after weir began must not be
/// blocked either.
const ADDRESSES_EVERY: Duration = Duration::from_secs(5);

/// What follows the interfaces, on a thread of its own.
#[derive(Debug)]
pub struct Hotplug {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// What a change is carried out with.
pub(super) struct Follower {
    pub(super) kernel: Arc<Mutex<Kernel>>,
    pub(super) blocklist: Blocklist,
    pub(super) watch: InterfaceWatch,
    pub(super) options: AttachOptions,
    pub(super) mode: Mode,
    /// Own addresses that are on the allowlist already.
    pub(super) own: BTreeSet<IpAddr>,
}

impl Hotplug {
    /// Starts to follow, in the calling thread's network namespace.
    pub(super) fn start(
        mut follower: Follower,
        tell: impl Fn(&str) + Send + 'static,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("weir-interfaces".to_owned()).spawn(move || {
            let mut addresses_at = Instant::now() + ADDRESSES_EVERY;
            while !stopped.load(Ordering::Relaxed) {
                match follower.watch.wait(LOOK_EVERY) {
                    Ok(true) => follower.follow(&tell),
                    Ok(false) => {}
                    Err(error) => {
                        tracing::error!(%error, "interfaces that come are not attached from here on");
                        return;
                    }
                }
                if Instant::now() >= addresses_at {
                    follower.allow_own();
                    addresses_at = Instant::now() + ADDRESSES_EVERY;
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Stops, and waits for the change in hand.
    ///
    /// # Errors
    /// It panicked: a bug.
    pub fn stop(self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_| anyhow::anyhow!("following the interfaces panicked; this is a bug"))
    }
}

impl Follower {
    fn follow(&mut self, tell: &impl Fn(&str)) {
        match self.watch.changes() {
            Ok(changes) => changes.iter().for_each(|change| self.carry_out(change, tell)),
            Err(error) => tracing::warn!(%error, "a change of interfaces was missed"),
        }
        self.allow_own();
    }

    fn carry_out(&self, change: &InterfaceChange, tell: &impl Fn(&str)) {
        match change {
            InterfaceChange::Removed { name, .. } => match lock(&self.kernel).detach(name) {
                Ok(()) => tell(&format!("{name}: gone; waiting for it to come back")),
                // One that could not be attached when it came.
                Err(KernelError::NotAttached { .. }) => {}
                Err(error) => tracing::warn!(interface = %name, %error, "not detached"),
            },
            InterfaceChange::Added { name, .. } => self.attach(name, tell),
        }
    }

    fn attach(&self, name: &InterfaceName, tell: &impl Fn(&str)) {
        let attached = lock(&self.kernel).attach(name, self.options);
        match attached {
            Ok(attached) => tell(&describe(&attached, self.mode)),
            // Gone again already: its removal is the next change.
            Err(KernelError::UnknownInterface { .. }) => {}
            Err(error) => tracing::warn!(interface = %name, %error, "not attached"),
        }
    }

    /// Puts addresses that are new on the allowlist. One that went stays there: it harms nobody,
    /// and may come back.
    fn allow_own(&mut self) {
        let addresses = match own_addresses() {
            Ok(addresses) => addresses,
            Err(error) => {
                tracing::warn!(%error, "own addresses are those of before");
                return;
            }
        };
        for address in addresses {
            if self.own.contains(&address) {
                continue;
            }
            match self.blocklist.allow(address.into()) {
                Ok(()) => {
                    self.own.insert(address);
                }
                Err(error) => tracing::warn!(%address, %error, "own address not on the allowlist"),
            }
        }
    }
}
