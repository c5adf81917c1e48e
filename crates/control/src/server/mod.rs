//! The server: a Unix socket and, where asked for, a TCP address.
//!
//! It runs on a thread of its own (`weir-api`) with a small runtime; the node's methods run on
//! [`NODE_THREADS`] more, so that a slow ledger never keeps the socket from answering. Every
//! connection and every request has its bound, and what is turned away is counted.

mod access;
mod bind;
mod connection;
mod counters;
mod endpoint;
mod endpoints;
mod following;
mod limiter;
mod limits;
mod openapi;
mod shared;
mod shares;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, thread::JoinHandle};

use tokio::{runtime, sync::watch};

pub(crate) use access::names_loopback;
pub use bind::BindError;
pub(crate) use endpoint::{bearer, problem};
pub(crate) use limits::ACCEPT_REST;
pub use limits::{Limits, NODE_THREADS, Rate};
pub use openapi::document as openapi;

use crate::{
    node::Node,
    token::{TokenError, Tokens},
};
use bind::{Doors, TcpDoor, UnixDoor};
use connection::Listeners;
use shared::{Remote, Shared};

/// Sockets, addresses and limits of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The Unix socket; its folder is made where it is not there.
    pub socket: PathBuf,
    /// The group that may read at the socket; the process's own without it.
    pub group: Option<String>,
    /// A TCP address too.
    pub listen: Option<Listen>,
    /// Bounds.
    pub limits: Limits,
}

/// A TCP address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address; port 0 for any free one.
    pub address: SocketAddr,
    /// The file of tokens. Without it nothing can be changed over TCP, and only a loopback
    /// address is listened on.
    pub tokens: Option<PathBuf>,
    /// Answer reads without a token on a loopback address: to every user of the machine.
    pub reads_open: bool,
    /// Answer `/metrics`, `/livez` and `/readyz` without a token on any address.
    pub metrics_open: bool,
}

/// Reason for which a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket or an address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The tokens file does not hold.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// Anyone on the network could ask.
    #[error(
        "`{address}` can be reached from elsewhere, and {lack}; name a file of tokens (`weir token \
         new NAME` makes one) or listen on 127.0.0.1"
    )]
    Unprotected {
        /// The address.
        address: SocketAddr,
        /// Part that is missing.
        lack: &'static str,
    },
    /// The thread or its runtime cannot be started.
    #[error("cannot start the API's thread: {0}")]
    Thread(#[source] io::Error),
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    address: Option<SocketAddr>,
    socket: PathBuf,
}

impl Server {
    /// Listens, and answers from now on.
    ///
    /// # Errors
    /// An address that is taken or unprotected, a tokens file that does not hold; nothing is
    /// listened on then.
    pub fn start(config: &ServerConfig, node: Arc<dyn Node>) -> Result<Self, StartError> {
        let remote = config.listen.as_ref().map(protect).transpose()?;
        let tcp = config.listen.as_ref().map(|listen| TcpDoor::bind(listen.address)).transpose()?;
        let unix = UnixDoor::bind(&config.socket, config.group.as_deref())?;
        let address = tcp.as_ref().map(TcpDoor::address);
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared::new(node, config.limits, remote, stopped.clone()));
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .thread_name("weir-api-node")
            .max_blocking_threads(NODE_THREADS)
            .build()
            .map_err(StartError::Thread)?;
        let doors = Doors { unix, tcp };
        let listeners = {
            let _context = runtime.enter();
            Listeners::of(&doors).map_err(StartError::Thread)?
        };
        let thread = std::thread::Builder::new()
            .name("weir-api".into())
            .spawn(move || {
                runtime.block_on(connection::serve(doors, listeners, shared, stopped));
                // Waits for the node's methods that are still under way.
                drop(runtime);
            })
            .map_err(StartError::Thread)?;
        Ok(Self { stop, thread: Some(thread), address, socket: config.socket.clone() })
    }

    /// The TCP address that is listened on.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The Unix socket.
    #[must_use]
    pub fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    /// Takes no more requests, lets those under way end, and waits for the threads. The socket is
    /// removed.
    pub fn stop(mut self) {
        self.join();
    }

    fn join(&mut self) {
        let _ = self.stop.send(true);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the API's thread panicked");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.join();
    }
}

/// Checks that remote access needs a token.
fn protect(listen: &Listen) -> Result<Remote, StartError> {
    let loopback = listen.address.ip().to_canonical().is_loopback();
    let tokens = listen.tokens.as_deref().map(Tokens::read).transpose()?;
    let lack = match &tokens {
        None => Some("no tokens are configured"),
        Some(tokens) if tokens.is_empty() => Some("the file of tokens holds none"),
        Some(_) => None,
    };
    match lack {
        Some(lack) if !loopback => Err(StartError::Unprotected { address: listen.address, lack }),
        _ => Ok(Remote {
            loopback,
            reads_open: loopback && listen.reads_open,
            metrics_open: listen.metrics_open,
            path: listen.tokens.clone(),
            tokens: std::sync::RwLock::new(Arc::new(tokens.unwrap_or_default())),
        }),
    }
}
