//! Asking a node over its Unix socket.

use std::{
    io,
    ops::ControlFlow,
    os::unix::fs::MetadataExt as _,
    panic::resume_unwind,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{CONTENT_TYPE, HOST, RETRY_AFTER},
};
use hyper_util::rt::TokioIo;
use nix::{
    sys::signal::{SigSet, Signal},
    unistd::{Gid, Group},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    net::UnixStream,
    runtime::{self, Runtime},
    time::{sleep, timeout},
};

mod event_stream;

use event_stream::EventStream;
pub use event_stream::Followed;

use crate::wire::{
    Alert, AlertQuery, AllowQuery, AllowRequest, Allowed, Block, BlockQuery, BlockRequest,
    ConfirmRequest, DisallowRequest, EventsQuery, ImportRequest, Imported, Kind, LearnRequest,
    Maintenance, MaintenanceRequest, ModeRequest, ModeState, Models, Page, Problem, RearmRequest,
    Refused, ReloadRequest, Reloaded, RollBackRequest, Status, StatusQuery, UnblockAllRequest,
    UnblockRequest, Unblocked, VerdictRequest,
};

/// Time that an answer is waited for by default; more than the server's own patience.
const PATIENCE: Duration = Duration::from_secs(30);
/// Number of retries where a node refuses for too many requests.
const RETRIES: u32 = 5;
/// Time after which a followed node that is not there is looked for again.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Bytes of an answer at the most.
const ANSWER_BYTES: usize = 16 * 1_024 * 1_024;

/// Reason for which a node could not be asked, or did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "no weir runs here: nobody listens on `{socket}`; start one with `weir run`, or name its \
         socket with --socket"
    )]
    NoNode {
        /// The socket.
        socket: PathBuf,
    },
    /// The socket may not be opened.
    #[error("`{socket}` may not be opened: {remedy}")]
    Denied {
        /// The socket.
        socket: PathBuf,
        /// Remedy: those who may.
        remedy: String,
    },
    /// The node refused.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// The node did not answer in time.
    #[error("`{socket}` did not answer within {patience:?}")]
    TimedOut {
        /// The socket.
        socket: PathBuf,
        /// Time waited.
        patience: Duration,
    },
    /// An answer that no weir of this version gives.
    #[error("`{socket}` gave no answer of a weir: {why}")]
    Protocol {
        /// The socket.
        socket: PathBuf,
        /// Reason.
        why: String,
    },
    /// The system refuses.
    #[error("cannot ask `{socket}`: {source}")]
    System {
        /// The socket.
        socket: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
}

/// Asks a node over its Unix socket, one request a connection; each method waits for the answer.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    runtime: Runtime,
    patience: Duration,
}

