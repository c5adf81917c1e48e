//! Modes, pardons and log-ins: what people do.

use super::*;

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
fn tens_of_log_ins_alike_have_a_guesser_acted_on_in_windows_that_are_whole() {
    let calm = |log_ins_alike| Evidence {
        log_ins_alike,
        surprise: 0.4,
        p_value: 0.6,
        conditional_p_value: 0.6,
        ..attacker(1)
    };
    let mut policy = policy(|_| ());
    assert_eq!(decide(&mut policy, vec![calm(31)], SECOND), []);
    let blind = WindowFacts { blind: true, ..WindowFacts::ending_at(2 * SECOND) };
    let unseen = policy.decide(vec![calm(40)], &blind).peers;
    assert_eq!(outcomes(&unseen), [Outcome::Refused(Refusal::LossyWindow)]);
    let decisions = decide(&mut policy, vec![calm(41), attacker(2)], 3 * SECOND);
    let guesser = decisions.iter().find(|one| one.evidence.address == peer(1)).expect("named");
    let Outcome::Block { action, scope, .. } = guesser.outcome else { panic!("{guesser:?}") };
    assert_eq!((action, scope), (Action::Drop, Scope::Inbound));
}

#[test]
fn who_is_logged_in_keeps_the_connection_and_nobody_attacks_beside_it() {
    let mut policy = policy(|_| ());
    let administrators = [peer(1)].into();
    policy.protect(ProtectedHosts { administrators, ..ProtectedHosts::default() });
    let forged = decide(&mut policy, vec![unproven(1)], SECOND);
    assert_eq!(outcomes(&forged), [Outcome::Refused(Refusal::Administrator)]);
    let decisions = decide(&mut policy, vec![attacker(1)], 2 * SECOND);
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
