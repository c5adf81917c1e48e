//! Live: the kernel side as configured, attached and ready to drain.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use model::Window;

mod hotplug;

pub use hotplug::Hotplug;

use crate::{
    clock::boot_ns,
    config::{Config, Mode, XdpChoice},
    drain::Drain,
    enforcer::{Enforcer, KernelEnforcer, Observe},
};
use datapath::{
    AttachOptions, Attached, Blocklist, GuardHook, InterfaceName, InterfaceSelection,
    InterfaceWatch, Kernel, KernelError, KernelOptions, Refused, Sharing, TcHook, XdpPreference,
    gone_namespaces, leftovers, memory_bytes, unpin_since,
};
use hotplug::Follower;

/// The interfaces that were selected.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Those that are watched.
    pub attached: Vec<Attached>,
    /// Those that are there and are not.
    pub refused: BTreeMap<InterfaceName, Refused>,
    /// Network namespaces that are gone and whose pins stay until the next start.
    pub gone_namespaces: usize,
    /// Packets that the kernel dropped by the last window, by its reasons, where they are followed.
    pub kernel_drops: BTreeMap<String, u64>,
}

/// Windows of the kernel.
struct KernelDrain(Arc<Mutex<Kernel>>);

impl Drain for KernelDrain {
    fn drain(&mut self) -> anyhow::Result<Window> {
        Ok(lock(&self.0).drain(boot_ns())?)
    }

    fn glance(&mut self) -> anyhow::Result<Vec<IpAddr>> {
        let remotes = lock(&self.0).glance()?;
        Ok(remotes.into_iter().map(|remote| engine::detector::address(remote.address)).collect())
    }
}

/// A loaded kernel side, shared between the drain and its readers.
#[derive(Debug)]
pub struct Live {
    kernel: Arc<Mutex<Kernel>>,
    blocklist: Blocklist,
    options: KernelOptions,
    mode: Mode,
    attach: AttachOptions,
    /// Knows the interfaces attached from the start; taken by [`Self::follow`].
    watch: Option<InterfaceWatch>,
}

impl Live {
    /// Loads the programs and attaches them to every configured interface that the calling
    /// thread's network namespace has.
    ///
    /// # Errors
    /// No interface is configured, a named one is not there or no one matches; a capability, BTF
    /// or bpffs is missing. Nothing stays attached then.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let patterns = config.require_interfaces()?;
        let selection = InterfaceSelection::new(patterns.iter().cloned());
        selection.resolve()?;
        // From here on: what comes while the programs are loaded is attached by `follow`.
        let watch = InterfaceWatch::new(selection)?;
        anyhow::ensure!(
            watch.known().len() > 0,
            "no interface matches `{}`; `ip -brief link` lists those of this network namespace",
            patterns.join("`, `")
        );
        let options = kernel_options(config);
        let before = options.pin.as_deref().map(leftovers).transpose()?;
        Self::start(config, options.clone(), watch).inspect_err(|_| {
            // What is pinned would outlive this error. The error is what matters: a pin that
            // cannot be removed is told of by `weir doctor`.
            if let (Some(bpffs), Some(before)) = (&options.pin, &before) {
                let _ = unpin_since(bpffs, before);
            }
        })
    }

    fn start(
        config: &Config,
        options: KernelOptions,
        watch: InterfaceWatch,
    ) -> anyhow::Result<Self> {
        let patterns = &config.interfaces;
        let mut kernel = Kernel::load(&options)?;
        if config.raw.capture.kernel_drops
            && let Err(error) = kernel.follow_drops()
        {
            // It guards nobody, and a kernel may lose it with an upgrade.
            tracing::warn!(%error, "`capture.kernel_drops`: the kernel's drops are not counted");
        }
        let attach = AttachOptions { xdp: xdp_preference(config), ..AttachOptions::default() };
        let blocklist = kernel.blocklist();
        for interface in watch.known() {
            match kernel.attach(interface, attach) {
                Ok(attached) => {
                    tracing::info!(interface = %attached.interface, guard = ?attached.guard, "attached");
                }
                // A pattern may mean it; its name does.
                Err(error @ KernelError::LinkType { .. })
                    if !patterns.iter().any(|one| one == interface.as_str()) =>
                {
                    tracing::warn!(%error, "not watched");
                }
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(refused) = kernel.refused().values().next()
            && kernel.attached().next().is_none()
        {
            anyhow::bail!("{}", refused.why);
        }
        // The hooks went in one after the other, so that what was counted meanwhile is half a
        // picture, in which handshakes look unanswered: the watch begins here.
        kernel.drain(boot_ns())?;
        Ok(Self {
            kernel: Arc::new(Mutex::new(kernel)),
            blocklist,
            options,
            mode: config.policy.mode,
            attach,
            watch: Some(watch),
        })
    }

    /// Attaches matching interfaces that come from now on, and lets go of those that vanish;
    /// `tell` gets a line for each. `None` where it is followed already.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn follow(
        &mut self,
        tell: impl Fn(&str) + Send + 'static,
    ) -> std::io::Result<Option<Hotplug>> {
        let Some(watch) = self.watch.take() else { return Ok(None) };
        let follower = Follower {
            kernel: Arc::clone(&self.kernel),
            watch,
            options: self.attach,
            mode: self.mode,
        };
        Hotplug::start(follower, tell).map(Some)
    }

    /// Source of windows for a pipeline.
    #[must_use]
    pub fn drain(&self) -> impl Drain + 'static {
        KernelDrain(Arc::clone(&self.kernel))
    }

    /// Drains one window out of turn.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn drain_once(&self) -> anyhow::Result<Window> {
        Ok(lock(&self.kernel).drain(boot_ns())?)
    }

    /// Enforcer of the configured mode: the one owner of writes to the guard.
    ///
    /// # Errors
    /// The blocklist cannot be read.
    pub fn enforcer(&self, config: &Config) -> anyhow::Result<Box<dyn Enforcer>> {
        Ok(match config.policy.mode {
            Mode::Observe => Box::new(Observe),
            Mode::Shadow | Mode::Enforce => {
                let pps = config.policy.expert.rate_limit_pps;
                Box::new(KernelEnforcer::new(self.blocklist.clone(), pps)?)
            }
        })
    }

    /// The blocklist, for callers without a node: a node's one writer is its enforcer.
    #[must_use]
    pub const fn blocklist(&self) -> &Blocklist {
        &self.blocklist
    }

    /// The interfaces that are watched, and how.
    #[must_use]
    pub fn attached(&self) -> Vec<Attached> {
        lock(&self.kernel).attached().cloned().collect()
    }

    /// Source of the interfaces that are watched and that are not, for later queries.
    #[must_use]
    pub fn interfaces(&self) -> Box<dyn Fn() -> Watched + Send + Sync> {
        let (kernel, bpffs) = (Arc::clone(&self.kernel), self.options.pin.clone());
        Box::new(move || {
            let gone = bpffs.as_deref().map(gone_namespaces);
            let mut kernel = lock(&kernel);
            kernel.look_around();
            let attached = kernel.attached().cloned().collect();
            let gone_namespaces = gone.and_then(Result::ok).unwrap_or(0);
            let kernel_drops = kernel.kernel_drops().into_iter().flatten();
            let kernel_drops =
                kernel_drops.map(|(name, counters)| (name.clone(), counters.packets)).collect();
            Watched { attached, refused: kernel.refused().clone(), gone_namespaces, kernel_drops }
        })
    }

    /// Text for a person: the interfaces watched, the tables' sizes and their memory.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for attached in self.attached() {
            let _ = writeln!(text, "{}", describe(&attached, self.mode));
        }
        let _ = write!(
            text,
            "tables: {} flows and {} peers a window, {} MB of kernel memory",
            self.options.flow_capacity,
            self.options.peer_capacity,
            // How many CPUs share the tables only rounds their sizes.
            memory_bytes(self.options.flow_capacity, self.options.peer_capacity, 1) / 1_000_000,
        );
        text
    }
}

