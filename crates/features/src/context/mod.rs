//! Bounded memory of the past: joins each window with what came before it.
//!
//! [`Context::observe`] takes the windows in their order and makes the records that features are
//! computed from. It has no clock of its own; the windows bring the time. Same windows, same
//! records.
//!
//! **What it remembers**, and for how long:
//! - per flow: first seen, who opened it, how far its handshake got, whether it is open. Forgotten
//!   after [`ContextLimits::flow_idle_ns`] of silence, or when its 5-tuple is opened again after a
//!   close;
//! - per peer and standing: first seen, [`Damped`](crate::Damped) sums of three half-lives, which local targets it tried, the
//!   intervals between its flows ([`Starts`](crate::Starts)), its open TCP flows;
//! - per service: how many peers use it.
//!
//! **What it forgets when full**: the entry that was touched least recently, at once, so the
//! limits hold within a window too. [`Context::evictions`] counts them. A forgotten peer that
//! comes back is new; a flow forgotten while open no longer counts as open.

mod flow;
mod limits;
mod peer;
mod peer_sums;
pub(crate) mod recent;
mod service;
mod targets;

use std::ops::Range;

use flows_common::{
    Direction, FlowCounters, FlowKey, PeerCounters, PeerKey, Span, Standing, Window,
};

pub use limits::{ContextError, ContextLimits};

use crate::facts::PeerFacts;
use crate::record::{FlowRecord, PeerRecord};
use flow::{FlowNews, FlowState};
use peer::PeerState;
use peer_sums::PeerSums;
use recent::Recent;
use service::{Service, Services};

/// A window joined with the past.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// A record per flow, ordered by remote address, standing, local port, remote port and
    /// protocol, then by the whole key: a peer's flows are neighbours.
    pub flows: Vec<FlowRecord>,
    /// A record per remote and standing, ordered by address and standing.
    pub peers: Vec<PeerRecord>,
}

/// Numbers of entries that the context holds, or has evicted to make room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextCount {
    /// Flows.
    pub flows: u64,
    /// Peers.
    pub peers: u64,
    /// Services.
    pub services: u64,
}

/// Windows after which a context that began empty tells something: in the first ones every flow is
/// new to it.
pub const WARM_UP: u64 = 3;

/// Bounded memory of the past; see the [module](self).
pub struct Context {
    limits: ContextLimits,
    flows: Recent<FlowKey, FlowState>,
    peers: Recent<(PeerKey, Standing), PeerState>,
    services: Services,
    scratch: Scratch,
}

/// Kept between windows for its allocations only.
#[derive(Default)]
struct Scratch {
    peer_sums: PeerSums,
    services: Vec<(Service, usize)>,
    votes: Vec<(Service, f64)>,
    news: Vec<FlowNews>,
}

impl Default for Context {
    fn default() -> Self {
        Self::new(ContextLimits::default()).expect("the default limits are valid")
    }
}

impl Context {
    /// An empty context. It allocates as it fills.
    pub fn new(limits: ContextLimits) -> Result<Self, ContextError> {
        limits.check()?;
        Ok(Self {
            limits,
            flows: Recent::with_capacity(limits.flows),
            peers: Recent::with_capacity(limits.peers),
            services: Services::with_capacity(limits.services),
            scratch: Scratch::default(),
        })
    }

    /// Numbers of entries held.
    #[must_use]
    pub fn size(&self) -> ContextCount {
        ContextCount {
            flows: self.flows.len() as u64,
            peers: self.peers.len() as u64,
            services: self.services.len() as u64,
        }
    }

    /// Numbers of entries evicted to make room for others, since the context was made.
    #[must_use]
    pub const fn evictions(&self) -> ContextCount {
        ContextCount {
            flows: self.flows.evicted(),
            peers: self.peers.evicted(),
            services: self.services.evicted(),
        }
    }

    /// Joins a window with the past, and remembers it.
    ///
    /// Windows are expected in their order; one that ends before its predecessor did is taken as
    /// simultaneous with it. Service rarity is that before the window. Costs a sort of the flows
    /// and one hash look-up per flow, peer and service.
    pub fn observe(&mut self, window: &Window) -> Observed {
        let mut observed = Observed::default();
        self.observe_into(window, &mut observed);
        observed
    }

