//! What is decided, as events, alerts and records of the ledger.

use control::wire::Alert;

use super::*;

/// Alerts of remotes.
fn decisions(node: &Node, query: &AlertQuery) -> Vec<DecisionRecord> {
    let alerts = node.alerts(query).unwrap().items;
    alerts.iter().filter_map(Alert::decision).cloned().collect()
}

#[test]
fn a_decision_is_done_told_and_recorded_under_one_number() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    let events = node.decide(window(1, vec![attacker(1), attacker(200)]));
    assert!(matches!(&events[..], [Event::Anomaly(_), Event::Anomaly(_), Event::Window(_)]));
    assert_eq!(noted.notes().acted, [(peer(1), 1)]);
    let alerts = decisions(&node, &AlertQuery::default());
    assert_eq!(alerts.len(), 2);
    let refused = alerts.iter().find(|alert| alert.peer() == peer(200)).unwrap();
    assert_eq!(refused.outcome, ActionTaken::Refused);
    assert_eq!(refused.refusal, Some(policy::Refusal::OwnAddress));
    assert_eq!(node.status().unwrap().refusals["own_address"], 1);

    noted.notes().ends.push(ExpiredEvent { dropped_packets: 42, ..ExpiredEvent::nothing(peer(1)) });
    node.decide(window(2, Vec::new()));
    node.stop("test");
    let reader = Ledger::read(&folder.path().join("ledger.db")).unwrap();
    let blocks = reader.blocks(&ledger::BlockQuery::default()).unwrap().rows;
    assert_eq!(blocks.len(), 1);
    let id = blocks[0].block.decision.unwrap();
    let recorded = reader.decision(id).unwrap().unwrap().record;
    // The same record wherever it is told: as an event, by the API, in the ledger.
    let told = events.iter().find_map(|event| match event {
        Event::Anomaly(record) if record.id == id => Some(record),
        _ => None,
    });
    let alert = alerts.iter().find(|alert| alert.id == id);
    assert_eq!((told, alert), (Some(&recorded), Some(&recorded)));
    assert_eq!(recorded.evidence, attacker(1));
    let mut event = serde_json::to_value(&events[0]).unwrap();
    assert_eq!(event.as_object_mut().unwrap().remove("event"), Some("anomaly".into()));
    assert_eq!(event, serde_json::to_value(&recorded).unwrap());
    let ending = blocks[0].ending.as_ref().unwrap();
    assert_eq!((ending.how, ending.dropped_packets), (ledger::How::Expired, 42));
    assert!(reader.last_run().unwrap().unwrap().stop.is_some());
}

