//! Floods from forged sources: many unproven sources at one service, each of which behaves as a
//! stranger does.
//!
//! No single source of such a flood is to be blocked: the address belongs to somebody else. The
//! service stands out: by its unproven sources in a window against those that it ordinarily sees,
//! or by more of them than a crowd of strangers ever has that are anomalous one by one.
//!
//! All ports that nothing listens on are one such service ([`Service::CLOSED_PORTS`]): the aim of a
//! scan, whose decoys would each take a block. Its rate is that of one limited source. Odd sources in
//! number begin it, or blocks of unproven sources that were spent, or one that asks so fast that it
//! would be done before its window is over; while it stands, each further scan renews it.

mod mark;

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use flows_common::{Action, FAST_SYNS, Standing, clock::nanos};

use crate::{
    Evidence, Service, ServiceLimit,
    config::{Mode, PolicyConfig},
};
pub(crate) use mark::Mark;

/// Services remembered at most; beyond that those with the lowest marks go.
const SERVICES_LIMIT: usize = 4_096;
/// Multiple of its ordinary mark that a service must see.
const TIMES_ORDINARY: f64 = 10.0;
/// Flows of one unproven source to closed ports in a window that need no other evidence: nobody asks
/// for as many by mistake.
const FAST_FLOWS: u64 = FAST_SYNS;
/// IP protocol number of TCP.
pub(crate) const TCP: u8 = 6;
/// Time that a limit outlasts the flood, so that a lull does not lift it.
const LEASE: Duration = Duration::from_mins(2);

/// The window that is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Length, in seconds.
    pub(crate) span_s: f64,
    /// End, in ns of the windows' clock.
    pub(crate) now_ns: u64,
    /// Mode in force.
    pub(crate) mode: Mode,
    /// More blocks of unproven sources were made in the last minute than such may be innocent at once.
    pub(crate) spent: bool,
}

/// Unproven sources of one service in one window.
#[derive(Clone, Copy, Debug, Default)]
struct Strangers {
    sources: u64,
    packets: u64,
    /// Those that are anomalous enough to be acted on.
    anomalous: u64,
    /// One of them has as many flows as need no other evidence.
    fast: bool,
}

impl Strangers {
    /// True of more anomalous sources than may be innocent at once, decoys of a scan among them.
    /// Sources of datagrams prove nothing when they are benign either: theirs have to be a flood.
    fn is_odd(&self, service: Service, span_s: f64, config: &PolicyConfig) -> bool {
        let flooded = TIMES_ORDINARY * f64::from(config.service_limit_pps) * span_s;
        self.anomalous > innocent(config) as u64
            && (service.protocol == TCP || self.packets as f64 > flooded)
    }
}

/// Ordinary marks of the services.
#[derive(Debug, Default)]
pub(crate) struct FloodWatch {
    marks: BTreeMap<Service, Mark>,
    /// The start of the first window, in ns of the boot clock.
    since_ns: Option<u64>,
}

impl FloodWatch {
    /// Looks at all peers of a window; `anomalous` tells which of them are odd enough to be acted
    /// on. Those whose addresses `is_exempt` of a limit are no reason for one: when a busy service
    /// starts anew, all its clients open at once; and an audit is allowed.
    pub(crate) fn look(
        &mut self,
        evidence: &[Evidence],
        anomalous: impl Fn(&Evidence) -> bool,
        is_exempt: impl Fn(IpAddr) -> bool,
        config: &PolicyConfig,
        window: Look,
    ) -> Vec<ServiceLimit> {
        let Look { span_s, now_ns, mode, spent } = window;
        let span_s = span_s.max(1e-3);
        let mut seen: BTreeMap<Service, Strangers> = BTreeMap::new();
        for peer in evidence.iter().filter(|peer| peer.standing == Standing::Unproven) {
            let Some(service) = peer.service.filter(|_| !is_exempt(peer.address)) else { continue };
            let strangers = seen.entry(service).or_default();
            strangers.sources += 1;
            strangers.packets = strangers.packets.saturating_add(peer.packets);
            strangers.anomalous += u64::from(anomalous(peer));
            strangers.fast |= peer.flows >= FAST_FLOWS;
        }
        // A name server has thousands of unproven sources in its first window already: the
        // ordinary has to be seen before anything can exceed it.
        let start_ns = now_ns.saturating_sub(nanos(Duration::from_secs_f64(span_s)));
        let since_ns = *self.since_ns.get_or_insert(start_ns);
        let is_known = is_known(since_ns, now_ns, config);
        let mut limits = Vec::new();
        for (service, strangers) in seen {
            let per_second = strangers.sources as f64 / span_s;
            let mark = self.marks.entry(service).or_default();
            let many = is_known && per_second > threshold(mark.ordinary(now_ns), config);
            let goes_on = strangers.anomalous > 0 && (spent || mark.is_limited(now_ns));
            let is_scan = service == Service::CLOSED_PORTS && (strangers.fast || goes_on);
            let odd = is_known && (is_scan || strangers.is_odd(service, span_s, config));
            if config.service_limit_pps > 0 && (many || odd) {
                let expires_ns = now_ns.saturating_add(nanos(LEASE));
                limits.push(ServiceLimit {
                    service,
                    sources: strangers.sources,
                    packets: strangers.packets,
                    packets_per_second: rate(service, config),
                    expires_ns,
                    renewed: mark.is_limited(now_ns),
                    action: action(mode),
                });
                mark.limit(expires_ns);
            } else {
                mark.note(per_second, is_known, now_ns);
            }
        }
        self.make_room(now_ns);
        limits
    }

