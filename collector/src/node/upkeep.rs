//! Upkeep: periodic work while the node runs.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use policy::ProtectedHosts;

use super::Node;
use crate::{clock::boot_ns, protected::read_hosts, service_manager};

/// Interval at which the protected hosts are read anew.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Interval at which the ledger drops records past their retention.
const RETAIN_EVERY: Duration = Duration::from_mins(10);
/// Interval at which expired entries that nobody waits for (those of imported lists) are cleared.
/// The kernel ignores them anyway.
const CLEAR_EVERY: Duration = Duration::from_mins(10);
/// Multiple of the time it takes after which the kernel's blocks are counted anew.
const COUNT_TIMES: u32 = 50;
/// Time for which a client of the API is protected after its last request, in ns.
const CLIENT_FOR_NS: u64 = 3_600_000_000_000;

/// The upkeep thread.
#[derive(Debug)]
pub struct Upkeep {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Upkeep {
    /// Starts it, in the calling thread's network namespace.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(node: Arc<Node>) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("weir-upkeep".to_owned()).spawn(move || {
            let (mut retained, mut cleared) = (Instant::now(), Instant::now());
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if node.is_alive() {
                    service_manager::alive();
                }
                node.take_hosts(read_hosts());
                node.end_permissions();
                node.end_idle_loads();
                node.write_past();
                node.listing.give_back();
                give_memory_back();
                if let Err(error) = node.held(LOOK_EVERY, COUNT_TIMES) {
                    tracing::warn!(%error, "the kernel's blocks are not counted");
                }
                if retained.elapsed() >= RETAIN_EVERY {
                    retained = Instant::now();
                    node.journal.retain();
                }
                if cleared.elapsed() >= CLEAR_EVERY {
                    cleared = Instant::now();
                    node.clear_expired();
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Stops, and waits for the look in hand.
    ///
    /// # Errors
    /// It panicked: a bug.
    pub fn stop(self) -> anyhow::Result<()> {
        drop(self.stop);
        self.thread.join().map_err(|_| anyhow::anyhow!("the upkeep panicked; this is a bug"))
    }
}

/// Returns to the system what the allocator keeps of freed memory: the windows of a flood are tens
/// of MB, and glibc keeps most of them.
fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer, and touches no memory in use.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}

impl Node {
    /// Takes over the protected hosts as they were read. What cannot be read this time is not
    /// forgotten: own addresses, gateways and name servers only change when there are some.
    pub(super) fn take_hosts(&self, mut seen: ProtectedHosts) {
        let mut inner = self.inner();
        let before = &inner.protected.reader;
        for (new, old) in [
            (&mut seen.own, &before.own),
            (&mut seen.gateways, &before.gateways),
            (&mut seen.resolvers, &before.resolvers),
        ] {
            if new.is_empty() {
                new.clone_from(old);
            }
        }
        let now_ns = boot_ns();
        let heard = &mut inner.protected.clients;
        let clients = heard.len();
        heard.retain(|_, heard_ns| now_ns.saturating_sub(*heard_ns) < CLIENT_FOR_NS);
        if heard.len() != clients || inner.protected.reader != seen {
            inner.protected.reader = seen;
            inner.protect_or_warn();
        }
    }

    /// Takes back what people allowed for a time that is over.
    fn end_permissions(&self) {
        let now_ns = boot_ns();
        let mut inner = self.inner();
        let over: Vec<_> = inner
            .protected
            .people
            .iter()
            .filter(|(_, one)| one.expires_ns.is_some_and(|expires_ns| expires_ns <= now_ns))
            .map(|(&prefix, _)| prefix)
            .collect();
        for prefix in over {
            match Self::take_back(&mut inner, prefix).and_then(|()| self.write_allowed(&inner)) {
                Ok(()) => tracing::info!(%prefix, "no longer allowed: its time is over"),
                Err(error) => tracing::warn!(%prefix, %error, "its time is over"),
            }
        }
    }

    fn clear_expired(&self) {
        let Some(guard) = &self.guard else { return };
        let clear = || -> anyhow::Result<usize> {
            let (mut over, now_ns) = (Vec::new(), boot_ns());
            guard.visit(|one| {
                if one.entry.expires_ns <= now_ns {
                    over.push(one.target);
                }
            })?;
            let mut cleared = 0;
            for target in over {
                let mut inner = self.inner();
                // Those that the node knows are swept with a word on what they met.
                if !inner.known.contains_key(&target) {
                    cleared += usize::from(inner.enforcer.clear(target, now_ns)?);
                }
            }
            Ok(cleared)
        };
        match clear() {
            Ok(0) => {}
            Ok(entries) => tracing::info!(entries, "cleared: their leases are over"),
            Err(error) => tracing::warn!(%error, "entries past their lease are not cleared"),
        }
    }
}
