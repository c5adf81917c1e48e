//! Floods and infected hosts: incidents of their own, whatever their number of packets and sources.

use control::wire::{Alert, Condition, OwnAlert};
use engine::SiteEvidence;
use events::{Change, Site};
use policy::{Reason, Service, Subject};

use super::*;

const WEB: Service = Service { protocol: 6, port: 443 };
/// Forged sources of a window, and windows of a flood.
const SOURCES: u32 = 20_000;
const WINDOWS: u32 = 4;
/// Lines, alerts and records that are a handful: of sources that stand for the rest, and of the service.
const HANDFUL: usize = 48;

/// Another source in each window, each odd by itself.
fn forged(window: u32, surprise: f64) -> Vec<Evidence> {
    (0..SOURCES)
        .map(|number| Evidence {
            address: IpAddr::from((0xC612_0000 + window * SOURCES + number).to_be_bytes()),
            standing: Standing::Unproven,
            service: Some(WEB),
            packets: 1,
            surprise,
            ..attacker(1)
        })
        .collect()
}

/// A node that has watched for long enough to know a flood, and whose windows come by the second.
fn watching(folder: &Path) -> (Node, impl FnMut(&Node, Vec<Evidence>) -> Vec<Event>) {
    let (node, _) = node(folder);
    let mut number = 0;
    let begin_ns = boot_ns();
    let decide = move |node: &Node, evidence| {
        number += 1;
        let mut next = window(number, evidence);
        next.assessed.facts.end_ns = begin_ns + number * SECOND;
        next.assessed.facts.start_ns = next.assessed.facts.end_ns - SECOND;
        node.decide(next)
    };
    (node, decide)
}

#[test]
fn a_flood_of_eighty_thousand_forged_sources_is_a_handful_of_lines_records_and_alerts() {
    for surprise in [9.0, 3.1] {
        let folder = tempfile::tempdir().unwrap();
        let (node, mut decide) = watching(folder.path());
        for _ in 0..120 {
            decide(&node, Vec::new());
        }
        let events: Vec<Event> =
            (0..WINDOWS).flat_map(|number| decide(&node, forged(number, surprise))).collect();
        let lines = events.iter().filter(|event| !matches!(event, Event::Window(_)));
        let untold: u64 = events
            .iter()
            .map(|event| if let Event::Window(window) = event { window.untold } else { 0 })
            .sum();
        let anomalies = events.iter().filter(|event| matches!(event, Event::Anomaly(_))).count();
        assert!(lines.count() <= HANDFUL && anomalies > 0, "{surprise}: {anomalies}");
        let all = u64::from(SOURCES * WINDOWS);
        assert_eq!(untold + anomalies as u64, all, "{surprise}: each is an event or counted");
        let status = node.status().unwrap();
        assert_eq!(status.refusals.values().sum::<u64>(), all, "{:?}", status.refusals);
        assert_eq!((status.ledger.lost, status.lost_events), (0, 0));
        let limited = |one: &control::wire::ServiceState| one.condition == Condition::Limited;
        assert_eq!(status.services.iter().filter(|one| limited(one)).count(), 1);
        assert_eq!(status.incidents["service"], 1);
        let metrics = scrape(&node);
        for line in ["services{condition=\"limited\"} 1", "open_incidents{about=\"service\"} 1"] {
            assert!(metrics.contains(&format!("weir_{line}\n")), "{surprise}: {metrics}");
        }

        let alerts = node.alerts(&AlertQuery::default()).unwrap().items;
        assert!(alerts.len() <= HANDFUL, "{surprise}: {} alerts", alerts.len());
        let of_service: Vec<Change> = alerts
            .iter()
            .filter(|alert| matches!(alert, Alert::Own(OwnAlert::Service(_))))
            .filter_map(|alert| alert.incident()?.change)
            .collect();
        assert_eq!(of_service, [Change::Opened], "one line for the service");
        node.stop("test");
        let reader = Ledger::read(&folder.path().join("ledger.db")).unwrap();
        let recorded = reader.alerts(&ledger::AlertQuery::default()).unwrap().rows;
        let acts = reader.acts(&ActQuery::default()).unwrap().rows;
        assert!(recorded.len() <= HANDFUL && acts.len() == 1, "{} {acts:?}", recorded.len());
    }
}

#[test]
fn an_infected_host_is_one_incident_in_alerts_status_metrics_and_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let host = peer(200);
    let scanning = |number| {
        let reason = Reason {
            subject: Subject::Peer,
            feature: "new_remotes".to_owned(),
            unit: "remotes".to_owned(),
            value: 200.0,
            benign_low: 0.0,
            benign_high: 3.0,
            share: 0.6,
        };
        let mut next = window(number, Vec::new());
        next.assessed.sites = vec![SiteEvidence {
            site: Site::Host(host),
            surprise: 12.0,
            horizon: model::Horizon::from_ms(1_000),
            reasons: vec![reason],
        }];
        next
    };
    let (node, noted) = node(folder.path());
    let told: usize = (1..=25_000)
        .map(|number| {
            let events = node.decide(scanning(number));
            let news = |event: &&Event| matches!(event, Event::Site(event) if event.is_news());
            events.iter().filter(news).count()
        })
        .sum();
    assert_eq!((told, noted.notes().acted.len()), (5, 0), "at 1, 10, 100, 1,000 and 10,000");
    let query = AlertQuery { peer: Some(host), ..AlertQuery::default() };
    let of_host = |node: &Node| {
        let alerts = node.alerts(&query).unwrap().items;
        let of = |alert: &Alert| alert.incident().map(|incident| (incident.id, incident.windows));
        (alerts.iter().filter_map(of).collect::<Vec<_>>(), alerts)
    };
    let (incidents, alerts) = of_host(&node);
    let id = incidents[0].0;
    assert_eq!(incidents, [10_000, 1_000, 100, 10, 1].map(|windows| (id, windows)));
    let line = crate::alert_text::describe(&alerts[0]);
    assert!(line.contains("this host's 198.51.100.200 is unusual"), "{line}");
    assert!(line.contains("new_remotes 200 remotes (benign 0 to 3.0)"), "{line}");
    let status = node.status().unwrap();
    let [state] = &status.services[..] else { panic!("{:?}", status.services) };
    assert_eq!((state.condition, state.host), (Condition::Alarm, Some(host)));
    assert_eq!((state.incident, status.incidents["site"]), (Some(id), 1));
    let metrics = scrape(&node);
    assert!(metrics.contains("weir_open_incidents{about=\"site\"} 1"), "{metrics}");
    assert!(metrics.contains("weir_services{condition=\"alarm\"} 1"), "{metrics}");
    node.stop("test");
    drop(node);

    // The next run lists them from the ledger, and gives none of their numbers again.
    let (next, _) = self::node(folder.path());
    assert_eq!(of_host(&next).0, incidents);
    next.decide(window(1, vec![attacker(1)]));
    let newest = next.alerts(&AlertQuery::default()).unwrap().items;
    assert!(newest[0].id() > alerts[0].id(), "{} {}", newest[0].id(), alerts[0].id());
    next.stop("test");
}
