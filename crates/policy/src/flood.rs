//! Floods from forged sources: many unproven sources at one service, each of which behaves as a
//! stranger does.
//!
//! No single source of such a flood is anomalous, and none of them is to be blocked: the address
//! belongs to somebody else. The service stands out: by the number of sources without a completed
//! handshake in one window, against the most that it ordinarily sees.

use std::{collections::BTreeMap, time::Duration};

use flows_common::{Action, Standing, clock::nanos};

use crate::{
    Evidence, Service, ServiceLimit,
    config::{Mode, PolicyConfig},
};

/// Services remembered at most; beyond that those with the lowest marks go.
const SERVICES_LIMIT: usize = 4_096;
/// Multiple of its ordinary mark that a service must see.
const TIMES_ORDINARY: f64 = 10.0;
/// Time in which an ordinary mark halves, in ns.
const HALF_LIFE_NS: f64 = 3_600e9;
/// Time that a limit outlasts the flood, so that a lull does not lift it.
const LEASE: Duration = Duration::from_mins(2);

/// The most unproven sources that a service ordinarily sees in a second.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    per_second: f64,
    at_ns: u64,
    limited_until_ns: u64,
}

impl Mark {
    fn at(&self, now_ns: u64) -> f64 {
        let apart = now_ns.saturating_sub(self.at_ns) as f64;
        self.per_second * (-apart / HALF_LIFE_NS).exp2()
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
    /// Looks at all peers of a window that took `span_s` seconds and ends at `now_ns`.
    pub(crate) fn look(
        &mut self,
        evidence: &[Evidence],
        config: &PolicyConfig,
        span_s: f64,
        now_ns: u64,
        mode: Mode,
    ) -> Vec<ServiceLimit> {
        let action = if mode == Mode::Enforce { Action::RateLimit } else { Action::Shadow };
        let mut seen: BTreeMap<Service, (u64, u64)> = BTreeMap::new();
        for peer in evidence.iter().filter(|peer| peer.standing == Standing::Unproven) {
            let Some(service) = peer.service else { continue };
            let (sources, packets) = seen.entry(service).or_default();
            *sources += 1;
            *packets = packets.saturating_add(peer.packets);
        }
        // A name server has thousands of unproven sources in its first window already: the
        // ordinary has to be seen before anything can exceed it.
        let start_ns = now_ns.saturating_sub(nanos(Duration::from_secs_f64(span_s)));
        let since_ns = *self.since_ns.get_or_insert(start_ns);
        let is_known = now_ns.saturating_sub(since_ns) > nanos(config.expert.flood_baseline);
        let mut limits = Vec::new();
        for (service, (sources, packets)) in seen {
            let per_second = sources as f64 / span_s.max(1e-3);
            let mark = self.marks.entry(service).or_default();
            let ordinary = mark.at(now_ns);
            let is_flood = config.service_limit_pps > 0
                && is_known
                && per_second > f64::from(config.expert.flood_sources)
                && per_second > TIMES_ORDINARY * ordinary;
            if is_flood {
                let expires_ns = now_ns.saturating_add(nanos(LEASE));
                let renewed = mark.limited_until_ns > now_ns;
                mark.limited_until_ns = expires_ns;
                limits.push(ServiceLimit {
                    service,
                    sources,
                    packets,
                    packets_per_second: config.service_limit_pps,
                    expires_ns,
                    renewed,
                    action,
                });
            } else if mark.limited_until_ns <= now_ns && per_second > ordinary {
                // Traffic that a limit lets through is no measure of the ordinary.
                *mark = Mark { per_second, at_ns: now_ns, ..*mark };
            }
        }
        self.make_room(now_ns);
        limits
    }

    /// Takes over a limit that holds until then: traffic meanwhile is a flood, and no measure of
    /// the ordinary.
    pub(crate) fn remember(&mut self, service: Service, until_ns: u64) {
        let mark = self.marks.entry(service).or_default();
        mark.limited_until_ns = mark.limited_until_ns.max(until_ns);
    }

    fn make_room(&mut self, now_ns: u64) {
        if self.marks.len() <= SERVICES_LIMIT {
            return;
        }
        let mut by_mark: Vec<_> = self
            .marks
            .iter()
            .map(|(&service, mark)| (mark.limited_until_ns > now_ns, mark.at(now_ns), service))
            .collect();
        by_mark.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
        for (.., service) in &by_mark[..by_mark.len() - SERVICES_LIMIT / 2] {
            self.marks.remove(service);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::tests::{SECOND, attacker};

    const WEB: Service = Service { protocol: 6, port: 443 };

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
            let limits =
                watch.look(&strangers(3_000), &config, 1.0, window * SECOND, Mode::Enforce);
            assert_eq!(limits, [], "window {window}");
        }
    }

    #[test]
    fn a_flood_that_outlives_a_restart_does_not_become_what_is_ordinary() {
        let config = PolicyConfig::default();
        let mut watch = FloodWatch::default();
        watch.remember(WEB, 120 * SECOND);
        let limited = (1..=90).find(|window| {
            !watch.look(&strangers(5_000), &config, 1.0, window * SECOND, Mode::Enforce).is_empty()
        });
        assert_eq!(limited, Some(61), "as soon as there is a baseline");
    }

    #[test]
    fn thousands_of_unproven_sources_at_one_service_limit_that_service() {
        let mut watch = FloodWatch::default();
        assert_eq!(watch.look(&strangers(20), &config(), 1.0, SECOND, Mode::Enforce), []);
        let limits = watch.look(&strangers(5_000), &config(), 1.0, 2 * SECOND, Mode::Enforce);
        assert_eq!(limits.len(), 1);
        assert_eq!((limits[0].service, limits[0].sources, limits[0].renewed), (WEB, 5_000, false));
        let again = watch.look(&strangers(5_000), &config(), 1.0, 3 * SECOND, Mode::Enforce);
        assert!(again[0].renewed && again[0].expires_ns > limits[0].expires_ns);
    }

    #[test]
    fn a_service_that_always_has_many_strangers_is_not_flooded_by_them() {
        let mut watch = FloodWatch::default();
        // It grows from day to day, as popularity does.
        for (window, sources) in (1..).zip([50, 90, 400, 900, 1_500, 2_000]) {
            assert_eq!(
                watch.look(&strangers(sources), &config(), 1.0, window * SECOND, Mode::Enforce),
                []
            );
        }
    }

    #[test]
    fn proven_sources_make_no_flood() {
        let mut crowd = strangers(5_000);
        for peer in &mut crowd {
            peer.standing = Standing::Proven;
        }
        assert_eq!(FloodWatch::default().look(&crowd, &config(), 1.0, SECOND, Mode::Enforce), []);
    }

    #[test]
    fn the_services_remembered_are_bounded() {
        let mut watch = FloodWatch::default();
        for port in 0..=u16::MAX {
            let service = Some(Service { protocol: 17, port });
            let one = [Evidence { service, standing: Standing::Unproven, ..attacker(1) }];
            watch.look(&one, &config(), 1.0, SECOND, Mode::Enforce);
        }
        assert!(watch.marks.len() <= SERVICES_LIMIT + 1, "{}", watch.marks.len());
    }
}
