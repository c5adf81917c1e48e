//! weir in the kernel: load the programs, attach them, drain windows, keep the blocklist.
//!
//! ```text
//! Kernel::load ─► attach(interface) ─► drain(now) ─► Window
//!             └─► blocklist() ─► insert / remove / list / expire
//! ```
//!
//! A [`Blocklist`] limits services as well ([`Blocklist::limit_service`]): for floods whose
//! sources are forged.
//!
//! [`Kernel`] owns the programs and the flow tables; [`Blocklist`] is a handle of its own on the
//! guard's maps that another task may use at the same time. Dropping the `Kernel` takes the
//! programs off their interfaces; with [`KernelOptions::pin`], the guard stays, so that leases
//! hold over a restart. Nothing here starts a thread or keeps a clock: times are arguments.

use std::{collections::BTreeMap, path::Path};

use aya::Ebpf;
use flows_common::{Direction, FlowCounters, FlowKey, PeerCounters, PeerKey, Window};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod attach;
mod balance;
mod block;
mod blocklist;
mod dispatcher;
mod drain;
mod error;
mod floor;
mod guard_maps;
mod guard_reader;
mod hooks;
mod interfaces;
mod neighbours;
mod netns;
mod object;
mod options;
mod orphan;
mod pin;
mod probe;
mod rtnetlink;
mod service;
mod shards;
mod slots;
pub mod syscall;
mod takeover;
mod target;
mod test_run;
mod trace;
mod types;

pub use attach::{
    AttachOptions, Attached, GuardHook, Sharing, TcHook, TcPreference, XdpPreference,
};
pub use block::{Block, BlockAction, BlockCount, Blocked, RateLimit};
pub use blocklist::{Blocklist, Bulk, Loaded};
pub use error::KernelError;
pub use flows_common::{Scope, TraceCounters, TraceLedger, TracePoint, clock::boot_ns};
pub use guard_reader::GuardReader;
pub use hooks::{TakenOff, stray_guards, take_everything_off};
pub use interfaces::{InterfaceChange, InterfaceName, InterfaceSelection, InterfaceWatch};
pub use neighbours::{Neighbour, neighbours};
pub use object::{OBJECT, Verified, verify};
pub use options::{BLOCK_CAPACITY, KernelOptions, PREFIX_CAPACITY, STATS_SLOTS, TABLE_CAPACITY};
pub use orphan::{Orphan, orphans};
pub use pin::{
    Leftovers, gone_namespaces, is_bpffs, leftovers, leftovers_here, mount_bpffs, unpin, unpin_all,
    unpin_since,
};
pub use probe::{Finding, Severity, missing_capabilities, probe};
pub use service::{LimitedService, Service, ServiceLimit, VerifiedCount};
pub use shards::{capacity_per_cpu, guard_bytes, memory_bytes};
pub use syscall::TestRun;
pub use target::Target;
pub use test_run::SkbContext;
pub use trace::{DropReason, Trace, TraceEndpoint, TraceFilter, Traced, TracedFlow};

use attach::Attachment;
use drain::Drain;
use guard_maps::GuardMaps;
use object::Sizes;
use pin::Pins;
use shards::{Cpus, Shards};

/// Why an interface is not watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The reason.
    pub why: String,
    /// Its frames are none that weir reads: it never will be.
    pub by_type: bool,
}

/// The programs and their tables, loaded.
#[derive(Debug)]
pub struct Kernel {
    attachments: BTreeMap<InterfaceName, Attachment>,
    refused: BTreeMap<InterfaceName, Refused>,
    object: Ebpf,
    sizes: Sizes,
    drain: Drain,
    blocklist: Blocklist,
    /// Packets that the guard had dropped at the end of the last window.
    dropped: u64,
    /// The kernel's own drops, where they are followed, and what they were at the last drain.
    drops: Option<(Trace, BTreeMap<String, TraceCounters>)>,
    pins: Option<Pins>,
}

impl Kernel {
    /// Loads the object and lays out its tables. Nothing is attached yet.
    pub fn load(options: &KernelOptions) -> Result<Self, KernelError> {
        probe::require()?;
        options.check()?;
        let pins = options.pin.as_deref().map(Pins::open).transpose()?;
        let cpus = Cpus::read()?;
        let sizes = Sizes { options: options.clone(), cpus: cpus.possible };
        let object = object::load(&sizes, pins.as_ref())?;
        let flows = Shards::fill::<FlowKey, FlowCounters>(
            object::map(&object, "FLOWS")?,
            "weir_flows",
            options.flow_capacity,
            &cpus,
        )?;
        let peers = Shards::fill::<PeerKey, PeerCounters>(
            object::map(&object, "PEERS")?,
            "weir_peers",
            options.peer_capacity,
            &cpus,
        )?;
        let control = object::map(&object, "CONTROL")?;
        let ledger = object::map(&object, "LEDGER")?;
        let drain = Drain::new(control, ledger, flows, peers, &cpus, boot_ns());
        let guard = GuardMaps::of(&object, options, cpus.possible)?;
        let blocklist = Blocklist::new(guard)?;
        if let Some(pins) = &pins {
            pins.retire_older()?;
        }
        let dropped = blocklist.guard_counters(Direction::Ingress)?.dropped;
        let (attachments, refused) = (BTreeMap::new(), BTreeMap::new());
        let drops = None;
        Ok(Self { attachments, refused, object, sizes, drain, blocklist, dropped, drops, pins })
    }

