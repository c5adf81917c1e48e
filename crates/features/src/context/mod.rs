//! Bounded memory of the past: joins each window with what came before it.
//!
//! [`Context::observe`] takes the windows in their order and makes the records that features are
//! computed from: of each flow in the window, and of each peer and each part of the host's side,
//! over the window and over the longer [horizons](Horizons) that end with it. It has no clock of
//! its own; the windows bring the time. Same windows, same records.
//!
//! **When a row comes**: the one of the window at its end, with the outcomes of flows
//! ([`Outcomes`](crate::counts::Outcomes)) that are known by then; where others become known, it
//! comes once more, 3 s later, with all of them. The one of a longer horizon comes 3 s after its
//! end, with all outcomes. At the end of a capture [`Context::finish_into`] hands out what is left.
//!
//! **Whose rows**: of each peer one for each [`Standing`] that its packets have: what anybody may
//! have sent in its name, and what this host asked it for, never enter the row of what it sent
//! itself, at any horizon. A flow counts in the row of the standing that it has in the window; its
//! outcome, in that of the standing that it had when it was opened, or, where it ends later, when it
//! ended. Rows of the host's side are over all traffic.
//!
//! **Who has no row**: multicast groups, broadcast and the unspecified address, on either side.
//!
//! **What it remembers**, and for how long:
//! - per flow: first seen, who opened it, how far its handshake got, what it said until its outcome
//!   was known. Forgotten after [`ContextLimits::flow_idle_ns`] of silence, or when its 5-tuple is
//!   opened anew;
//! - per peer and standing: which targets it tried in the last hour or two, its open TCP flows;
//! - per local address: which remotes it met and which services it used in the last hour or two;
//! - which services of the host's side ever answered;
//! - per entity and longer horizon: its counts.
//!
//! **What it forgets when full**: the entry that was touched least recently, at once, so the
//! limits hold within a window too. [`Context::evictions`] counts them. A forgotten peer's targets
//! are new to it; a flow forgotten while open no longer counts as open, and its outcome is what was
//! seen until then; an entity forgotten by a horizon begins there anew.

mod entities;
mod flow;
mod kept;
mod late;
mod limits;
mod news;
mod peer_sums;
pub(crate) mod recent;
mod site_sums;
mod tally;

use std::collections::VecDeque;
use std::time::Duration;

use flows_common::group::is_group;
use flows_common::{
    FlowCounters, FlowKey, PeerCounters, PeerKey, Span, Standing, Window, unmap_v4,
};

pub(crate) use kept::sizes_of_kept;
pub use limits::{ContextError, ContextLimits};

use crate::counts::{NewOfFlow, PeerCounts, SiteCounts};
use crate::facts::LocalService;
use crate::flow_record::FlowRecord;
use crate::kind::{Horizons, Kind};
use crate::record::{PeerPart, PeerRecord, Row, SiteKey, SiteRecord};
use entities::{HostState, Parts, PeerState};
use flow::FlowState;
use late::Late;
use news::FlowNews;
use peer_sums::{Lost, PeerSums};
use recent::Recent;
use site_sums::SiteSums;
use tally::{At, SETTLED_NS, Tally};

/// A window joined with the past.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The window.
    pub window: Span,
    /// A record per flow, ordered by remote address, standing, local port, remote port and
    /// protocol, then by the whole key: a peer's flows are neighbours.
    pub flows: Vec<FlowRecord>,
    /// Peers that the context did not know before the window.
    pub new_peers: u64,
    /// Rows of peers: those of the window ordered by address and standing, then those that became
    /// complete with it, from short horizons to long ones, each ordered likewise.
    pub peers: Vec<PeerRecord>,
    /// Rows of the host's side, ordered likewise by their keys.
    pub sites: Vec<SiteRecord>,
}

impl Observed {
    /// Number of rows of a kind.
    #[must_use]
    pub fn rows(&self, kind: Kind) -> usize {
        match kind {
            Kind::Flow => self.flows.len(),
            Kind::Peer => self.peers.len(),
            Kind::Host | Kind::Service | Kind::Net => self.sites_of(kind).count(),
        }
    }

