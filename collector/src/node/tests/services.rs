//! Services that something is the matter with.

use control::wire::{Condition, MaintenanceRequest, ServiceState};
use model::{LocalService, Outage};
use policy::{Refusal, Service};

use super::*;

const WEB: Service = Service { protocol: 6, port: 443 };

fn states(node: &Node) -> Vec<(Option<Service>, Condition)> {
    let services = node.status().unwrap().services;
    services.iter().map(|ServiceState { service, condition, .. }| (*service, *condition)).collect()
}

/// What was decided of a client of the web server, odd or not, in a window: each time the refusal.
fn decided(node: &Node, number: u64, surprise: f64) -> Vec<Option<Refusal>> {
    let p_value = if surprise > 3.0 { 0.001 } else { 0.6 };
    let evidence = Evidence {
        service: Some(WEB),
        surprise,
        p_value,
        conditional_p_value: p_value,
        ..attacker(1)
    };
    let events = node.decide(window(number, vec![evidence]));
    let refusal = |event: &Event| match event {
        Event::Anomaly(record) => Some(record.refusal),
        _ => None,
    };
    events.iter().filter_map(refusal).collect()
}

#[test]
fn what_a_person_says_beforehand_blocks_no_ordinary_client_and_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    (1..=5).for_each(|number| assert_eq!(decided(&node, number, 0.0), []));
    let ask = |for_s| node.maintain(&somebody(), &MaintenanceRequest { service: Some(WEB), for_s });
    assert_eq!(ask(600).unwrap().services.len(), 1);
    assert_eq!(states(&node), [(Some(WEB), Condition::Maintenance)]);
    let told = node.maintained();
    assert_eq!(told[0].service, Some(LocalService { protocol: 6, port: 443 }));
    assert_eq!(decided(&node, 6, 9.0), [Some(Refusal::Maintenance)]);
    assert_eq!(noted.notes().acted, []);
    assert!(ask(0).unwrap().services.is_empty());
    assert!(ask(0).is_err(), "there is none any more");
    assert_eq!(decided(&node, 7, 9.0), [None], "blocked");
    assert_eq!(noted.notes().acted.len(), 1);
    node.stop("test");
    let reader = Ledger::read(&folder.path().join("ledger.db")).unwrap();
    let acts = reader.acts(&ActQuery::default()).unwrap().rows;
    assert_eq!(acts.iter().filter(|act| act.what == "maintenance").count(), 2);
}

#[test]
fn an_outage_is_an_incident_that_status_and_metrics_tell() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _) = node(folder.path());
    let mut told = Vec::new();
    for number in 1..=3 {
        let mut one = window(number, Vec::new());
        let service = LocalService { protocol: 6, port: 443 };
        one.assessed.outages = vec![Outage { service, clients: 5, flows: 9, told: false }];
        told.extend(node.decide(one).into_iter().filter_map(|event| match event {
            Event::Outage(event) => Some((event.is_news(), event.incident.unwrap().windows)),
            _ => None,
        }));
    }
    assert_eq!(told, [(true, 1), (false, 2), (false, 3)]);
    assert_eq!(states(&node), [(Some(WEB), Condition::Outage)]);
    node.stop("test");
    let reader = Ledger::read(&folder.path().join("ledger.db")).unwrap();
    let acts = reader.acts(&ActQuery::default()).unwrap().rows;
    let [act] = &acts[..] else { panic!("{acts:?}") };
    assert_eq!((&*act.what, &*act.who.name), ("outage", "weir"));
    assert!(act.arguments.contains("\"clients\":5"), "{}", act.arguments);
    let alerts = node.alerts(&AlertQuery::default()).unwrap().items;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let line = crate::alert_text::describe(&alerts[0]);
    assert!(line.contains("incident 1 opened tcp/443 fails 5 clients (9 flows)"), "{line}");
    let metrics = scrape(&node);
    assert!(metrics.contains("weir_services{condition=\"outage\"} 1"), "{metrics}");
}
