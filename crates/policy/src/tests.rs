use std::{net::Ipv4Addr, time::Duration};

use super::*;
use crate::statistics::{HeldOut, OnDrift, Unsupported};

pub(crate) const SECOND: u64 = 1_000_000_000;

pub(crate) fn peer(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, last))
}

/// A peer that is anomalous beyond doubt.
pub(crate) fn attacker(last: u8) -> Evidence {
    Evidence {
        address: peer(last),
        p_value: 0.001,
        peer_score: 0.8,
        horizon_ms: 1_000,
        tail_score: 12.5,
        surprise: 9.0,
        conditional_p_value: 0.001,
        packets: 100,
        bytes: 6_000,
        standing: Standing::Proven,
        new_or_large: false,
        failed_log_ins: 0,
        log_ins_alike: 0,
        row_packets: 0,
        flows: 3,
        service: None,
    }
}

pub(crate) fn policy(change: impl FnOnce(&mut PolicyConfig)) -> Policy {
    let mut config = PolicyConfig { mode: Mode::Enforce, ..PolicyConfig::default() };
    config.expert.early_release = 0.0;
    change(&mut config);
    Policy::new(config.check(1_000_000).expect("within bounds"), ProtectedHosts::own([peer(200)]))
}

/// Decisions on the peers of a window of one second.
pub(crate) fn decide(policy: &mut Policy, evidence: Vec<Evidence>, now_ns: u64) -> Vec<Decision> {
    policy.decide(evidence, &WindowFacts::ending_at(now_ns)).peers
}

fn outcomes(decisions: &[Decision]) -> Vec<Outcome> {
    decisions.iter().map(|decision| decision.outcome).collect()
}

/// Refuses whatever comes: a policy, the evidence, the window, and the reason expected.
fn refused(
    mut policy: Policy,
    evidence: Vec<Evidence>,
    change: impl FnOnce(&mut WindowFacts),
    expect: Refusal,
) {
    let mut window = WindowFacts::ending_at(SECOND);
    change(&mut window);
    let decisions = policy.decide(evidence, &window).peers;
    assert!(!decisions.is_empty(), "{expect:?}");
    let count = decisions.len() as u64;
    for decision in decisions {
        assert_eq!(decision.outcome, Outcome::Refused(expect));
    }
    assert_eq!(policy.refusals().get(&expect), Some(&count), "{expect:?} is counted");
}

fn unproven(last: u8) -> Evidence {
    Evidence { standing: Standing::Unproven, ..attacker(last) }
}

/// A client in a network of its own.
fn client(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 18, number, 7))
}

/// That client, anomalous beyond doubt.
fn turned(number: u8) -> Evidence {
    Evidence { address: client(number), ..attacker(number) }
}

/// A policy that has seen these clients behave for five windows.
fn with_baseline(peers: std::ops::RangeInclusive<u8>, config: fn(&mut PolicyConfig)) -> Policy {
    let mut policy = policy(config);
    for window in 1..=5 {
        let calm = |last| Evidence {
            p_value: 0.5,
            conditional_p_value: 0.5,
            surprise: 0.0,
            ..turned(last)
        };
        assert_eq!(decide(&mut policy, peers.clone().map(calm).collect(), window * SECOND), []);
    }
    policy
}

fn basis(rows: u64) -> Basis {
    Basis { held_out: HeldOut::each(rows), ..Basis::default() }
}

mod breaker;
mod evidence;
mod guards;
mod people;
mod unproven;
