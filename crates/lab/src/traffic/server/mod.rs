//! Servers of the protected host: the web, logins, names and a place to upload to.
//!
//! All servers run as tasks of one thread in the host's namespace. Connections are bounded in
//! number and in time, so that a flood or a slow client costs others nothing.

mod dns;
pub(super) mod sink;
pub(super) mod ssh;
pub(super) mod web;

use std::net::{Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::spawn_local;

use super::crew::Crew;
use super::wire::{DNS, HTTP, HTTPS, SINK, SSH};
use crate::members::Members;
use crate::{LabError, Node};

/// The most connections one server holds; beyond it they wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 1_024;
/// The listeners' backlog: a flood's half-open connections must not push out a client's.
const BACKLOG: u32 = 4_096;
/// Open files that are enough for every server and every client at once.
const MAX_FILES: u64 = 16_384;
/// Longest time of a connection without a request.
const IDLE: Duration = Duration::from_mins(2);
/// Longest wait for a server to be ready.
const READY: Duration = Duration::from_secs(10);

/// The running servers; dropping them stops them.
#[derive(Debug)]
pub(crate) struct Servers(#[expect(dead_code, reason = "held for its drop")] Crew);

impl Servers {
    /// Starts the servers and returns when all of them listen.
    pub(crate) fn start(members: &Members, host: &Node) -> Result<Self, LabError> {
        make_room_for_files();
        let mut crew = Crew::new();
        let (ready, is_ready) = mpsc::channel();
        crew.spawn_tasks(members, host, "servers", move || async move {
            let listening = listen();
            let failed = listening.is_err();
            // The receiver waits below; if it gave up, the crew is stopped at once.
            let _ = ready.send(listening);
            if !failed {
                std::future::pending::<()>().await;
            }
        })?;
        is_ready
            .recv_timeout(READY)
            .map_err(|error| {
                LabError::system("start the host's servers", std::io::Error::other(error))
            })?
            .map_err(|error| LabError::system("start the host's servers", error))?;
        Ok(Self(crew))
    }
}

/// Raises this process' soft limit of open files: both ends of every connection of the lab are
/// its own, and 1,024, the usual limit, is reached by one slow HTTP attack.
fn make_room_for_files() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < MAX_FILES {
        // Without that limit the servers still serve, fewer at a time.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, MAX_FILES.min(hard), hard);
    }
}

fn listen() -> std::io::Result<()> {
    serve(HTTP, web::serve)?;
    serve(HTTPS, web::serve_behind_a_greeting)?;
    serve(SSH, ssh::serve)?;
    serve(SINK, sink::serve)?;
    let socket = std::net::UdpSocket::bind(everywhere(DNS))?;
    socket.set_nonblocking(true)?;
    spawn_local(dns::serve(UdpSocket::from_std(socket)?));
    Ok(())
}

/// Listens on a port of both families and serves each connection in a task of its own.
fn serve<F>(port: u16, session: fn(TcpStream) -> F) -> std::io::Result<()>
where
    F: Future<Output = std::io::Result<()>> + 'static,
{
    let listener = listener(port)?;
    spawn_local(async move {
        let places = Rc::new(Semaphore::new(MAX_CONNECTIONS));
        // The semaphore is never closed, so waiting for a place cannot fail.
        while let Ok(()) = places.acquire().await.map(tokio::sync::SemaphorePermit::forget) {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of descriptors, or the client left again: both pass.
                places.add_permits(1);
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            let places = Rc::clone(&places);
            spawn_local(async move {
                // A client's own mistake, or its leaving, is no one's concern but its own.
                let _ = session(stream).await;
                places.add_permits(1);
            });
        }
    });
    Ok(())
}

/// A listener of both families on a port, in the namespace of the calling thread.
pub(super) fn listener(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v6()?;
    socket.set_reuseaddr(true)?;
    socket.bind(everywhere(port))?;
    socket.listen(BACKLOG)
}

fn everywhere(port: u16) -> SocketAddr {
    (Ipv6Addr::UNSPECIFIED, port).into()
}
