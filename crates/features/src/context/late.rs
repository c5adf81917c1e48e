//! Outcomes that become known after their flow's window.

use std::collections::BTreeMap;

use flows_common::{Direction, FlowKey, Span};

use super::{Context, Observed};
use crate::context::entities::service_of;
use crate::context::news::Told;
use crate::context::site_sums::sites;
use crate::context::tally::At;
use crate::counts::{Counts as _, PeerCounts, ServiceUse, SiteCounts, Sources};
use crate::facts::LocalService;
use crate::record::{PeerPart, SiteKey};

/// What became known of a flow.
#[derive(Clone, Copy)]
pub(super) struct Late {
    pub(super) key: FlowKey,
    pub(super) told: Told,
}

impl Late {
    /// The part of the peer that it counts in.
    const fn part(&self) -> PeerPart {
        PeerPart { address: self.key.remote, standing: self.told.standing }
    }
}

impl Context {
    /// Counts outcomes in the rows of the windows that their flows were opened in: in those that
    /// are `observed` where that is this window or the flow's is past.
    pub(super) fn apply_late(&mut self, at: &At, observed: &mut Observed) {
        let mut late = std::mem::take(&mut self.scratch.late);
        let window_of = |one: &Late| self.by_peer.window_at(one.told.window_ns, at.window);
        let mut late_by_window: Vec<(Span, Late)> =
            late.drain(..).map(|one| (window_of(&one), one)).collect();
        self.scratch.late = late;
        // Stable, so that what happened first counts first.
        late_by_window.sort_by_key(|(window, one)| (*window, one.part()));
        let mut by_site: BTreeMap<(Span, SiteKey), SiteCounts> = BTreeMap::new();
        for group in late_by_window
            .chunk_by(|(window, one), (other, next)| (window, one.part()) == (other, next.part()))
        {
            let (window, first) = &group[0];
            let mut known = PeerCounts::default();
            for (window, one) in group {
                judge(&mut known, one);
                self.judge_sites(*window, one, &mut by_site);
            }
            let key = first.part();
            if *window != at.window {
                self.by_peer.amend(&At { window: *window, ..*at }, key, &known);
            } else if let Ok(place) = observed.peers.binary_search_by_key(&key, |row| row.key) {
                observed.peers[place].counts.amend(&known);
            } else {
                self.unheard_outcomes += group.len() as u64;
            }
        }
        for ((window, key), known) in by_site {
            if window != at.window {
                self.by_site.amend(&At { window, ..*at }, key, &known);
            } else if let Ok(place) = observed.sites.binary_search_by_key(&key, |row| row.key) {
                observed.sites[place].counts.amend(&known);
            }
        }
    }

    fn judge_sites(
        &self,
        window: Span,
        one: &Late,
        by_site: &mut BTreeMap<(Span, SiteKey), SiteCounts>,
    ) {
        let Late { key, told } = one;
        let local = LocalService { protocol: key.protocol, port: key.local_port };
        let is_known = told.initiator == Direction::Ingress && self.services.get(&local).is_some();
        let service = service_of(key, told.initiator);
        for site in sites(key.local, is_known.then_some(local)) {
            let known = by_site.entry((window, site)).or_default();
            known.sources.add(service, &Sources::default());
            known.judge(told.initiator, service, &told.outcomes, told.new);
        }
    }
}

fn judge(known: &mut PeerCounts, one: &Late) {
    let Late { key, told } = one;
    let service = service_of(key, told.initiator);
    // Room for what is known of it, which is amended where the service is among the busiest.
    known.busiest.add(service, &ServiceUse::default());
    known.judge(told.initiator, service, &told.outcomes, told.new.target);
}
