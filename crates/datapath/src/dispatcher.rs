//! The XDP hook shared by libxdp's protocol: a *dispatcher* program on the interface calls one
//! program after the other, each put in the place of one of its functions (`freplace`).
//!
//! Whoever comes or goes loads a new dispatcher with the programs that are to be there, attaches
//! them to it as well, pins them under `<bpffs>/xdp/dispatch-<ifindex>-<program>/`, and replaces
//! the old dispatcher on the interface in one step if it is still the one that was read: no frame
//! passes any of the programs by. See `protocol.org` of xdp-tools.

mod blueprint;
mod change;
mod config;
mod elf;
mod folder;
mod netlink;

use std::{
    fmt, io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::Path,
    thread,
    time::Duration,
};

use aya::programs::{ProgramFd, XdpMode};

use crate::{
    error::KernelError,
    netns::xdp_on,
    syscall::{self, ProgramFacts},
};
pub(super) use change::{Guest, join, leave};
use config::{Config, MOST_BYTES, Slot};
use folder::Folder;

/// The dispatcher's name.
const DISPATCHER: &str = "xdp_dispatcher";

/// Reason for not sharing a hook.
#[derive(Debug)]
pub(super) enum NotShared {
    /// Nothing of the guard is to outlive the process, and what is behind a dispatcher does.
    Unpinned,
    /// The process may not ask who is there.
    NoRight,
    /// Nobody else could come by the protocol.
    NoLibxdp,
    /// The installed libxdp is not understood.
    Unknown(String),
    /// The kernel does not take a program.
    Refused {
        /// Its name.
        program: String,
        /// What the kernel says.
        why: String,
    },
    /// What is on the hook does not share it.
    Taken(String),
    /// Anything else.
    Failed(KernelError),
}

impl fmt::Display for NotShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpinned => f.write_str("the guard ends with the process (`guard.persist`)"),
            Self::NoRight => f.write_str("CAP_SYS_ADMIN is missing"),
            Self::NoLibxdp => f.write_str("libxdp is not installed"),
            Self::Unknown(why) => write!(f, "the installed libxdp is not understood: {why}"),
            Self::Refused { program, why } => {
                write!(f, "the kernel takes no `{program}` that is shared: {why}")
            }
            Self::Taken(why) => f.write_str(why),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl From<KernelError> for NotShared {
    fn from(error: KernelError) -> Self {
        Self::Failed(error)
    }
}

/// State of an XDP hook.
#[derive(Debug)]
enum Hook {
    /// Nothing is there.
    Free,
    /// A program that shares it with none.
    Alone(ProgramFacts),
    /// A dispatcher whose programs cannot be read, and why; with those that the kernel tells of.
    Closed { chain: Chain, behind: Vec<u32>, why: String },
    /// A dispatcher.
    Shared(Chain),
}

/// A dispatcher on an interface, with its programs.
#[derive(Debug)]
struct Chain {
    dispatcher: OwnedFd,
    id: u32,
    mode: XdpMode,
    version: u8,
    bound: bool,
    /// In the order in which they run.
    members: Vec<Member>,
}

/// A program behind a dispatcher.
#[derive(Debug)]
pub(super) struct Member {
    program: OwnedFd,
    pub(super) facts: ProgramFacts,
    slot: Slot,
}

/// Times that a hook is looked at, for its dispatcher may be replaced meanwhile, and the pause.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(5);

/// Reads what is on the hook of an interface of this network namespace, without waiting for who
/// changes it. Needs `CAP_SYS_ADMIN`.
fn read(bpffs: &Path, ifindex: u32) -> Result<Hook, KernelError> {
    let folder = Folder::of(bpffs);
    for _ in 1..LOOKS {
        let hook = read_hook(&folder, ifindex)?;
        if !matches!(hook, Hook::Closed { .. }) {
            return Ok(hook);
        }
        thread::sleep(PAUSE);
    }
    read_hook(&folder, ifindex)
}

