//! Services whose ordinary peers stand out together: their own trouble, not their peers'.
//!
//! A slow backend, a full disk or a bad release changes what all clients of a service show at once.
//! Those of them that were ordinary before are then not acted on. It takes clients of several
//! networks, and at least half of the service's ordinary ones in the window.
//!
//! Remotes that act in concert can arrange that too, once they were ordinary: so it holds for a
//! quarter of an hour at once and of the time in the long run, for what they do to that service
//! alone, and while they are most of its clients; whoever was not ordinary before is acted on as
//! ever.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use events::Outage;
use flows_common::Standing;

use crate::{BREAKER_NETWORKS, Evidence, Refusal, Service, network};

/// A service may be in trouble by this rule for one in so many seconds...
const TIMES_SPENT: u64 = 4;
/// ...and for a quarter of an hour at once: then it is so far ahead of its time, in ns.
const AHEAD_NS: u64 = (TIMES_SPENT - 1) * 900_000_000_000;
/// Time after a maintenance in which longer horizons still hold what it did, in ns.
const HORIZON_NS: u64 = 600_000_000_000;
/// Services remembered at most.
const SERVICES_LIMIT: usize = 4_096;

/// Services in trouble, and those of which somebody said so.
#[derive(Debug, Default)]
pub(crate) struct OutageWatch {
    /// Services, or all, that people said may fail, and until when.
    told: BTreeMap<Option<Service>, u64>,
    /// When each service's time in trouble will be made up for.
    whole_ns: BTreeMap<Service, u64>,
    /// In trouble in the window in hand.
    struck: BTreeSet<Service>,
}

impl OutageWatch {
    /// Has a service, or all, be known to fail until then; a time that is over ends it.
    pub(crate) fn tell(&mut self, service: Option<Service>, until_ns: u64) {
        self.told.insert(service, until_ns);
    }

    /// Looks at all peers of a window of this length; `is_odd` tells which are odd enough to be acted
    /// on, `is_ordinary` which behaved regularly before.
    pub(crate) fn look(
        &mut self,
        evidence: &[Evidence],
        is_odd: impl Fn(&Evidence) -> bool,
        is_ordinary: impl Fn(IpAddr) -> bool,
        (span_ns, now_ns): (u64, u64),
    ) -> Vec<Outage> {
        self.struck.clear();
        self.told.retain(|_, until_ns| now_ns.saturating_sub(*until_ns) <= HORIZON_NS);
        let mut clients: BTreeMap<Service, Vec<&Evidence>> = BTreeMap::new();
        let odd_at: BTreeSet<Service> = evidence
            .iter()
            .filter(|peer| peer.standing == Standing::Proven && is_odd(peer))
            .filter_map(|peer| peer.service)
            .collect();
        for peer in evidence.iter().filter(|peer| peer.standing == Standing::Proven) {
            if let Some(service) = peer.service.filter(|service| odd_at.contains(service))
                && is_ordinary(peer.address)
            {
                clients.entry(service).or_default().push(peer);
            }
        }
        let networks = |peers: &mut dyn Iterator<Item = &&Evidence>| -> usize {
            peers.map(|peer| network(peer.address)).collect::<BTreeSet<_>>().len()
        };
        let mut outages = Vec::new();
        for (service, clients) in clients {
            let odd = networks(&mut clients.iter().filter(|peer| is_odd(peer)));
            if odd < BREAKER_NETWORKS || 2 * odd < networks(&mut clients.iter()) {
                continue;
            }
            let told = self.is_told(service);
            if told || self.spend(service, span_ns, now_ns) {
                self.struck.insert(service);
                let clients = clients.iter().filter(|peer| is_odd(peer)).count() as u64;
                outages.push(Outage { service, clients, flows: 0, told });
            }
        }
        outages
    }

    /// The refusal of a peer that was ordinary before, if its service is in trouble.
    pub(crate) fn refusal(&self, peer: &Evidence) -> Option<Refusal> {
        let service = peer.service.filter(|_| peer.standing == Standing::Proven)?;
        if self.is_told(service) {
            Some(Refusal::Maintenance)
        } else {
            self.struck.contains(&service).then_some(Refusal::ServiceOutage)
        }
    }

