//! Putting the guard on an interface, or taking over the one that is there.

use std::{
    collections::HashMap,
    fs,
    os::fd::{AsFd as _, OwnedFd},
    path::PathBuf,
};

use aya::{
    Ebpf,
    programs::{
        LinkOrder, ProgramError, TcAttachType, XdpMode,
        links::{FdLink, LinkError, PinnedLink},
        tc::{SchedClassifierLink, TcAttachOptions},
        xdp::{XdpLink, XdpLinkId},
    },
    sys::SyscallError,
};
use flows_common::parse::LinkLayer;

use super::{GuardHook, Sharing, TcHook, XdpPreference};
use crate::{
    dispatcher::{self, Guest, NotShared, root_cause},
    error::KernelError,
    hooks::settle_strays,
    interfaces::InterfaceName,
    neighbours::{Neighbour, neighbours},
    object::{Sizes, TcPrograms, XDP_GUARD, classifier, is_guard, load_extension, xdp, xdp_guard},
    orphan::{holders, own_programs},
    pin::{GuardPin, Pins, mode_name},
    syscall::program_facts,
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
    /// A place behind a dispatcher, which stays; the program tells others that a weir runs.
    Shared { bpffs: PathBuf, ifindex: u32, id: u32, pin: PathBuf, _program: OwnedFd },
}

/// The guard on an interface.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) hook: GuardHook,
    pub(super) sharing: Sharing,
    /// `None` where there is no guard.
    hold: Option<Hold>,
    /// An earlier weir had put it there.
    taken_over: bool,
}

impl Guard {
    /// Takes a guard that stays off.
    pub(super) fn detach(self) {
        match self.hold {
            // `weir doctor` reports a link that cannot be unpinned.
            Some(Hold::Pinned(link)) => drop(link.unpin()),
            Some(Hold::Shared { bpffs, ifindex, id, pin, _program }) => {
                dispatcher::evict(&bpffs, ifindex, id);
                let _ = fs::remove_file(pin);
            }
            _ => {}
        }
    }

    /// The guard's program where it is behind a dispatcher.
    pub(super) const fn shared_program(&self) -> Option<u32> {
        match &self.hold {
            Some(Hold::Shared { id, .. }) => Some(*id),
            _ => None,
        }
    }

    /// Undoes what [`Site::attach`] did: a guard that an earlier weir had put there stays.
    pub(super) fn undo(self) {
        if !self.taken_over {
            self.detach();
        }
    }

    fn at_tc(hook: GuardHook, hold: Hold, taken_over: bool) -> Self {
        Self { hook, sharing: Sharing::NoXdp, hold: Some(hold), taken_over }
    }
}

/// What an earlier weir left.
#[derive(Default)]
struct Before {
    /// Guards at XDP that nobody but pins hold, by the kernel's number, on any interface.
    guards: Vec<u32>,
    /// A guard at TC ingress while there is none at XDP.
    stand_in: Option<Guard>,
}

/// Where a guard is put.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) interface: &'a InterfaceName,
    pub(super) ifindex: u32,
    pub(super) link: LinkLayer,
    pub(super) tc: TcHook,
    pub(super) sizes: &'a Sizes,
    pub(super) pins: Option<&'a Pins>,
}

