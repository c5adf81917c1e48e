//! Memory of peers and of local addresses between windows.

use flows_common::{Direction, FlowKey};

use crate::counts::NewOfFlow;
use crate::counts::sketch::{Seen, hash, service_word, words};

/// Memory of a peer.
#[derive(Clone, Copy, Default)]
pub(crate) struct PeerState {
    /// Targets, of the remote and of the host's side at it.
    targets: Seen<8>,
    /// TCP flows that were opened and neither closed nor forgotten.
    open_tcp_flows: u32,
}

impl PeerState {
    /// Lets the memory age to a time.
    pub(crate) fn age(&mut self, now_ns: u64) {
        self.targets.age(now_ns);
    }

    /// Notes the target of a flow; the estimated number of new ones that it stands for.
    pub(crate) fn note_target(&mut self, key: &FlowKey, opener: Direction) -> f32 {
        let [upper, lower] = words(key.local);
        self.targets.note(hash([upper, lower, service_of(key, opener)]))
    }

    /// Counts open TCP flows up or down; how many there are.
    pub(crate) fn change_open_flows(&mut self, change: i32) -> u32 {
        self.open_tcp_flows = self.open_tcp_flows.saturating_add_signed(change);
        self.open_tcp_flows
    }
}

/// Memory of a local address.
#[derive(Clone, Copy, Default)]
pub(crate) struct HostState {
    /// Remotes that opened a flow to it, and that it opened one to.
    remotes: [Seen<32>; 2],
    /// Services that it used.
    services: Seen<8>,
}

impl HostState {
    /// Notes a flow that was opened; `target` is what is new of its target for the opener.
    pub(crate) fn note(
        &mut self,
        key: &FlowKey,
        opener: Direction,
        target: f32,
        now_ns: u64,
    ) -> NewOfFlow {
        let remotes = &mut self.remotes[opener.index()];
        remotes.age(now_ns);
        let remote = remotes.note(hash(words(key.remote)));
        let service = if opener == Direction::Egress {
            self.services.age(now_ns);
            self.services.note(hash([service_of(key, opener)]))
        } else {
            0.0
        };
        NewOfFlow { target, remote, service }
    }
}

/// The service that a flow uses: the protocol, the opened side's port, and the side that opens.
pub(crate) const fn service_of(key: &FlowKey, opener: Direction) -> u64 {
    let port = match opener {
        Direction::Ingress => key.local_port,
        Direction::Egress => key.remote_port,
    };
    service_word(key.protocol, port, opener)
}