    fn is_told(&self, service: Service) -> bool {
        [None, Some(service)].iter().any(|one| self.told.contains_key(one))
    }

    /// Takes a window from the time that a service may be in trouble; false where none is left.
    fn spend(&mut self, service: Service, span_ns: u64, now_ns: u64) -> bool {
        self.whole_ns.retain(|_, whole_ns| *whole_ns > now_ns);
        if self.whole_ns.len() >= SERVICES_LIMIT && !self.whole_ns.contains_key(&service) {
            return false;
        }
        let whole_ns = self.whole_ns.entry(service).or_insert(now_ns);
        let after_ns = whole_ns.saturating_add(span_ns.saturating_mul(TIMES_SPENT));
        if after_ns.saturating_sub(now_ns) > AHEAD_NS + span_ns.saturating_mul(TIMES_SPENT) {
            return false;
        }
        *whole_ns = after_ns;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{SECOND, attacker};

    const WEB: Service = Service { protocol: 6, port: 443 };

    /// A client of the web server, of a network of its own.
    fn client(number: u8, surprise: f64) -> Evidence {
        let address = IpAddr::from([198, 51, number, 7]);
        let (standing, service) = (Standing::Proven, Some(WEB));
        Evidence { address, standing, service, surprise, ..attacker(1) }
    }

    /// Of so many ordinary clients of networks of their own, the first few stand out.
    fn look(watch: &mut OutageWatch, odd: u8, all: u8, second: u64) -> bool {
        let evidence: Vec<_> =
            (0..all).map(|number| client(number, if number < odd { 9.0 } else { 0.0 })).collect();
        let times = (SECOND, second * SECOND);
        !watch.look(&evidence, |peer| peer.surprise > 3.0, |_| true, times).is_empty()
    }

    #[test]
    fn clients_that_stand_out_together_are_their_services_trouble() {
        let mut watch = OutageWatch::default();
        assert!(look(&mut watch, 5, 6, 1), "five of six");
        assert_eq!(watch.refusal(&client(1, 9.0)), Some(Refusal::ServiceOutage));
        assert!(!look(&mut watch, 2, 2, 2), "two are no crowd");
        assert!(!look(&mut watch, 3, 7, 3), "less than half");
        assert_eq!(watch.refusal(&client(1, 9.0)), None);
    }

    #[test]
    fn neither_strangers_nor_one_network_make_an_outage() {
        let mut watch = OutageWatch::default();
        let crowd: Vec<_> = (0..9).map(|number| client(number, 9.0)).collect();
        let odd = |peer: &Evidence| peer.surprise > 3.0;
        assert_eq!(watch.look(&crowd, odd, |_| false, (SECOND, SECOND)), []);
        let near = |number| Evidence { address: [198, 51, 100, number].into(), ..client(0, 9.0) };
        let near: Vec<_> = (0..9).map(near).collect();
        assert_eq!(watch.look(&near, odd, |_| true, (SECOND, SECOND)), []);
    }

    #[test]
    fn nobody_hides_behind_an_outage_for_more_than_a_quarter_of_the_time() {
        let mut watch = OutageWatch::default();
        let hidden: Vec<u64> =
            (1..=7_200).filter(|&second| look(&mut watch, 3, 3, second)).collect();
        assert!(hidden.iter().take(900).eq(&(1..=900).collect::<Vec<_>>()), "at once");
        assert!((2_300..2_700).contains(&hidden.len()), "{}", hidden.len());
        let later = hidden.iter().filter(|&&second| second > 3_600).count();
        assert!((890..=910).contains(&later), "{later} of an hour");
    }

    #[test]
    fn a_service_that_a_person_spoke_of_is_excused_until_its_horizons_are_over() {
        let mut watch = OutageWatch::default();
        watch.tell(Some(WEB), 600 * SECOND);
        for (second, expect) in [(1, true), (600, true), (1_199, true), (1_201, false)] {
            look(&mut watch, 0, 1, second);
            let refused = watch.refusal(&client(1, 9.0)) == Some(Refusal::Maintenance);
            assert_eq!(refused, expect, "{second}");
            assert!(watch.refusal(&Evidence { service: None, ..client(1, 9.0) }).is_none());
        }
    }
}
