//! Putting the programs on an interface, and taking them off.

mod guard;

use aya::{
    Ebpf,
    programs::{
        LinkOrder, ProgramError, TcAttachType,
        tc::{
            NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact,
        },
    },
    util::KernelVersion,
};

use super::{
    error::KernelError,
    interfaces::InterfaceName,
    object::{TC_EGRESS, TC_GUARD, TC_INGRESS, TC_INGRESS_GUARDED, classifier},
    pin::Pins,
};
use guard::Guard;

/// weir's own place among the filters of a clsact qdisc: early, for a filter before it may end
/// the way of a packet.
const CLSACT_PRIORITY: u16 = 7;
/// weir's own handle there.
const CLSACT_HANDLE: TcHandle = TcHandle::new(0, 0x7765);

/// Requested hook of the guard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpPreference {
    /// In the driver if it can, else in the stack, else at TC ingress.
    #[default]
    Auto,
    /// In the driver, or fail.
    Native,
    /// In the stack before TC, or fail.
    Generic,
    /// At TC ingress.
    TcIngress,
    /// No guard: count only.
    Off,
}

/// Requested hook of the flow programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TcPreference {
    /// TCX where the kernel has it (6.6), else clsact.
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
        pins: Option<&Pins>,
    ) -> Result<Self, KernelError> {
        let ifindex = interface.index()?;
        // The last one to be attached is loaded first: verifying it takes some 100 ms, in which
        // ingress alone would be counted.
        classifier(object, TC_EGRESS)?;
        let tc = match options.tc {
            TcPreference::Auto if has_tcx() => TcHook::Tcx,
            _ => TcHook::Clsact,
        };
        let guard = guard::attach(object, interface, ifindex, options.xdp, tc, pins)?;
        match attach_flows(object, interface, tc, &guard.hook) {
            Ok((ingress, egress)) => Ok(Self {
                attached: Attached {
                    interface: interface.clone(),
                    ifindex,
                    tc,
                    guard: guard.hook.clone(),
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
    let (program, order) = match (guard, tc) {
        (GuardHook::TcIngress { .. }, TcHook::Clsact) => (TC_INGRESS_GUARDED, LinkOrder::first()),
        (GuardHook::TcIngress { .. }, TcHook::Tcx) => {
            let failed = |source| KernelError::Program { program: TC_GUARD, source };
            let guard = classifier(object, TC_GUARD)?;
            (TC_INGRESS, LinkOrder::after_program(guard).map_err(failed)?)
        }
        _ => (TC_INGRESS, LinkOrder::first()),
    };
    let ingress = attach_tc(object, interface, program, TcAttachType::Ingress, order, tc)?;
    let (end, order) = (TcAttachType::Egress, LinkOrder::last());
    let egress = attach_tc(object, interface, TC_EGRESS, end, order, tc)?;
    Ok((ingress, egress))
}

fn attach_tc(
    object: &mut Ebpf,
    interface: &InterfaceName,
    name: &'static str,
    end: TcAttachType,
    order: LinkOrder,
    hook: TcHook,
) -> Result<SchedClassifierLink, KernelError> {
    let program = classifier(object, name)?;
    let failed = |source| KernelError::Program { program: name, source };
    let id = match hook {
        TcHook::Tcx => program
            .attach_with_options(interface.as_str(), end, TcAttachOptions::TcxOrder(order))
            .map_err(failed)?,
        TcHook::Clsact => {
            add_clsact(interface)?;
            clear_own_filter(interface, end);
            let place = NlOptions {
                priority: CLSACT_PRIORITY,
                handle: CLSACT_HANDLE,
                ..NlOptions::default()
            };
            program
                .attach_with_options(interface.as_str(), end, TcAttachOptions::Netlink(place))
                .map_err(failed)?
        }
    };
    program.take_link(id).map_err(failed)
}

/// The kernel has TCX links. One that hides its version is taken for a new one: what it then
/// refuses, it says.
fn has_tcx() -> bool {
    KernelVersion::current().map_or(true, |running| running >= KernelVersion::new(6, 6, 0))
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
        clear_own_filter(interface, end);
    }
}

/// Removes a filter at weir's own place, left by a weir that was killed: filters, unlike links,
/// outlive their process.
fn clear_own_filter(interface: &InterfaceName, end: TcAttachType) {
    let own = SchedClassifierLink::attached(
        interface.as_str(),
        end,
        CLSACT_PRIORITY,
        CLSACT_HANDLE,
        None,
    );
    // Nothing to remove where there is none.
    drop(own);
}
