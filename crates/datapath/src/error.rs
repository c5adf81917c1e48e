//! Errors between weir and the kernel, each with its remedy.

use std::{io, path::PathBuf};

use aya::programs::ProgramError;

use super::floor;

/// Failure of the kernel side to do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// No interface of that name in this network namespace.
    #[error("no interface `{name}` in this network namespace; `ip -brief link` lists them")]
    UnknownInterface {
        /// The name.
        name: String,
    },
    /// A name that cannot be an interface's.
    #[error("`{name}` is no interface name: 1 to 15 bytes, no `/`, no blanks")]
    InvalidInterface {
        /// The name.
        name: String,
    },
    /// The process may not do what it needs to.
    #[error(
        "missing {capabilities}; run as root, or grant the capabilities (systemd: `AmbientCapabilities=`, containers: `capabilities.add`)"
    )]
    MissingCapability {
        /// Their names, joined by commas.
        capabilities: String,
    },
    /// The process is in a time namespace of another boot clock than the kernel's programs have.
    #[error(
        "this process's boot clock is {offset_s} s off the kernel's, on which leases end (a time namespace); start weir outside of it"
    )]
    OtherBootClock {
        /// How far it is ahead, in seconds.
        offset_s: f64,
    },
    /// The kernel's verifier refuses a program.
    #[error("the kernel refuses program `{program}` ({source}): {said}; {remedy}")]
    Rejected {
        /// Its name.
        program: &'static str,
        /// Error from the kernel.
        source: io::Error,
        /// The verifier's last lines.
        said: String,
        /// Remedy, with the running kernel's release.
        remedy: String,
    },
    /// Pins need a BPF filesystem.
    #[error("`{}` is not on a BPF filesystem; mount one with {remedy}, or go without pins (`guard.persist = false`)", path.display())]
    NoBpfFs {
        /// Path that was tried.
        path: PathBuf,
        /// Command that mounts one.
        remedy: String,
    },
    /// Nothing of weir's is pinned.
    #[error("no pinned guard under `{}`; start `weir run --mode enforce` first, or name another BPF filesystem (`guard.bpffs`)", path.display())]
    NoPinnedGuard {
        /// Path that was tried.
        path: PathBuf,
    },
    /// A pinned map of another weir's making.
    #[error("the pinned map `{}` has {found}, this weir knows {expected}; use the weir that made it, or remove it with `weir detach`", path.display())]
    PinForeign {
        /// The pin.
        path: PathBuf,
        /// Facts of the pinned map.
        found: String,
        /// Facts that this weir expects.
        expected: String,
    },
    /// Something else of weir's holds the pins.
    #[error("another weir holds the pins at `{}`, {holder}; stop it first, or give this one another BPF filesystem (`guard.bpffs`)", path.display())]
    PinsHeld {
        /// Folder of the pins.
        path: PathBuf,
        /// The process, as a person reads it.
        holder: String,
    },
    /// Blocks are changed by hand, and do not come to an end.
    #[error("{holder} has changed blocks by hand at `{}` for {seconds} s; end it, and try again", path.display())]
    TurnHeld {
        /// weir's folder.
        path: PathBuf,
        /// The process, as a person reads it.
        holder: String,
        /// Time waited.
        seconds: u64,
    },
    /// Another program changes who shares an XDP hook, and does not come to an end.
    #[error("{holder} has held the lock of libxdp's folder `{}` for {seconds} s; end it, and try again", path.display())]
    HookHeld {
        /// libxdp's folder.
        path: PathBuf,
        /// The process, as a person reads it.
        holder: String,
        /// Time waited.
        seconds: u64,
    },
    /// Somebody else could change the pins, or keep others from them.
    #[error(
        "`{0}` is owned by uid {owner} and has mode {mode:o}: others could replace the guard's pins; mount \
         a BPF filesystem that is yours alone (`mount -t bpf bpf -o mode=0700 DIRECTORY`) and name it in \
         `guard.bpffs`, or remove the folder",
        path.display()
    )]
    PinsOpen {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its permissions.
        mode: u32,
    },
    /// Guards of several other network namespaces are pinned, and none of this one.
    #[error("{count} guards are pinned under `{}`, none of them in this network namespace; enter the one that is meant (`nsenter --net=`)", path.display())]
    PinsOfOthers {
        /// Path that was tried.
        path: PathBuf,
        /// Their number.
        count: usize,
    },
    /// A pinned map that holds more than fits the size asked for.
    #[error("the pinned map `{}` has {found} and holds {live} that are in force, but {expected} are asked for; keep the old size (`tables.blocks`), or remove some (`weir unblock`)", path.display())]
    PinMismatch {
        /// The pin.
        path: PathBuf,
        /// Facts of the pinned map.
        found: String,
        /// Facts asked for.
        expected: String,
        /// Entries in force.
        live: usize,
    },
    /// Another version of weir pinned its guard in a layout of its own.
    #[error("`{}` is another version's layout; {remedy}", path.display())]
    PinLayout {
        /// Its folder.
        path: PathBuf,
        /// Remedy.
        remedy: &'static str,
    },
    /// A file operation on a pin failed.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Pin {
        /// Operation that failed.
        action: &'static str,
        /// Path of the pin.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// Another XDP program owns the interface, and only XDP was asked for.
    #[error(
        "another XDP program owns `{interface}`; remove it (`ip link set {interface} xdp off`), or let weir enforce at TC ingress (`xdp = \"auto\"`)"
    )]
    XdpOccupied {
        /// The interface.
        interface: String,
    },
    /// XDP is not available in the mode asked for.
    #[error(
        "`{interface}` takes no {mode} XDP program: {source}; use `xdp = \"auto\"` to fall back"
    )]
    XdpRefused {
        /// The interface.
        interface: String,
        /// `native` or `generic`.
        mode: &'static str,
        /// Error from the kernel.
        source: ProgramError,
    },
    /// Frames of an interface that weir does not read.
    #[error(
        "`{interface}` carries {name} frames (hardware type {hardware}), in which weir finds no IP header: \
         name another interface, one of Ethernet or an IP tunnel (tun, WireGuard, PPP, ipip, sit, gre)"
    )]
    LinkType {
        /// The interface.
        interface: String,
        /// `ARPHRD_*`.
        hardware: u16,
        /// What it is called.
        name: &'static str,
    },
    /// The interface is attached already.
    #[error("`{interface}` is attached already")]
    AlreadyAttached {
        /// The interface.
        interface: String,
    },
    /// The interface is not attached.
    #[error("`{interface}` is not attached")]
    NotAttached {
        /// The interface.
        interface: String,
    },
    /// A blocklist table is full.
    #[error(
        "the {table} table is full at {capacity} entries; {remedy}, or remove some (`weir unblock`)"
    )]
    BlocklistFull {
        /// Name of the table.
        table: &'static str,
        /// Its size.
        capacity: u32,
        /// Remedy that makes room.
        remedy: &'static str,
    },
    /// A list would take room that is kept for others.
    #[error(
        "the {table} table has room for {room} entries of lists, which it holds; {reserve} more are \
         kept free for the model's and people's blocks: raise `{setting}` and start weir anew, or \
         remove a list (`weir unblock --list`)"
    )]
    Reserved {
        /// Name of the table.
        table: &'static str,
        /// Entries that lists may fill it to.
        room: usize,
        /// Entries kept free.
        reserve: u32,
        /// Key of the table's size.
        setting: &'static str,
    },
    /// Block that reads back other than it was written.
    #[error("the kernel did not keep the block of `{target}`: wrote {wrote}, read {read}")]
    NotKept {
        /// The blocked address or prefix.
        target: String,
        /// Entry as written.
        wrote: String,
        /// Entry as read back.
        read: String,
    },
    /// Limit of a service that reads back other than it was written.
    #[error("the kernel did not keep the limit of `{service}`: wrote {wrote}, read {read}")]
    LimitNotKept {
        /// The service.
        service: String,
        /// Limit as written.
        wrote: String,
        /// Limit as read back.
        read: String,
    },
    /// Peers that were made known are not when they are read back.
    #[error(
        "of {wrote} known peers written, the kernel kept {kept}; its table has room for {capacity}"
    )]
    PeersNotKept {
        /// Peers written.
        wrote: usize,
        /// Peers that are there.
        kept: usize,
        /// The table's size.
        capacity: u32,
    },
    /// Entries of a list that do not all read back as they were written.
    #[error(
        "of {wrote} entries written, the kernel holds {read} as they were written; a running weir may have changed the others: load the list once more"
    )]
    LoadNotKept {
        /// Entries written.
        wrote: u64,
        /// Entries that are there; as many, where only their contents differ.
        read: u64,
    },
    /// The kernel does not tell why it drops packets.
    #[error(
        "this kernel does not say why it drops packets: {why}; it takes Linux 5.17 or newer, built with \
         CONFIG_DEBUG_INFO_BTF=y"
    )]
    NoDropReasons {
        /// What is missing.
        why: String,
    },
    /// A size that makes no sense.
    #[error("`{setting}` must be {min} to {max}, got {value}")]
    OutOfBounds {
        /// The setting.
        setting: &'static str,
        /// The least it may be.
        min: u32,
        /// The most it may be.
        max: u32,
        /// Value given.
        value: u32,
    },
    /// The object that was built in lacks something: a build error.
    #[error(
        "the built-in eBPF object has no {kind} `{name}`; build weir anew (`cargo clean -p collector`)"
    )]
    Object {
        /// Program or map.
        kind: &'static str,
        /// Its name.
        name: &'static str,
    },
    /// The object did not load.
    #[error("the eBPF object did not load: {0}")]
    Load(#[from] aya::EbpfError),
    /// A program did not load or attach.
    #[error("program `{program}`: {source}")]
    Program {
        /// Its name.
        program: &'static str,
        /// Error from the kernel.
        source: ProgramError,
    },
    /// A system call failed.
    #[error("cannot {action}: {source}")]
    System {
        /// Operation that failed.
        action: &'static str,
        /// Error from the kernel.
        source: io::Error,
    },
}

