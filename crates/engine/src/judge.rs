//! From the evidence of a window to what is decided on it.

use std::{collections::HashMap, net::IpAddr};

use events::{
    ClosedEvent, Decision, DecisionRecord, Drift, DriftEvent, NoticeEvent, Outage, OutageEvent,
    Prefix, Reason, Service, ServiceEvent, ServiceLimit, Site, SiteEvent,
};
use jiff::Timestamp;
use policy::{Policy, Standing, Verdicts, WindowFacts};

use crate::{Assessed, Incidents, SiteEvidence};

/// Time after its end at which a row comes at the latest, in ns: its outcomes are known 3 s behind it,
/// and come with the next window.
const LATE_NS: u64 = 5_000_000_000;

/// Decisions on one window, and its facts.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Number of the window, from 1.
    pub number: u64,
    /// Facts of the window that were gone by.
    pub facts: WindowFacts,
    /// Peers in the window.
    pub peers: usize,
    /// State of the drift watch after the window.
    pub drift: Drift,
    /// Blocking is suspended from this window on, or not any more.
    pub drift_changed: bool,
    /// Anomalous peers, limits of services, and changes of the policy itself.
    pub verdicts: Verdicts,
    /// Parts of the host's own side that are alarmed on.
    pub sites: Vec<SiteEvidence>,
    /// Features that made the scores, for peers above the calibration's range.
    pub reasons: HashMap<(IpAddr, Standing), Vec<Reason>>,
}

/// Decides on a window.
pub fn judge(policy: &mut Policy, assessed: Assessed) -> Judged {
    let Assessed { number, facts, evidence, reasons, outages, sites, drift, drift_changed } =
        assessed;
    let peers = evidence.len();
    let mut verdicts = policy.decide(evidence, &facts);
    for model::Outage { service, clients, flows, told } in outages {
        let service = Service { protocol: service.protocol, port: service.port };
        verdicts.outages.retain(|outage| outage.service != service);
        verdicts.outages.push(Outage { service, clients, flows, told });
    }
    verdicts.outages.sort_unstable_by_key(|outage| outage.service);
    let sites =
        if facts.warming_up { Vec::new() } else { untold(sites, policy, &verdicts, facts.end_ns) };
    Judged { number, facts, peers, drift, drift_changed, verdicts, sites, reasons }
}

/// Alarms that tell what nothing else does: of a service that no remote stood out at in the time that
/// the row covers, blocked before or not, and that neither a limit nor an outage is told of; of the
/// whole side where none of its parts is.
fn untold(
    mut sites: Vec<SiteEvidence>,
    policy: &Policy,
    verdicts: &Verdicts,
    now_ns: u64,
) -> Vec<SiteEvidence> {
    let is_told = |service: Service, horizon_ns: u64| {
        let covered_ns = horizon_ns.saturating_add(LATE_NS);
        let last_ns = policy.last_busied_ns(service);
        last_ns.is_some_and(|at_ns| now_ns.saturating_sub(at_ns) <= covered_ns)
            || verdicts.peers.iter().any(|one| one.evidence.service == Some(service))
            || verdicts.services.iter().any(|limit| limit.service == service)
            || verdicts.outages.iter().any(|outage| outage.service == service)
    };
    sites.retain(|one| match one.site {
        Site::Service(service) => !is_told(service, one.horizon.ns()),
        Site::Host(_) | Site::Net => true,
    });
    if sites.len() > 1 {
        sites.retain(|one| one.site != Site::Net);
    }
    sites
}

/// The reasons of a peer; of a network that it was widened to, those of the first of it.
fn take_reasons(
    reasons: &mut HashMap<(IpAddr, Standing), Vec<Reason>>,
    (address, standing): (IpAddr, Standing),
) -> Vec<Reason> {
    if let Some(own) = reasons.remove(&(address, standing)) {
        return own;
    }
    let net = Prefix::of_host(address).net();
    let within = |subject: &&(IpAddr, Standing)| subject.1 == standing && net.contains(&subject.0);
    let first = reasons.keys().filter(within).min().copied();
    first.and_then(|subject| reasons.remove(&subject)).unwrap_or_default()
}

/// Number and end of a window, on the clock of the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowEnd {
    /// Its number, from 1.
    pub number: u64,
    /// Its end, in ns.
    pub end_ns: u64,
}

/// A receiver of decisions: the kernel's writer, or the teller of a dry run.
///
/// What is decided is carried out first, which gives its record; the record is joined with its
/// incident, and then told.
pub trait CarryOut {
    /// Failure of the receiver, which ends the window.
    type Error;

    /// Blocking is suspended for drift, or not any more.
    fn drift(&mut self, event: DriftEvent) -> Result<(), Self::Error>;

    /// The policy itself changed.
    fn notice(&mut self, event: NoticeEvent) -> Result<(), Self::Error>;

    /// Limits a service; the event is to have this number and time.
    fn limit(
        &mut self,
        at: WindowEnd,
        stamp: (u64, Timestamp),
        limit: ServiceLimit,
    ) -> Result<ServiceEvent, Self::Error>;

    /// A number and a time for what is not a decision on a peer.
    fn stamp(&mut self, at: WindowEnd) -> (u64, Timestamp);

    /// Acts on an anomalous peer.
    fn decide(
        &mut self,
        at: WindowEnd,
        decision: Decision,
        reasons: Vec<Reason>,
    ) -> Result<DecisionRecord, Self::Error>;

