//! The node as the server sees it.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::{
    feed::Feed,
    metrics::Exposition,
    wire::{
        Alert, AlertQuery, AllowQuery, AllowRequest, Allowed, Block, BlockQuery, BlockRequest,
        DisallowRequest, ImportRequest, Imported, LearnRequest, Maintenance, MaintenanceRequest,
        ModeRequest, ModeState, Models, Page, Refused, Reloaded, RollBackRequest, Status,
        UnblockAllRequest, UnblockRequest, Unblocked, VerdictRequest,
    },
};

/// Whoever asks for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A process of this machine, as the kernel says.
    Local {
        /// Its user.
        uid: u32,
        /// Its group.
        gid: u32,
        /// Its process id; none when it is of a foreign namespace.
        pid: Option<i32>,
        /// The user's name, where there is one.
        user: Option<String>,
    },
    /// A client of the HTTP interface.
    Token {
        /// The token's name in the tokens file.
        name: String,
        /// Address of the caller.
        address: SocketAddr,
    },
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { user: Some(user), .. } => f.write_str(user),
            Self::Local { uid, .. } => write!(f, "uid {uid}"),
            Self::Token { name, address } => write!(f, "token {name} from {}", address.ip()),
        }
    }
}

/// A running node: what people may see of it and do to it.
///
/// Each method is called on a thread that may wait, several at once; the server gives up waiting
/// after its request time but the call goes on. A change is done, and recorded, before the method
/// returns.
pub trait Node: Send + Sync + 'static {
    /// The node as it is now.
    fn status(&self) -> Result<Status, Refused>;

    /// True while the node decides windows, watches what it is to watch, and records.
    ///
    /// # Errors
    /// [`Refused::unavailable`] with what is missing.
    fn ready(&self) -> Result<(), Refused>;

    /// The blocks that stand, in the order of their targets.
    fn blocks(&self, query: &BlockQuery) -> Result<Page<Block>, Refused>;

    /// Makes a block, or replaces the one that stands, and returns it as it was read back.
    fn block(&self, who: &Who, request: &BlockRequest) -> Result<Block, Refused>;

    /// Ends a block and returns it as it was.
    fn unblock(&self, who: &Who, request: &UnblockRequest) -> Result<Block, Refused>;

    /// Ends all blocks of a list, or all.
    fn unblock_all(&self, who: &Who, request: &UnblockAllRequest) -> Result<Unblocked, Refused>;

    /// Takes a batch of a list of blocks; what it made is in force when this returns.
    fn import(&self, who: &Who, request: &ImportRequest) -> Result<Imported, Refused>;

    /// The prefixes that are never blocked, in their order.
    fn allowed(&self, query: &AllowQuery) -> Result<Page<Allowed>, Refused>;

    /// Allows a prefix.
    fn allow(&self, who: &Who, request: &AllowRequest) -> Result<Allowed, Refused>;

    /// Takes back what a person allowed.
    fn disallow(&self, who: &Who, request: &DisallowRequest) -> Result<Allowed, Refused>;

    /// Alerts from the ledger, ordered as [`AlertQuery`] says.
    fn alerts(&self, query: &AlertQuery) -> Result<Page<Alert>, Refused>;

    /// Goes to a mode.
    fn set_mode(&self, who: &Who, request: &ModeRequest) -> Result<ModeState, Refused>;

    /// Says that services will fail for a while; returns all that are known to.
    fn maintain(&self, who: &Who, request: &MaintenanceRequest) -> Result<Maintenance, Refused>;

    /// The model in force, those before it, and whether it is learnt on.
    fn models(&self) -> Result<Models, Refused>;

    /// Takes an earlier model back, and stops learning.
    fn roll_back(&self, who: &Who, request: &RollBackRequest) -> Result<Models, Refused>;

    /// Stops learning, or lets it go on.
    fn learn(&self, who: &Who, request: &LearnRequest) -> Result<Models, Refused>;

    /// Hears that what a remote did was benign.
    fn vouch(&self, who: &Who, request: &VerdictRequest) -> Result<Models, Refused>;

    /// Confirms an enforcement that would fall back.
    fn confirm(&self, who: &Who) -> Result<ModeState, Refused>;

    /// Closes the breaker, and returns the node as it is then.
    fn rearm(&self, who: &Who) -> Result<Status, Refused>;

    /// Reads again what may change while it runs; all of it holds or nothing changes.
    fn reload(&self, who: &Who) -> Result<Reloaded, Refused>;

    /// Its events, as they come.
    fn feed(&self) -> Arc<Feed>;

    /// Tells the node's metrics.
    fn metrics(&self, to: &mut Exposition);

    /// A client with a valid token asked from this address: it must not be blocked. Called for
    /// each such request on the server's own thread, so it must be quick.
    fn heard_from(&self, address: IpAddr);
}
