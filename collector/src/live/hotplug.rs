//! Interfaces added and removed while weir runs.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{describe, lock};
use crate::config::Mode;
use datapath::{
    AttachOptions, InterfaceChange, InterfaceName, InterfaceWatch, Kernel, KernelError,
};

/// Longest wait for an interface before the stop flag is checked.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Follower of the interfaces, on a thread of its own.
#[derive(Debug)]
pub struct Hotplug {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Handles with which a change is carried out.
pub(super) struct Follower {
    pub(super) kernel: Arc<Mutex<Kernel>>,
    pub(super) watch: InterfaceWatch,
    pub(super) options: AttachOptions,
    pub(super) mode: Mode,
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
            let mut missed = false;
            while !stopped.load(Ordering::Relaxed) {
                match follower.watch.wait(LOOK_EVERY) {
                    Ok(event) if event || missed => missed = !follower.follow(&tell),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::error!(%error, "interfaces that come are not attached from here on");
                        return;
                    }
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
    /// Carries the changes out; false where they could not be told, and are to be asked for again.
    fn follow(&mut self, tell: &impl Fn(&str)) -> bool {
        match self.watch.changes() {
            Ok(changes) => changes.iter().for_each(|change| self.carry_out(change, tell)),
            Err(error) => {
                tracing::warn!(%error, "a change of interfaces is not told yet");
                return false;
            }
        }
        true
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
            Err(error) => tell(&format!("{name}: not watched: {error}")),
        }
    }
}
