//! Detector: live windows joined with their past, as evidence per peer.
//!
//! The rows come from live windows or captures here; what is made of them is the [`Assessor`]'s,
//! which tables feed too.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use model::{
    Channel, Context, Feature as _, Horizons, Hosts, Kind, Maintained, ModelFile, Observed,
    Outages, PeerFacts, PeerFeature, Tries, WARM_UP, Window,
};

use policy::{Evidence, Standing, WindowFacts};
use training::Ongoing;

use crate::assessor::{Arrival, Assessed, Assessor, WindowRows};
use crate::peer_rows::{PeerRow, PeerRows};
use crate::sites;

/// Scores windows in their order; the past is part of the features.
pub struct Detector {
    context: Context,
    outages: Outages,
    hosts: Hosts,
    tries: Tries,
    /// Services that people said may fail.
    maintained: Vec<Maintained>,
    /// Kept between windows for its room only.
    observed: Observed,
    peers: PeerRows,
    assessor: Assessor,
    learning: Option<Ongoing>,
}

impl std::fmt::Debug for Detector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detector").finish_non_exhaustive()
    }
}

impl Detector {
    /// A detector of windows of a configured length that starts from a context: an empty one, or
    /// the one that learning ended with. An empty one takes every flow for new, so that its first
    /// [`WARM_UP`] windows are told as warming up.
    ///
    /// # Panics
    /// If the context is of windows of another length.
    #[must_use]
    pub fn new(model: ModelFile, context: Context, window: Duration) -> Self {
        assert_eq!(
            *context.horizons(),
            Horizons::of(window),
            "a context of windows of that length"
        );
        let warm_up = if context.is_empty() { WARM_UP } else { 0 };
        let assessor = Assessor::new(model, window, warm_up);
        Self {
            context,
            outages: Outages::default(),
            hosts: Hosts::default(),
            tries: Tries::default(),
            maintained: Vec::new(),
            observed: Observed::default(),
            peers: PeerRows::default(),
            assessor,
            learning: None,
        }
    }

    /// The same with remote hosts of IPv6 that take their addresses of networks of this length, and not
    /// of a /64.
    #[must_use]
    pub fn with_ipv6_hosts(mut self, length: u8) -> Self {
        self.hosts = Hosts::of_length(length);
        self
    }

    /// What it remembers, as bytes for [`Self::take_up`].
    #[must_use]
    pub fn keep(&self) -> Vec<u8> {
        let mut kept = Vec::new();
        self.context.keep(&mut kept);
        self.hosts.keep(&mut kept);
        self.outages.keep(&mut kept);
        kept
    }

    /// Goes on from what one of windows of the same length kept, in the same
    /// [`kept_layout`](model::kept_layout): nothing is new for having been there before, and no
    /// window warms up. False where the bytes are no such memory; then nothing is changed.
    pub fn take_up(&mut self, mut kept: &[u8]) -> bool {
        let window = Duration::from_nanos(self.context.horizons().window().ns());
        let mut take = || {
            let context = Context::taken_up(window, &mut kept)?;
            let hosts = Hosts::taken_up(&mut kept)?;
            Some((context, hosts, Outages::taken_up(&mut kept)?))
        };
        let Some((context, hosts, outages)) = take().filter(|_| kept.is_empty()) else {
            return false;
        };
        (self.context, self.outages) = (context, outages);
        // Networks of another length tell nothing.
        if hosts.length() == self.hosts.length() {
            self.hosts = hosts;
        }
        self.assessor.wait(0);
        true
    }

    /// Has the first windows be told as warming up: so many.
    pub const fn wait(&mut self, windows: u64) {
        self.assessor.wait(windows);
    }

    /// Goes on learning from what it assesses. Drift then asks for another model before it suspends.
    #[must_use]
    pub fn learn_on(mut self, ongoing: Ongoing) -> Self {
        self.assessor.learn_on();
        self.learning = Some(ongoing);
        self
    }

    /// What it goes on learning.
    pub const fn learning(&mut self) -> Option<&mut Ongoing> {
        self.learning.as_mut()
    }

    /// A copy of it to train on, where that is due.
    pub fn due_to_learn(&mut self) -> Option<Ongoing> {
        self.learning.as_mut()?.due(self.assessor.model())
    }

