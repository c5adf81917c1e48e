//! Limits of connections and requests.

use std::time::Duration;

/// Threads that run the node's methods.
pub const NODE_THREADS: usize = 4;
/// Connections that are open at once, on the socket and on the address each.
pub(super) const CONNECTIONS: usize = 128;
/// Part of the connections over TCP that one client may hold, as its inverse: others find a place
/// however slow it is.
pub(super) const SHARE_OF_CONNECTIONS: usize = 4;
/// Requests that are answered or wait for the node at once, likewise.
pub(super) const REQUESTS: usize = 64;
/// Clients that follow the events at once.
pub(super) const FOLLOWERS: usize = 16;
/// Bytes of a request's body.
pub(super) const BODY_BYTES: usize = 64 * 1_024;
/// Bytes of a batch of a list of blocks: each of its entries says all that one can say.
pub(super) const IMPORT_BYTES: usize = 4 * 1_024 * 1_024;
/// Longest time that the node may take to read a million entries back behind the last batch of a
/// list, or to end as many. The client of the command line waits longer.
pub(super) const LONG_TIME: Duration = Duration::from_secs(25);
/// Bytes of a request's line and headers.
pub(super) const HEAD_BYTES: usize = 16 * 1_024;
/// Headers of a request.
pub(super) const HEADERS: usize = 64;
/// Clients whose rates are kept apart; those beyond share one.
pub(super) const RATED_CLIENTS: usize = 1_024;
/// Time left to requests under way when the server stops.
pub(super) const GRACE: Duration = Duration::from_secs(2);
/// Pause of accepting after the system refused, for want of descriptors for example.
pub(crate) const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Bounds of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are open at once, on the socket and on the address each.
    pub connections: usize,
    /// Requests under way at once, likewise.
    pub requests: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Time for a client to send a request's headers, or to ask again.
    pub head_time: Duration,
    /// Time for a request's body, and for the node.
    pub request_time: Duration,
    /// Time that a connection lasts; a client that reads its answer too slowly is cut off then.
    pub connection_time: Duration,
    /// Rate of requests of one client.
    pub rate: Rate,
}

/// Rate of requests of one client: a user of the socket, an IPv4 address or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second in the long run, at least 1.
    pub per_second: u32,
    /// Requests at once after a rest, at least 1.
    pub burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            requests: REQUESTS,
            body_bytes: BODY_BYTES,
            head_time: Duration::from_secs(10),
            request_time: Duration::from_secs(10),
            connection_time: Duration::from_mins(1),
            rate: Rate::default(),
        }
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self { per_second: 50, burst: 200 }
    }
}