    /// Rows of a kind of the host's side, in their order.
    pub fn sites_of(&self, kind: Kind) -> impl Iterator<Item = &SiteRecord> {
        self.sites.iter().filter(move |row| row.key.kind() == kind)
    }
}

/// Numbers of entries that the context holds, or has evicted to make room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextCount {
    /// Flows.
    pub flows: u64,
    /// Peers, each once a standing.
    pub peers: u64,
    /// Addresses of the host's side.
    pub hosts: u64,
    /// Services of the host's side.
    pub services: u64,
    /// Entities that a longer horizon gathers, or whose late outcomes are waited for.
    pub gathered: u64,
}

/// Windows after which a context that began empty tells something: in the first ones every flow is
/// new to it.
pub const WARM_UP: u64 = 3;

/// Bounded memory of the past; see the [module](self).
pub struct Context {
    limits: ContextLimits,
    horizons: Horizons,
    origin_ns: Option<u64>,
    last: Option<Span>,
    flows: Recent<FlowKey, FlowState>,
    peers: Recent<PeerPart, PeerState>,
    hosts: Recent<[u8; 16], HostState>,
    services: Recent<LocalService, ()>,
    /// Flows whose outcomes are to come, by the window that they were opened in.
    pending: VecDeque<(Span, Vec<FlowKey>)>,
    by_peer: Tally<PeerPart, PeerCounts>,
    by_site: Tally<SiteKey, SiteCounts>,
    unheard_outcomes: u64,
    scratch: Scratch,
}

/// Kept between windows for its allocations only.
#[derive(Default)]
struct Scratch {
    /// Of each record of a flow, what changed, and what was new; none where it has no row.
    news: Vec<Option<(FlowNews, NewOfFlow)>>,
    /// Of each peer's row, whether outcomes are to come.
    peers_wait: Vec<bool>,
    forgotten: Vec<(FlowKey, FlowState)>,
    late: Vec<Late>,
    peer_sums: PeerSums,
    site_sums: SiteSums,
}

impl Default for Context {
    /// The default limits, for windows of 1 s.
    fn default() -> Self {
        Self::of_windows(Duration::from_secs(1))
    }
}

impl Context {
    /// An empty context for windows of a length. It allocates as it fills.
    pub fn new(limits: ContextLimits, window: Duration) -> Result<Self, ContextError> {
        limits.check()?;
        let horizons = Horizons::of(window);
        Ok(Self {
            limits,
            horizons,
            origin_ns: None,
            last: None,
            flows: Recent::with_capacity(limits.flows),
            peers: Recent::with_capacity(limits.peers),
            hosts: Recent::with_capacity(limits.hosts),
            services: Recent::with_capacity(limits.services),
            pending: VecDeque::new(),
            by_peer: Tally::new(horizons, limits.gathered),
            by_site: Tally::new(horizons, limits.gathered),
            unheard_outcomes: 0,
            scratch: Scratch::default(),
        })
    }

    /// An empty context with the default limits, for windows of a length.
    ///
    /// # Panics
    ///
    /// Never: the default limits are valid.
    #[must_use]
    pub fn of_windows(window: Duration) -> Self {
        Self::new(ContextLimits::default(), window).expect("the default limits are valid")
    }

    /// The horizons of its rows.
    #[must_use]
    pub const fn horizons(&self) -> &Horizons {
        &self.horizons
    }

