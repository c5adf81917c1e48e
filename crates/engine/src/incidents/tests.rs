use events::{
    Action, Decision, Evidence, Outcome, Refusal, Scope, Service, ServiceLimit, Stamp, Standing,
};
use flows_common::clock::nanos;
use std::time::Duration;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn at(second: u64) -> WindowEnd {
    WindowEnd { number: second, end_ns: second * SECOND }
}

fn evidence(address: &str) -> Evidence {
    let evidence = serde_json::json!({
        "peer": address, "p_value": 0.001, "conditional_p_value": 0.001, "peer_score": 0.8,
        "flow_score": 0.7, "tail_score": 20.0, "surprise": 9.0, "packets": 10, "bytes": 600,
        "standing": "proven",
    });
    serde_json::from_value(evidence).expect("evidence")
}

/// The record of a decision on an address.
fn record(address: &str, second: u64, outcome: ActionTaken) -> DecisionRecord {
    let ttl = Duration::from_mins(5);
    let decided = match outcome.entry() {
        None => Outcome::Refused(Refusal::BelowMargin),
        Some(action) => {
            let expires_ns = second * SECOND + nanos(ttl);
            Outcome::Block {
                action,
                scope: Scope::Inbound,
                ttl,
                expires_ns,
                offence: 1,
                early: false,
            }
        }
    };
    let claim = serde_json::json!({
        "rate": 0.1, "procedure": "per-window", "p_values": "conditional", "p_value": 0.001,
        "level": 0.01, "held_out": 1000, "needed": 100, "supported": true,
    });
    let claim = serde_json::from_value(claim).expect("a claim");
    let decision = Decision { evidence: evidence(address), claim, outcome: decided };
    let time = Timestamp::from_second(i64::try_from(second).expect("small")).expect("a time");
    let stamp = Stamp { id: second, window: second, at_ns: second * SECOND, time };
    DecisionRecord::of(stamp, decision, outcome, Vec::new())
}

/// Decides on an address and joins the decision.
fn join(incidents: &mut Incidents, address: &str, second: u64, outcome: ActionTaken) -> Incident {
    let mut record = record(address, second, outcome);
    incidents.join(&mut record, at(second));
    assert_eq!(record.is_news(), record.incident.expect("joined").change.is_some());
    record.incident.expect("joined")
}

#[test]
fn a_day_of_one_host_is_one_incident_that_is_told_of_a_few_times() {
    let mut incidents = Incidents::default();
    let mut told = Vec::new();
    for second in 1..=25_000 {
        let incident = join(&mut incidents, "203.0.113.7", second, ActionTaken::Refused);
        assert_eq!((incident.id, incident.windows), (1, second));
        told.extend(incident.change.map(|change| (second, change)));
        assert_eq!(incidents.close(at(second)), []);
    }
    let updates = [10, 100, 1_000, 10_000].map(|window| (window, Change::Updated));
    assert_eq!(told, [&[(1, Change::Opened)][..], &updates].concat());
    assert_eq!(incidents.open(), 1);
}

#[test]
fn a_stronger_answer_and_each_block_escalate() {
    let mut incidents = Incidents::default();
    let mut change = |second, outcome| {
        let incident = join(&mut incidents, "203.0.113.7", second, outcome);
        (incident.change, incident.blocks)
    };
    assert_eq!(change(1, ActionTaken::Refused), (Some(Change::Opened), 0));
    assert_eq!(change(2, ActionTaken::Failed), (Some(Change::Escalated), 0));
    assert_eq!(change(3, ActionTaken::Failed), (None, 0));
    assert_eq!(change(4, ActionTaken::Blocked), (Some(Change::Escalated), 1));
    assert_eq!(change(5, ActionTaken::Refused), (None, 1));
    assert_eq!(change(400, ActionTaken::Blocked), (Some(Change::Escalated), 2));
}

