//! weir's own links: where they are, who holds them, and how all of them come off at once.

use std::{
    fs, io,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use super::{
    attach::clear_own_filters,
    dispatcher,
    error::KernelError,
    interfaces::{self, InterfaceName},
    netns::{programs_on, xdp_on},
    object::{XDP_GUARD, is_guard},
    orphan::{holders, own_programs},
    pin::{self, GuardPin, Pins},
    syscall,
};

/// A link of weir's.
#[derive(Debug)]
struct Hook {
    /// The interface and the program, as a person reads them: `eth0 xdp_guard`.
    name: String,
    program: String,
    facts: syscall::LinkFacts,
    link: OwnedFd,
}

/// Result of [`take_everything_off`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenOff {
    /// Links that were taken off, each as its interface and its program.
    pub hooks: Vec<String>,
    /// Pins that were removed.
    pub pins: Vec<PathBuf>,
    /// Parts that are still there, each with the reason.
    pub left: Vec<String>,
}

/// Takes every hook of weir's off the interfaces of the calling thread's network namespace (of all
/// namespaces: `everywhere`), whoever holds it, and removes every pin on the BPF filesystem. Goes on
/// behind what fails.
///
/// A weir that runs meanwhile guards and counts nothing from here on.
///
/// # Errors
/// The kernel does not list its programs or links: `CAP_SYS_ADMIN` is missing.
pub fn take_everything_off(bpffs: &Path, everywhere: bool) -> Result<TakenOff, KernelError> {
    let mut taken = TakenOff::default();
    // One behind a dispatcher comes off with a new dispatcher, below.
    let apart = |hook: &Hook| hook.facts.dispatcher().is_none();
    for hook in own_hooks(everywhere)?.into_iter().filter(apart) {
        match syscall::detach_link(hook.link.as_fd()) {
            Ok(()) => taken.hooks.push(hook.name),
            Err(error) => taken.left.push(format!("{}: {error}", hook.name)),
        }
    }
    for (interface, ifindex) in interfaces::list()? {
        clear_own_filters(&interface);
        let own = own_programs()?;
        let is_own = |member: &dispatcher::Member| own.contains_key(&member.facts.id);
        match dispatcher::leave(bpffs, ifindex, is_own) {
            Ok(true) => taken.hooks.push(format!("{interface} {XDP_GUARD}")),
            Ok(false) => {}
            Err(why) => taken.left.push(format!("{interface} {XDP_GUARD}: {why}")),
        }
    }
    for pin in pin::every_pin(bpffs)? {
        if let Some((ifindex, program)) = pin::shared_guard(&pin) {
            dispatcher::evict(bpffs, ifindex, program);
        }
        // A guard in another namespace, which nobody but this pin may hold.
        if let Ok(link) = syscall::open_pin(&pin)
            && pin::is_link(&pin)
        {
            let _ = syscall::detach_link(link.as_fd());
        }
        match fs::remove_file(&pin) {
            Ok(()) => taken.pins.push(pin),
            Err(error) => taken.left.push(format!("{}: {error}", pin.display())),
        }
    }
    pin::remove_folders(bpffs);
    taken.left.extend(own_hooks(everywhere)?.into_iter().map(|hook| hook.name));
    Ok(taken)
}

/// Guards of weir's on the interfaces of this network namespace that are pinned elsewhere: on
/// another mount, or by a layout of another namespace. Each as its interface and its program.
///
/// # Errors
/// As for [`take_everything_off`].
pub fn stray_guards(bpffs: &Path) -> Result<Vec<String>, KernelError> {
    let pinned: Vec<u32> = pin::every_pin(bpffs)?
        .iter()
        .filter(|pin| pin::is_link(pin))
        .filter_map(|pin| syscall::link_facts(syscall::open_pin(pin).ok()?.as_fd()).ok())
        .map(|facts| facts.id)
        .chain(dispatcher::pinned_links(bpffs))
        .collect();
    let held = holders();
    let stray = |hook: &Hook| {
        is_guard(&hook.program)
            && !pinned.contains(&hook.facts.id)
            && !held.contains_key(&hook.facts.program)
    };
    Ok(own_hooks(false)?.into_iter().filter(stray).map(|hook| hook.name).collect())
}

/// Takes over the guards of an earlier weir that only another mount of a BPF filesystem still holds:
/// one at XDP is pinned here and then taken over like one of this mount's, any other is taken off.
/// Tells of it.
///
/// One that a process holds is left alone: another weir runs.
pub(super) fn settle_strays(
    interface: &InterfaceName,
    ifindex: u32,
    pins: Option<&Pins>,
) -> Result<(), KernelError> {
    let here = programs_on(interface, ifindex)?;
    if here.is_empty() {
        return Ok(());
    }
    // Who may not list the kernel's programs and links finds the interface occupied.
    let Ok(mut own) = own_programs() else { return Ok(()) };
    own.retain(|program, name| here.contains(program) && is_guard(name));
    if own.is_empty() {
        return Ok(());
    }
    // Before the links are opened, of which this process would be a holder then.
    let held = holders();
    let Ok(links) = syscall::links() else { return Ok(()) };
    let pinned = pins.map(|pins| pins.links(ifindex)).unwrap_or_default();
    let strays = links.into_iter().filter(|(facts, _)| {
        own.contains_key(&facts.program)
            && !held.contains_key(&facts.program)
            && !pinned.contains(&facts.id)
    });
    for (facts, link) in strays {
        let at_xdp = xdp_on(ifindex)?.filter(|&(program, _)| program == facts.program);
        match (pins, at_xdp) {
            (Some(pins), Some((_, mode))) => {
                pins.put_link(link.as_fd(), ifindex, GuardPin::Xdp(mode))?;
            }
            _ => syscall::detach_link(link.as_fd())
                .map_err(KernelError::system("take an earlier weir's guard off"))?,
        }
        tracing::warn!(
            %interface, program = own[&facts.program],
            "a guard that another mount of a BPF filesystem held is taken over, its blocks are not"
        );
    }
    Ok(())
}

fn own_hooks(everywhere: bool) -> Result<Vec<Hook>, KernelError> {
    let own = own_programs()?;
    let interfaces = interfaces::list()?;
    let mut here = Vec::new();
    for (interface, &ifindex) in &interfaces {
        let programs = programs_on(interface, ifindex)?;
        here.extend(programs.into_iter().map(|program| (program, interface)));
    }
    let links = match syscall::links() {
        Ok(links) => links,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(KernelError::MissingCapability { capabilities: "CAP_SYS_ADMIN".into() });
        }
        Err(error) => return Err(KernelError::system("list the links")(error)),
    };
    let hook = |(facts, link): (syscall::LinkFacts, OwnedFd)| {
        let program = own.get(&facts.program)?.clone();
        let on = facts.dispatcher().unwrap_or(facts.program);
        let at = here.iter().find(|(program, _)| *program == on);
        // One that is off its hook is only held.
        let is_off = facts.ifindex == 0 && facts.dispatcher().is_none();
        if is_off || (at.is_none() && !everywhere) {
            return None;
        }
        let name = at.map_or_else(
            || match facts.dispatcher() {
                Some(_) => format!("a dispatcher of another namespace, {program}"),
                None => format!("interface {} of another namespace, {program}", facts.ifindex),
            },
            |(_, interface)| format!("{interface} {program}"),
        );
        Some(Hook { name, program, facts, link })
    };
    Ok(links.into_iter().filter_map(hook).collect())
}
