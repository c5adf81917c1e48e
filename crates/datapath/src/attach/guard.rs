//! Putting the guard on an interface, or taking over the one that is there.

use aya::{
    Ebpf,
    programs::{
        LinkOrder, ProgramError, TcAttachType, XdpMode,
        links::{FdLink, LinkError, PinnedLink},
        tc::{SchedClassifierLink, TcAttachOptions},
        xdp::XdpLink,
    },
    sys::SyscallError,
};
use flows_common::parse::LinkLayer;

use super::{GuardHook, TcHook, XdpPreference};
use crate::{
    error::KernelError,
    hooks::settle_strays,
    interfaces::InterfaceName,
    object::{TC_GUARD, TcPrograms, classifier, xdp, xdp_guard},
    pin::{GuardPin, Pins, mode_name},
};

/// Why no XDP program sits on a bare link: none of their drivers has XDP, and generic XDP is no
/// earlier than TC.
const NO_ETHERNET: &str = "its frames have no Ethernet header";

/// Link that keeps the guard on an interface.
#[derive(Debug)]
pub(super) enum Hold {
    /// A link that goes with the process.
    Xdp { _link: XdpLink },
    /// Likewise at TC ingress.
    Tc { _link: SchedClassifierLink },
    /// A link that stays.
    Pinned(PinnedLink),
}

/// The guard on an interface.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) hook: GuardHook,
    /// `None` where there is no guard.
    hold: Option<Hold>,
    /// An earlier weir had put it there.
    taken_over: bool,
}

impl Guard {
    /// Takes a pinned guard off.
    pub(super) fn detach(self) {
        if let Some(Hold::Pinned(link)) = self.hold {
            // `weir doctor` reports a link that cannot be unpinned.
            drop(link.unpin());
        }
    }

    /// Undoes what [`attach`] did: a guard that an earlier weir had put there stays.
    pub(super) fn undo(self) {
        if !self.taken_over {
            self.detach();
        }
    }
}

/// Attaches the guard. A pinned one at a hook that is not asked for any more goes once the new
/// one is there, except that the kernel takes one XDP mode at a time.
pub(super) fn attach(
    object: &mut Ebpf,
    interface: &InterfaceName,
    (ifindex, link): (u32, LinkLayer),
    preference: XdpPreference,
    tc: TcHook,
    pins: Option<&Pins>,
) -> Result<Guard, KernelError> {
    // Where the kernel takes no XDP program at all, or none that finds an Ethernet header would do, TC
    // does without one that insists.
    let refusal = match (preference, link) {
        (XdpPreference::Auto, LinkLayer::Ethernet) => xdp(object, XdpMode::Driver)
            .err()
            .filter(|error| matches!(error, KernelError::Rejected { .. }))
            .map(|error| error.to_string()),
        (XdpPreference::Auto, LinkLayer::Bare) => Some(NO_ETHERNET.to_owned()),
        (XdpPreference::TcIngress, LinkLayer::Bare) => Some(String::new()),
        (XdpPreference::Native | XdpPreference::Generic, LinkLayer::Bare) => {
            let mode = if preference == XdpPreference::Native { "native" } else { "generic" };
            let source = ProgramError::IOError(std::io::Error::other(NO_ETHERNET));
            return Err(KernelError::XdpRefused { interface: interface.to_string(), mode, source });
        }
        _ => None,
    };
    let modes: &[XdpMode] = match preference {
        _ if refusal.is_some() => &[],
        XdpPreference::Off | XdpPreference::TcIngress => &[],
        XdpPreference::Native | XdpPreference::Auto => &[XdpMode::Driver],
        XdpPreference::Generic => &[XdpMode::Skb],
    };
    if preference != XdpPreference::Off {
        settle_strays(interface, ifindex, pins)?;
    }
    let (guard, place) = match take_over_xdp(object, ifindex, modes, pins)? {
        Some((guard, mode)) => (guard, Some(GuardPin::Xdp(mode))),
        None => match refusal {
            Some(reason) => {
                let hook = GuardHook::TcIngress { reason };
                let name = TcPrograms::of(link).guard;
                attach_tc(object, name, interface, ifindex, tc, pins, hook)?
            }
            None => attach_anew(object, interface, ifindex, preference, modes, tc, pins)?,
        },
    };
    if let Some(pins) = pins {
        for other in GuardPin::ALL.into_iter().filter(|&other| Some(other) != place) {
            pins.forget_link(ifindex, other);
        }
    }
    Ok(guard)
}

/// Puts the program into the XDP link that an earlier weir left pinned, without a gap.
fn take_over_xdp(
    object: &mut Ebpf,
    ifindex: u32,
    modes: &[XdpMode],
    pins: Option<&Pins>,
) -> Result<Option<(Guard, XdpMode)>, KernelError> {
    let Some(pins) = pins else { return Ok(None) };
    for &mode in modes {
        let Some(link) = pins.link(ifindex, GuardPin::Xdp(mode)) else { continue };
        let Ok(link) = XdpLink::try_from(link) else { continue };
        match xdp(object, mode)?.attach_to_link(link) {
            Ok(id) => {
                let hold = hold_xdp(object, id, ifindex, mode, Some(pins))?;
                let guard = Guard { hook: hook_of(mode), hold: Some(hold), taken_over: true };
                return Ok(Some((guard, mode)));
            }
            // That of an interface which is gone, and whose index another has now.
            Err(error) => tracing::warn!(
                ifindex, mode = mode_name(mode), error = %root_cause(&error),
                "the pinned link does not take the new program: it is attached anew"
            ),
        }
    }
    Ok(None)
}