impl KernelError {
    /// Names what a system call was for.
    pub(super) fn system(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action, source }
    }

    /// A program that the kernel did not take.
    pub(super) fn refused(program: &'static str, error: ProgramError) -> Self {
        match error {
            ProgramError::LoadError { io_error: source, verifier_log } => Self::Rejected {
                program,
                source,
                said: last_lines(&verifier_log.to_string()),
                remedy: floor::remedy(),
            },
            source => Self::Program { program, source },
        }
    }
}

/// The end of a verifier's log, in one line: why it refuses, and how far it came.
fn last_lines(log: &str) -> String {
    const LINES: usize = 3;
    let is_told = |line: &&str| {
        !line.is_empty()
            && !["verification time", "stack depth"].iter().any(|of| line.starts_with(of))
    };
    let lines: Vec<&str> = log.lines().map(str::trim).filter(is_told).collect();
    match lines.len() {
        0 => "the verifier says nothing".to_owned(),
        count => lines[count.saturating_sub(LINES)..].join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_program_is_told_with_the_last_lines_and_the_remedy() {
        let log = "R1 is odd\nback-edge from insn 596 to 597\nverification time 9 usec\n\
                   stack depth 0\nprocessed 0 insns (limit 1000000) max_states_per_insn 0\n";
        let error = ProgramError::LoadError {
            io_error: io::Error::from_raw_os_error(libc::EINVAL),
            verifier_log: aya_obj::VerifierLog::new(log.to_owned()),
        };
        let told = KernelError::refused("tc_ingress", error).to_string();
        let expected = "the kernel refuses program `tc_ingress` (Invalid argument (os error 22)): \
                        R1 is odd, back-edge from insn 596 to 597, processed 0 insns";
        assert!(told.starts_with(expected), "{told}");
        assert!(told.ends_with(&format!("; {}", floor::remedy())), "{told}");
        assert_eq!(last_lines(""), "the verifier says nothing");
    }
}