    /// A service is limited.
    fn limited(&mut self, event: ServiceEvent) -> Result<(), Self::Error>;

    /// A service of this host failed its clients.
    fn outage(&mut self, event: OutageEvent) -> Result<(), Self::Error>;

    /// A part of the host's own side was unusual.
    fn site(&mut self, event: SiteEvent) -> Result<(), Self::Error>;

    /// A peer was anomalous; `rank` is its place among those of the window, from 0.
    fn decided(&mut self, rank: usize, record: DecisionRecord) -> Result<(), Self::Error>;

    /// An incident came to its end.
    fn closed(&mut self, event: ClosedEvent) -> Result<(), Self::Error>;
}

impl Judged {
    /// Hands everything over, in the one order in which it is told: drift, changes of the policy,
    /// services, then peers by p-value, then parts of the host's own side, then incidents that are over.
    /// Returns the number of anomalous sources that are only counted, of a flood of unproven ones.
    ///
    /// # Errors
    /// The first failure of the receiver.
    pub fn carry_out<C: CarryOut>(
        self,
        incidents: &mut Incidents,
        by: &mut C,
    ) -> Result<u64, C::Error> {
        let Self { number, facts, drift, drift_changed, verdicts, sites, mut reasons, .. } = self;
        let at = WindowEnd { number, end_ns: facts.end_ns };
        if drift_changed {
            by.drift(DriftEvent { window: number, at_ns: at.end_ns, drift })?;
        }
        for notice in verdicts.notices {
            by.notice(NoticeEvent { at_ns: at.end_ns, notice })?;
        }
        for limit in verdicts.services {
            let stamp = by.stamp(at);
            let mut event = by.limit(at, stamp, limit)?;
            incidents.join_limit(&mut event);
            by.limited(event)?;
        }
        for outage in verdicts.outages {
            let (id, time) = by.stamp(at);
            let (window, at_ns) = (at.number, at.end_ns);
            let mut event = OutageEvent { id, time, window, at_ns, outage, incident: None };
            incidents.join_outage(&mut event);
            by.outage(event)?;
        }
        let mut untold = 0;
        for (rank, decision) in verdicts.peers.into_iter().enumerate() {
            let reasons = take_reasons(&mut reasons, decision.evidence.subject());
            let mut record = by.decide(at, decision, reasons)?;
            if incidents.join(&mut record, at) {
                by.decided(rank, record)?;
            } else {
                untold += 1;
            }
        }
        for SiteEvidence { site, surprise, horizon, reasons } in sites {
            let (id, time) = by.stamp(at);
            let mut event = SiteEvent {
                id,
                time,
                window: at.number,
                at_ns: at.end_ns,
                site,
                surprise,
                horizon_ms: horizon.ms(),
                reasons,
                incident: None,
            };
            incidents.join_site(&mut event);
            by.site(event)?;
        }
        for event in incidents.close(at) {
            by.closed(event)?;
        }
        Ok(untold)
    }
}

#[cfg(test)]
mod tests {
    use events::{Evidence, Mode};
    use model::Horizon;
    use policy::{PolicyConfig, ProtectedHosts};

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const WEB: Service = Service { protocol: 6, port: 443 };

    fn attacker() -> Evidence {
        let evidence = serde_json::json!({
            "peer": "198.51.100.7", "p_value": 0.001, "conditional_p_value": 0.001,
            "peer_score": 0.8, "tail_score": 20.0, "surprise": 9.0, "packets": 100, "bytes": 6000,
            "flows": 30, "standing": "proven", "service": { "protocol": 6, "port": 443 },
        });
        serde_json::from_value(evidence).expect("evidence")
    }

    fn alarm(site: Site) -> SiteEvidence {
        SiteEvidence { site, surprise: 12.0, horizon: Horizon::from_ms(1_000), reasons: Vec::new() }
    }

    #[test]
    fn an_alarm_tells_what_is_untold_also_behind_the_block_of_a_remote() {
        let config = PolicyConfig { mode: Mode::Observe, ..PolicyConfig::default() };
        let config = config.check(1_000).expect("within bounds");
        let mut policy = Policy::new(config, ProtectedHosts::default());
        let mut told = |number: u64, evidence: Vec<Evidence>, sites: &[Site]| {
            let judged = judge(
                &mut policy,
                Assessed {
                    number,
                    facts: WindowFacts::ending_at(number * SECOND),
                    evidence,
                    sites: sites.iter().copied().map(alarm).collect(),
                    ..Assessed::default()
                },
            );
            let sites: Vec<Site> = judged.sites.into_iter().map(|one| one.site).collect();
            (judged.verdicts.peers.len(), sites)
        };
        let web = [Site::Service(WEB)];
        assert_eq!(told(1, vec![attacker()], &web), (1, vec![]), "its block is told");
        assert_eq!(told(2, vec![attacker()], &web), (0, vec![]), "it stands");
        let quiet = || vec![Evidence { surprise: 0.4, ..attacker() }];
        assert_eq!(told(5, quiet(), &web), (0, vec![]), "a row that comes late is of before");
        assert_eq!(told(9, quiet(), &web), (0, web.to_vec()), "many, each ordinary");
        let host = Site::Host([192, 0, 2, 1].into());
        assert_eq!(told(10, vec![], &[host, Site::Net]), (0, vec![host]));
    }
}