    /// As [`Self::observe`], into the room of an earlier window's records.
    ///
    /// The records of 100,000 flows take some 50 MB, and having the kernel hand out and clear
    /// those pages anew costs about as much as filling them.
    pub fn observe_into(&mut self, window: &Window, observed: &mut Observed) {
        let span = window.span();
        self.forget_idle_flows(span.end_ns);
        let order = flow_order(window);
        let mut noted: Vec<&(PeerKey, PeerCounters)> = window.peers.iter().collect();
        noted.sort_unstable_by_key(|(key, _)| *key);

        observed.flows.clear();
        observed.flows.reserve(order.len());
        observed.peers.clear();
        let mut noted = noted.into_iter().peekable();
        for group in order.chunk_by(|one, next| one.remote == next.remote) {
            let remote = group[0].remote;
            while let Some((key, counters)) =
                noted.next_if(|(key, _)| u128::from_be_bytes(key.address) < remote)
            {
                self.observe_peer(window, *key, &[], Some(counters), observed);
            }
            let counters = noted.next_if(|(key, _)| u128::from_be_bytes(key.address) == remote);
            let key = PeerKey { address: remote.to_be_bytes() };
            let counters = counters.map(|(_, counters)| counters);
            self.observe_peer(window, key, group, counters, observed);
        }
        for (key, counters) in noted {
            self.observe_peer(window, *key, &[], Some(counters), observed);
        }
        for (service, vote) in self.scratch.votes.drain(..) {
            self.services.vote(service, vote, span.end_ns);
        }
    }

    fn observe_peer(
        &mut self,
        window: &Window,
        key: PeerKey,
        group: &[Place],
        noted: Option<&PeerCounters>,
        observed: &mut Observed,
    ) {
        let begin = observed.flows.len();
        let mut news = std::mem::take(&mut self.scratch.news);
        for place in group {
            let (flow_key, counters) = &window.flows[place.index as usize];
            let (record, flow_news) = self.observe_flow(flow_key, counters, window.span());
            observed.flows.push(record);
            news.push(flow_news);
        }
        if !observed.flows[begin..].is_sorted_by_key(|flow| flow.standing) {
            let mut joined: Vec<_> = observed.flows.drain(begin..).zip(news.drain(..)).collect();
            joined.sort_by_key(|(flow, _)| flow.standing);
            for (flow, flow_news) in joined {
                observed.flows.push(flow);
                news.push(flow_news);
            }
        }
        let lost = noted
            .filter(|_| !window.holds_every_flow() || group.is_empty())
            .map(|noted| peer_sums::without_vouched(noted, &observed.flows[begin..]));
        let mut from = begin;
        for standing in Standing::ALL {
            let flows = &observed.flows[from..];
            let to = from + flows.partition_point(|flow| flow.standing <= standing);
            let lost = lost.as_ref().filter(|_| standing == Standing::Unproven);
            if from < to || lost.is_some() {
                let news = &news[from - begin..to - begin];
                self.observe_standing((key, standing), from..to, news, lost, window, observed);
            }
            from = to;
        }
        news.clear();
        self.scratch.news = news;
    }

    /// Makes the record of a peer in one standing, of these flows; `lost` are its counters where
    /// flows were lost.
    fn observe_standing(
        &mut self,
        (key, standing): (PeerKey, Standing),
        flows: Range<usize>,
        news: &[FlowNews],
        lost: Option<&PeerCounters>,
        window: &Window,
        observed: &mut Observed,
    ) {
        let span = window.span();
        let is_new = self.peers.touch((key, standing), PeerState::default).is_new;
        let mut peer_sums = std::mem::take(&mut self.scratch.peer_sums);
        peer_sums.clear();
        let mut first_ns = u64::MAX;
        for (record, news) in observed.flows[flows.clone()].iter().zip(news) {
            first_ns = first_ns.min(flow::bounds(&record.counters, span).0);
            peer_sums.add(record, news);
        }
        self.rate_services(&mut observed.flows[flows.clone()], span, &mut peer_sums.record);
        peer_sums.count_distinct();

        let state =
            self.peers.get_mut(&(key, standing)).expect("touched above, so the last to be evicted");
        state.advance_to(span.end_ns);
        for flow in &observed.flows[flows.clone()] {
            if flow.is_new && flow.initiator == Direction::Ingress {
                peer_sums.news.new_targets += state.note_target(&flow.key);
            }
        }
        if let Some(noted) = lost {
            first_ns = first_ns.min(noted.first_note_ns().unwrap_or(u64::MAX));
            if !window.holds_every_flow() {
                peer_sums.take_larger(noted);
            }
        }
        peer_sums.news.bytes = peer_sums.record.directions.map(|direction| direction.bytes as f64);
        state.add(&peer_sums.news);
        peer_sums.starts_ns.sort_unstable();
        for start_ns in peer_sums.starts_ns.drain(..) {
            state.add_start(start_ns);
        }
        state.change_open_flows(peer_sums.open_change);

        let mut record = std::mem::take(&mut peer_sums.record);
        record.key = key;
        record.window = span;
        record.facts =
            PeerFacts::of(standing, &observed.flows[flows.clone()], &record.directions, span);
        record.flows = flows;
        for (since_ns, noted_in) in peer_sums.answered_after.drain(..) {
            if let Some(state) = self.peers.get_mut(&(key, noted_in)) {
                state.take_back_unanswered(since_ns);
            }
        }
        let state = self.peers.get_mut(&(key, standing)).expect("touched above");
        record.first_seen_ns = state.first_seen_ns(first_ns);
        record.is_new = is_new;
        record.past = *state.past();
        observed.peers.push(record);
        self.scratch.peer_sums = peer_sums;
    }

