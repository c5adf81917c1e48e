//! State that every request sees.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Instant,
};

use nix::unistd::geteuid;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{
    access::Caller,
    counters::{Counters, Turned},
    limiter::Limiter,
    limits::{FOLLOWERS, Limits, SHARE_OF_CONNECTIONS},
    shares::Shares,
};
use crate::{
    node::Node,
    token::{TokenError, Tokens},
    wire::{Kind, Refused},
};

/// The rules of the TCP address.
#[derive(Debug)]
pub(super) struct Remote {
    /// It is a loopback address.
    pub(super) loopback: bool,
    /// Reads need no token.
    pub(super) reads_open: bool,
    /// Monitoring needs no token.
    pub(super) metrics_open: bool,
    /// The file of tokens.
    pub(super) path: Option<PathBuf>,
    pub(super) tokens: RwLock<Arc<Tokens>>,
}

impl Remote {
    pub(super) fn tokens(&self) -> Arc<Tokens> {
        Arc::clone(&self.tokens.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Content of the file of tokens now, for [`Self::replace`].
    pub(super) fn read_again(&self) -> Result<Option<Tokens>, TokenError> {
        self.path.as_deref().map(Tokens::read).transpose()
    }

    pub(super) fn replace(&self, tokens: Tokens) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tokens);
    }
}

/// State that every request sees.
pub(super) struct Shared {
    pub(super) node: Arc<dyn Node>,
    pub(super) limits: Limits,
    pub(super) remote: Option<Remote>,
    pub(super) own_uid: u32,
    pub(super) counters: Counters,
    limiter: Mutex<Limiter>,
    pub(super) shares: Arc<Shares>,
    /// Apart, so that clients of the network cannot shut those of this machine out.
    local_requests: Arc<Semaphore>,
    remote_requests: Arc<Semaphore>,
    /// Places of those that follow the feed.
    pub(super) followers: Arc<Semaphore>,
    /// True when the server stops.
    pub(super) stop: watch::Receiver<bool>,
}

/// A request that is not let in.
pub(super) struct TurnedAway {
    pub(super) refused: Refused,
    /// Seconds after which to ask again.
    pub(super) retry_after_s: u64,
}

impl Shared {
    pub(super) fn new(
        node: Arc<dyn Node>,
        limits: Limits,
        remote: Option<Remote>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            node,
            limits,
            remote,
            own_uid: geteuid().as_raw(),
            counters: Counters::default(),
            limiter: Mutex::new(Limiter::new(limits.rate)),
            shares: Arc::new(Shares::new(limits.connections / SHARE_OF_CONNECTIONS)),
            local_requests: Arc::new(Semaphore::new(limits.requests)),
            remote_requests: Arc::new(Semaphore::new(limits.requests)),
            followers: Arc::new(Semaphore::new(FOLLOWERS)),
            stop,
        }
    }

    /// Lets a request in, for as long as the permit lives.
    pub(super) fn let_in(
        &self,
        caller: &Caller,
        now: Instant,
    ) -> Result<OwnedSemaphorePermit, TurnedAway> {
        let taken =
            self.limiter.lock().unwrap_or_else(PoisonError::into_inner).take(caller.client(), now);
        if let Err(wait) = taken {
            self.counters.turn_away(Turned::Rate);
            let rate = self.limits.rate;
            return Err(TurnedAway {
                refused: Refused::new(
                    Kind::TooMany,
                    format!(
                        "at most {} requests a second, {} at once, from one client",
                        rate.per_second, rate.burst
                    ),
                ),
                retry_after_s: wait.as_secs() + 1,
            });
        }
        let requests = match caller {
            Caller::Local { .. } => &self.local_requests,
            Caller::Remote(_) => &self.remote_requests,
        };
        Arc::clone(requests).try_acquire_owned().map_err(|_| {
            self.counters.turn_away(Turned::Requests);
            let most = self.limits.requests;
            TurnedAway {
                refused: Refused::unavailable(format!("{most} requests are under way; ask again")),
                retry_after_s: 1,
            }
        })
    }
}
