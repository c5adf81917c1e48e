//! Services that odd remotes turned to of late: what these are told for needs no second alarm.

use std::collections::BTreeMap;

use crate::{Evidence, Service};

/// Time for which they are remembered, in ns: the longest horizon, and until its row comes.
const REMEMBERED_NS: u64 = 610_000_000_000;
/// Services remembered at most; beyond it those of longest ago go.
const SERVICES_LIMIT: usize = 4_096;

/// When an odd remote turned to each service last, in ns of the windows' clock.
#[derive(Debug, Default)]
pub(crate) struct Busied(BTreeMap<Service, u64>);

impl Busied {
    /// Notes the remotes of a window that stand out this much.
    pub(crate) fn note(&mut self, evidence: &[Evidence], least: f64, now_ns: u64) {
        self.0.retain(|_, at_ns| now_ns.saturating_sub(*at_ns) <= REMEMBERED_NS);
        let odd = evidence.iter().filter(|peer| peer.surprise >= least);
        for service in odd.filter_map(|peer| peer.service) {
            self.0.insert(service, now_ns);
        }
        while self.0.len() > SERVICES_LIMIT
            && let Some(service) = self.0.iter().min_by_key(|(_, at_ns)| **at_ns).map(|one| *one.0)
        {
            self.0.remove(&service);
        }
    }

    /// When one turned to this service last.
    pub(crate) fn last_ns(&self, service: Service) -> Option<u64> {
        self.0.get(&service).copied()
    }
}