fn attach_anew(
    object: &mut Ebpf,
    interface: &InterfaceName,
    ifindex: u32,
    preference: XdpPreference,
    modes: &[XdpMode],
    tc: TcHook,
    pins: Option<&Pins>,
) -> Result<(Guard, Option<GuardPin>), KernelError> {
    if preference == XdpPreference::Off {
        return Ok((Guard { hook: GuardHook::Off, hold: None, taken_over: false }, None));
    }
    if let Some(pins) = pins.filter(|_| !modes.is_empty()) {
        // A link in another mode, or one that took no program, stands in the way.
        for mode in [XdpMode::Driver, XdpMode::Skb] {
            pins.forget_link(ifindex, GuardPin::Xdp(mode));
        }
    }
    let mut refusals = Vec::new();
    let mut occupied = false;
    for &mode in modes {
        match xdp(object, mode)?.attach_to_if_index(ifindex, mode) {
            Ok(id) => {
                let hold = Some(hold_xdp(object, id, ifindex, mode, pins)?);
                let guard = Guard { hook: hook_of(mode), hold, taken_over: false };
                return Ok((guard, Some(GuardPin::Xdp(mode))));
            }
            Err(error) if is_occupied(&error) => {
                occupied = true;
                break;
            }
            Err(error) => refusals.push((mode, error)),
        }
    }
    let reason = match preference {
        XdpPreference::Native | XdpPreference::Generic if occupied => {
            return Err(KernelError::XdpOccupied { interface: interface.to_string() });
        }
        XdpPreference::Native | XdpPreference::Generic => {
            let (mode, source) =
                refusals.pop().unwrap_or((XdpMode::Driver, ProgramError::NotAttached));
            let (interface, mode) = (interface.to_string(), mode_name(mode));
            return Err(KernelError::XdpRefused { interface, mode, source });
        }
        _ if occupied => "another XDP program owns the interface".to_owned(),
        _ => refusals
            .iter()
            .map(|(mode, error)| format!("{} XDP: {}", mode_name(*mode), root_cause(error)))
            .collect::<Vec<_>>()
            .join("; "),
    };
    let hook = GuardHook::TcIngress { reason };
    attach_tc(object, TC_GUARD, interface, ifindex, tc, pins, hook)
}

/// The guard at TC ingress: a program of its own, so that its link can be pinned without the flow
/// tables of a process that is gone. A clsact filter is no link.
fn attach_tc(
    object: &mut Ebpf,
    name: &'static str,
    interface: &InterfaceName,
    ifindex: u32,
    tc: TcHook,
    pins: Option<&Pins>,
    hook: GuardHook,
) -> Result<(Guard, Option<GuardPin>), KernelError> {
    if tc == TcHook::Clsact {
        let (end, place) = (TcAttachType::Ingress, super::filter(super::priority::FIRST));
        let link = super::attach_tc(object, interface, name, end, place)?;
        return Ok((Guard { hook, hold: Some(Hold::Tc { _link: link }), taken_over: false }, None));
    }
    let failed = |source| KernelError::Program { program: name, source };
    let program = classifier(object, name)?;
    let left = pins
        .and_then(|pins| pins.link(ifindex, GuardPin::Tcx))
        .and_then(|link| SchedClassifierLink::try_from(link).ok())
        .and_then(|link| program.attach_to_link(link).ok());
    let taken_over = left.is_some();
    let id = if let Some(id) = left {
        id
    } else {
        if let Some(pins) = pins {
            // That of an interface which is gone, and whose index another has now.
            pins.forget_link(ifindex, GuardPin::Tcx);
        }
        let first = TcAttachOptions::TcxOrder(LinkOrder::first());
        program
            .attach_with_options(interface.as_str(), TcAttachType::Ingress, first)
            .map_err(failed)?
    };
    let link = program.take_link(id).map_err(failed)?;
    let Some(pins) = pins else {
        return Ok((Guard { hook, hold: Some(Hold::Tc { _link: link }), taken_over }, None));
    };
    let link = FdLink::try_from(link).map_err(|error| not_a_link(name, error))?;
    let hold = Hold::Pinned(pins.keep_link(link, ifindex, GuardPin::Tcx)?);
    Ok((Guard { hook, hold: Some(hold), taken_over }, Some(GuardPin::Tcx)))
}

/// Takes the link over, and pins it where pins are asked for.
fn hold_xdp(
    object: &mut Ebpf,
    id: aya::programs::xdp::XdpLinkId,
    ifindex: u32,
    mode: XdpMode,
    pins: Option<&Pins>,
) -> Result<Hold, KernelError> {
    let name = xdp_guard(mode);
    let failed = |source| KernelError::Program { program: name, source };
    let link = xdp(object, mode)?.take_link(id).map_err(failed)?;
    let Some(pins) = pins else { return Ok(Hold::Xdp { _link: link }) };
    let link = FdLink::try_from(link).map_err(|error| not_a_link(name, error))?;
    Ok(Hold::Pinned(pins.keep_link(link, ifindex, GuardPin::Xdp(mode))?))
}

fn not_a_link(program: &'static str, error: LinkError) -> KernelError {
    KernelError::Program { program, source: ProgramError::IOError(std::io::Error::other(error)) }
}

const fn hook_of(mode: XdpMode) -> GuardHook {
    match mode {
        XdpMode::Skb => GuardHook::XdpGeneric,
        _ => GuardHook::XdpNative,
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
