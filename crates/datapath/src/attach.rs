//! Putting the programs on an interface, and taking them off.

mod guard;

use std::path::Path;

use aya::{
    Ebpf,
    programs::{
        LinkOrder, ProgramError, TcAttachType,
        tc::{
            NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact,
        },
    },
};

use flows_common::{Direction, Window};

use super::{
    balance::Balance,
    boot_ns,
    error::KernelError,
    interfaces::InterfaceName,
    neighbours::{Neighbour, neighbours},
    object::{Sizes, TcPrograms, classifier},
    pin::Pins,
    rtnetlink::{LinkCounters, link_counters, link_layer},
    syscall,
};
use guard::{Guard, Site};

/// weir's own places among the filters of one end of a clsact qdisc, in the order in which a packet
/// meets them: early, for a filter before them may end its way.
mod priority {
    /// The guard at ingress, and what counts at egress.
    pub(super) const FIRST: u16 = 7;
    /// What counts at ingress: behind the guard.
    pub(super) const SECOND: u16 = 8;
}
/// weir's own handle there.
const CLSACT_HANDLE: TcHandle = TcHandle::new(0, 0x7765);

/// Requested hook of the guard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpPreference {
    /// In the driver if it can, else at TC ingress.
    #[default]
    Auto,
    /// In the driver, or fail.
    Native,
    /// In the driver with no other program beside it, or fail.
    Exclusive,
    /// In the stack before TC, or fail. The stack copies a packet without room before it, as most
    /// drivers deliver them.
    Generic,
    /// At TC ingress.
    TcIngress,
    /// No guard: count only.
    Off,
}

/// Requested hook of the flow programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TcPreference {
    /// TCX where the kernel answers for it (6.6), else clsact.
    #[default]
    Auto,
    /// A filter of a clsact qdisc.
    Clsact,
}

/// Options for attaching an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttachOptions {
    /// Hook of the guard.
    pub xdp: XdpPreference,
    /// Hook of the flow programs.
    pub tc: TcPreference,
}

/// Hook in use by the flow programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcHook {
    /// TCX links: first on ingress, last on egress, so that weir sees what the interface counts.
    Tcx,
    /// Filters of a clsact qdisc.
    Clsact,
}

/// Hook in use by the guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuardHook {
    /// XDP in the driver.
    XdpNative,
    /// XDP in the stack.
    XdpGeneric,
    /// TC ingress, and why not XDP. The only one for frames without an Ethernet header.
    TcIngress {
        /// Reason for not using XDP; empty where it was not asked for.
        reason: String,
    },
    /// No guard.
    Off,
}

/// Who may come to the guard's XDP hook beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Any program, by libxdp's dispatcher.
    Dispatcher,
    /// None, and why.
    Exclusive {
        /// Reason for not sharing the hook; empty where that was asked for.
        reason: String,
    },
    /// The guard sits at no XDP hook.
    NoXdp,
}

/// An interface that weir is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Its name when it was attached.
    pub interface: InterfaceName,
    /// Its index: what flow keys carry.
    pub ifindex: u32,
    /// Hook of the flow programs.
    pub tc: TcHook,
    /// Hook of the guard.
    pub guard: GuardHook,
    /// Others on that hook.
    pub sharing: Sharing,
    /// Packets that crossed it unseen since it is watched, by direction.
    pub unseen: [u64; 2],
    /// Programs of others on it, as of the last [`crate::Kernel::look_around`].
    pub neighbours: Vec<Neighbour>,
}

/// Links of an attached interface; dropping them takes the programs off, except a pinned guard.
#[derive(Debug)]
pub(super) struct Attachment {
    pub(super) attached: Attached,
    programs: TcPrograms,
    /// Links of the flow programs, by direction; none where one could not be attached anew.
    flows: [Option<SchedClassifierLink>; 2],
    guard: Guard,
    /// `None` where the interface does not tell its counts.
    balance: Option<Balance>,
    /// Packets go by unseen, and it was said.
    is_blind: bool,
}