fn read_hook(folder: &Folder, ifindex: u32) -> Result<Hook, KernelError> {
    let failed = || KernelError::system("read the XDP program of an interface");
    let Some((id, mode)) = xdp_on(ifindex)? else { return Ok(Hook::Free) };
    let dispatcher = syscall::program(id).map_err(failed())?;
    let program = syscall::program_facts(dispatcher.as_fd()).map_err(failed())?;
    let Some(map) = program.only_map().filter(|_| program.name == DISPATCHER) else {
        return Ok(Hook::Alone(program));
    };
    let map = syscall::map_of(map).map_err(failed())?;
    let config = read_config(map.as_fd()).map_err(failed())?;
    let (version, bound) = config.as_ref().map_or((0, false), |one| (one.version, one.bound));
    let mut chain = Chain { dispatcher, id, mode, version, bound, members: Vec::new() };
    let why = match config.map(|config| folder.members(ifindex, id, &config)) {
        Some(Ok(members)) => {
            chain.members = members;
            return Ok(Hook::Shared(chain));
        }
        Some(Err(error)) => format!("its dispatcher's programs are pinned elsewhere ({error})"),
        None => "its dispatcher is of an unknown version".to_owned(),
    };
    let links = syscall::links().map_err(failed())?;
    let behind = links.iter().filter(|(link, _)| link.dispatcher() == Some(id));
    let behind = behind.map(|(link, _)| link.program).collect();
    Ok(Hook::Closed { chain, behind, why })
}

/// The configuration in a dispatcher's map.
fn read_config(map: BorrowedFd<'_>) -> io::Result<Option<Config>> {
    let facts = syscall::map_facts(map)?;
    let bytes = facts.value_size as usize;
    if facts.key_size != 4 || facts.max_entries != 1 || bytes > MOST_BYTES {
        return Ok(None);
    }
    let data: Option<[u8; MOST_BYTES]> = syscall::lookup(map, &0_u32)?;
    Ok(data.and_then(|data| Config::parse(&data[..bytes])))
}

/// Programs on the XDP hook of an interface of this network namespace, in the order in which they
/// run; a dispatcher whose programs the caller may not ask for stands for them.
pub(super) fn programs(bpffs: &Path, ifindex: u32) -> Result<Vec<u32>, KernelError> {
    let Some((program, _)) = xdp_on(ifindex)? else { return Ok(Vec::new()) };
    Ok(match read(bpffs, ifindex) {
        Ok(Hook::Shared(chain)) => chain.members.iter().map(|one| one.facts.id).collect(),
        Ok(Hook::Closed { behind, .. }) if !behind.is_empty() => behind,
        _ => vec![program],
    })
}

/// Takes one of weir's programs off the hook of an interface. Where a dispatcher cannot be made
/// anew, for it is of another network namespace, or libxdp is gone, the program's pins go: its place
/// in the old one then lets every frame through to the next program, and libxdp tells no more who
/// is there.
pub(super) fn evict(bpffs: &Path, ifindex: u32, program: u32) -> bool {
    match leave(bpffs, ifindex, |member| member.facts.id == program) {
        Ok(true) => true,
        Ok(false) => Folder::of(bpffs).vacate(program),
        Err(why) => {
            tracing::warn!(ifindex, %why, "the guard's place behind the dispatcher stays, empty");
            Folder::of(bpffs).vacate(program)
        }
    }
}

/// The kernel's numbers of the links by which programs are behind dispatchers.
pub(super) fn pinned_links(bpffs: &Path) -> Vec<u32> {
    Folder::of(bpffs).links()
}

/// A dispatcher on no interface, the function that a program alone behind it takes the place of, and
/// the version of the installed libxdp's protocol.
pub(super) fn sample() -> Result<(ProgramFd, String, u8), NotShared> {
    let blueprint = blueprint::Blueprint::find()?;
    let slots = vec![Slot::filter(0, true)];
    let config = Config { version: blueprint.version, bound: false, slots };
    let dispatcher = blueprint.load(&config)?;
    let (place, _) = blueprint.place(&dispatcher, 0);
    Ok((dispatcher.program, place, blueprint.version))
}

/// The last of an error's causes: what the kernel said.
pub(super) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
