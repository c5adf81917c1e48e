//! Counts of the host's side in a window, flow by flow.

use std::collections::BTreeMap;

use flows_common::{Direction, TcpFlag};

use crate::context::entities::service_of;
use crate::context::news::FlowNews;
use crate::context::tally::At;
use crate::counts::sketch::{Distinct, hash, words};
use crate::counts::{FanOut, NewOfFlow, Pair, SiteCounts, Sources, Traffic};
use crate::facts::LocalService;
use crate::flow_record::{FlowRecord, Handshake, ICMP, ICMP_V6, TCP};
use crate::kind::Horizons;
use crate::record::SiteKey;

/// The counts of the host's side in one window.
#[derive(Default)]
pub(crate) struct SiteSums {
    sums: BTreeMap<SiteKey, (SiteCounts, bool)>,
    pending: Vec<bool>,
}

impl SiteSums {
    /// Starts the next window.
    pub(crate) fn clear(&mut self) {
        self.sums.clear();
        self.pending.clear();
    }

    /// Adds a flow to its local address, to its service where that `is_known`, and to all.
    pub(crate) fn add(
        &mut self,
        flow: &FlowRecord,
        news: &FlowNews,
        new: NewOfFlow,
        at: &At,
        horizons: Horizons,
        is_known: impl Fn(&LocalService) -> bool,
    ) {
        let mut traffic = Traffic::default();
        traffic.add_flow(flow);
        let active = at.newly_active(news, horizons);
        let service = service_of(&flow.key, news.initiator);
        for key in sites(flow.key.local, local_service(flow).filter(&is_known)) {
            let (sum, is_pending) = self.sums.entry(key).or_default();
            *is_pending |= news.is_pending;
            sum.traffic.merge(&traffic);
            sum.active.iter_mut().zip(active).for_each(|(sum, one)| *sum = sum.saturating_add(one));
            if news.opened > 0 {
                open(sum, flow, news.opened, new);
            }
            if !news.outcomes.is_none() {
                sum.judge(news.initiator, service, &news.outcomes, new);
            }
        }
    }

    /// The rows, by key.
    pub(crate) fn rows(&mut self) -> impl Iterator<Item = (SiteKey, SiteCounts)> {
        self.pending.extend(self.sums.values().map(|(_, is_pending)| *is_pending));
        self.sums.iter().map(|(key, (counts, _))| (*key, *counts))
    }

    /// True where outcomes of a row's flows are to come.
    pub(crate) fn is_pending(&self, place: usize) -> bool {
        self.pending.get(place).copied().unwrap_or(false)
    }
}

/// The parts of the host's side that a flow counts in.
pub(crate) fn sites(
    local: [u8; 16],
    service: Option<LocalService>,
) -> impl Iterator<Item = SiteKey> {
    [Some(SiteKey::Net), Some(SiteKey::Host(local)), service.map(SiteKey::Service)]
        .into_iter()
        .flatten()
}

/// The service that a remote opened a flow to.
fn local_service(flow: &FlowRecord) -> Option<LocalService> {
    let is_one =
        flow.initiator == Direction::Ingress && !matches!(flow.key.protocol, ICMP | ICMP_V6);
    is_one.then_some(LocalService { protocol: flow.key.protocol, port: flow.key.local_port })
}

/// The service that a remote opened a flow to, where it answered other than by an RST.
pub(crate) fn answering_service(flow: &FlowRecord) -> Option<LocalService> {
    let egress = flow.egress();
    let answers = match flow.key.protocol {
        TCP => {
            let reset = egress.flags[TcpFlag::Rst.index()] > 0;
            flow.handshake == Handshake::Answered || (egress.payload_bytes > 0 && !reset)
        }
        _ => egress.packets > 0,
    };
    local_service(flow).filter(|_| answers)
}

fn open(sum: &mut SiteCounts, flow: &FlowRecord, count: u32, new: NewOfFlow) {
    let opener = flow.initiator;
    let [upper, lower] = words(flow.key.remote);
    let remote = hash([upper, lower]);
    let service = service_of(&flow.key, opener);
    let flows = &mut sum.flows[opener.index()];
    *flows = flows.saturating_add(count);
    sum.new_remotes[opener.index()] += new.remote;
    sum.remotes[opener.index()].note(remote);
    let mut remotes = Distinct::default();
    remotes.note(remote);
    match opener {
        Direction::Ingress => {
            sum.sources.add(service, &Sources { flows: count, abortive: 0, remotes });
        }
        Direction::Egress => {
            let pair = hash([upper, lower, service]);
            sum.new_services += new.service;
            sum.services.note(hash([service]));
            sum.pairs.note(pair);
            let fan_out = FanOut { flows: count, remotes, new_remotes: new.remote };
            sum.fan_out.add(service, &fan_out);
            sum.pair.add(pair, &Pair { flows: count });
        }
    }
}