impl Attachment {
    /// Attaches the guard and both flow programs; where one fails, none stays but a guard that
    /// was there before.
    pub(super) fn new(
        object: &mut Ebpf,
        interface: &InterfaceName,
        options: AttachOptions,
        sizes: &Sizes,
        pins: Option<&Pins>,
    ) -> Result<Self, KernelError> {
        let ifindex = interface.index()?;
        let link = link_layer(interface, ifindex)?;
        let programs = TcPrograms::of(link);
        // The last one to be attached is loaded first: verifying it takes some 100 ms, in which
        // ingress alone would be counted.
        classifier(object, programs.egress)?;
        let tc = match options.tc {
            TcPreference::Auto => tc_hook(interface, ifindex),
            TcPreference::Clsact => TcHook::Clsact,
        };
        let site = Site { interface, ifindex, link, tc, sizes, pins };
        let guard = site.attach(object, options.xdp)?;
        match attach_flows(object, interface, programs, tc, &guard.hook) {
            Ok(flows) => Ok(Self {
                attached: Attached {
                    interface: interface.clone(),
                    ifindex,
                    tc,
                    guard: guard.hook.clone(),
                    sharing: guard.sharing.clone(),
                    unseen: [0; 2],
                    neighbours: Vec::new(),
                },
                programs,
                flows: flows.map(Some),
                guard,
                balance: link_counters(ifindex)
                    .ok()
                    .map(|counters| Balance::new(boot_ns(), counters)),
                is_blind: false,
            }),
            Err(error) => {
                guard.undo();
                Err(error)
            }
        }
    }

    /// Takes everything off, a pinned guard included.
    pub(super) fn detach(self) {
        self.guard.detach();
    }

    /// Holds a window against the interface's own counts at its end; tells how many packets crossed it
    /// unseen, and puts a flow program first in its chain where others let packets past it.
    pub(super) fn settle(
        &mut self,
        object: &mut Ebpf,
        bpffs: &Path,
        counters: Option<LinkCounters>,
        window: &Window,
        dropped: u64,
    ) -> u64 {
        let (Some(balance), Some(counters)) = (&mut self.balance, counters) else { return 0 };
        let ifindex = self.attached.ifindex;
        let mut missing = balance.settle(counters, ifindex, window, dropped);
        if missing == [0; 2] {
            self.is_blind = false;
            return 0;
        }
        let own = self.own_programs(object);
        let others = neighbours(bpffs, &self.attached.interface, Some(&own)).unwrap_or_default();
        if others.iter().any(Neighbour::is_at_xdp) {
            // What another XDP program keeps never comes to the host.
            missing[0] = 0;
        }
        let sum = missing[0].saturating_add(missing[1]);
        if sum > 0 && !self.is_blind {
            self.tell(missing, &others);
        }
        self.is_blind = sum > 0;
        for way in Direction::ALL {
            let missing = missing[way.index()];
            let unseen = &mut self.attached.unseen[way.index()];
            *unseen = unseen.saturating_add(missing);
            if missing > 0
                && let Err(error) = self.put_first(object, way, &own)
            {
                tracing::error!(interface = %self.attached.interface, %error, "not put first");
            }
        }
        sum
    }

    /// The programs of this object that are loaded, and the guard behind a dispatcher.
    pub(super) fn own_programs(&self, object: &Ebpf) -> Vec<u32> {
        let loaded = object.programs().filter_map(|(_, program)| program.info().ok());
        loaded.map(|info| info.id()).chain(self.guard.shared_program()).collect()
    }

    fn tell(&self, [received, sent]: [u64; 2], others: &[Neighbour]) {
        let before: Vec<String> =
            others.iter().filter(|one| one.is_before).map(ToString::to_string).collect();
        tracing::warn!(
            interface = %self.attached.interface, received, sent, before = before.join(", "),
            "packets cross the interface unseen: nothing is acted on in such a window"
        );
    }

    /// Puts a flow program before those of others in its TCX chain; the kernel takes a program once,
    /// so that it is off for a moment in which it would see nothing anyway. Where the guard is a link
    /// of the same chain, it stays behind the guard.
    fn put_first(
        &mut self,
        object: &mut Ebpf,
        way: Direction,
        own: &[u32],
    ) -> Result<(), KernelError> {
        let guarded = matches!(self.attached.guard, GuardHook::TcIngress { .. });
        if self.attached.tc == TcHook::Clsact || (guarded && way == Direction::Ingress) {
            return Ok(());
        }
        let chain = syscall::query_tcx(self.attached.ifindex, way).unwrap_or_default();
        if chain.first().is_some_and(|first| own.contains(first)) {
            return Ok(());
        }
        let (name, end) = match way {
            Direction::Ingress => (self.programs.ingress, TcAttachType::Ingress),
            Direction::Egress => (self.programs.egress, TcAttachType::Egress),
        };
        drop(self.flows[way.index()].take());
        let first = TcAttachOptions::TcxOrder(LinkOrder::first());
        let link = attach_tc(object, &self.attached.interface, name, end, first)?;
        self.flows[way.index()] = Some(link);
        tracing::warn!(interface = %self.attached.interface, program = name, "now first in its chain");
        Ok(())
    }
}