    /// The mark of each service.
    pub(crate) fn marks(&self) -> Vec<(Service, Mark)> {
        self.marks.iter().map(|(&service, &mark)| (service, mark)).collect()
    }

    /// The start of the first window.
    pub(crate) const fn since_ns(&self) -> Option<u64> {
        self.since_ns
    }

    /// Takes marks up of services that it does not know.
    pub(crate) fn recall(&mut self, marks: Vec<(Service, Mark)>, since_ns: Option<u64>) {
        for (service, mark) in marks.into_iter().take(SERVICES_LIMIT) {
            self.marks.entry(service).or_insert(mark);
        }
        self.since_ns = self.since_ns.or(since_ns);
    }

    /// The limit that closed ports get for so long ahead of a window's end, where counts of a scan under
    /// way leave no doubt that they get one then ([`FAST_FLOWS`]): as it is told then, it is not
    /// remembered.
    pub(crate) fn ahead(
        &self,
        config: &PolicyConfig,
        mode: Mode,
        now_ns: u64,
        lease: Duration,
    ) -> Option<ServiceLimit> {
        let service = Service::CLOSED_PORTS;
        (self.is_limited(service, config, now_ns) == Some(false)).then(|| ServiceLimit {
            service,
            sources: 1,
            packets: 0,
            packets_per_second: rate(service, config),
            expires_ns: now_ns.saturating_add(nanos(lease)),
            renewed: false,
            action: action(mode),
        })
    }

    /// Takes over a limit that holds until then: traffic meanwhile is a flood, and no measure of
    /// the ordinary.
    pub(crate) fn remember(&mut self, service: Service, until_ns: u64) {
        self.marks.entry(service).or_default().limit(until_ns);
    }

    /// True where the unproven sources of a service share a limit now; `None` while none can be
    /// limited.
    pub(crate) fn is_limited(
        &self,
        service: Service,
        config: &PolicyConfig,
        now_ns: u64,
    ) -> Option<bool> {
        let watches = self.since_ns.is_some_and(|since_ns| is_known(since_ns, now_ns, config));
        (watches && config.service_limit_pps > 0)
            .then(|| self.marks.get(&service).is_some_and(|mark| mark.is_limited(now_ns)))
    }

    fn make_room(&mut self, now_ns: u64) {
        if self.marks.len() <= SERVICES_LIMIT {
            return;
        }
        let mut by_mark: Vec<_> = self
            .marks
            .iter()
            .map(|(&service, mark)| (mark.is_limited(now_ns), mark.highest(now_ns), service))
            .collect();
        by_mark.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
        for (.., service) in &by_mark[..by_mark.len() - SERVICES_LIMIT / 2] {
            self.marks.remove(service);
        }
    }
}

/// Odd unproven sources that may be innocent at once.
pub(crate) const fn innocent(config: &PolicyConfig) -> usize {
    config.expert.max_unverified_sources as usize
}

/// Packets a second that a service's unproven sources share: those of a scan are taken for one.
fn rate(service: Service, config: &PolicyConfig) -> u32 {
    if service == Service::CLOSED_PORTS {
        config.expert.rate_limit_pps
    } else {
        config.service_limit_pps
    }
}

const fn action(mode: Mode) -> Action {
    match mode {
        Mode::Enforce => Action::RateLimit,
        Mode::Observe | Mode::Shadow => Action::Shadow,
    }
}

