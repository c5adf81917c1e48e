//! The thread that asks the node, so that a slow node never keeps a key from working.

use std::{
    io,
    sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use control::{
    Client, ClientError,
    wire::{Alert, AlertQuery, Block, BlockQuery, Prefix, Status, UnblockRequest},
};

/// Requests of a person's that wait for the node.
const REQUESTS: usize = 4;
/// News that wait to be drawn.
const NEWS: usize = 4;
/// Blocks that are fetched.
const BLOCKS: u32 = 1_000;
/// Alerts that are fetched.
const ALERTS: u32 = 100;

/// The node at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) status: Status,
    /// The first ones, in the order of their targets.
    pub(super) blocks: Vec<Block>,
    /// The latest ones, the newest first.
    pub(super) alerts: Vec<Alert>,
}

/// Request of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Unblock(Prefix),
    Confirm,
}

/// News from the thread.
#[derive(Debug)]
pub(super) enum News {
    Snapshot(Box<Snapshot>),
    /// The node does not answer, and why.
    Gone(String),
    /// Result of a request, in a line.
    Answer(String),
}

/// The node at this moment.
pub(super) fn snapshot(client: &Client) -> Result<Snapshot, ClientError> {
    let blocks = BlockQuery { limit: Some(BLOCKS), ..BlockQuery::default() };
    let alerts = AlertQuery { limit: Some(ALERTS), ..AlertQuery::default() };
    Ok(Snapshot {
        status: client.status()?,
        blocks: client.blocks(&blocks)?.items,
        alerts: client.alerts(&alerts)?.items,
    })
}

/// The running thread.
#[derive(Debug)]
pub(super) struct Poller {
    requests: SyncSender<Request>,
    news: Receiver<News>,
    thread: JoinHandle<()>,
}

impl Poller {
    /// Asks the node at once and then at intervals.
    pub(super) fn start(client: Client, every: Duration) -> io::Result<Self> {
        let (requests, asked) = mpsc::sync_channel(REQUESTS);
        let (tell, news) = mpsc::sync_channel(NEWS);
        let thread = std::thread::Builder::new()
            .name("weir-top-poll".into())
            .spawn(move || poll(&client, every, &asked, &tell))?;
        Ok(Self { requests, news, thread })
    }

    /// Passes a request on; returns the note to show.
    pub(super) fn ask(&self, request: Request) -> &'static str {
        match self.requests.try_send(request) {
            Ok(()) => "asked the node...",
            Err(TrySendError::Full(_)) => "too many requests wait for the node already",
            Err(TrySendError::Disconnected(_)) => "nobody asks the node any more; start again",
        }
    }

    /// News since the last call.
    pub(super) fn news(&self) -> impl Iterator<Item = News> + '_ {
        self.news.try_iter()
    }

    /// Ends the thread, when the node has answered what it was asked last.
    pub(super) fn stop(self) {
        drop((self.requests, self.news));
        // A panic of the thread has been printed by now; there is nothing left to save.
        let _ = self.thread.join();
    }
}

fn poll(client: &Client, every: Duration, asked: &Receiver<Request>, tell: &SyncSender<News>) {
    loop {
        let start = Instant::now();
        let news = match snapshot(client) {
            Ok(snapshot) => News::Snapshot(Box::new(snapshot)),
            Err(error) => News::Gone(error.to_string()),
        };
        // The next one is newer: what is not drawn in time need not wait.
        if let Err(TrySendError::Disconnected(_)) = tell.try_send(news) {
            return;
        }
        match asked.recv_timeout(every.saturating_sub(start.elapsed())) {
            Ok(request) => {
                if tell.send(News::Answer(carry_out(client, request))).is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn carry_out(client: &Client, request: Request) -> String {
    let done = match request {
        Request::Unblock(target) => client
            .unblock(&UnblockRequest { target, reason: None })
            .map(|ended| format!("{} is no longer blocked", ended.target)),
        Request::Confirm => {
            client.confirm().map(|state| format!("confirmed: the mode stays {}", state.mode.name()))
        }
    };
    done.unwrap_or_else(|error| format!("not done: {error}"))
}
