//! Each guard with its reason, and the lengths of blocks.

use super::*;

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
    let flood = Evidence { standing: Standing::Unproven, ..backup.clone() };
    let [flood] = &decide(&mut policy(|_| ()), vec![flood], SECOND)[..] else { panic!() };
    assert!(matches!(flood.outcome, Outcome::Block { scope: Scope::Unproven, .. }), "{flood:?}");
    let asks = Evidence {
        standing: Standing::Unproven,
        service: Some(Service { protocol: 17, port: 53 }),
        ..backup
    };
    refused(policy(|_| ()), vec![asks], |_| (), Refusal::NewOrLarge);
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
