//! What is kept of a context over a restart.

use std::time::Duration;

use super::entities::{HostState, PeerState};
use super::flow::FlowState;
use super::recent::{put_table, take_table};
use super::{Context, ContextLimits};
use crate::counts::sketch::hash;
use crate::counts::{PeerCounts, SiteCounts};
use crate::kept::{Kept as _, size};

/// Changes with the meaning of what is kept.
const VERSION: u64 = 2;

/// Names the layout that memory is kept in: of this version, and of entries of these sizes.
#[must_use]
pub fn layout() -> u64 {
    let states =
        [size(&FlowState::unknown()), size(&PeerState::default()), size(&HostState::default())];
    let counts = [size(&PeerCounts::default()), size(&SiteCounts::default())];
    let sizes = states.into_iter().chain(counts);
    hash([VERSION].into_iter().chain(sizes.map(|size| size as u64)))
}

impl Context {
    /// Puts what it remembers behind these bytes, for [`Self::taken_up`]: of each table the 8,192
    /// entries that were touched last.
    ///
    /// What becomes of flows while nobody looks is told of nobody: those whose outcomes are not known
    /// yet are left out, and those that are open count as open again when they go on.
    pub fn keep(&self, out: &mut Vec<u8>) {
        (self.origin_ns, self.last).put(out);
        put_table(&self.flows, FlowState::kept, out);
        put_table(&self.peers, |peer| Some(peer.kept()), out);
        put_table(&self.hosts, |host| Some(*host), out);
        put_table(&self.services, |()| Some(()), out);
        self.by_peer.put(out);
        self.by_site.put(out);
    }

    /// A context of windows of a length that goes on from what one like it kept, in the same
    /// [`kept_layout`](crate::kept_layout); none where the bytes are no such memory.
    #[must_use]
    pub fn taken_up(window: Duration, bytes: &mut &[u8]) -> Option<Self> {
        let limits = ContextLimits::default();
        let mut context = Self::new(limits, window).ok()?;
        (context.origin_ns, context.last) = crate::kept::Kept::take(bytes)?;
        context.flows = take_table(limits.flows, bytes)?;
        context.peers = take_table(limits.peers, bytes)?;
        context.hosts = take_table(limits.hosts, bytes)?;
        context.services = take_table(limits.services, bytes)?;
        context.by_peer.take(bytes)?;
        context.by_site.take(bytes)?;
        Some(context)
    }
}
