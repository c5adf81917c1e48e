//! Whom people and the host itself protect, and what a failure or a beginning keeps from being blocked.

use super::*;

#[test]
fn a_block_that_cannot_be_made_is_told_and_decided_again() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    noted.notes().fails = true;
    let events = node.decide(window(1, vec![attacker(1)]));
    let told = |event: &Event| match event {
        Event::Failure(failure) => Some(failure.error.clone()),
        _ => None,
    };
    assert_eq!(events.iter().find_map(told).as_deref(), Some("no room"));
    assert_eq!(node.status().unwrap().refusals["entry_failed"], 1);
    noted.notes().fails = false;
    node.decide(window(2, vec![attacker(1)]));
    assert_eq!(noted.notes().acted.len(), 1);
}

#[test]
fn nobody_is_blocked_while_everything_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    for number in 1..=2 {
        let mut early = window(number, vec![attacker(1)]);
        early.assessed.facts.warming_up = true;
        node.decide(early);
    }
    assert_eq!(noted.notes().acted, []);
    assert_eq!(node.status().unwrap().refusals["warming_up"], 2);
    node.decide(window(3, vec![attacker(1)]));
    assert_eq!(noted.notes().acted.len(), 1);
}

#[test]
fn a_trial_that_nobody_confirms_turns_its_blocks_to_shadow() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    // By the policy itself: the API refuses a node without a guard.
    node.inner().policy.set_mode(policy::Mode::Enforce, Some(boot_ns() + SECOND / 1_000));
    node.decide(window(1, vec![attacker(1)]));
    let mut late = window(2, Vec::new());
    late.assessed.facts.end_ns += SECOND;
    let events = node.decide(late);
    assert!(
        events.iter().any(|event| matches!(
            event,
            Event::Notice(notice) if matches!(notice.notice, policy::Notice::FellBack { .. })
        )),
        "{events:?}"
    );
    assert_eq!(noted.in_table(peer(1)), Some(Action::Shadow));
    assert_eq!(node.status().unwrap().mode, Mode::Shadow);
}

#[test]
fn a_confirmed_trial_lets_its_blocks_stand_for_their_length() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    let error = node.confirm(&somebody()).unwrap_err();
    assert_eq!(error.kind, Kind::Conflict);
    let by_ns = boot_ns() + 60 * SECOND;
    node.inner().policy.set_mode(policy::Mode::Enforce, Some(by_ns));
    node.decide(window(1, vec![attacker(1)]));
    let state = node.confirm(&somebody()).unwrap();
    assert_eq!((state.mode, state.confirm), (Mode::Enforce, None));
    let prolonged = noted.notes().prolonged.clone();
    assert!(prolonged[0].0 == peer(1) && prolonged[0].1 > by_ns, "{prolonged:?}");
}

#[test]
fn a_node_without_a_guard_says_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _) = node(folder.path());
    let mode = ModeRequest { mode: Mode::Enforce, confirm_within_s: None };
    let block = BlockRequest {
        target: peer(1).into(),
        action: control::wire::Action::Drop,
        pps: None,
        for_s: None,
        reason: None,
        list: None,
        force: false,
    };
    let unblock = UnblockRequest { target: peer(1).into(), reason: None };
    for error in [
        node.set_mode(&somebody(), &mode).unwrap_err(),
        node.block(&somebody(), &block).unwrap_err(),
        node.unblock(&somebody(), &unblock).unwrap_err(),
        node.import(&somebody(), &batch(None, &["203.0.113.1"], false)).unwrap_err(),
    ] {
        assert_eq!(error.kind, Kind::Conflict);
        assert!(error.text.contains("--mode shadow"), "{error}");
    }
    assert_eq!(node.blocks(&BlockQuery::default()).unwrap().items, []);
}

#[test]
fn what_a_person_allows_holds_is_recorded_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (first, noted) = node(folder.path());
    let prefix: ipnet::IpNet = "198.51.100.0/24".parse().unwrap();
    let request = AllowRequest { prefix: prefix.into(), for_s: None, note: Some("ours".into()) };
    first.allow(&somebody(), &request).unwrap();
    first.decide(window(1, vec![attacker(1)]));
    assert_eq!(noted.notes().acted, []);
    assert_eq!(first.status().unwrap().refusals["allowed"], 1);
    first.stop("test");
    drop(first);

    let (second, noted) = node(folder.path());
    let listed = second.allowed(&control::wire::AllowQuery::default()).unwrap().items;
    let person = listed.iter().find(|one| one.prefix == prefix.into()).unwrap();
    assert_eq!((person.who.as_deref(), person.note.as_deref()), (Some("root"), Some("ours")));
    let own = DisallowRequest { prefix: peer(200).into() };
    assert_eq!(second.disallow(&somebody(), &own).unwrap_err().kind, Kind::Conflict);
    second.disallow(&somebody(), &DisallowRequest { prefix: prefix.into() }).unwrap();
    second.decide(window(1, vec![attacker(1)]));
    assert_eq!(noted.notes().acted.len(), 1);
    second.stop("test");
    let reader = Ledger::read(&folder.path().join("ledger.db")).unwrap();
    let acts = reader.acts(&ActQuery::default()).unwrap().rows;
    let told: Vec<_> = acts.iter().map(|act| (&*act.what, &*act.who.name)).collect();
    assert_eq!(told, [("disallow", "root"), ("allow", "root")]);
}

