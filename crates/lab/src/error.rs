//! Errors of a lab, each with its remedy.

use std::io;
use std::path::PathBuf;

/// Failure to build, drive or take down a lab.
///
/// Each message is one line that names the thing, its bound and what to do.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The process may not make network namespaces.
    #[error(
        "making network namespaces needs CAP_SYS_ADMIN and CAP_NET_ADMIN (and CAP_NET_RAW for \
         crafted frames); run as root"
    )]
    Permission,
    /// The kernel was built without something the lab is made of.
    #[error("this kernel has no {what}; try `modprobe {module}` or boot a kernel built with it")]
    KernelLacks {
        /// Missing part.
        what: &'static str,
        /// The module that would bring it.
        module: &'static str,
    },
    /// A lab of this id is already registered, alive or dead.
    #[error("a lab `{id}` already exists; choose another id, or remove the lab if its owner died")]
    IdTaken {
        /// The id that was asked for.
        id: String,
    },
    /// A network namespace of this name exists and is not of a registered lab.
    #[error("the network namespace `{name}` already exists; remove it with `ip netns del {name}`")]
    NamespaceTaken {
        /// The name under `/run/netns`.
        name: String,
    },
    /// No lab of this id is registered.
    #[error("no lab `{id}` is registered under /run/weir-lab; list them first")]
    UnknownLab {
        /// The id that was asked for.
        id: String,
    },
    /// The lab's owner still runs, so it is not a leftover.
    #[error("the lab `{id}` belongs to the running process {pid}; stop that process first")]
    OwnerAlive {
        /// The lab's id.
        id: String,
        /// The owner.
        pid: u32,
    },
    /// A topology or a scenario asks for something out of bounds.
    #[error("{0}")]
    Invalid(String),
    /// A scenario is not valid TOML of the expected shape.
    #[error("{origin}: {message}")]
    Scenario {
        /// The file or the built-in's name.
        origin: String,
        /// Message of the parser, on one line.
        message: String,
    },
    /// The kernel refused a change of links, addresses, routes or neighbours.
    #[error("could not {doing}: {message}")]
    Netlink {
        /// Attempted operation.
        doing: String,
        /// The kernel's answer.
        message: String,
    },
    /// A system call failed.
    #[error("could not {doing}: {source}")]
    System {
        /// Attempted operation.
        doing: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A file could not be read or written.
    #[error("could not {doing} {}: {source}", path.display())]
    File {
        /// `read`, `write`, ...
        doing: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A thread of the lab panicked; the panic's own message is on standard error.
    #[error("the lab's thread `{name}` panicked; its message is on standard error")]
    Panicked {
        /// The thread.
        name: String,
    },
    /// An attack did not send anything within the time it had.
    #[error("the attack `{attack}` sent nothing within {seconds} s: {reason}")]
    NeverBegan {
        /// The attack's name.
        attack: String,
        /// Time waited.
        seconds: u64,
        /// Error of the attack, if it reported any.
        reason: String,
    },
}

impl LabError {
    /// True where the machine cannot hold a lab at all, so that a test may be skipped.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Permission | Self::KernelLacks { .. })
    }

    pub(crate) fn system(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        match (source.kind(), source.raw_os_error()) {
            (io::ErrorKind::PermissionDenied, _) => Self::Permission,
            // The lab opens sockets of three families; IP is built in or not there at all.
            (_, Some(libc::EAFNOSUPPORT)) => {
                Self::KernelLacks { what: "packet sockets (CONFIG_PACKET)", module: "af_packet" }
            }
            _ => Self::System { doing: doing.into(), source },
        }
    }
}
