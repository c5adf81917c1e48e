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
        flows: 3,
        service: None,
    }
}

fn policy(change: impl FnOnce(&mut PolicyConfig)) -> Policy {
    let mut config = PolicyConfig { mode: Mode::Enforce, ..PolicyConfig::default() };
    config.expert.early_release = 0.0;
    change(&mut config);
    Policy::new(config.check(1_000_000).expect("within bounds"), ProtectedHosts::own([peer(200)]))
}

/// Decisions on the peers of a window of one second.
fn decide(policy: &mut Policy, evidence: Vec<Evidence>, now_ns: u64) -> Vec<Decision> {
    policy.decide(evidence, &WindowFacts::ending_at(now_ns)).peers
}

fn outcomes(decisions: &[Decision]) -> Vec<Outcome> {
    decisions.iter().map(|decision| decision.outcome).collect()
}

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

#[test]
fn nobody_who_is_protected_is_blocked() {
    let neighbour = Evidence { address: "fe80::1".parse().unwrap(), ..attacker(1) };
    let group = Evidence { address: "ff02::1:ff00:12".parse().unwrap(), ..attacker(1) };
    let guarded = |change: fn(&mut ProtectedHosts)| {
        let mut guarded = policy(|_| ());
        let mut protected = ProtectedHosts::default();
        change(&mut protected);
        guarded.protect(protected);
        guarded
    };
    for evidence in [neighbour, group] {
        refused(policy(|_| ()), vec![evidence], |_| (), Refusal::NoHost);
    }
    refused(policy(|_| ()), vec![attacker(200)], |_| (), Refusal::OwnAddress);
    let net: ipnet::IpNet = "198.51.100.0/25".parse().unwrap();
    let allow = policy(|config| config.allow = vec![net]);
    refused(allow, vec![attacker(1)], |_| (), Refusal::Allowed);
    for (change, expect) in [
        (
            (|these| these.allowed = [peer(1).into()].into_iter().collect())
                as fn(&mut ProtectedHosts),
            Refusal::Allowed,
        ),
        (|these| these.gateways = [peer(1)].into(), Refusal::Gateway),
        (|these| these.resolvers = [peer(1)].into(), Refusal::Resolver),
        (|these| these.administrators = [peer(1)].into(), Refusal::Administrator),
    ] {
        refused(guarded(change), vec![attacker(1)], |_| (), expect);
    }
}

#[test]
fn evidence_that_does_not_carry_a_block_is_refused_with_its_reason() {
    let few = Evidence { packets: 3, ..attacker(1) };
    let weak = Evidence { surprise: 4.5, ..attacker(1) };
    refused(policy(|_| ()), vec![few], |_| (), Refusal::TooFewPackets);
    let newcomer = Evidence { new_or_large: true, ..weak.clone() };
    refused(policy(|_| ()), vec![newcomer], |_| (), Refusal::NewOrLarge);
    let backup = Evidence { new_or_large: true, ..attacker(1) };
    refused(policy(|_| ()), vec![backup.clone()], |_| (), Refusal::NewOrLarge);
    let flood = Evidence { standing: Standing::Unproven, ..backup };
    let [flood] = &decide(&mut policy(|_| ()), vec![flood], SECOND)[..] else { panic!() };
    assert!(matches!(flood.outcome, Outcome::Block { scope: Scope::Unproven, .. }), "{flood:?}");
    let crowd = (1..=9).map(unproven).collect();
    refused(policy(|_| ()), crowd, |_| (), Refusal::ForgedSources);
    let refuse = policy(|config| config.unverified = Unverified::Refuse);
    refused(refuse, vec![unproven(1)], |_| (), Refusal::Unverified);
    refused(policy(|_| ()), vec![weak], |window| window.lossy = true, Refusal::LossyWindow);
    let blind = |window: &mut WindowFacts| window.blind = true;
    refused(policy(|_| ()), vec![attacker(1)], blind, Refusal::LossyWindow);
    let slept = |window: &mut WindowFacts| window.interrupted = true;
    refused(policy(|_| ()), vec![attacker(1)], slept, Refusal::Interrupted);
    let begins = |window: &mut WindowFacts| window.warming_up = true;
    refused(policy(|_| ()), vec![attacker(1)], begins, Refusal::WarmingUp);
    let drifts = |window: &mut WindowFacts| window.drifting = true;
    refused(policy(|_| ()), vec![attacker(1)], drifts, Refusal::Drifting);
}

