//! Live: the kernel side as configured, attached and ready to drain.

use std::{
    fmt::Write as _,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use model::Window;

use crate::{
    act::Enforcer,
    clock::boot_ns,
    config::{Config, Mode, XdpChoice},
    kernel::{
        AttachOptions, Attached, Blocklist, GuardHook, InterfaceName, Kernel, KernelOptions,
        TcHook, XdpPreference, memory_bytes,
    },
    pipeline::{Act, Drain, Observe},
};

/// A loaded kernel side, shared between the drain and whoever asks.
#[derive(Debug)]
pub struct Live {
    kernel: Arc<Mutex<Kernel>>,
    blocklist: Blocklist,
    options: KernelOptions,
}

impl Live {
    /// Loads the programs and attaches them to every configured interface of the calling thread's
    /// network namespace.
    ///
    /// # Errors
    /// No interface is configured or one is not there; a capability, BTF or bpffs is missing.
    /// Nothing stays attached then.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let interfaces = config.require_interfaces()?;
        let options = kernel_options(config);
        let mut kernel = Kernel::load(&options)?;
        let attach = AttachOptions { xdp: xdp_preference(config), ..AttachOptions::default() };
        for name in interfaces {
            let attached = kernel.attach(&InterfaceName::new(name)?, attach)?;
            tracing::info!(interface = %attached.interface, guard = ?attached.guard, "attached");
        }
        let blocklist = kernel.blocklist();
        for address in own_addresses()? {
            blocklist.allow(address.into())?;
        }
        for &prefix in config.allow() {
            blocklist.allow(prefix)?;
        }
        Ok(Self { kernel: Arc::new(Mutex::new(kernel)), blocklist, options })
    }

    /// What a pipeline drains.
    #[must_use]
    pub fn drain(&self) -> impl Drain + 'static {
        let kernel = Arc::clone(&self.kernel);
        move || Ok(lock(&kernel).drain(boot_ns())?)
    }

    /// Drains one window out of turn.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn drain_once(&self) -> anyhow::Result<Window> {
        Ok(lock(&self.kernel).drain(boot_ns())?)
    }

    /// What carries decisions out in the configured mode.
    ///
    /// # Errors
    /// The blocklist cannot be read.
    pub fn act(&self, config: &Config) -> anyhow::Result<Box<dyn Act>> {
        Ok(match config.policy.mode {
            Mode::Observe => Box::new(Observe),
            Mode::Shadow | Mode::Enforce => {
                Box::new(Enforcer::new(self.blocklist.clone(), config.policy.rate_limit_pps)?)
            }
        })
    }

    /// The blocklist.
    #[must_use]
    pub const fn blocklist(&self) -> &Blocklist {
        &self.blocklist
    }

    /// The interfaces that are watched, and how.
    #[must_use]
    pub fn attached(&self) -> Vec<Attached> {
        lock(&self.kernel).attached().cloned().collect()
    }

    /// What is watched and what it costs, for a person.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for attached in self.attached() {
            let _ = writeln!(text, "{}", describe(&attached));
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
pub fn describe(attached: &Attached) -> String {
    let tc = match attached.tc {
        TcHook::Tcx => "TCX",
        TcHook::Clsact => "clsact",
    };
    format!("{}: flows at {tc}, guard at {}", attached.interface, guard_name(&attached.guard))
}

/// Where a guard sits, as a person reads it.
#[must_use]
pub fn guard_name(guard: &GuardHook) -> String {
    match guard {
        GuardHook::XdpNative => "XDP (native)".to_owned(),
        GuardHook::XdpGeneric => "XDP (generic)".to_owned(),
        GuardHook::TcIngress { reason } if reason.is_empty() => "TC ingress".to_owned(),
        GuardHook::TcIngress { reason } => format!("TC ingress, for {reason}"),
        GuardHook::Off => "nowhere".to_owned(),
    }
}

/// The addresses of the calling thread's network namespace.
///
/// # Errors
/// The system does not tell them.
pub fn own_addresses() -> anyhow::Result<Vec<IpAddr>> {
    let addresses = nix::ifaddrs::getifaddrs()
        .map_err(|error| anyhow::anyhow!("cannot list this host's own addresses: {error}"))?;
    Ok(addresses
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        })
        .collect())
}

fn kernel_options(config: &Config) -> KernelOptions {
    let persists = config.guard.persist && config.policy.mode != Mode::Observe;
    KernelOptions {
        flow_capacity: config.tables.flows,
        peer_capacity: config.tables.peers,
        block_capacity: config.tables.blocks,
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
        (_, XdpChoice::Generic) => XdpPreference::Generic,
        (_, XdpChoice::Off) => XdpPreference::TcIngress,
    }
}

fn lock(kernel: &Mutex<Kernel>) -> MutexGuard<'_, Kernel> {
    // A drain that panicked ends the pipeline; detaching still has to work.
    kernel.lock().unwrap_or_else(PoisonError::into_inner)
}
