//! What anybody may have sent in a peer's name, and floods of it.

use super::*;

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