#[test]
fn what_this_host_asked_for_is_only_reported_and_excuses_nothing_else() {
    let asked = Evidence { standing: Standing::Initiated, ..attacker(1) };
    let mut cautious = policy(|_| ());
    let both = decide(&mut cautious, vec![asked.clone(), attacker(1)], SECOND);
    let [proven, initiated] = &both[..] else { panic!("{both:?}") };
    assert_eq!(initiated.outcome, Outcome::Refused(Refusal::LocallyInitiated));
    let Outcome::Block { action, scope, .. } = proven.outcome else { panic!("{both:?}") };
    assert_eq!((action, scope), (Action::Drop, Scope::Inbound), "its own connections are spared");
    let mut bold = policy(|config| config.locally_initiated = LocallyInitiated::Act);
    let blocked = decide(&mut bold, vec![asked], SECOND);
    assert!(matches!(blocked[0].outcome, Outcome::Block { scope: Scope::All, .. }), "{blocked:?}");
}

fn unproven(last: u8) -> Evidence {
    Evidence { standing: Standing::Unproven, ..attacker(last) }
}

#[test]
fn what_anybody_may_have_sent_limits_unproven_packets_and_nothing_else() {
    let decisions = decide(&mut policy(|_| ()), vec![unproven(1)], SECOND);
    let Outcome::Block { action, scope, .. } = decisions[0].outcome else {
        panic!("{decisions:?}")
    };
    assert_eq!((action, scope), (Action::RateLimit, Scope::Unproven));
    let drop = policy(|config| config.unverified = Unverified::Drop);
    let decisions = decide(&mut { drop }, vec![unproven(1)], SECOND);
    let Outcome::Block { action, scope, .. } = decisions[0].outcome else {
        panic!("{decisions:?}")
    };
    assert_eq!((action, scope), (Action::Drop, Scope::Unproven));
}

#[test]
fn forged_packets_neither_shield_nor_convict_the_peer_whose_address_they_have() {
    let mut policy = policy(|_| ());
    let calm = Evidence { p_value: 0.5, surprise: 0.0, ..attacker(1) };
    for window in 1..=20 {
        for decision in decide(&mut policy, vec![calm.clone(), unproven(1)], window * SECOND) {
            let Outcome::Block { scope, .. } = decision.outcome else { panic!("{decision:?}") };
            assert_eq!(scope, Scope::Unproven);
        }
    }
    // Limited already, and then an attacker by its own packets: what stands is not wide enough.
    let convicted = decide(&mut policy, vec![unproven(1), attacker(1)], 21 * SECOND);
    let [proven] = &convicted[..] else { panic!("{convicted:?}") };
    assert!(matches!(proven.outcome, Outcome::Block { scope: Scope::Inbound, .. }), "{proven:?}");
    assert_eq!(decide(&mut policy, vec![unproven(1), attacker(1)], 22 * SECOND), [], "it stands");
}

#[test]
fn what_anybody_may_have_sent_opens_no_breaker() {
    let mut policy = with_baseline(1..=10, |_| ());
    let window = WindowFacts::ending_at(6 * SECOND);
    let verdicts = policy.decide((1..=8).map(unproven).collect(), &window);
    assert_eq!((verdicts.peers.len(), &verdicts.notices[..]), (8, &[][..]));
    let blocked = |one: &Decision| matches!(one.outcome, Outcome::Block { .. });
    assert!(verdicts.peers.iter().all(blocked), "{verdicts:?}");
    // Nor do those limits weigh where proven evidence asks.
    let next = policy.decide(vec![attacker(9)], &WindowFacts::ending_at(7 * SECOND));
    assert!(blocked(&next.peers[0]) && next.notices.is_empty(), "{next:?}");
}

