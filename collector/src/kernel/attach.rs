//! Putting the programs on an interface, and taking them off.

use aya::{
    Ebpf,
    programs::{
        LinkOrder, ProgramError, TcAttachType, XdpMode,
        links::{FdLink, PinnedLink},
        tc::{
            NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact,
        },
        xdp::XdpLink,
    },
    sys::SyscallError,
    util::KernelVersion,
};

use super::{
    error::KernelError,
    interfaces::InterfaceName,
    object::{TC_EGRESS, TC_INGRESS, TC_INGRESS_GUARDED, XDP_GUARD, classifier, xdp},
    pin::Pins,
};

/// weir's own place among the filters of a clsact qdisc: early, for a filter before it may end
/// the way of a packet.
const CLSACT_PRIORITY: u16 = 7;
/// weir's own handle there.
const CLSACT_HANDLE: TcHandle = TcHandle::new(0, 0x7765);

/// Where the guard is to sit.
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
    /// Nowhere: count only.
    Off,
}

/// Which hook the flow programs use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TcPreference {
    /// TCX where the kernel has it (6.6), else clsact.
    #[default]
    Auto,
    /// A filter of a clsact qdisc.
    Clsact,
}

/// How an interface is to be attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttachOptions {
    /// Where the guard is to sit.
    pub xdp: XdpPreference,
    /// Which hook the flow programs use.
    pub tc: TcPreference,
}

/// Where the flow programs sit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcHook {
    /// TCX links: first on ingress, last on egress, so that weir sees what the interface counts.
    Tcx,
    /// Filters of a clsact qdisc.
    Clsact,
}

/// Where the guard sits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuardHook {
    /// XDP in the driver.
    XdpNative,
    /// XDP in the stack.
    XdpGeneric,
    /// TC ingress, and why not XDP.
    TcIngress {
        /// Why not XDP; empty where it was not asked for.
        reason: String,
    },
    /// Nowhere.
    Off,
}

/// An interface that weir is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Its name when it was attached.
    pub interface: InterfaceName,
    /// Its index: what flow keys carry.
    pub ifindex: u32,
    /// Where the flow programs sit.
    pub tc: TcHook,
    /// Where the guard sits.
    pub guard: GuardHook,
}

/// What keeps an interface attached; dropping it takes the programs off, except a pinned XDP
/// link.
#[derive(Debug)]
pub(super) struct Attachment {
    pub(super) attached: Attached,
    _ingress: SchedClassifierLink,
    _egress: SchedClassifierLink,
    guard: Option<XdpHold>,
}

#[derive(Debug)]
enum XdpHold {
    Own { _link: XdpLink },
    Pinned(PinnedLink),
}

impl Attachment {
    /// Attaches the guard and both flow programs; where one fails, none stays.
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
        let (guard_hook, guard) = attach_guard(object, interface, ifindex, options.xdp, pins)?;
        let ingress_program = match guard_hook {
            GuardHook::TcIngress { .. } => TC_INGRESS_GUARDED,
            _ => TC_INGRESS,
        };
        let tc = match options.tc {
            TcPreference::Auto if has_tcx() => TcHook::Tcx,
            _ => TcHook::Clsact,
        };
        let mut ends = [
            (ingress_program, TcAttachType::Ingress, LinkOrder::first()),
            (TC_EGRESS, TcAttachType::Egress, LinkOrder::last()),
        ]
        .into_iter()
        .map(|(program, end, order)| attach_tc(object, interface, program, end, order, tc));
        let (Some(ingress), Some(egress)) = (ends.next(), ends.next()) else {
            unreachable!("two ends");
        };
        drop(ends);
        let tied = ingress.and_then(|ingress| egress.map(|egress| (ingress, egress)));
        let (ingress, egress) = match tied {
            Ok(links) => links,
            Err(error) => {
                release(guard, true);
                return Err(error);
            }
        };
        Ok(Self {
            attached: Attached { interface: interface.clone(), ifindex, tc, guard: guard_hook },
            _ingress: ingress,
            _egress: egress,
            guard,
        })
    }

    /// Takes everything off, a pinned XDP link included.
    pub(super) fn detach(mut self) {
        release(self.guard.take(), true);
    }
}

/// Lets go of the XDP link; a pinned one stays attached unless it is to be unpinned.
fn release(guard: Option<XdpHold>, unpin: bool) {
    match guard {
        Some(XdpHold::Pinned(link)) if unpin => drop(link.unpin()),
        other => drop(other),
    }
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

/// Adds a clsact qdisc unless there is one; it is nobody's, and stays.
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
    // Where there is none, there is nothing to remove.
    drop(own);
}

