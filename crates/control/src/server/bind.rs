//! Sockets and addresses of a server.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    os::{
        fd::AsRawFd as _,
        unix::{
            fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use nix::{
    sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, getsockopt, listen, socket,
        sockopt::PeerCredentials,
    },
    unistd::Group,
};

/// Mode of the socket: its owner and its group are let through.
const SOCKET_MODE: u32 = 0o660;
/// The longest path of a socket, in bytes (`sun_path` less the final zero).
const PATH_MAX: usize = 107;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// Reason for which a socket or an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another node listens there.
    #[error("`{path}` is taken: {holder} listens on it; stop it, or set another `api.socket`")]
    Taken {
        /// The socket.
        path: PathBuf,
        /// Holder of the socket.
        holder: String,
    },
    /// Something else is in the socket's place.
    #[error("`{path}` is there and is no socket; move it away, or set another `api.socket`")]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// The system does not take such a path.
    #[error(
        "the socket's path must be at most {PATH_MAX} bytes, `{path}` is {length}; set another `api.socket`"
    )]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its length with what is added while it is made.
        length: usize,
    },
    /// There is no such group.
    #[error("there is no group `{name}`; `groupadd --system {name}` makes it")]
    NoGroup {
        /// Its name.
        name: String,
    },
    /// The system refuses.
    #[error("cannot {action} `{place}`: {source}")]
    System {
        /// Action that failed.
        action: &'static str,
        /// With what.
        place: String,
        /// Error of the system.
        source: io::Error,
    },
}

/// Listeners of a server.
pub(super) struct Doors {
    pub(super) unix: UnixDoor,
    pub(super) tcp: Option<TcpDoor>,
}

/// A Unix socket; its file goes when this does.
#[derive(Debug)]
pub(super) struct UnixDoor {
    listener: UnixListener,
    _file: SocketFile,
}

/// A TCP address.
#[derive(Debug)]
pub(super) struct TcpDoor {
    listener: TcpListener,
    address: SocketAddr,
}

impl UnixDoor {
    /// Listens on a socket that its owner and its group may open. The file of a dead process is
    /// replaced.
    pub(super) fn bind(path: &Path, group: Option<&str>) -> Result<Self, BindError> {
        let system = |action, source| BindError::System {
            action,
            place: path.display().to_string(),
            source,
        };
        make_folder(path).map_err(|source| system("make the folder of", source))?;
        make_room(path)?;
        let group = group.map(find_group).transpose()?;
        let new = name_beside(path);
        if new.as_os_str().len() > PATH_MAX {
            let length = new.as_os_str().len();
            return Err(BindError::TooLong { path: path.to_owned(), length });
        }
        let _ = fs::remove_file(&new);
        let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
            .map_err(|error| system("make a socket for", error.into()))?;
        let address = UnixAddr::new(&new).map_err(|error| system("bind", error.into()))?;
        bind(fd.as_raw_fd(), &address).map_err(|error| system("bind", error.into()))?;
        let file = SocketFile::of(&new).map_err(|source| system("look at", source))?;
        // Nobody can connect before `listen`, and by then the permissions hold.
        fs::set_permissions(&new, fs::Permissions::from_mode(SOCKET_MODE))
            .map_err(|source| system("close to others", source))?;
        if let Some(group) = group {
            chown(&new, None, Some(group)).map_err(|source| system("give to the group", source))?;
        }
        let backlog = Backlog::new(BACKLOG).map_err(|error| system("listen on", error.into()))?;
        listen(&fd, backlog).map_err(|error| system("listen on", error.into()))?;
        let file = file.rename(path).map_err(|source| system("put in place", source))?;
        let listener = UnixListener::from(fd);
        Ok(Self { listener, _file: file })
    }

    /// The listener, in the calling thread's runtime.
    pub(super) fn listen(&self) -> io::Result<tokio::net::UnixListener> {
        let listener = self.listener.try_clone()?;
        listener.set_nonblocking(true)?;
        tokio::net::UnixListener::from_std(listener)
    }
}

impl TcpDoor {
    pub(super) fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let listener = TcpListener::bind(address);
        listener
            .and_then(|listener| Ok(Self { address: listener.local_addr()?, listener }))
            .map_err(|source| BindError::System {
                action: "listen on",
                place: address.to_string(),
                source,
            })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The listener, in the calling thread's runtime.
    pub(super) fn listen(&self) -> io::Result<tokio::net::TcpListener> {
        let listener = self.listener.try_clone()?;
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    }
}

/// A socket's file, removed with this unless another has taken its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    id: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), id: file_id(path)? })
    }

    fn rename(mut self, path: &Path) -> io::Result<Self> {
        fs::rename(&self.path, path)?;
        path.clone_into(&mut self.path);
        Ok(self)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if file_id(&self.path).is_ok_and(|id| id == self.id) {
            // What cannot be removed is replaced by the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn file_id(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

fn make_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => {
            match fs::create_dir(folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                result => result,
            }
        }
        _ => Ok(()),
    }
}

/// Checks that no process listens on the path.
fn make_room(path: &Path) -> Result<(), BindError> {
    let system =
        |action, source| BindError::System { action, place: path.display().to_string(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system("look at", error)),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(BindError::NoSocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(stream) => Err(BindError::Taken { path: path.to_owned(), holder: holder(&stream) }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(system("ask who listens on", error)),
    }
}

/// Process that listens at the other end.
fn holder(stream: &UnixStream) -> String {
    let Ok(credentials) = getsockopt(stream, PeerCredentials) else {
        return "a process".to_owned();
    };
    let pid = credentials.pid();
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("process {pid} ({})", name.trim_end()),
        Err(_) => format!("process {pid}"),
    }
}

fn find_group(name: &str) -> Result<u32, BindError> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(BindError::NoGroup { name: name.to_owned() }),
        Err(error) => Err(BindError::System {
            action: "look up the group",
            place: name.to_owned(),
            source: error.into(),
        }),
    }
}

/// A name of this process's own in the same folder, from which the socket moves into place whole.
fn name_beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    path.with_file_name(name)
}