#[test]
fn no_more_blocks_stand_or_are_made_in_a_minute_than_may() {
    refused(policy(|config| config.max_blocks = 0), vec![attacker(1)], |_| (), Refusal::MaxBlocks);
    let mut slow = policy(|config| config.expert.max_blocks_per_minute = 2);
    let all: Vec<_> = (1..=3).map(attacker).collect();
    let first = decide(&mut slow, all.clone(), SECOND);
    assert_eq!(first[2].outcome, Outcome::Refused(Refusal::BlocksPerMinute));
    assert_eq!(slow.made_last_minute(SECOND), 2);
    let a_minute_later = decide(&mut slow, vec![attacker(3)], 62 * SECOND);
    assert!(matches!(a_minute_later[0].outcome, Outcome::Block { .. }), "{a_minute_later:?}");
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

#[test]
fn a_block_that_could_not_be_made_is_no_offence() {
    let mut policy = policy(|_| ());
    for _ in 0..3 {
        let decisions = decide(&mut policy, vec![attacker(1)], SECOND);
        assert!(matches!(decisions[0].outcome, Outcome::Block { offence: 1, .. }), "{decisions:?}");
        policy.forget_block(peer(1));
    }
}

#[test]
fn a_mode_that_nobody_confirms_falls_back_to_shadow() {
    let mut policy = policy(|config| config.mode = Mode::Shadow);
    policy.set_mode(Mode::Enforce, Some(300 * SECOND));
    let blocked = decide(&mut policy, vec![attacker(1)], 100 * SECOND);
    let Outcome::Block { action, expires_ns, .. } = blocked[0].outcome else {
        panic!("{blocked:?}")
    };
    let confirm_by = (Action::Drop, 300 * SECOND);
    assert_eq!((action, expires_ns), confirm_by, "no lease outlives an unconfirmed mode");
    let over = policy.decide(vec![attacker(1)], &WindowFacts::ending_at(300 * SECOND));
    let fell_back = Notice::FellBack { from: Mode::Enforce, demoted: vec![peer(1)] };
    assert_eq!(over.notices, [fell_back]);
    assert_eq!(policy.mode(), Mode::Shadow);
    assert!(matches!(over.peers[0].outcome, Outcome::Block { action: Action::Shadow, .. }));
}

#[test]
fn a_confirmed_mode_stays_and_its_blocks_get_their_full_length() {
    let mut policy = policy(|config| config.mode = Mode::Shadow);
    policy.set_mode(Mode::Enforce, Some(300 * SECOND));
    decide(&mut policy, vec![attacker(1)], 100 * SECOND);
    let prolonged = policy.confirm().expect("a mode to confirm");
    assert_eq!(prolonged, [(peer(1), 400 * SECOND)].into());
    assert_eq!(policy.confirm(), None);
    let after = policy.decide(vec![attacker(1)], &WindowFacts::ending_at(301 * SECOND));
    assert_eq!(after, Verdicts::default(), "the block stands until 400 s");
    assert_eq!(policy.mode(), Mode::Enforce);
}

#[test]
fn unconfirmed_enforcement_never_falls_back_to_more_than_there_was() {
    let mut policy = policy(|config| config.mode = Mode::Observe);
    policy.set_mode(Mode::Enforce, Some(2 * SECOND));
    policy.set_mode(Mode::Enforce, Some(3 * SECOND));
    decide(&mut policy, Vec::new(), 3 * SECOND);
    assert_eq!(policy.mode(), Mode::Observe);
}

#[test]
fn whom_a_person_unblocked_is_left_alone_for_the_grace() {
    let mut policy = policy(|_| ());
    decide(&mut policy, vec![attacker(1)], SECOND);
    policy.pardon(peer(1), 2 * SECOND);
    let within = decide(&mut policy, vec![attacker(1)], 3_601 * SECOND);
    assert_eq!(outcomes(&within), [Outcome::Refused(Refusal::Grace)]);
    let after = decide(&mut policy, vec![attacker(1)], 3_603 * SECOND);
    assert!(matches!(after[0].outcome, Outcome::Block { offence: 2, .. }), "{after:?}");
}

#[test]
fn a_new_configuration_holds_from_the_next_window_on() {
    let mut policy = policy(|_| ());
    assert_eq!(decide(&mut policy, vec![attacker(1)], SECOND).len(), 1);
    let mut config = PolicyConfig::clone(policy.config());
    config.wrong_blocks = "1 in 10000".parse().expect("a share");
    config.expert.max_blocks_per_minute = 1;
    policy.reconfigure(config.check(1_000_000).expect("within bounds"));
    let stricter = decide(&mut policy, vec![attacker(2)], 2 * SECOND);
    assert_eq!(stricter, [], "its p-value of 1 in 1,000 does not reach 1 in 10,000");
}

#[test]
fn a_share_of_the_blocks_ends_early_and_a_seed_says_which() {
    let early = |seed| -> Vec<bool> {
        let mut policy = policy(|config| {
            (config.expert.early_release, config.expert.seed) = (0.2, seed);
            config.expert.max_blocks_per_minute = 1_000;
        });
        let decisions = decide(&mut policy, (1..=199).map(attacker).collect(), SECOND);
        decisions
            .iter()
            .map(|one| match one.outcome {
                Outcome::Block { early, ttl, .. } => {
                    assert_eq!(early, ttl < Duration::from_mins(5), "{ttl:?}");
                    assert!(ttl >= Duration::from_secs(30), "{ttl:?}");
                    early
                }
                Outcome::Refused(_) => panic!("{one:?}"),
            })
            .collect()
    };
    assert_eq!(early(1), early(1));
    assert_ne!(early(1), early(2));
    let count = early(1).iter().filter(|&&early| early).count();
    assert!((20..=60).contains(&count), "{count} of 199");
}

#[test]
fn offences_are_remembered_over_a_restart_and_forgotten_after_a_week() {
    let day = 86_400 * SECOND;
    let ttl = |now_ns| {
        let mut policy = policy(|_| ());
        policy.remember(peer(1), 2, day);
        match decide(&mut policy, vec![attacker(1)], now_ns)[0].outcome {
            Outcome::Block { ttl, .. } => ttl,
            Outcome::Refused(refusal) => panic!("{refusal:?}"),
        }
    };
    assert_eq!(ttl(2 * day), Duration::from_mins(20));
    assert_eq!(ttl(9 * day), Duration::from_mins(5));
}

#[test]
fn a_forged_flood_limits_its_service_and_blocks_no_address() {
    let web = Service { protocol: 6, port: 80 };
    let forged = |number: u32| Evidence {
        address: IpAddr::from((0xC633_0000 + number).to_be_bytes()),
        standing: Standing::Unproven,
        p_value: 0.5,
        surprise: 0.0,
        packets: 1,
        service: Some(web),
        ..attacker(1)
    };
    let mut policy = policy(|config| config.expert.flood_baseline = Duration::ZERO);
    let verdicts =
        policy.decide((0..37_000).map(forged).collect(), &WindowFacts::ending_at(SECOND));
    assert_eq!(verdicts.peers, []);
    assert_eq!(verdicts.services.len(), 1);
    let limit = verdicts.services[0];
    assert_eq!((limit.service, limit.sources), (web, 37_000));
    assert_eq!((limit.expires_ns, limit.action), (121 * SECOND, Action::RateLimit));
}

#[test]
fn a_verified_attacker_is_blocked_amid_forged_sources() {
    let mut evidence: Vec<_> =
        (1..=20).map(|last| Evidence { standing: Standing::Unproven, ..attacker(last) }).collect();
    evidence.push(attacker(100));
    let decisions = decide(&mut policy(|_| ()), evidence, SECOND);
    let blocked: Vec<_> = decisions
        .iter()
        .filter(|decision| matches!(decision.outcome, Outcome::Block { .. }))
        .map(|decision| decision.evidence.address)
        .collect();
    assert_eq!(blocked, [peer(100)]);
}

#[test]
fn a_forged_source_stays_one_while_its_service_is_limited() {
    let mut policy = policy(|config| config.expert.flood_baseline = Duration::ZERO);
    let web =
        |last| Evidence { service: Some(Service { protocol: 6, port: 80 }), ..unproven(last) };
    decide(&mut policy, (1..=20).map(web).collect(), SECOND);
    let straggler = decide(&mut policy, vec![web(1)], 33 * SECOND);
    assert_eq!(outcomes(&straggler), [Outcome::Refused(Refusal::ForgedSources)]);
    let stranger = decide(&mut policy, vec![web(100)], 34 * SECOND);
    assert!(matches!(stranger[0].outcome, Outcome::Block { .. }), "{stranger:?}");
    let once_verified = decide(&mut policy, vec![attacker(2)], 35 * SECOND);
    assert!(matches!(once_verified[0].outcome, Outcome::Block { .. }), "{once_verified:?}");
    let much_later = decide(&mut policy, vec![web(3)], 122 * SECOND);
    assert!(matches!(much_later[0].outcome, Outcome::Block { .. }), "{much_later:?}");
}

#[test]
fn decoys_shield_nobody() {
    let asking = |protocol, port: u16, last| Evidence {
        service: Some(Service { protocol, port }),
        ..unproven(last)
    };
    let decided = |protocol, decoys: Vec<Evidence>| {
        let mut policy = policy(|config| config.expert.flood_baseline = Duration::ZERO);
        decide(&mut policy, vec![asking(6, 1, 200)], SECOND);
        let first = decide(&mut policy, decoys, 2 * SECOND);
        let alone = decide(&mut policy, vec![asking(protocol, 99, 1)], 3 * SECOND);
        (first, alone)
    };
    let is_block = |one: &Decision| matches!(one.outcome, Outcome::Block { .. });
    let refused = |one: &Decision| one.outcome == Outcome::Refused(Refusal::ForgedSources);
    // Each asks for a port of its own, so that no service is flooded: each is limited.
    let apart = (1..=20).map(|last| asking(6, u16::from(last), last)).collect();
    assert!(decided(6, apart).0.iter().all(is_block));
    // All ask for one, which is limited; who then asks for another is one source.
    let (first, alone) = decided(6, (1..=20).map(|last| asking(6, 80, last)).collect());
    assert!(first.iter().all(refused) && is_block(&alone[0]), "{first:?} {alone:?}");
    // Whom the limit does not hold, for he proved to be somebody, is limited by himself.
    let mut known = policy(|config| config.expert.flood_baseline = Duration::ZERO);
    let calm = Evidence { p_value: 0.5, surprise: 0.0, ..attacker(7) };
    decide(&mut known, vec![calm], SECOND);
    let all = decide(&mut known, (1..=20).map(|last| asking(6, 80, last)).collect(), 2 * SECOND);
    let limited: Vec<_> =
        all.iter().filter(|one| is_block(one)).map(|one| one.evidence.address).collect();
    assert_eq!(limited, [peer(7)]);
    let (first, alone) = decided(17, (1..=20).map(|last| asking(17, 80, last)).collect());
    assert!(first.iter().all(refused) && is_block(&alone[0]), "{first:?} {alone:?}");
}

#[test]
fn decoys_that_knock_at_closed_ports_share_one_limit_and_spend_no_blocks() {
    let scan = |last| Evidence { service: Some(Service::CLOSED_PORTS), ..unproven(last) };
    let start = || {
        let mut policy = policy(|config| config.expert.flood_baseline = Duration::ZERO);
        decide(&mut policy, Vec::new(), SECOND);
        policy
    };
    let window = |policy: &mut Policy, decoys: std::ops::RangeInclusive<u8>, second| {
        let verdicts =
            policy.decide(decoys.map(scan).collect(), &WindowFacts::ending_at(second * SECOND));
        let is_block = |one: &&Decision| matches!(one.outcome, Outcome::Block { .. });
        (verdicts.services, verdicts.peers.iter().filter(is_block).count())
    };
    let mut policy = start();
    let (limits, blocks) = window(&mut policy, 1..=30, 2);
    assert_eq!((limits.len(), blocks), (1, 0));
    let limit = limits[0];
    assert_eq!((limit.service, limit.sources), (Service::CLOSED_PORTS, 30));
    assert_eq!((limit.packets_per_second, limit.action), (5, Action::RateLimit));
    let (limits, blocks) = window(&mut policy, 31..=31, 3);
    assert!(limits[0].renewed && blocks == 1, "one alone is limited by himself too: {limits:?}");
    // Ever other decoys, few at a time, spend some blocks and then share the limit.
    let mut policy = start();
    let blocks: Vec<usize> =
        (0..8).map(|n| window(&mut policy, 4 * n + 1..=4 * n + 4, 2 + u64::from(n)).1).collect();
    assert_eq!(blocks, [4, 4, 4, 0, 0, 0, 0, 0]);
    // Whom no limit holds, for he proved to be somebody, is limited by himself.
    let calm = Evidence { p_value: 0.5, surprise: 0.0, ..attacker(40) };
    decide(&mut policy, vec![calm], 20 * SECOND);
    assert_eq!(window(&mut policy, 40..=40, 21).1, 1);
}

#[test]
fn what_anybody_may_have_sent_takes_up_half_of_the_blocks_at_most() {
    for bound in
        [(|config: &mut PolicyConfig| config.max_blocks = 7) as fn(&mut PolicyConfig), |config| {
            config.expert.max_blocks_per_minute = 7;
        }]
    {
        let mut policy = policy(bound);
        let forged = decide(&mut policy, (1..=8).map(unproven).collect(), SECOND);
        let own = decide(&mut policy, (101..=108).map(attacker).collect(), 2 * SECOND);
        let blocks = |all: &[Decision]| {
            all.iter().filter(|one| matches!(one.outcome, Outcome::Block { .. })).count()
        };
        assert_eq!((blocks(&forged), blocks(&own)), (4, 3));
    }
}

#[test]
fn a_repeat_offender_is_blocked_twice_as_long_up_to_the_limit() {
    let mut policy = policy(|config| config.max_ttl = Duration::from_mins(15));
    let mut now_ns = SECOND;
    let mut ttls = Vec::new();
    for _ in 0..3 {
        let decisions = decide(&mut policy, vec![attacker(1)], now_ns);
        let Outcome::Block { ttl, .. } = decisions[0].outcome else { panic!("{decisions:?}") };
        ttls.push(ttl.as_secs());
        assert_eq!(decide(&mut policy, vec![attacker(1)], now_ns + SECOND), [], "block stands");
        now_ns += u64::try_from(ttl.as_nanos()).unwrap() + SECOND;
    }
    assert_eq!(ttls, [300, 600, 900]);
}

#[test]
fn observe_and_shadow_never_drop() {
    for mode in [Mode::Observe, Mode::Shadow] {
        let mut policy = policy(|config| config.mode = mode);
        let decisions = decide(&mut policy, vec![attacker(1)], SECOND);
        assert!(
            matches!(decisions[0].outcome, Outcome::Block { action: Action::Shadow, .. }),
            "{decisions:?}"
        );
    }
}

fn basis(rows: u64) -> Basis {
    Basis { held_out: HeldOut::each(rows), ..Basis::default() }
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
fn drift_refuses_a_block_unless_it_is_only_to_be_reported() {
    for (drift, blocks) in [(OnDrift::Suspend, false), (OnDrift::Report, true)] {
        let mut policy = policy(|config| config.drift = drift);
        let window = WindowFacts { drifting: true, ..WindowFacts::ending_at(SECOND) };
        let decided = policy.decide(vec![attacker(1)], &window).peers;
        let blocked = matches!(decided[0].outcome, Outcome::Block { .. });
        assert_eq!(blocked, blocks, "{decided:?}");
    }
}

#[test]
fn a_handful_of_failed_log_ins_has_a_guesser_acted_on_whatever_its_scores_are() {
    let mut policy = policy(|_| ());
    let calm = Evidence { surprise: 0.4, p_value: 0.6, conditional_p_value: 0.6, ..attacker(1) };
    for second in 1..5 {
        policy.failed_log_in(peer(1), second * 100 * SECOND);
    }
    assert_eq!(decide(&mut policy, vec![calm.clone()], 450 * SECOND), []);
    policy.failed_log_in(peer(1), 460 * SECOND);
    let decisions = decide(&mut policy, vec![calm.clone(), attacker(2)], 461 * SECOND);
    let guesser = decisions.iter().find(|one| one.evidence.address == peer(1)).expect("named");
    assert_eq!(guesser.evidence.failed_log_ins, 5);
    let Outcome::Block { action, scope, .. } = guesser.outcome else { panic!("{guesser:?}") };
    assert_eq!((action, scope), (Action::Drop, Scope::Inbound));
    let unproven = Evidence { standing: Standing::Unproven, ..calm };
    policy.forget_block(peer(1));
    assert_eq!(decide(&mut policy, vec![unproven], 462 * SECOND), [], "others may have sent it");
}

#[test]
fn who_is_logged_in_keeps_the_connection_and_no_guesser_beside_it() {
    let mut policy = policy(|_| ());
    let administrators = [peer(1)].into();
    policy.protect(ProtectedHosts { administrators, ..ProtectedHosts::default() });
    let at = |port| Evidence { service: Some(Service { protocol: 6, port }), ..attacker(1) };
    let elsewhere = decide(&mut policy, vec![at(443)], SECOND);
    assert_eq!(outcomes(&elsewhere), [Outcome::Refused(Refusal::Administrator)]);
    let decisions = decide(&mut policy, vec![at(22)], 2 * SECOND);
    let Outcome::Block { action, scope, .. } = decisions[0].outcome else {
        panic!("{decisions:?}")
    };
    assert_eq!((action, scope), (Action::Drop, Scope::Unproven));
}

#[test]
fn a_log_in_service_that_fails_everybody_blocks_none_of_its_ordinary_users() {
    let mut policy = policy(|_| ());
    let user = |network: u8, surprise| Evidence {
        address: IpAddr::from([198, 51, network, 7]),
        service: Some(Service { protocol: 6, port: 22 }),
        surprise,
        p_value: 0.6,
        conditional_p_value: 0.6,
        ..attacker(1)
    };
    let users = || (1..=4).map(|network| user(network, 0.4)).collect::<Vec<_>>();
    (1..=5).for_each(|second| assert_eq!(decide(&mut policy, users(), second * SECOND), []));
    let stranger = IpAddr::from([203, 0, 113, 9]);
    for second in 1..=5 {
        for user in users() {
            policy.failed_log_in(user.address, second * SECOND);
        }
        policy.failed_log_in(stranger, second * SECOND);
    }
    let mut all = users();
    all.push(Evidence { address: stranger, ..user(9, 0.4) });
    let decisions = decide(&mut policy, all, 6 * SECOND);
    for one in &decisions {
        let refused = one.outcome == Outcome::Refused(Refusal::ServiceOutage);
        assert_eq!(refused, one.evidence.address != stranger, "{one:?}");
    }
    assert_eq!(decisions.len(), 5);
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