    fn observe_flow(
        &mut self,
        key: &FlowKey,
        counters: &FlowCounters,
        window: Span,
    ) -> (FlowRecord, FlowNews) {
        let touched = self.flows.touch(*key, FlowState::unknown);
        let news = touched.value.advance(key, counters, window);
        if let Some((evicted, state)) = touched.evicted {
            self.close_forgotten(&evicted, &state);
        }
        if let Some(standing) = news.left {
            self.close_in(key, standing);
        }
        let record = FlowRecord {
            key: *key,
            counters: *counters,
            window,
            first_seen_ns: news.first_seen_ns,
            is_new: news.is_new,
            initiator: news.initiator,
            standing: news.standing,
            handshake: news.handshake,
            handshake_ns: news.handshake_ns,
            past: news.past,
            service_rarity: 0.0,
        };
        (record, news)
    }

    /// Sets the services' rarity in a peer's records, and keeps the peer's vote for later.
    fn rate_services(&mut self, flows: &mut [FlowRecord], window: Span, record: &mut PeerRecord) {
        let Scratch { services, votes, .. } = &mut self.scratch;
        services.clear();
        services.extend(
            flows.iter().enumerate().map(|(index, flow)| {
                (Service::of(&flow.key, &flow.counters, flow.initiator), index)
            }),
        );
        services.sort_unstable();
        let distinct = services.chunk_by(|one, next| one.0 == next.0).count();
        let mut rarity_sum = 0.0;
        for run in services.chunk_by(|one, next| one.0 == next.0) {
            let service = run[0].0;
            let rarity = self.services.rarity(service, window.end_ns);
            rarity_sum += rarity;
            for &(_, index) in run {
                flows[index].service_rarity = rarity;
            }
            record.top_service_flows = record.top_service_flows.max(run.len() as u64);
            votes.push((service, 1.0 / distinct as f64));
        }
        record.distinct_services = distinct as u64;
        if distinct > 0 {
            record.service_rarity = rarity_sum / distinct as f64;
        }
    }

    fn forget_idle_flows(&mut self, now_ns: u64) {
        let idle_ns = self.limits.flow_idle_ns;
        while let Some((key, state)) =
            self.flows.pop_oldest_if(|state| state.is_idle(now_ns, idle_ns))
        {
            self.close_forgotten(&key, &state);
        }
    }

    fn close_forgotten(&mut self, key: &FlowKey, state: &FlowState) {
        if let Some(standing) = state.open_in() {
            self.close_in(key, standing);
        }
    }

    fn close_in(&mut self, key: &FlowKey, standing: Standing) {
        if let Some(peer) = self.peers.get_mut(&(PeerKey { address: key.remote }, standing)) {
            peer.change_open_flows(-1);
        }
    }
}

/// Where a flow stands in the window, with what it is ordered by.
struct Place {
    remote: u128,
    ports: u64,
    index: u32,
}

/// The window's flows in the order of [`Observed::flows`].
fn flow_order(window: &Window) -> Vec<Place> {
    let places = window.flows.iter().zip(0_u32..).map(|((key, _), index)| Place {
        remote: u128::from_be_bytes(key.remote),
        ports: u64::from(key.local_port) << 32
            | u64::from(key.remote_port) << 16
            | u64::from(key.protocol),
        index,
    });
    let mut order: Vec<Place> = places.collect();
    order.sort_unstable_by(|one, other| {
        (one.remote, one.ports).cmp(&(other.remote, other.ports)).then_with(|| {
            let key = |place: &Place| &window.flows[place.index as usize].0;
            key(one).cmp(key(other))
        })
    });
    order
}