impl Site<'_> {
    /// Attaches the guard, or takes over the one that is there. A pinned one at a hook that is not
    /// asked for any more goes once the new one is there; where the kernel takes one at a time, a
    /// guard at TC ingress stands in meanwhile.
    pub(super) fn attach(
        self,
        object: &mut Ebpf,
        preference: XdpPreference,
    ) -> Result<Guard, KernelError> {
        // Where the kernel takes no XDP program at all, or none that finds an Ethernet header would
        // do, TC does without one that insists.
        let refusal = match (preference, self.link) {
            (XdpPreference::Auto, LinkLayer::Ethernet) => xdp(object, XdpMode::Driver)
                .err()
                .filter(|error| matches!(error, KernelError::Rejected { .. }))
                .map(|error| error.to_string()),
            (XdpPreference::Auto, LinkLayer::Bare) => Some(NO_ETHERNET.to_owned()),
            (
                XdpPreference::Native | XdpPreference::Exclusive | XdpPreference::Generic,
                LinkLayer::Bare,
            ) => {
                let interface = self.interface.to_string();
                let mode = if preference == XdpPreference::Generic { "generic" } else { "native" };
                let source = ProgramError::IOError(std::io::Error::other(NO_ETHERNET));
                return Err(KernelError::XdpRefused { interface, mode, source });
            }
            _ => None,
        };
        let mode = match preference {
            _ if refusal.is_some() => None,
            XdpPreference::Off | XdpPreference::TcIngress => None,
            XdpPreference::Native | XdpPreference::Auto | XdpPreference::Exclusive => {
                Some(XdpMode::Driver)
            }
            XdpPreference::Generic => Some(XdpMode::Skb),
        };
        if preference != XdpPreference::Off {
            settle_strays(self.interface, self.ifindex, self.pins)?;
        }
        let mut before = Before::default();
        let (guard, place) = match (mode, refusal) {
            (Some(mode), _) => self.at_xdp(object, preference, mode, &mut before)?,
            (None, Some(reason)) => self.at_tc(object, GuardHook::TcIngress { reason })?,
            (None, None) if preference == XdpPreference::Off => {
                let (hook, sharing) = (GuardHook::Off, Sharing::NoXdp);
                (Guard { hook, sharing, hold: None, taken_over: false }, None)
            }
            (None, None) => self.at_tc(object, GuardHook::TcIngress { reason: String::new() })?,
        };
        if let Some(pins) = self.pins {
            if guard.sharing != Sharing::Dispatcher {
                pins.forget_shared(self.ifindex);
                for former in before.guards {
                    dispatcher::evict(&pins.bpffs, self.ifindex, former);
                }
            }
            for other in GuardPin::ALL.into_iter().filter(|&other| Some(other) != place) {
                pins.forget_link(self.ifindex, other);
            }
        }
        Ok(guard)
    }

    /// Behind a dispatcher where that can be, alone where not, at TC where XDP is not insisted on.
    fn at_xdp(
        self,
        object: &mut Ebpf,
        preference: XdpPreference,
        mode: XdpMode,
        before: &mut Before,
    ) -> Result<(Guard, Option<GuardPin>), KernelError> {
        let reason = if preference == XdpPreference::Exclusive {
            String::new()
        } else {
            match self.share(object, preference, mode, before) {
                Ok(guard) => return Ok((guard, None)),
                Err(why) => why.to_string(),
            }
        };
        if !reason.is_empty() {
            tracing::info!(interface = %self.interface, %reason, "the XDP hook is not shared");
        }
        let (mut guard, place) = match self.take_over_xdp(object, mode)? {
            Some(guard) => (guard, Some(GuardPin::Xdp(mode))),
            None => self.attach_anew(object, preference, mode, before, &reason)?,
        };
        if matches!(place, Some(GuardPin::Xdp(_))) || guard.sharing != Sharing::NoXdp {
            guard.sharing = Sharing::Exclusive { reason };
        }
        Ok((guard, place))
    }

    /// Puts the guard behind the interface's dispatcher, in the place of one that an earlier weir
    /// left there or that has the hook for itself.
    fn share(
        self,
        object: &mut Ebpf,
        preference: XdpPreference,
        mode: XdpMode,
        before: &mut Before,
    ) -> Result<Guard, NotShared> {
        let pins = self.pins.ok_or(NotShared::Unpinned)?;
        let own = own_programs().map_err(|_| NotShared::NoRight)?;
        let holders = if own.is_empty() { HashMap::new() } else { holders() };
        let left = own.iter().filter(|(id, name)| is_guard(name) && !holders.contains_key(id));
        before.guards = left.map(|(&id, _)| id).collect();
        let Before { guards, stand_in } = before;
        let guest = Guest {
            name: XDP_GUARD,
            load: &mut |target, function| load_extension(self.sizes, pins, target, function),
            note: &mut |program| pins.put_shared(program, self.ifindex),
            make_room: &mut || self.free(object, stand_in),
        };
        let asked = (mode, preference == XdpPreference::Auto);
        let joined = dispatcher::join(&pins.bpffs, self.ifindex, asked, guards, guest)?;
        let id = program_facts(joined.program.as_fd())
            .map_err(KernelError::system("read the facts of the guard"))?
            .id;
        let hold = Hold::Shared {
            bpffs: pins.bpffs.clone(),
            ifindex: self.ifindex,
            id,
            pin: pins.shared(self.ifindex),
            _program: joined.program,
        };
        let (hook, sharing) = (hook_of(joined.mode), Sharing::Dispatcher);
        Ok(Guard { hook, sharing, hold: Some(hold), taken_over: joined.in_place_of_own })
    }

    /// Takes the links of an earlier weir off the XDP hook, with a guard at TC ingress in their stead.
    fn free(self, object: &mut Ebpf, stand_in: &mut Option<Guard>) -> Result<(), KernelError> {
        let Some(pins) = self.pins.filter(|pins| !pins.links(self.ifindex).is_empty()) else {
            return Ok(());
        };
        self.stand_in(object, stand_in)?;
        for mode in [XdpMode::Driver, XdpMode::Skb] {
            pins.forget_link(self.ifindex, GuardPin::Xdp(mode));
        }
        Ok(())
    }

    /// True where an earlier weir's guard shares the hook: it stays there if this start fails.
    fn is_beside_others(self) -> bool {
        self.pins.is_some_and(|pins| {
            pins.shared(self.ifindex).exists()
                && neighbours(&pins.bpffs, self.interface, None)
                    .is_ok_and(|found| found.iter().any(Neighbour::is_at_xdp))
        })
    }

    fn stand_in(self, object: &mut Ebpf, stand_in: &mut Option<Guard>) -> Result<(), KernelError> {
        if stand_in.is_none() {
            let hook = GuardHook::TcIngress { reason: String::new() };
            *stand_in = Some(Site { pins: None, ..self }.at_tc(object, hook)?.0);
        }
        Ok(())
    }

    /// Puts the program into the XDP link that an earlier weir left pinned, without a gap.
    fn take_over_xdp(self, object: &mut Ebpf, mode: XdpMode) -> Result<Option<Guard>, KernelError> {
        let left = self.pins.and_then(|pins| pins.link(self.ifindex, GuardPin::Xdp(mode)));
        let Some(link) = left.and_then(|link| XdpLink::try_from(link).ok()) else {
            return Ok(None);
        };
        match xdp(object, mode)?.attach_to_link(link) {
            Ok(id) => Ok(Some(self.hold_xdp(object, id, mode, true)?)),
            // That of an interface which is gone, and whose index another has now.
            Err(error) => {
                tracing::warn!(
                    self.ifindex, mode = mode_name(mode), error = %root_cause(&error),
                    "the pinned link does not take the new program: it is attached anew"
                );
                Ok(None)
            }
        }
    }

    fn attach_anew(
        self,
        object: &mut Ebpf,
        preference: XdpPreference,
        mode: XdpMode,
        before: &mut Before,
        unshared: &str,
    ) -> Result<(Guard, Option<GuardPin>), KernelError> {
        let refused = if self.is_beside_others() {
            None
        } else {
            // A link in another mode, one that took no program, or a place behind a dispatcher.
            self.free(object, &mut before.stand_in)?;
            if let Some(pins) = self.pins.filter(|pins| pins.shared(self.ifindex).exists()) {
                self.stand_in(object, &mut before.stand_in)?;
                pins.forget_shared(self.ifindex);
            }
            match xdp(object, mode)?.attach_to_if_index(self.ifindex, mode) {
                Ok(id) => {
                    let guard = self.hold_xdp(object, id, mode, false)?;
                    return Ok((guard, Some(GuardPin::Xdp(mode))));
                }
                Err(error) => Some(error).filter(|error| !is_occupied(error)),
            }
        };
        let interface = self.interface.to_string();
        let reason = match (preference, refused) {
            (XdpPreference::Auto, None) => {
                format!("another XDP program owns the interface, and {unshared}")
            }
            (XdpPreference::Auto, Some(error)) => {
                format!("{} XDP: {}", mode_name(mode), root_cause(&error))
            }
            (_, None) => return Err(KernelError::XdpOccupied { interface }),
            (_, Some(source)) => {
                let mode = mode_name(mode);
                return Err(KernelError::XdpRefused { interface, mode, source });
            }
        };
        let hook = GuardHook::TcIngress { reason };
        match before.stand_in.take() {
            // The kernel takes a program once.
            Some(Guard { hold: Some(Hold::Tc { _link: link }), .. }) => {
                if let Some(pins) = self.pins {
                    pins.forget_link(self.ifindex, GuardPin::Tcx);
                }
                self.hold_tc(hook, link, true)
            }
            _ => self.at_tc(object, hook),
        }
    }

    /// The guard at TC ingress: a program of its own, so that its link can be pinned without the
    /// flow tables of a process that is gone. A clsact filter is no link.
    fn at_tc(
        self,
        object: &mut Ebpf,
        hook: GuardHook,
    ) -> Result<(Guard, Option<GuardPin>), KernelError> {
        let Self { interface, ifindex, tc, pins, .. } = self;
        let name = TcPrograms::of(self.link).guard;
        if tc == TcHook::Clsact {
            let (end, place) = (TcAttachType::Ingress, super::filter(super::priority::FIRST));
            let link = super::attach_tc(object, interface, name, end, place)?;
            return self.hold_tc(hook, link, false);
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
        self.hold_tc(hook, link, taken_over)
    }

    /// Pins the link at TC where pins are asked for and it can be.
    fn hold_tc(
        self,
        hook: GuardHook,
        link: SchedClassifierLink,
        taken_over: bool,
    ) -> Result<(Guard, Option<GuardPin>), KernelError> {
        let Some(pins) = self.pins.filter(|_| self.tc == TcHook::Tcx) else {
            return Ok((Guard::at_tc(hook, Hold::Tc { _link: link }, taken_over), None));
        };
        let link = FdLink::try_from(link)
            .map_err(|error| not_a_link(TcPrograms::of(self.link).guard, error))?;
        let hold = Hold::Pinned(pins.keep_link(link, self.ifindex, GuardPin::Tcx)?);
        Ok((Guard::at_tc(hook, hold, taken_over), Some(GuardPin::Tcx)))
    }

    /// Takes the link over, and pins it where pins are asked for.
    fn hold_xdp(
        self,
        object: &mut Ebpf,
        id: XdpLinkId,
        mode: XdpMode,
        taken_over: bool,
    ) -> Result<Guard, KernelError> {
        let name = xdp_guard(mode);
        let failed = |source| KernelError::Program { program: name, source };
        let link = xdp(object, mode)?.take_link(id).map_err(failed)?;
        let hold = match self.pins {
            None => Hold::Xdp { _link: link },
            Some(pins) => {
                let link = FdLink::try_from(link).map_err(|error| not_a_link(name, error))?;
                Hold::Pinned(pins.keep_link(link, self.ifindex, GuardPin::Xdp(mode))?)
            }
        };
        let sharing = Sharing::Exclusive { reason: String::new() };
        Ok(Guard { hook: hook_of(mode), sharing, hold: Some(hold), taken_over })
    }
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
