//! Programs that come to a hook, or go from it.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::Path,
    thread,
};

use aya::programs::{ProgramFd, XdpMode};

use super::{
    Chain, Hook, Member, NotShared, PAUSE,
    blueprint::{Blueprint, Loaded},
    config::{Config, SLOTS, Slot},
    folder::{Folder, Seat},
    netlink::set_xdp,
    read_hook,
};
use crate::{error::KernelError, pin::mode_name, syscall};

/// weir's own place: before xdp-filter (10) and whatever comes without a priority (50), for a
/// program that forwards a frame lets it pass by those behind it. 0 is left to whoever must come
/// before all.
const PRIORITY: u32 = 1;
/// Times that a change is begun anew, for the hook was changed by another meanwhile.
const ATTEMPTS: u32 = 10;

/// Loads an extension for a function of a program.
pub(crate) type Load<'a> = dyn FnMut(&ProgramFd, &str) -> Result<OwnedFd, KernelError> + 'a;

/// weir's guard on its way to a hook.
pub(crate) struct Guest<'a> {
    /// Name of the program.
    pub(crate) name: &'static str,
    /// Loads it, once its place is known.
    pub(crate) load: &'a mut Load<'a>,
    /// Takes note of it before it is on the hook.
    pub(crate) note: &'a mut dyn FnMut(BorrowedFd<'_>) -> Result<(), KernelError>,
    /// Frees the hook from a program of weir's own that shares it with none.
    pub(crate) make_room: &'a mut dyn FnMut() -> Result<(), KernelError>,
}

/// A guest that is on a hook.
#[derive(Debug)]
pub(crate) struct Joined {
    /// Its program.
    pub(crate) program: OwnedFd,
    /// The hook's mode.
    pub(crate) mode: XdpMode,
    /// One of weir's own was there before.
    pub(crate) in_place_of_own: bool,
}

/// Puts a guest on the hook of an interface, in the place of programs of weir's own; in the mode
/// asked for, or, where it is not insisted on, in that of others who are there.
pub(crate) fn join(
    bpffs: &Path,
    ifindex: u32,
    (mode, yields): (XdpMode, bool),
    former: &[u32],
    guest: Guest<'_>,
) -> Result<Joined, NotShared> {
    let blueprint = Blueprint::find()?;
    let folder = Folder::open(bpffs)?;
    let mut loaded = None;
    let Guest { name, load, note, make_room } = guest;
    let is_own =
        |behind: &[u32]| !behind.is_empty() && behind.iter().all(|one| former.contains(one));
    for _ in 0..ATTEMPTS {
        let lock = folder.lock()?;
        let (chain, alone, own) = match read_hook(&folder, ifindex)? {
            Hook::Free => (None, false, false),
            Hook::Shared(chain) => {
                let own = chain.members.iter().any(|one| former.contains(&one.facts.id));
                (Some(chain), false, own)
            }
            Hook::Alone(program) if former.contains(&program.id) => (None, true, true),
            Hook::Alone(program) => {
                let why = format!("`{}` has the hook for itself", program.name);
                return Err(NotShared::Taken(why));
            }
            // One of weir's own, which another mount of a BPF filesystem holds.
            Hook::Closed { chain, behind, .. } if is_own(&behind) => (Some(chain), false, true),
            Hook::Closed { why, .. } => return Err(NotShared::Taken(why)),
        };
        let mut staying: Vec<&Member> = chain.iter().flat_map(|chain| &chain.members).collect();
        staying.retain(|member| !former.contains(&member.facts.id));
        let mode = match &chain {
            Some(chain) if chain.mode != mode && (!yields || staying.is_empty()) => {
                let why = format!("the dispatcher there is in {} mode", mode_name(chain.mode));
                return Err(NotShared::Taken(why));
            }
            Some(chain) => chain.mode,
            None => mode,
        };
        let next = {
            let mut program = |target: &ProgramFd, place: &str| match &loaded {
                Some(program) => kept(program),
                None => kept(loaded.insert(load(target, place)?)),
            };
            // In the stack a program without fragments, as the guard there is one.
            let slot = Slot::filter(PRIORITY, mode != XdpMode::Skb);
            build(&blueprint, chain.as_ref(), &staying, Some((name, slot, &mut program)))?
        };
        if let Some(program) = &loaded {
            note(program.as_fd())?;
        }
        let set = place(&folder, ifindex, mode, chain.as_ref(), &next, || {
            if alone { make_room() } else { Ok(()) }
        })?;
        drop(lock);
        match (set, loaded.take()) {
            (true, Some(program)) => return Ok(Joined { program, mode, in_place_of_own: own }),
            (_, program) => loaded = program,
        }
        thread::sleep(PAUSE);
    }
    Err(NotShared::Taken("other programs change the hook all the time".to_owned()))
}