/// An attached interface as a person reads it.
#[must_use]
pub fn describe(attached: &Attached, mode: Mode) -> String {
    let tc = match attached.tc {
        TcHook::Tcx => "TCX",
        TcHook::Clsact => "clsact",
    };
    let guard = guard_name(attached);
    format!("{}: {}, flows at {tc}, guard at {guard}", attached.interface, mode.name())
}

/// Where a guard sits, as a person reads it.
#[must_use]
pub fn guard_name(attached: &Attached) -> String {
    let shared = if attached.sharing == Sharing::Dispatcher { ", shared" } else { "" };
    match &attached.guard {
        GuardHook::XdpNative => format!("XDP (native{shared})"),
        GuardHook::XdpGeneric => format!("XDP (generic{shared})"),
        GuardHook::TcIngress { reason } if reason.is_empty() => "TC ingress".to_owned(),
        GuardHook::TcIngress { reason } => format!("TC ingress, for {reason}"),
        GuardHook::Off => "no hook".to_owned(),
    }
}

fn kernel_options(config: &Config) -> KernelOptions {
    let persists = config.guard.persist && config.policy.mode != Mode::Observe;
    KernelOptions {
        flow_capacity: config.tables.flows,
        peer_capacity: config.tables.peers,
        block_capacity: config.tables.blocks,
        prefix_capacity: config.tables.prefixes,
        stats_slots: config.tables.stats_slots,
        guard_at_egress: config.guard.egress && config.policy.mode != Mode::Observe,
        pin: persists.then(|| config.guard.bpffs.clone()),
        ..KernelOptions::default()
    }
}

/// Observing needs no guard at all; there is nothing it could hold a packet against.
fn xdp_preference(config: &Config) -> XdpPreference {
    match (config.policy.mode, config.guard.xdp) {
        (Mode::Observe, _) => XdpPreference::Off,
        (_, XdpChoice::Auto) => XdpPreference::Auto,
        (_, XdpChoice::Native) => XdpPreference::Native,
        (_, XdpChoice::Exclusive) => XdpPreference::Exclusive,
        (_, XdpChoice::Generic) => XdpPreference::Generic,
        (_, XdpChoice::Off) => XdpPreference::TcIngress,
    }
}

fn lock(kernel: &Mutex<Kernel>) -> MutexGuard<'_, Kernel> {
    // A drain that panicked ends the pipeline; detaching still has to work.
    kernel.lock().unwrap_or_else(PoisonError::into_inner)
}