#[test]
fn a_reload_takes_all_of_a_configuration_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    let allow = folder.path().join("allow.txt");
    std::fs::write(&allow, "198.51.100.0/24\nnobody\n").unwrap();
    let error = node.reload(&somebody()).unwrap_err();
    assert!(error.kind == Kind::Invalid && error.text.contains("line 2"), "{error}");
    node.decide(window(1, vec![attacker(1)]));
    assert_eq!(noted.notes().acted.len(), 1, "nothing of it holds");

    std::fs::write(&allow, "198.51.100.0/24\n").unwrap();
    let reloaded = node.reload(&somebody()).unwrap();
    assert_eq!(reloaded.changed, ["policy.allow_files", "policy.max_blocks"]);
    assert_eq!(reloaded.needs_restart, ["tables.flows"]);
    node.decide(window(2, vec![attacker(2)]));
    assert_eq!(node.status().unwrap().refusals["allowed"], 1);
    assert_eq!(node.status().unwrap().blocks.limit, 7);
}

#[test]
fn a_client_of_the_api_keeps_its_connections() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    node.heard_from(peer(1));
    node.decide(window(1, vec![attacker(1)]));
    let scope = noted.notes().table[&Target::address(peer(1))].scope;
    assert_eq!(scope, Scope::Unproven.code(), "it attacks");
}

#[test]
fn protected_hosts_are_not_forgotten_for_one_bad_look() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    let seen = ProtectedHosts {
        gateways: [peer(1)].into(),
        resolvers: [peer(2)].into(),
        administrators: [peer(3)].into(),
        ..ProtectedHosts::own([peer(200), peer(201)])
    };
    node.take_hosts(seen);
    node.take_hosts(ProtectedHosts::default());
    assert_eq!(noted.notes().allowed, [peer(200), peer(201)].map(IpNet::from).into());
    node.decide(window(1, vec![attacker(1), attacker(2), attacker(3), attacker(200)]));
    let refusals = node.status().unwrap().refusals;
    assert_eq!((refusals["gateway"], refusals["resolver"], refusals["own_address"]), (1, 1, 1));
    assert!(!refusals.contains_key("administrator"), "who has logged out is nobody");
}

#[test]
fn remotes_that_proved_their_address_are_told_to_the_kernel_once_in_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    let calm =
        |last| Evidence { p_value: 0.5, conditional_p_value: 0.5, surprise: 0.0, ..attacker(last) };
    let forged = Evidence { standing: Standing::Unproven, ..calm(2) };
    node.decide(window(1, vec![calm(1), forged]));
    node.decide(window(2, vec![calm(1), calm(3)]));
    assert_eq!(noted.notes().known, [peer(1), peer(3)]);
}

#[test]
fn what_is_allowed_passes_in_the_kernel_for_as_long_as_something_speaks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    let (office, own) = ("203.0.113.0/24".parse::<IpNet>().unwrap(), IpNet::from(peer(200)));
    let request = AllowRequest { prefix: office.into(), for_s: None, note: None };
    noted.notes().fails = true;
    assert!(node.allow(&somebody(), &request).unwrap_err().text.contains("no room"));
    assert_eq!(node.inner().policy.protected().refusal(office), None, "all of it or nothing");
    noted.notes().fails = false;
    node.allow(&somebody(), &request).unwrap();
    std::fs::write(folder.path().join("allow.txt"), "203.0.113.0/24\n198.51.100.7\n").unwrap();
    node.reload(&somebody()).unwrap();
    assert_eq!(noted.notes().allowed, [own, office, peer(7).into()].into());
    node.disallow(&somebody(), &DisallowRequest { prefix: office.into() }).unwrap();
    assert!(noted.notes().allowed.contains(&office), "the file still speaks for it");
    // An own address stays though the file named it, and names it no more.
    for (text, stays) in [("198.51.100.200\n198.51.100.0/25\n", 2), ("", 1)] {
        std::fs::write(folder.path().join("allow.txt"), text).unwrap();
        node.reload(&somebody()).unwrap();
        assert_eq!(noted.notes().allowed.len(), stays);
        assert!(noted.notes().allowed.contains(&own), "{text:?}");
    }
}
