use std::{net::Ipv4Addr, time::Duration};

use super::*;

const SECOND: u64 = 1_000_000_000;

fn peer(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, last))
}

/// A peer that is anomalous beyond doubt.
fn attacker(last: u8) -> Evidence {
    Evidence {
        address: peer(last),
        p_value: 0.001,
        peer_score: 0.8,
        flow_score: 0.7,
        novelty: 0.9,
        excess: 0.9,
        conditional_p_value: 0.001,
        packets: 100,
        bytes: 6_000,
        verified: true,
        initiated: false,
        service: None,
    }
}

fn policy(change: impl FnOnce(&mut PolicyConfig)) -> Policy {
    let mut config = RawPolicy::default().check(1_000_000).expect("defaults hold");
    config.mode = Mode::Enforce;
    change(&mut config);
    Policy::new(config, Protected::own([peer(200)]))
}

fn outcomes(decisions: &[Decision]) -> Vec<Outcome> {
    decisions.iter().map(|decision| decision.outcome).collect()
}

#[test]
fn decisive_evidence_blocks_in_its_first_window() {
    let decisions = policy(|_| ()).decide_peers(vec![attacker(1)], SECOND, false);
    let ttl = Duration::from_mins(5);
    let expires_ns = 301 * SECOND;
    assert_eq!(
        outcomes(&decisions),
        [Outcome::Block { action: Action::Drop, ttl, expires_ns, offence: 1 }]
    );
}

#[test]
fn weaker_evidence_has_to_come_twice_in_three_windows() {
    let weak = Evidence { excess: 0.6, ..attacker(1) };
    let mut policy = policy(|_| ());
    let first = policy.decide_peers(vec![weak.clone()], SECOND, false);
    assert_eq!(outcomes(&first), [Outcome::Refused(Refusal::TooFewWindows)]);
    policy.decide_peers(Vec::new(), 2 * SECOND, false);
    let third = policy.decide_peers(vec![weak], 3 * SECOND, false);
    assert!(matches!(third[0].outcome, Outcome::Block { .. }), "{third:?}");
}

#[test]
fn what_is_odd_but_not_by_enough_is_reported_and_never_adds_up_to_a_block() {
    let mut policy = policy(|_| ());
    for window in 1..20 {
        let odd = Evidence { excess: 0.3, ..attacker(1) };
        let decisions = policy.decide_peers(vec![odd], window * SECOND, false);
        assert_eq!(outcomes(&decisions), [Outcome::Refused(Refusal::BelowMargin)]);
    }
}

#[test]
fn a_peer_within_the_margin_of_calibration_makes_no_decision() {
    let benign = Evidence { excess: 0.01, ..attacker(1) };
    assert_eq!(policy(|_| ()).decide_peers(vec![benign], SECOND, false), []);
}

#[test]
fn guards_refuse_with_their_reason() {
    let unverified = |last| Evidence { verified: false, ..attacker(last) };
    let few = Evidence { packets: 3, ..attacker(1) };
    let weak = Evidence { excess: 0.6, ..attacker(1) };
    let allow = |config: &mut PolicyConfig| config.allow = vec!["198.51.100.0/25".parse().unwrap()];
    let refuse = |config: &mut PolicyConfig| config.unverified = Unverified::Refuse;
    let full = |config: &mut PolicyConfig| config.max_blocks = 0;
    let neighbour = Evidence { address: "fe80::1".parse().unwrap(), ..attacker(1) };
    let group = Evidence { address: "ff02::1:ff00:12".parse().unwrap(), ..attacker(1) };
    let cases: [(Policy, Vec<Evidence>, bool, Refusal); 9] = [
        (policy(|_| ()), vec![neighbour], false, Refusal::NoHost),
        (policy(|_| ()), vec![group], false, Refusal::NoHost),
        (policy(|_| ()), vec![attacker(200)], false, Refusal::OwnAddress),
        (policy(allow), vec![attacker(1)], false, Refusal::Allowed),
        (policy(|_| ()), vec![few], false, Refusal::TooFewPackets),
        (policy(|_| ()), (1..=9).map(unverified).collect(), false, Refusal::ForgedSources),
        (policy(refuse), vec![unverified(1)], false, Refusal::Unverified),
        (policy(full), vec![attacker(1)], false, Refusal::MaxBlocks),
        (policy(|_| ()), vec![weak], true, Refusal::LossyWindow),
    ];
    for (mut policy, evidence, lossy, expect) in cases {
        let decisions = policy.decide_peers(evidence, SECOND, lossy);
        assert!(!decisions.is_empty(), "{expect:?}");
        for decision in decisions {
            assert_eq!(decision.outcome, Outcome::Refused(expect));
        }
    }
}