    /// Scores by another model, of windows of the same length, from the next window on.
    pub fn replace_model(&mut self, model: ModelFile) {
        self.assessor.replace_model(model);
    }

    /// The model it scores with.
    #[must_use]
    pub const fn model(&self) -> &ModelFile {
        self.assessor.model()
    }

    /// The records of the last window that was assessed.
    #[must_use]
    pub const fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Takes over which services people said may fail: for the windows from here on.
    pub fn maintain(&mut self, services: Vec<Maintained>) {
        self.maintained = services;
    }

    /// The peers of the last window that was assessed, in the order of its evidence, with their
    /// facts.
    #[must_use]
    pub fn peers(&self) -> &[(IpAddr, PeerFacts)] {
        self.peers.peers()
    }

    /// Joins a window with the past and scores the rows of peers that come with it.
    ///
    /// The rows are filled by [`Feature::fill`](model::Feature::fill), as the columns of a captured
    /// table are: one definition of a feature, with no table in between.
    pub fn assess(&mut self, window: &Window, arrival: Arrival) -> Assessed {
        let (window, outages) = self.outages.look(window, &self.maintained);
        let window = self.hosts.look(window);
        self.context.observe_into(&window, &mut self.observed);
        if arrival.last {
            self.context.finish_into(&mut self.observed);
        }
        let span = window.span();
        self.peers = peer_rows(&self.observed);
        let rows = WindowRows { span, is_lossy: window.is_lossy(), peers: &self.peers };
        let sites = sites::unusual(self.model(), &self.observed.sites);
        let mut assessed = Assessed { outages, sites, ..self.assessor.assess(rows, arrival) };
        assessed.facts.blind = window.unseen_packets > 0;
        for (remote, alike) in self.tries.look(&self.observed.peers) {
            let remote = address(remote);
            let of = |one: &&mut Evidence| one.subject() == (remote, Standing::Proven);
            if let Some(one) = assessed.evidence.iter_mut().find(of) {
                one.log_ins_alike = alike;
            }
        }
        if let Some(ongoing) = &mut self.learning {
            learn(ongoing, &assessed, &self.peers, &self.observed);
        }
        // Half of the room that this window did not need, so that a peak is forgotten.
        let Observed { flows, peers, .. } = &mut self.observed;
        flows.shrink_to(flows.capacity() / 2);
        peers.shrink_to(peers.capacity() / 2);
        assessed
    }
}

/// Learns from a window that is what it seems to be; from remotes that are who they seem to be.
fn learn(ongoing: &mut Ongoing, assessed: &Assessed, peers: &PeerRows, observed: &Observed) {
    let WindowFacts { end_ns, lossy, blind, interrupted, warming_up, .. } = assessed.facts;
    if lossy || blind || interrupted || warming_up {
        return;
    }
    for block in peers.rows() {
        let channel = Channel::new(Kind::Peer, block.horizon);
        let width = block.rows.len() / block.of.len().max(1);
        for (row, &of) in block.rows.chunks_exact(width.max(1)).zip(&block.of) {
            let (address, facts) = peers.peers()[of];
            if facts.standing != Standing::Unproven {
                ongoing.take(channel, Some(address), end_ns, row);
            }
        }
    }
    for row in observed.sites.iter().filter(|row| !row.is_lossy) {
        let channel = Channel::new(row.key.kind(), row.horizon);
        ongoing.take(channel, None, end_ns, &sites::values(row));
    }
    ongoing.end_window(end_ns);
    if assessed.drift_changed && assessed.drift.relearning {
        ongoing.ask();
    }
}

fn peer_rows(observed: &Observed) -> PeerRows {
    let rows = PeerFeature::rows(&observed.peers);
    let width = PeerFeature::scored().count();
    let rows = observed.peers.iter().zip(rows.chunks_exact(width)).map(|(peer, row)| PeerRow {
        address: address(peer.key.address),
        horizon: peer.horizon,
        covers: peer.span,
        is_lossy: peer.is_lossy,
        facts: peer.counts.facts,
        row,
    });
    PeerRows::of(observed.window, rows)
}

/// The address of a 16-byte form.
#[must_use]
pub fn address(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}
