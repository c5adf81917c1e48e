//! Memory of a peer between windows.

use flows_common::FlowKey;

use crate::context::targets::Targets;
use crate::damped::{Damped, HalfLife};
use crate::record::PeerPast;

/// Memory of a peer.
#[derive(Clone, Copy, Default)]
pub(crate) struct PeerState {
    first_seen_ns: Option<u64>,
    as_of_ns: u64,
    past: PeerPast,
    targets: Targets,
}

impl PeerState {
    /// When it was first seen; `now_ns` if it was not before.
    pub(crate) fn first_seen_ns(&mut self, now_ns: u64) -> u64 {
        *self.first_seen_ns.get_or_insert(now_ns)
    }

    /// Lets what is damped fall to a later time, and the targets age.
    pub(crate) fn advance_to(&mut self, now_ns: u64) {
        let elapsed_ns = now_ns.saturating_sub(self.as_of_ns);
        for half_life in HalfLife::ALL {
            self.past.damped[half_life.index()].decay(half_life.left_after(elapsed_ns));
        }
        self.as_of_ns = self.as_of_ns.max(now_ns);
        self.targets.age(now_ns);
    }

    /// Notes the target of a flow that the remote opened; returns the number of new targets it
    /// stands for.
    pub(crate) fn note_target(&mut self, key: &FlowKey) -> f64 {
        self.targets.note(key)
    }

    /// Adds what a window brought.
    pub(crate) fn add(&mut self, news: &Damped) {
        for damped in &mut self.past.damped {
            damped.add(news);
        }
    }

    /// Takes back a SYN that had counted as unanswered as of `since_ns`: a damped sum is linear,
    /// so what is left of it can be subtracted exactly.
    pub(crate) fn take_back_unanswered(&mut self, since_ns: u64) {
        for half_life in HalfLife::ALL {
            let left = half_life.left_after(self.as_of_ns.saturating_sub(since_ns));
            self.past.damped[half_life.index()]
                .add(&Damped { unanswered: -left, ..Damped::default() });
        }
    }

    /// Adds the start of a flow.
    pub(crate) fn add_start(&mut self, start_ns: u64) {
        self.past.starts.add(start_ns);
    }

    /// Counts open TCP flows up or down.
    pub(crate) fn change_open_flows(&mut self, change: i32) {
        self.past.open_tcp_flows = self.past.open_tcp_flows.saturating_add_signed(change);
    }

    /// The part that features read.
    pub(crate) const fn past(&self) -> &PeerPast {
        &self.past
    }
}
