//! Putting the programs on an interface, and taking them off.

mod guard;

use std::path::PathBuf;

use aya::{
    Ebpf,
    programs::{
        LinkOrder, ProgramError, TcAttachType,
        tc::{
            NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact,
        },
    },
};

use super::{
    error::KernelError,
    hooks::{OnHook, xdp_programs},
    interfaces::InterfaceName,
    object::{Sizes, TC_EGRESS, TC_GUARD, TC_INGRESS, classifier},
    pin::Pins,
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
    /// In the stack before TC, or fail. The stack copies a frame without room before it, as most
    /// drivers deliver them, and Linux 6.18 then shows TC the copy without its Ethernet header: the
    /// flow programs count it as no IP.
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
    /// TC ingress, and why not XDP.
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
    Dispatcher {
        /// The BPF filesystem on which they find each other.
        bpffs: PathBuf,
    },
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
}

impl Attached {
    /// The programs that share the XDP hook, in the order in which they run, or none where it is not
    /// shared. weir's is not among them where another program took it off.
    ///
    /// # Errors
    /// As for [`xdp_programs`].
    pub fn on_hook(&self) -> Result<Vec<OnHook>, KernelError> {
        match &self.sharing {
            Sharing::Dispatcher { bpffs } => xdp_programs(bpffs, &self.interface),
            _ => Ok(Vec::new()),
        }
    }
}

/// Links of an attached interface; dropping them takes the programs off, except a pinned guard.
#[derive(Debug)]
pub(super) struct Attachment {
    pub(super) attached: Attached,
    _ingress: SchedClassifierLink,
    _egress: SchedClassifierLink,
    guard: Guard,
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
        // The last one to be attached is loaded first: verifying it takes some 100 ms, in which
        // ingress alone would be counted.
        classifier(object, TC_EGRESS)?;
        let tc = match options.tc {
            TcPreference::Auto => tc_hook(interface, ifindex),
            TcPreference::Clsact => TcHook::Clsact,
        };
        let guard = Site { interface, ifindex, tc, sizes, pins }.attach(object, options.xdp)?;
        match attach_flows(object, interface, tc, &guard.hook) {
            Ok((ingress, egress)) => Ok(Self {
                attached: Attached {
                    interface: interface.clone(),
                    ifindex,
                    tc,
                    guard: guard.hook.clone(),
                    sharing: guard.sharing.clone(),
                },
                _ingress: ingress,
                _egress: egress,
                guard,
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
}

/// Attaches what counts: what the guard drops must not come that far.
fn attach_flows(
    object: &mut Ebpf,
    interface: &InterfaceName,
    tc: TcHook,
    guard: &GuardHook,
) -> Result<(SchedClassifierLink, SchedClassifierLink), KernelError> {
    let guarded = matches!(guard, GuardHook::TcIngress { .. });
    let (ingress, egress) = match tc {
        TcHook::Tcx => {
            let failed = |source| KernelError::Program { program: TC_GUARD, source };
            let order = if guarded {
                LinkOrder::after_program(classifier(object, TC_GUARD)?).map_err(failed)?
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
    let ingress = attach_tc(object, interface, TC_INGRESS, TcAttachType::Ingress, ingress)?;
    let egress = attach_tc(object, interface, TC_EGRESS, TcAttachType::Egress, egress)?;
    Ok((ingress, egress))
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
    match syscall::query_tcx(ifindex) {
        Ok(()) => TcHook::Tcx,
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
