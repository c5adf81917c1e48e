//! Which evidence is acted on, and what is claimed of it.

use super::*;

#[test]
fn decisive_evidence_blocks_in_its_first_window() {
    let decisions = decide(&mut policy(|_| ()), vec![attacker(1)], SECOND);
    let (scope, ttl) = (Scope::Inbound, Duration::from_mins(5));
    let expires_ns = 301 * SECOND;
    assert_eq!(
        outcomes(&decisions),
        [Outcome::Block { action: Action::Drop, scope, ttl, expires_ns, offence: 1, early: false }]
    );
}

#[test]
fn weaker_evidence_has_to_come_twice_in_three_windows() {
    let weak = Evidence { surprise: 4.5, ..attacker(1) };
    let mut policy = policy(|_| ());
    let first = decide(&mut policy, vec![weak.clone()], SECOND);
    assert_eq!(outcomes(&first), [Outcome::Refused(Refusal::TooFewWindows)]);
    decide(&mut policy, Vec::new(), 2 * SECOND);
    let third = decide(&mut policy, vec![weak], 3 * SECOND);
    assert!(matches!(third[0].outcome, Outcome::Block { .. }), "{third:?}");
}

#[test]
fn two_of_three_rows_over_a_longer_time_are_enough_of_who_proved_himself() {
    let anybody = Evidence { horizon_ms: 10_000, surprise: 5.4, row_packets: 40, ..unproven(1) };
    let refused = decide(&mut policy(|_| ()), vec![anybody], SECOND);
    assert_eq!(
        outcomes(&refused),
        [Outcome::Refused(Refusal::TooFewWindows)],
        "by the window alone"
    );
    // Twice among three of its length.
    let mut policy = policy(|_| ());
    let mut row = |packets, row_packets, second| {
        let longer =
            Evidence { horizon_ms: 10_000, surprise: 4.0, packets, row_packets, ..attacker(1) };
        decide(&mut policy, vec![longer], second * SECOND)[0].outcome
    };
    assert_eq!(row(0, 11, 13), Outcome::Refused(Refusal::TooFewWindows));
    assert_eq!(row(0, 11, 23), Outcome::Refused(Refusal::TooFewPackets), "those of three windows");
    assert!(matches!(row(0, 12, 33), Outcome::Block { .. }));
}

#[test]
fn what_is_odd_but_not_by_enough_is_reported_and_never_adds_up_to_a_block() {
    let mut policy = policy(|_| ());
    for window in 1..20 {
        let odd = Evidence { surprise: 3.1, ..attacker(1) };
        let decisions = decide(&mut policy, vec![odd], window * SECOND);
        assert_eq!(outcomes(&decisions), [Outcome::Refused(Refusal::BelowMargin)]);
    }
}

#[test]
fn a_rate_that_benign_peers_contradict_is_not_claimed_and_not_acted_on() {
    let mut policy = policy(|_| ());
    let odd = |last| Evidence {
        surprise: 1.5,
        p_value: 0.02,
        conditional_p_value: 0.02,
        ..attacker(last)
    };
    for window in 1..=3 {
        decide(&mut policy, (1..=12).map(odd).collect(), window * SECOND);
    }
    let [found] = &decide(&mut policy, vec![attacker(20)], 4 * SECOND)[..] else { panic!("one") };
    assert_eq!(found.outcome, Outcome::Refused(Refusal::RateUnsupported));
    assert_eq!(
        found.claim.to_string(),
        "1 in 10 withheld: 12 of 12 benign peers of the last hour have p ≤ 0.05; learn here"
    );
}

#[test]
fn a_peer_that_surprises_too_little_makes_no_decision() {
    let benign = Evidence { surprise: 0.1, ..attacker(1) };
    assert_eq!(decide(&mut policy(|_| ()), vec![benign], SECOND), []);
}

#[test]
fn beyond_a_calibration_too_small_for_the_rate_a_peer_is_reported_and_acted_on_only_if_asked_to() {
    // Of 330 rows the smallest conditional p-value is 0.014, twice that by Simes' rule; one
    // anomalous peer among twenty has to reach 0.005.
    let far_out = Evidence { p_value: 2.0 / 331.0, conditional_p_value: 0.0277, ..attacker(1) };
    let calm =
        |last| Evidence { p_value: 0.5, conditional_p_value: 0.6, surprise: 0.0, ..attacker(last) };
    let window: Vec<Evidence> = (2..=20).map(calm).chain([far_out.clone()]).collect();
    for (unsupported, refused) in [(Unsupported::Refuse, true), (Unsupported::Act, false)] {
        let mut policy = policy(|config| config.unsupported = unsupported).calibrated(&basis(330));
        let decisions = decide(&mut policy, window.clone(), SECOND);
        assert_eq!(decisions.len(), 1);
        let refusal = Outcome::Refused(Refusal::RateUnsupported);
        assert_eq!(decisions[0].outcome == refusal, refused, "{decisions:?}");
        let claim = decisions[0].claim.to_string();
        assert_eq!(claim, "1 in 10 not supported: needs 1840 held-out rows, has 330");
    }
    let mut policy = policy(|_| ()).calibrated(&basis(1_840));
    let supported = Evidence { conditional_p_value: 0.004_999, ..far_out };
    let decisions = decide(&mut policy, vec![calm(2), calm(3), supported], SECOND);
    assert!(matches!(decisions[0].outcome, Outcome::Block { .. }), "{decisions:?}");
    assert_eq!(decisions[0].claim.to_string(), "1 in 10 wrong at most, by 1840 held-out rows");
}

#[test]
fn a_budget_of_false_alarms_leaves_only_what_is_rare_enough_at_this_traffic() {
    // Ten peers in windows of a second are 864,000 peer windows a day.
    let calm = |last| Evidence { p_value: 0.5, conditional_p_value: 0.6, ..attacker(last) };
    let reported = |p: f64| {
        let mut policy = policy(|config| config.false_alarms = "1 a day".parse().ok());
        let odd = Evidence { conditional_p_value: p, ..attacker(1) };
        decide(&mut policy, (2..=10).map(calm).chain([odd]).collect(), SECOND).len()
    };
    assert_eq!((reported(1.1e-6), reported(1.2e-6)), (1, 0));
}

#[test]
fn a_claim_is_about_the_traffic_of_late() {
    let basis = Basis {
        held_out: HeldOut::each(400),
        peers_per_window: Some(4.0),
        most_rows: 1 << 20,
        ..Basis::default()
    };
    let mut policy = policy(|_| ()).calibrated(&basis);
    let window = Duration::from_secs(1);
    assert!(policy.support(window).expect("calibrated").wrong_blocks.supported);
    let calm =
        |last| Evidence { surprise: 0.2, p_value: 0.5, conditional_p_value: 0.5, ..attacker(last) };
    for second in 1..=600 {
        decide(&mut policy, (1..=13).map(calm).collect(), second * SECOND);
    }
    let support = policy.support(window).expect("calibrated");
    assert!((11.0..=13.0).contains(&support.peers_per_window), "{}", support.peers_per_window);
    assert!(!support.wrong_blocks.supported);
    assert!(support.advice().contains("learn for"), "{}", support.advice());
}
