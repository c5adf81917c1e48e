//! Named network namespaces, as `ip netns` keeps them: bind mounts under `/run/netns`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

use crate::LabError;

/// Folder of named namespaces.
const FOLDER: &str = "/run/netns";
const NONE: Option<&str> = None;

/// An open network namespace; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Namespace {
    name: String,
    file: Arc<File>,
}

impl Namespace {
    /// Makes a namespace of this name; it stays until [`remove`].
    pub(crate) fn create(name: &str) -> Result<Self, LabError> {
        share_folder()?;
        let path = path_of(name);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o444).open(&path);
        match made {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(LabError::NamespaceTaken { name: name.to_owned() });
            }
            Err(error) => {
                return Err(LabError::system(format!("create {}", path.display()), error));
            }
        }
        let opened = on_a_thread(name, || pin_a_new_namespace(&path)).and_then(|pinned| pinned);
        match opened {
            Ok(file) => Ok(Self { name: name.to_owned(), file: Arc::new(file) }),
            Err(error) => {
                // Only the empty file is there; its own error would hide the first one.
                let _ = fs::remove_file(&path);
                Err(error)
            }
        }
    }

    /// Moves the calling thread, and threads and processes it starts later, into the namespace.
    pub(crate) fn enter(&self) -> Result<(), LabError> {
        setns(&*self.file, CloneFlags::CLONE_NEWNET).map_err(|errno| {
            LabError::system(format!("enter the namespace `{}`", self.name), errno)
        })
    }

    /// Runs `work` on a fresh thread inside the namespace and waits for it.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        on_a_thread(&self.name, || self.enter().map(|()| work())).and_then(|result| result)
    }

    /// Starts a thread that runs `work` inside the namespace.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        thread: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<Result<T, LabError>>, LabError> {
        let namespace = self.clone();
        thread::Builder::new()
            .name(thread.to_owned())
            .spawn(move || namespace.enter().map(|()| work()))
            .map_err(|error| LabError::system(format!("start the thread `{thread}`"), error))
    }

    /// The open namespace, for messages that move an interface into it.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// Takes the name of a namespace away. The kernel frees the namespace, with its interfaces, once
/// no thread is in it. A name that is not there is no error.
pub(crate) fn remove(name: &str) -> Result<(), LabError> {
    let path = path_of(name);
    match umount2(&path, MntFlags::MNT_DETACH) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
        Err(errno) => return Err(LabError::system(format!("unmount {}", path.display()), errno)),
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(LabError::system(format!("remove {}", path.display()), error))
        }
        _ => Ok(()),
    }
}

/// True where a namespace has this name.
pub(crate) fn exists(name: &str) -> bool {
    path_of(name).exists()
}

fn path_of(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// Runs `work` on a thread of its own: what a thread does to its namespace stays with it.
fn on_a_thread<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
    thread::scope(|scope| {
        thread::Builder::new()
            .name(name.to_owned())
            .spawn_scoped(scope, work)
            .map_err(|error| LabError::system(format!("start the thread `{name}`"), error))?
            .join()
            .map_err(|_| LabError::Panicked { name: name.to_owned() })
    })
}

fn pin_a_new_namespace(path: &Path) -> Result<File, LabError> {
    let doing = || format!("make the namespace {}", path.display());
    unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| match errno {
        Errno::EINVAL => {
            LabError::KernelLacks { what: "network namespaces (CONFIG_NET_NS)", module: "nsfs" }
        }
        errno => LabError::system(doing(), errno),
    })?;
    mount(Some("/proc/thread-self/ns/net"), path, NONE, MsFlags::MS_BIND, NONE)
        .map_err(|errno| LabError::system(doing(), errno))?;
    File::open(path).map_err(|error| LabError::system(doing(), error))
}

/// Makes `/run/netns` a shared mount, as iproute2 does and under the same lock, so that a
/// namespace removed here is also gone in other mount namespaces.
fn share_folder() -> Result<(), LabError> {
    let doing = || format!("prepare {FOLDER}");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(FOLDER)
        .map_err(|error| LabError::system(doing(), error))?;
    let folder = File::open(FOLDER).map_err(|error| LabError::system(doing(), error))?;
    let _lock = Flock::lock(folder, FlockArg::LockExclusive)
        .map_err(|(_, errno)| LabError::system(doing(), errno))?;
    let share = || mount(NONE, FOLDER, NONE, MsFlags::MS_SHARED | MsFlags::MS_REC, NONE);
    match share() {
        // Not a mount point yet: mount it on itself first.
        Err(Errno::EINVAL) => {
            mount(Some(FOLDER), FOLDER, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)
                .and_then(|()| share())
                .map_err(|errno| LabError::system(doing(), errno))
        }
        result => result.map_err(|errno| LabError::system(doing(), errno)),
    }
}