/// Attaches what counts: what the guard drops must not come that far.
fn attach_flows(
    object: &mut Ebpf,
    interface: &InterfaceName,
    programs: TcPrograms,
    tc: TcHook,
    guard: &GuardHook,
) -> Result<[SchedClassifierLink; 2], KernelError> {
    let guarded = matches!(guard, GuardHook::TcIngress { .. });
    let (ingress, egress) = match tc {
        TcHook::Tcx => {
            let failed = |source| KernelError::Program { program: programs.guard, source };
            let order = if guarded {
                LinkOrder::after_program(classifier(object, programs.guard)?).map_err(failed)?
            } else {
                LinkOrder::first()
            };
            (TcAttachOptions::TcxOrder(order), TcAttachOptions::TcxOrder(LinkOrder::last()))
        }
        TcHook::Clsact => {
            if !guarded {
                clear_own_filter(interface, TcAttachType::Ingress, priority::FIRST);
            }
            (filter(priority::SECOND), filter(priority::FIRST))
        }
    };
    let ingress = attach_tc(object, interface, programs.ingress, TcAttachType::Ingress, ingress)?;
    let egress = attach_tc(object, interface, programs.egress, TcAttachType::Egress, egress)?;
    Ok([ingress, egress])
}

/// A filter at one of weir's own places.
fn filter(priority: u16) -> TcAttachOptions {
    TcAttachOptions::Netlink(NlOptions { priority, handle: CLSACT_HANDLE, ..NlOptions::default() })
}

/// Attaches a TC program; what a killed weir left at the place of a filter goes first.
fn attach_tc(
    object: &mut Ebpf,
    interface: &InterfaceName,
    name: &'static str,
    end: TcAttachType,
    place: TcAttachOptions,
) -> Result<SchedClassifierLink, KernelError> {
    let program = classifier(object, name)?;
    let failed = |source| KernelError::Program { program: name, source };
    if let TcAttachOptions::Netlink(NlOptions { priority, .. }) = &place {
        add_clsact(interface)?;
        clear_own_filter(interface, end, *priority);
    }
    let id = program.attach_with_options(interface.as_str(), end, place).map_err(failed)?;
    program.take_link(id).map_err(failed)
}

/// The hook of the flow programs: TCX where the kernel answers for it.
fn tc_hook(interface: &InterfaceName, ifindex: u32) -> TcHook {
    match syscall::query_tcx(ifindex, Direction::Ingress) {
        Ok(_) => TcHook::Tcx,
        Err(error) => {
            tracing::info!(%interface, %error, "no TCX to be had: clsact filters are used");
            TcHook::Clsact
        }
    }
}

/// Adds a clsact qdisc unless there is one; other filters may share it, so it stays.
fn add_clsact(interface: &InterfaceName) -> Result<(), KernelError> {
    match qdisc_add_clsact(interface.as_str()) {
        Ok(()) | Err(TcError::AlreadyAttached) => Ok(()),
        Err(error) if is_exists(&error) => Ok(()),
        Err(error) => {
            Err(KernelError::Program { program: "clsact", source: ProgramError::TcError(error) })
        }
    }
}

fn is_exists(error: &TcError) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<std::io::Error>())
        .is_some_and(|error| error.raw_os_error() == Some(libc::EEXIST))
        || error.to_string().contains("File exists")
}

/// Removes weir's filters from both ends of an interface.
pub(super) fn clear_own_filters(interface: &InterfaceName) {
    for end in [TcAttachType::Ingress, TcAttachType::Egress] {
        for priority in [priority::FIRST, priority::SECOND] {
            clear_own_filter(interface, end, priority);
        }
    }
}

/// Removes a filter at one of weir's own places, left by a weir that was killed: filters, unlike
/// links, outlive their process.
fn clear_own_filter(interface: &InterfaceName, end: TcAttachType, priority: u16) {
    let own = SchedClassifierLink::attached(interface.as_str(), end, priority, CLSACT_HANDLE, None);
    // Nothing to remove where there is none.
    drop(own);
}