/// Takes programs off the hook of an interface; the others stay, in force throughout. Tells whether
/// there were any.
pub(crate) fn leave(
    bpffs: &Path,
    ifindex: u32,
    leaving: impl Fn(&Member) -> bool,
) -> Result<bool, NotShared> {
    let folder = Folder::of(bpffs);
    for _ in 0..ATTEMPTS {
        let lock = folder.lock_if_there()?;
        let Hook::Shared(chain) = read_hook(&folder, ifindex)? else { return Ok(false) };
        let staying: Vec<&Member> = chain.members.iter().filter(|one| !leaving(one)).collect();
        if staying.len() == chain.members.len() {
            return Ok(false);
        }
        let gone = if staying.is_empty() {
            let expected = Some(chain.dispatcher.as_fd());
            let gone = replaced(set_xdp(ifindex, None, expected, chain.mode))?;
            if gone {
                folder.unpin(ifindex, chain.id);
            }
            gone
        } else {
            let next = build(&Blueprint::find()?, Some(&chain), &staying, None)?;
            place(&folder, ifindex, chain.mode, Some(&chain), &next, || Ok(()))?
        };
        if gone {
            return Ok(true);
        }
        drop(lock);
        thread::sleep(PAUSE);
    }
    Err(NotShared::Taken("other programs change the hook all the time".to_owned()))
}

/// A dispatcher with its programs, on no interface yet.
struct Next {
    dispatcher: Loaded,
    seats: Vec<Seat>,
}

/// A guest's name and slot, and what loads it for a function of a program.
type Coming<'a> = (&'static str, Slot, &'a mut Load<'a>);

fn build(
    blueprint: &Blueprint,
    chain: Option<&Chain>,
    staying: &[&Member],
    mut coming: Option<Coming<'_>>,
) -> Result<Next, NotShared> {
    if let Some(chain) = chain {
        if !chain.members.is_empty() && chain.version != blueprint.version {
            return Err(NotShared::Taken(format!(
                "the dispatcher there is of version {}, that of the installed libxdp of {}",
                chain.version, blueprint.version
            )));
        }
        if chain.bound {
            return Err(NotShared::Taken("the dispatcher there is bound to its device".to_owned()));
        }
    }
    let mut order: Vec<(Slot, &str, Option<&Member>)> =
        staying.iter().map(|one| (one.slot, one.facts.name.as_str(), Some(*one))).collect();
    if let Some((name, slot, _)) = &coming {
        order.push((*slot, name, None));
    }
    if order.len() > SLOTS {
        return Err(NotShared::Taken(format!("{SLOTS} programs are there, and no more fit")));
    }
    // As libxdp orders them; those that are there keep their order.
    order.sort_by_key(|&(slot, name, _)| (slot.priority, name));
    let slots = order.iter().map(|&(slot, ..)| slot).collect();
    let dispatcher = blueprint.load(&Config { version: blueprint.version, bound: false, slots })?;
    let mut seats = Vec::new();
    for (at, (_, name, member)) in order.into_iter().enumerate() {
        let (place, function) = blueprint.place(&dispatcher, at);
        let program = match (member, &mut coming) {
            (Some(member), _) => kept(&member.program)?,
            (None, Some((.., load))) => load(&dispatcher.program, &place).map_err(|error| {
                NotShared::Refused { program: name.to_owned(), why: super::root_cause(&error) }
            })?,
            (None, None) => continue,
        };
        let target = dispatcher.program.as_fd();
        let link = syscall::extend(program.as_fd(), target, function).map_err(|error| {
            NotShared::Refused { program: name.to_owned(), why: error.to_string() }
        })?;
        seats.push(Seat { program, link });
    }
    Ok(Next { dispatcher, seats })
}

/// Pins a dispatcher's programs and puts it on the interface, in the place of the one that was read;
/// false where another is there by now. What is not on the interface is pinned no more.
fn place(
    folder: &Folder,
    ifindex: u32,
    mode: XdpMode,
    chain: Option<&Chain>,
    next: &Next,
    make_room: impl FnOnce() -> Result<(), KernelError>,
) -> Result<bool, NotShared> {
    let dispatcher = next.dispatcher.program.as_fd();
    let id = syscall::program_facts(dispatcher)
        .map_err(KernelError::system("read the facts of a dispatcher"))?
        .id;
    let set = folder.pin(ifindex, id, &next.seats).and_then(|()| make_room());
    let set = set.map_err(NotShared::from).and_then(|()| {
        let expected = chain.map(|chain| chain.dispatcher.as_fd());
        replaced(set_xdp(ifindex, Some(dispatcher), expected, mode))
    });
    match (&set, chain) {
        (Ok(true), Some(chain)) => folder.unpin(ifindex, chain.id),
        (Ok(true), None) => {}
        _ => folder.unpin(ifindex, id),
    }
    set
}

/// False where the hook held something else than expected.
fn replaced(set: io::Result<()>) -> Result<bool, NotShared> {
    match set {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(false),
        Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
            Err(NotShared::Taken("a link holds the hook".to_owned()))
        }
        Err(error) => {
            let program = super::DISPATCHER.to_owned();
            Err(NotShared::Refused { program, why: error.to_string() })
        }
    }
}

fn kept(program: &OwnedFd) -> Result<OwnedFd, KernelError> {
    program.try_clone().map_err(KernelError::system("keep a program open"))
}