#[test]
fn every_field_of_a_record_survives_ledger_api_and_event() {
    let whole = json!({
        "id": 41, "time": "2026-11-28T19:00:00.000000123Z", "at_ns": 5_000_000_123_u64, "window": 7,
        "incident": {
            "id": 40, "change": "escalated", "opened": "2026-11-28T18:59:00Z", "windows": 3,
            "packets": 900, "bytes": 70_000, "blocks": 1
        },
        "peer": "2001:db8::7", "p_value": 0.000_8, "conditional_p_value": 0.001_234_567_890_123_4,
        "peer_score": 0.75, "horizon_ms": 1000, "tail_score": 12.5, "surprise": 0.3, "packets": 310,
        "bytes": 41_000, "standing": "proven", "flows": 12, "new_or_large": true, "failed_log_ins": 5,
        "log_ins_alike": 31, "row_packets": 3_100,
        "service": { "protocol": 6, "port": 443 },
        "claim": {
            "rate": "1 in 10", "procedure": "online", "p_values": "marginal", "p_value": 0.000_8,
            "level": 0.001, "held_out": 2_400, "needed": 9_210, "supported": false
        },
        "outcome": "rate-limited", "action": "rate-limit", "scope": "unproven", "refusal": "own_address",
        "ttl_s": 600, "offence": 2, "early": true,
        "reasons": [{
            "subject": "flow", "feature": "packets", "unit": "packets", "value": 812.5,
            "benign_low": 0.5, "benign_high": 4.0, "share": 0.7
        }],
    });
    let schemas = &control::openapi()["components"]["schemas"];
    let parts = schemas["Decision"]["allOf"].as_array().unwrap().iter();
    for part in parts.chain([&schemas["Evidence"]]) {
        for field in part["properties"].as_object().into_iter().flat_map(|fields| fields.keys()) {
            assert!(whole.get(field).is_some(), "`{field}` is not in this test's record");
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let (node, _) = node(folder.path());
    let record = serde_json::from_value(whole.clone()).unwrap();
    node.journal.put(vec![node.journal.decision(record, "")]);
    node.stop("test");
    let reader = Ledger::read(&folder.path().join("ledger.db")).unwrap();
    let recorded = reader.decision(41).unwrap().unwrap().record;
    assert_eq!(serde_json::to_value(&recorded).unwrap(), whole);
    let page = serde_json::to_string(&node.alerts(&AlertQuery::default()).unwrap()).unwrap();
    let page: control::wire::Page<control::wire::Alert> = serde_json::from_str(&page).unwrap();
    let [alert] = &page.items[..] else { panic!("{page:?}") };
    assert_eq!(serde_json::to_value(alert).unwrap(), whole);
    let line = serde_json::to_string(&Event::Anomaly(alert.decision().unwrap().clone())).unwrap();
    let Event::Anomaly(told) = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
    assert_eq!(serde_json::to_value(told).unwrap(), whole);
}

#[test]
fn alerts_go_on_in_the_ledger_where_memory_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _) = node(folder.path());
    let windows = ALERTS_KEPT as u64 + 5;
    for number in 1..=windows {
        let [.., high, low] = number.to_be_bytes();
        let address = IpAddr::from([198, 18, high, low]);
        node.decide(window(number, vec![Evidence { address, surprise: 3.1, ..attacker(1) }]));
    }
    node.stop("test");
    let mut seen = Vec::new();
    let mut query = AlertQuery { limit: Some(300), ..AlertQuery::default() };
    loop {
        let page = node.alerts(&query).unwrap();
        seen.extend(page.items.iter().map(Alert::id));
        let Some(next) = page.next else { break };
        query.before = Some(next.parse().unwrap());
    }
    assert_eq!(seen, (1..=windows).rev().collect::<Vec<_>>());
    let after = AlertQuery { after: Some(windows - 2), ..AlertQuery::default() };
    let newest: Vec<u64> = node.alerts(&after).unwrap().items.iter().map(Alert::id).collect();
    assert_eq!(newest, [windows - 1, windows]);
}

#[test]
fn a_host_that_goes_on_is_one_incident_with_few_alerts_and_records() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _) = node(folder.path());
    let events: Vec<Event> =
        (1..=500).flat_map(|number| node.decide(window(number, vec![attacker(200)]))).collect();
    let told = events.iter().filter(|event| matches!(event, Event::Anomaly(_))).count();
    assert_eq!(told, 500, "for machines each window is an event");
    node.stop("test");
    let alerts = node.alerts(&AlertQuery::default()).unwrap().items;
    let incidents: Vec<(u64, u64)> = alerts
        .iter()
        .map(|alert| alert.incident().map(|incident| (incident.id, incident.windows)).unwrap())
        .collect();
    assert_eq!(incidents, [(1, 100), (1, 10), (1, 1)]);
    let reader = Ledger::read(&folder.path().join("ledger.db")).unwrap();
    let recorded = reader.alerts(&ledger::AlertQuery::default()).unwrap().rows;
    assert_eq!(recorded.len(), 3);
}

#[test]
fn a_wall_clock_that_jumped_ahead_makes_no_record_old() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _) = node(folder.path());
    let now = journal::moment();
    // A run that began a year ago by what the clock says now, and a moment ago by the boot clock.
    node.journal.began(ledger::Moment { wall_ns: now.wall_ns - 365 * 86_400_000_000_000, ..now });
    node.journal.put(vec![
        ledger::Act {
            run: 1,
            at_ns: now.wall_ns - 364 * 86_400_000_000_000,
            who: ledger::Actor { uid: None, pid: None, name: "ada".into() },
            what: "block".into(),
            arguments: "{}".into(),
            outcome: "done".into(),
        }
        .into(),
    ]);
    node.journal.retain();
    node.stop("test");
    let reader = Ledger::read(&folder.path().join("ledger.db")).unwrap();
    assert_eq!(reader.acts(&ActQuery::default()).unwrap().rows.len(), 1);
}