    /// Attaches the programs to an interface of the calling thread's network namespace.
    ///
    /// A guard that an earlier weir left pinned there, of an older layout too, is replaced in
    /// place: there is no packet that neither holds against the blocklist.
    pub fn attach(
        &mut self,
        interface: &InterfaceName,
        options: AttachOptions,
    ) -> Result<Attached, KernelError> {
        if self.attachments.contains_key(interface) {
            return Err(KernelError::AlreadyAttached { interface: interface.to_string() });
        }
        let (object, pins) = (&mut self.object, self.pins.as_ref());
        let attachment = Attachment::new(object, interface, options, &self.sizes, pins)
            .inspect_err(|error| {
                let by_type = matches!(error, KernelError::LinkType { .. });
                let refused = Refused { why: error.to_string(), by_type };
                self.refused.insert(interface.clone(), refused);
            })?;
        self.refused.remove(interface);
        if let Some(pins) = &self.pins {
            pins.retire_older()?;
        }
        let attached = attachment.attached.clone();
        self.attachments.insert(interface.clone(), attachment);
        Ok(attached)
    }

    /// Takes the programs off an interface, a pinned guard included.
    pub fn detach(&mut self, interface: &InterfaceName) -> Result<(), KernelError> {
        self.refused.remove(interface);
        match self.attachments.remove(interface) {
            Some(attachment) => {
                attachment.detach();
                Ok(())
            }
            None => Err(KernelError::NotAttached { interface: interface.to_string() }),
        }
    }

    /// The interfaces that weir is attached to.
    pub fn attached(&self) -> impl Iterator<Item = &Attached> {
        self.attachments.values().map(|attachment| &attachment.attached)
    }

    /// The interfaces that it was to be attached to and is not, with the reason; one that is detached
    /// or gone is none of them.
    #[must_use]
    pub const fn refused(&self) -> &BTreeMap<InterfaceName, Refused> {
        &self.refused
    }

    /// Ends the running window and hands it over, keys ascending; the next one begins.
    ///
    /// `now_ns` is [`boot_ns`]. Blocks for an RCU grace period (a few to some tens of ms).
    ///
    /// The window is held against the interfaces' own counts
    /// ([`flows_common::Window::unseen_packets`]); call it in the network namespace of the interfaces.
    pub fn drain(&mut self, now_ns: u64) -> Result<Window, KernelError> {
        // Before the buffers change: what comes in between is seen, and not missed.
        let carried: Vec<_> = self
            .attachments
            .values()
            .map(|one| rtnetlink::link_counters(one.attached.ifindex).ok())
            .collect();
        let total = self.blocklist.guard_counters(Direction::Ingress)?.dropped;
        let dropped = total.saturating_sub(std::mem::replace(&mut self.dropped, total));
        let mut window = self.drain.drain(now_ns)?;
        if let Some((trace, drops)) = &mut self.drops {
            *drops = trace.dropped()?;
        }
        let bpffs = bpffs(self.pins.as_ref());
        for (attachment, carried) in self.attachments.values_mut().zip(carried) {
            window.unseen_packets +=
                attachment.settle(&mut self.object, bpffs, carried, &window, dropped);
        }
        Ok(window)
    }

    /// Remotes that knock at many ports so fast in the running window that nothing else has to be known
    /// ([`flows_common::PeerCounters::knocks_fast`]). The window goes on untouched; one system call
    /// where few flows are new.
    pub fn glance(&mut self) -> Result<Vec<PeerKey>, KernelError> {
        self.drain.glance()
    }

    /// Follows what the kernel drops in the calling thread's network namespace from now on.
    ///
    /// # Errors
    /// As for [`Trace::start`].
    pub fn follow_drops(&mut self) -> Result<(), KernelError> {
        let trace = Trace::start(&TraceFilter::of_nobody(), &[TracePoint::Dropped])?;
        self.drops = Some((trace, BTreeMap::new()));
        Ok(())
    }

    /// What the kernel dropped by the last drain, by its reasons; `None` where that is not followed.
    #[must_use]
    pub fn kernel_drops(&self) -> Option<&BTreeMap<String, TraceCounters>> {
        self.drops.as_ref().map(|(_, drops)| drops)
    }

    /// Looks for programs of others on the watched interfaces ([`Attached::neighbours`]).
    pub fn look_around(&mut self) {
        let bpffs = bpffs(self.pins.as_ref());
        for attachment in self.attachments.values_mut() {
            let own = attachment.own_programs(&self.object);
            let found = neighbours(bpffs, &attachment.attached.interface, Some(&own));
            attachment.attached.neighbours = found.unwrap_or_default();
        }
    }

    /// A handle on the blocklist, for another task to use.
    #[must_use]
    pub fn blocklist(&self) -> Blocklist {
        self.blocklist.clone()
    }

    /// Runs a flow program on a frame, `repeat` times; the flow tables count it as often, on
    /// the loopback interface.
    ///
    /// For conformance tests and benches. The kernel refuses frames below 14 bytes.
    pub fn test_run_tc(
        &mut self,
        direction: Direction,
        frame: &[u8],
        context: &SkbContext,
        repeat: u32,
    ) -> Result<TestRun, KernelError> {
        test_run::tc(&mut self.object, direction, frame, context, repeat)
    }

    /// Runs the guard on a frame, `repeat` times; its ledger counts it as often.
    pub fn test_run_xdp(&mut self, frame: &[u8], repeat: u32) -> Result<TestRun, KernelError> {
        test_run::xdp(&mut self.object, frame, repeat)
    }

    /// Entries that one CPU's tables hold: flows, peers.
    #[must_use]
    pub const fn capacity_per_cpu(&self) -> (u32, u32) {
        self.drain.capacity_per_cpu()
    }
}

/// The BPF filesystem with the pins of weir's, or that of others.
fn bpffs(pins: Option<&Pins>) -> &Path {
    pins.map_or(Path::new("/sys/fs/bpf"), |pins| pins.bpffs.as_path())
}