    /// True before the first window.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.origin_ns.is_none()
    }

    /// Numbers of entries held.
    #[must_use]
    pub fn size(&self) -> ContextCount {
        ContextCount {
            flows: self.flows.len() as u64,
            peers: self.peers.len() as u64,
            hosts: self.hosts.len() as u64,
            services: self.services.len() as u64,
            gathered: (self.by_peer.len() + self.by_site.len()) as u64,
        }
    }

    /// Numbers of entries evicted to make room for others, since the context was made.
    #[must_use]
    pub const fn evictions(&self) -> ContextCount {
        ContextCount {
            flows: self.flows.evicted(),
            peers: self.peers.evicted(),
            hosts: self.hosts.evicted(),
            services: self.services.evicted(),
            gathered: self.by_peer.evicted() + self.by_site.evicted(),
        }
    }

    /// Outcomes of flows that came when their peer had no row any more to count in.
    #[must_use]
    pub const fn unheard_outcomes(&self) -> u64 {
        self.unheard_outcomes
    }

    /// Joins a window with the past, and remembers it.
    ///
    /// Windows are expected in their order. One that begins before its predecessor did begins anew,
    /// as another capture does: the rows that were open are handed out with it. Costs a sort of the flows, two hash look-ups a flow and two a peer.
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
        observed.flows.clear();
        observed.peers.clear();
        observed.sites.clear();
        let mut rest = Observed::default();
        if let Some(last) = self.last.filter(|last| span.start_ns < last.start_ns) {
            rest.window = last;
            self.finish_into(&mut rest);
            self.origin_ns = None;
        }
        self.last = Some(span);
        let at = At { origin_ns: *self.origin_ns.get_or_insert(span.start_ns), window: span };
        (observed.window, observed.new_peers) = (span, 0);
        self.scratch.news.clear();
        self.scratch.peers_wait.clear();
        self.forget_idle_flows(span.end_ns);
        self.observe_peers(window, &at, observed);
        self.observe_sites(&at, observed);
        self.judge_due_flows(&at, false);
        self.apply_late(&at, observed);
        self.gather(&at, window.is_lossy(), observed);
        self.by_peer.close(&at, false, &mut observed.peers);
        self.by_site.close(&at, false, &mut observed.sites);
        observed.peers.append(&mut rest.peers);
        observed.sites.append(&mut rest.sites);
    }

    /// Adds the rows that are still open to those of the last window: all outcomes are taken as
    /// known, and all horizons as ended. What follows would begin with no row begun.
    pub fn finish_into(&mut self, observed: &mut Observed) {
        let Some(origin_ns) = self.origin_ns else { return };
        // Nothing more happens in the time after the last window.
        let end_ns = observed.window.end_ns;
        let at = At { origin_ns, window: Span { start_ns: end_ns, end_ns } };
        self.judge_due_flows(&at, true);
        self.apply_late(&at, &mut Observed::default());
        self.by_peer.close(&at, true, &mut observed.peers);
        self.by_site.close(&at, true, &mut observed.sites);
    }

    fn observe_peers(&mut self, window: &Window, at: &At, observed: &mut Observed) {
        let order = flow_order(window);
        let mut noted: Vec<&(PeerKey, PeerCounters)> = window.peers.iter().collect();
        noted.sort_unstable_by_key(|(key, _)| *key);
        observed.flows.reserve(order.len());
        let mut noted = noted.into_iter().peekable();
        for group in order.chunk_by(|one, next| one.remote == next.remote) {
            let remote = group[0].remote;
            while let Some((key, counters)) =
                noted.next_if(|(key, _)| u128::from_be_bytes(key.address) < remote)
            {
                self.observe_peer(window, at, *key, &[], Some(counters), observed);
            }
            let counters = noted.next_if(|(key, _)| u128::from_be_bytes(key.address) == remote);
            let key = PeerKey { address: remote.to_be_bytes() };
            let counters = counters.map(|(_, counters)| counters);
            self.observe_peer(window, at, key, group, counters, observed);
        }
        for (key, counters) in noted {
            self.observe_peer(window, at, *key, &[], Some(counters), observed);
        }
    }

    fn observe_peer(
        &mut self,
        window: &Window,
        at: &At,
        key: PeerKey,
        group: &[Place],
        noted: Option<&PeerCounters>,
        observed: &mut Observed,
    ) {
        let begin = observed.flows.len();
        let is_nobody = is_group(&key.address);
        let mut parts = Parts::of(key);
        for place in group {
            let (flow_key, counters) = &window.flows[place.index as usize];
            let has_row =
                !is_nobody && !is_group(&flow_key.local) && !is_broadcast(flow_key, counters);
            let parts = has_row.then_some(&mut parts);
            let (record, news) = self.observe_flow(flow_key, counters, at.window, parts);
            self.scratch.news.push(news);
            observed.flows.push(record);
        }
        sort_by_standing(&mut observed.flows[begin..], &mut self.scratch.news[begin..]);
        let noted =
            noted.filter(|_| !is_nobody && (group.is_empty() || !window.holds_every_flow()));
        let lost = noted.map(|noted| Lost::of(noted, &observed.flows[begin..]));
        let mut sums = std::mem::take(&mut self.scratch.peer_sums);
        let mut from = begin;
        for standing in Standing::ALL {
            let to =
                from + observed.flows[from..].partition_point(|flow| flow.standing <= standing);
            let flows = &observed.flows[from..to];
            sums.clear();
            for (flow, news) in flows.iter().zip(&self.scratch.news[from..to]) {
                if let Some((news, new)) = news {
                    sums.add(flow, news, *new, at, self.horizons);
                }
            }
            let lost = lost.as_ref().filter(|lost| {
                standing == Standing::Unproven && (group.is_empty() || lost.has_any())
            });
            if sums.has_flows() || lost.is_some() {
                if let Some(lost) = lost.filter(|_| !window.holds_every_flow()) {
                    sums.take_larger(lost);
                }
                let open = parts.state(&mut self.peers, standing, at.window).open_tcp_flows();
                self.scratch.peers_wait.push(sums.is_pending());
                observed.peers.push(Row {
                    key: PeerPart { address: key.address, standing },
                    horizon: self.horizons.window(),
                    level: 0,
                    span: at.window,
                    is_lossy: false,
                    counts: sums.finish(standing, flows, open, at.window),
                });
            }
            from = to;
        }
        self.scratch.peer_sums = sums;
        observed.new_peers += u64::from(parts.keep(&mut self.peers));
        self.close_forgotten();
    }

    /// Joins a flow with its past; where it has a row, notes what is new of it.
    fn observe_flow(
        &mut self,
        key: &FlowKey,
        counters: &FlowCounters,
        window: Span,
        parts: Option<&mut Parts>,
    ) -> (FlowRecord, Option<(FlowNews, NewOfFlow)>) {
        let touched = self.flows.touch(*key, FlowState::unknown);
        let news = touched.value.advance(key, counters, window);
        let has_row = parts.is_some();
        let mut new = NewOfFlow::default();
        if let Some(parts) = parts {
            if let Some(left) = news.left {
                parts.state(&mut self.peers, left, window).change_open_flows(-1);
            }
            let peer = parts.state(&mut self.peers, news.standing, window);
            peer.change_open_flows(i32::from(news.open_change));
            if news.opened > 0 {
                let target = peer.note_target(key, news.initiator);
                let host = self.hosts.touch(key.local, HostState::default).value;
                new = host.note(key, news.initiator, target, window.end_ns);
                if !news.is_stray {
                    touched.value.note_new(new);
                }
            }
            let told = [news.before, news.late].into_iter().flatten();
            self.scratch.late.extend(told.map(|told| Late { key: *key, told }));
            if news.is_pending {
                if self.pending.back().is_none_or(|(span, _)| *span != window) {
                    self.pending.push_back((window, Vec::new()));
                }
                let (_, flows) = self.pending.back_mut().expect("there is one now");
                flows.push(*key);
            }
        }
        self.scratch.forgotten.extend(touched.evicted);
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
        };
        (record, has_row.then_some((news, new)))
    }

    fn observe_sites(&mut self, at: &At, observed: &mut Observed) {
        let Self { scratch, services, horizons, .. } = self;
        for (flow, news) in observed.flows.iter().zip(&scratch.news) {
            if news.is_some()
                && let Some(service) = site_sums::answering_service(flow)
            {
                services.touch(service, || ());
            }
        }
        scratch.site_sums.clear();
        for (flow, news) in observed.flows.iter().zip(&scratch.news) {
            if let Some((news, new)) = news {
                let is_known = |service: &LocalService| services.get(service).is_some();
                scratch.site_sums.add(flow, news, *new, at, *horizons, is_known);
            }
        }
        let (horizon, span) = (self.horizons.window(), at.window);
        let rows = self.scratch.site_sums.rows();
        observed.sites.extend(rows.map(|(key, counts)| Row {
            key,
            horizon,
            level: 0,
            span,
            is_lossy: false,
            counts,
        }));
    }

    /// Gathers the window's rows into longer horizons.
    fn gather(&mut self, at: &At, is_lossy: bool, observed: &mut Observed) {
        observed.peers.iter_mut().for_each(|row| row.is_lossy = is_lossy);
        observed.sites.iter_mut().for_each(|row| row.is_lossy = is_lossy);
        let Scratch { peers_wait, site_sums, .. } = &self.scratch;
        self.by_peer.add(at, &observed.peers, is_lossy, |place| peers_wait[place]);
        self.by_site.add(at, &observed.sites, is_lossy, |place| site_sums.is_pending(place));
    }

    /// Tells the outcomes of flows that were opened 3 s ago or, at the `last` window, ever.
    ///
    /// Where more of them are pending than flows are remembered, the oldest are judged early.
    fn judge_due_flows(&mut self, at: &At, last: bool) {
        let now_ns = at.window.end_ns;
        let mut left: usize = self.pending.iter().map(|(_, flows)| flows.len()).sum();
        while let Some((opened, flows)) = self.pending.pop_front_if(|(opened, flows)| {
            let is_due = now_ns >= opened.end_ns.saturating_add(SETTLED_NS);
            last || is_due || (left > self.limits.flows && !flows.is_empty())
        }) {
            left -= flows.len();
            for key in flows {
                let Some(state) = self.flows.get_mut(&key) else { continue };
                if state.is_pending_since(opened.start_ns) {
                    let told = state.tell(&key);
                    self.scratch.late.extend(told.map(|told| Late { key, told }));
                }
            }
        }
    }

    fn forget_idle_flows(&mut self, now_ns: u64) {
        let idle_ns = self.limits.flow_idle_ns;
        while let Some(forgotten) = self.flows.pop_oldest_if(|state| state.is_idle(now_ns, idle_ns))
        {
            self.scratch.forgotten.push(forgotten);
        }
        self.close_forgotten();
    }

    /// Counts forgotten flows as closed, and tells what is known of them.
    fn close_forgotten(&mut self) {
        for (key, mut state) in self.scratch.forgotten.drain(..) {
            if let Some(standing) = state.open_in()
                && let Some(peer) = self.peers.get_mut(&PeerPart { address: key.remote, standing })
            {
                peer.change_open_flows(-1);
            }
            if !is_group(&key.remote) && !is_group(&key.local) {
                self.scratch.late.extend(state.tell(&key).map(|told| Late { key, told }));
            }
        }
    }
}

/// Orders a peer's flows, and what is new of them, by standing.
fn sort_by_standing(flows: &mut [FlowRecord], news: &mut [Option<(FlowNews, NewOfFlow)>]) {
    if flows.is_sorted_by_key(|flow| flow.standing) {
        return;
    }
    let mut joined: Vec<_> = flows.iter().cloned().zip(news.iter().copied()).collect();
    joined.sort_by_key(|(flow, _)| flow.standing);
    for ((flow, news), sorted) in flows.iter_mut().zip(news).zip(joined) {
        (*flow, *news) = sorted;
    }
}

/// True of a flow to a directed broadcast address, as far as the address alone tells: an IPv4 one
/// that ends in 255, which sends nothing.
fn is_broadcast(key: &FlowKey, counters: &FlowCounters) -> bool {
    let ends_in_ones = unmap_v4(&key.local).is_some_and(|v4| v4[3] == 255);
    ends_in_ones && counters.directions[1].packets == 0
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