/// True where services were watched for long enough.
fn is_known(since_ns: u64, now_ns: u64, config: &PolicyConfig) -> bool {
    now_ns.saturating_sub(since_ns) > nanos(config.expert.flood_baseline)
}

/// Unproven sources a second above which a service with such an ordinary mark is under a flood.
fn threshold(ordinary: f64, config: &PolicyConfig) -> f64 {
    let least = f64::from(config.expert.flood_sources);
    (TIMES_ORDINARY * ordinary).min(f64::from(config.expert.flood_ceiling)).max(least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{SECOND, attacker};

    const WEB: Service = Service { protocol: 6, port: 443 };

    /// Limits after a window of a second in which nobody is odd by himself.
    fn look(
        watch: &mut FloodWatch,
        evidence: &[Evidence],
        config: &PolicyConfig,
        now_ns: u64,
    ) -> Vec<ServiceLimit> {
        let window = Look { span_s: 1.0, now_ns, mode: Mode::Enforce, spent: false };
        watch.look(evidence, |peer| peer.surprise >= 4.0, |_| false, config, window)
    }

    #[test]
    fn a_service_whose_own_clients_all_come_back_at_once_is_not_flooded() {
        let mut watch = FloodWatch::default();
        let window = |now_ns| Look { span_s: 1.0, now_ns, mode: Mode::Enforce, spent: false };
        let mut back = |is_client: bool, now_ns| {
            let clients = strangers(5_000);
            watch.look(&clients, |_| false, |_| is_client, &config(), window(now_ns)).len()
        };
        assert_eq!(
            (back(true, SECOND), back(true, 2 * SECOND), back(false, 3 * SECOND)),
            (0, 0, 1)
        );
    }

    fn strangers(count: u32) -> Vec<Evidence> {
        (0..count)
            .map(|number| Evidence {
                address: IpAddr::from(number.to_be_bytes()),
                standing: Standing::Unproven,
                surprise: 0.0,
                packets: 1,
                service: Some(WEB),
                ..attacker(1)
            })
            .collect()
    }

    fn config() -> PolicyConfig {
        let mut config = PolicyConfig::default();
        config.expert.flood_baseline = Duration::ZERO;
        config
    }

    #[test]
    fn a_name_server_that_always_has_thousands_of_strangers_is_not_limited_at_the_start() {
        let config = PolicyConfig::default();
        let mut watch = FloodWatch::default();
        for window in 1..=300 {
            let limits = look(&mut watch, &strangers(3_000), &config, window * SECOND);
            assert_eq!(limits, [], "window {window}");
        }
    }

    #[test]
    fn a_flood_that_outlives_a_restart_does_not_become_what_is_ordinary() {
        let config = PolicyConfig::default();
        let mut watch = FloodWatch::default();
        watch.remember(WEB, 120 * SECOND);
        let limited = (1..=90).find(|window| {
            !look(&mut watch, &strangers(5_000), &config, window * SECOND).is_empty()
        });
        assert_eq!(limited, Some(61), "as soon as there is a baseline");
    }

    #[test]
    fn thousands_of_unproven_sources_at_one_service_limit_that_service() {
        let mut watch = FloodWatch::default();
        assert_eq!(look(&mut watch, &strangers(20), &config(), SECOND), []);
        let limits = look(&mut watch, &strangers(5_000), &config(), 2 * SECOND);
        assert_eq!(limits.len(), 1);
        assert_eq!((limits[0].service, limits[0].sources, limits[0].renewed), (WEB, 5_000, false));
        let again = look(&mut watch, &strangers(5_000), &config(), 3 * SECOND);
        assert!(again[0].renewed && again[0].expires_ns > limits[0].expires_ns);
    }

    #[test]
    fn a_service_whose_strangers_grow_over_hours_is_not_flooded_by_them() {
        let mut watch = FloodWatch::default();
        for minute in 1..=360_u32 {
            let sources = 50 + 5 * minute;
            let now_ns = 60 * SECOND * u64::from(minute);
            assert_eq!(look(&mut watch, &strangers(sources), &config(), now_ns), [], "{sources}");
        }
    }

    #[test]
    fn a_ramp_of_a_few_windows_and_a_start_in_the_middle_of_one_are_floods() {
        for ramp in [[150, 1_200, 6_000], [30, 190, 40_000], [190, 1_900, 1_900]] {
            let mut watch = FloodWatch::default();
            (1..=600).for_each(|window| {
                assert_eq!(look(&mut watch, &strangers(20), &config(), window * SECOND), []);
            });
            let limited = (601..).zip(ramp).position(|(window, sources)| {
                !look(&mut watch, &strangers(sources), &config(), window * SECOND).is_empty()
            });
            assert!(limited.is_some_and(|window| window < 3), "{ramp:?}: {limited:?}");
        }
    }

    #[test]
    fn no_mark_lifts_the_threshold_above_the_ceiling() {
        let mut watch = FloodWatch::default();
        let config = PolicyConfig::default();
        for window in 1..=60 {
            look(&mut watch, &strangers(10_000), &config, window * SECOND);
        }
        let ordinary = look(&mut watch, &strangers(19_999), &config, 62 * SECOND);
        let above = look(&mut watch, &strangers(20_001), &config, 63 * SECOND);
        assert_eq!((ordinary.len(), above.len()), (0, 1));
    }

    #[test]
    fn few_unproven_sources_are_a_flood_where_each_of_them_is_odd() {
        let odd = |count: u32, protocol, packets| -> Vec<Evidence> {
            let service = Some(Service { protocol, port: 443 });
            let one = |peer| Evidence { surprise: 9.0, packets, service, ..peer };
            strangers(count).into_iter().map(one).collect()
        };
        let limits = |evidence: &[Evidence]| {
            let mut watch = FloodWatch::default();
            look(&mut watch, &[], &config(), SECOND);
            look(&mut watch, evidence, &config(), 2 * SECOND).len()
        };
        assert_eq!(limits(&odd(8, 6, 100)), 0, "eight may be innocent");
        assert_eq!(limits(&odd(9, 6, 100)), 1, "decoys of a scan");
        assert_eq!(limits(&odd(9, 17, 100)), 0, "datagrams of nine odd clients");
        assert_eq!(limits(&odd(256, 17, 160)), 1, "40,000 packets a second from 256 sources");
    }

    #[test]
    fn a_scan_of_closed_ports_goes_on_under_their_limit_and_begins_one_where_blocks_are_spent() {
        let scanners = |count| -> Vec<Evidence> {
            let service = Some(Service::CLOSED_PORTS);
            let one = |peer| Evidence { surprise: 9.0, service, ..peer };
            strangers(count).into_iter().map(one).collect()
        };
        let mut watch = FloodWatch::default();
        let mut limits = |evidence: &[Evidence], spent, now_ns| {
            let window = Look { span_s: 1.0, now_ns, mode: Mode::Enforce, spent };
            let (odd, known) = (|peer: &Evidence| peer.surprise >= 4.0, |_| false);
            let limits = watch.look(evidence, odd, known, &config(), window);
            limits.first().map(|limit| (limit.packets_per_second, limit.renewed))
        };
        assert_eq!(limits(&scanners(8), false, SECOND), None, "nothing is known yet");
        assert_eq!(limits(&scanners(8), false, 2 * SECOND), None, "each is limited by itself");
        assert_eq!(limits(&scanners(1), true, 3 * SECOND), Some((5, false)), "as many were");
        assert_eq!(limits(&scanners(1), false, 100 * SECOND), Some((5, true)));
        assert_eq!(limits(&scanners(8), false, 221 * SECOND), None, "two minutes later it is over");
        assert_eq!(limits(&scanners(9), false, 222 * SECOND), Some((5, false)), "decoys");
        let [one] = &scanners(1)[..] else { unreachable!("one was asked for") };
        let fast = |flows| [Evidence { flows, surprise: 0.0, ..one.clone() }];
        assert_eq!(limits(&fast(63), false, 400 * SECOND), None);
        assert_eq!(limits(&fast(64), false, 401 * SECOND), Some((5, false)), "and fast ones");
    }

    #[test]
    fn proven_sources_make_no_flood() {
        let mut crowd = strangers(5_000);
        for peer in &mut crowd {
            peer.standing = Standing::Proven;
        }
        assert_eq!(look(&mut FloodWatch::default(), &crowd, &config(), SECOND), []);
    }

    #[test]
    fn the_services_remembered_are_bounded() {
        let mut watch = FloodWatch::default();
        for port in 0..=u16::MAX {
            let service = Some(Service { protocol: 17, port });
            let one = [Evidence { service, standing: Standing::Unproven, ..attacker(1) }];
            look(&mut watch, &one, &config(), SECOND);
        }
        assert!(watch.marks.len() <= SERVICES_LIMIT + 1, "{}", watch.marks.len());
    }
}
