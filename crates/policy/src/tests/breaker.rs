//! Shares of the ordinary traffic, and the breaker.

use super::*;

#[test]
fn a_model_that_turns_on_its_own_clients_opens_the_breaker() {
    let mut policy = with_baseline(1..=10, |_| ());
    let window = WindowFacts::ending_at(6 * SECOND);
    let verdicts = policy.decide((1..=10).map(turned).collect(), &window);
    let shadowed =
        |one: &&Decision| matches!(one.outcome, Outcome::Block { action: Action::Shadow, .. });
    let blocks = verdicts.peers.iter().filter(shadowed);
    assert_eq!(blocks.count(), 2, "a quarter of ten, and those of this window drop nothing");
    let refused = Outcome::Refused(Refusal::ShareOfPeers);
    assert_eq!(verdicts.peers.iter().filter(|one| one.outcome == refused).count(), 8);
    let rearms_ns = Some(906 * SECOND);
    let demoted = vec![client(1), client(2)];
    let trip = Trip::ShareOfPeers;
    assert_eq!(verdicts.notices, [Notice::BreakerOpened { trip, rearms_ns, demoted }]);
    assert_eq!(policy.mode(), Mode::Shadow);
}

#[test]
fn strangers_are_blocked_however_many_they_are() {
    let mut policy = with_baseline(1..=4, |_| ());
    let verdicts =
        policy.decide((10..=60).map(attacker).collect(), &WindowFacts::ending_at(6 * SECOND));
    assert!(verdicts.notices.is_empty());
    let blocked = |one: &Decision| matches!(one.outcome, Outcome::Block { .. });
    assert!(verdicts.peers.iter().all(blocked));
}

#[test]
fn many_addresses_of_one_network_open_no_breaker() {
    let mut policy = policy(|_| ());
    for window in 1..=5 {
        let calm = |last| Evidence {
            p_value: 0.5,
            conditional_p_value: 0.5,
            surprise: 0.0,
            ..attacker(last)
        };
        decide(&mut policy, (1..=10).map(calm).collect(), window * SECOND);
    }
    let verdicts =
        policy.decide((1..=10).map(attacker).collect(), &WindowFacts::ending_at(6 * SECOND));
    assert_eq!(verdicts.notices, []);
    let refused = Outcome::Refused(Refusal::ShareOfPeers);
    assert_eq!(outcomes(&verdicts.peers)[2..], [refused; 8], "a quarter of ten, and not more");
    assert_eq!(policy.mode(), Mode::Enforce);
}

#[test]
fn one_that_carries_the_ordinary_traffic_is_spared_for_some_windows_and_never_for_good() {
    let mut policy = policy(|_| ());
    for window in 1..=5 {
        let calm = |last, bytes| Evidence {
            p_value: 0.5,
            conditional_p_value: 0.5,
            surprise: 0.0,
            bytes,
            ..attacker(last)
        };
        let everyone = (1..=20).map(|last| calm(last, if last == 7 { 1 << 20 } else { 1_000 }));
        decide(&mut policy, everyone.collect(), window * SECOND);
    }
    let mut outcome = |window: u32| {
        let decisions = decide(&mut policy, vec![attacker(7)], u64::from(window) * SECOND);
        decisions[0].outcome
    };
    for window in 6..5 + LASTING_WINDOWS {
        assert_eq!(outcome(window), Outcome::Refused(Refusal::ShareOfBytes), "window {window}");
    }
    let blocked = outcome(5 + LASTING_WINDOWS);
    assert!(matches!(blocked, Outcome::Block { action: Action::Drop, .. }), "{blocked:?}");
    assert_eq!(policy.breaker().open(), None);
}

#[test]
fn an_open_breaker_shadows() {
    let mut policy = with_baseline(1..=10, |_| ());
    decide(&mut policy, (1..=10).map(turned).collect(), 6 * SECOND);
    let other = decide(&mut policy, vec![attacker(8)], 7 * SECOND);
    assert!(matches!(other[0].outcome, Outcome::Block { action: Action::Shadow, .. }), "{other:?}");
}

#[test]
fn a_breaker_closes_when_its_time_is_over_or_a_person_says_so() {
    let mut policy = with_baseline(1..=10, |_| ());
    decide(&mut policy, (1..=10).map(turned).collect(), 6 * SECOND);
    let early = policy.decide(Vec::new(), &WindowFacts::ending_at(905 * SECOND));
    assert!(early.notices.is_empty() && policy.mode() == Mode::Shadow);
    let due = policy.decide(Vec::new(), &WindowFacts::ending_at(906 * SECOND));
    assert_eq!(due.notices, [Notice::BreakerClosed]);
    assert_eq!(policy.mode(), Mode::Enforce);

    let mut manual = with_baseline(1..=10, |config| config.expert.rearm_after = Duration::ZERO);
    decide(&mut manual, (1..=10).map(turned).collect(), 6 * SECOND);
    decide(&mut manual, Vec::new(), 1_000_000 * SECOND);
    assert_eq!(manual.mode(), Mode::Shadow, "it waits for a person");
    assert!(manual.rearm() && !manual.rearm());
    assert_eq!(manual.mode(), Mode::Enforce);
}

#[test]
fn what_a_lower_mode_turned_to_shadow_is_decided_anew_once_it_enforces_again() {
    type Change = fn(&mut Policy);
    let blocked = |policy: &mut Policy, now_ns| {
        let decisions = decide(policy, vec![attacker(100)], now_ns);
        match decisions.first()?.outcome {
            Outcome::Block { action, offence, .. } => Some((action, offence)),
            Outcome::Refused(refusal) => panic!("{refusal:?}"),
        }
    };
    let open = |policy: &mut Policy| {
        let verdicts = decide(policy, (1..=10).map(turned).collect(), 7 * SECOND);
        assert!(policy.breaker().open().is_some(), "{verdicts:?}");
    };
    let by_hand: Change = |policy| assert!(policy.rearm());
    let by_time: Change = |policy| drop(decide(policy, Vec::new(), 907 * SECOND));
    let to_shadow: Change = |policy| policy.set_mode(Mode::Shadow, None);
    let to_enforce: Change = |policy| policy.set_mode(Mode::Enforce, None);
    for (lower, raise) in [(open as Change, by_hand), (open, by_time), (to_shadow, to_enforce)] {
        let mut policy = with_baseline(1..=10, |config| config.ttl = Duration::from_hours(1));
        assert_eq!(blocked(&mut policy, 6 * SECOND), Some((Action::Drop, 1)));
        lower(&mut policy);
        assert_eq!(blocked(&mut policy, 8 * SECOND), None, "its block stands, as shadow");
        raise(&mut policy);
        let anew = blocked(&mut policy, 908 * SECOND);
        assert_eq!(anew, Some((Action::Drop, 1)), "the same offence as before");
    }
}