#[test]
fn a_verified_attacker_is_blocked_amid_forged_sources() {
    let mut evidence: Vec<_> =
        (1..=20).map(|last| Evidence { verified: false, ..attacker(last) }).collect();
    evidence.push(attacker(100));
    let decisions = policy(|_| ()).decide_peers(evidence, SECOND, false);
    let blocked: Vec<_> = decisions
        .iter()
        .filter(|decision| matches!(decision.outcome, Outcome::Block { .. }))
        .map(|decision| decision.evidence.address)
        .collect();
    assert_eq!(blocked, [peer(100)]);
}

#[test]
fn a_forged_source_stays_one_while_the_hosts_answers_to_it_are_repeated() {
    let forged = |last| Evidence { verified: false, ..attacker(last) };
    let mut policy = policy(|_| ());
    policy.decide_peers((1..=20).map(forged).collect(), SECOND, false);
    let straggler = policy.decide_peers(vec![forged(1)], 33 * SECOND, false);
    assert_eq!(outcomes(&straggler), [Outcome::Refused(Refusal::ForgedSources)]);
    let stranger = policy.decide_peers(vec![forged(100)], 34 * SECOND, false);
    assert!(matches!(stranger[0].outcome, Outcome::Block { .. }), "{stranger:?}");
    let once_verified = policy.decide_peers(vec![attacker(2)], 35 * SECOND, false);
    assert!(matches!(once_verified[0].outcome, Outcome::Block { .. }), "{once_verified:?}");
    let much_later = policy.decide_peers(vec![forged(3)], 122 * SECOND, false);
    assert!(matches!(much_later[0].outcome, Outcome::Block { .. }), "{much_later:?}");
}

#[test]
fn an_unverified_source_is_limited_and_a_verified_one_dropped() {
    let unverified = Evidence { verified: false, ..attacker(1) };
    let decisions = policy(|_| ()).decide_peers(vec![unverified, attacker(2)], SECOND, false);
    let actions: Vec<_> = decisions
        .iter()
        .map(|decision| match decision.outcome {
            Outcome::Block { action, .. } => Some(action),
            Outcome::Refused(_) => None,
        })
        .collect();
    assert_eq!(actions, [Some(Action::RateLimit), Some(Action::Drop)]);
}

#[test]
fn a_repeat_offender_is_blocked_twice_as_long_up_to_the_limit() {
    let mut policy = policy(|config| config.max_ttl = Duration::from_mins(15));
    let mut now_ns = SECOND;
    let mut ttls = Vec::new();
    for _ in 0..3 {
        let decisions = policy.decide_peers(vec![attacker(1)], now_ns, false);
        let Outcome::Block { ttl, .. } = decisions[0].outcome else { panic!("{decisions:?}") };
        ttls.push(ttl.as_secs());
        assert_eq!(
            policy.decide_peers(vec![attacker(1)], now_ns + SECOND, false),
            [],
            "block stands"
        );
        now_ns += u64::try_from(ttl.as_nanos()).unwrap() + SECOND;
    }
    assert_eq!(ttls, [300, 600, 900]);
}

#[test]
fn observe_and_shadow_never_drop() {
    for mode in [Mode::Observe, Mode::Shadow] {
        let decisions =
            policy(|config| config.mode = mode).decide_peers(vec![attacker(1)], SECOND, false);
        assert!(
            matches!(decisions[0].outcome, Outcome::Block { action: Action::Shadow, .. }),
            "{decisions:?}"
        );
    }
}