#[test]
fn an_incident_is_closed_when_its_block_and_ten_quiet_minutes_are_over() {
    let mut incidents = Incidents::default();
    join(&mut incidents, "203.0.113.7", 1, ActionTaken::Blocked);
    assert_eq!(incidents.close(at(901)), []);
    let closed = incidents.close(at(902));
    assert_eq!(closed.len(), 1);
    let host = "203.0.113.7".parse().expect("an address");
    let entity = Entity::Remote { host, standing: Standing::Proven };
    assert_eq!((closed[0].entity, closed[0].incident.change), (entity, Some(Change::Closed)));
    assert_eq!((closed[0].incident.windows, incidents.open()), (1, 0));
    let again = join(&mut incidents, "203.0.113.7", 903, ActionTaken::Refused);
    assert_eq!((again.id, again.change), (903, Some(Change::Opened)));
}

#[test]
fn the_addresses_of_one_64_are_one_remote_host() {
    let mut incidents = Incidents::default();
    let first = join(&mut incidents, "2001:db8::1", 1, ActionTaken::Refused);
    let second = join(&mut incidents, "2001:db8::ffff:2", 2, ActionTaken::Refused);
    let other = join(&mut incidents, "2001:db8:0:1::1", 3, ActionTaken::Refused);
    assert_eq!([first.id, second.id, other.id], [1, 1, 3]);
}

#[test]
fn a_flood_is_an_incident_of_its_service() {
    let mut incidents = Incidents::default();
    let mut join = |second: u64, renewed| {
        let limit = ServiceLimit {
            service: Service { protocol: 6, port: 443 },
            sources: 5_000,
            packets: 20_000,
            packets_per_second: 500,
            expires_ns: (second + 120) * SECOND,
            renewed,
            action: Action::RateLimit,
        };
        let (window, at_ns) = (second, second * SECOND);
        let outcome = ActionTaken::RateLimited;
        let (id, time) = (second, Timestamp::UNIX_EPOCH);
        let mut event = ServiceEvent { id, time, window, at_ns, limit, outcome, incident: None };
        incidents.join_limit(&mut event);
        event.incident.expect("joined")
    };
    assert_eq!(join(7, false).change, Some(Change::Opened));
    let goes_on = join(8, true);
    assert_eq!((goes_on.id, goes_on.change, goes_on.packets), (7, None, 40_000));
}

#[test]
fn open_incidents_are_bounded() {
    let mut incidents = Incidents::default();
    for number in 0..=u32::try_from(OPEN_LIMIT).expect("small") {
        let address = std::net::Ipv4Addr::from(number).to_string();
        join(&mut incidents, &address, 1 + u64::from(number) / 1_000, ActionTaken::Refused);
    }
    assert_eq!(incidents.close(at(70)).len(), CLOSED_AT_ONCE);
    assert_eq!(incidents.open(), OPEN_LIMIT + 1 - CLOSED_AT_ONCE);
}

#[test]
fn eighty_thousand_forged_sources_are_no_more_than_a_few_stories() {
    let mut incidents = Incidents::default();
    let mut told = 0;
    for number in 0..80_000_u32 {
        let address = std::net::Ipv4Addr::from(0xc633_0000 | number).to_string();
        let second = u64::from(number / 10_000) + 1;
        let mut one = record(&address, second, ActionTaken::Refused);
        one.refusal = Some(Refusal::ForgedSources);
        told += usize::from(incidents.join(&mut one, at(second)) && one.is_news());
    }
    assert_eq!((told, incidents.open()), (8, 8));
    assert_eq!(incidents.close(at(700)).len(), 8);
    let later = join(&mut incidents, "203.0.113.7", 701, ActionTaken::Refused);
    assert_eq!(later.change, Some(Change::Opened), "others are told of all the same");
}

#[test]
fn whom_an_infected_host_turns_to_are_told_one_by_one_in_bounds_and_apart_from_a_flood() {
    let mut incidents = Incidents::default();
    let mut tell = |network: u32, refusal| {
        (0..2_000_u32).fold(0, |told, number| {
            let address = std::net::Ipv4Addr::from(network | number).to_string();
            let mut one = record(&address, 1, ActionTaken::Refused);
            one.refusal = Some(refusal);
            told + usize::from(incidents.join(&mut one, at(1)) && one.is_news())
        })
    };
    assert_eq!(tell(0xc633_0000, Refusal::ForgedSources), 8);
    assert_eq!(tell(0xcb00_0000, Refusal::LocallyInitiated), 32);
    assert_eq!(incidents.open(), 40);
}