fn attach_guard(
    object: &mut Ebpf,
    interface: &InterfaceName,
    ifindex: u32,
    preference: XdpPreference,
    pins: Option<&Pins>,
) -> Result<(GuardHook, Option<XdpHold>), KernelError> {
    let modes: &[XdpMode] = match preference {
        XdpPreference::Off | XdpPreference::TcIngress => &[],
        XdpPreference::Native => &[XdpMode::Driver],
        XdpPreference::Generic => &[XdpMode::Skb],
        XdpPreference::Auto => &[XdpMode::Driver, XdpMode::Skb],
    };
    if let Some(held) = take_over(object, ifindex, modes, pins)? {
        return Ok(held);
    }
    match preference {
        XdpPreference::Off => return Ok((GuardHook::Off, None)),
        XdpPreference::TcIngress => {
            return Ok((GuardHook::TcIngress { reason: String::new() }, None));
        }
        _ => {}
    }
    let mut refusals = Vec::new();
    for &mode in modes {
        let program = xdp(object)?;
        match program.attach_to_if_index(ifindex, mode) {
            Ok(id) => return hold(object, id, ifindex, mode, pins),
            Err(error) if is_occupied(&error) => {
                if preference == XdpPreference::Auto {
                    let reason = "another XDP program owns the interface".to_owned();
                    return Ok((GuardHook::TcIngress { reason }, None));
                }
                return Err(KernelError::XdpOccupied { interface: interface.to_string() });
            }
            Err(error) => refusals.push((mode, error)),
        }
    }
    if preference == XdpPreference::Auto {
        let reason = refusals
            .iter()
            .map(|(mode, error)| format!("{} XDP: {}", mode_name(*mode), root_cause(error)))
            .collect::<Vec<_>>()
            .join("; ");
        return Ok((GuardHook::TcIngress { reason }, None));
    }
    let (mode, source) = refusals.pop().unwrap_or((XdpMode::Driver, ProgramError::NotAttached));
    Err(KernelError::XdpRefused { interface: interface.to_string(), mode: mode_name(mode), source })
}

/// Puts the program into the XDP link that an earlier weir left pinned, without a gap. A link in
/// a mode that is not asked for goes, and so does one whose interface is gone.
fn take_over(
    object: &mut Ebpf,
    ifindex: u32,
    modes: &[XdpMode],
    pins: Option<&Pins>,
) -> Result<Option<(GuardHook, Option<XdpHold>)>, KernelError> {
    let Some(pins) = pins else { return Ok(None) };
    for mode in [XdpMode::Driver, XdpMode::Skb] {
        let Some(link) = pins.xdp_link(ifindex, mode) else { continue };
        if modes.contains(&mode)
            && let Ok(id) = xdp(object)?.attach_to_link(link)
        {
            return hold(object, id, ifindex, mode, Some(pins)).map(Some);
        }
        pins.forget_xdp_link(ifindex, mode);
    }
    Ok(None)
}

/// Takes the link over, and pins it where pins are asked for.
fn hold(
    object: &mut Ebpf,
    id: aya::programs::xdp::XdpLinkId,
    ifindex: u32,
    mode: XdpMode,
    pins: Option<&Pins>,
) -> Result<(GuardHook, Option<XdpHold>), KernelError> {
    let failed = |source| KernelError::Program { program: XDP_GUARD, source };
    let link = xdp(object)?.take_link(id).map_err(failed)?;
    let hook = match mode {
        XdpMode::Skb => GuardHook::XdpGeneric,
        _ => GuardHook::XdpNative,
    };
    let held = match pins {
        Some(pins) => XdpHold::Pinned(pins.keep_xdp_link(FdLink::try_from(link), ifindex, mode)?),
        None => XdpHold::Own { _link: link },
    };
    Ok((hook, Some(held)))
}

/// `native` or `generic`, as the documentation says.
pub(super) const fn mode_name(mode: XdpMode) -> &'static str {
    match mode {
        XdpMode::Skb => "generic",
        _ => "native",
    }
}

/// The kernel says busy of a mode that is taken, and that it exists of the other mode.
fn is_occupied(error: &ProgramError) -> bool {
    let code = match error {
        ProgramError::SyscallError(SyscallError { io_error, .. }) => io_error.raw_os_error(),
        _ => None,
    };
    matches!(code, Some(libc::EBUSY | libc::EEXIST))
}

/// The last of an error's causes: what the kernel said.
fn root_cause(error: &ProgramError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
