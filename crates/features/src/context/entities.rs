//! Memory of peers and of local addresses between windows.

use flows_common::{Direction, FlowKey, PeerKey, Span, Standing};

use crate::context::recent::Recent;
use crate::counts::NewOfFlow;
use crate::counts::sketch::{Seen, hash, service_word, words};
use crate::kept::kept;
use crate::record::PeerPart;

/// Memory of a peer in one standing.
#[derive(Clone, Copy, Default)]
pub(crate) struct PeerState {
    /// Targets, of the remote and of the host's side at it.
    targets: Seen<8>,
    /// TCP flows that were opened and neither closed nor forgotten.
    open_tcp_flows: u32,
}

kept!(PeerState { targets, open_tcp_flows });
kept!(PeerPart { address, standing });

impl PeerState {
    /// What a restart keeps of it: its flows count as open again when they go on.
    pub(crate) const fn kept(&self) -> Self {
        Self { open_tcp_flows: 0, ..*self }
    }

    /// Lets the memory age to a time.
    pub(crate) fn age(&mut self, now_ns: u64) {
        self.targets.age(now_ns);
    }

    /// Notes the target of a flow; the estimated number of new ones that it stands for.
    pub(crate) fn note_target(&mut self, key: &FlowKey, opener: Direction) -> f32 {
        let [upper, lower] = words(key.local);
        self.targets.note(hash([upper, lower, service_of(key, opener)]))
    }

    /// Counts open TCP flows up or down.
    pub(crate) const fn change_open_flows(&mut self, change: i32) {
        self.open_tcp_flows = self.open_tcp_flows.saturating_add_signed(change);
    }

    /// Open TCP flows.
    pub(crate) const fn open_tcp_flows(&self) -> u32 {
        self.open_tcp_flows
    }
}

/// Memory of a peer, of the standings that a window touches.
pub(crate) struct Parts {
    address: [u8; 16],
    states: [Option<PeerState>; Standing::ALL.len()],
    was_known: bool,
}

impl Parts {
    /// Nothing touched yet.
    pub(crate) const fn of(key: PeerKey) -> Self {
        Self { address: key.address, states: [None; Standing::ALL.len()], was_known: false }
    }

    /// The memory of a standing in a window, until it is kept.
    pub(crate) fn state(
        &mut self,
        peers: &mut Recent<PeerPart, PeerState>,
        standing: Standing,
        window: Span,
    ) -> &mut PeerState {
        let Self { address, states, was_known } = self;
        states[standing as usize].get_or_insert_with(|| {
            let part = PeerPart { address: *address, standing };
            let touched = peers.touch(part, PeerState::default);
            *was_known |= !touched.is_new;
            let mut state = *touched.value;
            state.age(window.end_ns);
            state
        })
    }

    /// Keeps what was touched; true where nothing was known of the peer.
    pub(crate) fn keep(self, peers: &mut Recent<PeerPart, PeerState>) -> bool {
        let is_touched = self.states.iter().any(Option::is_some);
        let mut was_known = self.was_known;
        for (standing, state) in Standing::ALL.into_iter().zip(self.states) {
            let held = peers.get_mut(&PeerPart { address: self.address, standing });
            match (held, state) {
                (Some(held), Some(state)) => *held = state,
                (Some(_), None) => was_known = true,
                (None, _) => {}
            }
        }
        is_touched && !was_known
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

kept!(HostState { remotes, services });

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