impl Client {
    /// A client of the node that listens on this socket; nothing is asked yet.
    ///
    /// # Errors
    /// The system gives no means to wait.
    pub fn unix(socket: &Path) -> Result<Self, ClientError> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|source| ClientError::System { socket: socket.to_owned(), source })?;
        Ok(Self { socket: socket.to_owned(), runtime, patience: PATIENCE })
    }

    /// Sets the time that an answer is waited for; 30 s without this.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The node as it is now.
    pub fn status(&self) -> Result<Status, ClientError> {
        self.read("/v1/status", &())
    }

    /// The blocks that stand.
    pub fn blocks(&self, query: &BlockQuery) -> Result<Page<Block>, ClientError> {
        self.read("/v1/blocks", query)
    }

    /// Makes a block.
    pub fn block(&self, request: &BlockRequest) -> Result<Block, ClientError> {
        self.change(&Method::POST, "/v1/blocks", request)
    }

    /// Ends a block.
    pub fn unblock(&self, request: &UnblockRequest) -> Result<Block, ClientError> {
        self.ask(&Method::DELETE, "/v1/blocks", request, None)
    }

    /// Ends all blocks of a list, or all.
    pub fn unblock_all(&self, request: &UnblockAllRequest) -> Result<Unblocked, ClientError> {
        self.ask(&Method::DELETE, "/v1/blocks/all", request, None)
    }

    /// Sends a batch of a list of blocks.
    pub fn import(&self, request: &ImportRequest) -> Result<Imported, ClientError> {
        self.change(&Method::POST, "/v1/import", request)
    }

    /// Prefixes that are never blocked.
    pub fn allowed(&self, query: &AllowQuery) -> Result<Page<Allowed>, ClientError> {
        self.read("/v1/allow", query)
    }

    /// Allows a prefix.
    pub fn allow(&self, request: &AllowRequest) -> Result<Allowed, ClientError> {
        self.change(&Method::POST, "/v1/allow", request)
    }

    /// Takes back what a person allowed.
    pub fn disallow(&self, request: &DisallowRequest) -> Result<Allowed, ClientError> {
        self.ask(&Method::DELETE, "/v1/allow", request, None)
    }

    /// Alerts.
    pub fn alerts(&self, query: &AlertQuery) -> Result<Page<Alert>, ClientError> {
        self.read("/v1/alerts", query)
    }

    /// Goes to a mode.
    pub fn set_mode(&self, request: &ModeRequest) -> Result<ModeState, ClientError> {
        self.change(&Method::PUT, "/v1/mode", request)
    }

    /// Says that services will fail for a while.
    pub fn maintain(&self, request: &MaintenanceRequest) -> Result<Maintenance, ClientError> {
        self.change(&Method::PUT, "/v1/maintenance", request)
    }

    /// The models.
    pub fn models(&self) -> Result<Models, ClientError> {
        self.read("/v1/models", &StatusQuery::default())
    }

    /// Takes an earlier model back, and stops learning.
    pub fn roll_back(&self, request: &RollBackRequest) -> Result<Models, ClientError> {
        self.change(&Method::POST, "/v1/models/rollback", request)
    }

    /// Stops learning, or lets it go on.
    pub fn learn(&self, request: &LearnRequest) -> Result<Models, ClientError> {
        self.change(&Method::PUT, "/v1/models/learning", request)
    }

    /// Says that what a remote did was benign.
    pub fn vouch(&self, request: &VerdictRequest) -> Result<Models, ClientError> {
        self.change(&Method::POST, "/v1/verdicts", request)
    }

    /// Confirms an enforcement.
    pub fn confirm(&self) -> Result<ModeState, ClientError> {
        self.change(&Method::POST, "/v1/confirm", &ConfirmRequest::default())
    }

    /// Closes the breaker.
    pub fn rearm(&self) -> Result<Status, ClientError> {
        self.change(&Method::POST, "/v1/rearm", &RearmRequest::default())
    }

    /// Reads again what may change.
    pub fn reload(&self) -> Result<Reloaded, ClientError> {
        self.change(&Method::POST, "/v1/reload", &ReloadRequest::default())
    }

    /// Follows the events of the node behind `after`, the next ones without it, over its going and
    /// coming, until `take` breaks.
    ///
    /// # Errors
    /// The node refuses to be followed.
    pub fn follow(
        &self,
        mut after: Option<String>,
        mut take: impl FnMut(Followed) -> ControlFlow<()> + Send,
    ) -> Result<(), ClientError> {
        let mut away = false;
        loop {
            let query = EventsQuery { after: after.clone() };
            let ended = self.follow_once(&query, |followed| {
                if std::mem::take(&mut away) {
                    take(Followed::Back)?;
                }
                after = followed.id().map(str::to_owned);
                take(followed)
            });
            match ended {
                Ok(ControlFlow::Break(())) => return Ok(()),
                Ok(ControlFlow::Continue(())) => {}
                Err(error @ (ClientError::Denied { .. } | ClientError::Refused(_))) => {
                    return Err(error);
                }
                Err(error) => {
                    let why = error.to_string();
                    if !std::mem::replace(&mut away, true)
                        && take(Followed::Away { why }).is_break()
                    {
                        return Ok(());
                    }
                    thread::sleep(LOOK_EVERY);
                }
            }
        }
    }

    /// Follows until the stream ends, as it does within a minute.
    fn follow_once(
        &self,
        query: &EventsQuery,
        mut take: impl FnMut(Followed) -> ControlFlow<()> + Send,
    ) -> Result<ControlFlow<()>, ClientError> {
        let target = self.target("/v1/events", query)?;
        self.wait_for(async {
            let asked = timeout(self.patience, self.send(&Method::GET, &target, None));
            let response = asked.await.map_err(|_| self.timed_out())??;
            if !response.status().is_success() {
                let refused = timeout(self.patience, self.take::<()>(response)).await;
                return refused.map_err(|_| self.timed_out())?.map(ControlFlow::Continue);
            }
            let mut body = response.into_body();
            let mut stream = EventStream::default();
            // A heartbeat is due long before.
            while let Some(frame) =
                timeout(self.patience, body.frame()).await.map_err(|_| self.timed_out())?
            {
                let Ok(frame) = frame else { break };
                let Some(bytes) = frame.data_ref() else { continue };
                for one in stream.take(bytes).map_err(|why| self.protocol(&why))? {
                    if take(one).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    fn read<A: DeserializeOwned + Send>(
        &self,
        path: &str,
        query: &impl Serialize,
    ) -> Result<A, ClientError> {
        self.ask(&Method::GET, path, query, None)
    }

    fn change<A: DeserializeOwned + Send>(
        &self,
        method: &Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<A, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| self.protocol(&error))?;
        self.ask(method, path, &(), Some(&body.into()))
    }

    fn ask<A: DeserializeOwned + Send>(
        &self,
        method: &Method,
        path: &str,
        query: &impl Serialize,
        body: Option<&Bytes>,
    ) -> Result<A, ClientError> {
        let target = self.target(path, query)?;
        let asking = async {
            for _ in 0..RETRIES {
                let response = self.send(method, &target, body).await?;
                let Some(wait) = asked_too_often(&response) else {
                    return self.take(response).await;
                };
                sleep(wait).await;
            }
            self.take(self.send(method, &target, body).await?).await
        };
        self.wait_for(async {
            timeout(self.patience, asking).await.unwrap_or_else(|_| Err(self.timed_out()))
        })
    }

    fn target(&self, path: &str, query: &impl Serialize) -> Result<String, ClientError> {
        let query = serde_urlencoded::to_string(query).map_err(|error| self.protocol(&error))?;
        Ok(if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") })
    }

    /// Waits on a thread that is not killed when the node closes while it is written to: the
    /// command line lets SIGPIPE end it, for the sake of what reads its output.
    fn wait_for<A: Send>(
        &self,
        asking: impl Future<Output = Result<A, ClientError>> + Send,
    ) -> Result<A, ClientError> {
        thread::scope(|scope| {
            let asking = scope.spawn(|| {
                SigSet::from(Signal::SIGPIPE).thread_block().map_err(|error| {
                    let source = io::Error::from(error);
                    ClientError::System { socket: self.socket.clone(), source }
                })?;
                self.runtime.block_on(asking)
            });
            asking.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    fn timed_out(&self) -> ClientError {
        ClientError::TimedOut { socket: self.socket.clone(), patience: self.patience }
    }

    async fn send(
        &self,
        method: &Method,
        target: &str,
        body: Option<&Bytes>,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream =
            UnixStream::connect(&self.socket).await.map_err(|error| self.cannot_connect(error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.protocol(&error))?;
        // It ends with the answer, or with this runtime.
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(target).header(HOST, "localhost");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(body.cloned().unwrap_or_default()))
            .map_err(|error| self.protocol(&error))?;
        sender.send_request(request).await.map_err(|error| self.protocol(&error))
    }

    async fn take<A: DeserializeOwned>(
        &self,
        response: Response<Incoming>,
    ) -> Result<A, ClientError> {
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
        let bytes = body.map_err(|error| self.protocol(&error))?.to_bytes();
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| self.protocol(&error));
        }
        if let Ok(problem) = serde_json::from_slice::<Problem>(&bytes) {
            return Err(Refused::from(problem).into());
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let text = "the node has as many connections as it may; ask again";
            return Err(Refused::new(Kind::Unavailable, text).into());
        }
        Err(self.protocol(&format!("HTTP status {status}")))
    }

    fn protocol(&self, why: &dyn std::fmt::Display) -> ClientError {
        ClientError::Protocol { socket: self.socket.clone(), why: why.to_string() }
    }

    fn cannot_connect(&self, source: io::Error) -> ClientError {
        let socket = self.socket.clone();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NoNode { socket }
            }
            io::ErrorKind::PermissionDenied => {
                let remedy = who_may(&socket);
                ClientError::Denied { socket, remedy }
            }
            _ => ClientError::System { socket, source },
        }
    }
}

/// Time to come back, where the node is asked too often.
fn asked_too_often(response: &Response<Incoming>) -> Option<Duration> {
    if response.status() != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let wait = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(wait))
}

/// Text on the users that may open a socket.
fn who_may(socket: &Path) -> String {
    let Ok(file) = std::fs::metadata(socket) else {
        return "its folder is closed to you; try sudo".to_owned();
    };
    match Group::from_gid(Gid::from_raw(file.gid())) {
        Ok(Some(group)) => format!("root and the group `{}` may; try sudo", group.name),
        _ => format!("root and the group {} may; try sudo", file.gid()),
    }
}
